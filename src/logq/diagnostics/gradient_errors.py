"""`GradientErrors`: how far estimates are from the exact gradient, and how many samples a target error takes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from logq._arguments import ArgumentError, check_float
from logq.tables.notebook_html import result_html
from logq.tables.short_texts import first_of, named, result_text

__all__ = ["FEWEST_REPEATS", "ErrorAt", "GradientErrors", "Measured", "NeededSamples", "error_at"]

FEWEST_REPEATS = 4
"""Minimum number of draws for a jackknife over pairs; useful numbers take more."""

_LEAST_SLOPE = 0.25  # an error must fall at least as k^-0.25 to extrapolate it; in theory it falls as k^-0.5 or faster


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
    """The errors of one sampler with one number of draws, relative to the length of the gradient.

    Args:
        num_sampled: k.
        relative_error: sqrt( E|estimate - g|^2 ) / |g|, over all rows together.
        bias: |E estimate - g| / |g|; 0 where `bias_squared` is negative.
        std: sqrt( E|estimate - E estimate|^2 ) / |g|.
        ess: the effective sample size, mean over rows.
        bias_squared: an unbiased estimate of the square of `bias`, which may be negative.

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

    def __repr__(self) -> str:
        measured = (f"{name} {getattr(self, name)}" for name in ("relative_error", "bias", "std", "ess"))
        return result_text(self, f"num_sampled {self.num_sampled:,}", *measured)

    @property
    def bias_is_clear(self) -> bool:
        """Whether the bias is more than two standard errors away from what noise alone would give."""
        return self.bias_squared.value > 2 * self.bias_squared.standard_error

    def as_dict(self) -> dict[str, float | list[float]]:
        """Return all numbers for JSON, each with its standard error."""
        named = self._asdict()
        return {name: value if name == "num_sampled" else list(value) for name, value in named.items()}


