"""Tables that stay in a safetensors file and are read when they are looked at."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._mapped_file import mapped_array
from logq._model_file import read_tensors

__all__ = ["ScaledRows", "is_mapped", "map_tensor"]


def map_tensor(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Map a table of a safetensors file, to be read when it is looked at; nothing can be written there.

    Args:
        path: the file.
        name: of the table, of float32, float16 or int8.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged or truncated, or has no such table.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from logq._model_file import write_tensors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Path(folder, "x").open("wb") as file:
        ...         write_tensors(file, {"a": np.ones((2, 1), np.float32)}, {})
        ...     map_tensor(Path(folder, "x"), "a").tolist()
        [[1.0], [1.0]]
    """
    place = os.fspath(path)
    read_tensors(place, check=False, only=())  # sees that names, shapes and offsets fit the file
    return mapped_array(place, name)


class ScaledRows:
    """A table of float32 whose rows are kept as int8, each with its scale: row = steps * scale.

    A slice of rows is a view, of which `np.asarray` makes numbers; one row, and rows that are listed, are arrays.

    Args:
        steps: (V, D) int8; it may be mapped.
        scales: (V,) float32.

    Example:
        >>> rows = ScaledRows(np.array([[1, 2], [3, 4]], np.int8), np.array([1, 0.5], np.float32))
        >>> rows[1], np.asarray(rows[:1]), rows.shape
        (array([1.5, 2. ], dtype=float32), array([[1., 2.]], dtype=float32), (2, 2))
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, steps: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
        self._steps = steps
        self._scales = scales

    @property
    def shape(self) -> tuple[int, ...]:
        """(V, D)."""
        return self._steps.shape

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, rows: Any) -> Any:
        part = ScaledRows(self._steps[rows], self._scales[rows])
        return part if isinstance(rows, slice) else np.asarray(part)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        made = self._steps.astype(np.float32)
        made *= self._scales[..., None]
        return made if dtype is None else made.astype(dtype, copy=False)


def is_mapped(array: Any) -> bool:
    """Whether an array, or ScaledRows, lies in a file that is mapped.

    Example:
        >>> is_mapped(np.zeros(2))
        False
    """
    return isinstance(array, np.memmap | ScaledRows)
