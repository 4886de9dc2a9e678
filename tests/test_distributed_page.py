"""The program of docs/distributed.md runs under torchrun as it stands there, and goes on in more or fewer processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "distributed.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"```python\n(# own_loop\.py\n.*?)```", PAGE, flags=re.DOTALL)


def run(folder: Path, size: int) -> str:
    """What the program prints."""
    Path(folder, "own_loop.py").write_text(PROGRAM, encoding="utf-8")
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [*start, "own_loop.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=400
    )
    assert ended.returncode == 0, ended.stderr[:3000]
    return ended.stdout


@pytest.mark.slow
def test_the_program_runs_as_shown_and_goes_on_with_others(tmp_path: Path) -> None:
    said = run(tmp_path, 2)
    assert re.findall(r"step (\d+): loss \d\.\d+, saved", said) == ["25", "50", "75", "100"]
    share = r"(\d+)% of the next items are ranked first"
    found = int(re.findall(share, said)[0])
    assert found > 80
    for size in (1, 3, 4):  # nothing is left to train: the table is the one that two have saved
        again = run(tmp_path, size)
        assert "step" not in again
        assert abs(int(re.findall(share, again)[0]) - found) < 10
