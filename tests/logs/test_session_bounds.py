"""Sessions against a loop over events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import Interactions, sessions

EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 1)), min_size=2, max_size=20)


@given(EVENTS, st.none() | st.integers(0, 3), st.booleans())
def test_a_session_ends_where_a_loop_ends_it(events, gap, named):
    users, times, names = zip(*events, strict=True)
    log = Interactions.from_arrays(users, range(len(users)), times, sessions=names if named else None)
    expected = [0]
    for row in range(1, len(log)):
        other = log.users[row] != log.users[row - 1]
        other |= named and log.columns["session"][row] != log.columns["session"][row - 1]
        other |= gap is not None and log.timestamps[row] - log.timestamps[row - 1] > gap
        if other:
            expected.append(row)
    assert sessions(log, gap=gap).tolist() == [*expected, len(log)]
    assert sessions(log.select([])).tolist() == [0]


def test_a_gap_needs_times():
    with pytest.raises(ValueError, match="gap: expected None for a log without times"):
        sessions(Interactions.from_arrays([1, 1], [1, 2]), gap=3)
