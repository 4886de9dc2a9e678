"""NGram: the statistical language model, from a corpus to perplexity."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import check_float, check_int, shown
from logq._progress import Progress
from logq.evaluation.likelihood import Likelihood, likelihood_of
from logq.language_models.language_model import LanguageModel, Source
from logq.language_models.ngram.arpa import read_arpa, write_arpa
from logq.language_models.ngram.backoff import BackoffTable, Floats
from logq.language_models.ngram.ngram_counts import Ids64, NGramCounts, count_ngrams
from logq.language_models.ngram.smoothing import (
    STEPS,
    Discounts,
    additive,
    adjusted_counts,
    best_k,
    estimate_discounts,
    kneser_ney,
)
from logq.text import Vocabulary, read_tokens
from logq.text.tokens import Tokens

__all__ = ["NGram"]

START = "<s>"

_SMOOTHINGS = ("kneser_ney", "add_k", "maximum_likelihood")


class NGram(LanguageModel):
    """The n-gram approximation: the next word depends on the last N - 1 only, counted in a text.

        P(w_i | line begins, w_1 ... w_{i-1}) ~ P(w_i | w_{i-N+1} ... w_{i-1})

    With "kneser_ney", the best of these, P is interpolated modified Kneser-Ney, equal to what `lmplz` of KenLM makes of
    the same text; with "add_k", (c(h w) + k) / (c(h) + k V); with "maximum_likelihood", c(h w) / c(h), under which most
    texts are impossible. Before the first word of a line stands <s>. Counting takes 4 bytes a token and about 40 an
    n-gram, the model 16 an n-gram (12 of the highest order). All n-grams are kept, as by KenLM; SRILM drops those of
    three words and more that came once unless told otherwise (-gt3min 1).

    Args:
        order: N, 1 for a unigram model.
        smoothing: "kneser_ney", "add_k" or "maximum_likelihood".
        k: for "add_k", what every count is raised by; None finds the best for the validation text that `fit` is given.
        discount_fallback: for "kneser_ney", what is taken off a count of 1, of 2 and of 3 or more in the orders where
            the text cannot tell, as (0.5, 1.0, 1.5), which `lmplz --discount_fallback` takes; None raises an error.
        min_count: words that are rarer become <unk>.
        max_vocab: the most tokens to keep, </s> and <unk> among them; None keeps all.
        threads: how many split text into words.

    Attributes:
        facts: after `fit`, "ngrams": how many of each order; for "kneser_ney", "discounts": of each order;
            for "add_k", "k"; and "validation": the likelihood of that text, if there was one.

    Raises:
        TypeError, ValueError: an argument is out of range.

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

    def __init__(
        self,
        order: int = 5,
        smoothing: str = "kneser_ney",
        *,
        k: float | None = 1.0,
        discount_fallback: Sequence[float] | None = None,
        min_count: int = 1,
        max_vocab: int | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__()
        self.order = check_int("order", order)
        if smoothing not in (*_SMOOTHINGS, "arpa"):  # what from_arpa returns
            raise ValueError(f"smoothing: expected one of {', '.join(_SMOOTHINGS)}, got {shown(smoothing)}")
        self.smoothing = smoothing
        self.k = None if k is None else check_float("k", k, above=0)
        self.discount_fallback = None if discount_fallback is None else _discounts(discount_fallback)
        self.min_count = check_int("min_count", min_count)
        self.max_vocab = None if max_vocab is None else check_int("max_vocab", max_vocab, 3)
        self.threads = check_int("threads", threads)
        self._table: BackoffTable | None = None

    def fit(self, source: Source, *, validation: Source | None = None, progress: bool | None = None) -> Self:
        """Count a text; called again, start anew.

        Args:
            source: files, plain, .gz or .zst, patterns, "-", or lists of words.
            validation: another text, whose perplexity goes into `facts`; k=None is tuned on it.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.

        Returns:
            The model itself.

        Raises:
            OSError, TypeError, ValueError: `source` cannot be read or has no words, or holds <s>, which stands for the
                beginning of a line.
            ValueError: the discounts of Kneser-Ney cannot be estimated from so small a text; the message says what to
                do.
        """
        if self.smoothing == "arpa":
            raise ValueError("smoothing: this model was read from an ARPA file; make a new NGram to fit")
        if self.smoothing == "add_k" and self.k is None and validation is None:
            raise ValueError("validation: expected a text to find the best k on, as k is None, got none")
        with read_tokens(
            source, min_count=self.min_count, max_vocab=self.max_vocab, threads=self.threads, progress=progress
        ) as tokens:
            vocabulary = tokens.vocabulary
            if START in vocabulary:
                raise ValueError(f"source: expected lines without {START}, which is put before each line, got one")
            counts = count_ngrams(tokens, self.order, progress)
            facts: dict[str, Any] = {"ngrams": [len(own) for own in counts.counts], "tokens": len(tokens)}
        if validation is None:
            table = self._smoothed(counts, self.k, facts, progress)
        else:
            with read_tokens(validation, vocabulary=vocabulary, threads=self.threads, progress=progress) as tokens:
                k = self.k or self._best_k(counts, tokens, progress)
                table = self._smoothed(counts, k, facts, progress)
                facts["validation"] = _likelihood(table, tokens).as_dict()
        self._vocabulary, self._table, self.facts = vocabulary, table, facts
        return self

    def to_arpa(self, path: str | os.PathLike[str], *, progress: bool | None = None) -> None:
        """Write the model as ARPA text, which KenLM, SRILM and other toolkits read.

        Logarithms are to base 10; -99 stands for the probability 0, which <s> has too, as nothing predicts it.

        Args:
            path: the file.
            progress: whether to show a bar.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: a word has white space in it, or cannot be UTF-8.
            OSError: the file cannot be written.
        """
        write_arpa(path, self._fitted(), self.vocabulary.index_to_key, progress)

    @classmethod
    def from_arpa(cls, path: str | os.PathLike[str], *, progress: bool | None = None) -> Self:
        """Read a model from ARPA text, plain or .gz, as KenLM, SRILM and `to_arpa` write it.

        The words are numbered as they stand there. The file has no counts, so the vocabulary says 1 of each. A file
        without <unk> is of a closed vocabulary: unknown words are impossible then.

        Args:
            path: the file.
            progress: whether to show a bar.

        Returns:
            A model of that order, whose `smoothing` is "arpa". It cannot be fitted again.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no ARPA file, or is damaged; the message gives the line.
        """
        table, words = read_arpa(path, progress)
        model = cls(table.order)
        model.smoothing = "arpa"
        model._vocabulary, model._table = Vocabulary(words, np.ones(len(words), np.int64)), table
        model.facts = {"ngrams": table.sizes}
        return model

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("order", "smoothing", "k", "discount_fallback", "min_count", "max_vocab", "threads")
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, NDArray[Any]]:
        """The table."""
        return self._fitted().state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._table = BackoffTable.from_state(len(self.vocabulary), self.order, state)

    def _smoothed(
        self, counts: NGramCounts, k: float | None, facts: dict[str, Any], progress: bool | None
    ) -> BackoffTable:
        with Progress(sum(facts["ngrams"]), "n-grams", "smoothing", progress) as bar:
            if self.smoothing == "maximum_likelihood":
                return additive(counts, 0.0, bar)
            if self.smoothing == "add_k":
                assert k is not None
                facts["k"] = k
                return additive(counts, k, bar)
            orders = range(1, self.order + 1)
            found = [estimate_discounts(adjusted_counts(counts, n), n, self.discount_fallback) for n in orders]
            facts["discounts"] = [list(triple) for triple in found]
            return kneser_ney(counts, found, bar)

    def _best_k(self, counts: NGramCounts, tokens: Tokens, progress: bool | None) -> float | None:
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


def _discounts(values: Sequence[float]) -> Discounts:
    if isinstance(values, str) or len(values) != 3:
        raise ValueError(f"discount_fallback: expected three numbers, such as (0.5, 1.0, 1.5), got {shown(values)}")
    first, second, third = (
        check_float("discount_fallback", value, at_least=0, at_most=most) for most, value in enumerate(values, 1)
    )
    return first, second, third
