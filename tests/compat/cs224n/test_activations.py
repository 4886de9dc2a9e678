"""The small functions of the course, against their formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from logq.compat.cs224n import normalizeRows, sigmoid, softmax

NUMBERS = arrays.arrays(np.float64, arrays.array_shapes(max_dims=2, max_side=6), elements=st.floats(-30, 30))


@given(NUMBERS)
def test_sigmoid(x):
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-13)


@given(NUMBERS)
def test_softmax(x):
    before = x.copy()
    powers = np.exp(x)
    np.testing.assert_allclose(softmax(x), powers / powers.sum(axis=-1, keepdims=True), rtol=1e-13)
    assert np.array_equal(x, before)


@given(arrays.arrays(np.float64, (3, 4), elements=st.integers(-3, 3).map(float)))
def test_normalize_rows(x):
    before = x.copy()
    expected = [row / length if (length := np.linalg.norm(row)) > 0 else row for row in x]
    np.testing.assert_allclose(normalizeRows(x), expected, rtol=1e-13)
    assert np.array_equal(x, before)


def test_without_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0, 1]
        assert softmax(np.array([1e4, 0, 1e4])).tolist() == [0.5, 0, 0.5]
        assert softmax([1001, 1002])[1] == pytest.approx(1 / (1 + np.exp(-1)))
    assert sigmoid(0) == 0.5


@pytest.mark.parametrize("dtype", ["f", "d"])
def test_dtypes(dtype):
    for function in (sigmoid, softmax, normalizeRows):
        assert function(np.ones((2, 3), dtype)).dtype == dtype
        assert function(np.ones((2, 3), int)).dtype == np.float64


def test_bad_arguments():
    for function in (sigmoid, softmax, normalizeRows):
        with pytest.raises(TypeError, match="x: expected numbers"):
            function(["a"])
    with pytest.raises(ValueError, match="x: expected shape"):
        softmax(3.0)
    with pytest.raises(ValueError, match="x: expected shape"):
        softmax(np.ones((2, 0)))
    with pytest.raises(ValueError, match=r"x: expected shape \(N, D\)"):
        normalizeRows(np.ones(3))
