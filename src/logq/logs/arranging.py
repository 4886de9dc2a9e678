"""Rows of a log into codes, sorted by user and time, with a count of every row that was dropped and why."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from logq._arguments import check_float, check_int
from logq.logs.identifiers import Factor, Identifiers, code_type, factorize

__all__ = ["Arranged", "Cleaning", "Rows", "arrange"]


class Cleaning(TypedDict, total=False):
    """What is done with rows on their way into a log, in this order; each row is counted under the first that applies.

    A row without a user, an item, a time or a label (NaN) is always dropped, if the log has such a column.

    Keys:
        user_ids, item_ids: the vocabulary of another log; rows of others are dropped ("unknown user", "unknown item").
        min_label: rows with a smaller label are no positive examples ("label below 4").
        deduplicate: "exact" (the default) drops rows that are the same in user, item, time, label and every column,
            where there are times; "first" and "last" keep one row of a user and an item; None keeps all ("duplicate").
        min_user, min_item: users and items with fewer events are dropped, again and again until all have enough:
            the k-core ("rare user", "rare item").
    """

    user_ids: Identifiers | None
    item_ids: Identifiers | None
    min_label: float | None
    deduplicate: Literal["exact", "first", "last"] | None
    min_user: int
    min_item: int


class Rows(NamedTuple):
    """Rows of a log as they came, in its order."""

    users: Factor
    items: Factor
    times: NDArray[Any] | None
    labels: NDArray[Any] | None
    columns: Mapping[str, NDArray[Any]]


class Arranged(NamedTuple):
    """Rows in codes, sorted by user, time and place in the log."""

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

    Users are coded by first appearance, items by how often they are there, most frequent first (ties by first
    appearance), both among the rows that stay; or as `user_ids` and `item_ids` have them.

    Raises:
        ValueError: there are no rows, none is left, all have the same item, or columns differ in length.
    """
    check_int("min_user", min_user)
    check_int("min_item", min_item)
    if deduplicate not in ("exact", "first", "last", None):
        raise ValueError(f'deduplicate: expected "exact", "first", "last" or None, got {deduplicate!r}')
    total = len(rows.users.codes)
    if not total:
        raise ValueError("log: expected at least two events, got none")
    dropped: dict[str, int] = {}
    users, items, keep = _known(rows, user_ids, item_ids, dropped)
    if min_label is not None:
        check_float("min_label", min_label)
        if rows.labels is None:
            raise ValueError("min_label: expected a log with labels, it has none")
        _drop(keep, rows.labels < min_label, f"label below {min_label:g}", dropped)
    kept = np.arange(total) if keep.all() else np.flatnonzero(keep)
    order, unsorted = np.zeros(0, dtype=np.int64), 0
    while len(kept):
        fewer = len(kept) < total
        a = users[kept] if fewer else users
        b = items[kept] if fewer else items
        times = None if rows.times is None else rows.times[kept] if fewer else rows.times
        # Codes of what is left, by first appearance; a given vocabulary stays as it is.
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
        raise ValueError(f"log: none of {total} events is left: {_told(dropped)}")
    if item_ids is None:
        b, item_keys = _by_frequency(b, item_keys)
    if user_ids is None:
        user_ids = Identifiers(user_keys)
    if item_ids is None:
        item_ids = Identifiers(item_keys)
        if len(item_ids) < 2:
            why = f" (dropped: {_told(dropped)})" if dropped else ""
            raise ValueError(f"log: expected at least two different items, got only {item_keys[0].item()!r}{why}")
    notes: list[str] = []
    if unsorted:
        notes.append(f"{unsorted:,} events came after a later one of the same user; sorted by time")
    places = kept[order]
    return Arranged(
        a[order].astype(code_type(len(user_ids)), copy=False),
        b[order].astype(code_type(len(item_ids)), copy=False),
        None if rows.times is None else rows.times[places],
        None if rows.labels is None else rows.labels[places].astype(np.float32),
        {name: column[places] for name, column in rows.columns.items()},
        user_ids,
        item_ids,
        dropped,
        notes,
    )


def _known(
    rows: Rows, user_ids: Identifiers | None, item_ids: Identifiers | None, dropped: dict[str, int]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Codes of users and items, and the rows that have both, a time and a label, counting the others."""
    total = len(rows.users.codes)
    keep = np.ones(total, dtype=np.bool_)
    numbers = {"time": rows.times, "label": rows.labels}
    sizes = {"item": rows.items.codes, **numbers, **rows.columns}
    for name, values in sizes.items():
        if values is not None and len(values) != total:
            raise ValueError(f"{name}: expected {total} rows, as there are users, got {len(values)}")
    _drop(keep, rows.users.codes < 0, "no user", dropped)
    _drop(keep, rows.items.codes < 0, "no item", dropped)
    for name, values in numbers.items():
        if values is not None and values.dtype.kind == "f":
            _drop(keep, np.isnan(values), f"no {name}", dropped)
    codes = [rows.users.codes, rows.items.codes]
    for place, (name, factor, known) in enumerate((("user", rows.users, user_ids), ("item", rows.items, item_ids))):
        if known is not None:
            codes[place] = np.append(known.codes(factor.keys), -1)[factor.codes]
            _drop(keep, codes[place] < 0, f"unknown {name}", dropped)
    return codes[0], codes[1], keep


def _drop(keep: NDArray[np.bool_], wrong: NDArray[np.bool_], reason: str, dropped: dict[str, int]) -> None:
    count = int(np.count_nonzero(keep & wrong))
    if count:
        dropped[reason] = dropped.get(reason, 0) + count
        keep &= ~wrong


def _order(users: NDArray[Any], times: NDArray[Any] | None) -> NDArray[np.int64]:
    """Places sorted by user, then time, then place."""
    if times is None:
        return _sorted_small(users)
    if times.dtype.kind in "iu":
        lowest, highest = int(times.min()), int(times.max())
        span = highest - lowest + 1
        if (int(users.max()) + 1) * span < 2**63:  # one key is sorted in half the time of two
            key = users.astype(np.int64)
            key *= span
            key += times - lowest if lowest else times
            return np.arange(len(key)) if (key[1:] >= key[:-1]).all() else np.argsort(key, kind="stable")
    return np.lexsort((times, users))


def _sorted_small(users: NDArray[Any]) -> NDArray[np.int64]:
    if (users[1:] >= users[:-1]).all():
        return np.arange(len(users))
    # numpy sorts 16 bits by counting: twice that is quicker than comparing.
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
    """Mark rows that repeat an earlier one (or, for "last", are repeated by a later one)."""
    repeats = np.zeros(len(users), dtype=np.bool_)
    if which == "exact":
        if times is None:
            return repeats
        # Only rows at the same time as a neighbour can be the same: few, so that little is sorted.
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
    """Drop rare users and items in turn until none is left."""
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


def _told(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
