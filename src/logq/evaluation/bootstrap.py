"""Bootstrap: how far a mean over users would move if other users had come."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "bootstrap_interval", "mean_of"]

Floats: TypeAlias = NDArray[np.float64]

_NUMBERS = 1 << 22  # counts made at a time, 32 MB
_MANY = 100_000  # kinds of users


class Interval(NamedTuple):
    """The ends of a confidence interval.

    Example:
        >>> low, high = Interval(0.29, 0.31)
    """

    low: float
    high: float


def mean_of(sums: Floats) -> Floats:
    """Return the mean of one column from sums over (column, 1).

    Example:
        >>> mean_of(np.array([[6.0, 3.0]])).tolist()
        [2.0]
    """
    return sums[:, 0] / sums[:, 1]


def bootstrap_interval(
    values: Floats,  # (n, M): what is summed over users; no NaN
    statistic: Callable[[Floats], Floats],  # (R, M) sums -> (R,)
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of a statistic of sums over users, who are drawn anew with replacement.

        each resample: n users from n with replacement; low and high: the (1 -+ confidence) / 2 quantiles

    Users with equal values are one kind of user; how often kinds are drawn is multinomial. So it costs resamples x
    kinds, and after leave-one-out there are no more kinds than places in a ranking. Above 100,000 kinds the sums are
    drawn from the normal distribution with their mean and covariance, which is then the same to all digits that matter.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Example:
        >>> hits = np.repeat([[0.0, 1.0], [1.0, 1.0]], [700, 300], axis=0)
        >>> low, high = bootstrap_interval(hits, mean_of)
        >>> round(low, 2), round(high, 2)
        (0.27, 0.33)
    """
    if len(values) == 0:
        return Interval(float("nan"), float("nan"))
    kinds, counts = _kinds(values)
    generator = np.random.default_rng(seed)
    if len(kinds) > _MANY:
        mean, covariance = np.average(kinds, axis=0, weights=counts), np.cov(kinds.T, fweights=counts, ddof=0)
        total = counts.sum()
        sums = generator.multivariate_normal(total * mean, total * np.atleast_2d(covariance), resamples, method="eigh")
        return _between(statistic(sums), confidence)
    found = np.empty(resamples)
    step = max(1, _NUMBERS // len(kinds))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        sums = _drawn(generator, counts, size) @ kinds
        found[start : start + size] = statistic(sums)
    return _between(found, confidence)


def _between(found: Floats, confidence: float) -> Interval:
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _kinds(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the rows that differ, and how often each occurs."""
    rows = np.ascontiguousarray(values) + 0.0  # -0.0 has other bytes than 0.0
    keys: NDArray[Any] = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return rows[first], counts.astype(np.int64)


def _drawn(generator: np.random.Generator, counts: NDArray[np.int64], size: int) -> Floats:
    """Return how often each kind is drawn, (size, kinds)."""
    total = int(counts.sum())
    if total > 2 * len(counts):
        return generator.multinomial(total, counts / total, size=size).astype(np.float64)
    # Nearly every user is of a kind of its own: users are drawn one by one.
    kind_of = np.repeat(np.arange(len(counts)), counts)
    drawn = kind_of[generator.integers(total, size=(size, total))] + len(counts) * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * len(counts)).reshape(size, -1).astype(np.float64)
