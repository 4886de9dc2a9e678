"""Timing contestants in turn, so that a slow minute of the machine hits all of them."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

LONG: Final = 0.25
"""Seconds of steps that a turn lasts. A step that is longer stands alone, without one before it to warm the caches."""

REST: Final = 0.02
"""Seconds between turns, in which threads that spin while they wait for the next contestant's work fall asleep."""


class Spread(NamedTuple):
    """Seconds of a step: the median over turns, and the smallest and the largest."""

    median: float
    smallest: float
    largest: float


class Timed(Protocol):
    """Something that takes a step on the batch of that number and says how long it took."""

    def seconds(self, index: int) -> float: ...


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes by the clock."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def spread(values: list[float]) -> Spread:
    """Median, smallest, largest."""
    return Spread(statistics.median(values), min(values), max(values))


def in_turn(
    contestants: Mapping[str, Timed], repeat: int, batches: int, say: Callable[[str], None]
) -> dict[str, Spread]:
    """Seconds a step of each, over `repeat` turns; one that fails is said and left out.

    A contestant takes three steps first (compiling, first touch of its memory). A turn is as many steps as fit into
    LONG, at most 20, after one that does not count; its value is their mean.
    """
    steps: dict[str, int] = {}
    turns: dict[str, list[float]] = {}
    place = 0
    for turn in range(-1, repeat):
        for name, contestant in contestants.items():
            if turn >= 0 and name not in steps:
                continue
            gc.collect()
            time.sleep(REST)
            try:
                if turn < 0:
                    first = contestant.seconds(0)
                    again = [contestant.seconds(index % batches) for index in (1, 2)] if first < 60 * LONG else [first]
                    steps[name] = max(1, min(20, int(LONG / min(again))))
                    continue
                if steps[name] > 1:
                    contestant.seconds(place % batches)
                taken = [contestant.seconds((place + 1 + step) % batches) for step in range(steps[name])]
                turns.setdefault(name, []).append(statistics.mean(taken))
            except Exception as error:
                steps.pop(name, None)
                turns.pop(name, None)
                say(f"{name} failed: {type(error).__name__}: {str(error).strip()[:300]}")
            place += 1
    return {name: spread(values) for name, values in turns.items()}
