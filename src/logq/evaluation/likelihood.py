"""Likelihood: the probability that a model gives a text, and its perplexity."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, Verbatim
from logq.tables.notebook_html import result_html

__all__ = ["Likelihood", "likelihood_of"]


class Likelihood(NamedTuple):
    """The probability that a model gives the tokens of a text; those of parts of a text add up to that of the whole.

        cross-entropy = -log P(text) / tokens,  perplexity = exp(cross-entropy)

    Every token counts, including the </s> at the end of each line and <unk>, as usual on the Penn Treebank. A word that
    is not in the vocabulary counts as <unk>, which is more probable than the word itself: perplexities are comparable
    only over the same vocabulary. `perplexity_without_unknown` leaves these tokens out.

    Attributes:
        log_prob: the sum of log P over all tokens, natural logarithm; minus infinity where one is impossible.
        num_tokens: number of tokens, including ends of lines.
        num_sentences: number of ends of lines.
        num_unknown: number of tokens that are <unk>.
        known_log_prob: the sum over all tokens but these.
        num_impossible: number of tokens with P = 0, as without smoothing.

    References:
        Jelinek, Mercer, Bahl and Baker, Perplexity: a measure of the difficulty of speech recognition tasks, JASA 1977.

    Example:
        >>> Likelihood(log_prob=math.log(1 / 8), num_tokens=3, num_sentences=1).perplexity
        2.0
    """

    log_prob: float = 0.0
    num_tokens: int = 0
    num_sentences: int = 0
    num_unknown: int = 0
    known_log_prob: float = 0.0
    num_impossible: int = 0

    def to_columns(self) -> dict[str, list[float]]:
        """Return the columns that `logq.to_frame` makes a table of, of a single row."""
        names = ("perplexity", "cross_entropy", "bits", *self._fields)
        return {name: [getattr(self, name)] for name in names}

    _repr_html_ = result_html

    @property
    def cross_entropy(self) -> float:
        """Nats per token; NaN without tokens."""
        return -self.log_prob / self.num_tokens if self.num_tokens else math.nan

    @property
    def bits(self) -> float:
        """Bits per token."""
        return self.cross_entropy / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp(cross-entropy); infinite where a token is impossible."""
        return _exp(self.cross_entropy)

    @property
    def perplexity_without_unknown(self) -> float:
        """The perplexity of the tokens that are not <unk>, which may still occur in the context of others."""
        known = self.num_tokens - self.num_unknown
        return _exp(-self.known_log_prob / known) if known else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the derived numbers for JSON; a number that is not finite is None.

        Example:
            >>> Likelihood(-math.inf, 3, 1, 0, -math.inf, 2).as_dict()["perplexity"] is None
            True
        """
        derived = {name: getattr(self, name) for name in _DERIVED}
        return {name: value if math.isfinite(value) else None for name, value in {**self._asdict(), **derived}.items()}

    def __add__(self, other: "Likelihood") -> "Likelihood":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the likelihood of two texts together; for several, sum(parts, Likelihood())."""
        return Likelihood(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))  # pyright: ignore

    def __str__(self) -> str:
        """Return one line of text."""
        impossible = f", {self.num_impossible:,} of them impossible (P = 0)" if self.num_impossible else ""
        return (
            f"perplexity {self.perplexity:.2f} over {self.num_tokens:,} tokens{impossible} ({self.num_sentences:,} "
            f"lines, {self.num_unknown:,} <unk>; {self.perplexity_without_unknown:.2f} without <unk>)"
        )


_DERIVED = ("cross_entropy", "bits", "perplexity", "perplexity_without_unknown")


def likelihood_of(
    log_probs: ArrayLike,  # (n,) log P of each token, natural logarithm
    ids: ArrayLike,  # (n,) the tokens
    end: int,
    unknown: int,
) -> Likelihood:
    """Return the likelihood of some tokens of a text; those of all parts are added.

    Args:
        log_probs: (n,) log P of each token given those before it.
        ids: (n,) the tokens.
        end: the id of </s>.
        unknown: the id of <unk>.

    Returns:
        The sums, in float64.

    Raises:
        ArgumentError: the shapes differ.

    Example:
        >>> likelihood_of(np.log([0.5, 0.1, 0.5]), [2, 1, 0], end=0, unknown=1).perplexity_without_unknown
        2.0
    """
    values: NDArray[np.float64] = np.asarray(log_probs, dtype=np.float64)
    tokens = np.asarray(ids)
    if values.ndim != 1 or values.shape != tokens.shape:
        raise ArgumentError("log_probs", "shape (n,), as ids have", Verbatim(f"{values.shape} and {tokens.shape}"))
    known = tokens != unknown
    return Likelihood(
        log_prob=float(values.sum()),
        num_tokens=len(tokens),
        num_sentences=int((tokens == end).sum()),
        num_unknown=len(tokens) - int(known.sum()),
        known_log_prob=float(values[known].sum()),
        num_impossible=int(np.isneginf(values).sum()),
    )


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
