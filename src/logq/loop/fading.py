"""Fading: what rows of a table remember of their gradients fades while they have none, as in Adam."""

import torch
from torch import Tensor

from logq.optim import LazyAdam
from logq.optim.gradients import coalesced

__all__ = ["Fading"]


class Fading:
    """Makes LazyAdam without momentum do what Adam without momentum does, at the cost of the touched rows.

        v *= beta2^(updates of the table since the row had one)      before the row's next update

    LazyAdam leaves the mean v of squared gradients of a row as it is until the row is touched again. So v of a rare row
    is that of its own gradients, and each update moves it by about the learning rate. In Adam v falls meanwhile, and a
    row that is touched at every k-th step moves by sqrt(k) times as much: the vectors of rare words keep up.

    Args:
        optimizer: whose parameters have sparse gradients; its first beta must be 0, as a mean of gradients would move
            rows between their updates.

    Raises:
        ValueError: its first beta is another.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(4, 2))
        >>> fading = Fading(LazyAdam([table], betas=(0.0, 0.999)))
        >>> torch.nn.functional.embedding(torch.tensor([3, 3]), table, sparse=True).sum().backward()
        >>> fading.before_step()
        >>> fading.optimizer.step()
        >>> fading.last[0].tolist()
        [0, 0, 0, 1]
    """

    def __init__(self, optimizer: LazyAdam) -> None:
        self.optimizer = optimizer
        self._tables: list[tuple[Tensor, float]] = []
        for group in optimizer.param_groups:
            first, second = group["betas"]
            if first:
                raise ValueError(f"betas: expected 0 as the first, got {first}")
            self._tables += [(parameter, second) for parameter in group["params"]]
        self.last = [
            torch.zeros(len(parameter), dtype=torch.int64, device=parameter.device) for parameter, _ in self._tables
        ]
        """For each table, the number of the update that each row had last; 0 for none."""

    @torch.no_grad()
    def before_step(self) -> None:
        """Fade the rows that have a gradient."""
        for (parameter, beta), last in zip(self._tables, self.last, strict=True):
            if parameter.grad is None:
                continue
            parameter.grad = coalesced(parameter.grad)
            rows, state = parameter.grad._indices()[0], self.optimizer.state[parameter]
            updates = state["step"] if state else 0
            if updates:
                squares = state["exp_avg_sq"]
                kept = torch.pow(beta, (updates - last[rows]).to(squares.dtype))
                squares[rows] = squares[rows] * kept.view(-1, *[1] * (squares.dim() - 1))
            last[rows] = updates + 1
