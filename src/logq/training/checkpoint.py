"""RunCheckpoint: everything a run needs to continue, in one file that is replaced atomically."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from logq._arguments import ArgumentError, Verbatim, shown
from logq._files import DamagedFileError, remove_leftovers
from logq._model_file import CheckpointWarning, Stored, read_metadata, read_stored, write_stored
from logq._warnings import warn

__all__ = ["FILE", "TABLES", "RunCheckpoint", "RunState", "check_run_state", "fingerprint", "was_restarted"]

FILE = "checkpoint.safetensors"
FORMAT = "logq.checkpoint"
_OF_RANK = "rank"
"""Tensors of other processes than the first are called rank1/NAME."""

TABLES = "tables"
"""The entry of a position that names a folder beside the file, of rows of which each process wrote a part."""

_FOLDERS = re.compile(rf"{TABLES}-[0-9a-f]{{16}}")


@dataclass(frozen=True)
class RunState:
    """The state of a run: what it hands over to be saved, and takes back to continue.

    Args:
        seed: that all randomness of the run follows from.
        position: how far it is, as JSON can hold it.
        tensors: arrays by name: weights, states of optimizers, generators.
        others: of several processes, what is not the same in the second, third, ... as in the first one.
        parts: of tensors of which each process has some rows, the number of the first, and of all.
        folder: of the file that it was read from, in which such rows lie.

    Example:
        >>> state = RunState(7, {"epoch": 2}, {"weights": np.zeros(3)}, [RunState(7, {}, {"generator": np.ones(1)})])
        >>> state.processes, list(state.of(1).tensors), state.of(1).position
        (2, ['weights', 'generator'], {'epoch': 2})
    """

    seed: int
    position: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    others: Sequence["RunState"] = ()
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    folder: Path | None = None

    @property
    def processes(self) -> int:
        """How many processes have saved it."""
        return 1 + len(self.others)

    def of(self, rank: int) -> "RunState":
        """What the process of a rank had; the state of the first one for a rank that there was not."""
        if not 0 < rank < self.processes:
            return self
        own = self.others[rank - 1]
        return replace(self, position={**self.position, **own.position}, tensors={**self.tensors, **own.tensors})

    def moved(self, processes: int, num_batches: int, most_steps: int) -> "RunState":
        """The same place in the data for another number of processes, which take more or fewer examples a step.

        A part of a step is done again: batch b of W processes becomes floor(b W / W') of W'.

        Args:
            processes: W', how many go on.
            num_batches: of an epoch for them.
            most_steps: of the run for them.

        Example:
            >>> position = {"epoch": 1, "batch": 5, "step": 15, "best_epoch": 1, "best_step": 10}
            >>> position |= {"cooling_from": 0, "cooling_steps": 0}
            >>> there = RunState(7, position, {}, [RunState(7)]).moved(3, num_batches=7, most_steps=70).position
            >>> there["batch"], there["step"], there["best_step"]
            (3, 10, 7)
        """
        if processes == self.processes:
            return self
        there = dict(self.position)
        there["batch"] = there["batch"] * self.processes // processes
        there["step"] = min(there["epoch"] * num_batches + there["batch"], most_steps - 1)
        there["best_step"] = min(there["best_epoch"] * num_batches, most_steps)
        for name in ("cooling_from", "cooling_steps"):
            there[name] = there[name] * self.processes // processes
        return replace(self, position=there)


def was_restarted() -> bool:
    """Whether torchrun has started this process again, as one of a run had died.

    Example:
        >>> was_restarted()
        False
    """
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


class RunCheckpoint:
    """The checkpoint of a run in a folder, which is made if it is missing.

    Args:
        folder: where the file goes; None for a run that saves nothing, so that callers need not ask.
        kind: the class of what is trained.
        settings: of the run.
        data: what tells the data from other data; see `fingerprint`.
        data_name: the argument that the data came by, for errors.
        free: names of settings that may change between a run and its continuation.
        minutes: how often `save_if_due` saves.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint = RunCheckpoint(folder, "SASRec", {"lr": 0.1}, fingerprint(["tea"]))
        ...     checkpoint.save(RunState(7, {"epoch": 2}))
        ...     checkpoint.load().position
        {'epoch': 2}
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        kind: str,
        settings: Mapping[str, Any],
        data: str,
        *,
        data_name: str = "log",
        free: Collection[str] = (),
        minutes: float = 10.0,
    ) -> None:
        self.path = None if folder is None else Path(folder) / FILE
        self.kind = kind
        self.settings = dict(settings)
        self.data, self.data_name = data, data_name
        self.free = frozenset(free)
        self.minutes = minutes
        self._saved = time.monotonic()

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return 1

    def exists(self) -> bool:
        """Whether there is one."""
        return self.path is not None and self.path.exists()

    def remove(self) -> None:
        """Remove it, if there is one, and what a killed run left of another, as the run is over."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            remove_leftovers(self.path)
            self._remove_tables("")

    def _remove_tables(self, kept: str) -> None:
        """Remove the rows of former checkpoints, which no file names any more."""
        assert self.path is not None
        for folder in self.path.parent.glob(f"{TABLES}-*"):
            if folder.name != kept and _FOLDERS.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    def is_due(self) -> bool:
        """Whether enough time has passed since it was saved."""
        return self.path is not None and time.monotonic() - self._saved >= 60 * self.minutes

    def save_if_due(self, state: Callable[[], RunState], *, force: bool = False) -> None:
        """Save what `state()` returns if enough time has passed, or in any case.

        Raises:
            Exception: what `state` raises, such as FloatingPointError where training has diverged; the file stays as
                it was.
            OSError: the file cannot be written, and stays as it was.
        """
        if self.path is not None and (force or self.is_due()):
            self.save(state())
            self._saved = time.monotonic()

    def resumed(self, resume: bool, *, restarted: bool | None = None) -> RunState | None:
        """What the run goes on from; None where it starts.

        A process that torchrun has started again goes on by itself from what it had saved before it died.

        Args:
            resume: whether to go on from a checkpoint, if there is one, whoever saved it.
            restarted: whether this is such a start; by default as the environment says.

        Raises:
            OSError, ArgumentError, ValueError: as `load`.
        """
        restarted = was_restarted() if restarted is None else restarted
        if not self.exists() or not (resume or (restarted and self._is_of_this_launch())):
            return None
        return self.load()

    def _is_of_this_launch(self) -> bool:
        assert self.path is not None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return json.loads(read_metadata(self.path)["logq"])["info"]["launch"] == _launch()
        return False

    def save(self, state: RunState) -> None:
        """Save the current state of a run.

        Raises:
            OSError: the file cannot be written, and stays as it was.
        """
        if self.path is not None:
            info = {
                "seed": state.seed,
                "position": dict(state.position),
                "settings": self.settings,
                "data": self.data,
                "launch": _launch(),
                "others": [dict(other.position) for other in state.others],
            }
            tensors = dict(state.tensors)
            for rank, other in enumerate(state.others, start=1):
                tensors |= {f"{_OF_RANK}{rank}/{name}": array for name, array in other.tensors.items()}
            write_stored(self.path, Stored(self.kind, info, tensors), format=FORMAT)
            self._remove_tables(state.position.get(TABLES, {}).get("folder", ""))

    def load(self) -> RunState:
        """Read the state of the run that was saved.

        Raises:
            OSError: the file cannot be read.
            ArgumentError: it is of other data, another class or other settings; the message names what differs.
            ValueError: it is damaged.
        """
        assert self.path is not None
        try:
            stored = read_stored(self.path, format=FORMAT)
        except ValueError as error:
            if _is_of_first_version(self.path):
                raise ValueError(
                    f"{self.path}: logq 0.1 wrote this checkpoint, and this version cannot resume from it; finish that "
                    "run with logq 0.1, or remove it to start afresh"
                ) from None
            raise ValueError(f"{error}; remove it to start afresh") from error
        with self.restoring():
            seed, position, settings, data = (stored.info[name] for name in ("seed", "position", "settings", "data"))
            tensors: list[dict[str, NDArray[Any]]] = [{} for _ in range(1 + len(stored.info.get("others", ())))]
            for name, array in stored.tensors.items():
                rank, _, key = name.partition("/") if name.startswith(_OF_RANK) else ("rank0", "", name)
                tensors[int(rank.removeprefix(_OF_RANK))][key] = array
            others = [
                RunState(int(seed), dict(own), of_rank)
                for own, of_rank in zip(stored.info.get("others", ()), tensors[1:], strict=True)
            ]
            state = RunState(int(seed), dict(position), tensors[0], others, folder=self.path.parent)
        self._check({"class": stored.kind, **settings}, data)
        if state.processes != self.processes:
            warn(
                f"{self.path}: saved by {state.processes} process{'es' * (state.processes > 1)}, and {self.processes} "
                f"go{'es' * (self.processes == 1)} on: from the same place in the data, with other random numbers",
                CheckpointWarning,
            )
        return state

    @contextlib.contextmanager
    def restoring(self) -> Generator[None, None, None]:
        """A block that takes over a state that was read; what does not fit there is a damage of the file.

        Raises:
            ValueError: the block raised anything.
        """
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            raise DamagedFileError(
                f"{self.path}: the checkpoint is damaged ({error}); remove it to start afresh"
            ) from error

    def _check(self, before: Mapping[str, Any], data: Any) -> None:
        now = {"class": self.kind, **self.settings}
        if data != self.data and before["class"] == self.kind:  # before settings, which may follow from the data
            expected = f"the data that the checkpoint {self.path} was made from"
            hint = "resume with the same, or remove it to start afresh"
            raise ArgumentError(self.data_name, expected, Verbatim("other data"), hint)
        for key in sorted((before.keys() | now.keys()) - self.free, key=lambda key: (key != "class", key)):
            if before.get(key) != now.get(key):
                expected = f"{shown(before.get(key))}, as in the checkpoint {self.path}"
                hint = "resume with the same settings, or remove it to start afresh"
                raise ArgumentError(key, expected, now.get(key), hint)


def check_run_state(state: RunState, own: RunState, limits: Mapping[str, int]) -> None:
    """See that a state is one of a run before anything is taken over: kernels trust shapes, tables and positions.

    Args:
        state: what was read.
        own: what the run would save now.
        limits: the most that numbers of its position may be.

    Raises:
        KeyError, ValueError: it is the state of another run, or damaged.

    Example:
        >>> check_run_state(RunState(7, {"epoch": 9}), RunState(7, {"epoch": 0}), {"epoch": 3})
        Traceback (most recent call last):
        ...
        ValueError: epoch: expected a number in [0, 3], got 9
    """
    best = [name for name in state.tensors if name.startswith("best.")]
    if best and len(best) != sum(name.startswith("module.") for name in own.tensors):
        raise ValueError("best: expected all weights or none")
    for name in sorted(own.tensors.keys() | state.tensors.keys()):
        part, _, key = name.partition(".")
        if part == "optimizer" or name.endswith("_extra_state") or (part == "best" and name not in state.tensors):
            continue  # what optimizers make in their first step, and where samplers are, is for these to check
        expected, got = own.tensors.get(f"module.{key}" if part == "best" else name), state.tensors.get(name)
        if expected is None or got is None or (expected.dtype, expected.shape) != (got.dtype, got.shape):
            wanted, there = ("none" if one is None else f"{one.dtype} {one.shape}" for one in (expected, got))
            raise ValueError(f"{name}: expected {wanted}, got {there}")
        follows = expected.dtype.kind in "iu" and part == "module"  # tables of samplers
        if got.dtype.kind == "f" and not (got < np.inf).all():  # the logarithm of 0 may be among them
            raise ValueError(f"{name}: expected numbers that are not NaN or infinite")
        if follows and not np.array_equal(expected, got):
            raise ValueError(f"{name}: expected what follows from the settings and the data, got other numbers")
    for name, there in own.position.items():
        value = state.position[name]
        if name == "best_value":
            right = isinstance(value, int | float) or (value is None and not best)
        elif isinstance(there, list):
            right = isinstance(value, list) and all(isinstance(row, dict) for row in value)
        else:
            right = isinstance(value, int | float if isinstance(there, float) else int)
            most = limits.get(name, 2**62)
            if right and not 0 <= value <= most:
                raise ValueError(f"{name}: expected a number in [0, {most}], got {value!r:.40}")
        if not right or isinstance(value, bool):
            raise ValueError(f"{name}: expected {type(there).__name__}, got {value!r:.40}")


def _launch() -> str:
    """What tells the processes that one torchrun has started, and starts again, from those of another one.

    Without --rdzv-id or --standalone all runs are called "none"; then it is the folder that torchrun made for errors of
    all its starts.
    """
    run = os.environ.get("TORCHELASTIC_RUN_ID", "")
    errors = os.environ.get("TORCHELASTIC_ERROR_FILE", "")
    return f"{run} {Path(errors).parents[2]}" if run == "none" and len(Path(errors).parts) > 3 else run


def _is_of_first_version(path: Path) -> bool:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, TypeError, ValueError):
        return False
    return metadata.get("format") == "logq.checkpoint 1" or '"logq.training_run"' in metadata.get("logq", "")


def fingerprint(words: Iterable[str], *arrays: NDArray[Any], numbers: Iterable[int] = ()) -> str:
    """Return a hash that identifies data by its words, arrays and numbers, such as its length.

    Example:
        >>> fingerprint(["a", "b"], np.array([3, 2])) == fingerprint(["b", "a"], np.array([3, 2]))
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(" ".join(map(str, numbers)).encode() + b"\0")
    rest = iter(words)
    while some := list(islice(rest, 1 << 16)):
        digest.update(("\0".join(some) + "\0").encode("utf-8", "surrogatepass"))
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
