"""N-gram language models: counts, smoothing, perplexity, ARPA files; and the face that all language models have."""

from logq.ngram.language_model import LanguageModel, Source
from logq.ngram.next_words import NextWords, best_words, choose_word
from logq.ngram.ngram import NGram

__all__ = ["LanguageModel", "NGram", "NextWords", "Source", "best_words", "choose_word"]
