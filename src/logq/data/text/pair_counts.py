"""How often pairs of words occur in a text of ids, counted in bounded memory."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.data.text.phrase_pairs import MOST_CONNECTORS, Middles, find_pairs

__all__ = ["CountedPairs", "PairCounter", "count_pairs"]

Ids32 = NDArray[np.int32]
Ids64 = NDArray[np.int64]

_BUFFER = 1 << 22  # keys to collect before they are sorted


class PairCounter:
    """Counts of keys in bounded memory, in sorted arrays: 16 bytes a different key, and as much again for a moment.

    Args:
        most: how many different keys to hold, None for any number. When there are more, those that came once are
            dropped, the next time those that came up to twice since they were last dropped, and so on.

    Attributes:
        keys: (K,) different keys, sorted.
        counts: (K,) how often each came.
        pruned: how many were dropped.

    Example:
        >>> counter = PairCounter()
        >>> counter.add(np.array([5, 3, 5]))
        >>> counter.finish()
        >>> counter.keys, counter.counts
        (array([3, 5]), array([1, 2]))
    """

    def __init__(self, most: int | None = None) -> None:
        self.keys: Ids64 = np.empty(0, np.int64)
        self.counts: Ids64 = np.empty(0, np.int64)
        self.pruned = 0
        self._most = most
        self._floor = 1
        self._buffer: list[Ids64] = []
        self._waiting = 0

    def add(self, keys: Ids64) -> None:
        """Count keys."""
        self._buffer.append(keys)
        self._waiting += len(keys)
        if self._waiting >= _BUFFER:
            self.finish()

    def finish(self) -> None:
        """Bring what was counted into the table."""
        if not self._waiting:
            return
        new = np.concatenate(self._buffer)
        self._buffer, self._waiting = [], 0
        new.sort()
        new, new_counts = _runs(new)
        # Both are sorted: what is known is added, what is not goes in between. Sorting them together takes more memory.
        at = np.searchsorted(self.keys, new)
        known = at < len(self.keys)
        known[known] = self.keys[at[known]] == new[known]
        self.counts[at[known]] += new_counts[known]
        at, new, new_counts = at[~known], new[~known], new_counts[~known]
        self.keys = np.insert(self.keys, at, new)
        self.counts = np.insert(self.counts, at, new_counts)
        while self._most is not None and len(self.keys) > self._most:
            kept = self.counts > self._floor
            self.pruned += len(kept) - int(np.count_nonzero(kept))
            self.keys, self.counts = self.keys[kept], self.counts[kept]
            self._floor += 1


def _runs(keys: Ids64) -> tuple[Ids64, Ids64]:
    """Different keys of a sorted array that is not empty, and how often each is there."""
    new = np.empty(len(keys), np.bool_)
    new[0] = True
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    first = np.flatnonzero(new)
    return keys[first], np.diff(first, append=len(keys))


class CountedPairs(NamedTuple):
    """The words and pairs of a text.

    Attributes:
        word_counts: (V,) how often each word occurs.
        pairs: the keys of the pairs, as `find_pairs` has them, and their counts.
        middles: the rows of connector words that the keys speak of.
    """

    word_counts: Ids64
    pairs: PairCounter
    middles: Middles


def count_pairs(
    parts: Iterable[Ids32], num_words: int, is_connector: NDArray[np.bool_] | None, most: int | None
) -> CountedPairs:
    """Count words and pairs of a text that comes in parts, cut anywhere.

    Args:
        parts: ids in [0, num_words), -1 behind each sentence.
        num_words: V.
        is_connector: (V + 1,), see `find_pairs`.
        most: how many different pairs to hold, see `PairCounter`.

    Example:
        >>> counted = count_pairs([np.array([0, 1, 0], np.int32), np.array([1, -1], np.int32)], 2, None, None)
        >>> counted.word_counts, counted.pairs.keys, counted.pairs.counts
        (array([2, 2]), array([1, 2]), array([2, 1]))
    """
    word_counts = np.zeros(num_words, np.int64)
    counter, middles = PairCounter(most), Middles(num_words)
    rest = np.empty(0, np.int32)  # the last word that may be the first of a pair, and connector words behind it
    for part in parts:
        word_counts += np.bincount(part[part >= 0], minlength=num_words)
        ids = np.concatenate([rest, part])
        places, keys = find_pairs(ids, is_connector, middles, grow=True)
        counter.add(keys[keys >= 0])
        rest = ids[places[-1] :] if len(places) else ids[:0]
        if len(rest) > MOST_CONNECTORS + 1:
            rest = ids[:0]
    counter.finish()
    return CountedPairs(word_counts, counter, middles)
