"""Model files: one self-contained safetensors file, and a JSON summary beside it for people to read.

Each file has SHA-256 digests of its tensors and of its description, which are checked when it is read. They detect
damage, but are not a signature: whoever can write the file can write the digests too.
"""

import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from logq._files import DamagedFileError, atomic_write, parsing
from logq._mapped_file import mapped_array, release_mapped

__all__ = [
    "DIGESTS",
    "FILE",
    "SUMMARY",
    "ArrayInPieces",
    "CheckpointWarning",
    "Stored",
    "digest_of",
    "pack_strings",
    "read_kind",
    "read_metadata",
    "read_stored",
    "read_tensors",
    "unpack_strings",
    "write_stored",
    "write_tensors",
]

_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_CHUNK = 1 << 22  # bytes made contiguous at a time
DIGESTS = "digests"
"""The entry of the metadata with digests, as JSON: by the name of the tensor, and by "" that of the other entries."""


class CheckpointWarning(UserWarning):
    """A run goes on from a checkpoint, but not to the same bits as without the break; the message says why.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("error", CheckpointWarning)  # doctest: +SKIP
    """


class ArrayInPieces(NamedTuple):
    """An array that is written piece by piece, and is never whole in memory.

    Args:
        dtype: of its numbers.
        shape: of all.
        pieces: gives arrays of rows, which together are all of them in order; called twice, for digest and file.

    Example:
        >>> import io
        >>> from safetensors.numpy import load
        >>> rows = ArrayInPieces(np.dtype("int64"), (4,), lambda: (np.arange(i, i + 2) for i in (0, 2)))
        >>> file = io.BytesIO()
        >>> write_tensors(file, {"rows": rows}, {})
        >>> load(file.getvalue())["rows"].tolist(), digest_of(rows) == digest_of(np.arange(4))
        ([0, 1, 2, 3], True)
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[NDArray[Any]]]

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers."""
        return self.dtype.itemsize * math.prod(self.shape)


def write_tensors(
    file: BinaryIO, tensors: Mapping[str, NDArray[Any] | ArrayInPieces], metadata: Mapping[str, str]
) -> None:
    """Write arrays, some text and digests of both as a safetensors file; equal arrays give equal bytes.

    Args:
        file: open for writing bytes, as `atomic_write` opens it.
        tensors: arrays by name; they may be views with strides, of which a few MB at a time are made contiguous, or
            come in pieces.
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
    for name in names:
        if tensors[name].dtype.name not in _DTYPES:
            raise TypeError(f"{name}: expected one of {', '.join(_DTYPES)}, got {tensors[name].dtype}")
    digests = json.dumps(_digests(tensors, metadata), sort_keys=True)
    header: dict[str, Any] = {"__metadata__": dict(sorted({**metadata, DIGESTS: digests}.items()))}
    offset = 0
    for name in names:
        array = tensors[name]
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
        for part in _pieces(tensors[name]):
            file.write(part)


def _pieces(array: NDArray[Any] | ArrayInPieces) -> Iterator[memoryview]:
    """The bytes of an array as a file has them, a few MB at a time."""
    if isinstance(array, ArrayInPieces):
        for rows in array.pieces():
            yield from _pieces(rows)
        return
    if array.size == 0:
        return
    if array.ndim == 0:
        array = array.reshape(1)
    rows = max(1, _CHUNK // max(1, array.nbytes // len(array)))
    for start in range(0, len(array), rows):
        part = np.ascontiguousarray(array[start : start + rows])
        yield (part if sys.byteorder == "little" else part.byteswap()).data.cast("B")
        release_mapped(array)


def digest_of(array: NDArray[Any] | ArrayInPieces) -> str:
    """SHA-256 of an array: its dtype, shape and numbers.

    Example:
        >>> digest_of(np.zeros(2)) == digest_of(np.zeros(2)), digest_of(np.zeros(2)) == digest_of(np.zeros((2, 1)))
        (True, False)
    """
    digest = hashlib.sha256(f"{array.dtype.name} {list(array.shape)};".encode())
    for part in _pieces(array):
        digest.update(part)
    return digest.hexdigest()


def _digests(tensors: Mapping[str, NDArray[Any] | ArrayInPieces], metadata: Mapping[str, str]) -> dict[str, str]:
    found = {name: digest_of(array) for name, array in tensors.items()}
    text = json.dumps({name: value for name, value in metadata.items() if name != DIGESTS}, sort_keys=True)
    found[""] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return found


def read_tensors(
    path: str | os.PathLike[str],
    *,
    check: bool = True,
    only: Collection[str] | None = None,
    mapped: Collection[str] = (),
) -> dict[str, NDArray[Any]]:
    """Read the arrays that `write_tensors` wrote, by name; its text is read by `read_metadata`.

    A file without digests, as logq 0.1 wrote them, is read all the same.

    Args:
        path: of the file.
        check: compute the digests and compare them with those in the file, at about the speed of a copy.
        only: names of those to read, as far as they are there; None for all.
        mapped: names of those that stay in the file, as far as they are there.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged or truncated; the message names the file and what is wrong.
    """
    name = os.fspath(path)
    with _opened(name) as file:
        metadata: dict[str, str] = dict(file.metadata() or {})
        names = file.keys() if only is None else [key for key in file.keys() if key in only]  # noqa: SIM118
        tensors: dict[str, NDArray[Any]] = {
            key: mapped_array(name, key) if key in mapped else file.get_tensor(key) for key in names
        }
        for tensor in tensors.values():
            if tensor.dtype.kind == "V":  # such as bfloat16, which numpy has once another library has added it
                raise TypeError(f"data type {tensor.dtype.name!r} not understood")
    if check and DIGESTS in metadata:
        _check_digests(name, tensors, metadata, only)
    return tensors


def _check_digests(name: str, tensors: Mapping[str, Any], metadata: Mapping[str, str], only: Any = None) -> None:
    with parsing(name):
        expected = dict[str, Any](json.loads(metadata[DIGESTS]))
    found = _digests(tensors, metadata)
    for key in sorted(found.keys() | {key for key in expected if only is None or key in only}):
        if found.get(key) != expected.get(key):
            what = f"the digest of {key!r}" if key else "the digest of its description"
            raise DamagedFileError(f"{name}: the file was changed or is damaged, {what} differs")


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the text in a safetensors file by name, without its tensors.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a safetensors file; the message names it.
    """
    with _opened(os.fspath(path)) as file:
        return dict(file.metadata() or {})


