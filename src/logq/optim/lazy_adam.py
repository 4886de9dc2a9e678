"""Adam on touched rows."""

from typing import Any, ClassVar

from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError
from logq.kernels.updates import RowRule
from logq.optim.row_optimizer import Parameters, RowOptimizer, check_number

__all__ = ["LazyAdam"]


class LazyAdam(RowOptimizer):
    """Adam on the rows that have a gradient; the means of the others do not decay meanwhile.

        g += weight_decay w
        m += (1 - beta1) (g - m)
        v += (1 - beta2) (g^2 - v)
        w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)    at update number t of the table

    Dense Adam goes on moving a row long after its last gradient, and for that passes through the whole table at each
    step. t counts the updates of the table, not of the row, as in TensorFlow Addons' LazyAdam and torch's SparseAdam.

    Equivalent to torch.optim.Adam where every row has a gradient. torch.optim.SparseAdam differs in eps alone, which
    there is added to sqrt(v) before that is corrected: eps here is its eps / sqrt(1 - beta2^t). The states `exp_avg`,
    `exp_avg_sq` and `step` mean the same in both of them, and a `state_dict` may be loaded both ways (from Adam without
    amsgrad and without decoupled weight decay).

    Args:
        params: parameters, or groups of them with options of their own, as torch's optimizers take them.
        lr: the learning rate, >= 0.
        betas: both in [0, 1).
        eps: >= 0, keeps the divisor from 0.
        weight_decay: >= 0; a row decays when it has a gradient, and not otherwise.
        maximize: go up instead of down.
        in_backward: update class weights inside of backward of logq's losses; see `SGD`.
        stochastic_rounding: round rows in half precision up or down at random; see `SGD`.
        seed: of the random bits for it.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: a number is out of range.

    References:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, arXiv:1412.6980, Algorithm 1.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(4, 2))
        >>> optimizer = LazyAdam([table], lr=0.5)
        >>> torch.nn.functional.embedding(torch.tensor([3, 3]), table, sparse=True).sum().backward()
        >>> optimizer.step()
        >>> table[2:]
        tensor([[ 0.0000,  0.0000],
                [-0.5000, -0.5000]], grad_fn=<SliceBackward0>)
    """

    STATES: ClassVar[dict[str, str]] = {"exp_avg": "parameter", "exp_avg_sq": "parameter"}
    NUMBERS: ClassVar[tuple[str, ...]] = (*RowOptimizer.NUMBERS, "eps")
    MUST_BE: ClassVar[dict[str, object]] = {"amsgrad": False, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
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
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "in_backward": in_backward,
                "stochastic_rounding": stochastic_rounding,
                "seed": seed,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        """Check the options of a group."""
        super().check_options(group)
        betas = group["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ArgumentTypeError("betas", "two numbers", betas)
        for beta in betas:
            if check_number("betas", beta) >= 1:
                raise ArgumentError("betas", "numbers >= 0 and < 1", beta)

    def rule(self, group: dict[str, Any], step: int, states: tuple[Tensor, ...]) -> RowRule:
        """The rule of one update."""
        beta1, beta2 = group["betas"]
        return RowRule(
            "adam",
            group["lr"],
            group["weight_decay"],
            group["eps"],
            (float(beta1), float(beta2)),
            step,
            group["maximize"],
            states,
        )
