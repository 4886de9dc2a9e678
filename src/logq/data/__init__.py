"""Text on its way into training: corpora, the vocabulary, and the windows that make training examples of sentences."""

from logq.data.corpus import Corpus, Sentences
from logq.data.python_reference import python_reference
from logq.data.vocabulary import Vocabulary
from logq.data.windows import cbow_windows, reduced_windows, skipgram_pairs, subsample_sentences

__all__ = [
    "Corpus",
    "Sentences",
    "Vocabulary",
    "cbow_windows",
    "python_reference",
    "reduced_windows",
    "skipgram_pairs",
    "subsample_sentences",
]
