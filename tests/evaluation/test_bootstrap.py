"""Intervals against a loop that draws users, and against the normal approximation."""

import numpy as np
import pytest

from logq.evaluation import ranking_scores
from logq.evaluation.ranking_scores import bootstrap_interval, mean_of

RNG = np.random.default_rng(0)


def by_loop(values, resamples, confidence, seed):
    rng = np.random.default_rng(seed)
    means = [mean for _ in range(100) for mean in rng.choice(values, (resamples // 100, len(values))).mean(axis=1)]
    return np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])


@pytest.mark.parametrize("confidence", [0.5, 0.95])
@pytest.mark.parametrize("values", [RNG.random(500), RNG.choice([0, 0.5, 1], 500, p=[0.8, 0.1, 0.1])])
@pytest.mark.parametrize("many", [100, 100_000])
def test_as_a_loop_has_it(values, confidence, many, monkeypatch, seed):
    monkeypatch.setattr(ranking_scores, "_MANY", many)  # above it, sums come from the normal distribution
    sums = np.stack([values, np.ones(500)], 1)
    found = bootstrap_interval(sums, mean_of, resamples=20_000, confidence=confidence, seed=seed)
    # In standard errors of the mean: two quantiles of 20,000 draws differ by 0.027, and by 5.5 times that once in ten
    # million seeds; the means of halves and ones come in steps of 0.07.
    expected = by_loop(values, 20_000, confidence, seed + 1)
    np.testing.assert_allclose(found, expected, atol=0.22 * values.std() / np.sqrt(500))


def test_parts_are_as_good_as_one(monkeypatch, seed):
    sums = np.stack([RNG.random(100), RNG.random(100)], 1)
    whole = bootstrap_interval(sums, mean_of, seed=seed)
    monkeypatch.setattr(ranking_scores, "_NUMBERS", 700)
    assert bootstrap_interval(sums, mean_of, seed=seed) == pytest.approx(whole, rel=0.03)


def test_equal_users_leave_no_doubt_and_none_leave_no_interval():
    assert bootstrap_interval(np.array([[0.25, 1.0]] * 9), mean_of) == (0.25, 0.25)
    assert np.isnan(bootstrap_interval(np.zeros((0, 2)), mean_of)).all()
