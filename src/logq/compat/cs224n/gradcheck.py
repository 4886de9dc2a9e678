# ruff: noqa: N803 - the name is the course's
"""gradcheck_naive: a gradient compared with differences of the function."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from logq.arguments import shown
from logq.compat.cs224n.activations import Array

__all__ = ["gradcheck_naive"]


def gradcheck_naive(f: Callable[[Array], tuple[Any, Array]], x: Array, gradientText: str = "") -> bool:
    """Compare a gradient with differences of the function, one number of x after the other.

        |n - g| / max(1, |n|, |g|) <= 1e-5,    n = (f(x + h) - f(x - h)) / 2h,  h = 1e-4

    Python's and numpy's global generators stand at the same place at each call of f, so that it may draw. Prints that
    the check passed, or the first place where it did not.

    Differs from the course: it also returns which of the two, and numpy's generator is put back as Python's is.

    Go on to: torch.autograd.gradcheck, in float64.

    Args:
        f: x -> (value, gradient of the shape of x).
        x: floats; changed while the check goes on, and afterwards as before.
        gradientText: what is checked, for the message.

    Returns:
        Whether the check passed.

    Raises:
        TypeError, ValueError: x is no array of floats, or the gradient has another shape.

    Example:
        >>> gradcheck_naive(lambda x: (np.sum(x**2), x * 2), np.array([1.0, -3.0]), "squares")
        Gradient check passed for squares
        True
        >>> gradcheck_naive(lambda x: (np.sum(x**2), x * 3), np.array([0.0, 1.0]), "squares")
        Gradient check failed for squares: at (1,) the gradient is 3, the numerical one 2
        False
    """
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        raise TypeError(f"x: expected an array of floats, got {shown(x)}")
    states = random.getstate(), np.random.get_state()

    def value(at: Array) -> tuple[Any, Array]:
        random.setstate(states[0])
        np.random.set_state(states[1])
        return f(at)

    h = 1e-4
    gradient = np.array(value(x)[1])
    if gradient.shape != x.shape:
        raise ValueError(f"f: expected a gradient of shape {x.shape} as x, got {gradient.shape}")
    about = f" for {gradientText}" if gradientText else ""
    for place in np.ndindex(x.shape):
        before = x[place]
        try:
            x[place] = before + h
            above = value(x)[0]
            x[place] = before - h
            below = value(x)[0]
        finally:
            x[place] = before
        numerical, given = float((above - below) / (2 * h)), float(gradient[place])
        # So written, a NaN fails.
        if not abs(numerical - given) <= 1e-5 * max(1.0, abs(numerical), abs(given)):
            print(
                f"Gradient check failed{about}: at {place} the gradient is {given:g}, the numerical one {numerical:g}"
            )
            return False
    print(f"Gradient check passed{about}")
    return True
