"""Windows against a loop over users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import Interactions, Sequences

COUNTS = st.lists(st.integers(1, 13), min_size=1, max_size=5)


def by_loop(items, length, overlap):
    """Windows of one user from the end: pairs of what is read and what is predicted."""
    windows = []
    end = len(items) - 1  # the history ends before this place
    while end > 0:
        start = max(end - length, 0)
        targets = items[start + 1 : end + 1]
        if start > 0:
            targets = [-1] * overlap + targets[overlap:]
        windows.insert(0, (items[start:end], targets))
        if start == 0:
            break
        end = start + overlap
    return windows


@given(COUNTS, st.integers(1, 5), st.integers(0, 4), st.booleans(), st.booleans())
def test_windows_are_those_of_a_loop(counts, length, overlap, last_only, pad):
    overlap = min(overlap, length - 1)
    users = np.repeat(np.arange(len(counts) + 1), [*counts, 2])
    log = Interactions.from_arrays(users, np.arange(len(users)))
    expected = []
    for user in range(len(counts) + 1):
        windows = by_loop(log.items[log.users == user].tolist(), length, overlap)
        if last_only and windows:
            history, _ = windows[-1]
            windows = [(history, (log.items[log.users == user].tolist()[1:])[-len(history) :])]
        expected += [(user, *window) for window in windows]
    examples = Sequences(log, length, overlap=overlap, last_only=last_only, pad=pad)
    assert len(examples) == len(expected)
    batch = examples.batch(range(len(expected)))
    width = length if pad else max(len(history) for _, history, _ in expected)
    assert batch["history"].shape == batch["targets"].shape == (len(expected), width)
    for place, (user, history, targets) in enumerate(expected):
        padding = [-1] * (width - len(history))
        assert batch["user"][place] == user
        assert batch["history"][place].tolist() == history + padding
        assert batch["targets"][place].tolist() == targets + padding
    assert examples.lengths().tolist() == [len(history) for _, history, _ in expected]
    if not last_only:  # each event but a user's first is a target once
        found = batch["targets"][batch["targets"] >= 0]
        firsts = log.items[log.offsets[:-1]].tolist()
        assert sorted(found.tolist()) == sorted(set(log.items.tolist()) - set(firsts))
    assert batch["history"].dtype == batch["targets"].dtype == batch["user"].dtype == np.int64


def test_arguments_are_checked():
    log = Interactions.from_arrays([1, 2], [5, 6])
    with pytest.raises(ValueError, match="log: expected users with at least two events, got none"):
        Sequences(log, 3)
    with pytest.raises(ValueError, match="overlap: expected an integer below max_length = 3, got 3"):
        Sequences(log, 3, overlap=3)
