"""Phases of a fit: the minutes that each may take, and how long a later one trains, as an earlier one has found."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from logq._arguments import ArgumentError, Verbatim

__all__ = ["Chosen", "Phase", "TimeBudget", "first_phase"]

FADES = 0.9
"""How much of the longest batch so far counts against the next one: a slow batch is expected again for a while."""

UNTIMED, LATEST = 0.1, 0.5
"""Shares of a budget: after the first one a validation is timed if the epoch that it is to end lasts beyond the second.
"""


class TimeBudget:
    """The time that a fit may take, from when this is made: reading, validations and all.

    A batch is begun only where it and the validation behind it are expected to end in time:

        room = (left - seconds of a validation) / seconds of a batch

    Both come from what batches and validations took so far.

    Args:
        minutes: of the fit; None for no limit, where time is counted all the same.
        clock: seconds since some moment; replaced in tests.

    Attributes:
        seconds: that the fit may take; infinite for no limit.
        whole: the budget of all phases, where this is that of one.

    Example:
        >>> clock = iter([0.0, 10.0, 20.0, 30.0]).__next__
        >>> budget = TimeBudget(1, clock=clock)
        >>> budget.used, budget.left, budget.share
        (10.0, 40.0, 0.5)
    """

    def __init__(self, minutes: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = math.inf if minutes is None else 60 * minutes
        self.whole = self
        self._watch = _Watch(clock)
        self._mark = 0.0
        self._batch = 0.0
        self._validation: float | None = None

    def part(self, share: float) -> "TimeBudget":
        """The budget of a first phase, which began when this one did and has a share of it."""
        made = copy.copy(self)  # with the same watch
        made.seconds *= share
        return made

    @property
    def used(self) -> float:
        """Seconds since it began, with those of a run that is continued."""
        return self._watch.seconds

    def resume(self, seconds: float) -> None:
        """Add what a run had used before it was interrupted."""
        self._watch.before += seconds

    @property
    def left(self) -> float:
        """Seconds until it ends, 0 at the least."""
        return max(0.0, self.seconds - self.used)

    @property
    def share(self) -> float:
        """Part of it that is used, from 0 to 1; 0 where there is no limit."""
        return self.share_after(0.0)

    def share_after(self, seconds: float) -> float:
        """Part that is used of what was left after so many seconds, from 0 to 1; 0 where there is no limit."""
        return min(1.0, max(0.0, self.used - seconds) / max(self.seconds - seconds, 1e-9))

    @property
    def room(self) -> float:
        """How many more batches fit, as a number that may be a fraction; infinite where there is no limit."""
        return (self.left - (self._validation or 0.0)) / max(self._batch, 1e-9)

    @property
    def is_over(self) -> bool:
        """Whether no more batch fits."""
        return self.room < 1

    def wants_validation_time(self, batches: int) -> bool:
        """Whether to time a validation, as nobody knows what one takes, and the next is so many batches away."""
        end = self.used + batches * self._batch
        return self._validation is None and self.share > UNTIMED and end > LATEST * self.seconds

    def mark(self) -> None:
        """Say that what takes time begins now."""
        self._mark = self.used

    def batches_done(self, count: int) -> None:
        """Say that so many batches were trained since the mark, and mark anew."""
        now = self.used
        self._batch = max((now - self._mark) / count, FADES * self._batch)
        self._mark = now

    def validation_done(self) -> None:
        """Say that a validation, with all that ends an epoch, was done since the mark, and mark anew."""
        now = self.used
        self._validation = max(now - self._mark, FADES * (self._validation or 0.0))
        self._mark = now


class _Watch:
    """Seconds that were used, whichever phase they are of."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._began, self.before = clock, clock(), 0.0

    @property
    def seconds(self) -> float:
        return self.before + self._clock() - self._began


class Chosen(NamedTuple):
    """How long validation chose to train, for a training on more data that has no validation.

    Args:
        epochs: passes over the data; the last one may be a part of one.
        reached: how far the schedule of the learning rate was by then, from 0 to 1.
        seconds: of the time budget that were used when it was chosen.
        cooling: epochs before the cooldown, and of it; (0, 0) for none.

    Example:
        >>> chosen = Chosen(epochs=3.5, reached=0.35)
        >>> chosen.steps(num_batches=100), chosen.schedule_steps(num_batches=100)
        (350, 1000)
    """

    epochs: float
    reached: float
    seconds: float = 0.0
    cooling: Sequence[float] = (0, 0)

    def steps(self, num_batches: int) -> int:
        """Steps of the training, one at the least, where an epoch has `num_batches`."""
        return max(1, round(self.epochs * num_batches))

    def schedule_steps(self, num_batches: int) -> int:
        """Steps over which the learning rate would decay to its end."""
        return max(1, round(self.epochs * num_batches / max(self.reached, 1e-9)))

    def cooling_steps(self, num_batches: int) -> tuple[int, int]:
        """The step that the cooldown begins at, and its steps."""
        begin, length = self.cooling
        return round(begin * num_batches), round(length * num_batches)


class Phase(NamedTuple):
    """A phase of a fit, such as the one in which validation chooses, and the one that trains on all data afterwards.

    Args:
        budget: the time that it may take.
        number: of the phase, from 1; 0 where the fit has no others.
        chosen: how long to train; None for all epochs.
        log: what the training log has of the phases before.
        data: the fingerprint of the data of the fit, where the phase has other data; "" for its own.
        seed: of the run; None where it is for the phase to say.

    Example:
        >>> Phase(TimeBudget(None)).number
        0
    """

    budget: TimeBudget
    number: int = 0
    chosen: Chosen | None = None
    log: Sequence[dict[str, float]] = ()
    data: str = ""
    seed: int | None = None


def first_phase(minutes: float | None, *, refit: bool, validation: float | None) -> Phase:
    """The phase that a fit begins with: its only one, or with `refit` that in which validation chooses.

    Args:
        minutes: the time budget of the fit. The first phase gets a share that leaves the second one time for as many
            epochs on the larger data, whose steps take as long.
        refit: whether to train on all data afterwards.
        validation: size of the validation part, as a share of the part that is trained on first; None for none.

    Raises:
        ArgumentError: there is no validation that could choose.

    Example:
        >>> phase = first_phase(60, refit=True, validation=0.25)
        >>> phase.number, round(phase.budget.seconds), phase.budget.whole.seconds
        (1, 1600, 3600)
    """
    budget = TimeBudget(minutes)
    if not refit:
        return Phase(budget)
    if validation is None:
        hint = "leave_one_out and split_by_time (--validation) make one; refit=False (no --refit) trains at once"
        raise ArgumentError("refit", "a validation part to choose the number of epochs by", Verbatim("none"), hint)
    return Phase(budget.part(1 / (2 + validation)), number=1)
