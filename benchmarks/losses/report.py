"""What came out, as Markdown that can be pasted into a file of results."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from clock import Spread
from contestants import IN_BACKWARD, OURS, Kind
from workloads import Case, Goal


@dataclass
class Result:
    """A measured case.

    Attributes:
        times: seconds per step by contestant.
        peaks: bytes above the tables by contestant, of those that were measured.
        floor: seconds.
        about_floor: what the floor is made of.
        notes: what failed or was left out, and why.
    """

    case: Case
    times: dict[str, Spread]
    floor: float
    about_floor: str
    peaks: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def ours(self) -> str | None:
        """The faster of our two ways."""
        here = [name for name in (OURS, IN_BACKWARD) if name in self.times]
        return min(here, key=lambda name: self.times[name].median) if here else None

    def fastest(self, kinds: Sequence[Kind], stands_for: str) -> str | None:
        """The fastest of those that stand for something."""
        names = [kind.name for kind in kinds if kind.stands_for == stands_for and kind.name in self.times]
        return min(names, key=lambda name: self.times[name].median) if names else None


def milliseconds(spread: Spread) -> str:
    """Median, smallest and largest."""
    digits = 1 if spread.median >= 0.01 else 3
    return (
        f"{1e3 * spread.median:,.{digits}f} ({1e3 * spread.smallest:,.{digits}f} .. {1e3 * spread.largest:,.{digits}f})"
    )


def times(ratio: float) -> str:
    """A ratio with as many digits as mean something."""
    return f"{ratio:,.0f} x" if ratio >= 20 else f"{ratio:.2f} x" if ratio < 10 else f"{ratio:.1f} x"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first row its title, padded so that it reads well as plain text too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [padded[0], rule, *padded[1:]])


def of_case(result: Result) -> str:
    """A case with a line for each contestant; ratios are against the faster of ours."""
    name = result.ours()
    rows = [["", "ms per step", "against logq", "against the floor", "peak MB above the tables"]]
    for contestant, spread in result.times.items():
        against = times(spread.median / result.times[name].median) if name and contestant != name else ""
        peak = f"{result.peaks[contestant] / 1e6:,.0f}" if contestant in result.peaks else ""
        rows.append([contestant, milliseconds(spread), against, times(spread.median / result.floor), peak])
    lines = [f"### {result.case}", "", f"Floor {1e3 * result.floor:,.2f} ms: {result.about_floor}.", "", table(rows)]
    return "\n".join([*lines, *(f"\n{note}" for note in result.notes), ""])


def _held(got: float | None, wanted: float | None, *, at_most: bool = False) -> str:
    """A ratio and, where there is a goal, whether it was met."""
    if got is None:
        return "" if wanted is None else f"not measured (goal {wanted:g} x)"
    if wanted is None:
        return times(got)
    met = got <= wanted if at_most else got >= wanted
    return f"{times(got)} ({'<=' if at_most else '>='} {wanted:g} x: {'met' if met else 'missed'})"


def of_goals(goals: Sequence[Goal], results: Sequence[Result], kinds: Sequence[Kind]) -> str:
    """Each goal beside what came out; a ratio without a goal stands alone."""
    rows = [["", "logq ms", "dense, as people write it", "plain PyTorch", "tuned PyTorch", "TensorFlow", "floor"]]
    by_case = {result.case: result for result in results}
    for goal in goals:
        result = by_case.get(goal.case)
        name = result.ours() if result else None
        if result is None or name is None:
            continue
        mine = result.times[name].median
        ratio: dict[str, float | None] = {}
        for stands_for in ("people", "best", "tuned", "tensorflow", "full"):
            other = result.fastest(kinds, stands_for)
            ratio[stands_for] = None if other is None else result.times[other].median / mine
        people = _held(ratio["people"], goal.people)
        if goal.full is not None:
            people = f"full softmax {_held(ratio['full'], goal.full)}"
        row = [goal.row, f"{1e3 * mine:.1f}", people, _held(ratio["best"], goal.best), _held(ratio["tuned"], None)]
        row += [_held(ratio["tensorflow"], goal.tensorflow), _held(mine / result.floor, goal.floor, at_most=True)]
        rows.append(row)
    if len(rows) == 1:
        return ""
    about = "How many times longer others take, the fastest of each column, and how many times its floor logq takes."
    return f"### The goals\n\n{about}\n\n{table(rows)}\n"
