"""A small part of `make fuzz`, the same each time: damaged files of formats that are quick to read."""

import subprocess
import sys
from pathlib import Path

import pytest

QUICK = ("vectors", "word2vec text", "index faiss-hnsw", "index usearch", "recommender Popularity", "phrases", "ngram")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_damaged_files_end_in_one_error_or_in_what_was_saved() -> None:
    asked = ["--exactly", "--only", ",".join(QUICK), "--inputs", str(60 * len(QUICK))]
    command = [sys.executable, str(Path(__file__).parent / "fuzz"), *asked, "--jobs", "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"inputs of {len(QUICK)} formats, 0 faults" in done.stdout
