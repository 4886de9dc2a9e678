"""Ranked items against sorting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.evaluation import top_items


@st.composite
def scored(draw):
    users, items = draw(st.integers(0, 4)), draw(st.integers(1, 9))
    values = st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, float("-inf")])
    scores = draw(st.lists(values, min_size=users * items, max_size=users * items))
    unwanted = [draw(st.lists(st.integers(0, items - 1), max_size=4)) for _ in range(users)]
    return np.array(scores).reshape(users, items), unwanted


@given(scored(), st.integers(1, 10))
def test_as_sorting_has_it(case, k):
    scores, unwanted = case
    before = scores.copy()
    flat = [item for row in unwanted for item in row], np.cumsum([0, *map(len, unwanted)])
    found = top_items(scores, k, exclude=flat, ties="lower")
    np.testing.assert_array_equal(scores, before)
    for row, not_these, ranked in zip(scores, unwanted, found, strict=True):
        good = [item for item in range(len(row)) if item not in not_these and row[item] > -np.inf]
        expected = sorted(good, key=lambda item: (-row[item], item))[:k]
        assert ranked.tolist() == expected + [-1] * (k - len(expected))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"scores: expected numbers, got nan for user 1, item 2"):
        top_items(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, np.nan]]), 2)
    with pytest.raises(TypeError, match=r"scores: expected floating point numbers, got int64"):
        top_items(np.array([[1]]), 2)
    with pytest.raises(ValueError, match=r"scores: expected shape \(U, C\), got \(1,\)"):
        top_items(np.array([1.0]), 2)
    with pytest.raises(ValueError, match=r"exclude: expected items in \[0, 2\), got 2"):
        top_items(np.array([[1.0, 2.0]]), 2, exclude=([2], [0, 1]))
