"""Several processes save one checkpoint, and go on from it to the bits of a run without a break."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import language_cases
from logq._model_file import CheckpointWarning, read_stored
from logq.process_start import all_or_none
from logq.processes import all_bytes, bytes_from_first, world
from logq.training import checkpoint as saving
from logq.training.checkpoint import FILE, FORMAT, RunCheckpoint, RunState
from logq.training.devices import Device
from logq.training.joint_checkpoint import JointCheckpoint
from logq.training.saved_rows import with_own_rows
from processes import together
from recommender_cases import make, planted_split

OPTIONS: dict[str, dict[str, Any]] = {
    "SASRec": {"dropout": 0.3, "decay": "cosine", "warmup": 3, "batch_size": 16, "epochs": 2},
    "TwoTower": {"sampler": "uniform", "id_dropout": 0.3, "batch_size": 32, "epochs": 2, "ema": 0.9, "patience": 2},
    # What each process carries from batch to batch is its own: the state of a text, the targets of earlier batches.
    "gru": {"batch_size": 8, "epochs": 1, "objective": "full_softmax"},
    "memory": {"sampler": "cross_batch", "num_sampled": 40, "batch_size": 16, "epochs": 1, "negatives_of": "rank"},
}
MINUTES = {"memory": 1e-9}
"""Between checkpoints, 0 by default: one that is due is told in the message of a step."""
BREAK = {"SASRec": 2, "TwoTower": 3, "gru": 3, "memory": 3}


def made(name: str) -> tuple[Any, Any]:
    """A model, and what it learns from."""
    if name == "gru":
        return language_cases.make(name, **OPTIONS[name]), language_cases.TEXT[:80]
    return make("TwoTower" if name == "memory" else name, **OPTIONS[name]), planted_split()


class BrokenOffError(Exception):
    pass


def fitted(name: str, folder: Path | None = None, **options: Any) -> dict[str, NDArray[Any]]:
    """The weights after a fit."""
    model, source = made(name)
    model.fit(source, checkpoint=folder, checkpoint_minutes=MINUTES.get(name, 0.0), progress=False, **options)
    return {key: value.numpy().copy() for key, value in model.model.state_dict().items()}


def broken_off(name: str, folder: Path) -> None:
    """A fit that ends in the midst."""
    model, source = made(name)

    def stop(step: int) -> None:
        if step == BREAK[name]:
            raise BrokenOffError

    model._on_batch = stop
    with pytest.raises(BrokenOffError):
        model.fit(source, checkpoint=folder, checkpoint_minutes=MINUTES.get(name, 0.0), progress=False)


def raised(function: Any, *arguments: Any) -> str:
    """The error of a call."""
    try:
        function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def saved_rows(folder: Path) -> dict[str, Any]:
    """What is there of rows in parts when the file could not be written, and when a save ended after it was."""
    rank, write = world().rank, saving.write_stored
    one = JointCheckpoint.of(RunCheckpoint(folder, "Mean", {}, ""), Device("cpu"))
    found: dict[str, Any] = {}

    def state(epoch: int) -> RunState:
        return RunState(
            7, {"epoch": epoch}, {"rows": np.full((2, 3), 10 * epoch + rank)}, parts={"rows": (2 * rank, 4)}
        )

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def ended(*arguments: Any, **named: Any) -> None:
        write(*arguments, **named)
        raise RuntimeError("ended")

    for epoch, (name, how) in enumerate({"written": write, "full": full, "ended": ended}.items()):
        saving.write_stored = how
        said = raised(one.save, state(epoch))
        saving.write_stored = write
        torch.distributed.barrier()
        read = with_own_rows(one.load(), {"rows": (2 * rank, 4)})
        folders = len(list(folder.glob("tables-*")))
        found[name] = said, read.position["epoch"], read.tensors["rows"].tolist(), folders
        torch.distributed.barrier()
    return found


def checks(folder: Path) -> dict[str, Any]:
    """All that two processes find."""
    rank = world().rank
    found: dict[str, Any] = {}
    for name in OPTIONS:
        broken_off(name, folder / name)
        kept = (folder / name / FILE).read_bytes()
        found[f"{name} whole"] = fitted(name)
        found[f"{name} resumed"] = fitted(name, folder / name, resume=True)
        found[f"{name} removed"] = not (folder / name / FILE).exists()
        if rank == 0:  # for another number of processes
            (folder / f"{name} of two").mkdir()
            (folder / f"{name} of two" / FILE).write_bytes(kept)
    os.environ |= {"TORCHELASTIC_RESTART_COUNT": str(rank), "TORCHELASTIC_RUN_ID": "one"}
    shared = JointCheckpoint.of(RunCheckpoint(folder / "restart", "Mean", {}, ""), Device("cpu"))
    found["nothing yet"] = shared.resumed(False) is None
    shared.save(RunState(7, {"epoch": rank, "batch": 3}, {"alike": np.ones(2), "own": np.full(1, rank)}))
    state = shared.resumed(False)
    assert state is not None
    found["restarted"] = (dict(state.position), state.tensors["own"].tolist(), state.tensors["alike"].tolist())
    os.environ["TORCHELASTIC_RUN_ID"] = "other"
    found["of another launch"] = shared.resumed(False) is None

    def state_of_one() -> RunState:
        if rank == 1:
            raise FloatingPointError("diverged")
        return state

    shared.minutes = 0
    found["one diverged"] = raised(shared.save_if_due, state_of_one)
    shared.path = folder / ("restart" if rank == 0 else "unseen") / FILE
    found["only the first one sees it"] = shared.exists()
    if rank == 0:
        shared.path = Path("/dev/full/folder") / FILE
    found["cannot be written"] = raised(shared.save, state)
    found["rows"] = saved_rows(folder / "rows")
    found["bytes"] = (all_bytes(b"x" * rank), bytes_from_first(b"" if rank == 0 else b"no"))
    found["value"] = all_or_none(lambda: rank)
    found["errors"] = raised(all_or_none, lambda: 1 // rank)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return folder, together(checks, folder)


@pytest.mark.parametrize("name", OPTIONS)
def test_as_many_processes_go_on_to_the_same_bits(found: tuple[Path, list[dict[str, Any]]], name: str) -> None:
    for one in found[1]:
        for key, value in one[f"{name} whole"].items():
            np.testing.assert_array_equal(one[f"{name} resumed"][key], value, err_msg=key)
        assert one[f"{name} removed"]


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_the_same_in_all_is_stored_once(found: tuple[Path, list[dict[str, Any]]], name: str) -> None:
    stored = read_stored(found[0] / f"{name} of two" / FILE, format=FORMAT)
    own = {key for key in stored.tensors if key.startswith("rank")}
    assert "rank1/random.cpu" in own or name == "gru"  # which has no dropout, and draws nothing
    assert all(key.endswith(("random.cpu", "_extra_state", "module.state")) for key in own)
    assert len(stored.info["others"]) == 1


@pytest.mark.parametrize("name", OPTIONS)
def test_one_process_goes_on_for_two(
    name: str, found: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (model, source), (whole, _) = made(name), made(name)
    steps: list[int] = []
    monkeypatch.setattr(model, "_on_batch", steps.append)
    with pytest.warns(CheckpointWarning, match="saved by 2 processes, and 1 goes on: from the same place in the data"):
        model.fit(source, checkpoint=found[0] / f"{name} of two", progress=False, resume=True)
    all_steps: list[int] = []
    monkeypatch.setattr(whole, "_on_batch", all_steps.append)
    whole.fit(source, progress=False)
    assert steps == all_steps[2 * BREAK[name] :]
    assert [entry["epoch"] for entry in model.training_log] == [entry["epoch"] for entry in whole.training_log]


def test_torchrun_starts_them_again(found: tuple[Path, list[dict[str, Any]]]) -> None:
    for rank, one in enumerate(found[1]):
        assert one["nothing yet"]
        assert one["restarted"] == ({"epoch": rank, "batch": 3}, [rank], [1, 1])
        assert one["of another launch"]


def test_rows_are_those_that_the_file_names(found: tuple[Path, list[dict[str, Any]]]) -> None:
    for rank, one in enumerate(found[1]):
        said = {name: how[0] for name, how in one["rows"].items()}
        assert said["written"] == "none"
        assert "No space left" in said["full"]
        assert "ended" in said["ended"]
        epochs = {name: how[1] for name, how in one["rows"].items()}
        assert epochs == {"written": 0, "full": 0, "ended": 2}
        for _, epoch, rows, _ in one["rows"].values():
            assert rows == [[10 * epoch + rank] * 3] * 2
        assert [how[3] for how in one["rows"].values()] == [1, 1, 2]  # the former one is removed by the next save


def test_all_fail_where_one_does(found: tuple[Path, list[dict[str, Any]]]) -> None:
    first, second = found[1]
    assert first["one diverged"] == "FloatingPointError: rank 1: diverged"
    assert second["one diverged"] == "FloatingPointError: diverged"
    assert first["cannot be written"] == "NotADirectoryError: [Errno 20] Not a directory: '/dev/full/folder'"
    assert second["cannot be written"].startswith("NotADirectoryError: [Errno 20] Not a directory (on rank 0): '/dev")
    assert first["errors"] == "ZeroDivisionError: integer division or modulo by zero"
    assert second["errors"] == "RuntimeError: rank 0: integer division or modulo by zero"
    for rank, one in enumerate(found[1]):
        assert one["only the first one sees it"]
        assert one["bytes"] == ([b"", b"x"], b"")
        assert one["value"] == rank
