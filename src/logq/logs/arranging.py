"""Turning the rows of a log into codes sorted by user and time, counting dropped rows by reason."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_float, check_int
from logq.logs.identifiers import Factor, Identifiers, code_type, factorize
from logq.logs.ordering import count_codes, order_rows, pieces

__all__ = ["Arranged", "Cleaning", "Rows", "arrange"]


class Cleaning(TypedDict, total=False):
    r"""How the rows of a log are cleaned, in this order; a dropped row is counted under the first reason that applies.

    A row without a user, an item, a time or a label (NaN) is always dropped, if the log has such a column.

    Keys:
        user_ids, item_ids: the ids of another log; rows of others are dropped ("unknown user", "unknown item").
        min_label: rows with a smaller label are dropped, as they are not positive examples ("label below 4").
        deduplicate: "exact" (the default) drops rows that are equal in user, item, time, label and every column,
            where there are times; "first" and "last" keep one row of each user and item; None keeps all ("duplicate").
        min_user, min_item: users and items with fewer events are dropped, repeatedly until all have enough, which
            leaves the k-core ("rare user", "rare item").
        missing: strings that count as a missing id (None: "NULL", "\N", "nan", "NaN", "None", "NA" and their like, as
            in pandas; () for none), in columns of users, items and sessions. Those met are said in `notes`.
    """

    user_ids: Identifiers | None
    item_ids: Identifiers | None
    min_label: float | None
    deduplicate: Literal["exact", "first", "last"] | None
    min_user: int
    min_item: int
    missing: Collection[str] | None


class Rows(NamedTuple):
    """Rows of a log in their original order.

    Where they are `owned`, their arrays are overwritten, which saves the memory of a copy.
    """

    users: Factor
    items: Factor
    times: NDArray[Any] | None
    labels: NDArray[Any] | None
    columns: Mapping[str, NDArray[Any]]
    owned: bool = False


class Arranged(NamedTuple):
    """Rows as codes, sorted by user, time and position in the log."""

    users: NDArray[Any]
    items: NDArray[Any]
    times: NDArray[Any] | None
    labels: NDArray[Any] | None
    columns: dict[str, NDArray[Any]]
    user_ids: Identifiers
    item_ids: Identifiers
    dropped: dict[str, int]
    notes: list[str]


def arrange(
    rows: Rows,
    *,
    user_ids: Identifiers | None = None,
    item_ids: Identifiers | None = None,
    min_label: float | None = None,
    deduplicate: Literal["exact", "first", "last"] | None = "exact",
    min_user: int = 1,
    min_item: int = 1,
) -> Arranged:
    """Clean rows as `Cleaning` says, give codes to users and items, and sort.

    Users are coded by first appearance, items by frequency, most frequent first (ties by first appearance), among the
    rows that remain; or as in `user_ids` and `item_ids`.

    Raises:
        ArgumentError: there are no rows, none remains, or columns differ in length.
    """
    check_int("min_user", min_user)
    check_int("min_item", min_item)
    if deduplicate not in ("exact", "first", "last", None):
        raise ArgumentError("deduplicate", '"exact", "first", "last" or None', deduplicate)
    total = len(rows.users.codes)
    if not total:
        raise ArgumentError("log", "at least two events", Verbatim("none"))
    dropped: dict[str, int] = {}
    users, items, keep = _known(rows, user_ids, item_ids, dropped)
    if min_label is not None:
        check_float("min_label", min_label)
        if rows.labels is None:
            raise ArgumentError("min_label", "None for a log without labels", min_label)
        _drop(keep, rows.labels < min_label, f"label below {min_label:g}", dropped)
    table = _EventRows(users, items, rows.times, rows.labels, dict(rows.columns), rows.owned)
    user_keys, item_keys = rows.users.keys, rows.items.keys
    order: NDArray[Any] | None = None
    while True:
        order = None  # its memory is that of the next one
        if not keep.all():
            table = table.where(keep)
            if not len(table.users):
                got = Verbatim(f"{total} events, all dropped: {_summary(dropped)}")
                raise ArgumentError("log", "events that are kept", got)
            # Codes of the remaining rows, by first appearance; given ids keep theirs.
            if user_ids is None:
                user_keys = user_keys[_renumber(table.users, len(user_keys))]
            if item_ids is None:
                item_keys = item_keys[_renumber(table.items, len(item_keys))]
        order = order_rows(table.users, table.times)
        keep = np.ones(len(order), dtype=np.bool_)
        if deduplicate is not None:
            _drop(keep, _duplicates(table, order, deduplicate), "duplicate", dropped)
            deduplicate = None
        _core(keep, table.users, table.items, min_user, min_item, dropped)
        if keep.all():
            break
    if item_ids is None:
        table, item_keys = _by_frequency(table, item_keys)
    if user_ids is None:
        user_ids = Identifiers(user_keys)
    if item_ids is None:
        item_ids = Identifiers(item_keys)
    notes: list[str] = []
    if unsorted := _unsorted(table.users, order):
        events, were = ("event", "was") if unsorted == 1 else ("events", "were")
        notes.append(f"{unsorted:,} {events} {were} out of time order and {were} sorted")
    table = table.ordered(order)
    return Arranged(
        table.users.astype(code_type(len(user_ids)), copy=False),
        table.items.astype(code_type(len(item_ids)), copy=False),
        table.times,
        None if table.labels is None else table.labels.astype(np.float32, copy=False),
        table.columns,
        user_ids,
        item_ids,
        dropped,
        notes,
    )


class _EventRows(NamedTuple):
    """Rows with codes for users and items; what is `owned` is overwritten."""

    users: NDArray[Any]
    items: NDArray[Any]
    times: NDArray[Any] | None
    labels: NDArray[Any] | None
    columns: dict[str, NDArray[Any]]
    owned: bool

    def where(self, keep: NDArray[np.bool_]) -> "_EventRows":
        """The rows of a mask."""
        count = int(np.count_nonzero(keep))

        def kept(array: NDArray[Any]) -> NDArray[Any]:
            if not self.owned or not array.flags.writeable:
                return array[keep]
            place = 0
            for piece in pieces(len(array)):
                part = array[piece][keep[piece]]
                array[place : place + len(part)] = part
                place += len(part)
            return array[:count]

        return self._each(kept)

    def ordered(self, order: NDArray[Any]) -> "_EventRows":
        """The rows in another order."""

        def moved(array: NDArray[Any]) -> NDArray[Any]:
            if not self.owned or not array.flags.writeable:
                return array[order]
            array[:] = array[order]
            return array

        return self._each(moved)

    def _each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "_EventRows":
        columns = {name: change(column) for name, column in self.columns.items()}
        times = None if self.times is None else change(self.times)
        labels = None if self.labels is None else change(self.labels)
        return _EventRows(change(self.users), change(self.items), times, labels, columns, True)


def _known(
    rows: Rows, user_ids: Identifiers | None, item_ids: Identifiers | None, dropped: dict[str, int]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Return the codes of users and items, and a mask of the complete rows, counting the others."""
    total = len(rows.users.codes)
    keep = np.ones(total, dtype=np.bool_)
    given = {"items": rows.items.codes, "timestamps": rows.times, "labels": rows.labels, **rows.columns}
    for name, values in given.items():
        if values is not None and len(values) != total:
            raise ArgumentError(name, f"{total} rows, as many as users", len(values))
    _drop(keep, rows.users.codes < 0, "no user", dropped)
    _drop(keep, rows.items.codes < 0, "no item", dropped)
    for name, values in (("time", rows.times), ("label", rows.labels)):
        if values is not None and values.dtype.kind == "f":
            _drop(keep, np.isnan(values), f"no {name}", dropped)
    codes = [rows.users.codes, rows.items.codes]
    for side, (name, factor, known) in enumerate((("user", rows.users, user_ids), ("item", rows.items, item_ids))):
        if known is not None:
            codes[side] = np.append(known.codes(factor.keys, f"{name}s"), -1)[factor.codes]
            _drop(keep, codes[side] < 0, f"unknown {name}", dropped)
    return codes[0], codes[1], keep


