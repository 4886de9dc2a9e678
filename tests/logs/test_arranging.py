"""A log in codes, sorted and cleaned, against loops over rows."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import Identifiers, Interactions
from logq.logs.ordering import order_rows

# Few values, so that rows repeat one another; a missing one now and then.
ROW = st.tuples(
    st.sampled_from([0, 1, 2, 0, 1, 2, 0, 1, None]),  # user
    st.sampled_from(["a", "b", "c", "d", "a", "b", "c", None]),  # item
    st.sampled_from([0, 1, 2, 0, 1, 2, 0, None]),  # time
    st.sampled_from([1, 2, 3, 3, 2, 3, 3, None]),  # label
    st.sampled_from([0, 0, 1]),  # a column
)
WAYS = st.fixed_dictionaries(
    {
        "deduplicate": st.sampled_from(["exact", "first", "last", None]),
        "min_label": st.none() | st.integers(1, 3),
        "min_user": st.integers(1, 3),
        "min_item": st.integers(1, 3),
    }
)


def by_loops(rows, deduplicate, min_label, min_user, min_item):
    """Rows that stay, in the order of the log, and counts of the others."""
    dropped = Counter()
    kept = []
    for place, (user, item, time, label, side) in enumerate(rows):
        reasons = [
            (user is None, "no user"),
            (item is None, "no item"),
            (time is None, "no time"),
            (label is None, "no label"),
            (min_label is not None and label is not None and label < min_label, f"label below {min_label}"),
        ]
        reason = next((reason for wrong, reason in reasons if wrong), None)
        if reason:
            dropped[reason] += 1
        else:
            kept.append((place, user, item, time, label, side))
    if deduplicate:
        in_time = sorted(kept, key=lambda row: (row[3], row[0]))
        seen, unique = set(), []
        for row in reversed(in_time) if deduplicate == "last" else in_time:
            key = row[1:] if deduplicate == "exact" else row[1:3]
            if key in seen:
                dropped["duplicate"] += 1
            else:
                seen.add(key)
                unique.append(row)
        kept = sorted(unique)
    while True:
        before = len(kept)
        for name, place, least in (("item", 2, min_item), ("user", 1, min_user)):
            counts = Counter(row[place] for row in kept)
            rare = [row for row in kept if counts[row[place]] < least]
            if rare:
                dropped[f"rare {name}"] += len(rare)
            kept = [row for row in kept if counts[row[place]] >= least]
        if len(kept) == before:
            return kept, dict(dropped)


def columns_of(rows):
    users, items, times, labels, sides = zip(*rows, strict=True) if rows else ([],) * 5
    return {
        "users": list(users),
        "items": list(items),
        "timestamps": list(times),
        "labels": list(labels),
        "columns": {"side": list(sides)},
    }


@given(st.lists(ROW, min_size=1, max_size=10) | st.lists(ROW, min_size=12, max_size=30), WAYS)
def test_a_log_is_what_loops_make_of_it(rows, ways):
    kept, dropped = by_loops(rows, **ways)
    items = [row[2] for row in kept]
    if not items:
        with pytest.raises(ValueError, match="log: expected events that are kept"):
            Interactions.from_arrays(**columns_of(rows), **ways)
        return
    log = Interactions.from_arrays(**columns_of(rows), **ways)
    users = list(dict.fromkeys(row[1] for row in kept))
    counts = Counter(items)
    by_count = sorted(counts, key=lambda item: (-counts[item], items.index(item)))
    assert log.user_ids.keys.tolist() == users
    assert log.item_ids.keys.tolist() == by_count
    assert log.dropped == dropped
    expected = sorted(kept, key=lambda row: (users.index(row[1]), row[3], row[0]))
    assert log.user_ids.keys_of(log.users).tolist() == [row[1] for row in expected]
    assert log.item_ids.keys_of(log.items).tolist() == [row[2] for row in expected]
    assert log.timestamps.tolist() == [row[3] for row in expected]
    assert log.labels.tolist() == [row[4] for row in expected]
    assert log.columns["side"].tolist() == [row[5] for row in expected]
    assert log.item_counts().tolist() == [counts[item] for item in by_count]
    assert len(kept) + sum(dropped.values()) == len(rows)


@given(st.lists(st.tuples(st.integers(0, 70_000), st.integers(0, 3)), min_size=2, max_size=30))
def test_without_times_the_order_of_the_log_is_kept(rows):
    users, items = [row[0] for row in rows], [row[1] for row in rows]
    if len(set(items)) < 2:
        return
    log = Interactions.from_arrays(users, items)
    for code, user in enumerate(dict.fromkeys(users)):
        mine = log.items[log.offsets[code] : log.offsets[code + 1]]
        assert log.item_ids.keys_of(mine).tolist() == [item for owner, item in rows if owner == user]


@pytest.mark.parametrize("times", [[0, 2**62, 5, 7], [0.5, 2.5, 0.25, 1.5]])
def test_times_far_apart_and_fractions_are_sorted(times):
    log = Interactions.from_arrays([1, 1, 1, 2], ["a", "b", "c", "d"], times)
    order = sorted(range(3), key=lambda place: times[place])
    assert log.item_ids.keys_of(log.items).tolist() == [*("abc"[place] for place in order), "d"]
    assert log.notes[-1:] == ["1 event was out of time order and was sorted"]


def test_a_given_vocabulary_keeps_its_codes_and_unknown_rows_are_counted():
    first = Interactions.from_arrays([1, 1, 2], ["a", "b", "b"])
    log = Interactions.from_arrays([2, 3, 2, 2], ["a", "a", "z", "b"], user_ids=first.user_ids, item_ids=first.item_ids)
    assert log.dropped == {"unknown user": 1, "unknown item": 1}
    assert log.users.tolist() == [1, 1]
    assert log.items.tolist() == [1, 0]
    assert (log.num_users, log.num_items) == (2, 2)
    only = Interactions.from_arrays([9], ["a"], item_ids=Identifiers(["b", "a"]))
    assert only.items.tolist() == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"users": [], "items": []}, "log: expected at least two events, got none"),
        (
            {"users": [1, 2], "items": [7, 8], "labels": [float("nan")] * 2},
            "log: expected events that are kept, got 2 events, all dropped: 2 no label",
        ),
        ({"users": [1, 2], "items": [7, 8, 9]}, "items: expected 2 rows, as many as users, got 3"),
        ({"users": [1, 2], "items": [7, 8], "columns": {"x": [1]}}, "x: expected 2 rows, as many as users, got 1"),
        ({"users": [1, 2], "items": [7, 8], "min_label": 3}, "min_label: expected None for a log without labels"),
        ({"users": [1, 2], "items": [7, 8], "deduplicate": "all"}, "deduplicate: expected"),
        ({"users": [1, 2], "items": [7, 8], "min_user": 0}, "min_user: expected an integer >= 1"),
        (
            {"users": [1, 2], "items": [7, 8], "min_item": 2},
            "log: expected events that are kept, got 2 events, all dropped: 2 rare item",
        ),
    ],
)
def test_a_log_that_cannot_be_used_says_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        Interactions.from_arrays(**arguments)


@pytest.mark.parametrize(
    ("which", "expected"), [("first", [1, 2, 3, 6]), ("last", [3, 4, 5, 6]), ("exact", [1, 2, 3, 5, 6])]
)
def test_which_of_equal_rows_stays(which, expected):
    log = Interactions.from_arrays(
        [2, 1, 1, 1, 1, 1],
        ["a", "b", "a", "b", "a", "c"],
        [9, 7, 3, 7, 5, 5],
        columns={"row": [6, 2, 1, 2, 4, 3] if which == "exact" else [6, 2, 1, 5, 4, 3]},
        deduplicate=which,
    )
    assert len(log) == len(expected)
    if which != "exact":
        assert sorted(log.columns["row"].tolist()) == expected


def test_rare_ones_are_dropped_until_none_is_left():
    # c goes, so 3 has one event and goes, so b has one event and goes, so 2 has one event and goes.
    log = Interactions.from_arrays(
        [1, 1, 4, 4, 1, 4, 3, 3, 2, 2], ["a", "d", "a", "d", "a", "d", "c", "b", "b", "a"], min_user=2, min_item=2
    )
    assert log.user_ids.keys.tolist() == [1, 4]
    assert log.dropped == {"rare item": 2, "rare user": 2}


def test_events_at_one_time_that_differ_in_a_column_are_not_duplicates():
    arguments = {"users": [1, 1, 1], "items": [5, 5, 6], "timestamps": [1, 1, 1]}
    assert len(Interactions.from_arrays(**arguments)) == 2
    assert len(Interactions.from_arrays(**arguments, columns={"action": ["view", "buy", "buy"]})) == 3
    assert len(Interactions.from_arrays([1, 1, 1], [5, 5, 6])) == 3  # without times nobody knows


def test_missing_values_of_columns_stay():
    log = Interactions.from_arrays([1, 1], [5, 6], columns={"price": [1.5, None], "city": [None, "Rome"]})
    assert np.isnan(log.columns["price"][1])
    assert log.columns["city"].tolist() == [0, 1]
    assert log.column_ids["city"].keys.tolist() == ["Rome"]


def test_users_beyond_32_bits_are_sorted_too():
    assert order_rows(np.array([2**33, 5, 2**32, 5]), None).tolist() == [1, 3, 2, 0]
