"""Logs that are large for the memory they get: what preparing and training take; full disks, killed preparations."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq.logs import Interactions

duckdb: Any = pytest.importorskip("duckdb")

pytestmark = pytest.mark.slow

PREPARE = """
import sys
from logq.logs.prepare_log import prepare
prepare(sys.argv[1], sys.argv[2], memory=sys.argv[3], threads=1, progress=False)
"""
TRAIN = """
import sys
from logq.logs import Interactions, leave_one_out
from logq.recommenders import YoutubeDNN
from logq.recommenders.neural_recommender import NeuralRecommender
class Enough(Exception):
    pass
def stop(self, step):
    if step >= 100:
        raise Enough
NeuralRecommender._on_batch = stop
log = Interactions.open(sys.argv[1])
model = YoutubeDNN(dim=16, hidden=(16,), batch_size=512, num_sampled=100, max_length=20, seed=1)
try:
    model.fit(leave_one_out(log, validation=False), progress=False)
except Enough:
    print("trained")
"""
PEAK = """
import resource
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def synthetic_log(path: Path, events: int, users: int, items: int) -> None:
    """A log in Parquet, written piece by piece; a few items have most of the events."""
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '300MB'; SET threads = 1")
        drawn = f"""SELECT CAST(hash(i) % {users} AS BIGINT) AS "user",
            'item-' || CAST(floor(pow({items}, hash(i + 1) / 18446744073709551616.0)) AS BIGINT) AS item,
            1600000000 + i // 10 + hash(i + 2) % 100000 AS time FROM range({events}) t(i)"""
        connection.execute(f"COPY ({drawn}) TO '{path}' (FORMAT parquet)")


def run(code: str, *arguments: object) -> tuple[str, int]:
    """What a program prints, and its largest memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code) + PEAK, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, _, peak = done.stdout.rpartition("peak ")
    return said, int(peak)


def test_ten_million_events_take_little_memory(tmp_path: Path) -> None:
    """In memory they would take 970 MB when they are read, and 370 MB of arrays of examples."""
    file, parts = tmp_path / "log.parquet", tmp_path / "parts"
    synthetic_log(file, 10_000_000, 500_000, 100_000)
    _, preparing = run(PREPARE, file, parts, "300MB")
    _, idle = run("import logq.recommenders.youtube_dnn")
    said, training = run(TRAIN, parts)
    assert "trained" in said
    assert preparing < 650
    assert training - idle < 400
    log = Interactions.open(parts)
    assert 9_900_000 < len(log) <= 10_000_000  # without repeated events
    assert (np.diff(log.offsets) > 0).all()


@contextlib.contextmanager
def small_disk(size: str) -> Generator[Path, None, None]:
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root can mount a small disk")
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
        if mounted.returncode:
            pytest.skip("cannot mount a small disk here")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_named_and_what_was_done_is_kept(tmp_path: Path) -> None:
    synthetic_log(tmp_path / "log.parquet", 400_000, 5_000, 900)
    from logq.logs import prepare

    with small_disk("8m") as disk:
        with pytest.raises(OSError, match="the disk is full") as caught:
            prepare(tmp_path / "log.parquet", disk / "parts", memory="100MB", threads=1, progress=False)
        assert caught.value.filename == str(disk / "parts")
        assert not (disk / "parts" / "manifest.json").exists()
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        prepare(tmp_path / "log.parquet", disk / "parts", memory="100MB", threads=1, progress=False)
        ours = Interactions.open(disk / "parts")
        np.testing.assert_array_equal(ours.items, Interactions.from_parquet(tmp_path / "log.parquet").items)


def test_a_killed_preparation_goes_on(tmp_path: Path) -> None:
    file, parts = tmp_path / "log.parquet", tmp_path / "parts"
    synthetic_log(file, 300_000, 5_000, 900)
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(20):
        command = [sys.executable, "-c", PREPARE, str(file), str(parts), "200MB"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
            time.sleep(float(rng.uniform(0.5, 3.0)))
            if child.poll() is not None:
                assert child.returncode == 0
                break
            child.send_signal(signal.SIGKILL)
        kills += 1
        if (parts / "manifest.json").exists():  # it was moving the last files
            break
    if not (parts / "manifest.json").exists():
        run(PREPARE, file, parts, "200MB")
    assert kills
    np.testing.assert_array_equal(Interactions.open(parts).items, Interactions.from_parquet(file).items)
