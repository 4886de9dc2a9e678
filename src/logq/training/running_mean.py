"""The running loss of a training, which a progress bar shows, and the error of one that diverges."""

import math

from logq._arguments import BadArgumentError

__all__ = ["DivergedError", "RunningMean", "TrainingWarning"]


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
        return not math.isfinite(self.recent) or self.recent > 10 * max(first, 1.0)
