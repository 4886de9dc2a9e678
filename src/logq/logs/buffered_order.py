"""The order of an epoch over more examples than fit in memory: blocks in random order, shuffled some at a time."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCKS", "BufferedOrder"]

BLOCKS = 64
"""Blocks whose examples are shuffled together."""


class BufferedOrder:
    """An order of the examples first .. first + count - 1 that is read piece by piece.

    They are cut into blocks of neighbors, which are read from a file at once. The blocks come in random order, and the
    examples of 64 blocks, which are from all over the log, are shuffled together. What is stored is a number for each
    block, and the numbers of one buffer.

    Args:
        first: the first example.
        count: how many there are.
        buffer: how many are shuffled together, about.
        seeds: of the order.

    Example:
        >>> order = BufferedOrder(10, 500, 128, (0, 0))
        >>> part = order.positions(100, 200)
        >>> len(part), sorted(order.positions(0, 500).tolist()) == list(range(10, 510))
        (100, True)
        >>> order.positions(150, 200).tolist() == part[50:].tolist()
        True
    """

    def __init__(self, first: int, count: int, buffer: int, seeds: tuple[int, ...]) -> None:
        self._first, self._seeds = first, seeds
        self._block = max(1, buffer // BLOCKS)
        self._blocks = np.random.default_rng(seeds).permutation(-(-count // self._block))
        self._sizes = np.minimum(count - self._blocks * self._block, self._block)
        self._ends = np.cumsum(np.add.reduceat(self._sizes, np.arange(0, len(self._sizes), BLOCKS)))
        self.group = -1
        self._rows = np.zeros(0, dtype=np.int64)

    def positions(self, begin: int, end: int) -> NDArray[np.int64]:
        """The examples at positions begin .. end - 1 of the order."""
        found: list[NDArray[np.int64]] = []
        while begin < end:
            group = int(np.searchsorted(self._ends, begin, side="right"))
            if group != self.group:
                self._fill(group)
            start = int(self._ends[group]) - len(self._rows)
            stop = min(end, int(self._ends[group]))
            found.append(self._rows[begin - start : stop - start])
            begin = stop
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    def _fill(self, group: int) -> None:
        """Shuffle the examples of a group of blocks."""
        which = slice(group * BLOCKS, (group + 1) * BLOCKS)
        starts, sizes = self._blocks[which] * self._block, self._sizes[which]
        rows = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum()) + self._first
        np.random.default_rng((*self._seeds, group + 1)).shuffle(rows)
        self._rows, self.group = rows, group
