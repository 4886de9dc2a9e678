"""Replicas of tables that several processes train, each on its own text, and the exchange of what they have learned."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from logq.processes import all_counts, all_rows, exchange, received_counts, take_from_first, world
from logq.word2vec.engines import Floats

__all__ = ["Replica", "share_of_sum"]

PIECE_BYTES = 1 << 26
"""Of rows that are looked at in one exchange: the most that travels at a time, however large the table."""


def share_of_sum(
    steps: NDArray[np.float64],  # (n,)
    size: int,
) -> NDArray[np.float64]:
    """The part of the sum of what replicas have moved that one process would have moved, which saw all they saw.

    A replica that comes nearer to where its text pulls a row by the part 1 - exp(-g) in an interval would have come
    nearer by 1 - exp(-W g) with the text of all W; the sum of the moves of W replicas is W (1 - exp(-g)):

        share = (1 - exp(-W g)) / (W (1 - exp(-g)))

    which is 1, the sum, for rows that hardly moved, and 1 / W, the mean, for those that have arrived.

    Args:
        steps: g, of each row.
        size: W.

    Example:
        >>> share_of_sum(np.array([0.0, 0.1, 100.0]), 4).round(2)
        array([1.  , 0.87, 0.25])
    """
    small = steps < 1e-9
    steps = np.where(small, 1.0, steps)
    return np.where(small, 1.0, np.expm1(-size * steps) / (size * np.expm1(-steps)))


class _Deltas(NamedTuple):
    """Rows of a table, and what is to be added to them."""

    ids: NDArray[np.int32]
    rows: Floats


class Replica:
    """A table that each process trains by itself between exchanges; they begin with that of the first one.

    An exchange adds to the rows that were the same in all at the last one what all processes have moved them by, damped
    as `share_of_sum` says. Only touched rows travel: to their owner, row i to rank i % W, which adds them up in the
    order of ranks, and from there to all: 2 (W - 1) / W rows a process for each touched one, as an all_reduce of only
    these would send. Afterwards the rows are the same in all processes, bit for bit.

    Args:
        table: (n, D), a view of what is trained.
        updates: (n,) how often a row is updated for each word of the text, about.
        words: how many words this process has trained before.

    Example:
        >>> table = np.zeros((3, 2), np.float32)
        >>> replica = Replica(table, np.ones(3))
        >>> table[1] += 1
        >>> replica.exchange(range(3), words=10, rate=0.1)
        1
        >>> table.tolist()
        [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self, table: Floats, updates: NDArray[np.float64], words: float = 0.0) -> None:
        self.table = table
        self.updates = updates
        self._size = world().size
        first = torch.from_numpy(np.ascontiguousarray(table))
        take_from_first(first, "share the first vectors")
        self.table[:] = first.numpy()
        self._base = np.array(table)
        self._exchanged = np.full(len(table), words)  # when each row was, in words that a process had trained

    def exchange(self, rows: Sequence[int] | NDArray[np.int64], *, words: float, rate: float) -> int:
        """Let all processes have the same rows again.

        Args:
            rows: that are exchanged, the same in all processes.
            words: how many words this process has trained in all, as all others have, about.
            rate: the learning rate, times the curvature of the loss.

        Returns:
            How many of them this process had touched.
        """
        touched = 0
        step = max(1, PIECE_BYTES // (4 * self.table.shape[1]))
        for begin in range(0, len(rows), step):
            piece = rows[begin : begin + step]
            deltas = self._deltas(piece)
            touched += len(deltas.ids)
            self._add(self._shared(deltas, words, rate))
            self._exchanged[_index(piece)] = words
        return touched

    def agree(self, rows: NDArray[np.int64]) -> None:
        """Take rows for the same in all processes that all of them have changed alike, so that they do not travel."""
        self._base[rows] = self.table[rows]

    def _deltas(self, rows: Sequence[int] | NDArray[np.int64]) -> _Deltas:
        index = _index(rows)
        touched = np.flatnonzero((self.table[index] != self._base[index]).any(axis=1))
        ids = touched + index.start if isinstance(index, slice) else index[touched]
        with np.errstate(all="ignore"):  # of a training that diverges, which is found elsewhere
            return _Deltas(ids.astype(np.int32), self.table[ids] - self._base[ids])

    def _shared(self, deltas: _Deltas, words: float, rate: float) -> _Deltas:
        """What all have moved the rows by, from what this process has."""
        size = self._size
        if size == 1:
            return deltas
        owners = deltas.ids % size
        order = np.argsort(owners, kind="stable")
        sent = np.bincount(owners, minlength=size)
        sizes = sent.tolist()
        received = received_counts(sizes)
        ids = exchange(torch.from_numpy(deltas.ids[order]), sizes, received).numpy()
        rows = exchange(torch.from_numpy(deltas.rows[order]), sizes, received).numpy()
        own, places = np.unique(ids, return_inverse=True)
        ends = np.cumsum(received)
        moves = [(places[end - n : end], rows[end - n : end]) for end, n in zip(ends, received, strict=True)]
        total = self._combined(moves, rate * self.updates[own] * (words - self._exchanged[own]))
        counts = all_counts(len(own))
        return _Deltas(
            all_rows(torch.from_numpy(own), counts, doing="gather the ids of touched rows").numpy(),
            all_rows(torch.from_numpy(total), counts, doing="gather touched rows").numpy(),
        )

    def _combined(self, moves: Sequence[tuple[NDArray[np.int64], Floats]], steps: NDArray[np.float64]) -> Floats:
        """What rows are to be moved by, (n, D), from what each process has moved some of them by.

        Args:
            moves: of each process: which of the n rows, each at most once, and their moves.
            steps: (n,) as for share_of_sum.
        """
        total = np.zeros((len(steps), self.table.shape[1]), np.float32)
        for places, rows in moves:
            total[places] += rows
        total *= share_of_sum(steps, self._size)[:, None].astype(np.float32)
        return total

    def _add(self, deltas: _Deltas) -> None:
        rows = self._base[deltas.ids] + deltas.rows
        self._base[deltas.ids] = self.table[deltas.ids] = rows


def _index(rows: Sequence[int] | NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """What rows are indexed by: a slice where they follow one another, which copies nothing."""
    return slice(rows.start, rows.stop) if isinstance(rows, range) and rows.step == 1 else np.asarray(rows)
