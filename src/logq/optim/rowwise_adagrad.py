"""Adagrad with one state per row, on touched rows."""

from typing import Any, ClassVar

from torch import Tensor

from logq.kernels.updates import RowRule
from logq.optim.row_optimizer import Parameters, RowOptimizer

__all__ = ["RowWiseAdagrad"]


class RowWiseAdagrad(RowOptimizer):
    """Adagrad with one number of state per row, on the rows that have a gradient.

        g += weight_decay w
        s += mean of g^2 over the row
        w -= lr g / (sqrt(s) + eps)

    A table of C rows of D numbers has C numbers of state, where Adagrad has C D: the state costs next to nothing, in
    memory and in time. The rows of a parameter are its first dimension; for one of one dimension it is Adagrad.

    Equivalent to EXACT_ROWWISE_ADAGRAD of FBGEMM, which torchrec trains with, and its weight decay mode L2. torch.optim
    has none. The state is `sum` (C,), and `step`.

    Args:
        params: parameters, or groups of them with options of their own, as torch's optimizers take them.
        lr: the learning rate, >= 0.
        weight_decay: >= 0; a row decays when it has a gradient, and not otherwise.
        initial_accumulator_value: what s is in the beginning, >= 0.
        eps: >= 0, keeps the divisor from 0.
        maximize: go up instead of down.
        in_backward: update class weights inside of backward of logq's losses; see `SGD`.
        stochastic_rounding: round rows in half precision up or down at random; see `SGD`.
        seed: of the random bits for it.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: a number is out of range.

    References:
        Gupta, Bengio, Weston, Training Highly Multiclass Classifiers, JMLR 2014, Sec. 3: one rate for each class.
        Duchi, Hazan, Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, JMLR 2011.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(4, 2))
        >>> optimizer = RowWiseAdagrad([table], lr=0.5)
        >>> torch.nn.functional.embedding(torch.tensor([3, 3]), table, sparse=True).sum().backward()
        >>> optimizer.step()
        >>> table[2:].tolist(), optimizer.state[table]["sum"].tolist()
        ([[0.0, 0.0], [-0.5, -0.5]], [0.0, 0.0, 0.0, 4.0])
    """

    STATES: ClassVar[dict[str, str]] = {"sum": "row"}
    STARTS_AT_ONCE: ClassVar[bool] = True
    NUMBERS: ClassVar[tuple[str, ...]] = (*RowOptimizer.NUMBERS, "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-2,
        *,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
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
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
                "in_backward": in_backward,
                "stochastic_rounding": stochastic_rounding,
                "seed": seed,
            },
        )

    def rule(self, group: dict[str, Any], step: int, states: tuple[Tensor, ...]) -> RowRule:
        """The rule of one update."""
        return RowRule(
            "rowwise_adagrad",
            group["lr"],
            group["weight_decay"],
            group["eps"],
            maximize=group["maximize"],
            states=states,
        )
