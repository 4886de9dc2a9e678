"""What a step of ours costs as the class table grows: all sizes in turn, on one machine at one time."""

from clock import in_turn
from contestants import ours
from machine import available_bytes
from numbers_in_torch import problem
from one_case import Options
from report import milliseconds, table, times
from workloads import GROWTH, GROWTH_LIMIT, GROWTH_SIZES, Case


def _row(case: Case, options: Options) -> list[list[str]]:
    sizes = [case._replace(num_classes=size) for size in dict.fromkeys(_scaled(options.scale))]
    fitting, budget = [], 0.8 * available_bytes()
    for one in sizes:
        budget -= 4 * one.num_classes * one.dim
        if budget > 0:
            fitting.append(one)
    contestants = {f"{one.num_classes:,}": ours(problem(one)) for one in fitting}
    found = in_turn(contestants, options.repeat, 8, options.say)
    if not found:
        return []
    smallest = next(iter(found.values())).median
    name = str(case).split(", C=")[0]
    rows = []
    for size, spread in found.items():
        ratio = spread.median / smallest
        last = size == f"{fitting[-1].num_classes:,}" and len(fitting) > 1
        goal = f" (<= {GROWTH_LIMIT:g} x: {'met' if ratio <= GROWTH_LIMIT else 'MISSED'})" if last else ""
        rows.append([name, size, milliseconds(spread), times(ratio) + goal])
    return rows


def _scaled(scale: float) -> list[int]:
    return [max(50, round(size * scale)) for size in GROWTH_SIZES]


def measure(options: Options) -> str:
    """A table of the cost against C."""
    options.say("cost against C")
    rows = [["step", "C", "ms per step", "against the smallest C"]]
    for case in GROWTH:
        try:
            rows += _row(case.scaled(options.scale), options)
        except ImportError as error:
            return f"### Cost against the number of classes, logq\n\nLeft out ({error}).\n"
    return "### Cost against the number of classes, logq\n\n" + table(rows) + "\n"
