"""Which parameters are updated inside of backward, and by what rule. A stand-in."""

import weakref
from typing import Any

from torch import Tensor

__all__ = ["attach", "detach", "exist", "find"]

_rules: dict[int, tuple[Any, Any]] = {}


def attach(parameter: Tensor, rule: Any) -> None:
    """Update `parameter` by `rule` from now on."""
    key = id(parameter)
    _rules[key] = weakref.ref(parameter, lambda _: _rules.pop(key, None)), rule


def detach(parameter: Tensor) -> None:
    """Leave `parameter` to its gradient again."""
    _rules.pop(id(parameter), None)


def find(parameter: Tensor) -> Any:
    """The rule of a parameter, or None."""
    found = _rules.get(id(parameter))
    return found[1] if found is not None and found[0]() is parameter else None


def exist() -> bool:
    """Whether any parameter is updated inside of backward."""
    return len(_rules) > 0
