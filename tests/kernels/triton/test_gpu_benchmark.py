"""benchmarks/gpu.py on the CPU: that it runs, and writes its table."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is there for Linux alone")

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu.py"


def run(out: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, SCRIPT, "--dry", "--out", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_part_of_it(tmp_path: Path) -> None:
    code, said = run(tmp_path / "table.md", "--only", "check draws", "time draws")
    assert code == 0, said
    table = (tmp_path / "table.md").read_text()
    assert "draws of 6 samplers: the same classes as on the CPU" in table
    assert "| 16 draws, alias table, interpreted |" in table


@pytest.mark.slow
def test_all_of_it(tmp_path: Path) -> None:
    code, said = run(tmp_path / "table.md")
    assert code == 0, said
    table = (tmp_path / "table.md").read_text()
    assert "WRONG" not in table
    assert "FAILED" not in table
    assert table.count("\n| ") > 20
