"""What can be said about vectors once they are trained: so far, a map to look at."""

from logq.evaluation.word_map import word_map

__all__ = ["word_map"]
