"""KnownLog: what a fitted recommender remembers from its log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq.evaluation.ranking_ties import tie_order
from logq.logs.feature_values import unknown_values
from logq.logs.features import Features
from logq.logs.growing import GrownLog, check_units, find_repeats, grow_log
from logq.logs.identifiers import Identifiers
from logq.logs.interactions import Interactions
from logq.logs.mapped_arrays import MappedEvents
from logq.logs.ordering import count_codes
from logq.recommenders.events.histories import Histories, gather_rows
from logq.tables.short_texts import result_text

__all__ = ["KnownLog", "lenient_codes", "untied"]


@dataclass(frozen=True)
class KnownLog:
    """What a recommender remembers from the log that it was fitted on: users, items, and the history of each user.

    Args:
        user_ids: of U users.
        item_ids: of C items.
        items: codes of what all users did, one user after the other, oldest first.
        offsets: (U + 1,), user u did items[offsets[u] : offsets[u + 1]].
        user_features: of the users, or None.
        item_features: of the items, or None.
        times: of all events, or None where the log has none.
        counts: (C,) number of events of each item, where `items` does not tell; see `without_users`.
        added: how many items, the last ones by code, came after the log; see `with_items`.
        mapped: of a log whose events stay in their files.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_arrays(["ann", "bob", "ann"], ["tea", "tea", "cup"])
        >>> KnownLog.of(log).histories(["ann"]).lengths
        array([2])
    """

    user_ids: Identifiers
    item_ids: Identifiers
    items: NDArray[Any]
    offsets: NDArray[np.int64]
    user_features: Features | None = None
    item_features: Features | None = None
    times: NDArray[Any] | None = None
    counts: NDArray[np.int64] | None = None
    added: int = 0
    mapped: MappedEvents | None = None

    def __repr__(self) -> str:
        known = (f"{len(self.user_ids):,} users", f"{len(self.item_ids):,} items", f"{int(self.offsets[-1]):,} events")
        return result_text(self, *known)

    @classmethod
    def of(cls, log: Interactions) -> "KnownLog":
        """Take from a log what to remember."""
        # A copy of a mapped log would not fit in memory.
        items = np.ascontiguousarray(log.items, dtype=np.int64) if log.mapped is None else log.items
        offsets = np.ascontiguousarray(log.offsets, dtype=np.int64)
        times = None if log.timestamps is None else np.ascontiguousarray(log.timestamps)
        features = log.user_features, log.item_features
        return cls(log.user_ids, log.item_ids, items, offsets, *features, times, mapped=log.mapped)

    def without_users(self) -> "KnownLog":
        """The same without any user: no ids, histories or features of them, but how often each item occurs."""
        features = self.user_features
        if features is not None:
            features = features.first(0)
        return replace(
            self,
            user_ids=Identifiers(self.user_ids.keys[:0]),
            items=self.items[:0],
            offsets=self.offsets[:1],
            user_features=features,
            times=None,
            counts=self.item_counts(),
            mapped=None,
        )

    def with_items(self, ids: Any, features: Features) -> "KnownLog":
        """The same with items that came later, which get the next codes and have no events yet.

        Args:
            ids: (n,) their ids.
            features: of all items, those included.

        Raises:
            ArgumentError, ArgumentTypeError: an id is known, there twice, or of another type than those of the log.
        """
        codes = self.item_ids.codes(ids, "ids")
        if (codes >= 0).any():
            first = np.asarray(self.item_ids.keys)[codes[codes >= 0][0]].item()
            raise ArgumentError("ids", "items that the model does not know", first)
        try:
            new = Identifiers(ids)
        except ArgumentError as error:
            raise ArgumentError("ids", error.expected, error.got) from None
        return replace(
            self,
            item_ids=Identifiers(np.concatenate([self.item_ids.keys, new.keys])),
            item_features=features,
            counts=None if self.counts is None else np.append(self.counts, np.zeros(len(new), dtype=np.int64)),
            added=self.added + len(new),
        )

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """C."""
        return len(self.item_ids)

    def item_counts(self) -> NDArray[np.int64]:
        """(C,) number of events of each item."""
        return count_codes(self.items, self.num_items, self.mapped) if self.counts is None else self.counts

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """(C,) the place of each item among items with equal scores; see `tie_order`."""
        return tie_order(self.item_ids.keys)

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """(C,) number of events of each item, with a little more so that no two are the same; see `untied`."""
        return untied(self.item_counts(), self.places)

    @cached_property
    def by_popularity(self) -> NDArray[np.int64]:
        """(C,) codes of the items, those with most events first."""
        return np.lexsort((self.places, -self.item_counts()))

    def knows(self, log: Interactions, name: str = "data") -> NDArray[np.bool_]:
        """Which events (N,) of a log are among those that it remembers.

        Where both have times, those of the same user, item and time, each as often as it is remembered: the same item
        at another time is another event. Without times, the first n events of a user, if they are exactly the n that
        are remembered: so does a log begin that grew.

        Args:
            log: a log.
            name: what the caller calls it.

        Raises:
            ArgumentError: both have times, in different units.

        Example:
            >>> known = KnownLog.of(Interactions.from_arrays(["ann", "ann"], ["tea", "cup"], [1, 2]))
            >>> known.knows(Interactions.from_arrays(["ann"] * 3, ["tea", "cup", "tea"], [1, 2, 3])).tolist()
            [True, True, False]
        """
        remembered = self.log()
        check_units(remembered, log, name)
        return find_repeats(remembered, log)

    def log(self, column_ids: Mapping[str, Identifiers] | None = None) -> Interactions:
        """What it remembers as a log again, with columns whose values are those of `column_ids`, missing everywhere."""
        users = np.repeat(np.arange(self.num_users), np.diff(self.offsets))
        return Interactions(
            users=users,
            items=self.items,
            timestamps=self.times,
            labels=None,
            columns={name: np.zeros(len(users), dtype=np.int32) for name in column_ids or {}},
            user_ids=self.user_ids,
            item_ids=self.item_ids,
            column_ids=dict(column_ids or {}),
            item_features=self.item_features,
            user_features=self.user_features,
        )

    def grown_by(self, grown: GrownLog) -> "KnownLog":
        """What to remember of a log that this one grew to, by `grow_log`."""
        known = KnownLog.of(grown.log)
        if self.counts is None:
            return known
        # Without users it does not have the events, but how often each item was among them.
        new = np.bincount(grown.log.items[grown.is_new], minlength=known.num_items)
        return replace(known, counts=np.append(self.counts, np.zeros(known.num_items - self.num_items, np.int64)) + new)

    def grow(self, later: Interactions, column_ids: Mapping[str, Identifiers]) -> GrownLog:
        """What it remembers, and a log that came later, by `grow_log`.

        Args:
            later: that log.
            column_ids: of columns whose values keep their codes.

        Raises:
            ArgumentError: nothing is new; otherwise as `grow_log`.
        """
        grown = grow_log(self.log(column_ids), later)
        if not grown.is_new.any():
            got = Verbatim(f"{len(later):,} events, all of them known")
            raise ArgumentError("log", "events that the model does not know", got)
        return grown

    def check_events(self, name: str) -> None:
        """Check that it has the events of its log, which recommenders of that name learn from anew.

        Raises:
            ArgumentError: it was saved without users.
        """
        if self.counts is not None:
            hint = f"{name} learns from all events anew, and was saved without them (users=False)"
            raise ArgumentError("warm", "False", True, hint)

    def user_codes(self, users: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        """Codes of users.

        Raises:
            ValueError: one is not in the log.
        """
        forgot = self.counts is not None and not self.num_users
        hint = (
            "the model was saved without its users (users=False): give histories="
            if forgot
            else "give histories= for users that the log does not know"
        )
        return _known("users", self.user_ids, users, hint)

    def item_codes(self, name: str, items: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        """Codes of items, which the caller's argument `name` gives.

        Raises:
            ValueError: one is not in the log.
        """
        return _known(name, self.item_ids, items, "the model was fitted without it")

    def histories(self, users: Sequence[Any] | NDArray[Any] | None) -> Histories:
        """Histories of known users; None for all of them."""
        codes = np.arange(self.num_users) if users is None else self.user_codes(users)
        return self.of_codes(codes)

    def of_codes(self, users: NDArray[np.int64]) -> Histories:
        """Histories of users by their codes."""
        items, offsets = gather_rows(self.items, self.offsets, users, self.mapped)
        times = None if self.times is None else gather_rows(self.times, self.offsets, users, self.mapped)[0]
        items = items.astype(np.int64, copy=False)
        return Histories(items, offsets, users, self.features_of(users), times=times)

    def given(self, histories: Sequence[Iterable[Any]], users: NDArray[np.int64] | None) -> Histories:
        """Histories that a caller gave as raw ids, a list per row.

        Raises:
            ArgumentTypeError: a history is not a list of ids.
            ValueError: an item is not in the log.
        """
        return self.read(histories, users, lenient=False)[0]

    def read(
        self, histories: Sequence[Any], users: NDArray[np.int64] | None, *, lenient: bool
    ) -> tuple[Histories, NDArray[np.int64]]:
        """Histories that a caller gave as raw ids, a list a row; and how many unknown items were left out of each (n,).

        Args:
            histories: the lists.
            users: codes of whose they are; None for nobody's.
            lenient: whether unknown items are left out; otherwise they are errors. None is then an empty history.

        Raises:
            ArgumentTypeError: a history is not a list of ids.
            ValueError: an item is not in the log.
        """
        rows: list[list[Any]] = []
        for row in histories:
            if row is None and lenient:
                rows.append([])
                continue
            if isinstance(row, str | bytes) or not isinstance(row, Iterable):
                raise ArgumentTypeError("histories", "a list of item ids for each row", row)
            rows.append(list(row))
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        flat = [item for row in rows for item in row]
        if not flat:
            codes = np.zeros(0, dtype=np.int64)
        else:
            codes = lenient_codes(self.item_ids, flat) if lenient else self.item_codes("histories", flat)
        owners = np.repeat(np.arange(len(rows)), lengths)
        unknown = np.bincount(owners[codes < 0], minlength=len(rows))
        offsets = np.concatenate([[0], np.cumsum(lengths - unknown)]).astype(np.int64)
        who = np.full(len(rows), -1, dtype=np.int64) if users is None else users
        return Histories(codes[codes >= 0], offsets, who, self.features_of(who)), unknown

    def features_of(self, users: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Codes of the features of users, 0 (unknown) for those whom the log does not know."""
        found: dict[str, NDArray[np.int64]] = {}
        if self.user_features is not None:
            for name in self.user_features.names:
                table = np.asarray(self.user_features.values[name])
                values = unknown_values((len(users), *table.shape[1:]), np.int64)
                known = users >= 0
                values[known] = table[users[known]]
                found[name] = values
        return found


