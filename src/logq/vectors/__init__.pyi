from .keyed_vectors import KeyedVectors as KeyedVectors
from .nearest_words import UnknownWord as UnknownWord
from .sentence_vectors import SentenceVectors as SentenceVectors
