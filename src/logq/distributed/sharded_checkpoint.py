"""Checkpoint: the state of several processes in one folder, written by all of them and read by any number."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._files import DamagedFileError, atomic_write, parsing
from logq._model_file import DIGESTS, CheckpointWarning, digest_of, read_metadata, write_tensors
from logq._warnings import warn
from logq.distributed.checkpoint_parts import OwnRows, Part, as_array, has_own_length, leaves, name_of, part_of
from logq.distributed.checkpoint_source import MANIFEST, Source, file_name, stored_name
from logq.process_start import all_or_none
from logq.processes import Group, all_bytes, bytes_from_first, world

__all__ = ["Checkpoint", "Loaded"]

LATEST = "latest"
FORMAT, VERSION = "logq.distributed.checkpoint", 1
OFFSETS = "DCP_SHARDING_INFO"
"""By which torch's HuggingFaceStorageReader knows the place of rows in a whole tensor."""
_FOLDERS = re.compile(r"step-(\d+)-[0-9a-f]{8}|\.step-\d+-[0-9a-f]{8}\.tmp")


class Loaded(NamedTuple):
    """What a checkpoint told beside the tensors that were loaded.

    Args:
        step: when it was saved.
        values: what JSON can hold, by the name that it was saved under.

    Example:
        >>> Loaded(20, {"epoch": 3}).values["epoch"]
        3
    """

    step: int
    values: Mapping[str, Any]


