"""NGram: the n-gram language model, from a corpus to perplexity; without torch."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, check_float, check_size
from logq._progress import Progress, format_bytes
from logq.evaluation.likelihood import Likelihood, likelihood_of
from logq.language_models.language_model import LanguageModel, Source, VocabularyConfig, fingerprint_of
from logq.language_models.ngram.arpa import read_arpa, write_arpa
from logq.language_models.ngram.backoff import BackoffTable, Floats
from logq.language_models.ngram.disk_counts import DiskCounts, fits_in_memory
from logq.language_models.ngram.ngram_counts import Counts, Ids64, count_ngrams
from logq.language_models.ngram.smoothing import (
    STEPS,
    Discounts,
    additive,
    best_k,
    estimate_discounts,
    kneser_ney,
)
from logq.text.tokens import Tokens, read_tokens
from logq.text.vocabulary import Vocabulary
from logq.training.callbacks import CallbackRun, Callbacks
from logq.training.config import Above, AtLeast, Check, Help, OneOf, configclass

__all__ = ["NGram", "NGramConfig"]

START = "<s>"

SMOOTHINGS = ("kneser_ney", "add_k", "maximum_likelihood")
ARPA = "arpa"
"""The smoothing of a model that was read from an ARPA file, which does not tell."""


# What `memory` has to have room for besides n-grams, in bytes.
_RESIDENT = 100_000_000  # the interpreter and what is imported
_WORD = 300  # a word of the vocabulary
_LEAST = 16_000_000


def _check_smoothing(name: str, value: Any) -> str:
    if value not in (*SMOOTHINGS, ARPA):
        raise ArgumentError(name, f"one of {', '.join(SMOOTHINGS)}", value)
    return value


def _check_discounts(name: str, values: Any) -> Discounts:
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != 3:
        raise ArgumentError(name, "three numbers, such as 0.5,1.0,1.5", values)
    first, second, third = (check_float(name, value, at_least=0, at_most=most) for most, value in enumerate(values, 1))
    return first, second, third


def _check_memory(name: str, value: Any) -> str:
    check_size(name, value)
    return value


@configclass(group="Model")
class NGramConfig(VocabularyConfig):
    """The arguments of NGram.

    Example:
        >>> NGramConfig(order=3).order
        3
    """

    order: Annotated[int, AtLeast(1), Help("Number of words in an n-gram; 1 is a unigram model.")] = field(
        default=5, kw_only=False
    )
    smoothing: Annotated[
        str, Check(_check_smoothing), OneOf(*SMOOTHINGS), Help("How probability is reserved for unseen n-grams.")
    ] = field(default="kneser_ney", kw_only=False)
    k: Annotated[
        float | None,
        Above(0),
        Help(
            "What add_k adds to each count; {none} finds the best k on the validation text.",
            typed="What add_k adds to each count; {none} finds the best k on --valid.",
            none="0",
        ),
    ] = 1.0
    discount_fallback: Annotated[
        Sequence[float] | None,
        Check(_check_discounts),
        Help(
            "Discounts of counts 1, 2 and 3 or more for Kneser-Ney in orders where a small text cannot estimate them, "
            "such as (0.5, 1.0, 1.5), which `lmplz --discount_fallback` uses; {none} raises an error there.",
            typed="Discounts of Kneser-Ney where a small text cannot estimate them, such as 0.5,1,1.5.",
            metavar="X,X,X",
        ),
    ] = None
    memory: Annotated[
        str | None,
        Check(_check_memory),
        Help(
            'Memory that the process may take, such as "1GB"; what does not fit is counted in temporary files, which '
            "gives the same probabilities. {none} counts in memory.",
            typed="Memory that the process may take, such as 1GB; what does not fit is counted in temporary files.",
            metavar="SIZE",
            default="as much as needed",
            group="Training",
        ),
    ] = None
    threads: Annotated[
        int,
        AtLeast(1),
        Help("Number of threads that split the text into words.", typed="Number of threads.", group="Training"),
    ] = 1


class NGram(NGramConfig, LanguageModel):
    """Predicts a word from the N - 1 words before it, by how often they occurred together in a text.

        P(w_i | line begins, w_1 ... w_{i-1}) ~ P(w_i | w_{i-N+1} ... w_{i-1})

    With "kneser_ney", the best of these, P is interpolated modified Kneser-Ney, equal to what `lmplz` of KenLM makes of
    the same text; with "add_k", (c(h w) + k) / (c(h) + k V); with "maximum_likelihood", c(h w) / c(h), under which most
    texts are impossible. <s> stands before the first word of a line. Counting takes 4 bytes for each token and about 40
    for each n-gram, the model 16 for each n-gram (12 for the highest order); with `memory`, what does not fit is
    counted and kept in temporary files, with the same result to the bit. All n-grams are kept, as in KenLM; SRILM drops
    those of three words and more that occur once unless told otherwise (-gt3min 1).

    Attributes:
        metadata: after `fit`, "ngrams": the number of them in each order; for "kneser_ney", "discounts" of each order;
            for "add_k", "k"; and "validation": the likelihood of that text, if there was one.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is out of range.

    References:
        Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, Computer Speech and Language
        13, 1999.

    Example:
        >>> text = ["the king and the queen", "the king met the man", "the queen met the woman"]
        >>> model = NGram(order=2, discount_fallback=(0.5, 1.0, 1.5)).fit([line.split() for line in text])
        >>> model.next_words("the king met", k=1).words
        ['the']
        >>> round(model.score("the queen met the king"), 2), round(model.perplexity([["the", "man"]]), 2)
        (-9.82, 4.48)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._table: BackoffTable | None = None

    def fit(
        self,
        source: Source,
        *,
        validation: Source | None = None,
        encoding: str | None = None,
        progress: bool | None = None,
        callbacks: Callbacks = (),
    ) -> Self:
        """Count a text; another call starts from scratch.

        Args:
            source: files, also compressed, patterns, "-", or lists of words.
            validation: another text, whose perplexity goes into `metadata`; k=None is tuned on it.
            encoding: of the files, such as "latin-1"; None recognizes it.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
            callbacks: as in every `fit`; without epochs, none is called.

        Returns:
            The model itself.

        Raises:
            OSError: a file of `source` cannot be read, or there is no space for temporary files.
            ArgumentError, ArgumentTypeError: `memory` is too little, or `source` is not a text, has no words, contains
                <s>, which stands for the beginning of a line, or is too small to estimate the discounts of Kneser-Ney.
        """
        calls = CallbackRun(callbacks, self)
        if self.smoothing == ARPA:
            hint = "make a new NGram: this one was read from an ARPA file"
            raise ArgumentError("smoothing", f"one of {', '.join(SMOOTHINGS)}", self.smoothing, hint)
        if self.smoothing == "add_k" and self.k is None and validation is None:
            raise ArgumentError("validation", "a text to find the best k for, as k is None", None)
        with calls.ending(), self._fitting():
            reading: dict[str, Any] = {"encoding": encoding, "threads": self.threads, "progress": progress}
            with read_tokens(source, min_count=self.min_count, max_vocab=self.max_vocab, **reading) as tokens:
                vocabulary = tokens.vocabulary
                if START in vocabulary:
                    raise ArgumentError("source", f"lines without {START}, which is put before each line")
                counted, num_tokens = self._counted(tokens, progress), len(tokens)
                self._learned_from(fingerprint_of(tokens))
            with counted as counts:
                metadata: dict[str, Any] = {"ngrams": [len(own) for own in counts.counts], "tokens": num_tokens}
                if validation is None:
                    table = self._smoothed(counts, self.k, metadata, progress)
                else:
                    with read_tokens(validation, vocabulary=vocabulary, **reading) as tokens:
                        k = self.k or self._best_k(counts, tokens, progress)
                        table = self._smoothed(counts, k, metadata, progress)
                        metadata["validation"] = _likelihood(table, tokens).as_dict()
            self._vocabulary, self._table, self.metadata = vocabulary, table, metadata
        return self

    def to_arpa(self, path: str | os.PathLike[str], *, progress: bool | None = None) -> None:
        """Write the model as ARPA text, which KenLM, SRILM and other toolkits read.

        Logarithms are to base 10; -99 stands for probability 0, also that of <s>, which nothing predicts.

        Args:
            path: the file.
            progress: whether to show a bar.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: a word has white space in it, or cannot be UTF-8.
            OSError: the file cannot be written.
        """
        write_arpa(path, self._fitted(), self.vocabulary.index_to_key, progress)

    @classmethod
    def from_arpa(cls, path: str | os.PathLike[str], *, progress: bool | None = None) -> Self:
        """Read a model from ARPA text, plain or .gz, as KenLM, SRILM and `to_arpa` write it.

        The words keep the order of the file. As it has no counts, each word of the vocabulary has a count of 1. In a
        file without <unk>, a closed vocabulary, unknown words are impossible.

        Args:
            path: the file.
            progress: whether to show a bar.

        Returns:
            A model of that order, whose `smoothing` is "arpa". It cannot be fitted again.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not an ARPA file, or is damaged; the message gives the line.
        """
        table, words = read_arpa(path, progress)
        model = cls(table.order, ARPA)
        model._vocabulary, model._table = Vocabulary(words, np.ones(len(words), np.int64)), table
        model.metadata = {"ngrams": table.sizes}
        return model

    def state(self) -> dict[str, NDArray[Any]]:
        """The back-off table."""
        return self._fitted().state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` returned."""
        self._table = BackoffTable.from_state(len(self.vocabulary), self.order, state)

    def _counted(self, tokens: Tokens, progress: bool | None) -> AbstractContextManager[Counts]:
        if self.memory is not None and self.order > 1:
            memory = check_size("memory", self.memory) - _RESIDENT - _WORD * tokens.num_types
            if memory < _LEAST:
                needed = format_bytes(_LEAST + _RESIDENT + _WORD * tokens.num_types)
                raise ArgumentError("memory", f"at least {needed} for a text with so many different words", self.memory)
            if not fits_in_memory(len(tokens), self.order, memory):
                return DiskCounts(
                    tokens, self.order, memory, adjusted=self.smoothing == "kneser_ney", progress=progress
                )
        return nullcontext(count_ngrams(tokens, self.order, progress))

    def _smoothed(
        self, counts: Counts, k: float | None, metadata: dict[str, Any], progress: bool | None
    ) -> BackoffTable:
        with Progress(sum(metadata["ngrams"]), "n-grams", "smoothing", progress) as bar:
            if self.smoothing == "maximum_likelihood":
                return additive(counts, 0.0, bar)
            if self.smoothing == "add_k":
                assert k is not None
                metadata["k"] = k
                return additive(counts, k, bar)
            orders = range(1, self.order + 1)
            found = [estimate_discounts(counts.adjusted(n), n, self.discount_fallback) for n in orders]
            metadata["discounts"] = [list(triple) for triple in found]
            return kneser_ney(counts, found, bar)

    def _best_k(self, counts: Counts, tokens: Tokens, progress: bool | None) -> float | None:
        if self.smoothing != "add_k":
            return None
        with Progress(STEPS, "values", "finding k", progress) as bar:
            return best_k(lambda k: _likelihood(additive(counts, k), tokens).perplexity, bar)

    def _log_prob_blocks(self, tokens: Tokens) -> Iterator[tuple[Ids64, Floats]]:
        return self._fitted().score_text(tokens)

    def _sentence_log_probs(self, ids: Sequence[int]) -> Floats:
        return self._fitted().score(np.array([len(self.vocabulary), *ids]))[1:]

    def _next_log_probs(self, ids: Sequence[int]) -> Floats:
        return self._fitted().score_next([len(self.vocabulary), *ids])

    def _fitted(self) -> BackoffTable:
        _ = self.vocabulary  # raises if there is none
        assert self._table is not None
        return self._table


def _likelihood(table: BackoffTable, tokens: Tokens) -> Likelihood:
    parts = (likelihood_of(values, ids, tokens.end, tokens.unknown) for ids, values in table.score_text(tokens))
    return sum(parts, Likelihood())
