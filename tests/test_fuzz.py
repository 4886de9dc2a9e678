"""A small part of `make fuzz`, the same each time: damaged files of formats that are quick to read."""

import subprocess
import sys
from pathlib import Path

import pytest

QUICK = ("vectors", "word2vec text", "index faiss-hnsw", "index usearch", "recommender Popularity", "phrases", "ngram")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
@pytest.mark.parametrize("name", QUICK)
def test_damaged_files_end_in_one_error_or_in_what_was_saved(name: str) -> None:
    command = [sys.executable, str(Path(__file__).parent / "fuzz"), "--exactly", "--only", name, "--inputs", "60"]
    done = subprocess.run([*command, "--jobs", "1"], check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
