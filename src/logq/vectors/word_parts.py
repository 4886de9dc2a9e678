"""WordParts: the rows of the input table that words consist of, where they are trained with their n-grams."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.text import CharacterNgrams
from logq.vectors.subwords import mean_rows, with_own_rows

__all__ = ["WordParts"]


class WordParts(NamedTuple):
    """Of V words the rows whose mean is their vector: their own, then those of their n-grams.

    Only buckets that some word uses have a row, so the table has as many rows as the text needs, at most V + B.

    Args:
        offsets: (V + 1,) int64, of each word in `rows`.
        rows: (n,) int32; row w is that of word w, row V + i that of buckets[i].
        buckets: (R,) int32, ascending.

    Example:
        >>> parts = WordParts.of(["tea", "teas"], CharacterNgrams(3, 3, 1000))
        >>> parts.offsets.tolist(), parts.rows.tolist(), parts.buckets.tolist()
        ([0, 4, 9], [0, 2, 4, 6, 1, 2, 4, 5, 3], [8, 177, 337, 464, 895])
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    buckets: NDArray[np.int32]

    @classmethod
    def of(cls, words: Sequence[str], ngrams: CharacterNgrams) -> "WordParts":
        """The parts of words in this order."""
        offsets, found = ngrams.of(words)
        used = np.zeros(ngrams.buckets, np.bool_)
        used[found] = True
        buckets = np.flatnonzero(used).astype(np.int32)
        numbers = np.zeros(ngrams.buckets, np.int32)
        numbers[buckets] = np.arange(len(words), len(words) + len(buckets), dtype=np.int32)
        return cls(*with_own_rows(offsets, numbers[found], np.arange(len(words), dtype=np.int64)), buckets)

    def chosen(self, words: NDArray[np.int64]) -> "WordParts":
        """The parts of some words, at least one, in this order.

        Example:
            >>> parts = WordParts.of(["tea", "teas"], CharacterNgrams(3, 3, 1000))
            >>> parts.chosen(np.array([1])).rows.tolist()
            [1, 2, 4, 5, 3]
        """
        counts = np.diff(self.offsets)[words]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[words] - offsets[:-1], counts)
        return WordParts(offsets, self.rows[places], self.buckets)

    def means(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vectors of all words, (V, D), by the rows of a table (V + R, D).

        Example:
            >>> parts = WordParts.of(["tea", "teas"], CharacterNgrams(3, 3, 1000))
            >>> parts.means(np.arange(7, dtype=np.float32)[:, None]).tolist()
            [[3.0], [3.0]]
        """
        return mean_rows(table, self.offsets, self.rows)

    @property
    def num_words(self) -> int:
        """V."""
        return len(self.offsets) - 1

    @property
    def num_rows(self) -> int:
        """V + R."""
        return self.num_words + len(self.buckets)
