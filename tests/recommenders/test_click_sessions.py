"""Clicks, bookings and markets against loops."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from logq.recommenders.airbnb import click_sessions, markets_of_items

events = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=8)


@given(st.lists(events, max_size=5))
def test_sessions_are_those_of_a_loop(given_sessions):
    items = np.array([item for session in given_sessions for item, _ in session], dtype=np.int64)
    booked = np.array([flag for session in given_sessions for _, flag in session], dtype=np.bool_)
    offsets = np.cumsum([0, *map(len, given_sessions)])
    expected, bounds = [], [0]
    for session in given_sessions:
        runs = []
        for item, flag in session:
            if runs and runs[-1][0] == item:
                runs[-1][1] |= flag
            else:
                runs.append([item, flag])
        for i, (item, flag) in enumerate(runs):
            following = [other for other, books in runs[i + 1 :] if books]
            expected.append((item, following[0] if following and not flag else -1))
        bounds.append(len(expected))
    kept, ends, also = click_sessions(items, offsets, booked)
    assert list(zip(kept.tolist(), also.tolist(), strict=True)) == expected
    assert ends.tolist() == bounds
    assert click_sessions(items, offsets, None)[0].tolist() == kept.tolist()
    assert click_sessions(items, offsets, None)[2] is None


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([3, 9, 11])), max_size=30))
def test_the_market_of_an_item_is_that_of_most_of_its_events(pairs):
    items, markets = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    made = markets_of_items(items, markets, 5)
    names = sorted(set(markets.tolist()))
    for item in range(5):
        counts = Counter(market for other, market in pairs if other == item)
        if not counts:
            assert made[item] == len(names)
            continue
        most = max(counts.values())
        assert names[made[item]] == min(market for market, count in counts.items() if count == most)
