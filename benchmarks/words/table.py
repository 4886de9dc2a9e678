"""Runs of the same settings as a table, medians with their smallest and largest value."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from settings import Settings


@dataclass
class Run:
    """One run of one tool.

    Attributes:
        words: raw words of the corpus times epochs: what it was given, whether it kept the words or not.
        training_seconds: of the training phase, or None if the tool does not say.
        scores: of each test of quality, in per cent.
    """

    tool: str
    seed: int
    words: int
    training_seconds: float | None
    total_seconds: float
    cpu_seconds: float
    peak_bytes: int
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Thousand raw words per second, of the training phase if that is known."""
        return self.words / (self.training_seconds or self.total_seconds) / 1000


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and the smallest and largest if there are several."""
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f} .. {max(values):,.{digits}f})"


def rows(runs: Sequence[Run], first: str) -> list[list[str]]:
    """The title row, then one for each tool in the order of its first run; ratios are against the tool `first`."""
    tools = list(dict.fromkeys(run.tool for run in runs))
    names = list(dict.fromkeys(name for run in runs for name in run.scores))
    of_tool = {tool: [run for run in runs if run.tool == tool] for tool in tools}
    ours = statistics.median(run.rate for run in of_tool[first]) if first in of_tool else None
    title = ["", "thousand words/s", f"{first} is", "training s", "total s", "CPU s", "peak MB", *names]
    table = [[*title, "mean"] if names else title]
    columns: list[tuple[Callable[[Run], float], int]] = [
        (lambda run: run.total_seconds, 1),
        (lambda run: run.cpu_seconds, 1),
        (lambda run: run.peak_bytes / 1e6, 0),
    ]
    for tool, its in of_tool.items():
        rate = statistics.median(run.rate for run in its)
        trained = [run.training_seconds for run in its if run.training_seconds is not None]
        row = [tool, spread([run.rate for run in its], 0)]
        row.append("" if ours is None or tool == first else f"{ours / rate:.2f} x")
        row.append(spread(trained, 1) if trained else "in total")
        row += [spread([value(run) for run in its], digits) for value, digits in columns]
        scored = [run.scores for run in its if run.scores]
        row += [spread([scores[name] for scores in scored], 1) if scored else "" for name in names]
        if names:
            row.append(spread([statistics.mean(scores.values()) for scores in scored], 1) if scored else "")
        table.append(row)
    return table


def markdown(settings: Settings, runs: Sequence[Run], first: str) -> str:
    """The table with its settings above it, columns padded so that it reads well as plain text too."""
    table = rows(runs, first)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    aligned = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))] for row in table
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = ["| " + " | ".join(row) + " |" for row in [aligned[0], rule, *aligned[1:]]]
    return "\n".join([f"### {settings}", "", *lines, ""])