def lenient_codes(ids: Identifiers, raw: Iterable[Any]) -> NDArray[np.int64]:
    """Codes of ids of any types, -1 for what is not one of them.

    Example:
        >>> lenient_codes(Identifiers(["tea", "cup"]), ["cup", "gold", None, 5]).tolist()
        [1, -1, -1, -1]
    """
    rows = list(raw)
    try:
        return ids.codes(rows)
    except (TypeError, ValueError):
        kinds = (str,) if ids.kind == "str" else (int, np.integer)
        alike: list[Any] = [row if isinstance(row, kinds) and not isinstance(row, bool) else None for row in rows]
        fitting: Any = [None if isinstance(row, int) and abs(row) >= 1 << 63 else row for row in alike]
        return ids.codes(fitting)


def _known(name: str, ids: Identifiers, raw: Iterable[Any] | NDArray[Any], hint: str) -> NDArray[np.int64]:
    rows: Any = list(raw) if isinstance(raw, set | frozenset) else raw  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    codes = ids.codes(rows, name)
    if (codes < 0).any():
        where = int((codes < 0).argmax())
        first = next(islice(iter(rows), where, None))  # by position, which [where] of a pandas series is not
        first = first.item() if isinstance(first, np.generic) else first
        raise ArgumentError(name, "ids of the log", Verbatim(f"{shown(first)} at position {where}"), hint)
    return codes


def untied(counts: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Counts (C,) with less than a half added to each, more where the place among equal counts is an earlier one.

    Example:
        >>> found = untied(np.array([7, 3, 3]), np.array([0, 2, 1]))
        >>> found.astype(int).tolist(), bool(found[2] > found[1])
        ([7, 3, 3], True)
    """
    return (counts + (len(counts) - places) / (2 * len(counts) + 1)).astype(np.float32)