class Checkpoint:
    """Checkpoints in a folder that all processes see: each writes its part, any number of them reads it.

    A tensor that is split, as `OwnRows` or as a DTensor with Shard(0), is written by those who have its rows, and each
    process reads the rows that it has now, whoever wrote them. Of other tensors, what is the same in all processes is
    written once, and what differs, such as the states of generators, for each process; where another number of
    processes loads, generators stay as they are, which a warning says, and weights that differ are an error.

    A checkpoint is a new folder with one safetensors file of each process and a manifest with digests of all tensors;
    when all is written, the file `latest` is replaced, which names it. So whatever ends a save, the one before is
    there. Nothing is pickled. Files have the layout of torch.distributed.checkpoint's HuggingFaceStorageWriter, whose
    reader reads them too, but are written without a copy in memory.

    Args:
        folder: where they go; it is made if it is missing.
        keep: how many are kept, the newest ones.
        group: the processes, which do the same at once here; None for all.
        device: that the exchanges of the group use: "cuda" where it has only NCCL.

    Raises:
        ArgumentError, ArgumentTypeError: `keep` is not a number from 1.

    Example:
        >>> import tempfile
        >>> layer = torch.nn.Linear(2, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint = Checkpoint(folder)
        ...     checkpoint.save(20, layer=layer, epoch=3)
        ...     checkpoint.latest, checkpoint.load(layer=layer)
        (20, Loaded(step=20, values={'epoch': 3}))
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int = 1,
        group: Group = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.folder = FilePath(folder)
        self.keep = check_int("keep", keep)
        self._group, self._device = group, device
        if world(group).is_first:
            self._remove(lambda name: name.startswith("."))

    @property
    def latest(self) -> int | None:
        """The step of the newest checkpoint; None where there is none.

        Raises:
            OSError: it cannot be read.
            ValueError: it is damaged.
        """
        found = self._latest()
        return None if found is None else found[1]["step"]

    # --------------------------------------------------------------------------------------------------------- save

    def save(self, step: int, /, **state: Any) -> None:
        """Save the state of all processes; all call it at once, with the same names.

        Args:
            step: of the training, which names the checkpoint.
            **state: by name: a module, an optimizer or another object with `state_dict` and `load_state_dict`, a
                ShardedClassTable, a tensor, `OwnRows` of one, a generator, a mapping of these, or what JSON can hold.

        Raises:
            OSError: a file cannot be written by one of the processes: all raise, and what was saved before stays.
            ArgumentError, ArgumentTypeError: processes have other names or shapes, rows are missing, or a value cannot
                be saved.
        """
        own = world(self._group)
        found = self._together(lambda: self._described(step, state))
        every = [json.loads(facts) for facts in all_bytes(json.dumps(found.facts).encode(), self._device, self._group)]
        manifest = self._together(lambda: _manifest(step, every))
        token = bytes_from_first(secrets.token_hex(4).encode(), self._device, self._group).decode()
        name = f"step-{step:08d}-{token}"
        hidden = self.folder / f".{name}.tmp"
        try:
            self._together(lambda: hidden.mkdir(parents=True) if own.is_first else None)
            written = self._together(lambda: self._write(hidden, manifest, found.tensors))
            digests = all_bytes(json.dumps(written).encode(), self._device, self._group)
            if own.is_first:
                manifest["digests"] = {file_name(r, own.size): json.loads(one) for r, one in enumerate(digests)}
            self._together(lambda: self._publish(hidden, name, manifest) if own.is_first else None)
        except BaseException:
            if own.is_first:
                shutil.rmtree(hidden, ignore_errors=True)
            raise

    def _described(self, step: int, state: Mapping[str, Any]) -> "_Found":
        check_int("step", step, 0)
        tensors: dict[str, Part] = {}
        facts: list[dict[str, Any]] = []
        for path, leaf in leaves(state):
            name = name_of(path)
            fact: dict[str, Any] = {"path": path}
            if isinstance(leaf, torch.Tensor | OwnRows | torch.Generator):
                part = tensors[name] = part_of(name, leaf)
                fact |= {"dtype": str(part.tensor.dtype).removeprefix("torch."), "shape": part.shape}
                count = len(part.tensor) if part.shape else 1
                fact |= {"split": part.is_split, "first": part.first, "count": count}
                if not part.is_split:
                    fact["digest"] = digest_of(as_array(part.tensor))
            else:
                fact["value"] = leaf
            facts.append(fact)
        return _Found(tensors, facts)

    def _write(self, hidden: FilePath, manifest: Mapping[str, Any], tensors: Mapping[str, Part]) -> dict[str, str]:
        """Write the file of this process, and return the digests of what is in it."""
        if not hidden.is_dir():
            expected = "a folder that all processes see"
            raise ArgumentError("folder", expected, Verbatim(f"{self.folder}, where this one sees no {hidden.name}"))
        rank, size = world(self._group).rank, world(self._group).size
        arrays: dict[str, NDArray[Any]] = {}
        offsets: dict[str, dict[str, list[int]]] = {}
        for tensor in manifest["tensors"]:
            for writer, first, _ in tensor["parts"]:
                if writer == rank:
                    name = name_of(tensor["path"])
                    array = as_array(tensors[name].tensor)
                    stored = stored_name(tensor, rank)
                    arrays[stored] = array
                    offsets[stored] = {"saved_offsets": [first, *[0] * (array.ndim - 1)][: array.ndim]}
        path = hidden / file_name(rank, size)
        with atomic_write(path) as file:
            write_tensors(file, arrays, {OFFSETS: json.dumps(offsets), "format": "pt", "DCP_VERSION": "1.0"})
        digests: dict[str, str] = json.loads(read_metadata(path)[DIGESTS])
        return {name: digest for name, digest in digests.items() if name}

    def _publish(self, hidden: FilePath, name: str, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
        with atomic_write(hidden / MANIFEST) as file:
            file.write(text)
        os.replace(hidden, self.folder / name)
        with atomic_write(self.folder / LATEST) as file:
            file.write(json.dumps({"folder": name, "sha256": hashlib.sha256(text).hexdigest()}).encode())
        step = manifest["step"]
        others = [one for one in self._folders() if one != name and not one.startswith(".")]
        before = sorted((one for one in others if _step(one) <= step), key=lambda one: (_step(one), self._age(one)))
        kept = before[len(before) - (self.keep - 1) :] if self.keep > 1 else []
        self._remove(lambda one: one != name and one not in kept)

    def _age(self, name: str) -> float:
        return (self.folder / name).stat().st_mtime

    def _folders(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return [one for one in os.listdir(self.folder) if _FOLDERS.fullmatch(one)]
        return []

    def _remove(self, chosen: Callable[[str], bool]) -> None:
        for name in self._folders():
            if chosen(name):
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def _together(self, action: Callable[[], Any]) -> Any:
        return all_or_none(action, self._device, self._group)

    # --------------------------------------------------------------------------------------------------------- load

    def load(self, *, check: bool = True, **state: Any) -> Loaded:
        """Bring objects and tensors to the newest checkpoint; all processes call it at once, with the same names.

        Args:
            check: compare the digests of all files, of which each process reads some.
            **state: by the names that they were saved under: objects, tensors and generators, which take over what was
                saved. What was saved and is not named here is left.

        Raises:
            FileNotFoundError: there is no checkpoint.
            OSError: a file cannot be read.
            ArgumentError: a name was not saved, a shape or dtype differs, or weights that differed among the processes
                are loaded by another number of them.
            ValueError: a file is damaged; the message names it.

        Warns:
            CheckpointWarning: another number of processes saved it, and states of generators were theirs.
        """
        own = world(self._group)

        def read() -> bytes:
            if not own.is_first:
                return b""
            found = self._latest()
            if found is None:
                raise FileNotFoundError(f"{self.folder}: there is no checkpoint to load")
            return json.dumps(found).encode()

        name, manifest = json.loads(bytes_from_first(self._together(read), self._device, self._group))
        source = Source(self.folder / name, manifest, own.rank, own.size)
        if check:
            self._together(source.check)
        self._together(lambda: source.compare(dict(leaves(state)), state))
        values = self._together(lambda: source.load(state))
        if source.kept and own.is_first:
            warn(
                f"{self.folder / name}: saved by {manifest['processes']} processes, and {own.size} load it: "
                f"{', '.join(source.kept[:3])}{', ...' * (len(source.kept) > 3)} of each process stay as they are, and "
                "draw other numbers",
                CheckpointWarning,
            )
        return Loaded(manifest["step"], values)

    def _latest(self) -> tuple[str, dict[str, Any]] | None:
        """The folder of the newest checkpoint and what its manifest says."""
        pointer = self.folder / LATEST
        try:
            text = pointer.read_bytes()
        except FileNotFoundError:
            return None
        with parsing(pointer):
            named = json.loads(text)
            name, digest = str(named["folder"]), named["sha256"]
            if not _FOLDERS.fullmatch(name):
                raise ValueError("it names no folder of a checkpoint")
        path = self.folder / name / MANIFEST
        found = path.read_bytes()
        if hashlib.sha256(found).hexdigest() != digest:
            raise DamagedFileError(f"{path}: the file was changed or is damaged, its digest differs from {pointer}")
        with parsing(path):
            manifest = json.loads(found)
            if (manifest["format"], manifest["version"]) != (FORMAT, VERSION):
                raise ValueError(f"expected version {VERSION} of {FORMAT}, got {manifest['version']}")
        return name, manifest


class _Found(NamedTuple):
    tensors: dict[str, Part]
    facts: list[dict[str, Any]]


def _manifest(step: int, every: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """What all files hold together, from what each process has."""
    by_name = [{name_of(fact["path"]): fact for fact in facts} for facts in every]
    for rank, one in enumerate(by_name):
        differ = sorted(one.keys() ^ by_name[0].keys())
        if differ:
            raise ArgumentError(differ[0], "what all processes save", Verbatim(f"other names on rank {rank}"))
    tensors: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []
    for name, first in by_name[0].items():
        facts = [one[name] for one in by_name]
        if "dtype" not in first:
            same = all(fact.get("value") == first["value"] for fact in facts)
            of_all = {"value": first["value"]} if same else {"values": [fact.get("value") for fact in facts]}
            values.append({"path": first["path"], **of_all})
            continue
        for rank, fact in enumerate(facts):
            shape = first["shape"] if has_own_length(first["path"], first["shape"]) else fact.get("shape")
            got = (fact.get("dtype"), shape, fact.get("split"))
            if got != (first["dtype"], first["shape"], first["split"]):
                expected = f"{first['dtype']} {tuple(first['shape'])} in all processes, as on rank 0"
                raise ArgumentError(name, expected, Verbatim(f"{got[0]} {tuple(got[1] or ())} on rank {rank}"))
        parts = [[rank, fact["first"], fact["count"]] for rank, fact in enumerate(facts)]
        own = not first["split"] and any(fact["digest"] != first["digest"] for fact in facts)
        if first["split"]:
            parts = _covering(name, first["shape"], parts)
        elif not own:
            parts = parts[:1]
        kept = {key: first[key] for key in ("path", "dtype", "shape", "split")}
        tensors.append({**kept, "own": own, "parts": parts})
    return {
        "format": FORMAT,
        "version": VERSION,
        "step": step,
        "processes": len(every),
        "tensors": tensors,
        "values": values,
    }


def _covering(name: str, shape: list[int], parts: list[list[int]]) -> list[list[int]]:
    """Parts without those that another process has too.

    Raises:
        ArgumentError: rows are missing, or ranges overlap.
    """
    found: list[list[int]] = []
    reached = 0
    for rank, first, count in sorted(parts, key=lambda part: (part[1], part[0])):
        if count == 0 or (found and found[-1][1:] == [first, count]):
            continue
        if first != reached:
            what = f"none has rows {reached} to {first - 1}" if first > reached else f"row {first} is twice there"
            raise ArgumentError(name, "each row in one process", Verbatim(f"{what}, by rank {rank}"))
        found.append([rank, first, count])
        reached = first + count
    if shape and reached != shape[0]:
        raise ArgumentError(name, "each row in one process", Verbatim(f"none has rows {reached} to {shape[0] - 1}"))
    return found


def _step(folder: str) -> int:
    return int(folder.split("-")[1])
