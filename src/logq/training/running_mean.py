"""The running loss of a training, which a progress bar shows, and what is said of a training that goes wrong."""

import math
from typing import TYPE_CHECKING

from logq._arguments import BadArgumentError
from logq._progress import Progress
from logq._warnings import warn

if TYPE_CHECKING:
    from torch import Tensor, nn  # which word2vec does without

__all__ = ["DivergedError", "Problems", "RunningMean", "TrainingWarning", "collapse_of"]

DIVERGED = 10
"""A loss that is so many times what it was at first, or 1 where that was less, is that of a training that diverges."""

ALIKE = 1e-5
"""Share of the size of scores below which a difference is one of rounding in float32."""

LARGEST_SCORE = 1e15
"""Larger scores are those of a model that diverged: soon squares of queries leave float32, and searches fail."""


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
        >>> import warnings
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

    def check_step(self, loss: float, epoch: int, batch: int) -> None:
        """Check that the loss of a batch is finite.

        Raises:
            FloatingPointError: it is not: training diverged.
        """
        if not math.isfinite(loss):
            raise DivergedError(
                "lr",
                f"training diverged in epoch {epoch}, batch {batch}: the loss is {loss}; try "
                f"less than {self._lr:g}, or clip. A checkpoint stays as it was last saved",
            )

    def check_weights(self, module: "nn.Module", epoch: int) -> None:
        """Check that all weights are finite.

        Raises:
            FloatingPointError: one is not finite: training diverged.
        """
        for name, parameter in module.named_parameters():
            if not bool(parameter.detach().sum().isfinite()) and not bool(parameter.detach().isfinite().all()):
                raise DivergedError(
                    "lr",
                    f"training diverged in epoch {epoch}, {name} is not finite any more; try less than {self._lr:g}",
                )

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
            warn(text, TrainingWarning)


def collapse_of(queries: "Tensor", rows: "Tensor", lr: float) -> str:
    """What is to be said where a model ranks all items, or answers all queries, alike; "" where it does not.

    Args:
        queries: (n, D), or (n, K, D) of which the best counts.
        rows: (m, D) of items.
        lr: the learning rate, which is what to change.

    Raises:
        FloatingPointError: scores are not finite.

    Example:
        >>> import torch
        >>> collapse_of(torch.ones(2, 3), torch.eye(3), lr=0.1)
        'all items have the same score, whatever the history: the model has collapsed'
    """
    rows = rows.double()
    scores = queries.double() @ rows.T.to(queries.device)
    scores = scores.amax(dim=1) if scores.dim() == 3 else scores
    largest = max(float(part.abs().max()) for part in (queries, scores))
    if not largest <= LARGEST_SCORE:  # nan is not
        raise DivergedError("lr", f"training diverged, scores reach {largest:.1e}; try less than {lr:g}")
    centered = scores - scores.mean(dim=1, keepdim=True)  # what is added to all items ranks none
    spread = float(centered.square().mean().sqrt())
    if spread <= ALIKE * float(scores.abs().max()):
        return "all items have the same score, whatever the history: the model has collapsed"
    if float((centered - centered.mean(dim=0)).square().mean().sqrt()) <= ALIKE * spread:
        return "all histories get the same ranking of items: the model has collapsed"
    return ""
