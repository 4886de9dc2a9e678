"""WeightAverage: an exponential moving average of the weights of a model, to answer with."""

import contextlib
from collections.abc import Generator

import torch
from torch import Tensor, nn

from logq.arguments import check_float

__all__ = ["WeightAverage"]


class WeightAverage:
    """Averages the weights over steps, and lends them to the model for a while.

        a <- d a + (1 - d) w,    d = min(decay, (1 + t) / (10 + t))    at update number t

    An update reads and writes all weights, so it costs more than a step on a large table does.

    Args:
        model: whose parameters are averaged.
        decay: in (0, 1); 0.999 looks back about a thousand steps.

    References:
        Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992. The warm-up of d is that of
        tf.train.ExponentialMovingAverage.

    Example:
        >>> model = torch.nn.Linear(1, 1)
        >>> average = WeightAverage(model, 0.9)
        >>> average.update()
        >>> with average.lent():
        ...     _ = model(torch.zeros(1, 1))
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = check_float("ema", decay, above=0, at_most=1)
        self.updates = 0
        self._weights: list[Tensor] = list(model.parameters())
        self.names = [name for name, _ in model.named_parameters()]
        self.values: list[Tensor] = [parameter.detach().clone() for parameter in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.values, self._weights, 1 - decay)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    @torch.no_grad()
    def swap(self) -> None:
        """Put the average where the weights are, and the other way round."""
        for parameter, value in zip(self._weights, self.values, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)

    @contextlib.contextmanager
    def lent(self) -> Generator[None, None, None]:
        """The model has the average while the block runs."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
