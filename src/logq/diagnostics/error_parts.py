"""How an error divides into bias and standard deviation, found from repeated draws and without what noise adds to it.

With e_r the error of draw r (all rows of the batch in one vector) and K_rs = <e_r, e_s> over n draws,

    error^2 = mean_r K_rr,    bias^2 = mean_{r != s} K_rs,    std^2 = error^2 - bias^2

The squared length of the mean error would be |bias|^2 + std^2 / n; pairs of different draws leave the second part out.
So the estimate of bias^2 has no bias itself, and can fall below 0 where the bias is small beside std / sqrt(n).
Standard errors are those of the jackknife, which for a bias near 0 are too large (by up to sqrt 2), never too small.

References:
    Hoeffding, A Class of Statistics with Asymptotically Normal Distribution, Ann. Math. Statist. 1948 (U-statistics).
    Efron and Stein, The Jackknife Estimate of Variance, Ann. Statist. 1981.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["FEWEST_REPEATS", "ErrorAt", "Measured", "error_at"]

FEWEST_REPEATS = 4
"""Draws that a jackknife over pairs needs at least; for numbers of any use, take more."""


class Measured(NamedTuple):
    """A number and its standard error.

    Example:
        >>> print(Measured(0.1234, 0.0021))
        0.1234 +- 0.0021
    """

    value: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.standard_error:.2g}"


class ErrorAt(NamedTuple):
    """What was measured of one sampler with one number of draws. Errors are relative to the length of the gradient.

    Args:
        num_sampled: k.
        relative_error: sqrt( E|estimate - g|^2 ) / |g|, over all rows together.
        bias: |E estimate - g| / |g|; 0 where `bias_squared` came out negative.
        std: sqrt( E|estimate - E estimate|^2 ) / |g|.
        ess: the effective sample size, mean over rows.
        bias_squared: the square of `bias`, without bias itself, negative at times.

    Example:
        >>> errors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> at = error_at(8, errors, torch.full((4,), 3.0), length=2.0)
        >>> at.relative_error.value, at.bias.value, round(at.std.value, 3)
        (0.5, 0.0, 0.577)
    """

    num_sampled: int
    relative_error: Measured
    bias: Measured
    std: Measured
    ess: Measured
    bias_squared: Measured

    @property
    def bias_is_clear(self) -> bool:
        """Whether the bias is more than two standard errors away from what noise alone would show."""
        return self.bias_squared.value > 2 * self.bias_squared.standard_error

    def as_dict(self) -> dict[str, float | list[float]]:
        """For JSON: each number with its standard error behind it."""
        named = self._asdict()
        return {name: value if name == "num_sampled" else list(value) for name, value in named.items()}


def error_at(num_sampled: int, errors: Tensor, ess: Tensor, length: float) -> ErrorAt:
    """Divide the error of repeated draws.

    Args:
        num_sampled: k.
        errors: (n, M), estimate - g of each draw, n at least 4.
        ess: (n,) effective sample sizes.
        length: |g|, that errors are relative to.

    Example:
        >>> error_at(2, torch.ones(4, 3), torch.ones(4), length=3.0).bias.value == 3.0**0.5 / 3
        True
    """
    n = len(errors)
    products = torch.zeros(n, n, dtype=torch.float64, device=errors.device)
    for part in errors.split(1 << 16, dim=1):
        products += part.double() @ part.double().T
    products = products.cpu() / length**2
    own, pairs = products.diagonal(), products.sum(dim=1) - products.diagonal()
    # What is found without draw r, for all r at once.
    others_own = (own.sum() - own) / (n - 1)
    others_pairs = (pairs.sum() - 2 * pairs) / ((n - 1) * (n - 2))
    squared, bias_squared = own.mean(), pairs.sum() / (n * (n - 1))

    def measured(of: Callable[[Tensor, Tensor], Tensor]) -> Measured:
        without = of(others_own, others_pairs)
        spread = math.sqrt((n - 1) / n * float((without - without.mean()).square().sum()))
        return Measured(float(of(squared, bias_squared)), spread)

    of_square = measured(lambda _, pairs: pairs)
    above = max(of_square.value, 0.0)
    return ErrorAt(
        num_sampled,
        measured(lambda own, _: own.sqrt()),
        # Near 0 the root is too curved for a jackknife: how far one standard error up would take it.
        Measured(math.sqrt(above), math.sqrt(above + of_square.standard_error) - math.sqrt(above)),
        measured(lambda own, pairs: (own - pairs).clamp(min=0).sqrt()),
        Measured(float(ess.double().mean()), float(ess.double().std()) / math.sqrt(n)),
        of_square,
    )
