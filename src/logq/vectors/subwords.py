"""Subwords: the vectors of character n-grams, from which a word gets a vector that was not in the text."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.text.character_ngrams import CharacterNgrams
from logq.vectors.vector_arguments import Vectors, read_only

__all__ = ["Subwords", "mean_rows", "with_own_rows"]

_NUMBERS = 1 << 22  # that are gathered at a time


class Subwords:
    """Vectors of the buckets of character n-grams.

    The vector of a word that was not in the text is the mean over its n-grams, as in fastText. An n-gram without a
    vector counts as zeros, so that where few of them were in the text the direction is that of those alone.

    Args:
        ngrams: which n-grams there are, and in how many buckets.
        vectors: (R, D), float32 or float16; kept as it is, it may be mapped from a file.
        buckets: (R,) int32, the bucket of each row, ascending; None where each of the B buckets has a row.

    Raises:
        ArgumentError: the numbers of rows and buckets do not fit.

    Example:
        >>> kinds = CharacterNgrams(3, 3, buckets=2)
        >>> subwords = Subwords(kinds, np.array([[1.0], [3.0]], np.float32))
        >>> kinds.of(["tea"])[1].tolist(), subwords.vector("tea").tolist(), subwords.vector("")
        ([0, 1, 1], [2.3333332538604736], None)
    """

    def __init__(self, ngrams: CharacterNgrams, vectors: Vectors, buckets: NDArray[np.int32] | None = None) -> None:
        rows = ngrams.buckets if buckets is None else len(buckets)
        if vectors.ndim != 2 or len(vectors) != rows:
            raise ArgumentError("vectors", f"{rows:,} rows, one for each bucket", Verbatim(f"shape {vectors.shape}"))
        if buckets is not None and (np.diff(buckets, prepend=-1, append=ngrams.buckets) <= 0).any():
            raise ArgumentError("buckets", f"ascending numbers in [0, {ngrams.buckets:,})", Verbatim("others"))
        self.ngrams = ngrams
        self.vectors = vectors
        self.buckets = buckets

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        kinds = self.ngrams
        return f"Subwords({len(self):,} vectors of {kinds.minn} to {kinds.maxn} characters, {kinds.buckets:,} buckets)"

    def vector(self, word: str) -> NDArray[np.float32] | None:
        """Return the mean of the n-grams of a word, (D,), whether or not it was in the text; None if none has a vector.

        Raises:
            ValueError: a vector in it is not finite.
        """
        _, found = self.ngrams.of([word])
        rows = self.rows_of(found)
        if not (rows >= 0).any():
            return None
        total = self.vectors[rows[rows >= 0]].astype(np.float32).sum(axis=0) / np.float32(len(found))
        if not np.isfinite(total).all():
            raise ValueError(f"subwords: the n-grams of {word!r} have numbers that are not finite")
        return total if total.any() else None

    def vectors_of(self, words: Iterable[str]) -> list[NDArray[np.float32]]:
        """Return the vectors of those of some words that have one, in their order.

        Raises:
            ValueError: a vector in one is not finite.

        Example:
            >>> subwords = Subwords(CharacterNgrams(3, 3, buckets=2), np.array([[1.0], [3.0]], np.float32))
            >>> [vector.tolist() for vector in subwords.vectors_of(["tea", ""])]
            [[2.3333332538604736]]
        """
        return [vector for word in words if (vector := self.vector(word)) is not None]

    def rows_of(self, buckets: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the row of each bucket, -1 where it has none.

        Example:
            >>> kinds = CharacterNgrams(3, 3, buckets=9)
            >>> Subwords(kinds, np.ones((2, 1), np.float32), np.array([2, 5], np.int32)).rows_of(np.array([5, 4]))
            array([ 1, -1])
        """
        if self.buckets is None:
            return buckets.astype(np.int64)
        if len(self.buckets) == 0:
            return np.full(len(buckets), -1)
        rows = np.minimum(np.searchsorted(self.buckets, buckets), len(self.buckets) - 1)
        return np.where(self.buckets[rows] == buckets, rows, -1)

    def pruned(self, words: Sequence[str], most: int | None = None) -> "Subwords":
        """Return a copy with the vectors of those n-grams only that some words have.

        Args:
            words: usually all of a vocabulary.
            most: number of vectors at most; those of n-grams that most of the words have stay.
        """
        _, found = self.ngrams.of(words)
        often = np.bincount(found, minlength=self.ngrams.buckets)
        kept = np.flatnonzero(often)
        if most is not None and len(kept) > check_int("most", most):
            kept = np.sort(kept[np.argsort(-often[kept], kind="stable")[:most]])
        rows = self.rows_of(kept.astype(np.int32))
        return Subwords(self.ngrams, read_only(self.vectors[rows[rows >= 0]]), kept[rows >= 0].astype(np.int32))


def mean_rows(
    table: NDArray[np.floating],  # (R, D)
    offsets: NDArray[np.int64],  # (V + 1,)
    rows: ArrayLike,  # (n,)
    dtype: "np.dtype[np.floating] | type[np.floating]" = np.float32,
) -> NDArray[np.float32]:
    """Return the means of rows of a table, (V, D): of rows[offsets[v]] to rows[offsets[v + 1]], at least one each.

    A few MB are gathered at a time, so the table may be mapped from a file.

    Example:
        >>> mean_rows(np.array([[1.0], [3.0]]), np.array([0, 1, 3]), np.array([1, 0, 1])).tolist()
        [[3.0], [2.0]]
    """
    rows = np.asarray(rows)
    means = np.empty((len(offsets) - 1, table.shape[1]), dtype)
    most = max(1, _NUMBERS // max(1, table.shape[1]))
    begin = 0
    while begin < len(means):
        end = max(begin + 1, int(np.searchsorted(offsets, offsets[begin] + most, side="right")) - 1)
        gathered = table[rows[offsets[begin] : offsets[end]]].astype(np.float32)
        starts, counts = offsets[begin:end] - offsets[begin], np.diff(offsets[begin : end + 1])
        means[begin:end] = np.add.reduceat(gathered, starts, axis=0) / counts[:, None].astype(np.float32)
        begin = end
    return means


def with_own_rows(
    offsets: NDArray[np.int64],  # (V + 1,)
    rows: NDArray[Any],  # (n,)
    own: NDArray[np.int64],  # (V,)
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Put a row of its own before the rows of each word.

    Example:
        >>> with_own_rows(np.array([0, 2, 2]), np.array([7, 8]), np.array([0, 1]))
        (array([0, 3, 4]), array([0, 7, 8, 1]))
    """
    more = offsets + np.arange(len(offsets))
    merged = np.empty(len(rows) + len(own), rows.dtype)
    merged[more[:-1]] = own
    is_ngram = np.ones(len(merged), np.bool_)
    is_ngram[more[:-1]] = False
    merged[is_ngram] = rows
    return more, merged
