"""Tables that stay in a safetensors file and are read when they are looked at."""

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError
from logq._model_file import read_tensors

__all__ = ["is_mapped", "map_tensor"]

_DTYPES = {"F32": "<f4", "F16": "<f2"}


def map_tensor(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Map a table of a safetensors file, to be read when it is looked at; nothing can be written there.

    Args:
        path: the file.
        name: of the table, of float32 or float16.

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
    with open(place, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length)).get(name)
    if entry is None or entry["dtype"] not in _DTYPES:
        raise DamagedFileError(f"{place}: expected a tensor {name!r} of float32 or float16")
    return np.memmap(place, _DTYPES[entry["dtype"]], "r", 8 + length + entry["data_offsets"][0], tuple(entry["shape"]))


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether an array lies in a file that is mapped.

    Example:
        >>> is_mapped(np.zeros(2))
        False
    """
    return isinstance(array, np.memmap)