def _renumber(codes: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Replace codes below `size` by new ones in the order of first appearance; return the old code of each new one."""
    ranks = np.full(size, -1, dtype=codes.dtype)
    used: list[NDArray[Any]] = []
    count = 0
    for piece in pieces(len(codes)):
        part = codes[piece]
        fresh = factorize(part[ranks[part] < 0]).keys
        ranks[fresh] = np.arange(count, count + len(fresh))
        count += len(fresh)
        used.append(fresh)
        codes[piece] = ranks[part]
    return np.concatenate(used)


def _drop(keep: NDArray[np.bool_], wrong: NDArray[np.bool_], reason: str, dropped: dict[str, int]) -> None:
    count = int(np.count_nonzero(keep & wrong))
    if count:
        dropped[reason] = dropped.get(reason, 0) + count
        keep &= ~wrong


def _unsorted(users: NDArray[Any], order: NDArray[Any]) -> int:
    """How many rows come before one of the same user that is listed earlier."""
    count = 0
    for piece in pieces(len(order) - 1):
        rows = order[piece.start : piece.stop + 1]
        count += int(np.count_nonzero((rows[1:] < rows[:-1]) & (users[rows[1:]] == users[rows[:-1]])))
    return count


def _tied(table: _EventRows, order: NDArray[Any], times: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a row has the user and the time of the next one: (N-1,)."""
    tied = np.empty(max(len(order) - 1, 0), dtype=np.bool_)
    for piece in pieces(len(tied)):
        rows = order[piece.start : piece.stop + 1]
        tied[piece] = (times[rows[1:]] == times[rows[:-1]]) & (table.users[rows[1:]] == table.users[rows[:-1]])
    return tied


def _duplicates(table: _EventRows, order: NDArray[Any], which: Literal["exact", "first", "last"]) -> NDArray[np.bool_]:
    """Return a mask of rows that repeat an earlier one (or, for "last", are repeated by a later one)."""
    repeats = np.zeros(len(table.users), dtype=np.bool_)
    if which == "exact":
        if table.times is None:
            return repeats
        # Only rows with the same time as a neighbor can be equal: few, so little is sorted.
        tied = _tied(table, order, table.times)
        places = order[np.append(tied, False) | np.append(False, tied)]
        columns = [table.labels, *table.columns.values()]
        keys = [column[places] for column in columns if column is not None]
        keys += [table.items[places], table.times[places], table.users[places]]
    else:
        places = order
        keys = [table.items[places], table.users[places]]
    by_keys = np.lexsort(keys) if len(places) else np.zeros(0, dtype=np.int64)
    same = np.ones(max(len(places) - 1, 0), dtype=np.bool_)
    for key in keys:
        ordered = key[by_keys]
        same &= (ordered[1:] == ordered[:-1]) | ((ordered[1:] != ordered[1:]) & (ordered[:-1] != ordered[:-1]))
    if len(places):
        found = np.append(same, False) if which == "last" else np.append(False, same)
        repeats[places[by_keys[found]]] = True
    return repeats


def _core(
    stay: NDArray[np.bool_],
    users: NDArray[Any],
    items: NDArray[Any],
    min_user: int,
    min_item: int,
    dropped: dict[str, int],
) -> None:
    """Drop rare items and users in turn until there are none."""
    while True:
        before = int(np.count_nonzero(stay))
        for name, codes, least in (("item", items, min_item), ("user", users, min_user)):
            if least > 1 and stay.any():
                few = count_codes(codes[stay], int(codes.max()) + 1) < least
                _drop(stay, few[codes], f"rare {name}", dropped)
        if int(np.count_nonzero(stay)) == before:
            return


def _by_frequency(table: _EventRows, keys: NDArray[Any]) -> tuple[_EventRows, NDArray[Any]]:
    counts = count_codes(table.items, len(keys))
    by_count = np.argsort(-counts, kind="stable")  # codes are by first appearance already, which breaks ties
    ranks = np.empty(len(keys), dtype=table.items.dtype)
    ranks[by_count] = np.arange(len(keys))
    items = table.items if table.owned else np.empty_like(table.items)
    for piece in pieces(len(items)):
        items[piece] = ranks[table.items[piece]]
    return table._replace(items=items), keys[by_count]


def _summary(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
