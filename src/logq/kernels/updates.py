"""Which parameters are updated inside of backward, and by what.

An optimiser that updates there attaches a function to each of its parameters; backward of a sampled loss asks for the
rule of a parameter, applies it to the rows that have a gradient, and stores none. The gradient of a parameter that
nobody attached to, or that gets its gradient from somewhere else, is stored as always.
"""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from logq.kernels.rules import RowRule

__all__ = ["NextRule", "attach", "detach", "exist", "find"]

NextRule: TypeAlias = Callable[[Tensor], RowRule | None]
"""Parameter -> the rule of its update that comes now, which counts as one; None if it is not updated any more."""

# Parameters are known by what they are, not by what they hold, and may go away.
_attached = WeakTensorKeyDictionary()


def attach(parameter: Tensor, next_rule: NextRule) -> None:
    """Update `parameter` inside of backward from now on, in the place of whatever did so before.

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


def exist() -> bool:
    """Whether any parameter is updated inside of backward."""
    return len(_attached) > 0
