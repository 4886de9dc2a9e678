"""What comes next: the most probable words, and one drawn at random."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_float, check_int

__all__ = ["NextWords", "best_words", "choose_word"]

Floats = NDArray[np.float64]


class NextWords(NamedTuple):
    """The most probable words after a text, best first.

    Attributes:
        words: k words; </s> among them is the end of the line.
        log_prob: (k,) natural logarithms of their probabilities.

    Example:
        >>> best = NextWords(words=["rose", "</s>"], log_prob=np.log([0.5, 0.25]))
        >>> best.words[0]
        'rose'
    """

    words: list[str]
    log_prob: Floats


def best_words(
    log_prob: Floats,  # (V,)
    words: Sequence[str],
    k: int,
) -> NextWords:
    """Return the k most probable of V words; of equals, the first.

    Example:
        >>> best_words(np.log([0.2, 0.5, 0.3]), ["a", "b", "c"], 2).words
        ['b', 'c']
    """
    best = _top(np.asarray(log_prob, dtype=np.float64), check_int("k", k))
    return NextWords([str(words[i]) for i in best.tolist()], np.asarray(log_prob, dtype=np.float64)[best])


def choose_word(
    log_prob: Floats,  # (V,)
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> int:
    """Draw a word from P^(1 / temperature), normalised anew.

    Args:
        log_prob: (V,) natural logarithms; they need not be normalised.
        rng: where randomness comes from.
        temperature: below 1 prefers the probable ones, 0 takes the most probable one, above 1 evens them out.
        top_k: draw from so many of the most probable ones only; None from all.

    Returns:
        The id of the word.

    Raises:
        ValueError: `temperature` or `top_k` is out of range, or a probability is NaN, or all are 0.

    Example:
        >>> choose_word(np.log([0.2, 0.5, 0.3]), np.random.default_rng(0), top_k=1)
        1
    """
    temperature = check_float("temperature", temperature, at_least=0)
    values = np.asarray(log_prob, dtype=np.float64)
    kept = np.arange(len(values)) if top_k is None else _top(values, check_int("top_k", top_k))
    highest = values.max()
    if not np.isfinite(highest):
        raise ValueError(f"log_prob: expected numbers, one of them finite, got {highest} as the highest")
    if temperature == 0:
        return int(values.argmax())
    # Differences first: dividing by a tiny temperature may overflow to -inf, which is right, but never to inf - inf.
    with np.errstate(over="ignore"):
        cumulative = np.exp((values[kept] - highest) / temperature).cumsum()
    return int(kept[np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")])


def _top(values: Floats, k: int) -> NDArray[np.int64]:
    """Return the places of the k highest values, highest first, equals in their order."""
    if k < len(values):
        lowest = np.partition(values, len(values) - k)[len(values) - k]
        above, equal = np.flatnonzero(values > lowest), np.flatnonzero(values == lowest)
        places = np.concatenate([above, equal[: k - len(above)]])
    else:
        places = np.arange(len(values))
    return places[np.argsort(-values[places], kind="stable")]
