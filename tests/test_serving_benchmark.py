"""The script that measures `logq serve` runs, and its numbers are of what it asked."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from logq.vectors import KeyedVectors

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "serving.py"


@pytest.mark.slow
def test_clients_ask_at_the_rate_that_is_given(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(50, 4))
    KeyedVectors([f"w{number}" for number in range(50)], vectors).save(tmp_path)
    words = [sys.executable, SCRIPT, tmp_path, "--rate", "20", "--clients", "4", "--seconds", "2"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    names, _, values = ([part.strip() for part in line.split("|")[1:-1]] for line in done.stdout.splitlines()[-3:])
    told = dict(zip(names, map(float, values), strict=True))
    assert told["questions"] == 40
    assert told["errors"] == 0
    assert 0 < told["p50"] <= told["p90"] <= told["p99"] <= told["max"]
    assert told["MB before"] > 20
    assert told["rows per batch"] >= 1
