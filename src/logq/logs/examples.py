"""The interface of examples, which are numbered and gathered into batches of arrays."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentTypeError, Verbatim

__all__ = ["Examples", "check_indices", "gather", "gather_ages"]


class Examples(Protocol):
    """What `epoch_batches` makes batches of: a number of examples, each with the length of its history.

    Example:
        >>> from logq.logs import Interactions, NextItems
        >>> examples: Examples = NextItems(Interactions.from_arrays([1, 1, 2], [5, 7, 7]), max_length=3)
        >>> len(examples), examples.lengths().tolist()
        (1, [1])
    """

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def lengths(self, indices: ArrayLike | None = None) -> NDArray[np.int64]:
        """Return the length of the history of each example, or of each of these numbers."""
        ...

    def batch(self, indices: ArrayLike) -> dict[str, NDArray[Any]]:
        """Return the examples of these numbers as arrays with B rows."""
        ...


def gather(
    flat: NDArray[Any],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    width: int,
    *,
    backwards: bool = False,
) -> NDArray[Any]:
    """Return rows of different lengths of a flat array: row b is flat[starts[b] : starts[b] + lengths[b]], then -1.

    Integers become int64, others keep their type; with `backwards` each row is reversed before it is padded.

    Example:
        >>> gather(np.array([5, 6, 7, 8]), np.array([0, 2]), np.array([1, 2]), 3).tolist()
        [[5, -1, -1], [7, 8, -1]]
    """
    columns = np.arange(width)
    outside = columns >= lengths[:, None]
    if not len(flat):
        return np.full(outside.shape, -1, dtype=np.int64 if flat.dtype.kind in "iu" else flat.dtype)
    sources = starts[:, None] + (lengths[:, None] - 1 - columns if backwards else columns)
    taken = np.asarray(flat).take(sources, mode="clip")  # what lies outside is some other row's, or beyond the ends
    if taken.dtype.kind in "iu":
        taken = taken.astype(np.int64, copy=False)
    np.putmask(taken, outside, -1)
    return taken


def gather_ages(
    times: NDArray[Any],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    width: int,
    *,
    backwards: bool = False,
) -> NDArray[Any]:
    """Return how long before the last event of a row each was, for rows as `gather` makes them.

    Example:
        >>> gather_ages(np.array([50, 60, 90, 95]), np.array([0, 2]), np.array([1, 2]), 3).tolist()
        [[0, -1, -1], [5, 0, -1]]
    """
    if not len(times):
        return np.full((len(starts), width), -1, dtype=np.int64)
    ends = times[np.maximum(starts + lengths - 1, 0)]
    ages = ends[:, None] - gather(times, starts, lengths, width, backwards=backwards)
    return np.where(np.arange(width) < lengths[:, None], ages, -1)


def check_indices(name: str, values: ArrayLike, size: int, *, least: int = 0) -> NDArray[np.int64]:
    """Return values of any shape that are integers in [least, size), as int64.

    Raises:
        ArgumentTypeError: they are not integers.
        IndexError: one is out of range; negative ones do not count from the end.

    Example:
        >>> check_indices("indices", [-1], 5)
        Traceback (most recent call last):
        ...
        IndexError: indices: expected numbers in [0, 5), got -1
    """
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, "integers", Verbatim(f"values of {array.dtype}"))
    array = array.astype(np.int64, copy=False)
    wrong = array[(array < least) | (array >= size)]
    if wrong.size:
        raise IndexError(f"{name}: expected numbers in [{least}, {size}), got {wrong.flat[0]}")
    return array
