"""The file of an index: one safetensors file, which cannot hold code, with digests of its contents.

    index.safetensors     ids       int64 (n,)
                          others    as the kind of index needs: `vectors`, or `index`, the bytes of faiss or usearch
                          metadata  the format, digests, and JSON: kind, metric, dim, items

The libraries of approximate search trust their bytes, so that changed ones crash the process. A digest is not a
signature: whoever can write the file can write it too. Hence each of their bytes is checked before they see any; see
`logq.retrieval.faiss_bytes` and `logq.retrieval.usearch_bytes`.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError, atomic_write, parsing
from logq._model_file import DIGESTS, read_metadata, read_tensors, write_tensors

__all__ = ["FILE", "check_array", "read_index_file", "read_index_kind", "write_index_file"]

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
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with atomic_write(target / FILE) as file:
        write_tensors(file, arrays, {"format": f"{_FORMAT} {_VERSION}", "about": json.dumps(about, sort_keys=True)})


def read_index_file(
    folder: str | os.PathLike[str], kind: str | None = None, *, check: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_index_file` wrote.

    Args:
        folder: the folder of the file.
        kind: the expected kind of index; None for any.
        check: compare digests, at about the speed of a copy.

    Returns:
        The arrays by name, and their description.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, truncated or changed, or not such an index; the message names it.
    """
    path = Path(folder, FILE)
    metadata, about = _described(path)
    arrays = read_tensors(path, check=check)
    # logq 0.1 wrote one checksum of everything.
    if check and DIGESTS not in metadata and about.get("sha256") != _former_digest(arrays):
        raise DamagedFileError(f"{path}: the file was changed or is damaged, its checksum differs")
    _check_description(path, arrays, about)
    if kind is not None and about["kind"] != kind:
        raise ValueError(f"{path}: expected an index of kind {kind!r}, the file holds {about['kind']!r}")
    return arrays, about


def read_index_kind(folder: str | os.PathLike[str]) -> str:
    """Read which kind of index a file holds, without its arrays.

    Raises:
        OSError, ValueError: as `read_index_file`, where its description tells.
    """
    return str(_described(Path(folder, FILE))[1].get("kind"))


def _described(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The metadata of a file, and the description in it."""
    metadata = read_metadata(path)
    family, _, version = metadata.get("format", "").partition(" ")
    if family != _FORMAT:
        raise ValueError(f"{path}: expected an index of logq, the file holds other tensors")
    if version != _VERSION:
        raise ValueError(f"{path}: expected version {_VERSION} of the format, got {version!r}")
    with parsing(path):
        about: Any = json.loads(metadata.get("about", ""))
    if not isinstance(about, dict):
        raise DamagedFileError(f"{path}: the file was changed or is damaged, its description is {about!s:.80}")
    return metadata, about


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
        raise ValueError(f"{path}: expected kind, metric, dim and items of an index, got {about!s:.200}")
    ids = check_array(path.parent, arrays, "ids", np.int64, (-1,))
    if len(ids) and (ids.min() < 0 or len(np.unique(ids)) != len(ids)):
        raise ValueError(f"{path}: expected ids >= 0, each once")


def _former_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()
