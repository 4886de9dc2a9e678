"""What benchmarks/words and benchmarks/losses compute with: clocks, medians, equal numbers; and that they run."""

import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from frequencies import FAILURE_RATE

WORDS = Path(__file__).parents[1] / "benchmarks" / "words"
LOSSES = Path(__file__).parents[1] / "benchmarks" / "losses"


def load(name: str, folder: Path = WORDS) -> Any:
    """A module of a benchmark, which is a folder that Python runs and no package."""
    paths = [str(folder), str(folder.parent)]
    sys.path[:0] = paths
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[: len(paths)]


@pytest.fixture(scope="module", autouse=True)
def leave_no_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent in (WORDS, LOSSES, WORDS.parent):
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


def test_forms_of_vectors_are_scored_as_those_that_were_trained(tmp_path: Path) -> None:
    pairs, text = tmp_path / "pairs.txt", tmp_path / "text.txt"
    text.write_text("\n".join(["tea cup spoon pot", "sun moon star sky"] * 40))
    pairs.write_text("tea cup 9\nsun star 8\ntea moon 1\ncup sky 2\n")
    command = [str(WORDS / "reworked.py"), str(text), "--similarity", str(pairs), "--seeds", "1", "2"]
    done = subprocess.run([sys.executable, *command, "--dim", "8", "--epochs", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 7
    trained, half = rows[0][1], rows[1][1]
    assert trained == half  # four pairs keep their order in half precision


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


SMALL = ("sampled_softmax", "nce", "negative_sampling", "sampled_logistic")


@pytest.mark.parametrize("distribution", ["uniform", "log-uniform"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("objective", SMALL)
def test_all_that_are_compared_have_the_same_loss_and_gradient(objective: str, shared: bool, distribution: str) -> None:
    workloads, problems = load("workloads", LOSSES), load("numbers_in_torch", LOSSES)
    contestants, one_case = load("contestants", LOSSES), load("one_case", LOSSES)
    case = workloads.Case(objective, shared, 60, 16, 8, 6, distribution=distribution)
    expected = one_case.reference_loss(problems.problem(case), 0)
    tables = []
    kinds = [kind for kind in contestants.KINDS if kind.stands_for != "full" and not kind.name.endswith("compiled")]
    builds = [kind.build for kind in kinds]
    for build in [*builds, lambda made: contestants.rows_as_leaves(made, compiled=False)]:
        made = problems.problem(case)  # each its own table, which steps change
        try:
            contestant = build(made)
        except ImportError:  # an optimizer of logq's that is not there
            continue
        assert contestant.loss(0) == pytest.approx(expected, rel=1e-5)
        contestant.step(0)
        contestant.step(1)
        tables.append(made.weight)
    assert len(tables) >= 3
    assert not torch.equal(tables[0], problems.problem(case).weight)
    for table in tables:
        torch.testing.assert_close(table, tables[0])


def test_expected_counts_are_those_of_the_distribution() -> None:
    workloads, numbers = load("workloads", LOSSES), load("numbers_of_cases", LOSSES)
    case = workloads.Case("nce", True, 40, 16, 4, 30_000, distribution="log-uniform")
    batch = next(numbers.batches(case, 1))
    counts = np.bincount(batch.ids, minlength=40)
    expected = np.zeros(40)
    expected[batch.ids] = np.exp(batch.log_q)
    assert expected.sum() == pytest.approx(case.sampled, rel=1e-4)
    assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(FAILURE_RATE, 39)  # the seed is the script's


@pytest.mark.parametrize(("rows", "dim"), [(7, 3), (1000, 64), (3_000_000, 1)])
def test_tables_begin_at_a_cache_line(rows: int, dim: int) -> None:
    table = load("numbers_of_cases", LOSSES).empty(rows, dim)
    assert (table.shape, table.ctypes.data % 64, table.flags.c_contiguous) == ((rows, dim), 0, True)


def test_the_bare_products_are_what_their_shapes_say() -> None:
    workloads, floors = load("workloads", LOSSES), load("floor", LOSSES)
    products = floors.Products(workloads.Case("nce", True, 50, 16, 5, 7))
    products.step()
    scores = products.input @ products.rows.T
    torch.testing.assert_close(products.of_input, scores @ products.rows)
    torch.testing.assert_close(products.of_rows, scores.T @ products.input)


def test_goals_are_held_to_the_fastest_of_each_column() -> None:
    workloads, report, clock = load("workloads", LOSSES), load("report", LOSSES), load("clock", LOSSES)
    kinds = load("contestants", LOSSES).KINDS
    goal = workloads.GOALS[0]
    seconds = {"logq": 0.03, "logq, update in backward": 0.02, "PyTorch, dense": 0.6, "PyTorch, sparse, compiled": 0.04}
    seconds["PyTorch, sparse"] = 0.025  # the fastest of its column: 1.25 times ours
    times = {name: clock.Spread(value, value, value) for name, value in seconds.items()}
    row = report.of_goals([goal], [report.Result(goal.case, times, 0.016, "")], kinds).splitlines()[-1]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[0] == goal.row
    assert cells[1] == "20.0"
    assert cells[2] == "30 x (>= 20 x: met)"
    assert cells[3] == "1.25 x (>= 1.5 x: missed)"
    assert cells[5] == "not measured (goal 2.3 x)"
    assert cells[6] == "1.25 x (<= 1.3 x: met)"


@pytest.mark.slow
def test_losses_run_in_small(tmp_path: Path) -> None:
    command = [sys.executable, str(LOSSES), "--scale", "0.001", "--repeat", "2", "--threads", "1", "--no-memory"]
    command += ["--no-compiled", "--only", "logq", "PyTorch, dense", "PyTorch, sparse, tuned"]
    done = subprocess.run([*command, "-o", str(tmp_path / "results.md")], capture_output=True, text=True, check=True)
    results = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "WARNING" not in results
    assert "failed" not in results
    assert results.strip() in done.stdout
    for title in ("### sampled softmax, S=4 shared", "k=20 per row", "### End to end: YoutubeDNN"):
        assert title in results
    assert "After 10 steps of Adagrad from the same start all have the loss" in results
    assert str(tmp_path) not in results


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are Linux's")
def test_peak_memory_is_that_of_a_dense_gradient() -> None:
    workloads, memory = load("workloads", LOSSES), load("memory", LOSSES)
    case = workloads.Case("sampled_softmax", True, 200_000, 64, 64, 64)
    with memory.Questions(1) as questions:
        dense, sparse = (questions.ask(list(case), f"PyTorch, {name}") for name in ("dense", "sparse"))
        assert questions.ask(list(case), "nobody") is None
        assert questions.ask(list(case), "PyTorch, sparse") is not None  # and goes on after a question that failed
    assert dense > 0.9 * 4 * case.num_classes * case.dim > 5 * sparse


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are Linux's")
@pytest.mark.parametrize("program", ["claim.py", "mapped.py"])
def test_scripts_beside_the_losses_run(program: str, tmp_path: Path) -> None:
    small = ["--classes", "5000", "--batch", "32", "--sampled", "32", "--steps", "3"]
    more = [str(tmp_path), "--adagrad"] if program == "mapped.py" else ["--plain"]
    done = subprocess.run(
        [sys.executable, str(LOSSES / program), *small, *more], capture_output=True, text=True, check=True
    )
    assert "| --- | ---: |" in done.stdout
    assert not list(tmp_path.iterdir())


def test_all_benchmarks_run_what_can_run_and_say_what_is_left_out(capfd, tmp_path, monkeypatch):
    everything = _everything()
    (tmp_path / "fails.py").write_text("raise SystemExit(3)")
    (tmp_path / "works.py").write_text("import sys; print('ran', *sys.argv[1:])")
    monkeypatch.setattr(everything, "HERE", tmp_path)
    monkeypatch.setattr(
        everything,
        "BENCHMARKS",
        (
            everything.Benchmark("absent", ("works.py",), module="no_such_module"),
            everything.Benchmark("fails", ("fails.py",)),
            everything.Benchmark("wants", ("works.py", "{data}"), data="text"),
            everything.Benchmark("works", ("works.py",), quick=("--scale", "0"), peers=("tensorflow",)),
        ),
    )
    assert everything.main(["--quick"]) == 1
    out = capfd.readouterr().out
    assert "absent: left out, no_such_module is not installed" in out
    assert "wants: left out, it needs text" in out
    assert "fails: FAILED with status 3" in out
    assert "ran --scale 0\n" in out
    assert "works: done" in out
    assert "works: without tensorflow" in out
    (tmp_path / "text").mkdir()
    assert everything.main(["--only", "wants", "works", "--data", str(tmp_path), "--tensorflow", "py"]) == 0
    out = capfd.readouterr().out
    assert f"ran {tmp_path}\n" in out
    assert "ran --tensorflow py\n" in out


def test_every_benchmark_of_the_list_exists():
    everything = _everything()
    assert all((LOSSES.parent / benchmark.command[0]).exists() for benchmark in everything.BENCHMARKS)
    scripts = {path.name for path in LOSSES.parent.glob("*.py")} - {"__main__.py", "cells.py", "machine.py"}
    named = {benchmark.command[0] for benchmark in everything.BENCHMARKS}
    # samplers.py starts the first, make gpu the second, and the third asks a model that somebody has trained.
    assert scripts - named == {"tensorflow_samplers.py", "gpu.py", "serving.py"}


def _everything() -> Any:
    spec = importlib.util.spec_from_file_location("all_benchmarks", LOSSES.parent / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
