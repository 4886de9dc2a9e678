"""What benchmarks/words reckons with: cut lines, clocks at progress lines, medians; and that it runs."""

import importlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

WORDS = Path(__file__).parents[1] / "benchmarks" / "words"


def load(name: str) -> ModuleType:
    """A module of the benchmark, which is a folder that Python runs and no package."""
    sys.path.insert(0, str(WORDS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(WORDS))


@pytest.fixture(scope="module", autouse=True)
def leave_no_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == WORDS:
            del sys.modules[name]


@given(st.lists(st.sampled_from(["a", "bc", " ", "  ", "\n", "\t", "word"])), st.integers(1, 9), st.integers(1, 4))
def test_long_lines_are_cut_and_nothing_else_changes(parts: list[str], chunk: int, longest: int) -> None:
    corpus: Any = load("corpus")
    text = "".join(parts).encode()
    expected = []
    for line in text.split(b"\n"):
        words = line.split()
        while words:
            expected.append(words[:longest])
            words = words[longest:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "CHUNK", chunk)
        patch.setattr(corpus, "LONGEST_LINE", longest)
        assert list(corpus.cut(io.BytesIO(text))) == expected


def test_training_is_timed_by_its_progress() -> None:
    seconds = load("measure").seconds_of_progress
    # 3 s of vocabulary, then 10 per cent a second; the last number is printed again while the vectors are written.
    assert seconds([(3.0 + i, 10.0 * i) for i in range(1, 10)] + [(30.0, 90.0)]) == pytest.approx(10.0)
    assert seconds([(3.0, 10.0), (4.0, 20.0)]) is None  # too little to tell
    assert seconds([]) is None


def test_a_program_is_measured_by_its_own_lines(tmp_path: Path) -> None:
    measure: Any = load("measure")
    program = "import sys\nfor i in range(11): print(end=f'\\rProgress: {10 * i}.00%  Words', flush=True)\n"
    program += "print(end='\\rProgress: 28.4928.50%')\nsys.exit(3)"  # two threads at once
    done = measure.execute([sys.executable, "-c", program], tmp_path, {})
    assert done.status == 3
    assert done.progress[-1][1] == 100.0
    assert 0 < done.progress[-1][0] <= done.seconds
    assert done.peak_bytes > 1_000_000
    assert done.cpu_seconds > 0


def test_the_table_has_medians_and_ratios() -> None:
    table: Any = load("table")
    runs = [
        table.Run("ours", seed, 6000, 6.0 / rate, 8.0, 7.0, 10**8, {"pairs": 50.0 + rate})
        for seed, rate in enumerate((2.0, 3.0, 1.0))
    ]
    runs.append(table.Run("theirs", 1, 6000, None, 12.0, 7.0, 10**8))
    title, ours, theirs = table.rows(runs, "ours")
    assert ours[:4] == ["ours", "2 (1 .. 3)", "", "3.0 (2.0 .. 6.0)"]
    assert ours[title.index("pairs")] == "52.0 (51.0 .. 53.0)"
    assert theirs[:4] == ["theirs", "0", "4.00 x", "in total"]


def test_help_names_every_baseline() -> None:
    done = subprocess.run([sys.executable, str(WORDS), "--help"], capture_output=True, text=True, check=True)
    for option in ("--word2vec-c", "--pword2vec", "--psgnscc", "--gensim-python", "--fasttext-python"):
        assert option in done.stdout


@pytest.mark.slow
def test_ours_runs(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    words = [f"w{i}" for i in range(50)]
    (tmp_path / "corpus.txt").write_text(" ".join(random.choice(words, 20_000)))
    (tmp_path / "pairs.txt").write_text("".join(f"w{i}\tw{i + 1}\t{i}\n" for i in range(0, 40, 2)))
    command = [sys.executable, str(WORDS), str(tmp_path / "corpus.txt"), "--only", "logq", "--dims", "8"]
    command += ["--threads", "1", "--models", "sg", "--repeat", "2", "-o", str(tmp_path / "results.md")]
    subprocess.run([*command, "--similarity", str(tmp_path / "pairs.txt")], check=True)
    results = (tmp_path / "results.md").read_text()
    assert "skip-gram, dim 8, 1 thread, 1 epoch" in results
    assert "pairs 20" in results
    assert json.dumps(str(tmp_path))[1:-1] not in results
