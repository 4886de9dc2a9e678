"""How gradient errors are printed: a table, lines for programs, and a sentence of advice."""

from typing import TYPE_CHECKING

from logq.cli.terminal.console import Text
from logq.cli.terminal.result_tables import ResultTable

if TYPE_CHECKING:
    from logq.diagnostics import GradientErrors, Measured, NeededSamples

__all__ = ["advice", "print_lines", "print_table"]


def print_lines(errors: "GradientErrors") -> None:
    """A line for each sampler and k: value and standard error of error, bias, std and effective sample size."""
    for name, measured in errors.samplers.items():
        for at in measured:
            numbers = [number for part in (at.relative_error, at.bias, at.std, at.ess) for number in part]
            print("\t".join([name, str(at.num_sampled), *(f"{number:.6g}" for number in numbers)]))


def print_table(errors: "GradientErrors") -> None:
    """The same for people."""
    table = ResultTable("sampler", "k", "error", "bias", "std", "ess", keys=2)
    for name, measured in errors.samplers.items():
        for number, at in enumerate(measured):
            bias = _with_spread(at.bias)
            table.add(
                name if number == 0 else "",
                f"{at.num_sampled:,}",
                _with_spread(at.relative_error),
                bias if at.bias_is_clear else Text.assemble(("~", "dim"), bias),
                _with_spread(at.std),
                f"{at.ess.value:,.1f}",
            )
    table.show()


def advice(errors: "GradientErrors", error: float, classes: str) -> str:
    """Which sampler needs the fewest samples for an error, in a sentence or two.

    Args:
        errors: what was measured.
        error: the wanted one.
        classes: what a class is, in the plural.
    """
    needed = {name: errors.num_sampled_for(error, name) for name in errors.samplers}
    known = {name: one for name, one in needed.items() if one.num_sampled is not None}
    largest = max(at.num_sampled for measured in errors.samplers.values() for at in measured)
    if not known:
        return (
            f"No sampler reaches an error of {error:g} with {largest:,} samples, or is seen to fall towards it: "
            "measure more by --num-sampled, try --distinct, or take the full softmax."
        )
    best = min(known, key=lambda name: _order(known[name], errors, name))
    others = [f"{name} {one}" for name, one in needed.items() if name != best]
    said = f"For an error of {error:g} take {best} with {known[best]} samples" + (
        f"; {', '.join(others)}." if others else "."
    )
    most = known[best].num_sampled
    if most is not None and 2 * most >= errors.num_classes:
        said += f" There are {errors.num_classes:,} {classes}: the full softmax costs no more than that."
    elif known[best].how == "extrapolated":
        said += f" That is more than was measured: --num-sampled {largest},{most} would tell."
    return said


def _order(needed: "NeededSamples", errors: "GradientErrors", name: str) -> tuple[float, float]:
    """Fewest samples first; of those that are good enough at the smallest k already, the smallest error."""
    return (needed.num_sampled or 0, errors[name][0].relative_error.value)


def _with_spread(measured: "Measured") -> Text:
    return Text.assemble(f"{measured.value:.4f}", (f" ±{measured.standard_error:.4f}", "dim"))
