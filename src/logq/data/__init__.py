"""Data on its way into training."""

from logq.data.text import (
    ENGLISH_CONNECTOR_WORDS,
    Corpus,
    EncodedCorpus,
    JoinedText,
    Phrase,
    Phrases,
    Sentences,
    Vocabulary,
    WordCount,
    cbow_windows,
    count_words,
    encode,
    python_reference,
    reduced_windows,
    skipgram_pairs,
    subsample_sentences,
)

__all__ = [
    "ENGLISH_CONNECTOR_WORDS",
    "Corpus",
    "EncodedCorpus",
    "JoinedText",
    "Phrase",
    "Phrases",
    "Sentences",
    "Vocabulary",
    "WordCount",
    "cbow_windows",
    "count_words",
    "encode",
    "python_reference",
    "reduced_windows",
    "skipgram_pairs",
    "subsample_sentences",
]
