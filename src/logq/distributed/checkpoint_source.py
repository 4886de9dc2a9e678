"""Source: the files of a checkpoint of several processes, as any number of others read them."""

import contextlib
import hashlib
from collections.abc import Generator, Mapping
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from logq._arguments import ArgumentError, Verbatim
from logq._files import DamagedFileError, parsing
from logq._model_file import digest_of
from logq.distributed.checkpoint_parts import (
    Leaf,
    OwnRows,
    Part,
    Path,
    as_tensor,
    has_own_length,
    leaves,
    load_into,
    name_of,
    part_of,
)

__all__ = ["MANIFEST", "Source", "file_name", "stored_name"]

MANIFEST = "manifest.json"
_CHUNK = 1 << 24
"""Bytes read at a time."""


class Source:
    """The files of a checkpoint, as one of several processes reads them."""

    def __init__(self, folder: FilePath, manifest: Mapping[str, Any], rank: int, size: int) -> None:
        self.folder, self.manifest, self.rank, self.size = folder, manifest, rank, size
        self.tensors = {tuple(one["path"]): one for one in manifest["tensors"]}
        self.values = {tuple(one["path"]): one for one in manifest["values"]}
        self.moved = manifest["processes"] != size
        self.kept: list[str] = []

    @contextlib.contextmanager
    def _opened(self, rank: int) -> Generator[Any, None, None]:
        path = self.folder / file_name(rank, self.manifest["processes"])
        with open(path, "rb"):
            pass  # for an error that names it
        with parsing(path), safe_open(path, framework="numpy") as file:
            yield file

    def check(self) -> None:
        """Compare the digests of some of the files."""
        for rank in range(self.rank, self.manifest["processes"], self.size):
            name = file_name(rank, self.manifest["processes"])
            digests = self.manifest["digests"][name]
            with self._opened(rank) as file:
                if sorted(file.keys()) != sorted(digests):
                    raise ValueError("the file was changed, it holds other tensors")
                for key, digest in digests.items():
                    if _digest_in(file, key) != digest:
                        raise ValueError(f"the file was changed or is damaged, the digest of {key!r} differs")

    def compare(self, here: Mapping[Path, Leaf], state: Mapping[str, Any]) -> None:
        """See that what is to be loaded was saved, with the same shapes, before anything is changed."""
        names = {path[0] for path in (*self.tensors, *self.values)}
        for name in state:
            if name not in names:
                raise ArgumentError(
                    name, f"one of {', '.join(sorted(map(str, names)))}, which were saved", Verbatim("none")
                )
        for path, leaf in here.items():
            name, saved = name_of(path), self.tensors.get(path)
            if not isinstance(leaf, torch.Tensor | OwnRows | torch.Generator):
                continue
            if saved is None:
                if any(path[:end] in self.values for end in range(1, len(path))):
                    continue  # such as the states of an optimizer that had made none yet
                raise ArgumentError(name, f"what {self.folder} holds", Verbatim("a tensor that was not saved"))
            part = part_of(name, leaf)
            dtype = str(part.tensor.dtype).removeprefix("torch.")
            shape = saved["shape"] if has_own_length(path, saved["shape"]) else list(part.shape)
            if (dtype, shape) != (saved["dtype"], saved["shape"]):
                expected = f"{saved['dtype']} {tuple(saved['shape'])}, as in {self.folder}"
                raise ArgumentError(name, expected, Verbatim(f"{dtype} {part.shape}"))
            if saved["own"] and self.moved and "float" in dtype:
                expected = (
                    f"{self.manifest['processes']} processes, which had different numbers of it when it was saved"
                )
                raise ArgumentError(name, expected, self.size, "rows that are split are saved as OwnRows or DTensor")
        for path, saved in self.tensors.items():
            if path[0] in state and path not in here and saved["split"]:
                expected = "something that says which rows this process has"
                raise ArgumentError(name_of(path), expected, Verbatim("none"), "make the states of an optimizer first")

    def load(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Load what was compared, and return what JSON held."""
        found: dict[Path, Any] = {path: self._value(path, one) for path, one in self.values.items()}
        here = dict(leaves(state))
        for path, saved in self.tensors.items():
            if path[0] in state:
                found[path] = self._load(path, saved, here.get(path))
        for name, value in state.items():
            load_into(name, value, found)
        return _values(found, set(state))

    def _value(self, path: Path, saved: Mapping[str, Any]) -> Any:
        if "values" not in saved:
            return saved["value"]
        return saved["values"][0 if self.moved else self.rank]

    def _load(self, path: Path, saved: Mapping[str, Any], leaf: Any) -> Any:
        if saved["own"] and self.moved and leaf is not None:
            self.kept.append(name_of(path))
            return leaf
        own = self.rank if saved["own"] and not self.moved else None
        dtype, shape = getattr(torch, saved["dtype"]), saved["shape"]
        if has_own_length(path, shape):
            leaf, shape = None, [count for writer, _, count in saved["parts"] if writer == (own or 0)]
        part = None if leaf is None else part_of(name_of(path), leaf)
        if part is None:
            part = Part(torch.empty(shape, dtype=dtype), 0, tuple(shape), False)
        rows = part.tensor if part.shape else part.tensor.reshape(1)
        left = len(rows)
        for writer, first, count in saved["parts"]:
            begin, end = max(first, part.first), min(first + count, part.first + len(rows))
            if begin >= end or (saved["own"] and writer != (own or 0)):
                continue
            with self._opened(writer) as file, torch.no_grad():
                key = stored_name(saved, writer)
                at_once = max(1, _CHUNK // max(1, rows[:1].nbytes))
                for start in range(begin, end, at_once):
                    stop = min(end, start + at_once)
                    piece = file.get_slice(key)[start - first : stop - first] if part.shape else file.get_tensor(key)
                    target = rows[start - part.first : stop - part.first]
                    target.copy_(as_tensor(np.ascontiguousarray(piece), dtype, target.shape))
            left -= end - begin
        if left:
            raise DamagedFileError(
                f"{self.folder / MANIFEST}: the file was changed, rows of {name_of(path)} are missing"
            )
        if isinstance(leaf, torch.Generator):
            leaf.set_state(part.tensor)
        return part.tensor if leaf is None else leaf


def _values(found: Mapping[Path, Any], taken: set[str]) -> dict[str, Any]:
    """What JSON held by name, of names that no object was given for."""
    values: dict[str, Any] = {}
    for path, value in found.items():
        if path[0] not in taken and not isinstance(value, torch.Tensor):
            place: dict[Any, Any] = values
            for key in path[:-1]:
                place = place.setdefault(key, {})
            place[path[-1]] = value
    return values


def _digest_in(file: Any, key: str) -> str:
    """`digest_of` a tensor in a file, without all of it in memory."""
    part = file.get_slice(key)
    shape = part.get_shape()
    if not shape or 0 in shape:
        return digest_of(file.get_tensor(key))
    one = part[:1]
    digest = hashlib.sha256(f"{one.dtype.name} {list(shape)};".encode())
    rows = max(1, _CHUNK // max(1, one.nbytes))
    for start in range(0, shape[0], rows):
        digest.update(np.ascontiguousarray(part[start : min(start + rows, shape[0])]).data.cast("B"))
    return digest.hexdigest()


def stored_name(tensor: Mapping[str, Any], rank: int) -> str:
    """The name that a tensor has in the file of a process."""
    return f"rank{rank}/{name_of(tensor['path'])}" if tensor["own"] else name_of(tensor["path"])


def file_name(rank: int, size: int) -> str:
    """The name of the file of one of several processes.

    Example:
        >>> file_name(0, 2)
        'shard-00001-of-00002.safetensors'
    """
    return f"shard-{rank + 1:05d}-of-{size:05d}.safetensors"
