"""Logs that are large for the memory they get: what preparing and training take; full disks, killed preparations."""

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq.logs import Interactions

pytest.importorskip("duckdb")

pytestmark = pytest.mark.slow

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
large_logs: Any = importlib.import_module("large_logs")
sys.path.pop(0)


def test_ten_million_events_take_little_memory(tmp_path: Path) -> None:
    """In memory they would take 970 MB while they are read, and 400 MB for examples and an order."""
    file, parts = tmp_path / "log.parquet", tmp_path / "parts"
    large_logs.synthetic_log(file, 10_000_000, 500_000, 100_000)
    preparing = large_logs.run(large_logs.PREPARE, file, parts, "300MB", 1)
    idle = large_logs.run(large_logs.IDLE)
    training = large_logs.run(large_logs.TRAIN, parts, 16, 100)
    assert 9_900_000 < training["events"] <= 10_000_000  # without repeated ones
    assert preparing["MB"] < 650
    assert training["MB"] - idle["MB"] < 400
    assert (np.diff(Interactions.open(parts).offsets) > 0).all()


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
    large_logs.synthetic_log(tmp_path / "log.parquet", 400_000, 5_000, 900)
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
    large_logs.synthetic_log(file, 300_000, 5_000, 900)
    rng = np.random.default_rng(0)
    kills, longest = 0, 3.0
    for _ in range(20):
        program = large_logs.AROUND.format(code=large_logs.PREPARE, quiet=True)
        command = [sys.executable, "-c", program, str(file), str(parts), "200MB", "1"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
            time.sleep(float(rng.uniform(longest / 6, longest)))
            if child.poll() is not None:
                assert child.returncode == 0
                if kills:
                    break
                shutil.rmtree(parts)  # it was quicker than that
                longest /= 2
                continue
            child.send_signal(signal.SIGKILL)
        kills += 1
        if (parts / "manifest.json").exists():  # it was moving the last files
            break
    if not (parts / "manifest.json").exists():
        large_logs.run(large_logs.PREPARE, file, parts, "200MB", 1)
    assert kills
    np.testing.assert_array_equal(Interactions.open(parts).items, Interactions.from_parquet(file).items)
