"""Class vectors as files: each process writes those that it owns, and any number of processes reads them."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from logq._arguments import ArgumentError, check_int
from logq._files import DamagedFileError, atomic_write, parsing
from logq._model_file import DIGESTS, digest_of, pack_strings, read_metadata, unpack_strings, write_tensors
from logq.distributed.sharded_table import ShardedClassTable
from logq.process_start import all_or_none
from logq.processes import Group, all_rows, world

__all__ = ["VectorShard", "VectorShards", "write_shards", "write_vector_shards"]

MANIFEST = "manifest.json"
_FORMAT, _VERSION = "logq.distributed.vectors", 1
_VERSIONS = re.compile("[0-9a-f]{16}")


class VectorShard(NamedTuple):
    """Some classes with their vectors.

    Args:
        ids: (n,) int64.
        vectors: (n, D).
        bias: (n,), or None.
        keys: (n,) what users call the classes, int64 or text; None where they are known by their ids alone.

    Example:
        >>> VectorShard(np.arange(1), np.zeros((1, 2)), None).bias
    """

    ids: NDArray[np.int64]
    vectors: NDArray[Any]
    bias: NDArray[Any] | None
    keys: NDArray[Any] | None = None

    def tensors(self) -> dict[str, NDArray[Any]]:
        """As files have it: texts as UTF-8 one after the other, and where each begins and ends."""
        found: dict[str, NDArray[Any]] = {"ids": self.ids, "vectors": self.vectors}
        found |= {} if self.bias is None else {"bias": self.bias}
        if self.keys is not None and self.keys.dtype.kind in "iu":
            found["keys"] = self.keys.astype(np.int64)
        elif self.keys is not None:
            found["key_text"], found["key_ends"] = pack_strings(self.keys.tolist())
        return found


def write_vector_shards(table: ShardedClassTable, folder: str | os.PathLike[str]) -> None:
    """Write the vectors and biases of all classes, each process those that it owns; all call it at once.

    The files are `<version>/vectors-0000r-of-0000W.safetensors` with ids, vectors and bias, and `manifest.json`, which
    names them and has their digests. The manifest is replaced when all are written, and then the former version is
    removed: who reads has the one or the other whole, and a process that dies or finds the disk full leaves the former.

    Args:
        table: of the classes.
        folder: that all processes see; it is made if it is missing.

    Raises:
        OSError: a file of some process cannot be written; all raise.

    Example:
        >>> import tempfile
        >>> table = ShardedClassTable(5, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_vector_shards(table, folder)
        ...     VectorShards(folder).part(0, 2).ids
        array([0, 2, 4])
    """
    part = table.part
    bias = None if part.bias is None else _array(part.bias.detach())
    shard = VectorShard(table.own_ids().numpy(), _array(part.weight.detach()), bias)
    write_shards(folder, shard, part.placing.num_classes, device=part.weight.device, group=part.group)


def write_shards(
    folder: str | os.PathLike[str],
    shard: VectorShard,
    num_classes: int,
    *,
    device: torch.device,
    group: Group = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write the files of `write_vector_shards`, each process its own.

    Args:
        folder: that all processes see.
        shard: what this process has.
        num_classes: C.
        device: that the exchanges of the group use.
        group: the processes.
        about: what the manifest says beside the files.

    Raises:
        OSError: a file of some process cannot be written; all raise.
    """
    there = world(group)
    token = torch.tensor([secrets.randbits(62) if there.is_first else 0], device=device)
    version = f"{int(all_rows(token, [1] * there.size, group)[0]):016x}"
    target = Path(folder, version)
    path = target / f"vectors-{there.rank:05d}-of-{there.size:05d}.safetensors"

    def write() -> None:
        target.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            write_tensors(file, shard.tensors(), {"format": f"{_FORMAT} {_VERSION}"})

    def switch() -> None:
        if there.is_first:
            _switch(Path(folder), version, num_classes, shard.vectors.shape[1], there.size, about or {})

    try:
        for action in (write, switch):
            all_or_none(action, device, group)
    except BaseException:
        if there.is_first:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()  # numpy has no bfloat16


def _switch(folder: Path, version: str, num_classes: int, dim: int, size: int, more: Mapping[str, str]) -> None:
    """Have the manifest name a version, and remove the one that it named."""
    files: list[dict[str, Any]] = []
    for rank in range(size):
        name = f"{version}/vectors-{rank:05d}-of-{size:05d}.safetensors"
        digests: dict[str, str] = json.loads(read_metadata(folder / name)[DIGESTS])
        with safe_open(os.fspath(folder / name), framework="numpy") as file:
            (rows,) = file.get_slice("ids").get_shape()
        files.append({"name": name, "rows": rows, "digests": {key: one for key, one in digests.items() if key}})
    about = {"format": _FORMAT, "version": _VERSION, "num_classes": num_classes, "dim": dim}
    about |= {"about": dict(more), "files": files}
    with atomic_write(folder / MANIFEST) as file:
        file.write(json.dumps(about, indent=1).encode() + b"\n")
    for other in folder.iterdir():
        if (
            other.name != version
            and _VERSIONS.fullmatch(other.name)
            and all("vectors-" in one.name for one in other.iterdir())
        ):
            shutil.rmtree(other, ignore_errors=True)


class VectorShards:
    """The vectors that `write_vector_shards` wrote, read in parts by any number of processes.

    Args:
        folder: of the manifest.

    Raises:
        OSError: there is no manifest, or it cannot be read.
        ValueError: it is damaged, or of something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_vector_shards(ShardedClassTable(5, 2), folder)
        ...     shards = VectorShards(folder)
        ...     [len(shard.ids) for shard in shards], shards.num_classes, shards.dim
        ([5], 5, 2)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        path = self.folder / MANIFEST
        text = path.read_bytes()
        with parsing(path):
            about = json.loads(text)
            if (about["format"], about["version"]) != (_FORMAT, _VERSION):
                raise ValueError(
                    f"expected version {_VERSION} of {_FORMAT}, got {about['version']} of {about['format']}"
                )
            self.num_classes, self.dim = int(about["num_classes"]), int(about["dim"])
            self.about = {str(name): str(value) for name, value in about.get("about", {}).items()}
            self._files = [
                (str(one["name"]), int(one["rows"]), dict[str, str](one["digests"])) for one in about["files"]
            ]
            if sum(rows for _, rows, _ in self._files) != self.num_classes:
                raise ValueError(f"expected {self.num_classes} classes in its files")

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._files)

    def __iter__(self) -> Iterator[VectorShard]:
        """The shards, one file at a time, compared with their digests."""
        for name, rows, digests in self._files:
            shard = self._read(name, 0, rows)
            found = {key: digest_of(array) for key, array in shard.tensors().items()}
            for key in sorted(found.keys() | digests.keys()):
                if found.get(key) != digests.get(key):
                    path = self.folder / name
                    raise DamagedFileError(f"{path}: the file was changed or is damaged, the digest of {key!r} differs")
            yield shard

    def without_vectors(self) -> Iterator[tuple[NDArray[np.int64], NDArray[Any] | None]]:
        """The ids (n,) and keys (n,) of the shards, one file at a time, without the vectors."""
        for name, rows, _ in self._files:
            path = os.fspath(self.folder / name)
            with parsing(path), safe_open(path, framework="numpy") as file:
                yield file.get_slice("ids")[:], _keys_of(file, 0, rows)

    def part(self, rank: int, size: int) -> VectorShard:
        """The share of one of several processes: rows rank ceil(C / size) and on, of which alone is read.

        Args:
            rank: of the process.
            size: how many there are; not the number that wrote.

        Raises:
            OSError, ValueError: a file cannot be read, or is damaged. Digests, which are of whole files, are compared
                where one is iterated over.
        """
        if not 0 <= check_int("rank", rank, 0) < check_int("size", size):
            raise ArgumentError("rank", f"a number below size = {size}", rank)
        per_process = -(-self.num_classes // size)
        first, last = rank * per_process, min(self.num_classes, (rank + 1) * per_process)
        found: list[VectorShard] = []
        start = 0
        for name, rows, _ in self._files:
            if start < last and start + rows > first:
                found.append(self._read(name, max(0, first - start), min(rows, last - start)))
            start += rows
        if not found:
            return self._read(self._files[0][0], 0, 0)
        biases = [shard.bias for shard in found if shard.bias is not None]
        keys = [shard.keys for shard in found if shard.keys is not None]
        ids, vectors = (np.concatenate([getattr(shard, key) for shard in found]) for key in ("ids", "vectors"))
        joined = (np.concatenate(arrays) if arrays else None for arrays in (biases, keys))
        return VectorShard(ids, vectors, *joined)

    def _read(self, name: str, first: int, last: int) -> VectorShard:
        path = os.fspath(self.folder / name)
        with parsing(path), safe_open(path, framework="numpy") as file:
            keys = list(file.keys())
            ids, vectors = (file.get_slice(key)[first:last] for key in ("ids", "vectors"))
            bias = file.get_slice("bias")[first:last] if "bias" in keys else None
            return VectorShard(ids, vectors, bias, _keys_of(file, first, last))


def _keys_of(file: Any, first: int, last: int) -> NDArray[Any] | None:
    names = list(file.keys())
    if "keys" in names:
        return file.get_slice("keys")[first:last]
    if "key_ends" not in names:
        return None
    ends = file.get_slice("key_ends")[first : last + 1]
    text = file.get_slice("key_text")[int(ends[0]) : int(ends[-1])]
    return np.array(unpack_strings(text, ends - ends[0]), dtype=str)
