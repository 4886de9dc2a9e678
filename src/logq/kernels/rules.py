"""Rules of optimisers, as data: how a row of a table changes by its gradient.

w is the row, g its gradient (-g if `maximize`) plus weight_decay w, and everything else is state of the same row. All
is computed in float32, or float64 for a table in it; the table may be in half precision, the states never are.

    sgd                 w -= lr g
    adagrad             s += g^2                      w -= lr g / (sqrt(s) + eps)
    rowwise_adagrad     s += mean of g^2 over a row   w -= lr g / (sqrt(s) + eps)
    adam                m += (1 - beta1) (g - m)      w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
                        v += (1 - beta2) (g^2 - v)
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

__all__ = ["STATES", "Kind", "RowRule", "real_dtype"]

Kind: TypeAlias = Literal["sgd", "adagrad", "rowwise_adagrad", "adam"]

STATES: Final[dict[str, int]] = {"sgd": 0, "adagrad": 1, "rowwise_adagrad": 1, "adam": 2}
"""How many states a rule has."""


@dataclass(frozen=True)
class RowRule:
    """The rule of one update, which is the update number `step`.

    Args:
        kind: which rule.
        lr: the learning rate of this update.
        weight_decay: times the row is added to its gradient, as in torch's optimisers.
        eps: keeps the divisor from 0.
        betas: of adam.
        step: t of adam, 1 for the first update.
        maximize: go up instead of down.
        states: s, or m and v: tensors shaped like the table (C, D), (C,) for rowwise_adagrad, in `real_dtype`.

    Raises:
        ValueError: there is no such rule, or it has another number of states.

    Example:
        >>> RowRule("sgd", lr=0.1).weight_decay
        0.0
        >>> RowRule("adagrad", lr=0.1)
        Traceback (most recent call last):
        ...
        ValueError: states: expected 1 for adagrad, got 0
    """

    kind: Kind
    lr: float
    weight_decay: float = 0.0
    eps: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    step: int = 1
    maximize: bool = False
    states: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in STATES:
            raise ValueError(f"kind: expected one of {', '.join(STATES)}, got {self.kind!r}")
        if len(self.states) != STATES[self.kind]:
            raise ValueError(f"states: expected {STATES[self.kind]} for {self.kind}, got {len(self.states)}")


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a table is computed in, and its states are kept in.

    Example:
        >>> real_dtype(torch.bfloat16), real_dtype(torch.float64)
        (torch.float32, torch.float64)
    """
    return torch.promote_types(dtype, torch.float32)
