"""Exact search by cosine among word vectors, and the error for an unknown word, which suggests similar known ones."""

import difflib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.vectors.mapped_tensor import ScaledRows

__all__ = ["EPSILON", "UnknownWord", "cosine_products", "cosines", "highest", "norms", "unit"]

Floats: TypeAlias = NDArray[np.float32]

EPSILON: Final = 0.001
"""Keeps 3CosMul from dividing by zero, as in the paper; gensim adds a millionth."""

_IN_CACHE = 1 << 16  # numbers that are converted at a time, where each is looked at twice
_COMPARED = 20_000  # words compared letter by letter; a million would take seconds
_SUGGESTIONS = 5


class UnknownWord(KeyError):  # noqa: N818 - named for what happened, like its parent
    """A word was asked for that has no vector.

    Args:
        word: the word that was asked for.
        known: the words that have a vector, frequent ones first if possible.

    Example:
        >>> print(UnknownWord("pyhton", ["snake", "python", "Python"]))
        'pyhton' is not among the 3 known words; the closest are python, Python
    """

    def __init__(self, word: str, known: Sequence[str]) -> None:
        super().__init__(word)
        self.word = word
        self.num_known = len(known)
        self._known = known

    @cached_property
    def suggestions(self) -> list[str]:
        """Known words that look like the word, the closest first, at most five.

        Words that differ only in case come first, then the closest of the first 20,000 words of similar length. They
        are computed on demand, so that a loop which catches the error for many words stays fast.
        """
        word = self.word
        folded = word.casefold()
        same = [w for w in self._known if len(w) == len(word) and w.casefold() == folded][:_SUGGESTIONS]
        # Words that share less than half of their letters do not help, so lengths cannot differ much.
        similar = (w for w in self._known if len(word) / 2 <= len(w) <= 2 * len(word))
        pool = [w for w, _ in zip(similar, range(_COMPARED), strict=False)]
        return list(dict.fromkeys([*same, *difflib.get_close_matches(word, pool, n=_SUGGESTIONS)]))[:_SUGGESTIONS]

    def __str__(self) -> str:
        sentence = f"{self.word!r} is not among the {self.num_known:,} known words"
        return f"{sentence}; the closest are {', '.join(self.suggestions)}" if self.suggestions else sentence

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled, it carries its suggestions instead of the whole vocabulary.
        return _restore, (self.word, self.num_known, self.suggestions)


def _restore(word: str, num_known: int, suggestions: list[str]) -> UnknownWord:
    error = UnknownWord(word, ())
    error.num_known = num_known
    error.suggestions = suggestions
    return error


