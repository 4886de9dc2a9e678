"""Tests on a simulated device, in processes of their own, as torch cannot forget a device that it was told of."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("file", "marks"),
    [
        ("device_paths.py", "not slow"),
        ("device_graphs.py", "not slow"),
        pytest.param("device_graphs.py", "slow", marks=pytest.mark.slow),
        pytest.param("device_paths.py", "slow", marks=pytest.mark.slow),
    ],
)
def test_every_public_path_runs_on_a_device_that_is_not_the_cpu(file: str, marks: str) -> None:
    tests = Path(__file__).with_name(file)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", tests, "-q", "-n0", "-p", "no:cacheprovider", "--tb=short", "-m", marks],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
