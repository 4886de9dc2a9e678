"""Text on its way into training: corpora, the vocabulary, and the windows that make training examples of sentences."""

from logq.data.text.corpus import Corpus, Sentences
from logq.data.text.encoding import EncodedCorpus, encode, encode_ids
from logq.data.text.joined_text import JoinedText
from logq.data.text.phrases import ENGLISH_CONNECTOR_WORDS, Phrase, Phrases
from logq.data.text.python_reference import python_reference
from logq.data.text.tokens import END, UNKNOWN, Tokens, read_tokens
from logq.data.text.vocabulary import Vocabulary
from logq.data.text.windows import cbow_windows, reduced_windows, skipgram_pairs, subsample_sentences
from logq.data.text.word_count import WordCount, count_words

__all__ = [
    "END",
    "ENGLISH_CONNECTOR_WORDS",
    "UNKNOWN",
    "Corpus",
    "EncodedCorpus",
    "JoinedText",
    "Phrase",
    "Phrases",
    "Sentences",
    "Tokens",
    "Vocabulary",
    "WordCount",
    "cbow_windows",
    "count_words",
    "encode",
    "encode_ids",
    "python_reference",
    "read_tokens",
    "reduced_windows",
    "skipgram_pairs",
    "subsample_sentences",
]
