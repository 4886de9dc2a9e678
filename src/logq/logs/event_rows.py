"""Which events of a log have enough before them: as numbers of rows, or computed when they are asked for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.logs.identifiers import code_type
from logq.logs.interactions import Interactions
from logq.logs.ordering import pieces

__all__ = ["EventRows", "at_most", "count_items", "rows_with_history"]


class EventRows:
    """The rows of events that have at least m before them of the same user, in the order of the log.

        row(e) = begin(u) + m + e - sum of n(v) over users v before u,   n(v) = max(events of v - m, 0)

    u being the user whose events have number e. Nothing is stored for an event, but 8 bytes for a user.

    Args:
        offsets: (U+1,) of the users.
        min_history: m.

    Example:
        >>> rows = EventRows(np.array([0, 3, 4, 6]), 1)
        >>> len(rows), rows[np.arange(3)].tolist()
        (3, [1, 2, 5])
    """

    def __init__(self, offsets: NDArray[np.int64], min_history: int) -> None:
        counts = np.diff(offsets)
        counts -= min_history
        np.maximum(counts, 0, out=counts)
        self._offsets, self._min_history, self._ends = offsets, min_history, np.cumsum(counts, out=counts)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, numbers: NDArray[Any] | slice) -> NDArray[np.int64]:
        """The rows of some of them, by numbers or by a slice."""
        found = np.arange(len(self))[numbers] if isinstance(numbers, slice) else np.asarray(numbers, dtype=np.int64)
        users = np.searchsorted(self._ends, found, side="right")
        before = np.where(users > 0, self._ends[users - 1], 0)
        return found - before + self._offsets[users] + self._min_history


def rows_with_history(log: Interactions, min_history: int, rows: NDArray[np.bool_] | None) -> NDArray[Any]:
    """The rows of events with enough before them, of those in a mask, in the order of the log.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 2, 2], [5, 7, 7, 5])
        >>> rows_with_history(log, 1, None).tolist()
        [1, 3]
    """
    allowed = np.ones(len(log), dtype=np.bool_) if rows is None else rows.copy()
    begins = log.offsets[:-1]
    for number in range(min_history):  # the first events of each user have too few before them
        allowed[begins[begins + number < log.offsets[1:]] + number] = False
    return np.flatnonzero(allowed).astype(code_type(len(log)))


def at_most(log: Interactions, rows: NDArray[Any], most: int, seed: int) -> NDArray[Any]:
    """At most so many rows of each user, chosen at random, in the order of the log.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 2], [5, 7, 7])
        >>> len(at_most(log, np.arange(3), 1, seed=0))
        2
    """
    users = log.users[rows]
    keys = np.random.default_rng(seed).random(len(rows))
    order = np.lexsort((keys, users))
    counts = np.bincount(users, minlength=log.num_users)
    ranks = np.arange(len(rows)) - (np.cumsum(counts) - counts)[users]
    return np.sort(rows[order[ranks < most]])


def count_items(log: Interactions, rows: "EventRows | NDArray[Any]") -> NDArray[np.int64]:
    """How often each item occurs in some rows: (C,).

    Example:
        >>> log = Interactions.from_arrays([1, 1, 2], [5, 7, 7])
        >>> count_items(log, np.array([1, 2])).tolist()
        [2, 0]
    """
    counts = np.zeros(log.num_items, dtype=np.int64)
    for piece in pieces(len(rows), log.num_items, log.mapped):
        which = rows[np.arange(piece.start, piece.stop)]
        counts += np.bincount(log.items[which], minlength=log.num_items)
    return counts
