"""Distinct draws with all expected counts in one pass of compiled code: those of the reference."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from logq import kernels
from logq.candidates import IGNORED
from logq.kernels import _native, reference_draws
from logq.kernels.distributions import (
    AliasDistribution,
    Distribution,
    LearnedDistribution,
    LogUniformDistribution,
    UniformDistribution,
)
from logq.kernels.expected_counts import EqualCounts, LearnedCounts, LogCounts, LogUniformCounts, TableCounts


def alias_of(weights: Tensor) -> AliasDistribution:
    accept, alias = kernels.get("alias_table")(weights.double())
    threshold = (accept * 2.0**31).round().clamp(max=2**31 - 1).int()
    return AliasDistribution(torch.stack([threshold, alias], dim=1))


ZIPF = 1 / torch.arange(1, 1001).double()

COUNTS: dict[str, tuple[Distribution, LogCounts]] = {
    "equal": (UniformDistribution(1000), EqualCounts(-math.log(1000), torch.float64)),
    "few": (LogUniformDistribution(6), LogUniformCounts(-math.log(math.log(7)), torch.float64)),
    "many": (LogUniformDistribution(10**6), LogUniformCounts(-math.log(math.log1p(10**6)), torch.float64)),
    "most": (LogUniformDistribution(1 << 51), LogUniformCounts(-math.log(51 * math.log(2)), torch.float64)),
    "more": (LogUniformDistribution(1 << 60), LogUniformCounts(-math.log(60 * math.log(2)), torch.float64)),
    "table": (alias_of(ZIPF), TableCounts((ZIPF / ZIPF.sum()).log(), 0.0)),
    "learned": (
        LearnedDistribution(alias_of(torch.ones(1000)), torch.arange(1000), 1000),
        LearnedCounts(torch.full((1000,), 2), 1000, torch.tensor(1000), torch.float64),
    ),
}


@pytest.mark.parametrize("simd", _native.simd_levels())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("law", COUNTS)
def test_counted_distinct_draws_are_those_of_the_reference(law, dtype, simd, monkeypatch):
    """Of drawn classes, and of targets: drawn, not drawn, the one that ended a sample, and what is no class."""
    monkeypatch.setattr("logq.kernels.cpp.arrays.SIMD", simd)
    distribution, exact = COUNTS[law]
    counts = replace(exact, table=exact.table.to(dtype)) if law == "table" else replace(exact, dtype=dtype)
    num_sampled, most = (3, 6) if law == "few" else (500, 1000)
    seed = torch.tensor(3)
    for num_rows, num_targets in ((0, 4), (1, 700), (3, 1), (3, 300)):
        ids, _, _ = reference_draws.distinct_draws(distribution, seed, num_rows, num_sampled + 1)
        known = torch.cat([ids, torch.arange(most).expand(num_rows, -1)], dim=1)
        targets = known[:, torch.arange(num_targets) * 37 % known.shape[1]]  # not contiguous
        targets[:, :1] = ids[:, -1:]
        targets[:, 3::5] = IGNORED
        given = distribution, seed, num_rows, num_sampled, targets
        found = kernels.get("counted_distinct_draws")(*given, counts)
        expected = reference_draws.counted_distinct_draws(*given, exact)
        for one, other in zip(found, expected, strict=True):
            assert one.is_contiguous()
            assert one.dtype is (torch.int64 if other.dtype is torch.int64 else dtype)
            rtol = 1e-12 if dtype is torch.float64 else 2e-6 if law in ("table", "learned", "more") else 2e-7
            torch.testing.assert_close(one.to(other.dtype), other, rtol=rtol, atol=1e-7 if rtol > 1e-9 else 1e-12)
        monkeypatch.setattr("logq.kernels.cpp.arrays.SIMD", "generic")
        again = kernels.get("counted_distinct_draws")(*given, counts)
        assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))
        monkeypatch.setattr("logq.kernels.cpp.arrays.SIMD", simd)


def test_counts_do_not_depend_on_the_number_of_threads():
    distribution, counts = COUNTS["many"]
    given = distribution, torch.tensor(2), 40, 2000, torch.arange(80).view(40, 2), counts
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = kernels.get("counted_distinct_draws")(*given)
        torch.set_num_threads(3)
        ours = kernels.get("counted_distinct_draws")(*given)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(ours, expected, strict=True))


def numbers(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int64)


def reals(*shape: int) -> np.ndarray:
    return np.zeros(shape)


def count(*arrays: np.ndarray, size: int = 9) -> None:
    table = _native.table_counts(reals(size), 0.0)
    _native.draw_counted(_native.uniform_distribution(9), table, 1, *arrays, ignored=-100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: count(reals(2, 0), numbers(2, 0), reals(2, 1), numbers(2, 1)), "ids: expected 1"),
        (lambda: count(reals(2, 2), numbers(2, 3), reals(2, 1), numbers(2, 1)), "log_q: expected the shape of ids"),
        (lambda: count(reals(2, 3), numbers(2, 3), reals(2, 1), numbers(1, 1)), "targets: expected as many rows"),
        (lambda: count(reals(2, 3), numbers(2, 3), reals(2, 2), numbers(2, 1)), "true_log_q: expected the shape of t"),
        (lambda: count(reals(1, 3), numbers(1, 3), reals(1, 1), numbers(1, 1) + 9), "targets: expected classes, got 9"),
        (
            lambda: count(reals(1, 3), numbers(1, 3), reals(1, 1), numbers(1, 1) - 2),
            "targets: expected classes, got -2",
        ),
        (lambda: count(reals(1, 3), numbers(1, 3), reals(1, 1), numbers(1, 1), size=8), "counts: expected those of 9 "),
        (
            lambda: count(reals(1, 3).astype("f4"), numbers(1, 3), reals(1, 1).astype("f4"), numbers(1, 1)),
            "log_q: expected the precision of the counts",
        ),
        (
            lambda: _native.draw_counted(
                _native.uniform_distribution((1 << 51) + 1),
                _native.log_uniform_counts(0.0, True),
                1,
                *(reals(1, 3), numbers(1, 3), reals(1, 1), numbers(1, 1)),
                ignored=-100,
            ),
            "counts: expected a distribution over 2\\*\\*51 classes at most",
        ),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
