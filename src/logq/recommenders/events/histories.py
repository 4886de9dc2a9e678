"""Histories of users, as encoders take them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.logs.examples import gather_ages
from logq.logs.mapped_arrays import MappedEvents, take_rows
from logq.tables.short_texts import result_text

__all__ = ["Histories", "gather_rows"]


@dataclass(frozen=True)
class Histories:
    """The past of n users side by side, oldest item first.

    Args:
        items: codes of all of them, one user after the other.
        offsets: (n + 1,), user i did items[offsets[i] : offsets[i + 1]].
        users: (n,) codes, -1 for a user whom the log does not know.
        features: by name, (n,) or (n, width) codes of user features; 0 is unknown, -1 pads.
        context: by column, (n,) codes of the context of the request; 0 is unknown. A model that takes a column which
            is not here uses what the log had last of the user.
        times: of all events, in the unit of the log; None where they are not known.

    Example:
        >>> two = Histories(np.array([5, 3, 9]), np.array([0, 2, 3]), np.array([0, -1]))
        >>> two.padded(4).tolist(), len(two)
        ([[5, 3], [9, -1]], 2)
    """

    items: NDArray[np.int64]
    offsets: NDArray[np.int64]
    users: NDArray[np.int64]
    features: Mapping[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])
    context: Mapping[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])

    times: NDArray[Any] | None = None

    def __repr__(self) -> str:
        return result_text(self, f"{len(self):,} users", f"{len(self.items):,} events")

    def __len__(self) -> int:
        return len(self.users)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) how many items each user has."""
        return np.diff(self.offsets)

    def padded(self, max_length: int) -> NDArray[np.int64]:
        """(n, L) the last items of each user, left-aligned, -1 behind them; L is at most `max_length`."""
        lengths = np.minimum(self.lengths, max_length)
        width = max(1, int(lengths.max(initial=0)))
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        at = np.where(inside, (self.offsets[1:] - lengths)[:, None] + columns, 0)
        return np.where(inside, self.items[at] if len(self.items) else -1, -1).astype(np.int64, copy=False)

    def ages(self, max_length: int) -> NDArray[Any]:
        """(n, L) how long before the last event of its row each of `padded` was; -1 where that is not known."""
        lengths = np.minimum(self.lengths, max_length)
        width = max(1, int(lengths.max(initial=0)))
        if self.times is None:
            return np.full((len(self), width), -1, dtype=np.int64)
        return gather_ages(self.times, self.offsets[1:] - lengths, lengths, width)

    def part(self, begin: int, end: int) -> "Histories":
        """Rows begin to end."""
        offsets = self.offsets[begin : end + 1]
        events = slice(offsets[0], offsets[-1]) if len(offsets) else slice(0)
        return self._of_rows(events, offsets - offsets[:1], slice(begin, end))

    def select(self, mask: NDArray[np.bool_]) -> "Histories":
        """The rows where a mask (n,) is True."""
        lengths = self.lengths
        offsets = np.zeros(int(mask.sum()) + 1, dtype=np.int64)
        np.cumsum(lengths[mask], out=offsets[1:])
        return self._of_rows(np.repeat(mask, lengths), offsets, mask)

    def _of_rows(
        self, events: slice | NDArray[np.bool_], offsets: NDArray[np.int64], rows: slice | NDArray[np.bool_]
    ) -> "Histories":
        features = {name: values[rows] for name, values in self.features.items()}
        context = {name: values[rows] for name, values in self.context.items()}
        times = None if self.times is None else self.times[events]
        return Histories(self.items[events], offsets, self.users[rows], features, context, times)

    def parts(self, rows: int) -> Iterator["Histories"]:
        """Parts of at most `rows` rows, in order."""
        for begin in range(0, len(self), rows):
            yield self.part(begin, min(len(self), begin + rows))

    def batch(self, max_length: int) -> dict[str, NDArray[np.int64]]:
        """What a model's `query` reads: "history", "user", "user.<feature>" and "context.<column>"."""
        features = {f"user.{name}": values for name, values in self.features.items()}
        context = {f"context.{name}": values for name, values in self.context.items()}
        return {"history": self.padded(max_length), "user": self.users, **features, **context}


def gather_rows(
    items: NDArray[Any], offsets: NDArray[np.int64], rows: NDArray[np.int64], mapped: MappedEvents | None = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Some rows of a CSR table, which may be that of a mapped log, as one of their own; a row of -1 is empty.

    Example:
        >>> gather_rows(np.array([7, 8, 9]), np.array([0, 2, 3]), np.array([1, -1, 0]))
        (array([9, 7, 8]), array([0, 1, 1, 3]))
        >>> gather_rows(np.array([], dtype=int), np.array([0]), np.array([-1]))[1]
        array([0, 0])
    """
    starts = offsets[np.maximum(rows, 0)]
    lengths = offsets[np.where(rows >= 0, rows + 1, 0)] - starts
    made = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=made[1:])
    at = np.arange(made[-1]) + np.repeat(starts - made[:-1], lengths)
    return take_rows(items, at, mapped), made
