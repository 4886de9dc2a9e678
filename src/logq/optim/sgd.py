"""Stochastic gradient descent on touched rows."""

from typing import Any, ClassVar

from torch import Tensor

from logq.kernels.updates import RowRule
from logq.optim.row_optimizer import Parameters, RowOptimizer

__all__ = ["SGD"]


class SGD(RowOptimizer):
    """Stochastic gradient descent without momentum, on the rows that have a gradient.

        w -= lr (g + weight_decay w)

    Equivalent to torch.optim.SGD with momentum 0: for dense gradients, and for sparse ones without weight decay, which
    torch has not there. Neither has a state to be loaded or saved; the options go both ways, momentum 0.

    Args:
        params: parameters, or groups of them with options of their own, as torch's optimizers take them.
        lr: the learning rate, >= 0.
        weight_decay: >= 0; a row decays when it has a gradient, and not otherwise.
        maximize: go up instead of down.
        in_backward: update class weights inside of backward of logq's losses, and store no gradient of theirs. `step`
            then updates what has a gradient, so the training loop stays as it is. Each backward is an update: a second
            one of a graph that was retained, and one of each loss where a table stands in several. Not to be used where
            gradients of several backwards are added up, clipped or scaled (torch.amp.GradScaler). Hooks of such a
            parameter are called with None. What torch.autograd.grad is asked for it gives, and no update is made then,
            nor by a backward with create_graph=True. It means the same on every device and backend. Where several
            processes train together (torch.distributed) it raises: gradients have to be averaged first.
        stochastic_rounding: round rows of tables in half precision up or down at random, so that their mean is exact,
            and many small steps are not lost to rounding each of them to the nearest. The random bits follow from
            `seed`, the place of the parameter, the number of the update and the place in the table: they are the same
            on every device. Tables in float32 and float64 are not affected.
        seed: of these random bits.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: a number is out of range.

    Example:
        >>> table = torch.nn.Parameter(torch.ones(4, 2))
        >>> optimizer = SGD([table], lr=0.5)
        >>> torch.nn.functional.embedding(torch.tensor([3, 3]), table, sparse=True).sum().backward()
        >>> optimizer.step()
        >>> table[2:].tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    """

    MUST_BE: ClassVar[dict[str, object]] = {"momentum": 0, "dampening": 0, "nesterov": False}

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-3,
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
        in_backward: bool = False,
        stochastic_rounding: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "in_backward": in_backward,
                "stochastic_rounding": stochastic_rounding,
                "seed": seed,
            },
        )

    def rule(self, group: dict[str, Any], step: int, states: tuple[Tensor, ...]) -> RowRule:
        """The rule of one update."""
        return RowRule("sgd", group["lr"], group["weight_decay"], maximize=group["maximize"])