FILE = "model.safetensors"
SUMMARY = "model.json"

VERSION = 2
READABLE = (1, 2)
"""Version 1 is what logq 0.1 wrote, with "facts" for what is "metadata" now."""


class Stored(NamedTuple):
    """What a file holds.

    Args:
        kind: the name of the class.
        info: settings and all else that JSON can hold.
        tensors: arrays by name; where they are written, some may be ArrayInPieces.

    Example:
        >>> Stored("Popularity", {}, {}).kind
        'Popularity'
    """

    kind: str
    info: dict[str, Any]
    tensors: dict[str, Any]


def write_stored(
    path: str | os.PathLike[str], stored: Stored, *, format: str, summary: str | os.PathLike[str] | None = None
) -> None:
    """Write a file atomically, and then the copy of its description.

    Args:
        path: of the file; its folder is made if it is missing.
        stored: what goes in.
        format: the name of the kind of file, such as "logq.recommender".
        summary: where the copy of the description goes; None writes none.

    Raises:
        TypeError: JSON cannot hold `info`.
        OSError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_stored(Path(folder, FILE), Stored("Popularity", {"dim": 1}, {}), format="example")
        ...     read_stored(Path(folder, FILE), format="example").info
        {'dim': 1}
    """
    shapes = {name: [array.dtype.name, list(array.shape)] for name, array in sorted(stored.tensors.items())}
    described = {"format": format, "version": VERSION, "class": stored.kind, "info": stored.info, "tensors": shapes}
    try:
        text = json.dumps(described, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"info: expected what JSON can hold ({error})") from None
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        write_tensors(file, stored.tensors, {"logq": text})
    if summary is not None:
        with atomic_write(summary) as file:
            file.write(json.dumps(described, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def read_stored(
    path: str | os.PathLike[str],
    *,
    format: str | Collection[str],
    check: bool = True,
    mapped: Callable[[Mapping[str, Any]], Collection[str]] | None = None,
) -> Stored:
    """Read what `write_stored` wrote, and check that it is whole.

    Args:
        path: of the file.
        format: the name of the kind of file that is expected, or several.
        check: compare digests; see `read_tensors`.
        mapped: by `info`, the names of arrays that stay in the file; None for none.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, truncated or changed, of another version, or holds something else; the message names
            the file and what is wrong.
    """
    name = os.fspath(path)
    metadata = read_metadata(name)
    described = _described(name, metadata, format)  # of another kind or version is said first
    tensors = read_tensors(name, check=False, mapped=mapped(described["info"]) if mapped else ())
    listed = described["tensors"]
    for key in sorted(listed.keys() | tensors.keys()):
        got = [tensors[key].dtype.name, list(tensors[key].shape)] if key in tensors else "none"
        if listed.get(key, "none") != got:
            raise ValueError(f"{name}: the file was changed, expected {listed.get(key, 'none')} for {key!r}, got {got}")
    if check and DIGESTS in metadata:
        _check_digests(name, tensors, metadata)
    return Stored(described["class"], described["info"], tensors)


def read_kind(path: str | os.PathLike[str], *, format: str | Collection[str]) -> str:
    """Read the name of the class that a file holds, without its tensors.

    Raises:
        OSError, ValueError: as `read_stored`, where its description tells.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_stored(Path(folder, FILE), Stored("NGram", {}, {}), format="example")
        ...     read_kind(Path(folder, FILE), format="example")
        'NGram'
    """
    name = os.fspath(path)
    return str(_described(name, read_metadata(name), format)["class"])


@contextmanager
def _opened(name: str) -> Generator[Any, None, None]:
    with open(name, "rb"):
        pass  # for Python's own error, which names the file, where it cannot be read
    try:
        with safe_open(name, framework="numpy") as file:
            yield file
    except (SafetensorError, TypeError, ValueError, OverflowError) as error:  # TypeError: a dtype that numpy lacks
        raise DamagedFileError(f"{name}: the file is damaged or truncated ({error})") from None


def _described(name: str, metadata: Mapping[str, str], format: str | Collection[str]) -> dict[str, Any]:
    formats = (format,) if isinstance(format, str) else tuple(format)
    try:
        described = json.loads(metadata.get("logq", "null"))
    except (ValueError, RecursionError):
        raise DamagedFileError(f"{name}: the file is damaged, its description is not JSON") from None
    if not isinstance(described, dict) or described.get("format") not in formats:
        expected = " or ".join(map(repr, formats))
        raise ValueError(f"{name}: expected a file of the format {expected}, it holds other tensors")
    if described.get("version") not in list(READABLE):
        raise ValueError(
            f"{name}: expected version {VERSION} of the format, got {described.get('version')!r}; it was written by "
            "another version of logq"
        )
    kinds = {"class": str, "info": dict, "tensors": dict}
    wrong = [key for key, kind in kinds.items() if not isinstance(described.get(key), kind)]
    if wrong:
        raise ValueError(f"{name}: the file is damaged, its description has no {wrong[0]!r}")
    return described


def pack_strings(strings: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 bytes one after the other, and where each string begins and ends.

    Example:
        >>> joined, offsets = pack_strings(["tea", "ö"])
        >>> unpack_strings(joined, offsets), offsets.tolist()
        (['tea', 'ö'], [0, 3, 5])
    """
    joined = "".join(strings)
    # A character of ASCII is a byte, so that no string needs to be encoded by itself.
    encoded = strings if joined.isascii() else [text.encode("utf-8", "surrogatepass") for text in strings]
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int64, len(encoded) + 1)
    return np.frombuffer(joined.encode("utf-8", "surrogatepass"), dtype=np.uint8), offsets


def unpack_strings(joined: NDArray[np.uint8], offsets: NDArray[np.int64]) -> list[str]:
    """The inverse of `pack_strings`.

    Raises:
        ValueError: the arrays do not fit each other, or a string is not UTF-8.
    """
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(joined) or (np.diff(offsets) < 0).any():
        raise ValueError("strings: the file is damaged, its offsets do not fit its text")
    text = joined.tobytes()
    try:
        return [text[begin:end].decode("utf-8", "surrogatepass") for begin, end in pairwise(offsets.tolist())]
    except UnicodeDecodeError:
        raise ValueError("strings: the file is damaged, a string in it is not UTF-8") from None
