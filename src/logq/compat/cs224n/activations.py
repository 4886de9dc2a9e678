# ruff: noqa: N802 - the name is the course's
"""Sigmoid, softmax and rows of length 1, as the course has them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "as_floats", "normalizeRows", "sigmoid", "softmax"]

Array = NDArray[Any]


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x)), without overflow.

    Go on to: torch.sigmoid.

    Args:
        x: numbers of any shape.

    Returns:
        The same shape.

    Example:
        >>> sigmoid(np.array([0.0, -1000.0]))
        array([0.5, 0. ])
    """
    x = as_floats("x", x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softmax(x: ArrayLike) -> Array:
    """exp(x_i) / sum_j exp(x_j) of each row, without overflow.

    Differs from the course: the result is a new array, and x is left as it is.

    Go on to: torch.softmax.

    Args:
        x: (V,) or (N, V); the sum goes over the last dimension.

    Returns:
        The same shape.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]]))
        array([[0.5 , 0.5 ],
               [0.25, 0.75]])
    """
    x = as_floats("x", x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x: expected shape (V,) or (N, V) with V >= 1, got {x.shape}")
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def normalizeRows(x: ArrayLike) -> Array:
    """Each row divided by its length; rows of zeros stay what they are.

    Differs from the course: the result is a new array, and x is left as it is; nothing is added to the length.

    Go on to: torch.nn.functional.normalize.

    Args:
        x: (N, D).

    Returns:
        (N, D).

    Example:
        >>> normalizeRows(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    x = as_floats("x", x)
    if x.ndim != 2:
        raise ValueError(f"x: expected shape (N, D), got {x.shape}")
    length = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return x / np.where(length > 0, length, 1)


def as_floats(name: str, given: ArrayLike) -> Array:
    """An array of floats of the width it has; other numbers become float64.

    Example:
        >>> as_floats("x", [1, 2])
        array([1., 2.])
    """
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
