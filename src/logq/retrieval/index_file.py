"""The file of an index: one safetensors file, which cannot hold code, with a checksum over its contents.

    index.safetensors     ids       int64 (n,)
                          others    as the kind of index needs: `vectors`, or `index`, the bytes of faiss or usearch
                          metadata  the format, and JSON: kind, metric, dim, items, and SHA-256 of the tensors

The libraries of approximate search trust their bytes, so these are read only if the checksum is right. It detects
damage, but is not a signature: whoever can write the file can write the checksum too.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from logq._files import atomic_write
from logq._model_file import write_tensors

__all__ = ["FILE", "check_array", "read_index_file", "write_index_file"]

FILE: Final = "index.safetensors"

_FORMAT = "logq.item_index"
_VERSION = "1"


def write_index_file(
    folder: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
) -> None:
    """Write the arrays of an index and their description into a folder.

    Raises:
        OSError: the file cannot be written.
    """
    described = {**about, "sha256": _digest(arrays)}
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with atomic_write(target / FILE) as file:
        write_tensors(file, arrays, {"format": f"{_FORMAT} {_VERSION}", "about": json.dumps(described, sort_keys=True)})


def read_index_file(
    folder: str | os.PathLike[str], kind: str | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_index_file` wrote.

    Args:
        folder: the folder of the file.
        kind: the expected kind of index; None for any.

    Returns:
        The arrays by name, and their description.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, truncated or changed, or not such an index; the message names it.
    """
    path = Path(folder, FILE)
    with open(path, "rb"):
        pass  # for Python's own error, which names the file, where it cannot be read
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            family, _, version = metadata.get("format", "").partition(" ")
            if family != _FORMAT:
                raise ValueError(f"{path}: expected an index of logq, the file holds other tensors")
            if version != _VERSION:
                raise ValueError(f"{path}: expected version {_VERSION} of the format, got {version!r}")
            arrays: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata.get("about", ""))
    except (SafetensorError, json.JSONDecodeError, TypeError) as error:  # TypeError: a dtype that numpy does not have
        raise ValueError(f"{path}: the file is damaged or truncated ({error})") from None
    if not isinstance(about, dict) or about.get("sha256") != _digest(arrays):
        raise ValueError(f"{path}: the file was changed or is damaged, its checksum differs")
    _check_description(path, arrays, about)
    if kind is not None and about["kind"] != kind:
        raise ValueError(f"{path}: expected an index of kind {kind!r}, the file holds {about['kind']!r}")
    return arrays, about


def check_array(
    folder: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], name: str, dtype: type, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return an array of the file, which must have this dtype and shape; -1 is any number.

    Raises:
        ValueError: it is missing, or has others.
    """
    array = arrays.get(name)
    found = "nothing" if array is None else f"{array.dtype} {array.shape}"
    if array is not None and array.dtype == dtype and array.ndim == len(shape):
        sizes = zip(shape, array.shape, strict=True)
        if all(expected in (-1, size) for expected, size in sizes):
            return array
    raise ValueError(f"{Path(folder, FILE)}: expected {name} as {np.dtype(dtype)} {shape}, found {found}")


def _check_description(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    kinds = {"kind": str, "metric": str, "dim": int, "items": int}
    wrong = [name for name, kind in kinds.items() if not isinstance(about.get(name), kind)]
    if wrong or about["metric"] not in ("inner_product", "cosine") or about["dim"] < 1 or about["items"] < 0:
        raise ValueError(f"{path}: expected kind, metric, dim and items of an index, got {dict(about)}")
    ids = check_array(path.parent, arrays, "ids", np.int64, (-1,))
    if len(ids) and (ids.min() < 0 or len(np.unique(ids)) != len(ids)):
        raise ValueError(f"{path}: expected ids >= 0, each once")


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()
