"""Histories of users as encoders take them, and what a fitted recommender remembers of its log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import shown
from logq.logs import Features, Identifiers, Interactions

__all__ = ["Histories", "Seen"]


@dataclass(frozen=True)
class Histories:
    """The past of n users side by side, oldest item first.

    Args:
        items: codes of all of them, one user after the other.
        offsets: (n + 1,), user i did items[offsets[i] : offsets[i + 1]].
        users: (n,) codes, -1 for a user whom the log does not know.
        features: by name, (n,) or (n, width) codes of user features; 0 is unknown, -1 pads.
        context: by column, (n,) codes of what is known of the moment; 0 is unknown. A model that wants a column which
            is not here takes what the log had last of the user.

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

    def __len__(self) -> int:
        return len(self.users)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) how many items each user did."""
        return np.diff(self.offsets)

    def padded(self, max_length: int) -> NDArray[np.int64]:
        """(n, L) the last items of each user, left-aligned, -1 behind them; L is at most `max_length`."""
        lengths = np.minimum(self.lengths, max_length)
        width = max(1, int(lengths.max(initial=0)))
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        at = np.where(inside, (self.offsets[1:] - lengths)[:, None] + columns, 0)
        return np.where(inside, self.items[at] if len(self.items) else -1, -1).astype(np.int64, copy=False)

    def part(self, begin: int, end: int) -> "Histories":
        """Rows begin to end."""
        offsets = self.offsets[begin : end + 1]
        items = self.items[offsets[0] : offsets[-1]] if len(offsets) else self.items[:0]
        return self._of_rows(items, offsets - offsets[:1], slice(begin, end))

    def select(self, mask: NDArray[np.bool_]) -> "Histories":
        """The rows where a mask (n,) is True."""
        lengths = self.lengths
        offsets = np.zeros(int(mask.sum()) + 1, dtype=np.int64)
        np.cumsum(lengths[mask], out=offsets[1:])
        return self._of_rows(self.items[np.repeat(mask, lengths)], offsets, mask)

    def _of_rows(
        self, items: NDArray[np.int64], offsets: NDArray[np.int64], rows: slice | NDArray[np.bool_]
    ) -> "Histories":
        features = {name: values[rows] for name, values in self.features.items()}
        context = {name: values[rows] for name, values in self.context.items()}
        return Histories(items, offsets, self.users[rows], features, context)

    def parts(self, rows: int) -> Iterator["Histories"]:
        """Parts of at most so many rows, in order."""
        for begin in range(0, len(self), rows):
            yield self.part(begin, min(len(self), begin + rows))

    def batch(self, max_length: int) -> dict[str, NDArray[np.int64]]:
        """What a model's `query` reads: "history", "user", "user.<feature>" and "context.<column>"."""
        features = {f"user.{name}": values for name, values in self.features.items()}
        context = {f"context.{name}": values for name, values in self.context.items()}
        return {"history": self.padded(max_length), "user": self.users, **features, **context}


