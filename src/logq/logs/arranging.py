"""Turning the rows of a log into codes sorted by user and time, counting dropped rows by reason."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_float, check_int
from logq.logs.identifiers import Factor, Identifiers, code_type, factorize

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
    """Rows of a log in their original order."""

    users: Factor
    items: Factor
    times: NDArray[Any] | None
    labels: NDArray[Any] | None
    columns: Mapping[str, NDArray[Any]]


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
        ArgumentError: there are no rows, none remains, all have the same item, or columns differ in length.
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
    kept = np.arange(total) if keep.all() else np.flatnonzero(keep)
    order, unsorted = np.zeros(0, dtype=np.int64), 0
    while len(kept):
        fewer = len(kept) < total
        a = users[kept] if fewer else users
        b = items[kept] if fewer else items
        times = None if rows.times is None else rows.times[kept] if fewer else rows.times
        # Codes of the remaining rows, by first appearance; given ids keep theirs.
        user_keys, item_keys = rows.users.keys, rows.items.keys
        if user_ids is None and fewer:
            a, used = factorize(a)
            user_keys = user_keys[used]
        if item_ids is None and fewer:
            b, used = factorize(b)
            item_keys = item_keys[used]
        order = _order(a, times)
        stay = np.ones(len(kept), dtype=np.bool_)
        if deduplicate is not None:
            _drop(stay, _duplicates(rows, kept, a, b, times, order, deduplicate), "duplicate", dropped)
            deduplicate = None
        _core(stay, a, b, min_user, min_item, dropped)
        if stay.all():
            unsorted = int(np.count_nonzero((np.diff(order) < 0) & (np.diff(a[order]) == 0)))
            break
        kept = kept[stay]
    else:
        got = Verbatim(f"{total} events, all dropped: {_summary(dropped)}")
        raise ArgumentError("log", "events that are kept", got)
    if item_ids is None:
        b, item_keys = _by_frequency(b, item_keys)
    if user_ids is None:
        user_ids = Identifiers(user_keys)
    if item_ids is None:
        item_ids = Identifiers(item_keys)
        if len(item_ids) < 2:
            why = f" (dropped: {_summary(dropped)})" if dropped else ""
            raise ArgumentError("log", "at least two different items", Verbatim(f"only {item_keys[0].item()!r}{why}"))
    notes: list[str] = []
    if unsorted:
        notes.append(f"{unsorted:,} events were listed after a later one of the same user; sorted by time")
    rows_in_order = kept[order]
    return Arranged(
        a[order].astype(code_type(len(user_ids)), copy=False),
        b[order].astype(code_type(len(item_ids)), copy=False),
        None if rows.times is None else rows.times[rows_in_order],
        None if rows.labels is None else rows.labels[rows_in_order].astype(np.float32),
        {name: column[rows_in_order] for name, column in rows.columns.items()},
        user_ids,
        item_ids,
        dropped,
        notes,
    )


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
            codes[side] = np.append(known.codes(factor.keys), -1)[factor.codes]
            _drop(keep, codes[side] < 0, f"unknown {name}", dropped)
    return codes[0], codes[1], keep


def _drop(keep: NDArray[np.bool_], wrong: NDArray[np.bool_], reason: str, dropped: dict[str, int]) -> None:
    count = int(np.count_nonzero(keep & wrong))
    if count:
        dropped[reason] = dropped.get(reason, 0) + count
        keep &= ~wrong


def _order(users: NDArray[Any], times: NDArray[Any] | None) -> NDArray[np.int64]:
    """Return the positions of rows, sorted by user, then time, then position."""
    if times is None:
        return _order_of_users(users)
    if times.dtype.kind in "iu":
        lowest, highest = int(times.min()), int(times.max())
        span = highest - lowest + 1
        if (int(users.max()) + 1) * span < 2**63:  # one key takes half the time of two
            key = users.astype(np.int64)
            key *= span
            key += times - lowest if lowest else times
            return np.arange(len(key)) if (key[1:] >= key[:-1]).all() else np.argsort(key, kind="stable")
    return np.lexsort((times, users))


def _order_of_users(users: NDArray[Any]) -> NDArray[np.int64]:
    if (users[1:] >= users[:-1]).all():
        return np.arange(len(users))
    # numpy sorts 16 bits by counting, which done twice is faster than comparing.
    if int(users.max()) >= 2**32:
        return np.argsort(users, kind="stable")
    order = np.argsort((users & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((users[order] >> 16).astype(np.uint16), kind="stable")]


def _duplicates(
    rows: Rows,
    kept: NDArray[np.int64],
    users: NDArray[Any],
    items: NDArray[Any],
    times: NDArray[Any] | None,
    order: NDArray[np.int64],
    which: Literal["exact", "first", "last"],
) -> NDArray[np.bool_]:
    """Return a mask of rows that repeat an earlier one (or, for "last", are repeated by a later one)."""
    repeats = np.zeros(len(users), dtype=np.bool_)
    if which == "exact":
        if times is None:
            return repeats
        # Only rows with the same time as a neighbor can be equal: few, so little is sorted.
        tied = (times[order][1:] == times[order][:-1]) & (users[order][1:] == users[order][:-1])
        places = order[np.append(tied, False) | np.append(False, tied)]
        columns = [rows.labels, *rows.columns.values()]
        keys = [column[kept[places]] for column in columns if column is not None]
        keys += [items[places], times[places], users[places]]
    else:
        places = order
        keys = [items[places], users[places]]
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
                counts = np.bincount(codes[stay])
                few = np.append(counts, np.zeros(int(codes.max()) + 1 - len(counts), dtype=counts.dtype)) < least
                _drop(stay, few[codes], f"rare {name}", dropped)
        if int(np.count_nonzero(stay)) == before:
            return


def _by_frequency(items: NDArray[Any], keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    counts = np.bincount(items, minlength=len(keys))
    by_count = np.argsort(-counts, kind="stable")  # codes are by first appearance already, which breaks ties
    ranks = np.empty(len(keys), dtype=items.dtype)
    ranks[by_count] = np.arange(len(keys))
    return ranks[items], keys[by_count]


def _summary(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
