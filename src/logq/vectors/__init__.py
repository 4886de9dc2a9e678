"""Vectors after training: kept in files, and asked for the words nearest to others."""

from logq.vectors.keyed_vectors import KeyedVectors
from logq.vectors.unknown_word import UnknownWord

__all__ = ["KeyedVectors", "UnknownWord"]
