"""Vectors after training: kept in files, and asked for the words nearest to others."""

from logq.retrieval.keyed_vectors import KeyedVectors
from logq.retrieval.unknown_word import UnknownWord

__all__ = ["KeyedVectors", "UnknownWord"]
