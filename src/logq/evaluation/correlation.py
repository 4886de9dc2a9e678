"""How well two lists of numbers go together: Pearson's r, Spearman's rho, and how likely chance does as well."""

import importlib.util
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Correlation", "can_tell_p", "pearson", "spearman"]


class Correlation(NamedTuple):
    """A coefficient of correlation and its p value.

    Attributes:
        coefficient: from -1 to 1; NaN for fewer than two pairs, or where one list is all the same number.
        p: how likely numbers without any connection give a coefficient at least as far from 0 (two-sided, Student's t
            with n - 2 degrees of freedom); NaN for fewer than three pairs, and without scipy (extra `evaluate`).

    Example:
        >>> coefficient, p = Correlation(0.65, 3e-30)
    """

    coefficient: float
    p: float


def can_tell_p() -> bool:
    """Return whether scipy is installed, which p values need.

    Example:
        >>> can_tell_p() in (True, False)
        True
    """
    return importlib.util.find_spec("scipy") is not None


def pearson(
    x: ArrayLike,  # (n,)
    y: ArrayLike,  # (n,)
) -> Correlation:
    """Return the linear correlation of n pairs of numbers.

        r = <x - mean(x), y - mean(y)> / (|x - mean(x)| |y - mean(y)|)
        p = I(1 - r^2; (n - 2) / 2, 1/2)        <- the regularized incomplete beta function: both tails of Student's t

    Equivalent to: scipy.stats.pearsonr.

    Raises:
        ValueError: the lists are not equally long.

    Example:
        >>> round(pearson([1, 2, 3, 4], [1, 2, 3, 5]).coefficient, 3)
        0.983
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"x, y: expected two lists of the same length, got shapes {first.shape} and {second.shape}")
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Correlation(float("nan"), float("nan"))
    a, b = (_direction(values) for values in (first, second))
    r = float(np.clip(a @ b, -1, 1))
    return Correlation(r, _two_sided_p(r, len(first)))


def spearman(
    x: ArrayLike,  # (n,)
    y: ArrayLike,  # (n,)
) -> Correlation:
    """Return the correlation of the ranks of n pairs of numbers; equal numbers share the mean of their ranks.

    Equivalent to: scipy.stats.spearmanr.

    Raises:
        ValueError: the lists are not equally long.

    Example:
        >>> spearman([1, 2, 3, 4], [1, 10, 100, 1000]).coefficient
        1.0
    """
    return pearson(_ranks(np.asarray(x, dtype=np.float64)), _ranks(np.asarray(y, dtype=np.float64)))


def _direction(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean()
    centred /= np.abs(centred).max()  # so that squares neither overflow nor vanish
    return centred / np.linalg.norm(centred)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _two_sided_p(r: float, n: int) -> float:
    if n < 3 or not can_tell_p():
        return float("nan")
    from scipy.special import betainc  # optional extra `evaluate`

    p: Any = betainc((n - 2) / 2, 0.5, (1 - r) * (1 + r))
    return float(p)
