"""The running loss of a training, which a progress bar shows, and what is said of a training that goes wrong."""

import math
import warnings

from logq._arguments import BadArgumentError
from logq._progress import Progress

__all__ = ["DivergedError", "Problems", "RunningMean", "TrainingWarning"]

DIVERGED = 10
"""A loss that is so many times what it was at first, or 1 where that was less, is that of a training that diverges."""


class TrainingWarning(UserWarning):
    """A training goes on, but what it makes is of no use; the message says why, and what to change.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("error", TrainingWarning)  # doctest: +SKIP
    """


class DivergedError(BadArgumentError, FloatingPointError):
    """Training diverged: losses or weights are not finite, or losses grow without end.

    Args:
        name: the argument to change.
        said: the rest of the message.

    Example:
        >>> raise DivergedError("lr", "training diverged in epoch 1; try less than 10")
        Traceback (most recent call last):
        ...
        logq.training.running_mean.DivergedError: lr: training diverged in epoch 1; try less than 10
    """

    def __init__(self, name: str, said: str) -> None:
        super().__init__(name, said)
        self.args = (name, said)  # so that it can be pickled

    def message(self, name: str) -> str:
        """The message with another name for the argument."""
        return f"{name}: {self.expected}"


class RunningMean:
    """Mean losses of an example: of the first batch, and of about the last `memory` batches.

        recent = sum_b r^(n - b) loss_b / sum_b r^(n - b) count_b,    r = 1 - 1 / memory

    Example:
        >>> running = RunningMean()
        >>> for loss in (30.0, 20.0):
        ...     running.add(loss, 10)
        >>> running.first, round(running.recent, 3)
        (3.0, 2.497)
    """

    def __init__(self, memory: int = 100) -> None:
        self.first = math.nan
        self.memory = memory
        self._recent_sum = self._recent_count = 0.0

    def add(self, loss: float, count: int) -> None:
        """Take in the summed loss of `count` examples."""
        if count and math.isnan(self.first):
            self.first = loss / count
        self._recent_sum += (loss - self._recent_sum) / self.memory
        self._recent_count += (count - self._recent_count) / self.memory

    @property
    def recent(self) -> float:
        """Over the latest examples, NaN if there was none."""
        return self._recent_sum / self._recent_count if self._recent_count else math.nan

    def has_diverged(self, first: float) -> bool:
        """Whether the recent loss is not a number, or ten times `first`, which it was when nothing had been learned."""
        if not self._recent_count:
            return False  # nothing was measured yet
        return not math.isfinite(self.recent) or self.recent > DIVERGED * max(first, 1.0)


class Problems:
    """What is wrong with a training that goes on: said on its progress line after each epoch, and as a warning once.

    Args:
        lr: the learning rate, which is what to change.

    Example:
        >>> problems = Problems(lr=10.0)
        >>> with warnings.catch_warnings(record=True) as caught, Progress(1, "epochs", "demo", enabled=False) as bar:
        ...     warnings.simplefilter("always")
        ...     problems.check_loss(3.0, 5.0, 1, bar)
        ...     problems.check_loss(3e6, 5.0, 2, bar)
        >>> print(caught[0].message)
        after epoch 2 the loss is 3e+06, and was 5 in the first batch: training diverges; try less than lr = 10, or clip
    """

    def __init__(self, lr: float) -> None:
        self._lr = lr
        self._said: set[str] = set()

    def check_loss(self, loss: float, first: float, epoch: int, bar: Progress) -> None:
        """Say it where the mean loss of an epoch is far above that of the first batch."""
        if loss > DIVERGED * max(first, 1.0):
            problem = f"the loss is {loss:.4g}, and was {first:.4g} in the first batch: training diverges"
            self.say("training", "diverging", problem, epoch, bar)

    def say(self, what: str, how: str, problem: str, epoch: int, bar: Progress) -> None:
        """Say what is wrong.

        Args:
            what: is wrong, a field of the progress line.
            how: the value of that field.
            problem: a sentence, without what to do about it; "" for none.
            epoch: after which it is so.
            bar: the progress line.
        """
        if not problem:
            return
        bar.advance(0, **{what: how})
        if what not in self._said:
            self._said.add(what)
            text = f"after epoch {epoch} {problem}; try less than lr = {self._lr:g}, or clip"
            warnings.warn(text, TrainingWarning, stacklevel=2)
