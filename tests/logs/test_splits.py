"""Splits against loops over users, saved and loaded."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import (
    Interactions,
    Split,
    leave_one_out,
    rolling_splits,
    split_at_random,
    split_by_session,
    split_by_time,
    split_by_user,
)
from logq.recommenders import ItemKNN
from logq.recommenders.events.held_out import HeldOut

COUNTS = st.lists(st.integers(1, 6), min_size=1, max_size=8).filter(lambda counts: sum(counts) > 1)


def log_of(counts):
    """User u has counts[u] events, with times in an order that mixes users; the items are all different."""
    users = np.repeat(np.arange(len(counts)), counts)
    return Interactions.from_arrays(users, np.arange(len(users)), (np.arange(len(users)) * 7) % 11)


@given(COUNTS, st.booleans(), st.integers(0, 2))
def test_leave_one_out_takes_the_last_of_each_user(counts, validation, min_train):
    log = log_of(counts)
    needed = min_train + 1 + validation
    if max(counts) < needed or (min_train == 0 and all(count in (0, needed) for count in counts)):
        with pytest.raises(ValueError, match="log: "):
            leave_one_out(log, validation, min_train=min_train)
        return
    split = leave_one_out(log, validation, min_train=min_train)
    parts = {"train": [], "validation": [], "test": []}
    for user, count in enumerate(counts):
        rows = [row for row in range(len(log)) if log.users[row] == user]
        if count >= needed:
            parts["test"].append(rows.pop())
            if validation:
                parts["validation"].append(rows.pop())
        parts["train"] += rows
    for name, rows in parts.items():
        assert np.flatnonzero(split.rows(name)).tolist() == rows
    assert split.how["users_too_short"] == sum(count < needed for count in counts)
    assert split.how["test_events_of_items_not_in_train"] == len(parts["test"])  # each item is there once
    assert split.test.items.tolist() == log.items[parts["test"]].tolist()
    assert split.test.num_items == split.train.num_items == log.num_items
    assert (split.validation is None) == (not validation)
    assert len(split.history("test")) == len(parts["train"]) + len(parts["validation"])
    assert len(split.history("validation")) == len(parts["train"])


@given(COUNTS, st.integers(1, 9), st.booleans())
def test_split_by_time_cuts_at_the_moment(counts, moment, known_users):
    log = log_of(counts)
    times = log.timestamps
    warm = {user for user, time in zip(log.users.tolist(), times.tolist(), strict=True) if time < moment}
    late = [(time >= moment) and (not known_users or user in warm) for user, time in zip(log.users, times, strict=True)]
    if not any(late) or not (times < moment).any():
        with pytest.raises(ValueError, match=r"expected (a time after|events for (train|test|validation), got none)"):
            split_by_time(log, moment, known_users=known_users)
        return
    split = split_by_time(log, moment, known_users=known_users)
    assert split.rows("test").tolist() == late
    assert split.rows("train").tolist() == (times < moment).tolist()


def test_shares_of_a_log_are_moments():
    log = Interactions.from_arrays([1] * 10, list(range(10)), [0, 1, 2, 3, 4, 5, 6, 7, 7, 9])
    split = split_by_time(log, 0.8, 0.5)
    assert split.how["test"] == 7
    assert [np.count_nonzero(split.rows(name)) for name in ("train", "validation", "test")] == [5, 2, 3]
    with pytest.raises(ValueError, match=r"validation: expected a time before that of the test, 7\.0, got 8"):
        split_by_time(log, 7.0, 8.0)
    with pytest.raises(ValueError, match="log: expected a log with times"):
        split_by_time(Interactions.from_arrays([1, 1], [1, 2]), 0.5)


def test_the_last_session_of_each_user_is_left_out():
    sessions = ["a", "a", "b", "c", "c", "d", "e"]
    log = Interactions.from_arrays([1, 1, 1, 1, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7], sessions=sessions)
    split = split_by_session(log)
    assert split.part.tolist() == [0, 0, 1, 2, 2, 0, 0]
    assert split.how["users_too_short"] == 2
    gaps = Interactions.from_arrays([1] * 4, [1, 2, 3, 4], [0, 5, 100, 101])
    assert split_by_session(gaps, validation=False, gap=50).part.tolist() == [0, 0, 2, 2]
    with pytest.raises(ValueError, match=r"expected sessions to leave out for the test.*give fraction"):
        split_by_session(Interactions.from_arrays([1, 2], [1, 2]))


def test_sessions_are_drawn_by_seed():
    log = Interactions.from_sessions([[1, 2], [2, 3], [3, 4], [4, 5], [5, 1]] * 4)
    splits = [split_by_session(log, fraction=0.1, seed=seed) for seed in (0, 0, 1)]
    assert splits[0].part.tolist() == splits[1].part.tolist() != splits[2].part.tolist()
    assert [np.count_nonzero(splits[0].rows(name)) for name in ("train", "validation", "test")] == [32, 4, 4]
    pairs = splits[0].part.reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()  # sessions stay whole


def test_a_saved_split_comes_back_for_its_own_log_only(tmp_path):
    log = log_of([3, 4, 1])
    split = leave_one_out(log)
    split.save(tmp_path / "split")
    log.save(tmp_path / "log")
    again = Split.load(tmp_path / "split", Interactions.load(tmp_path / "log"))
    assert again.part.tolist() == split.part.tolist()
    assert again.how == split.how
    with pytest.raises(ValueError, match="it belongs to another log"):
        Split.load(tmp_path / "split", log_of([3, 5]))
    with pytest.raises(FileNotFoundError, match=r"expected split\.json in it"):
        Split.load(tmp_path / "log", log)
    np.save(tmp_path / "split" / "part.npy", np.full(len(log), 9, dtype=np.int8))
    with pytest.raises(ValueError, match=r"part\.npy: .* its digest differs"):
        Split.load(tmp_path / "split", log)
    wrong = replace(split, part=np.full(len(log), 9, dtype=np.int8))
    wrong.save(tmp_path / "split")
    with pytest.raises(ValueError, match=r"expected a part in \[0, 4\]"):
        Split.load(tmp_path / "split", log)


@pytest.mark.parametrize("facts", [5, {}, {"how": 3}, {"how": {}}])
def test_a_split_whose_facts_were_changed_is_refused(tmp_path, facts):
    log = log_of([3, 4])
    leave_one_out(log).save(tmp_path)
    text = json.loads((tmp_path / "split.json").read_text())
    text["facts"] = {**facts, "log": log.fingerprint()} if isinstance(facts, dict) else facts
    (tmp_path / "split.json").write_text(json.dumps(text))
    with pytest.raises(ValueError, match=r"split\.json.*is damaged"):
        Split.load(tmp_path, log)


def test_parts_that_do_not_exist_are_refused():
    split = leave_one_out(log_of([3, 3]))
    with pytest.raises(ValueError, match="part: expected"):
        split.rows("tests")
    with pytest.raises(ValueError, match="part: expected"):
        split.history("train")
    with pytest.raises(ValueError, match="min_train: expected an integer >= 0"):
        leave_one_out(log_of([3]), min_train=-1)
    with pytest.raises(TypeError, match="min_train: expected an integer >= 0"):
        leave_one_out(log_of([3]), min_train=1.5)
    with pytest.raises(ValueError, match="log: expected users with at least 3 events, got at most 2"):
        leave_one_out(log_of([2]))


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize(
    "moment",
    [
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        "2024/01/01 01:00:00 +01:00",
        datetime(2024, 1, 1),
        date(2024, 1, 1),
        np.datetime64("2024-01-01"),
        pd.Timestamp("2024-01-01", tz="UTC"),
    ],
)
def test_a_log_can_be_split_at_a_date_whatever_its_unit(moment, factor):
    new_year = 1_704_067_200  # date -u -d 2024-01-01 +%s
    times = np.array([new_year - 1, new_year, new_year + 1]) * factor
    split = split_by_time(Interactions.from_arrays([1, 1, 1], [5, 6, 7], times), moment)
    assert split.part.tolist() == [0, 2, 2]
    assert split.how["test"] == new_year * factor


def test_a_date_for_a_log_without_dates_and_what_is_no_date_are_refused():
    log = Interactions.from_arrays([1, 1, 1], [5, 6, 7], [1, 2, 3])
    with pytest.raises(
        ValueError, match=r"test: expected a number, got .2024-01-01.; .* numbers from 1 to 3, not dates"
    ):
        split_by_time(log, "2024-01-01")
    for wrong in ("yesterday", "1/2/2024", "0.8", None, [1]):
        with pytest.raises(
            TypeError, match="test: expected a date such as '2024-01-31', a time of the log, or a share"
        ):
            split_by_time(log, wrong)


def test_ties_at_a_cut_are_counted():
    log = Interactions.from_arrays([1] * 10, list(range(10)), [0, 1, 2, 3, 3, 3, 3, 3, 8, 9])
    split = split_by_time(log, 0.6, 0.2)
    assert (split.how["test_ties"], split.how["validation_ties"]) == (3, 0)  # 7 of 10 in the test instead of 4
    assert split_by_time(log, 3).how["test_ties"] == 0
    log = Interactions.from_arrays([1, 1, 2, 2, 3], [5, 6, 5, 6, 5], [1, 1, 1, 2, 2])
    assert leave_one_out(log, validation=False).how["test_ties"] == 1
    assert leave_one_out(Interactions.from_arrays([1, 1], [5, 6]), validation=False).how["test_ties"] == 0


def test_a_split_says_how_many_events_no_time_tells_apart():
    log = Interactions.from_arrays([1, 1, 1, 2, 2, 2, 3, 3, 3], [5, 6, 7] * 3, [1, 2, 2, 3, 3, 4, 6, 6, 7])
    split = leave_one_out(log)
    assert (split.how["test_ties"], split.how["validation_ties"]) == (1, 2)  # of user 1, and of users 2 and 3
    assert "the test event of 1 of 3 users, the validation event of 2 of 3 users; the order of rows" in split.remark()
    assert leave_one_out(log.select(log.users == 2), validation=False).remark() == ""
    alike = Interactions.from_arrays(range(10), [5, 6] * 5, [1, 1, 1, 2, 2, 2, 2, 3, 3, 3])
    # Half of ten would cut between the two events at 2 and two more: all four of them go to the test.
    assert split_by_time(alike, 0.5).remark().startswith("equal times at the cut: 2 of 7 events of the test part")
    assert split_by_time(alike, 0.3).remark() == ""


@pytest.mark.parametrize("moment", ["2024-01-02", "20240102", "2 January 2024", "2024-01-02T00:00:00Z", 1_704_153_600])
def test_ways_to_write_the_day_of_a_split(moment):
    log = Interactions.from_arrays([1] * 3, [5, 6, 7], ["2024-01-01", "2024-01-02", "2024-01-03"])
    assert split_by_time(log, moment).part.tolist() == [0, 2, 2]


@pytest.mark.parametrize("moment", ["2030-01-01", "2024-01-01", 20240102, 0])
def test_a_time_outside_of_the_log_is_refused_with_the_ends_of_the_log(moment):
    log = Interactions.from_arrays([1] * 3, [5, 6, 7], ["2024-01-01", "2024-01-02", "2024-01-03"])
    expected = "test: expected a time after 2024-01-01 00:00:00 and up to 2024-01-03 00:00:00, those of the log"
    with pytest.raises(ValueError, match=expected):
        split_by_time(log, moment)


@given(COUNTS, st.booleans(), st.integers(1, 3))
def test_the_last_few_events_of_each_user_are_left_out(counts, validation, last):
    log = log_of(counts)
    needed = 1 + last * (1 + validation)
    if max(counts) < needed:
        with pytest.raises(ValueError, match=f"log: expected users with at least {needed} events"):
            leave_one_out(log, validation, last=last)
        return
    split = leave_one_out(log, validation, last=last)
    for user, count in enumerate(counts):
        parts = split.part[log.users == user].tolist()
        if count < needed:
            assert parts == [0] * count
        else:
            assert parts == [0] * (count - needed + 1) + [1] * (last * validation) + [2] * last


def test_ties_of_the_last_few_are_counted_at_the_cut():
    log = Interactions.from_arrays([1] * 5 + [2] * 5, list(range(10)), [0, 1, 2, 3, 3, 0, 1, 2, 2, 3])
    split = leave_one_out(log, last=2)  # cuts before the test: 2 | 3 3, and 2 | 2 3, which is one of equal times
    assert (split.how["test_ties"], split.how["validation_ties"]) == (1, 0)
    split = leave_one_out(log, validation=False, last=1)
    assert split.how["test_ties"] == 1
    tied = Interactions.from_arrays([1] * 4, list(range(4)), [0, 1, 1, 2])
    assert leave_one_out(tied, validation=False, last=2).remark() == (
        "equal times at the cut: the test events of 1 of 1 users; the order of rows told them from those before"
    )


@given(COUNTS, st.integers(1, 3), st.floats(0.5, 4), st.booleans(), st.one_of(st.none(), st.floats(1, 5)))
def test_rolling_windows_go_back_from_the_last_event(counts, windows, width, validation, back):
    log = log_of(counts)
    end = log.timestamps.max()
    try:
        found = rolling_splits(log, windows, width=width, train_width=back, validation=validation)
    except ValueError as error:
        assert "log: expected events for" in str(error)  # noqa: PT017
        return
    assert len(found) == windows
    for window, split in enumerate(found):
        after = windows - 1 - window
        for time, part in zip(log.timestamps, split.part, strict=True):
            age = (end - time) / width - after  # widths before the end of this window's test
            if age < 0:
                expected = 3
            elif age < 1:
                expected = 2
            elif validation and age < 2:
                expected = 1
            else:
                older = end - time - (after + 1 + validation) * width
                expected = 0 if back is None or older < back else 3
            assert part == expected or np.isclose(age, round(age))


def test_windows_of_dates_are_as_wide_as_a_timedelta():
    days = [f"2024-01-{day:02}" for day in range(1, 29)]
    log = Interactions.from_arrays([1] * 28, list(range(28)), days)
    first, second = rolling_splits(log, 2, width=timedelta(days=7), validation=False)
    assert log.item_ids.keys_of(first.test.items).tolist() == list(range(14, 21))
    assert log.item_ids.keys_of(second.test.items).tolist() == list(range(21, 28))
    assert len(first.train) == 14
    assert len(second.train) == 21
    edge = rolling_splits(log, 2, width=timedelta(days=7), train_width=timedelta(days=3), validation=False)
    assert [log.item_ids.keys_of(split.train.items).tolist() for split in edge] == [[11, 12, 13], [18, 19, 20]]
    (half,) = rolling_splits(log, 1, train_width=timedelta(days=3), validation=False)
    assert (len(half.test), len(half.train)) == (14, 3)
    with pytest.raises(ValueError, match=r"width: expected a number, got .*not dates"):
        rolling_splits(log_of([3, 4]), 1, width=timedelta(days=7))
    with pytest.raises(ValueError, match="log: expected events at different times"):
        rolling_splits(Interactions.from_arrays([1, 1], [1, 2], [5, 5]), 1)
    with pytest.raises(ValueError, match="log: expected a log with times"):
        rolling_splits(Interactions.from_arrays([1, 1], [1, 2]))


def test_users_new_in_a_window_may_be_left_out():
    log = Interactions.from_arrays([1, 1, 2, 2], [1, 2, 1, 2], [0, 2, 3, 4])
    (split,) = rolling_splits(log, 1, width=2, validation=False)
    assert split.how["cold_user_events"] == 2
    assert split.part.tolist() == [0, 0, 2, 2]
    with pytest.raises(ValueError, match="events for test"):
        rolling_splits(log, 1, width=2, validation=False, known_users=True)


@given(COUNTS, st.one_of(st.integers(1, 4), st.floats(0.1, 0.9)), st.integers(0, 5))
def test_users_held_out_whole_are_given_and_asked(counts, asked, seed):
    log = log_of([*counts, 2, 2, 2])
    rng = np.random.default_rng(seed)
    users = rng.permutation(len(counts) + 3)
    test, validation = users[:1], users[1:2]
    able = {user: np.count_nonzero(log.users == log.user_ids.codes([user])[0]) > 1 for user in users[:2].tolist()}
    if not all(able.values()):
        with pytest.raises(ValueError, match="expected events for"):
            split_by_user(log, test, validation, asked=asked)
        return
    split = split_by_user(log, test, validation, asked=asked)
    for code, user in enumerate(log.user_ids.keys.tolist()):
        parts = split.part[log.users == code].tolist()
        wanted = min(asked if asked >= 1 else int(np.ceil(asked * len(parts))), len(parts) - 1)
        if user in test or user in validation:
            assert parts == [4] * (len(parts) - wanted) + [2 if user in test else 1] * wanted
        else:
            assert parts == [0] * len(parts)
    history = split.history("test")
    assert set(np.unique(split.test.users)) <= set(np.unique(history.users))
    assert len(history) == len(log) - len(split.test)
    tested = log.user_ids.codes(test)[0]
    before = split.history("validation")
    assert len(before) == np.count_nonzero(log.users != tested) - len(split.validation)
    learned = HeldOut(split.validation, before).together()  # what a model is trained on again
    assert learned.items.tolist() == log.items[log.users != tested].tolist()


def test_a_share_of_users_is_drawn_by_seed():
    log = Interactions.from_sessions([["a", "b"]] * 20 + [["a"]] * 2)
    split = split_by_user(log, 0.25, 0.1, seed=3)
    held_out = {name: set(part.users.tolist()) for name, part in (("test", split.test), ("valid", split.validation))}
    assert len(held_out["test"]) + len(held_out["valid"]) + split.how["users_too_short"] == 6 + 2
    assert not held_out["test"] & held_out["valid"]
    assert split_by_user(log, 0.25, 0.1, seed=3).part.tolist() == split.part.tolist()
    assert any(split_by_user(log, 0.25, 0.1, seed=seed).part.tolist() != split.part.tolist() for seed in range(9))
    assert split.remark().startswith("users held out whole, of whom nothing is learned: ")
    for bad, said in (
        ([99], "test: expected ids of users"),
        (0.7, "test: expected a finite number > 0 and <= 0.5"),
        ([0], "validation: exp"),
    ):
        with pytest.raises(ValueError, match=said):
            split_by_user(log, bad, [0])


def test_events_drawn_at_random_come_with_a_warning(tmp_path):
    log = log_of([4, 5, 6])
    split = split_at_random(log, 0.2, 0.4, seed=1)
    assert [np.count_nonzero(split.rows(name)) for name in ("train", "validation", "test")] == [6, 6, 3]
    assert split_at_random(log, 0.2, 0.4, seed=1).part.tolist() == split.part.tolist()
    assert split_at_random(log, 0.2, 0.4, seed=2).part.tolist() != split.part.tolist()
    assert "at random: the model learns from events that came after" in split.remark()
    split.save(tmp_path)
    assert Split.load(tmp_path, log).remark() == split.remark()
    with pytest.raises(ValueError, match="shares of test and validation that leave events to train on"):
        split_at_random(log, 0.5, 0.5)


def test_a_split_by_user_is_saved_and_evaluated(tmp_path):
    log = Interactions.from_sessions([["tea", "cup", "saw"]] * 6 + [["saw", "tea", "cup"]] * 2)
    split = split_by_user(log, test=[6, 7], validation=None)
    split.save(tmp_path)
    again = Split.load(tmp_path, log)
    assert again.part.tolist() == split.part.tolist()
    assert len(again.history("test")) == 22
    model = ItemKNN().fit(split)
    assert model.known.item_counts().tolist() == [6, 6, 6]  # nothing of users 6 and 7
    scores = model.evaluate(split, ks=[1])
    assert (scores.users, scores["HR@1"]) == (2, 1.0)
