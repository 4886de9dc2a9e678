"""Correlations and their p values, against scipy.stats."""

import importlib.util
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from logq.evaluation import similarity
from logq.evaluation.similarity import pearson, spearman

RNG = np.random.default_rng(0)
PEERS = [(pearson, stats.pearsonr), (spearman, stats.spearmanr)]


@pytest.mark.parametrize(("ours", "peer"), PEERS)
@pytest.mark.parametrize("n", [3, 4, 10, 353, 5000])
@pytest.mark.parametrize("noise", [0.1, 1.0, 30.0])
def test_as_scipy_has_it(ours, peer, n, noise):
    x = RNG.standard_normal(n)
    y = x + noise * RNG.standard_normal(n)
    for a, b in [(x, y), (-x, y), (np.round(x, 1), np.round(y)), (1e200 * x, 1e-200 * y)]:
        if np.ptp(b) > 0:
            found, expected = ours(a, b), peer(a, b)
            assert found.coefficient == pytest.approx(expected.statistic, rel=1e-10, abs=1e-12)
            # With a single degree of freedom, p is about the root of the rounding error where r is 1.
            assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-7 if n == 3 else 1e-300)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12))
def test_ties_share_the_mean_of_their_ranks(pairs):
    x, y = np.array(pairs, dtype=float).T
    if np.ptp(x) and np.ptp(y):
        ranks = [[1 + sum(w < v for w in z) + (sum(w == v for w in z) - 1) / 2 for v in z] for z in (x, y)]
        assert spearman(x, y).coefficient == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)


@pytest.mark.parametrize("ours", [pearson, spearman])
def test_what_has_no_answer_is_nan(ours):
    for x, y in [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])]:
        assert all(math.isnan(number) for number in ours(x, y))
    assert ours([1, 2], [4, 5]).coefficient == pytest.approx(1)
    assert math.isnan(ours([1, 2], [4, 5]).p), "two points always lie on a line"
    assert ours([1, 2, 3], [1, 2, 3]).p == pytest.approx(0, abs=1e-7)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"y: .*\(2,\).*\(3,\)"):
        pearson([1, 2], [1, 2, 3])


def test_without_scipy_only_p_is_missing(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        similarity.importlib.util, "find_spec", lambda name, *rest: None if name == "scipy" else find(name, *rest)
    )
    assert not similarity.can_tell_p()
    found = pearson([1, 2, 3, 4], [1, 3, 2, 4])
    assert found.coefficient == pytest.approx(0.8)
    assert math.isnan(found.p)
