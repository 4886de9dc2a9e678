"""Arrays that stay in their file, and are read when they are looked at."""

import json
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError

__all__ = ["mapped_array", "release_mapped"]

_DTYPES = {"F32": "<f4", "F16": "<f2", "I8": "i1"}


def mapped_array(path: str, name: str) -> NDArray[Any]:
    """Map an array of a safetensors file whose header is known to fit the file; nothing can be written there.

    Args:
        path: the file.
        name: of the array, of float32, float16 or int8.

    Raises:
        OSError: the file cannot be read.
        DamagedFileError: it has no such array.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from safetensors.numpy import save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file({"a": np.ones((2, 1), np.float32)}, f"{folder}/x")
        ...     mapped_array(f"{folder}/x", "a").tolist()
        [[1.0], [1.0]]
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length)).get(name)
    if entry is None or entry["dtype"] not in _DTYPES:
        raise DamagedFileError(f"{path}: expected a tensor {name!r} of float32, float16 or int8")
    return np.memmap(path, _DTYPES[entry["dtype"]], "r", 8 + length + entry["data_offsets"][0], tuple(entry["shape"]))


def release_mapped(array: Any) -> None:
    """Give the memory of a mapped array back to the system, where it is not written to; others are left alone.

    Example:
        >>> release_mapped(np.zeros(3))
    """
    of: Any = array
    while isinstance(of, np.ndarray | memoryview):  # np.frombuffer, which columns of prepared logs come by, makes both
        of = of.base if isinstance(of, np.ndarray) else of.obj
    if isinstance(of, mmap.mmap) and not array.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        of.madvise(mmap.MADV_DONTNEED)