@dataclass(frozen=True)
class Seen:
    """Users and items of a log, and the history of each user.

    Args:
        user_ids: of U users.
        item_ids: of C items.
        items: codes of what all users did, one user after the other, oldest first.
        offsets: (U + 1,), user u did items[offsets[u] : offsets[u + 1]].
        user_features: of the users, or None.
        item_features: of the items, or None.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_arrays(["ann", "bob", "ann"], ["tea", "tea", "cup"])
        >>> Seen.of(log).histories(["ann"]).lengths
        array([2])
    """

    user_ids: Identifiers
    item_ids: Identifiers
    items: NDArray[np.int64]
    offsets: NDArray[np.int64]
    user_features: Features | None = None
    item_features: Features | None = None

    @classmethod
    def of(cls, log: Interactions) -> "Seen":
        """What is to be remembered of a log."""
        items = np.ascontiguousarray(log.items, dtype=np.int64)
        offsets = np.ascontiguousarray(log.offsets, dtype=np.int64)
        return cls(log.user_ids, log.item_ids, items, offsets, log.user_features, log.item_features)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """C."""
        return len(self.item_ids)

    def item_counts(self) -> NDArray[np.int64]:
        """(C,) how often each item was seen."""
        return np.bincount(self.items, minlength=self.num_items)

    def user_codes(self, users: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        """Codes of users.

        Raises:
            ValueError: one is not in the log.
        """
        return _known("users", self.user_ids, users, "give histories= for users that the log does not know")

    def item_codes(self, name: str, items: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        """Codes of items, which the caller's argument `name` gives.

        Raises:
            ValueError: one is not in the log.
        """
        return _known(name, self.item_ids, items, "the model was fitted without it")

    def histories(self, users: Sequence[Any] | NDArray[Any] | None) -> Histories:
        """What known users did; None for all of them."""
        codes = np.arange(self.num_users) if users is None else self.user_codes(users)
        return self.of_codes(codes)

    def of_codes(self, users: NDArray[np.int64]) -> Histories:
        """What users did whose codes are known."""
        items, offsets = gather_rows(self.items, self.offsets, users)
        return Histories(items, offsets, users, self.features_of(users))

    def given(self, histories: Sequence[Iterable[Any]], users: NDArray[np.int64] | None) -> Histories:
        """Histories that a caller gave as raw ids, a list a row.

        Raises:
            TypeError: a history is no list of ids.
            ValueError: an item is not in the log.
        """
        rows: list[list[Any]] = []
        for row in histories:
            if isinstance(row, str | bytes) or not isinstance(row, Iterable):
                raise TypeError(f"histories: expected a list of item ids for each row, got {shown(row)}")
            rows.append(list(row))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        flat = [item for row in rows for item in row]
        codes = self.item_codes("histories", flat) if flat else np.zeros(0, dtype=np.int64)
        who = np.full(len(rows), -1, dtype=np.int64) if users is None else users
        return Histories(codes, offsets, who, self.features_of(who))

    def features_of(self, users: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Codes of the features of users, 0 (unknown) for those whom the log does not know."""
        found: dict[str, NDArray[np.int64]] = {}
        if self.user_features is not None:
            for name in self.user_features.names:
                values = np.asarray(self.user_features.values[name])[np.maximum(users, 0)].astype(np.int64)
                cold = users < 0
                if cold.any():
                    unknown = np.zeros_like(values[cold])
                    if unknown.ndim == 2:
                        unknown[:, 1:] = -1
                    values[cold] = unknown
                found[name] = values
        return found


def gather_rows(
    items: NDArray[np.int64], offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some rows of a CSR table as one of their own; a row of -1 is empty.

    Example:
        >>> gather_rows(np.array([7, 8, 9]), np.array([0, 2, 3]), np.array([1, -1, 0]))
        (array([9, 7, 8]), array([0, 1, 1, 3]))
    """
    starts = offsets[np.maximum(rows, 0)]
    lengths = np.where(rows >= 0, offsets[np.maximum(rows, 0) + 1] - starts, 0)
    made = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=made[1:])
    at = np.arange(made[-1]) + np.repeat(starts - made[:-1], lengths)
    return items[at], made


def _known(name: str, ids: Identifiers, raw: Iterable[Any] | NDArray[Any], hint: str) -> NDArray[np.int64]:
    rows: Any = list(raw) if isinstance(raw, set | frozenset) else raw  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    try:
        codes = np.asarray(ids.codes(rows), dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {str(error).removeprefix('ids: ')}") from None
    if (codes < 0).any():
        where = int((codes < 0).argmax())
        first = next(islice(iter(rows), where, None))  # by place, which [where] of a pandas series is not
        first = first.item() if isinstance(first, np.generic) else first
        raise ValueError(f"{name}: expected ids of the log, got {shown(first)} at position {where}; {hint}")
    return codes
