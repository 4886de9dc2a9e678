"""Processes join by the variables of torchrun, and end when another one is lost."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch._C._distributed_c10d import HashStore

from logq import process_start
from logq.process_start import fresh_store, join, leave
from logq.processes import LostProcessError, is_joined, world
from processes import ends, programs

FIT = """
import os, signal, sys, time
import logq
from recommender_cases import make, planted_split

what, folder = sys.argv[1:]
model = make("YoutubeDNN", epochs=4, sparse=True)
def on_batch(step):
    if step == 3 and os.environ["RANK"] == "1" and what != "nothing":
        os.kill(os.getpid(), signal.SIGKILL if what == "dies" else signal.SIGSTOP)
model._on_batch = on_batch
began = time.monotonic()
try:
    model.fit(planted_split())
except logq.processes.LostProcessError as error:
    print(error)
    sys.exit(3)
found = model.evaluate(planted_split(), ks=(3,), exclude_seen=False)
model.save(folder)
print(os.environ["RANK"], found["HR@3"])
"""


@pytest.mark.slow
def test_a_plain_script_trains_and_only_the_first_process_writes(tmp_path: Path) -> None:
    (zero, one) = ends(programs(FIT, "nothing", tmp_path))
    assert (zero[0], one[0]) == (0, 0), zero[2] + one[2]
    assert zero[1].split()[1] == one[1].split()[1]
    assert one[2] == ""
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("dies", "has ended"),
        pytest.param("hangs", "did not answer within 3 seconds", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_is_lost_ends_the_others(what: str, how: str, tmp_path: Path) -> None:
    started = programs(FIT, what, tmp_path, LOGQ_PROCESS_TIMEOUT="3")
    began = time.monotonic()
    try:
        out, errors = started[0].communicate(timeout=120)
    finally:
        for program in started:
            program.kill()
            program.communicate()
    assert started[0].returncode == 3, errors
    assert time.monotonic() - began < 100
    assert out.startswith("after step 3 rank 0 was to "), out
    assert f"with the others, and rank 1 {how}" in out
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("two")
def test_a_process_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_start, "JOIN_SECONDS", 1)
    with pytest.raises(
        LostProcessError, match="rank 0 was to join 2 processes with the others, and another one did not"
    ):
        join()
    assert not is_joined()
    monkeypatch.setenv("LOGQ_PROCESS_TIMEOUT", "2")  # who waits longer for others waits for their start, too
    began = time.monotonic()
    with pytest.raises(LostProcessError):
        join()
    assert time.monotonic() - began >= 2


LEAVE = """
from pathlib import Path
import torch
from logq.process_start import join, leave
join()
import torch.distributed.nn.functional  # as torch.compile does, among others
torch.distributed.barrier()
leave()
names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
print(len(names), sum("gloo" in name for name in names))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads as Linux lists them")
def test_no_thread_of_the_group_outlives_it() -> None:
    for code, out, errors in ends(programs(LEAVE)):
        assert (code, out.split()[1]) == (0, "0"), errors


@pytest.mark.usefixtures("two")
def test_what_the_environment_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="WORLD_SIZE: expected processes that have joined, got 2"):
        world()
    monkeypatch.setenv("LOGQ_PROCESS_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="LOGQ_PROCESS_TIMEOUT: expected seconds above 0, got 'soon'"):
        join()
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(ValueError, match="MASTER_ADDR: expected where the 2 processes of WORLD_SIZE meet, got none"):
        join()


def test_one_process_joins_nobody() -> None:
    assert join() == world()
    leave()
    assert not torch.distributed.is_initialized()


def test_each_start_has_a_store_of_its_own() -> None:
    shared = HashStore()

    def start(rank: int, number: int) -> list[bytes]:
        store = fresh_store(shared, rank, 3, seconds=20)
        assert not store.check([f"address/{rank}"])
        store.set(f"address/{rank}", str(number))
        return [store.get(f"address/{other}") for other in range(3)]

    with ThreadPoolExecutor(3) as pool:
        for number in range(4):  # the later ones find what the earlier ones left
            found = list(pool.map(start, (2, 0, 1), [number] * 3))
            assert found == [[str(number).encode()] * 3] * 3


def test_a_process_that_died_while_it_joined_is_not_taken_for_one_that_is_there() -> None:
    shared = HashStore()
    with pytest.raises(TimeoutError, match=r"^rank 0 did not join within 0\.1 seconds$"):
        fresh_store(shared, 1, 3, seconds=0.1)
    with pytest.raises(TimeoutError, match=r"^ranks 1, 2 did not join within 0\.3 seconds$"):
        fresh_store(shared, 0, 3, seconds=0.3)
    with ThreadPoolExecutor(3) as pool:
        stores = list(pool.map(lambda rank: fresh_store(shared, rank, 3, seconds=20), range(3)))
    stores[0].set("key", "value")
    assert stores[2].get("key") == b"value"
