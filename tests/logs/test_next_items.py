"""Examples against a loop over events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import Interactions, NextItems, Sequences, leave_one_out

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 9)), min_size=2, max_size=25)


def log_of(events):
    users, items, times = zip(*events, strict=True)
    return Interactions.from_arrays(
        users,
        [*items[:-2], 90, 91],
        times,
        labels=range(len(events)),
        columns={"hour": [time % 3 for time in times]},
        deduplicate=None,
    )


def by_loop(log, max_length, min_history, recent_first):
    """History, target, user, row and the rows of the history, for each event that has enough before it."""
    for row in range(len(log)):
        user = log.users[row]
        before = [other for other in range(row) if log.users[other] == user]
        if len(before) >= min_history:
            kept = before[max(len(before) - max_length, 0) :]
            kept = kept[::-1] if recent_first else kept
            yield log.items[kept].tolist(), log.items[row], user, row, kept


@given(EVENTS, st.integers(1, 4), st.integers(0, 3), st.booleans(), st.booleans())
def test_examples_are_those_of_a_loop(events, max_length, min_history, recent_first, pad):
    log = log_of(events)
    expected = list(by_loop(log, max_length, min_history, recent_first))
    options = {"min_history": min_history, "recent_first": recent_first, "pad": pad, "age": "seconds"}
    if not expected:
        with pytest.raises(ValueError, match=f"log: expected events with at least {min_history} before them"):
            NextItems(log, max_length, **options)
        return
    examples = NextItems(log, max_length, context=["hour"], history_columns=["label", "hour"], **options)
    assert len(examples) == len(expected)
    batch = examples.batch(np.arange(len(expected)))
    width = max_length if pad else max(1, *(len(history) for history, *_ in expected), 1)
    assert batch["history"].shape == (len(expected), width)
    for place, (history, target, user, row, kept) in enumerate(expected):
        padding = [-1] * (width - len(history))
        assert batch["history"][place].tolist() == history + padding
        assert batch["target"][place] == target
        assert batch["user"][place] == user
        assert batch["age"][place] == log.timestamps.max() - log.timestamps[row]
        assert batch["context.hour"][place] == log.columns["hour"][row]
        assert batch["history.label"][place].tolist() == log.labels[kept].tolist() + padding
        assert batch["history.hour"][place].tolist() == log.columns["hour"][kept].tolist() + padding
    assert examples.lengths().tolist() == [len(history) for history, *_ in expected]
    assert examples.targets.tolist() == [target for _, target, *_ in expected]
    for name, dtype in (("history", "int64"), ("target", "int64"), ("user", "int64"), ("age", "float32")):
        assert batch[name].dtype == dtype


@given(EVENTS, st.integers(1, 4), st.booleans())
def test_a_query_knows_everything(events, max_length, recent_first):
    log = log_of(events)
    batch = NextItems(log, max_length, last=True, recent_first=recent_first, context=["hour"]).batch(
        range(log.num_users)
    )
    for user in range(log.num_users):
        rows = np.flatnonzero(log.users == user)
        kept = log.items[rows[-max_length:]].tolist()
        kept = kept[::-1] if recent_first else kept
        assert batch["history"][user].tolist() == kept + [-1] * (batch["history"].shape[1] - len(kept))
        assert batch["context.hour"][user] == log.columns["hour"][rows[-1]]
    assert batch["age"].tolist() == [0] * log.num_users
    assert "target" not in batch


def test_queries_of_some_users_and_of_users_without_events():
    log = Interactions.from_arrays([1, 1, 2], [5, 6, 5], columns={"hour": [7, 8, 9]})
    only = log.select(log.users == 0)
    queries = NextItems(only, 3, last=True, users=[1, 0, 0], context=["hour"])
    batch = queries.batch([0, 1, 2])
    assert batch["user"].tolist() == [1, 0, 0]
    assert batch["history"][0].tolist() == [-1, -1]
    assert batch["context.hour"].tolist() == [0, 8, 8]
    assert len(NextItems(only, 3, last=True, min_history=1)) == 1
    nothing = NextItems(log.select([]), 3, last=True, context=["hour"], recent_first=True)
    assert nothing.batch([0])["history"].tolist() == [[-1]]


def test_rows_choose_targets_and_histories_come_from_the_whole_log():
    log = Interactions.from_arrays([1, 1, 1, 1, 2, 2, 2], [5, 6, 7, 8, 5, 6, 5])
    split = leave_one_out(log)
    batch = NextItems(log, 9, rows=split.rows("test")).batch([0, 1])
    assert log.item_ids.keys_of(batch["target"]).tolist() == [8, 5]
    assert [[key for key in row if key >= 0] for row in batch["history"].tolist()] == [
        log.items[:3].tolist(),
        log.items[4:6].tolist(),
    ]
    same = NextItems(log, 9, rows=np.flatnonzero(split.rows("test"))).batch([0, 1])
    assert same["history"].tolist() == batch["history"].tolist()


def test_ages_are_fractions_of_the_log():
    log = Interactions.from_arrays([1, 1, 1, 2], [5, 6, 7, 5], [100, 150, 200, 300])
    assert NextItems(log, 3).batch([0, 1])["age"].tolist() == [0.75, 0.5]
    assert "age" not in NextItems(log, 3, age=None).batch([0])
    assert "age" not in NextItems(Interactions.from_arrays([1, 1], [5, 6]), 3).batch([0])
    same = Interactions.from_arrays([1, 1], [5, 6], [100, 100])
    assert NextItems(same, 3).batch([0])["age"].tolist() == [0]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 4), st.integers(0, 3))
def test_a_cap_draws_from_each_user(counts, most, seed):
    users = np.repeat(np.arange(len(counts) + 1), [*counts, 2])
    log = Interactions.from_arrays(users, np.arange(len(users)))
    examples = NextItems(log, 3, max_per_user=most, seed=seed)
    batch = examples.batch(range(len(examples)))
    found = np.bincount(batch["user"], minlength=len(counts) + 1)
    assert found.tolist() == [min(count - 1, most) for count in [*counts, 2]]
    assert len(set(batch["target"].tolist())) == len(examples)  # none twice
    assert examples.targets.tolist() == NextItems(log, 3, max_per_user=most, seed=seed).targets.tolist()


def test_a_cap_draws_all_examples_equally_often():
    log = Interactions.from_arrays([1] * 6, np.arange(6))
    drawn = np.concatenate([NextItems(log, 3, max_per_user=2, seed=seed).targets for seed in range(2000)])
    counts = np.bincount(drawn)[1:]
    # 2000 draws of 2 of 5: each 800 times, standard deviation 22; five times that fails once in a million
    assert np.abs(counts - 800).max() < 110


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "max_length: expected an integer >= 1"),
        ({"age": "days"}, "age: expected"),
        ({"context": ["hour"]}, "context: expected none, as there are no such columns, got 'hour'"),
        ({"history_columns": ["label"]}, "history_columns: expected none, .*, got 'label'"),
        ({"users": [0]}, "users: expected None without last=True; choose events by rows"),
        ({"last": True, "max_per_user": 3}, "max_per_user: expected None with last=True"),
        ({"last": True, "users": [5]}, r"users: expected one code in \[0, 2\) for each query, got 5"),
        ({"rows": [True]}, "rows: expected a mask of 3 rows"),
        ({"min_history": 3}, "log: expected events with at least 3 before them"),
    ],
)
def test_arguments_are_checked(options, message):
    log = Interactions.from_arrays([1, 1, 2], [5, 6, 5])
    with pytest.raises(ValueError, match=message):
        NextItems(log, **{"max_length": 3, **options})


@pytest.mark.parametrize("wrong", [-1, 3])
def test_numbers_of_examples_and_rows_are_in_range(wrong):
    log = Interactions.from_arrays([1, 1, 1], [5, 6, 5])
    with pytest.raises(IndexError, match=rf"indices: expected numbers in \[0, 2\), got {wrong}"):
        NextItems(log, 3).batch([wrong])
    with pytest.raises(IndexError, match=rf"indices: expected numbers in \[0, 1\), got {wrong}"):
        Sequences(log, 3).batch([wrong])
    with pytest.raises(IndexError, match=rf"rows: expected numbers in \[0, 3\), got {wrong}"):
        NextItems(log, 3, rows=[wrong])


def test_no_rows_are_not_examples():
    with pytest.raises(ValueError, match="log: expected events with at least 1 before them"):
        NextItems(Interactions.from_arrays([1, 1, 1], [5, 6, 5]), 3, rows=[])
    with pytest.raises(TypeError, match="rows: expected integers, got values of float64"):
        NextItems(Interactions.from_arrays([1, 1, 1], [5, 6, 5]), 3, rows=[0.5])
