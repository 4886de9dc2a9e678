"""A text that is a single line, however long, is read and learned from in bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CODE = """if True:
    import sys
    from logq import Word2Vec
    def peak():
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    def fitted(text):
        return Word2Vec(dim=8, min_count=1, sample=0, epochs=1, seed=1).fit(text, progress=False)
    fitted([["warm", "up"]] * 100)
    before = peak()
    model = fitted(sys.argv[1])
    print(peak() - before, model.words_trained, len(model.vocabulary))
"""


@pytest.mark.parametrize("size", [60_000_000, pytest.param(2_200_000_000, marks=pytest.mark.slow)])
def test_a_line_of_any_length_is_trained_on_in_little_memory(size, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here that tells the memory of a process")
    words = [(f"{number}-" * 20_000)[:19_999] for number in range(100)]  # long ones: less to train for each byte
    part = " ".join(np.random.default_rng(0).choice(words, 100)) + " "
    times = size // len(part)
    with open(tmp_path / "line.txt", "wb") as file:
        for _ in range(times):
            file.write(part.encode())
    command = [sys.executable, "-c", CODE, str(tmp_path / "line.txt")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, trained, distinct = map(int, answer.stdout.split())
    assert (trained, distinct) == (times * 100, len(set(part.split())))
    assert grown * 1024 < 30e6
