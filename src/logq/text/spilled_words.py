"""Words of a text that has more different ones than fit into memory: counted in tables that are written to disk.

    table full -> its words, counts and numbers on disk, by buckets of their hash
    bucket by bucket: equal words added up -> the best of all

All occurrences of a word are in one bucket, so the sums are those of one table for all.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.kernels import _native
from logq.text.disk_columns import DiskColumn
from logq.text.words import LONGEST_WORD

__all__ = ["BYTES_OF_A_WORD", "Counted", "SpilledWords", "choose"]

BYTES_OF_A_WORD = 128
"""What a word in a table takes at most besides its bytes, tables that grow and their ranking included."""

_BUCKETS = 256  # at most
_HASHED = 1 << 16  # words at a time
_NO_PLACE = np.iinfo(np.int64).max


def choose(
    counts: NDArray[np.int64], order: NDArray[np.int64], min_count: int, max_vocab: int | None
) -> NDArray[np.int64]:
    """Return which words to keep, by decreasing count; those of equal count by increasing `order`.

    Example:
        >>> choose(np.array([2, 9, 1, 2]), np.array([3, 2, 1, 0]), min_count=2, max_vocab=None)
        array([1, 3, 0])
    """
    frequent = np.flatnonzero(counts >= min_count)
    return frequent[np.lexsort((order[frequent], -counts[frequent]))][:max_vocab]


class Counted(NamedTuple):
    """The words of all tables that are kept, and the most frequent of all.

    Attributes:
        words: V, most frequent first, those of equal count in the order of first appearance.
        counts: (V,).
        num_types: how many different words there were.
        most: the most frequent one, and its count, whether or not it is kept.
    """

    words: list[str]
    counts: NDArray[np.int64]
    num_types: int
    most: tuple[str, int]


class SpilledWords:
    """Words of tables in temporary files: as many of them as the disk holds, in the memory of one table.

    Args:
        at_once: tables whose `numbers` are asked for in turns, and kept for that.

    Example:
        >>> spilled = SpilledWords()
        >>> for number, words in enumerate([["b", "a"], ["c", "a"]]):
        ...     table = _native.WordTable()
        ...     _ = table.encode(" ".join(words).encode())
        ...     spilled.add(number, table, table.counts())
        >>> spilled.count([(0, 2), (1, 2)], min_count=1, max_vocab=2).words
        ['a', 'b']
        >>> spilled.numbers(0), spilled.numbers(1)
        (array([1, 0], dtype=int32), array([-1,  0], dtype=int32))
    """

    def __init__(self, at_once: int = 1) -> None:
        self._text, self._lengths, self._counts, self._local, self._merged = (
            DiskColumn(dtype, of="words") for dtype in (np.uint8, np.uint32, np.int64, np.int32, np.int32)
        )
        self._bounds: dict[int, NDArray[np.int64]] = {}  # of each table: (buckets + 1, 2) words and bytes
        self._places: dict[tuple[int, int], int] = {}  # in `merged`: of each table and bucket, where it begins
        self._kept = self._kept_numbers = np.zeros(0, np.int64)
        # So that no text can be made on purpose whose words all fall into one bucket.
        self._factors = np.random.default_rng().integers(1 << 63, size=LONGEST_WORD + 1, dtype=np.uint64) * 2 + 1
        self.numbers = lru_cache(maxsize=at_once)(self._numbers)

    def __len__(self) -> int:
        return len(self._bounds)

    def add(self, number: int, table: _native.WordTable, counts: NDArray[np.int64]) -> None:
        """Write the words of a table.

        Args:
            number: of the table, different for each.
            table: its words.
            counts: (n,) how often each came; of a table that was filled by `add` they are not its own.

        Raises:
            OSError: they cannot be written.
        """
        codes = self._codes(table)
        order = np.argsort(codes, kind="stable")  # by radix
        text, offsets = table.words(order)
        ends = np.zeros(_BUCKETS + 1, np.int64)
        np.cumsum(np.bincount(codes, minlength=_BUCKETS), out=ends[1:])
        self._bounds[number] = np.stack([ends + len(self._lengths), offsets[ends] + len(self._text)], axis=1)
        self._text.append(np.frombuffer(text, np.uint8))
        self._lengths.append(np.diff(offsets))
        self._counts.append(counts[order])
        self._local.append(order)

    def _codes(self, table: _native.WordTable) -> NDArray[np.uint8]:
        """The bucket of each word: the highest bits of a sum of its bytes, each times a factor of its place."""
        codes = np.empty(len(table), np.uint8)
        for start in range(0, len(table), _HASHED):
            text, offsets = table.words(np.arange(start, min(start + _HASHED, len(table))))
            begins, lengths = offsets[:-1], np.diff(offsets)
            places = np.arange(len(text)) - np.repeat(begins, lengths)
            values = np.zeros(len(text) + 1, np.uint64)  # so that an empty word at the end has a place too
            values[:-1] = (np.frombuffer(text, np.uint8).astype(np.uint64) + np.uint64(1)) * self._factors[places]
            sums = (np.add.reduceat(values, begins) >> np.uint64(56)) % _BUCKETS
            codes[start : start + len(lengths)] = np.where(lengths, sums, 0)
        return codes

    def count(self, blocks: Sequence[tuple[int, int]], min_count: int, max_vocab: int | None) -> Counted:
        """Add equal words up and choose those to keep, in the memory of these and of one bucket of all.

        Args:
            blocks: of the text, in order: the number of the table that each was read with, and how many words were new
                there.
            min_count: the smallest count a word is kept with.
            max_vocab: maximum number of words; None keeps all.
        """
        appeared = _new_words(blocks)
        best = _Best(min_count, max_vocab)
        num_types = 0
        for bucket in range(_BUCKETS):
            table, totals, order = self._merge(bucket, appeared)
            num_types += len(table)
            best.offer(bucket, table, totals, order)
        kept = choose(best.counts, best.order, min_count, max_vocab)
        keys = best.keys[kept]
        self._kept_numbers = np.argsort(keys)
        self._kept = keys[self._kept_numbers]
        words = [best.words[place].decode("utf-8") for place in kept.tolist()]
        assert best.most is not None
        return Counted(words, best.counts[kept], num_types, (best.most[2].decode("utf-8"), best.most[0]))

    def _merge(
        self, bucket: int, appeared: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]
    ) -> tuple[_native.WordTable, NDArray[np.int64], NDArray[np.int64]]:
        """The different words of a bucket, how often each came in all tables, and its order of first appearance."""
        table = _native.WordTable()
        found: list[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]] = []
        for number, bounds in self._bounds.items():
            (first, begin), (last, end) = bounds[bucket : bucket + 2].tolist()
            offsets = np.zeros(last - first + 1, np.int64)
            np.cumsum(self._lengths[first:last], out=offsets[1:])
            part = _native.WordTable()
            part.add(self._text[begin:end].tobytes(), offsets)
            places = table.absorb(part)
            self._places[number, bucket] = len(self._merged)
            self._merged.append(places)
            local, (blocks, before) = self._local[first:last].astype(np.int64), appeared[number]
            block = np.searchsorted(before, local, side="right") - 1
            found.append((places, self._counts[first:last], (blocks[block] << 32) + local - before[block]))
        totals, order = np.zeros(len(table), np.int64), np.full(len(table), _NO_PLACE)
        for places, counts, came in found:  # in each of which a word is once
            totals[places] += counts
            order[places] = np.minimum(order[places], came)
        return table, totals, order

    def _numbers(self, number: int) -> NDArray[np.int32]:
        """The number that each word of a table has among those that `count` kept, -1 for others."""
        if number not in self._bounds:  # a table without words, of ends of lines only
            return np.zeros(0, np.int32)
        bounds = self._bounds[number][:, 0]
        local = self._local[int(bounds[0]) : int(bounds[-1])]
        numbers = np.full(len(local), -1, np.int32)
        if not len(self._kept):
            return numbers
        for bucket, (first, last) in enumerate(pairwise(bounds.tolist())):
            at = self._places[number, bucket]
            keys = (bucket << 32) + self._merged[at : at + last - first].astype(np.int64)
            places = np.minimum(np.searchsorted(self._kept, keys), len(self._kept) - 1)
            is_kept = self._kept[places] == keys
            of_table = local[first - bounds[0] : last - bounds[0]][is_kept]
            numbers[of_table] = self._kept_numbers[places[is_kept]]
        return numbers

    def close(self) -> None:
        """Give the space on the disk back."""
        for column in (self._text, self._lengths, self._counts, self._local, self._merged):
            column.close()


class _Best:
    """The words that may be kept, of the buckets so far."""

    def __init__(self, min_count: int, max_vocab: int | None) -> None:
        self._limits = min_count, max_vocab
        self.counts = self.order = self.keys = np.zeros(0, np.int64)
        self.words: list[bytes] = []
        self.most: tuple[int, int, bytes] | None = None  # its count, - its order, and the word

    def offer(self, bucket: int, table: _native.WordTable, counts: NDArray[np.int64], order: NDArray[np.int64]) -> None:
        for place in choose(counts, order, 1, 1).tolist():
            found = int(counts[place]), -int(order[place]), table.words(np.array([place]))[0]
            self.most = found if self.most is None else max(self.most, found)
        kept = choose(counts, order, *self._limits)
        text, offsets = table.words(kept)
        places = offsets.tolist()
        self.words += [text[begin:end] for begin, end in pairwise(places)]
        self.counts = np.concatenate([self.counts, counts[kept]])
        self.order = np.concatenate([self.order, order[kept]])
        self.keys = np.concatenate([self.keys, (bucket << 32) + kept])
        _, most = self._limits
        if most is not None and len(self.words) > 2 * most:
            self._take(choose(self.counts, self.order, *self._limits))

    def _take(self, kept: NDArray[np.int64]) -> None:
        self.words = [self.words[place] for place in kept.tolist()]
        self.counts, self.order, self.keys = self.counts[kept], self.order[kept], self.keys[kept]


def _new_words(blocks: Sequence[tuple[int, int]]) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The numbers of the blocks of each table, and how many words it had before each of them."""
    found: dict[int, list[tuple[int, int]]] = {}
    for block, (table, new_words) in enumerate(blocks):
        found.setdefault(table, []).append((block, new_words))
    columns = {table: np.array(own, np.int64).T for table, own in found.items()}
    return {table: (of_table, np.cumsum(new) - new) for table, (of_table, new) in columns.items()}
