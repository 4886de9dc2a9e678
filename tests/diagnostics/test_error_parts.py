import itertools
import math

import numpy as np
import pytest
import torch

from logq.diagnostics.gradient_errors import ErrorAt, GradientErrors, Measured, NeededSamples, error_at


def by_loops(errors, length):
    """error, std, bias^2 and their jackknife errors, by leaving out draw after draw."""

    def parts(rows):
        n = len(rows)
        squared = sum(e @ e for e in rows) / n
        bias = sum(one @ other for one, other in itertools.permutations(rows, 2)) / (n * (n - 1))
        return np.array([math.sqrt(squared), math.sqrt(max(squared - bias, 0)), bias])

    scaled = list(errors / length)
    without = np.array([parts(scaled[:r] + scaled[r + 1 :]) for r in range(len(scaled))])
    n = len(scaled)
    return parts(scaled), np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))


def test_all_parts_are_those_of_loops():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(9, 5)) + rng.normal(size=5)
    at = error_at(7, torch.from_numpy(errors), torch.arange(9.0), 1.7)
    values, spread = by_loops(errors, 1.7)
    found = [at.relative_error, at.std, at.bias_squared]
    assert [one.value for one in found] == pytest.approx(values, rel=1e-12)
    assert [one.standard_error for one in found] == pytest.approx(spread, rel=1e-9)
    assert at.ess == pytest.approx((4.0, np.arange(9).std(ddof=1) / 3))
    assert at.relative_error.value**2 == pytest.approx(at.std.value**2 + at.bias_squared.value)
    # The plain square of the mean error is too large by variance / n.
    plain = ((errors.mean(axis=0) / 1.7) ** 2).sum()
    assert plain - at.bias_squared.value == pytest.approx(at.std.value**2 / 9)


def at(k, error, bias=0.0):
    nothing = Measured(0.0, 0.0)
    std = math.sqrt(error**2 - bias**2)
    return ErrorAt(k, Measured(error, 0.0), Measured(bias, 0.0), Measured(std, 0.0), nothing, Measured(bias**2, 0.0))


def errors(*measured):
    return GradientErrors({"one": measured}, "self_normalized", 1, 100, 8, 1.0)


def test_an_error_between_two_measurements():
    found = errors(at(100, 0.4), at(400, 0.2), at(1600, 0.1))
    assert found.num_sampled_for(0.2) == (400, "interpolated", 1600)
    assert found.num_sampled_for(0.2 / math.sqrt(2)) == (800, "interpolated", 1600)
    assert found.num_sampled_for(0.4) == (100, "at most", 1600)
    assert found.num_sampled_for(0.9, "one") == (100, "at most", 1600)
    assert errors(at(100, 0.4), at(400, 0.0)).num_sampled_for(0.2) == (400, "interpolated", 400)


def test_an_error_that_noise_met_once_is_not_met():
    assert errors(at(100, 0.3), at(200, 0.1), at(400, 0.2), at(800, 0.1)).num_sampled_for(0.15).num_sampled > 400


def test_an_error_beyond_the_measurements():
    assert errors(at(100, 0.4), at(400, 0.2)).num_sampled_for(0.02) == (40_000, "extrapolated", 400)
    k, how, _ = errors(at(100, 0.5, 0.3), at(400, 0.25, 0.2)).num_sampled_for(0.01)
    variance, bias = 0.25**2 - 0.2**2, 0.2**2
    assert how == "extrapolated"
    assert math.sqrt(variance * 400 / k + bias * (400 / k) ** 2) == pytest.approx(0.01, rel=1e-3)


def test_an_error_that_does_not_fall():
    assert errors(at(100, 0.9), at(400, 0.85)).num_sampled_for(0.1) == NeededSamples(None, "unknown", 400)


def test_a_bias_that_does_not_fall_is_taken_as_constant():
    found = errors(at(100, 0.5, 0.1), at(400, 0.25, 0.1))
    k = found.num_sampled_for(0.12).num_sampled
    assert math.sqrt((0.25**2 - 0.1**2) * 400 / k + 0.1**2) == pytest.approx(0.12, rel=1e-3)
    assert found.num_sampled_for(0.1).how == "unknown"


def test_what_people_read():
    lines = errors(at(100, 0.4), at(400, 0.2, 0.1)).table().splitlines()
    assert lines[0].split() == ["sampler", "k", "error", "bias", "std", "ess"]
    assert lines[1].split() == ["one", "100", "0.4000", "~0.0000", "0.4000", "0.0"]
    assert lines[2].split()[3] == "0.1000"
    assert len({len(line) for line in lines}) == 1
    assert [str(NeededSamples(k, how, 9)) for k, how in ((5, "at most"), (1234, "interpolated"))] == [
        "at most 5",
        "about 1,200",
    ]


def test_bad_arguments():
    with pytest.raises(ValueError, match="error: expected a finite number > 0, got 0"):
        errors(at(1, 0.5)).num_sampled_for(0)
    with pytest.raises(ValueError, match="sampler: expected one of one, got 'two'"):
        errors(at(1, 0.5)).num_sampled_for(0.1, "two")
    two = GradientErrors({"a": [at(1, 0.5)], "b": [at(1, 0.5)]}, "self_normalized", 1, 100, 8, 1.0)
    with pytest.raises(ValueError, match="sampler: expected one of a, b, got None"):
        two.num_sampled_for(0.1)
