"""Two hosts, as network namespaces that a link of 100 Mbit/s joins, train one model to the bits of one host."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
PROGRAM = """
import json, pathlib, sys
import torch
from logq.processes import all_rows, world
from logq.samplers import InBatch
from recommender_cases import make, planted_split

folder, group = pathlib.Path(sys.argv[1]), sys.argv[2]
model = make("TwoTower", epochs=1, batch_size=16, sampler="in_batch", negatives_of="world", seed=3)
model.fit(planted_split(), progress=False)
model.save(folder)
sampler = InBatch(90, group="node" if group == "node" else int(group))
rank = world().rank
ids = [sampler.draw(torch.arange(3) + 20 * rank + step).ids.tolist() for step in range(2)]
(folder / f"{rank}.json").write_text(json.dumps(ids))
"""


def ip(*words: object, inside: str | None = None) -> list[str]:
    """A command of iproute2, as one that runs in a namespace or as it is."""
    return ["ip", *(["-n", inside] if inside else []), *map(str, words)]


@pytest.fixture
def hosts() -> Iterator[dict[str, tuple[str, str]]]:
    """The addresses of two hosts, with their devices, by the names of their namespaces."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        pytest.skip("needs root, and ip and tc of iproute2, for network namespaces")
    tag = f"lq{os.getpid() % 10**6}"
    made = {f"{tag}{end}": (f"10.77.0.{number}", f"{tag}v{end}") for number, end in enumerate("ab", 1)}
    devices = [device for _, device in made.values()]
    try:
        for name in made:
            done = subprocess.run(ip("netns", "add", name), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
        subprocess.run(ip("link", "add", devices[0], "type", "veth", "peer", "name", devices[1]), check=True)
        for name, (address, device) in made.items():
            subprocess.run(ip("link", "set", device, "netns", name), check=True)
            subprocess.run(ip("addr", "add", f"{address}/24", "dev", device, inside=name), check=True)
            for each in ("lo", device):
                subprocess.run(ip("link", "set", each, "up", inside=name), check=True)
            limit = ["root", "tbf", "rate", "100mbit", "burst", "256kb", "latency", "50ms"]
            subprocess.run(["tc", "-n", name, "qdisc", "add", "dev", device, *limit], check=True)
        yield made
    finally:
        for name in made:
            subprocess.run(ip("netns", "del", name), capture_output=True, check=False)


def environment(**variables: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **variables}


def sent_by(name: str, device: str) -> int:
    """Bytes that a host has sent over its link."""
    told = subprocess.run(ip("-s", "-j", "link", "show", device, inside=name), capture_output=True, check=True)
    return json.loads(told.stdout)[0]["stats64"]["tx"]["bytes"]


@pytest.mark.slow
def test_two_hosts_train_the_model_of_one(hosts: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    program, folders = tmp_path / "program.py", {name: tmp_path / name for name in ("one", "two")}
    program.write_text(PROGRAM)
    for folder in folders.values():
        folder.mkdir()
    address = next(iter(hosts.values()))[0]
    shared = ["--nnodes", "2", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-id", "two"]
    started = [
        subprocess.Popen(
            [
                *("ip", "netns", "exec", name, *TORCHRUN, *shared, "--rdzv-endpoint", f"{address}:29511"),
                # Machines here have no name; which one is the endpoint has to be said.
                *("--local-addr", own, "--rdzv-conf", f"is_host={own == address},read_timeout=300"),
                *(str(program), str(folders["two"]), "node"),
            ],
            env=environment(GLOO_SOCKET_IFNAME=device, LOGQ_PROCESS_TIMEOUT="300"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, (own, device) in hosts.items()
    ]
    ends = time.monotonic() + 600
    try:
        said = [program.communicate(timeout=max(1, ends - time.monotonic()))[0] for program in started]
    finally:
        for each in started:
            each.terminate()
    assert [each.returncode for each in started] == [0, 0], said
    assert all(sent_by(name, device) > 100_000 for name, (_, device) in hosts.items())
    alone = [*TORCHRUN, "--standalone", "--nproc-per-node", "4", str(program), str(folders["one"]), "2"]
    done = subprocess.run(alone, env=environment(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    one, two = (load_file(folder / "model.safetensors") for folder in folders.values())
    for key, value in one.items():
        np.testing.assert_array_equal(two[key], value, err_msg=key)
    for rank in range(4):
        ids = [json.loads((folder / f"{rank}.json").read_text()) for folder in folders.values()]
        assert ids[0] == ids[1]
        first = 20 * (rank - rank % 2)  # of the machine
        assert ids[1][0] == [first, first + 1, first + 2, first + 20, first + 21, first + 22]
