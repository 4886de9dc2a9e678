"""A log that grows: codes that stay, events that are there once, and what a later log does not know."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq import ArgumentError, Popularity
from logq.logs import Features, Interactions, grow_log
from logq.logs.growing import find_repeats

EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 6)), min_size=2, max_size=25)


def log_of(events) -> Interactions:
    users, items, times = zip(*events, strict=True)
    return Interactions.from_arrays(list(users), [10 * item for item in items], list(times))


def events_of(log: Interactions) -> list[tuple[int, int, float]]:
    users, items = log.user_ids.keys_of(log.users), log.item_ids.keys_of(log.items)
    return list(zip(users.tolist(), items.tolist(), log.timestamps.tolist(), strict=True))


def several_items(events) -> bool:
    return len({item for _, item, _ in events}) > 1


@given(EVENTS.filter(several_items), EVENTS.filter(several_items))
def test_a_grown_log_has_each_event_as_often_as_the_log_that_has_it_most(old, new):
    log, later = log_of(old), log_of(new)
    grown = grow_log(log, later)
    wanted = []
    for event in {*events_of(log), *events_of(later)}:
        wanted += [event] * max(events_of(log).count(event), events_of(later).count(event))
    assert sorted(events_of(grown.log)) == sorted(wanted)
    assert grown.repeated == len(log) + len(later) - len(wanted)
    assert int(grown.is_new.sum()) == len(wanted) - len(log)
    assert sorted(events_of(grown.log.select(~grown.is_new))) == sorted(events_of(log))
    users = np.asarray(grown.log.users)
    times = np.asarray(grown.log.timestamps)
    assert ((np.diff(users) > 0) | ((np.diff(users) == 0) & (np.diff(times) >= 0))).all(), "by user, then time"
    for ids, before in ((grown.log.user_ids, log.user_ids), (grown.log.item_ids, log.item_ids)):
        assert ids.keys[: len(before)].tolist() == before.keys.tolist(), "known codes stay"
    assert (grown.log.item_counts() == np.bincount(grown.log.items, minlength=grown.log.num_items)).all()


def test_columns_labels_and_sessions_travel_with_their_events():
    log = Interactions.from_arrays(
        ["ann", "ann"], ["tea", "cup"], [1, 2], [5, 4], sessions=[7, 7], columns={"city": ["Rome", "Oslo"]}
    )
    later = Interactions.from_arrays(
        ["ann", "bob"], ["nut", "tea"], [3, 0], [1, 2], sessions=[7, 8], columns={"city": ["Kyiv", "Rome"], "n": [8, 9]}
    )
    grown = grow_log(log, later)
    cities = ["", *grown.log.column_ids["city"].keys.tolist()]
    assert cities[1:3] == log.column_ids["city"].keys.tolist()
    assert [cities[code] for code in grown.log.columns["city"].tolist()] == ["Rome", "Oslo", "Kyiv", "Rome"]
    assert grown.log.columns["n"].tolist() == [0, 0, 8, 9]
    assert grown.log.labels.tolist() == [5, 4, 1, 2]
    sessions = grown.log.columns["session"].tolist()
    assert sessions[0] == sessions[1]
    assert len({*sessions}) == 3, "numbers of sessions begin anew in each log"


def test_a_later_log_that_has_all_of_the_earlier_one_gives_its_columns_to_all_events():
    log = Interactions.from_arrays(["ann", "ann"], ["tea", "cup"], [1, 2])
    whole = Interactions.from_arrays(
        ["bob", "ann", "ann", "ann"], ["nut", "tea", "cup", "tea"], [0, 1, 2, 3], columns={"n": [4, 5, 6, 7]}
    )
    grown = grow_log(log, whole)
    assert grown.is_whole
    assert grown.log.columns["n"].tolist() == [5, 6, 7, 4]
    assert grown.is_new.tolist() == [False, False, True, True]
    assert grown.log.item_ids.keys.tolist()[:2] == log.item_ids.keys.tolist()


def test_without_times_later_events_come_after_those_before():
    log = Interactions.from_sessions([["tea", "cup"], ["nut", "tea"]])
    later = Interactions.from_arrays([1, 0, 2], ["oil", "nut", "cup"])
    grown = grow_log(log, later)
    assert grown.log.item_ids.keys_of(grown.log.items).tolist() == ["tea", "cup", "nut", "nut", "tea", "oil", "cup"]
    longer = Interactions.from_sessions([["tea", "cup", "oil"], ["tea", "nut", "tea"]])
    assert find_repeats(log, longer).tolist() == [True, True, False, False, False, False]


def test_features_grow_and_what_is_known_later_counts():
    log = Interactions.from_arrays([1, 1], [10, 20], [1, 2])
    table = {"id": [10, 20], "kind": ["a", "b"], "tags": [["x", "y"], ["y"]], "v": [[1.0, 2.0], [3.0, 4.0]]}
    log = log.with_features(items=Features.from_frame(table, log.item_ids))
    later = Interactions.from_arrays([1, 2, 2], [30, 20, 40], [3, 4, 5])
    table = {"id": [30, 20], "kind": ["c", "a"], "tags": [["z", "x", "y"], []], "v": [[5.0, 6.0], None]}
    later = later.with_features(items=Features.from_frame({**table, "new": ["p", "q"]}, later.item_ids))
    features = grow_log(log, later).log.item_features
    assert features is not None
    assert list(features.values) == ["kind", "tags"], "what was not known before is left out"
    kinds = features.codings["kind"].known.keys.tolist()
    assert kinds == ["a", "b", "c"]
    codes = dict(zip([10, 20, 30, 40], features.values["kind"].tolist(), strict=True))
    assert {item: ["", *kinds][code] for item, code in codes.items()} == {10: "a", 20: "a", 30: "c", 40: ""}
    tags = ["", *features.codings["tags"].known.keys.tolist()]
    found = [[tags[code] for code in row if code > 0] for row in features.values["tags"].tolist()]
    assert found == [["x", "y"], ["y"], ["z", "x", "y"], []]
    assert features.dense["v"].tolist() == [[1, 2], [3, 4], [5, 6], [0, 0]]
    assert features.values["tags"][3].tolist() == [0, -1, -1]


def test_logs_that_do_not_go_together_are_refused():
    log = Interactions.from_arrays(["a", "a"], ["x", "y"], [1, 2])
    with pytest.raises(ValueError, match="log: expected a log with times, as the earlier one has, got none"):
        grow_log(log, Interactions.from_arrays(["a"] * 2, ["x", "z"]))
    with pytest.raises(ValueError, match="log: expected a log with no times, as the earlier one has, got some"):
        grow_log(Interactions.from_arrays(["a"] * 2, ["x", "z"]), log)
    with pytest.raises(TypeError, match="log: expected ids that are strings, as before, got 1"):
        grow_log(log, Interactions.from_arrays([1, 1], ["x", "z"], [1, 2]))
    ages = Features.from_frame({"id": ["a"], "age": [0.5]}, log.user_ids, buckets={"age": 2})
    other = Features.from_frame(
        {"id": ["a", "b"], "age": [0.5, 8.5]}, Interactions.from_arrays(["a", "b"], [1, 2]).user_ids, buckets={"age": 2}
    )
    later = Interactions.from_arrays(["a", "b"], ["x", "z"], [8, 9]).with_features(users=other)
    with pytest.raises(ValueError, match="the buckets of 'age' as before"):
        grow_log(log.with_features(users=ages), later)


@pytest.mark.parametrize(("size", "unit"), [(1, "s"), (10**3, "ms"), (10**6, "us")])
def test_times_in_different_units_are_refused(size, unit):
    times = np.arange(1_700_000_000, 1_700_000_004)
    log, later = (log_of([(1, 1, t), (2, 2, t + 1)]) for t in ((times[0] * size), times[2] * 10**9))
    message = rf"^{{}}: expected times in {unit} since 1970, as before, got ns; with a format, all are in s$"
    with pytest.raises(ArgumentError, match=message.format("log")):
        grow_log(log, later)
    model = Popularity().fit(log, progress=False)
    with pytest.raises(ArgumentError, match=message.format("data")):
        model.evaluate(later, ks=(1,), progress=False)
    with pytest.raises(ArgumentError, match=message.format("log")):
        model.fit(later, warm=True, progress=False)
    numbers = log_of([(1, 1, 1), (2, 2, 2)])  # of which nobody knows what they count
    assert len(grow_log(numbers, later).log) == len(grow_log(log, numbers).log) == 4
