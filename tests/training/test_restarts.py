"""torchrun starts processes again that were killed, and they go on to the bits of a run without a break."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]

FIT = """
import json, os, pathlib, random, signal, sys, threading
from recommender_cases import make, planted_split

folder, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
starts = folder / "starts"
rank, number = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
chance = random.Random(number)  # of each start, the same in both processes
victim, after, delay = chance.randrange(2), chance.randrange(1, 4), chance.choice([0, 0, 0.02, 0.1])
model = make("TwoTower", epochs=20, id_dropout=0.3, seed=3, batch_size=8, **json.loads(sys.argv[3]))
begun = []
def on_batch(step):
    begun.append(step)
    if len(begun) == after and rank == victim and number < kills:  # at once, or in the midst of whatever comes
        with open(starts, "a") as file:
            print(number, step, delay, file=file)
        kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
        threading.Timer(delay, kill).start() if delay else kill()
model._on_batch = on_batch
model.fit(planted_split(), checkpoint=folder / "checkpoint", checkpoint_minutes=0, progress=False)
model.save(folder)
"""


def torchrun(code: str, *words: object, restarts: int, seconds: float = 1500) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [*TORCHRUN, "--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    command += ["--monitor-interval", "0.2", "--no-python", sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)


KILLS: dict[str, tuple[int, dict[str, Any]]] = {
    "replicated": (20, {"sampler": "cross_batch", "num_sampled": 40, "negatives_of": "rank"}),
    "sharded": (8, {"tables": "sharded", "num_sampled": 10}),
}
"""How often it is killed where tables are whole in each process, and where their rows lie in a folder of their own."""


@pytest.mark.slow
@pytest.mark.parametrize("tables", KILLS)
def test_killed_many_times_it_ends_with_the_same_bits(tables: str, tmp_path: Path) -> None:
    kills, options = KILLS[tables]
    found: list[dict[str, np.ndarray]] = []
    for name, number in {"whole": 0, "killed": kills}.items():
        folder = tmp_path / name
        folder.mkdir()
        done = torchrun(FIT, folder, number, json.dumps(options), restarts=2 * number)
        assert done.returncode == 0, done.stderr[:3000]
        found.append(load_file(folder / "model.safetensors"))
    starts = (tmp_path / "killed" / "starts").read_text().split("\n")[:-1]
    assert len(starts) == kills
    steps = [int(re.split(" ", line)[1]) for line in starts]
    assert steps == sorted(steps), "what was done was done again from an older checkpoint"
    assert steps[-1] > kills
    for key, value in found[0].items():
        np.testing.assert_array_equal(found[1][key], value, err_msg=key)
    assert not list((tmp_path / "killed" / "checkpoint").iterdir())
