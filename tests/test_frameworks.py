"""The programs of docs/frameworks.md run as they stand there, each in processes of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from cases import SAMPLERS

PAGE = (Path(__file__).parents[1] / "docs" / "frameworks.md").read_text(encoding="utf-8")
PROGRAMS = {
    re.match(r"# (\S+)\.py\n", block)[1]: block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
}
LAUNCHED = {"ddp", "fsdp", "accelerated"}
NEEDS = {"lightning_ddp": "lightning", "accelerated": "accelerate", "trainer": "transformers"}
SAYS = {
    "ddp": r"loss \d",
    "fsdp": r"loss \d",
    "lightning_ddp": r"16 steps",
    "accelerated": r"loss \d",
    "trainer": r"20 steps",
    "workers": r"16 batches",
    "ray_train": r"YoutubeDNN\(.*fitted on 20 items\)",
}

OF_RAY = {
    "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": "200000000",
    "RAY_raylet_start_wait_time_s": "300",  # 30 are too few for a busy machine
    "RAY_USAGE_STATS_ENABLED": "0",
}
NONE: Mapping[str, str] = {}

# What is said of a program beyond that it runs: added to its end.
CHECKS = {
    "trainer": """
import shutil
shutil.rmtree("trainer")
_, straight = fit(steps=20)
assert all(torch.equal(one, other) for one, other in zip(straight.state_dict().values(), model.state_dict().values()))
assert not torch.equal(straight.loss.weight, NextItem(straight.config).loss.weight)
""",
    "lightning_ddp": """
_, straight = fit(epochs=4)
assert all(torch.equal(one, other) for one, other in zip(straight.state_dict().values(), module.state_dict().values()))
""",
}
"""A run that was resumed ends where one that was not does, samplers and all."""


def run(name: str, folder: Path, changes: Mapping[str, str] = NONE) -> str:
    """What the program prints, some of whose text is replaced."""
    program = PROGRAMS[name]
    for old, new in changes.items():
        assert program.count(old) == 1
        program = program.replace(old, new)
    Path(folder, f"{name}.py").write_text(program + CHECKS.get(name, ""), encoding="utf-8")
    start = [sys.executable]
    if name in LAUNCHED:  # what torchrun and accelerate launch are
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    environment = {**alone, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", **OF_RAY}
    limit = 900 if name == "ray_train" else 300  # Ray starts some ten processes
    ended = subprocess.run(
        [*start, f"{name}.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=limit
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def test_each_program_is_known():
    assert set(PROGRAMS) == set(SAYS)


SLOW = ("fsdp", "lightning_ddp", "trainer")
"""Ten seconds and more each; the others are tried whenever tests are run."""

ALONE = [name for name in SAYS if name != "ray_train"]
"""Ray has a test of its own."""


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in SLOW)) for one in ALONE])
def test_programs_run_as_shown(name, tmp_path):
    pytest.importorskip(NEEDS.get(name, "torch"), reason="an extra of the tests")
    assert re.search(SAYS[name], run(name, tmp_path))
    if name == "ddp":
        saved = torch.load(tmp_path / "ddp.pt", weights_only=True)
        assert set(saved["model"]) >= {"loss.weight", "loss.bias", "loss.sampler._extra_state"}


def test_every_sampler_goes_on_after_from_pretrained():
    pytest.importorskip("transformers", reason="an extra of the tests")
    here = Path(__file__).parent
    command = [sys.executable, "pretrained.py"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout == f"{len(SAMPLERS)} samplers\n"


DYING = {
    "    torch.set_num_threads(1)\n": """    torch.set_num_threads(1)
    import signal

    def die_once(entry):
        mark = settings["folder"] + ".died"
        if entry["epoch"] == 2 and world().rank == 1 and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

""",
    "resume=True": "resume=True, checkpoint_minutes=0, on_epoch=die_once",
}


@pytest.mark.slow
def test_ray_trains_with_two_workers_and_starts_again_when_one_dies(tmp_path):
    pytest.importorskip("ray", reason="`pip install 'ray[train]'`, 240 MB")
    losses = []
    for name, changes in (("shown", NONE), ("dying", DYING)):
        folder = tmp_path / name
        folder.mkdir()
        said = run("ray_train", folder, changes)
        assert re.search(SAYS["ray_train"], said)
        losses.append(sorted(re.findall(r"World\(rank=(\d), size=2, .*\) (\S+)", said)))
    assert (tmp_path / "dying" / "model.died").exists()
    assert [rank for rank, _ in losses[0]] == ["0", "1"]
    assert losses[0] == losses[1]  # it went on from the checkpoint, to the same bits
