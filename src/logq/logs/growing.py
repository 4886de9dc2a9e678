"""A log that grows: what a later log adds to an earlier one, whose users and items keep their codes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.logs.feature_values import Buckets, Categories, Coding, unknown_values
from logq.logs.features import Features
from logq.logs.identifiers import Identifiers, translated
from logq.logs.interactions import Interactions
from logq.logs.joining import joined_log
from logq.logs.time_values import epoch_unit

__all__ = ["GrownLog", "check_units", "find_repeats", "grow_log", "grown_ids"]


class GrownLog(NamedTuple):
    """A log, and what came later.

    Args:
        log: the events of both, each once. The codes of users, items, and values of columns and features are those of
            the earlier log, and new ones follow.
        is_new: (N,) which events are of the later log alone.
        repeated: number of events of the later log that the earlier one has too.
        is_whole: whether the later log has all events of the earlier one, so that all columns of it are known for all.

    Example:
        >>> log = Interactions.from_arrays([1, 1], [5, 7], [1, 2])
        >>> grow_log(log, Interactions.from_arrays([1, 1], [7, 9], [2, 3])).is_new.tolist()
        [False, False, True]
    """

    log: Interactions
    is_new: NDArray[np.bool_]
    repeated: int
    is_whole: bool


_AS_BEFORE = "later_features reads a later table as the earlier one was read"


def grow_log(log: Interactions, later: Interactions) -> GrownLog:
    """Append a later log to an earlier one.

    Events of both are told apart by user, item and time, as `find_repeats` says, and are there once. A column, label or
    feature that one log lacks is missing (0) in its events; features that only the later log has are left out,
    as what was made from the earlier one knows nothing of them. Where both have features of an item or a user, those of
    the later log count.

    Args:
        log: the earlier log.
        later: what came then; it may begin with what is in `log`.

    Raises:
        ArgumentTypeError: ids or features are of another type than those of the earlier log.
        ArgumentError: one log has times and the other none, or in another unit; or features are cut differently.

    Example:
        >>> log = Interactions.from_arrays(["ann", "ann"], ["tea", "cup"], [1, 2])
        >>> later = Interactions.from_arrays(["ann", "bob", "ann"], ["cup", "nut", "nut"], [2, 3, 4])
        >>> grown = grow_log(log, later)
        >>> grown.log.item_ids.keys_of(grown.log.items).tolist(), grown.is_new.tolist(), grown.repeated
        (['tea', 'cup', 'nut', 'nut'], [False, False, True, True], 1)
    """
    if len(log) and (log.timestamps is None) != (later.timestamps is None):
        without, its = ("times", "none") if log.timestamps is not None else ("no times", "some")
        hint = "events of both logs could not be put in order"
        raise ArgumentError("log", f"a log with {without}, as the earlier one has", Verbatim(its), hint)
    check_units(log, later, "log")
    user_ids, item_ids = grown_ids(log.user_ids, later.user_ids), grown_ids(log.item_ids, later.item_ids)
    repeats = find_repeats(log, later)
    column_ids = {
        name: grown_ids(log.column_ids.get(name), later.column_ids.get(name))
        for name in {**log.column_ids, **later.column_ids}
    }
    recoded = _recoded(later, user_ids, item_ids, column_ids)
    is_whole = int(repeats.sum()) == len(log)
    if is_whole:
        parts, is_new = [recoded], ~repeats
    else:
        parts = [_recoded(log, user_ids, item_ids, column_ids), _renumbered(recoded.select(~repeats), log)]
        is_new = np.arange(len(parts[0]) + len(parts[1])) >= len(log)
    joined, order = joined_log(parts, filled=True)  # of events at the same time those of the earlier log come first
    grown = replace(
        joined,
        column_ids=column_ids,
        item_features=_grown_features(log.item_features, later.item_features, log.item_ids, later.item_ids, item_ids),
        user_features=_grown_features(log.user_features, later.user_features, log.user_ids, later.user_ids, user_ids),
        dropped=later.dropped,
        notes=later.notes,
    )
    return GrownLog(grown, is_new[order], int(repeats.sum()), is_whole)


def check_units(log: Interactions, later: Interactions, name: str) -> None:
    """Check that the times of two logs count alike, where both are seen to count seconds since 1970, or parts of them.

    Args:
        log: the earlier log.
        later: what came then.
        name: what the caller calls the later one.

    Raises:
        ArgumentError: one has seconds, say, the other milliseconds.

    Example:
        >>> log = Interactions.from_arrays([1, 1], [5, 7], [1_700_000_000, 1_700_000_060])
        >>> check_units(log, Interactions.from_arrays([1, 1], [5, 7], [1_700_000_000_000, 1_700_000_060_000]), "log")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: log: expected times in s since 1970, as before, got ms; with a format, all are in s
    """
    if log.timestamps is None or later.timestamps is None:
        return
    unit, its = epoch_unit(log.timestamps), epoch_unit(later.timestamps)
    if unit is not None and its is not None and unit != its:
        hint = "with a format, all are in s"
        raise ArgumentError(name, f"times in {unit} since 1970, as before", Verbatim(its), hint)


def find_repeats(log: Interactions, later: Interactions) -> NDArray[np.bool_]:
    """Which events (N,) of a later log are in an earlier one already.

    Where both have times, those of the same user, item and time, each as often as the earlier log has it: the same item
    at another time is another event. Without times, the first n events of a user, if they are exactly the n that the
    earlier log has: so does a log begin that grew.

    Example:
        >>> log = Interactions.from_arrays(["ann", "ann"], ["tea", "cup"], [1, 2])
        >>> find_repeats(log, Interactions.from_arrays(["ann"] * 3, ["tea", "cup", "tea"], [1, 2, 3])).tolist()
        [True, True, False]
    """
    users = translated(later.user_ids, log.user_ids)
    items = translated(later.item_ids, log.item_ids)[np.asarray(later.items, dtype=np.int64)]
    if log.timestamps is None or later.timestamps is None:
        return _is_prefix(log, later.offsets, users, items)
    users = users[np.asarray(later.users, dtype=np.int64)]
    found = np.zeros(len(later), dtype=np.bool_)
    asked = np.flatnonzero((users >= 0) & (items >= 0))
    is_asked = np.zeros(log.num_users, dtype=np.bool_)
    is_asked[users[asked]] = True
    owners = np.asarray(log.users, dtype=np.int64)
    ours = np.flatnonzero(is_asked[owners])
    own_items = np.asarray(log.items, dtype=np.int64)
    pairs = np.concatenate(
        [owners[ours] * log.num_items + own_items[ours], users[asked] * log.num_items + items[asked]]
    )
    times = np.concatenate([np.asarray(log.timestamps)[ours], np.asarray(later.timestamps)[asked]])
    times = np.unique(times, return_inverse=True)[1].reshape(-1)  # by which missing ones are equal
    order = np.lexsort((times, pairs))  # stable: of equal events those of the earlier log come first
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (np.diff(pairs[order]) != 0) | (np.diff(times[order]) != 0)
    group = np.cumsum(first) - 1
    there = np.bincount(group[order < len(ours)], minlength=int(first.sum()))
    place = np.arange(len(order)) - np.flatnonzero(first)[group]
    known = (order >= len(ours)) & (place < 2 * there[group])
    found[asked[order[known] - len(ours)]] = True
    return found


def _is_prefix(
    log: Interactions, offsets: NDArray[np.int64], users: NDArray[np.int64], items: NDArray[np.int64]
) -> NDArray[np.bool_]:
    there = np.where(users >= 0, np.diff(log.offsets, append=log.offsets[-1])[users], 0)
    able = np.flatnonzero((there > 0) & (np.diff(offsets) >= there))
    found = np.zeros(len(items), dtype=np.bool_)
    if len(able):
        ours, bounds = log.histories(users[able])
        rows = np.arange(bounds[-1]) + np.repeat(offsets[able] - bounds[:-1], there[able])
        same = np.logical_and.reduceat(items[rows] == ours, bounds[:-1])
        found[rows[np.repeat(same, there[able])]] = True
    return found


def grown_ids(ids: Identifiers | None, more: Identifiers | None) -> Identifiers:
    """The ids of an earlier log, with those of a later one behind them that it lacks.

    Raises:
        ArgumentTypeError: some are integers, others strings.

    Example:
        >>> grown_ids(Identifiers(["tea", "cup"]), Identifiers(["nut", "tea"])).keys.tolist()
        ['tea', 'cup', 'nut']
    """
    if ids is None or more is None or not len(ids) or not len(more):
        found = ids if more is None or not len(more) else more
        assert found is not None
        return found
    if ids.kind != more.kind:
        kinds = {"int": "integers", "str": "strings"}
        raise ArgumentTypeError("log", f"ids that are {kinds[ids.kind]}, as before", more.keys[0].item())
    unknown = more.keys[np.asarray(ids.codes(more.keys)) < 0]
    return Identifiers(np.concatenate([ids.keys, unknown])) if len(unknown) else ids


def _recoded(
    log: Interactions, user_ids: Identifiers, item_ids: Identifiers, column_ids: Mapping[str, Identifiers]
) -> Interactions:
    """A log with codes of other ids, which have all of its own, without features."""
    columns = dict(log.columns)
    for name, own in log.column_ids.items():
        columns[name] = np.append(0, translated(own, column_ids[name]) + 1)[np.asarray(log.columns[name])]
    users = translated(log.user_ids, user_ids)[np.asarray(log.users, dtype=np.int64)]
    items = translated(log.item_ids, item_ids)[np.asarray(log.items, dtype=np.int64)]
    return replace(
        log,
        users=users,
        items=items,
        columns=columns,
        user_ids=user_ids,
        item_ids=item_ids,
        column_ids=column_ids,
        item_features=None,
        user_features=None,
    )


def _renumbered(later: Interactions, log: Interactions) -> Interactions:
    """A later log whose sessions are not those of an earlier one: their numbers begin anew in every log."""
    if "session" not in later.columns or "session" in {*log.column_ids, *later.column_ids}:
        return later
    before = log.columns.get("session")
    last = 0 if before is None else max(int(before.max(initial=-1)), 0)
    return replace(later, columns={**later.columns, "session": later.columns["session"].astype(np.int64) + last + 1})


def _grown_features(
    features: Features | None, more: Features | None, own: Identifiers, theirs: Identifiers, ids: Identifiers
) -> Features | None:
    """Features of all ids: those of the earlier table, and over them what is known in the later one."""
    if features is None:
        return None
    for name in () if more is None else (*more.values, *more.dense):
        kind, its = _kind(features, name), "" if more is None else _kind(more, name)
        if kind and kind != its:
            raise ArgumentError("log", f"{kind} in the feature {name!r}, as before", Verbatim(its), _AS_BEFORE)
    before, after = translated(own, ids), translated(theirs, ids)
    values: dict[str, NDArray[np.int32]] = {}
    codings: dict[str, Coding] = {}
    for name, table in features.values.items():
        coding, later = features.codings[name], None if more is None else more.values.get(name)
        if later is not None and later.ndim < table.ndim:  # of a table where no item happens to have several values
            later = later[:, None]
        if more is None or later is None:
            codings[name], recode = coding, np.zeros(1, dtype=np.int32)
        else:
            codings[name], recode = _grown_coding(name, coding, more.codings[name])
        width = None if table.ndim == 1 else max(table.shape[1], 0 if later is None else later.shape[-1])
        values[name] = unknown_values((len(ids),) if width is None else (len(ids), width))
        _put(values[name], before, table)
        if later is not None:
            if later.ndim != table.ndim:
                raise ArgumentError("log", f"one value of {name!r} for each, as before", Verbatim("several"))
            known = (later if later.ndim == 1 else later[:, 0]) > 0
            _put(values[name], after[known], np.where(later < 0, -1, recode[later])[known])
    dense: dict[str, NDArray[np.float32]] = {}
    for name, vectors in features.dense.items():
        dense[name] = np.zeros((len(ids), vectors.shape[1]), dtype=np.float32)
        dense[name][before] = vectors
        later_vectors = None if more is None else more.dense.get(name)
        if later_vectors is not None:
            if later_vectors.shape[1] != vectors.shape[1]:
                expected = f"vectors of {vectors.shape[1]} numbers in {name!r}, as before"
                raise ArgumentError("log", expected, later_vectors.shape[1])
            if more is not None and name in features.scales:
                later_vectors = features.scales[name].rescaled(later_vectors, more.scales[name])
            known = later_vectors.any(axis=1)
            dense[name][after[known]] = later_vectors[known]
    return Features(values, codings, {} if more is None else more.dropped, dense, features.scales)


def _kind(features: Features, name: str) -> str:
    """What a feature is; "" where there is none."""
    if name in features.dense:
        return "numbers" if name in features.scales else "vectors"
    coding = features.codings.get(name)
    return "" if coding is None else "categories" if isinstance(coding, Categories) else "buckets"


def _put(table: NDArray[np.int32], rows: NDArray[np.int64], values: NDArray[np.int32]) -> None:
    if table.ndim == 1:
        table[rows] = values
    else:
        table[rows] = -1
        table[rows, : values.shape[1]] = values


def _grown_coding(name: str, coding: Coding, more: Coding) -> tuple[Coding, NDArray[np.int32]]:
    """A coding that has the values of both, and the code in it of each code of the later one."""
    if isinstance(coding, Categories) and isinstance(more, Categories):
        known = grown_ids(coding.known, more.known)
        codes = translated(more.known, known) if len(more.known) else np.zeros(0, dtype=np.int64)
        return replace(coding, known=known), np.append(0, codes + 1).astype(np.int32)
    if isinstance(coding, Buckets) and isinstance(more, Buckets) and np.array_equal(coding.edges, more.edges):
        return coding, np.arange(len(coding) + 1, dtype=np.int32)
    raise ArgumentError("log", f"the buckets of {name!r} as before", Verbatim("other ones"), _AS_BEFORE)
