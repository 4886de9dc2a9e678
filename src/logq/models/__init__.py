"""Models: what turns the input of an example into a query vector. Torch and shapes only, one paper a file."""

from logq.models.word2vec import CBOW, SkipGram

__all__ = ["CBOW", "SkipGram"]
