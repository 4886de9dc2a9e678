"""A figure of gradient errors: error and standard deviation, and bias, against the number of samples."""

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentError, Verbatim, check_float
from logq._files import atomic_write
from logq._project import check_installed
from logq.diagnostics.gradient_errors import ErrorAt, GradientErrors

__all__ = ["plot"]

FORMATS = ("png", "svg", "pdf")
"""The formats of figures."""

# Okabe and Ito, Color Universal Design, 2008: distinct for all kinds of color vision. Yellow is too pale for lines.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GRAY = "#666666"
_TINY = 1e-9  # instead of 0, which has no logarithm
_LEAST = 1e-4  # where the axis ends: an estimate from all classes is exact, and would stretch it


def check_figure(path: str | os.PathLike[str]) -> str:
    """Return the format that the name of a figure asks for, png, svg or pdf, if figures can be drawn.

    Raises:
        ModuleNotFoundError: matplotlib is not installed; the message says how to.
        ArgumentError: it is not one of these.

    Example:
        >>> check_figure("errors.SVG")
        'svg'
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise ArgumentError("path", "a name that ends in .png, .svg or .pdf", Verbatim(repr(os.fspath(path))))
    check_installed("a figure", "plot", "matplotlib")
    return ending


def plot(errors: GradientErrors, path: str | os.PathLike[str], *, error: float | None = None) -> None:
    """Draw errors against k into a file, a line for each sampler, with logarithmic axes.

    On the left are the relative error (solid) and its standard deviation (dashed; where both meet the bias is
    negligible). On the right is the bias; where noise could have caused it, an arrow points down from its upper bound.
    Bars are standard errors. A target error is a line, with the k that each sampler needs.

    Args:
        errors: what `gradient_error` measured.
        path: a file that ends in .png, .svg or .pdf; equal numbers give equal files.
        error: a target of the relative error.

    Raises:
        ImportError: matplotlib is not installed.
        ArgumentError: the name has another ending, or the error is not a positive number.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from logq.diagnostics import gradient_error
        >>> from logq.samplers import Uniform
        >>> errors = gradient_error(torch.eye(8), torch.eye(8), {"uniform": Uniform(8, 1)}, (2, 4, 8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plot(errors, Path(folder, "errors.png"), error=0.5)
        ...     Path(folder, "errors.png").stat().st_size > 10_000
        True
    """
    kind = check_figure(path)
    if error is not None:
        error = check_float("error", error, above=0)
    import matplotlib
    from matplotlib.figure import Figure

    # A user's own settings would change the file; hashsalt makes the ids in SVG files reproducible.
    settings: Any = {**matplotlib.rcParamsDefault, "svg.hashsalt": "logq", "svg.fonttype": "none"}
    settings = {name: value for name, value in settings.items() if name.partition(".")[0] not in ("backend", "date")}
    content = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        _draw(figure, errors, error)
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        figure.savefig(content, format=kind, dpi=160, metadata=metadata)
    with atomic_write(path) as file:
        file.write(content.getvalue())


def _draw(figure: Any, errors: GradientErrors, target: float | None) -> None:
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    ends: list[tuple[float, str, str]] = []
    for number, (name, measured) in enumerate(errors.samplers.items()):
        color, marker = _COLORS[number % len(_COLORS)], _MARKERS[number % len(_MARKERS)]
        style: dict[str, Any] = {"color": color, "marker": marker, "markersize": 5, "capsize": 2, "linewidth": 1.6}
        ks = [at.num_sampled for at in measured]
        values = [max(at.relative_error.value, _TINY) for at in measured]
        left.errorbar(ks, values, yerr=[at.relative_error.standard_error for at in measured], **style)
        stds = [max(at.std.value, _TINY) for at in measured]
        left.plot(ks, stds, color=color, linewidth=1.0, linestyle=(0, (4, 2)), alpha=0.8)
        _draw_bias(right, measured, style)
        needed = "" if target is None else f": k {errors.num_sampled_for(target, name)}"
        ends.append((values[-1], f"{name}{needed}", color))
    for axes, title in ((left, "Error (solid) and its standard deviation (dashed)"), (right, "Bias")):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("k, samples")
        axes.grid(visible=True, which="major", color="#E0E0E0", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(which="both", color=_GRAY)
    all_ks = sorted({at.num_sampled for measured in errors.samplers.values() for at in measured})
    left.set_xticks(all_ks, [f"{k:,}" for k in all_ks])
    left.xaxis.minorticks_off()
    left.set_ylabel("relative to the length of the exact gradient")
    _label_numbers(left)
    _label_numbers(right)
    right.tick_params(labelleft=True)
    left.set_ylim(bottom=max(left.get_ylim()[0], _LEAST))
    if target is not None:
        _draw_target(left, errors, target)
    _label_ends(left, ends, all_ks[-1])


def _draw_bias(axes: Any, measured: Sequence[ErrorAt], style: dict[str, Any]) -> None:
    """Draw points where there is a bias, and arrows down from its upper bound where noise hides it."""
    clear = [at for at in measured if at.bias_is_clear]
    if clear:
        spread = [at.bias.standard_error for at in clear]
        axes.errorbar([at.num_sampled for at in clear], [at.bias.value for at in clear], yerr=spread, **style)
    for at in measured:
        if not at.bias_is_clear:
            top = math.sqrt(max(at.bias_squared.value, 0.0) + 2 * at.bias_squared.standard_error)
            arrow = {"arrowstyle": "-|>", "color": style["color"], "linewidth": 1.0, "alpha": 0.7}
            if top > _TINY:
                axes.plot([at.num_sampled], [top], color=style["color"], marker="_", markersize=8, alpha=0.7)
                axes.annotate("", (at.num_sampled, top / 1.4), (at.num_sampled, top), arrowprops=arrow)
                axes.update_datalim([(at.num_sampled, top / 1.5)])  # or the arrow would be cut


def _draw_target(axes: Any, errors: GradientErrors, target: float) -> None:
    """Draw a line for the target error, and points where it is reached."""
    axes.axhline(target, color=_GRAY, linewidth=1.0, linestyle=(0, (1, 1.5)))
    axes.annotate(
        f"target: {target:g}", (0, target), (3, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
        color=_GRAY, fontsize=9,
    )  # fmt: skip
    for number, name in enumerate(errors.samplers):
        needed = errors.num_sampled_for(target, name)
        if needed.how == "interpolated":
            axes.plot(
                [needed.num_sampled], [target], marker="o", markersize=10, markerfacecolor="none",
                markeredgecolor=_COLORS[number % len(_COLORS)], markeredgewidth=1.5,
            )  # fmt: skip


def _label_ends(axes: Any, ends: list[tuple[float, str, str]], last: int) -> None:
    """Write names at the right ends of lines, pushed apart where they would overlap."""
    low, high = (math.log(edge) for edge in axes.get_ylim())
    line = 0.06 * (high - low)
    ordered = sorted(ends)
    positions = spread([max(math.log(value), low) for value, _, _ in ordered], line)
    for (value, text, color), position in zip(ordered, positions, strict=True):
        axes.annotate(
            text, (last, value), (1.02, math.exp(position)), textcoords=axes.get_yaxis_transform(),
            color=color, fontsize=9.5, va="center", annotation_clip=False,
        )  # fmt: skip


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Return positions near increasing values with at least a gap between two: groups that touch surround their mean.

    Example:
        >>> spread([0.0, 5.0, 5.0], 2.0)
        [0.0, 4.0, 6.0]
    """
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and _mean(groups[-1]) - _mean(groups[-2]) < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            last = groups.pop()
            groups[-1] += last
    return [_mean(group) + gap * (number - (len(group) - 1) / 2) for group in groups for number in range(len(group))]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _label_numbers(axes: Any) -> None:
    """Label 0.1 and 0.2 instead of only 10^-1."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=30))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.minorticks_off()
