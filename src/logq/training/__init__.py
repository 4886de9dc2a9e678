"""Training: the only place that knows sampler, objective and model together."""

from logq.training.word2vec import Word2Vec

__all__ = ["Word2Vec"]
