"""JointCheckpoint: one checkpoint of several processes, all of which save or none, and load the same."""

import io
import json
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load as read_arrays

from logq._model_file import digest_of, read_metadata, write_tensors
from logq.distributed.checkpoint_parts import OwnRows
from logq.distributed.sharded_checkpoint import Checkpoint
from logq.process_start import all_or_none
from logq.processes import all_bytes, bytes_from_first
from logq.training.checkpoint import TABLES, RunCheckpoint, RunState, was_restarted
from logq.training.devices import Device

__all__ = ["JointCheckpoint"]


class JointCheckpoint(RunCheckpoint):
    """The checkpoint of several processes: the first one writes and reads the file, for all.

    What is the same in all processes, such as weights, is in it once. What another process has different, such as the
    states of its random generators, comes along from it, so that as many processes go on to the same bits as without
    a break. Whatever is called here is called by all processes at once; where one fails, all raise.

    Rows of which each process has a part do not travel: each writes its own into a folder `tables-...` beside the file,
    which names it (see logq.distributed.Checkpoint). A new folder is whole before the file is replaced, and the former
    one is removed afterwards, so that file and rows are always of one save. Any number of processes reads them
    (`logq.training.saved_rows`).

    Args:
        one: as a single process would have it.
        device: where the processes compute, and which of them this is.

    Example:
        >>> JointCheckpoint.of(RunCheckpoint(None, "SASRec", {}, ""), Device("cpu")).processes
        1
    """

    def __init__(self, one: RunCheckpoint, device: Device) -> None:
        vars(self).update(vars(one))
        self._world, self._at = device.world, device.torch_device

    @staticmethod
    def of(one: RunCheckpoint, device: Device) -> RunCheckpoint:
        """The checkpoint of all processes; `one` itself where there is only one, or where nothing is saved."""
        return one if one.path is None or device.world.size == 1 else JointCheckpoint(one, device)

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self._world.size

    def exists(self) -> bool:
        """Whether the first process sees one."""
        return bytes_from_first(bytes([super().exists()]), self._at, doing=_LOOKS) == b"\1"

    def remove(self) -> None:
        """Remove it, if there is one, and what a killed run left of another, as the run is over."""
        remove = super().remove
        all_or_none(remove if self._world.is_first else _nothing, self._at)

    def save_if_due(self, state: Callable[[], RunState], *, force: bool = False) -> None:
        """Save what `state()` returns in all processes if enough time has passed for the first one, or in any case.

        Raises:
            Exception: what `state` raises in any process; the file stays as it was.
            OSError: the file cannot be written, and stays as it was.
        """
        if not force and self.minutes > 0:
            force = bytes_from_first(bytes([self.is_due()]), self._at, doing=_LOOKS) == b"\1"
        if force or self.minutes == 0:
            self.save(all_or_none(state, self._at))
            self._saved = time.monotonic()

    def save(self, state: RunState) -> None:
        """Save the current state of a run, each process its own.

        Raises:
            OSError: the file cannot be written, and stays as it was.
        """
        if not state.parts:
            return self._save(state)
        name = f"{TABLES}-{bytes_from_first(secrets.token_hex(8).encode(), self._at).decode()}"
        try:
            self._save(self._save_tables(state, name))
        except BaseException:
            if self._world.is_first and self.path is not None and not self._names(name):
                shutil.rmtree(self.path.parent / name, ignore_errors=True)
            raise

    def _names(self, folder: str) -> bool:
        """Whether the file needs this folder, or may: a save may fail after it was replaced."""
        assert self.path is not None
        try:
            info = json.loads(read_metadata(self.path)["logq"])["info"]
            return info["position"].get(TABLES, {}).get("folder") == folder
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError):
            return True

    def _save(self, state: RunState) -> None:
        is_first = self._world.is_first
        own = {name: digest_of(array) for name, array in state.tensors.items()}
        described = json.dumps([own, state.position]).encode()
        digests, position = json.loads(bytes_from_first(described, self._at, doing=_SAVES))
        differs = _Differences(
            {name: value for name, value in state.position.items() if position.get(name) != value},
            {name: array for name, array in state.tensors.items() if digests.get(name) != own[name]},
        )
        every = all_bytes(b"" if is_first else differs.packed(), self._at, doing=_SAVES)
        others = [_Differences.unpacked(data).of_run(state.seed) for data in every[1:]] if is_first else ()
        save = super().save
        all_or_none((lambda: save(replace(state, others=others))) if is_first else _nothing, self._at)

    def resumed(self, resume: bool, *, restarted: bool | None = None) -> RunState | None:
        """What this process goes on from; None where the run starts, in all of them."""
        restarted = was_restarted() if restarted is None else restarted
        # Each machine counts its own restarts, so that one may not know of any.
        return super().resumed(resume, restarted=b"\1" in all_bytes(bytes([restarted]), self._at, doing=_LOOKS))

    def _is_of_this_launch(self) -> bool:
        is_it = self._world.is_first and super()._is_of_this_launch()
        return bytes_from_first(bytes([is_it]), self._at, doing=_LOOKS) == b"\1"

    def load(self) -> RunState:
        """The state of this process in the run that was saved, as the first process reads it.

        Raises:
            OSError: the file cannot be read.
            ArgumentError: it is of other data, another class or other settings; the message names what differs.
            ValueError: it is damaged.
        """
        load = super().load
        found = all_or_none(load if self._world.is_first else lambda: RunState(0), self._at)
        info = {"seed": found.seed, "position": found.position, "others": [other.position for other in found.others]}
        parts = [found.tensors, *(other.tensors for other in found.others)] if self._world.is_first else []
        shared = [_Differences(info if number == 0 else {}, tensors) for number, tensors in enumerate(parts)]
        count = len(bytes_from_first(bytes(len(parts)), self._at, doing=_LOADS))
        first, *others = [
            _Differences.unpacked(bytes_from_first(shared[number].packed() if shared else b"", self._at, doing=_LOADS))
            for number in range(count)
        ]
        info = first.position
        assert self.path is not None
        state = RunState(
            info["seed"],
            info["position"],
            first.tensors,
            [RunState(info["seed"], own, other.tensors) for own, other in zip(info["others"], others, strict=True)],
            folder=self.path.parent,
        )
        return state.of(self._world.rank) if state.processes == self.processes else state

    def _save_tables(self, state: RunState, name: str) -> RunState:
        """Save the rows of all processes, each its own, in a folder; the rest of the state, which names it."""
        assert self.path is not None
        rows: dict[str, OwnRows] = {}
        shapes: dict[str, Any] = {}
        for key, (first, total) in state.parts.items():
            array = state.tensors[key]
            rows[key] = OwnRows(torch.from_numpy(array), first, total)
            shapes[key] = [array.dtype.name, [total, *array.shape[1:]]]
        Checkpoint(self.path.parent / name, device=self._at).save(0, rows=rows)
        rest = {key: array for key, array in state.tensors.items() if key not in state.parts}
        position = {**state.position, TABLES: {"folder": name, "rows": shapes}}
        return replace(state, position=position, tensors=rest, parts={})


def _nothing() -> None:
    pass


class _Differences:
    """Part of a state on its way to another process."""

    def __init__(self, position: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        self.position, self.tensors = position, tensors

    def of_run(self, seed: int) -> RunState:
        return RunState(seed, self.position, self.tensors)

    def packed(self) -> bytes:
        file = io.BytesIO()
        text = np.frombuffer(json.dumps(self.position).encode(), dtype=np.uint8)
        write_tensors(file, {**self.tensors, _POSITION: text}, {})
        return file.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> "_Differences":
        tensors = read_arrays(data)
        return cls(json.loads(tensors.pop(_POSITION).tobytes()), tensors)


_POSITION = "position as JSON"
_LOOKS, _SAVES, _LOADS = "look for a checkpoint", "save a checkpoint", "load a checkpoint"
"""What processes are lost in."""
