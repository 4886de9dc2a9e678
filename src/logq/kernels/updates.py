"""Updates of rows of a table: the rules of optimizers as data, and which parameters are updated inside of backward.

w is the row, g its gradient (-g if `maximize`) plus weight_decay w, and everything else is state of the same row. All
is computed in float32, or float64 for a table in it; the table may be in half precision, the states never are.

    sgd                 w -= lr g
    adagrad             s += g^2                      w -= lr g / (sqrt(s) + eps)
    rowwise_adagrad     s += mean of g^2 over a row   w -= lr g / (sqrt(s) + eps)
    adam                m += (1 - beta1) (g - m)      w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
                        v += (1 - beta2) (g^2 - v)

An optimizer that updates inside of backward attaches a function to each of its parameters; backward of a sampled loss
asks for the rule of a parameter, applies it to the rows that have a gradient, and stores none. The gradient of a
parameter that nobody attached to, or that gets its gradient from somewhere else, is stored as always.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from logq._arguments import ArgumentError

__all__ = [
    "HALF_PRECISION",
    "STATES",
    "Kind",
    "NextRule",
    "RowRule",
    "attach",
    "detach",
    "exist",
    "find",
    "is_attached",
    "is_stored",
    "real_dtype",
    "seed_of_update",
]

Kind: TypeAlias = Literal["sgd", "adagrad", "rowwise_adagrad", "adam"]

STATES: Final[dict[str, int]] = {"sgd": 0, "adagrad": 1, "rowwise_adagrad": 1, "adam": 2}
"""How many states a rule has."""

HALF_PRECISION: Final = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class RowRule:
    """The rule of one update, which is the update number `step`.

    Args:
        kind: which rule.
        lr: the learning rate of this update.
        weight_decay: times the row is added to its gradient, as in torch's optimizers.
        eps: keeps the divisor from 0.
        betas: of adam.
        step: t of adam, 1 for the first update.
        maximize: go up instead of down.
        states: s, or m and v: tensors shaped like the table (C, D), (C,) for rowwise_adagrad, in `real_dtype`.
        seed: int64, of the random bits by which rows of a table in half precision are rounded up or down; None: they
            are rounded to the nearest. See logq.kernels.reference_rows.rounded.

    Raises:
        ArgumentError: there is no such rule, or it has another number of states.

    Example:
        >>> RowRule("sgd", lr=0.1).weight_decay
        0.0
        >>> RowRule("adagrad", lr=0.1)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: states: expected 1 for adagrad, got 0
    """

    kind: Kind
    lr: float
    weight_decay: float = 0.0
    eps: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    step: int = 1
    maximize: bool = False
    states: tuple[Tensor, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in STATES:
            raise ArgumentError("kind", f"one of {', '.join(STATES)}", self.kind)
        if len(self.states) != STATES[self.kind]:
            raise ArgumentError("states", f"{STATES[self.kind]} for {self.kind}", len(self.states))


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a table is computed in, and its states are kept in.

    Example:
        >>> real_dtype(torch.bfloat16), real_dtype(torch.float64)
        (torch.float32, torch.float64)
    """
    return torch.promote_types(dtype, torch.float32)


def seed_of_update(seed: int, parameter: int, step: int) -> int:
    """The seed of one update of one parameter, int64: those of an optimizer have nothing to do with each other.

    Example:
        >>> seed_of_update(0, 0, 1), seed_of_update(0, 1, 1)
        (4764156602392020899, -6045484230750537336)
    """
    bits = seed
    for number in (0, parameter, step):  # splitmix64, as logq.kernels.distributions.random_bits has it
        bits = (bits + number + 0x9E3779B97F4A7C15) % (1 << 64)
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % (1 << 64)
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % (1 << 64)
        bits ^= bits >> 31
    return bits - (1 << 64) if bits >> 63 else bits


NextRule: TypeAlias = Callable[[Tensor], RowRule | None]
"""Parameter -> the rule of its update that comes now, which counts as one; None if it is not updated any more."""

# Parameters are known by what they are, not by what they hold, and may go away.
_attached = WeakTensorKeyDictionary()


def attach(parameter: Tensor, next_rule: NextRule) -> None:
    """Update `parameter` inside of backward from now on, instead of what did so before.

    Example:
        >>> table = torch.zeros(3, 2)
        >>> attach(table, lambda parameter: RowRule("sgd", lr=0.1))
        >>> find(table).lr, find(torch.zeros(3, 2))
        (0.1, None)
        >>> detach(table)
    """
    _attached[parameter] = next_rule


def detach(parameter: Tensor) -> None:
    """Leave `parameter` to its gradient again; one that nobody attached to is left alone."""
    _attached.pop(parameter, None)


def find(parameter: Tensor) -> RowRule | None:
    """The rule of the update of `parameter` that comes now, or None. Asking counts: the update must be made."""
    next_rule = _attached.get(parameter)
    return None if next_rule is None else next_rule(parameter)


def is_attached(parameter: Tensor) -> bool:
    """Whether somebody attached to `parameter`, who may have no rule for it any more. Asking does not count.

    Example:
        >>> is_attached(torch.zeros(3, 2))
        False
    """
    return parameter in _attached


def exist() -> bool:
    """Whether any parameter is updated inside of backward.

    Under torch.compile it is asked when a graph is made. A graph that is older than its optimizer gives gradients,
    which the optimizer takes too.
    """
    return len(_attached) > 0


# As torch.compiler.assume_constant_result does, which would import the compiler.
exist._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def is_stored(ctx: Any, index: int) -> bool:
    """Whether this backward adds to `grad` of the leaf that is tensor number `index` among what a function was given.

    It does not where the leaf is not among `inputs` of backward, nor where torch.autograd.grad hands its gradient out.

    Args:
        ctx: of a torch.autograd.Function, in its backward.
        index: of the input.
    """
    try:
        return torch._C._will_engine_execute_node(ctx.next_functions[index][0])  # pyright: ignore[reportPrivateUsage]
    except RuntimeError:  # what it answers of a leaf that torch.autograd.grad was asked for
        return False
