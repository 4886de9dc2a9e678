"""Arrays into a safetensors file without a second copy of them in memory; reading is the library's own business.

A safetensors file is the length of a header (8 bytes, little endian), the header (JSON: of each tensor its dtype, shape
and where its bytes lie) and the bytes. The library's writers want all of it in memory at once, beside the arrays.

References:
    https://github.com/huggingface/safetensors, section "Format" of its README.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["write_tensors"]

_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}
_CHUNK = 1 << 22  # bytes made contiguous at a time


def write_tensors(file: BinaryIO, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays and some text as a safetensors file; equal arrays give equal bytes.

    Args:
        file: open for writing bytes, as `atomic_write` opens it.
        tensors: arrays by name; they may be views with strides, of which a few MB at a time are made contiguous.
        metadata: text by name.

    Raises:
        TypeError: an array has a dtype that is not written.
        OSError: the file cannot be written.

    Example:
        >>> import io
        >>> from safetensors.numpy import load
        >>> file = io.BytesIO()
        >>> write_tensors(file, {"a": np.arange(6.0).reshape(2, 3)[:, :2]}, {"made by": "hand"})
        >>> load(file.getvalue())["a"].tolist()
        [[0.0, 1.0], [3.0, 4.0]]
    """
    # Widest first, so that each array is aligned for its dtype.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name in names:
        array = tensors[name]
        if array.dtype.name not in _DTYPES:
            raise TypeError(f"{name}: expected one of {', '.join(_DTYPES)}, got {array.dtype}")
        header[name] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in names:
        _write_array(file, tensors[name])


def _write_array(file: BinaryIO, array: NDArray[Any]) -> None:
    if array.size == 0:
        return
    if array.ndim == 0:
        array = array.reshape(1)
    rows = max(1, _CHUNK // max(1, array.nbytes // len(array)))
    for start in range(0, len(array), rows):
        part = np.ascontiguousarray(array[start : start + rows])
        file.write((part if sys.byteorder == "little" else part.byteswap()).data.cast("B"))
