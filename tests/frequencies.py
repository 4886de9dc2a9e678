"""Two ways to compare numbers that were drawn with their distribution, with a stated rate of failure.

Seeds follow from LOGQ_TEST_SEED, so a test that passes once passes until the code or torch's random numbers change.
What is stated is how often it would fail with other seeds although the code is right: at most once in a million.
"""

import os

import torch
from scipy.stats import chi2
from torch import Tensor

__all__ = ["FAILURE_RATE", "SEED", "assert_frequencies", "assert_mean"]

FAILURE_RATE = 1e-7
"""Of one `assert_frequencies`; a test has fewer than ten."""

SEED = 1000 * int(os.environ.get("LOGQ_TEST_SEED", "0"))
"""Added to the seeds of statistical tests, so that they differ for each base seed."""


def assert_frequencies(ids: Tensor, probabilities: Tensor) -> None:
    """Pearson's chi-square of independent draws; classes that are expected less than 10 times share a bin."""
    distribution = probabilities.double()
    torch.testing.assert_close(distribution.sum(), torch.ones((), dtype=torch.float64), rtol=1e-5, atol=0)
    counts = torch.bincount(ids.reshape(-1), minlength=len(distribution)).double()
    assert len(counts) == len(distribution), f"an id of {int(ids.max())} with {len(distribution)} classes"
    never = distribution == 0
    assert not bool(counts[never].any()), "a class of probability 0 was drawn"
    expected = distribution / distribution.sum() * counts.sum()
    rare = expected < 10
    if bool(rare.any()):
        expected = torch.cat([expected[~rare], expected[rare].sum().view(1)])
        counts = torch.cat([counts[~rare], counts[rare].sum().view(1)])
        keep = expected > 0
        expected, counts = expected[keep], counts[keep]
    statistic = float(((counts - expected) ** 2 / expected).sum())
    p_value = chi2.sf(statistic, len(expected) - 1) if len(expected) > 1 else 1.0
    assert p_value > FAILURE_RATE, f"chi-square {statistic:.1f} with {len(expected)} bins, p = {p_value:.2g}"


def assert_mean(samples: Tensor, expected: Tensor | float, *, errors: float = 6.5) -> None:
    """The mean over the first dimension is as expected within `errors` standard errors (6.5: 1 in 10^10 fails)."""
    samples = samples.double()
    error = samples.std(dim=0) / len(samples) ** 0.5
    off = (samples.mean(dim=0) - torch.as_tensor(expected, dtype=torch.float64)).abs()
    worst = (off / (error + 1e-12)).max()
    # The logs are single precision at worst: where nothing varies, 1e-6 is as good as equal.
    assert bool((off <= errors * error + 2e-6).all()), f"{float(off.max()):.3g} off, {float(worst):.1f} standard errors"
