"""Checks of plain values at public doors: numbers and switches, whose message names the argument.

Nothing here imports torch: reading words and their vectors does without it, and starts at once.
"""

import math
import operator
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_bool", "check_float", "check_int", "is_tensor", "shown"]


def check_bool(name: str, value: object) -> bool:
    """Return `value`, which must be True or False: a "no" or a 0.0 would count as one of them without being meant.

    Raises:
        TypeError: `value` is no bool.

    Example:
        >>> check_bool("cosine", "no")
        Traceback (most recent call last):
        ...
        TypeError: cosine: expected True or False, got 'no'
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return value


def check_int(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`.

    Raises:
        TypeError: `value` is no whole number (bool is none either).
        ValueError: it is below `minimum`.

    Example:
        >>> check_int("num_sampled", 0)
        Traceback (most recent call last):
        ...
        ValueError: num_sampled: expected a whole number >= 1, got 0
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise TypeError(f"{name}: expected a whole number >= {minimum}, got {shown(value)}") from None
    if number < minimum:
        raise ValueError(f"{name}: expected a whole number >= {minimum}, got {shown(value)}")
    return number


def check_float(
    name: str, value: object, *, above: float = -math.inf, at_least: float = -math.inf, at_most: float = math.inf
) -> float:
    """Return `value` as a finite float with above < value, at_least <= value <= at_most.

    Raises:
        TypeError: `value` is no real number (bool is none either).
        ValueError: it is not finite or out of range.

    Example:
        >>> check_float("temperature", 0, above=0)
        Traceback (most recent call last):
        ...
        ValueError: temperature: expected a finite number > 0, got 0
    """
    limits = [f"> {above:g}"] * (above > -math.inf) + [f">= {at_least:g}"] * (at_least > -math.inf)
    limits += [f"<= {at_most:g}"] * (at_most < math.inf)
    expected = " ".join(["a finite number", " and ".join(limits)]).rstrip()
    # A tensor would lose its gradient. (Tuples of types: torch.compile of 2.6 knows no unions.)
    if isinstance(value, (bool, str, bytes)) or (not isinstance(value, (float, int)) and is_tensor(value)):
        raise TypeError(f"{name}: expected {expected}, got {shown(value)}")
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name}: expected {expected}, got {shown(value)}") from None
    if not (math.isfinite(number) and number > above and at_least <= number <= at_most):
        raise ValueError(f"{name}: expected {expected}, got {shown(value)}")
    return number


def is_tensor(value: object) -> "TypeGuard[Tensor]":
    """Whether a value is a tensor of torch, asked without importing torch.

    Example:
        >>> is_tensor(torch.zeros(2)), is_tensor([0.0, 0.0])
        (True, False)
    """
    return hasattr(value, "requires_grad")


def shown(value: object) -> str:
    """Return the repr of a value, cut where it gets long: a whole corpus may have come in the place of a number.

    Example:
        >>> shown("a" * 1000)[-7:]
        'aaaa...'
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
