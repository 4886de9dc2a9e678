"""Validations: what they say of a training: when it was best, with which weights, and whether it still gets better."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from logq._arguments import ArgumentError

__all__ = ["Validations"]


class Validations:
    """Keeps the best weights, and ends a training that gets no better.

    Args:
        monitor: the metric that is to grow, such as "ndcg@10".
        patience: validations without improvement after which training ends; None for all epochs.
        smaller_is_better: whether the metric is to fall instead, as perplexity is.

    Attributes:
        best_value: of the metric, with its sign changed where smaller is better; -inf where nothing was best yet.
        best_epoch, best_step, best_reached: when it was best: epochs and steps done, and the part of the schedule.
        best: the weights of then, tensors or arrays; empty where nothing was best yet.
        waited: validations since.

    Example:
        >>> validations = Validations("ndcg@10", patience=2)
        >>> for epoch, value in enumerate((0.1, 0.3, 0.2, 0.3), start=1):
        ...     validations.take({"ndcg@10": value}, epoch, 10 * epoch, epoch / 20, dict)
        >>> validations.best_epoch, validations.is_over
        (2, True)
    """

    POSITION = ("best_epoch", "best_step", "best_reached", "waited")
    """What a checkpoint keeps as it is."""

    def __init__(self, monitor: str, patience: int | None, *, smaller_is_better: bool = False) -> None:
        self.monitor, self.smaller_is_better, self._patience = monitor, smaller_is_better, patience
        self.best_value = -math.inf
        self.best_epoch = self.best_step = self.waited = 0
        self.best_reached = 0.0
        self.best: dict[str, Any] = {}

    def of(self, metrics: Mapping[str, float]) -> float:
        """The metric that counts.

        Raises:
            ArgumentError: it is not among them.
        """
        if self.monitor not in metrics:
            raise ArgumentError("monitor", f"one of {', '.join(metrics)}", self.monitor)
        return metrics[self.monitor]

    def take(
        self,
        metrics: Mapping[str, float],
        epoch: int,
        step: int,
        reached: float,
        weights: Callable[[], dict[str, Any]],
    ) -> None:
        """Take in a validation, which was made after so many epochs and steps.

        Args:
            metrics: that were measured.
            epoch: epochs done.
            step: steps done.
            reached: the part of the schedule that is done.
            weights: copies those that were measured, if they are the best.
        """
        value = -self.of(metrics) if self.smaller_is_better else self.of(metrics)
        if value > self.best_value:
            self.best_value, self.best_epoch, self.best_step, self.best_reached = value, epoch, step, reached
            self.waited, self.best = 0, weights()
        else:
            self.waited += 1

    @property
    def is_over(self) -> bool:
        """Whether there was no improvement for as long as patience lasts."""
        return self._patience is not None and self.waited >= self._patience

    def position(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in self.POSITION}
        return {**kept, "best_value": self.best_value if self.best else None}

    def restore(self, position: Mapping[str, Any], best: dict[str, Any]) -> None:
        """Take over what `position` gave, and the best weights."""
        for name in self.POSITION:
            setattr(self, name, position[name])
        self.best_value = -math.inf if position["best_value"] is None else position["best_value"]
        self.best = best