def error_at(num_sampled: int, errors: Tensor, ess: Tensor, length: float) -> ErrorAt:
    """Return the error of repeated draws, divided into bias and standard deviation.

    Args:
        num_sampled: k.
        errors: (n, M), estimate - g of each draw, n at least 4.
        ess: (n,) effective sample sizes.
        length: |g|, the unit of errors.

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
    # The results without draw r, for all r together.
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
        # Near 0 the root is too curved for a jackknife: take the effect of one standard error up.
        Measured(math.sqrt(above), math.sqrt(above + of_square.standard_error) - math.sqrt(above)),
        measured(lambda own, pairs: (own - pairs).clamp(min=0).sqrt()),
        Measured(float(ess.double().mean()), float(ess.double().std()) / math.sqrt(n)),
        of_square,
    )


class NeededSamples(NamedTuple):
    """The number of samples that an error takes, and how it was determined.

    Args:
        num_sampled: k; None where it is unknown.
        how: "at most" where this is the smallest k that was measured; "interpolated" between two measured ones;
            "extrapolated" beyond the largest; "unknown" where the error at the largest k is above the target, and
            nothing shows that it will fall below.
        largest: the largest k that was measured.

    Example:
        >>> print(NeededSamples(1251, "extrapolated", 1024))
        about 1,300 (extrapolated)
        >>> print(NeededSamples(None, "unknown", 1024))
        more than 1,024
    """

    num_sampled: int | None
    how: str
    largest: int

    def __str__(self) -> str:
        if self.num_sampled is None:
            return f"more than {self.largest:,}"
        if self.how == "at most":
            return f"at most {self.num_sampled:,}"
        # Not more than two digits of it are known.
        about = f"about {int(float(f'{self.num_sampled:.2g}')):,}"
        return about if self.how == "interpolated" else f"{about} ({self.how})"


@dataclass(frozen=True)
class GradientErrors:
    """The errors that `gradient_error` measured.

    Args:
        samplers: by name of the sampler, the errors for each k, smallest first.
        estimator: "self_normalized", "sampled_softmax" or "refined_softmax".
        num_rows: B.
        num_classes: C.
        repeats: draws for each sampler and k.
        gradient_length: root mean square over rows of |g|, the unit of all errors.

    Example:
        >>> from logq.diagnostics import gradient_error
        >>> from logq.samplers import Uniform
        >>> generator = torch.Generator().manual_seed(1)
        >>> inputs, weight = (torch.randn(n, 4, generator=generator) for n in (8, 100))
        >>> errors = gradient_error(inputs, weight, {"uniform": Uniform(100, 1)}, (10, 40, 160), repeats=64)
        >>> print(errors.table())
        sampler    k  error  bias   std    ess
        uniform   10  0...
        uniform   40  0...
        uniform  160  0...
        >>> errors.num_sampled_for(0.2).how
        'extrapolated'
    """

    samplers: Mapping[str, Sequence[ErrorAt]]
    estimator: str
    num_rows: int
    num_classes: int
    repeats: int
    gradient_length: float

    def __getitem__(self, sampler: str) -> Sequence[ErrorAt]:
        """Return the errors of one sampler, smallest k first."""
        if sampler not in self.samplers:
            raise ArgumentError("sampler", f"one of {', '.join(self.samplers)}", sampler)
        return self.samplers[sampler]

    def num_sampled_for(self, error: float, sampler: str | None = None) -> NeededSamples:
        """Return the smallest k with at most this relative error.

        Between two measured k the error is a power of k (a straight line in the figure). Beyond the largest one, k_0,
        with its own bias and standard deviation,

            error(k)^2 = std^2 k_0 / k + bias^2 (k_0 / k)^2

        which is the asymptotic error of the self-normalized estimate. Where the bias has not begun to fall, as that of
        sampled softmax may never do, it counts as constant, and where the error has not, k is unknown.

        Args:
            error: the target, such as 0.1.
            sampler: its name; None where there is only one.

        Raises:
            ArgumentTypeError, ArgumentError: the error is not a positive number, or there is no such sampler.
        """
        target = check_float("error", error, above=0)
        if sampler is None and len(self.samplers) > 1:
            raise ArgumentError("sampler", f"one of {', '.join(self.samplers)}", None)
        measured = self[next(iter(self.samplers)) if sampler is None else sampler]
        largest = measured[-1].num_sampled
        above = [at for at in measured if at.relative_error.value > target]
        if not above:
            return NeededSamples(measured[0].num_sampled, "at most", largest)
        last = above[-1]
        if last is not measured[-1]:
            return NeededSamples(_between(last, measured[measured.index(last) + 1], target), "interpolated", largest)
        ratio = _beyond(measured, target)
        if ratio is None:
            return NeededSamples(None, "unknown", largest)
        return NeededSamples(max(largest + 1, _up(largest * ratio)), "extrapolated", largest)

    def to_columns(self) -> dict[str, list[Any]]:
        """Return the columns that `logq.to_frame` makes a table of, `_se` for standard errors; see ErrorAt."""
        rows = [(name, at) for name, measured in self.samplers.items() for at in measured]
        columns: dict[str, list[Any]] = {
            "sampler": [name for name, _ in rows],
            "num_sampled": [at.num_sampled for _, at in rows],
        }
        for name in ("relative_error", "bias", "std", "ess"):
            columns[name] = [getattr(at, name).value for _, at in rows]
            columns[f"{name}_se"] = [getattr(at, name).standard_error for _, at in rows]
        return columns

    _repr_html_ = result_html

    def __repr__(self) -> str:
        sizes = sorted({at.num_sampled for measured in self.samplers.values() for at in measured})
        k = f"k from {sizes[0]:,} to {sizes[-1]:,}" if sizes else "nothing measured"
        of = f"{self.num_rows:,} rows, {self.num_classes:,} classes, {self.repeats:,} repeats"
        return result_text(self, f"{self.estimator}: {first_of(map(named, self.samplers))}", k, of)

    def table(self) -> str:
        """Return all errors as columns of text, with `~` before a bias that noise could have caused."""
        rows = [("sampler", "k", "error", "bias", "std", "ess")]
        for name, measured in self.samplers.items():
            for at in measured:
                bias = f"{'' if at.bias_is_clear else '~'}{at.bias.value:.4f}"
                numbers = (f"{at.relative_error.value:.4f}", bias, f"{at.std.value:.4f}", f"{at.ess.value:.1f}")
                rows.append((name, str(at.num_sampled), *numbers))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = (
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            for row in rows
        )
        return "\n".join("  ".join(line) for line in lines)

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON; numbers are [value, standard error]."""
        return {
            "estimator": self.estimator,
            "num_rows": self.num_rows,
            "num_classes": self.num_classes,
            "repeats": self.repeats,
            "gradient_length": self.gradient_length,
            "samplers": {name: [at.as_dict() for at in measured] for name, measured in self.samplers.items()},
        }


def _beyond(measured: Sequence[ErrorAt], target: float) -> float | None:
    """Return the k for an error divided by the largest k; None where the error does not follow its asymptote yet."""
    last = measured[-1]
    variance, bias = last.std.value**2, max(last.bias_squared.value, 0.0)
    if len(measured) > 1:
        before = measured[-2]
        times = last.num_sampled / before.num_sampled
        if _slope(before.relative_error.value, last.relative_error.value, times) < _LEAST_SLOPE:
            return None
        if last.bias_is_clear and _slope(before.bias.value, last.bias.value, times) < _LEAST_SLOPE:
            return variance / (target**2 - bias) if bias < target**2 else None
    # target^2 u^2 - std^2 u - bias^2 = 0 for u = k / k_0
    return (variance + math.sqrt(variance**2 + 4 * target**2 * bias)) / (2 * target**2)


def _slope(high: float, low: float, times: float) -> float:
    """Return s such that a number ~ k^-s goes from one value to the other while k grows by a factor."""
    if low == 0 or high == 0:
        return math.inf if low == 0 else 0.0
    return math.log(high / low) / math.log(times)


def _up(k: float) -> int:
    """Return the next integer, ignoring rounding errors."""
    return math.ceil(k * (1 - 1e-9))


def _between(above: ErrorAt, below: ErrorAt, target: float) -> int:
    slope = _slope(above.relative_error.value, below.relative_error.value, below.num_sampled / above.num_sampled)
    if math.isinf(slope):  # exact from there on
        return below.num_sampled
    k = above.num_sampled * (above.relative_error.value / target) ** (1 / slope)
    return min(below.num_sampled, _up(k))
