"""Warnings at the line that they are about: the caller's, wherever inside of this library they arise."""

import sys
import warnings

__all__ = ["warn"]

_PASSED_OVER = {"logq", "torch", "contextlib", "functools"}


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called this library, be it through torch, as modules and compiled functions are.

    Args:
        text: the warning.
        category: its class.

    Example:
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn("one word has no vector")
        >>> str(caught[0].message)
        'one word has no vector'
    """
    level, frame = 1, sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED_OVER:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)
