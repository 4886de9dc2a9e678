"""The running loss of a training: what a progress bar shows and what tells that it diverges."""

import math

__all__ = ["RunningMean"]


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
        """Over the latest examples, 0 if there was none."""
        return self._recent_sum / self._recent_count if self._recent_count else 0.0

    def has_diverged(self, first: float) -> bool:
        """Whether the recent loss is not a number, or ten times `first`, which it was when nothing had been learned."""
        return not math.isfinite(self.recent) or self.recent > 10 * max(first, 1.0)
