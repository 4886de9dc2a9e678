"""tests/device_paths.py, in a process of its own: a device that torch has once been told of cannot be taken back."""

import subprocess
import sys
from pathlib import Path


def test_every_public_path_runs_on_a_device_that_is_not_the_cpu() -> None:
    paths = Path(__file__).with_name("device_paths.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", paths, "-q", "-n0", "-p", "no:cacheprovider", "--tb=short"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
