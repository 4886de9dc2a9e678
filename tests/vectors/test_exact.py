"""Exact search against a loop in double precision, with zero, tiny and huge vectors among the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from logq.vectors.nearest_words import cosines, highest, norms, unit

numbers = st.floats(-10, 10, width=32) | st.sampled_from([0.0, 1e-38, -1e-44, 1e-30, 3e38, -1e37])
shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)


def cosine(a, b):
    """In extended range: Python's integers and fractions would be exact, scaled doubles are exact enough."""
    a, b = (np.array(v, dtype=np.float64) for v in (a, b))
    if not a.any() or not b.any():
        return 0.0
    a, b = a / abs(a).max(), b / abs(b).max()
    return float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))


@given(hnp.arrays(np.float32, shapes, elements=numbers), st.data())
def test_cosines_are_those_of_a_loop(table, data):
    query = data.draw(hnp.arrays(np.float32, table.shape[1], elements=numbers))
    found = cosines(table, norms(table), unit(query))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, [cosine(row, query) for row in table], atol=2e-6)


def test_rounding_takes_no_cosine_beyond_one():
    table = np.random.default_rng(0).standard_normal((200, 50)).astype(np.float32)
    assert max(cosines(table, norms(table), unit(row)).max() for row in table) == 1


@given(hnp.arrays(np.float32, st.integers(1, 9), elements=numbers))
def test_unit_has_length_one(vector):
    length = np.linalg.norm(unit(vector))
    assert length == pytest.approx(1 if vector.any() else 0, abs=1e-12)
    assert cosine(unit(vector), vector) == pytest.approx(1 if vector.any() else 0, abs=1e-12)


def test_norms_go_through_all_rows(monkeypatch):
    monkeypatch.setattr("logq.vectors.nearest_words._IN_CACHE", 3 * 4)
    table = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    np.testing.assert_allclose(norms(table), [np.sqrt(sum(float(x) ** 2 for x in row)) for row in table], rtol=1e-12)


@given(
    hnp.arrays(np.float32, st.integers(0, 12), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0])),
    st.integers(0, 15),
    st.data(),
)
def test_highest_is_sorting(values, topn, data):
    excluded = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=5)) if len(values) else []
    before = values.copy()
    order = sorted((i for i in range(len(values)) if i not in excluded), key=lambda i: (-values[i], i))
    assert highest(values, topn, excluded) == order[:topn]
    np.testing.assert_array_equal(values, before)
