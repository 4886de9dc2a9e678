"""A disk that fills up while several processes save: all of them fail, and what was saved before stays."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from logq.distributed import Checkpoint, OwnRows, ShardedClassTable, VectorShards, write_vector_shards
from logq.processes import world
from logq.training.checkpoint import RunCheckpoint, RunState
from logq.training.devices import Device
from logq.training.joint_checkpoint import JointCheckpoint
from processes import together

MEGABYTES = 4


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    words = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs here: {done.stderr.strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def said(function: Any, *arguments: Any, **named: Any) -> str:
    try:
        function(*arguments, **named)
    except OSError as error:
        return str(error)
    return "nothing"


def rows(megabytes: float) -> OwnRows:
    """As much in each process."""
    own = torch.full((int(megabytes * 1024), 256), float(world().rank))
    return OwnRows(own, world().rank * len(own), world().size * len(own))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def saved(folder: Path) -> dict[str, Any]:
    """What processes find when they save a little, then too much, then a little again."""
    found: dict[str, Any] = {}
    parts = Checkpoint(folder / "parts")
    parts.save(1, rows=rows(0.25))
    torch.distributed.barrier()
    before = files_in(folder)
    found["parts"] = said(parts.save, 2, rows=rows(MEGABYTES))
    torch.distributed.barrier()
    found["parts are as before"] = files_in(folder) == before
    again = rows(0.25)
    again.tensor.zero_()
    found["loaded"] = (parts.load(rows=again).step, float(again.tensor.mean()))
    joint = JointCheckpoint.of(RunCheckpoint(folder / "joint", "Mean", {}, ""), Device("cpu"))
    joint.save(RunState(7, {"epoch": 1}, {"own": np.full(10, world().rank)}))
    found["joint"] = said(joint.save, RunState(7, {"epoch": 2}, {"own": np.full(2**20, world().rank)}))
    state = joint.load()
    found["joint loaded"] = (state.position["epoch"], int(state.tensors["own"][0]))
    write_vector_shards(ShardedClassTable(100, 4, progress=False), folder / "vectors")
    found["vectors"] = said(write_vector_shards, ShardedClassTable(2**15, 64, progress=False), folder / "vectors")
    found["vectors loaded"] = VectorShards(folder / "vectors").num_classes
    return found


@pytest.mark.slow
def test_a_full_disk_costs_nothing_that_was_saved(small: Path) -> None:
    for rank, found in enumerate(together(saved, small)):
        for name in ("parts", "joint", "vectors"):
            assert "No space left on device" in found[name], found
        assert found["parts are as before"]
        assert found["loaded"] == (1, rank)
        assert found["joint loaded"] == (1, rank)
        assert found["vectors loaded"] == 100
    left = [name for name in files_in(small) if ".tmp" in name]
    assert not left