def norms(
    vectors: NDArray[Any] | ScaledRows,  # (V, D) of floats
) -> NDArray[np.float64]:
    """Return the Euclidean length of each row, (V,) float64, in which no square of a float32 overflows or vanishes.

    Example:
        >>> norms(np.array([[3, 4], [0, 0], [0, 2.0**100]], dtype=np.float32)).tolist()
        [5.0, 0.0, 1.2676506002282294e+30]
    """
    lengths = np.empty(len(vectors))
    rows = max(1, _IN_CACHE // max(1, vectors.shape[1]))
    for start in range(0, len(vectors), rows):
        part = np.asarray(vectors[start : start + rows], np.float64)
        lengths[start : start + rows] = np.einsum("vd,vd->v", part, part)
    return np.sqrt(lengths, out=lengths)


def unit(
    vector: NDArray[Any],  # (D,) of floats
) -> NDArray[np.float64]:
    """Return the vector of length 1 in the same direction, float64; a zero vector stays zero.

    Example:
        >>> unit(np.array([3.0, 4.0]))
        array([0.6, 0.8])
    """
    wide = vector.astype(np.float64)
    largest = np.abs(wide).max(initial=0)  # divided out first, so that squares neither overflow nor vanish
    if largest == 0:
        return wide
    wide /= largest
    return wide / np.linalg.norm(wide)


def cosines(
    vectors: NDArray[Any] | ScaledRows,  # (V, D) of floats
    lengths: NDArray[np.float64],  # (V,) as `norms` gives them
    direction: NDArray[np.float64],  # (D,) of length 1
) -> Floats:
    """Return the cosine between a direction and each row, (V,) float32; 0 where a row is zero.

    NaN where a row is not finite, whatever its length is said to be; no other number is.

    Example:
        >>> table = np.array([[2, 0], [0, 0], [-1, -1]], dtype=np.float32)
        >>> cosines(table, norms(table), np.array([1.0, 0.0])).round(3)
        array([ 1.   ,  0.   , -0.707], dtype=float32)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        dots = _products(vectors, direction.astype(np.float32))
        # Single precision is fast and accurate enough, except for rows near the ends of its range, which are repeated.
        extreme = (lengths > 1e37) | (lengths < 1e-25)
        if extreme.any():
            dots = dots.astype(np.float64)
            dots[extreme] = vectors[extreme].astype(np.float64) @ direction
    values = np.divide(dots, lengths, out=np.zeros(len(vectors)), where=lengths > 0)
    np.clip(values, -1, 1, out=values)
    finite = np.isfinite(dots)
    if not finite.all():
        values[~finite] = np.nan
    return values.astype(np.float32)


def _products(vectors: NDArray[Any] | ScaledRows, direction: Floats) -> Floats:
    if isinstance(vectors, np.ndarray) and vectors.dtype == np.float32:
        return vectors @ direction
    dots = np.empty(len(vectors), np.float32)
    rows = max(1, _IN_CACHE // max(1, vectors.shape[1]))  # at a time, so that no second table is allocated
    for start in range(0, len(vectors), rows):
        dots[start : start + rows] = np.asarray(vectors[start : start + rows], np.float32) @ direction
    return dots


def cosine_products(
    vectors: NDArray[Any] | ScaledRows,  # (V, D) of floats
    lengths: NDArray[np.float64],  # (V,) as `norms` gives them
    positive: Sequence[NDArray[np.float64]],  # (D,) each, of length 1
    negative: Sequence[NDArray[np.float64]],  # (D,) each, of length 1
) -> Floats:
    """Return a score of how near each row is to all positive and how far from all negative directions, (V,) float32.

        score(x) = prod_p s(x, p) / (prod_n s(x, n) + 0.001),   s = (1 + cos) / 2

    References:
        Levy and Goldberg, Linguistic regularities in sparse and explicit word representations, CoNLL 2014, Eq. 4.

    Example:
        >>> table = np.array([[1, 0], [0, 1]], dtype=np.float32)
        >>> cosine_products(table, norms(table), [np.array([1.0, 0.0])], []).round(3)
        array([0.999, 0.5  ], dtype=float32)
    """
    above, below = np.ones(len(vectors)), np.ones(len(vectors))
    for direction in positive:
        above *= (1 + cosines(vectors, lengths, direction).astype(np.float64)) / 2
    for direction in negative:
        below *= (1 + cosines(vectors, lengths, direction).astype(np.float64)) / 2
    return (above / (below + EPSILON)).astype(np.float32)


def highest(
    values: Floats,  # (V,)
    topn: int,
    excluded: Sequence[int] = (),
) -> list[int]:
    """Return the indices of the largest values, largest first and equal ones in order of their index.

    Args:
        values: (V,) numbers, none of them NaN.
        topn: maximum number of indices to return.
        excluded: indices not to return.

    Example:
        >>> highest(np.array([0.1, 0.9, 0.5, 0.9], dtype=np.float32), 2, excluded=[1])
        [3, 2]
    """
    values = values.copy()
    values[list(excluded)] = -np.inf
    topn = min(topn, len(values) - len(set(excluded)))
    if topn <= 0:
        return []
    # All values as large as the last one to return, so that a tie is not settled by the partition.
    last = np.partition(values, len(values) - topn)[len(values) - topn]
    candidates = (values >= last).nonzero()[0]
    return candidates[np.argsort(-values[candidates], kind="stable")][:topn].tolist()
