"""Task: what a loop trains: a module, batches of examples, and their loss."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Task"]


class Task(Protocol):
    """What a loop trains.

    Example:
        >>> import numpy as np
        >>> class Line:
        ...     "Learns that y = 2 x, from one batch an epoch."
        ...
        ...     unit, examples, num_batches = "numbers", 3, 1
        ...
        ...     def __init__(self):
        ...         self.module = nn.Linear(1, 1, bias=False)
        ...
        ...     def batches(self, epoch, first):
        ...         if first == 0:
        ...             yield {"x": np.array([[1.0], [2.0], [3.0]], dtype=np.float32)}, 3
        ...
        ...     def loss(self, batch):
        ...         return (self.module(batch["x"]) - 2 * batch["x"]).square().mean()
        ...
        ...     def mass(self, batch, count):
        ...         return count
        ...
        ...     def sparse_parameters(self):
        ...         return []
        >>> from logq.training import Device, Loop, TrainingConfig
        >>> from logq.training.seeds import Seeds
        >>> task = Line()
        >>> Loop(task, TrainingConfig(epochs=200, lr=0.1), Device("cpu"), Seeds.of(1)).run("line", progress=False)
        >>> round(task.module.weight.item(), 2)
        2.0
    """

    module: nn.Module
    """Everything with parameters or states, samplers among it."""
    examples: int
    """How many examples there are in an epoch."""
    unit: str
    """What they are, for the progress line."""

    @property
    def num_batches(self) -> int:
        """How many batches there are in an epoch."""
        ...

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches of an epoch from number `first` on, and how many examples each has.

        On a device a thread runs the iterator, ahead of the training: what it changes is for this method to change.
        """
        ...

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        ...

    def mass(self, batch: Mapping[str, Tensor], count: int) -> Tensor | float:
        """What the mean that `loss` gives is divided by: the number of targets of the batch, or the sum of weights."""
        ...

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Those that get sparse gradients."""
        ...
