"""Searches among word vectors that share one pass over the table: each alone would read all of it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.vectors.nearest_words import norms

if TYPE_CHECKING:
    from logq.vectors import KeyedVectors

__all__ = ["SharedSearch"]

_NUMBERS = 1 << 20  # of vectors and of cosines at a time
_LONGEST, _SHORTEST = 1e37, 1e-25  # vectors whose products float32 may not hold
_MORE = 16  # candidates beyond those asked for: their cosines are computed once more, and may change places


class _Ids(NamedTuple):
    ids: NDArray[np.int64]


class _Noted:
    """An index that finds nothing, and notes what is asked; then one that finds what it was told."""

    metric = "cosine"

    def __init__(self, size: int) -> None:
        self._size = size
        self.query: NDArray[np.float32] | None = None
        self.wanted = 0
        self.found: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return self._size

    def search(self, queries: Any, k: int, *, allow: Any = None) -> _Ids:
        """The rows it was told."""
        self.query, self.wanted = queries[0], k
        return _Ids(self.found[None])


class SharedSearch:
    """Asks `most_similar` of vectors several questions at once.

    The questions are asked twice: first to see which directions they are about, whose candidates one product with the
    table then finds, and again with an index that knows them. So words, sums and errors are those of `most_similar`,
    and cosines are as exact.

    Args:
        vectors: the words.

    Attributes:
        is_sure: False where a vector is so long or so short that its product may be none of float32: those are to be
            asked one by one.

    Example:
        >>> from logq import KeyedVectors
        >>> kv = KeyedVectors(["tea", "coffee", "rail"], [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])
        >>> asking = [lambda index, word=word: kv.most_similar(word, topn=1, index=index) for word in ("tea", "rail")]
        >>> [answer[0][0] for answer in SharedSearch(kv).ask(asking)]
        ['coffee', 'tea']
    """

    def __init__(self, vectors: "KeyedVectors") -> None:
        self._table = vectors.vectors
        lengths = norms(vectors.vectors)
        self.is_sure = not ((lengths > _LONGEST) | ((lengths > 0) & (lengths < _SHORTEST))).any()
        self._lengths = np.where(lengths > 0, lengths, 1.0)

    def ask(self, asking: Sequence[Callable[[Any], Any]], first: int | None = None) -> list[Any]:
        """The answers.

        Args:
            asking: each calls `most_similar` with the index that it is given.
            first: how many words, from the first, may be answers; None for all.
        """
        noted = [_Noted(len(self._table)) for _ in asking]
        for one, index in zip(asking, noted, strict=True):
            one(index)
        searched = [index for index in noted if index.query is not None]
        if searched:
            queries = np.stack([index.query for index in searched if index.query is not None])
            found = self._candidates(queries, max(index.wanted for index in searched) + _MORE, first)
            for index, rows in zip(searched, found, strict=True):
                index.found = rows
        return [one(index) for one, index in zip(asking, noted, strict=True)]

    def _candidates(self, queries: NDArray[np.float32], wanted: int, first: int | None) -> NDArray[np.int64]:
        """(n, wanted) rows with the highest cosines, in any order; fewer where there are not so many."""
        size = len(self._table) if first is None else min(first, len(self._table))
        values = np.zeros((len(queries), 0), dtype=np.float32)
        rows = np.zeros((len(queries), 0), dtype=np.int64)
        step = max(4 * wanted, _NUMBERS // max(1, self._table.shape[1], len(queries)))
        for begin in range(0, size, step):
            part = np.asarray(self._table[begin : min(size, begin + step)], dtype=np.float32)
            dots = queries @ part.T
            dots /= self._lengths[begin : begin + len(part)]
            best, places = _highest(dots, wanted)
            values, kept = _highest(np.hstack([values, best]), wanted)
            rows = np.take_along_axis(np.hstack([rows, begin + places]), kept, axis=1)
        return rows


def _highest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `count` highest values of each row, in any order, and where they stand."""
    if values.shape[1] <= count:
        return values, np.broadcast_to(np.arange(values.shape[1]), values.shape)
    places = np.argpartition(values, -count, axis=1)[:, -count:]
    return np.take_along_axis(values, places, axis=1), places
