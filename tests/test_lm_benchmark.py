"""What benchmarks/lm computes with: its rows, its texts, its tables; and that a cell runs."""

import importlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

LM = Path(__file__).parents[1] / "benchmarks" / "lm"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the benchmark, which is a folder that Python runs and no package."""
    monkeypatch.setattr(sys, "path", [str(LM), str(LM.parent), *sys.path])
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent in (LM, LM.parent):
            del sys.modules[name]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A tiny text in the form of the Penn Treebank."""
    (tmp_path / "text").mkdir()
    with zipfile.ZipFile(tmp_path / "text" / "ptb.zip", "w") as archive:
        for part, lines in (("train", 80), ("valid", 5), ("test", 5)):
            archive.writestr(f"ptb.{part}.txt", " the cat sat on the mat \n the dog ran \n" * lines)
            archive.writestr(f"__MACOSX/._ptb.{part}.txt", "no text")
    return tmp_path


def test_rows_have_names_of_their_own_and_are_estimators(load: Any) -> None:
    import logq

    rows = load("rows").PTB
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        getattr(logq, row.estimator)(**row.arguments())
    for sampler in ("log_uniform", "unigram", "uniform"):
        of_sampler = [row for row in rows if row.name.startswith(f"sampled softmax, {sampler.replace('_', '-')}, k = ")]
        assert {row.options["num_sampled"] for row in of_sampler} >= {50, 200, 1000}


@pytest.mark.parametrize("objective", ["full_softmax", "negative_sampling"])
def test_a_cell_trains_and_measures(data: Path, objective: str) -> None:
    sampled = {} if objective == "full_softmax" else {"sampler": "unigram", "num_sampled": 3}
    options = {"dim": 4, "hidden": 4, "batch_size": 4, "epochs": 2, "objective": objective, **sampled}
    request = {
        "text": "ptb",
        "data": str(data),
        "estimator": "RecurrentLM",
        "options": options,
        "seed": 1,
        "threads": 1,
        "epochs": None,
    }
    done = subprocess.run(
        [sys.executable, str(LM / "cell.py"), json.dumps(request)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["tokens"] == 5 * 11
    assert 1 < found["perplexity"] < 9
    assert len(found["log"]) == 2
    assert ("perplexity_without_log_q" in found) == (objective == "negative_sampling")


def test_a_cell_of_ngrams_and_one_that_fails(load: Any, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_cell, program = load("cells").run_cell, LM / "ngram_table.py"
    request = {"data": str(data), "smoothing": "add_k", "order": 2}
    found = run_cell(program, request, "a title", threads=1, keep=data / "kept")
    assert found["num_tokens"] == 5 * 11
    assert found["perplexity"] < 9
    assert run_cell(Path("no program"), request, "a title", threads=1, keep=data / "kept") == found
    assert run_cell(program, request | {"order": 0}, "a title", threads=1) is None
    assert "a title: failed" in capfd.readouterr().err


def test_the_table_has_means_ratios_and_what_log_q_is_worth(load: Any) -> None:
    report, rows = load("report"), load("rows")

    def cell(perplexity: float, **more: float) -> dict[str, Any]:
        log = [{"epoch": 1, "perplexity": perplexity + 9, "tokens_per_second": 10.0}]
        return {"perplexity": perplexity, "log": log, "peak_bytes": 5e8, **more}

    negative = next(row for row in rows.PTB if row.name.startswith("negative"))
    found = [
        (rows.FULL, {1: cell(100.0), 2: cell(102.0)}),
        (negative, {1: cell(111.1, perplexity_without_log_q=505.0)}),
        (rows.SAMPLED_200, {}),
    ]
    lines = report.ptb(found, {"full softmax": [100.0, 90.0, 200.0], negative.name: [500.0]}).splitlines()
    assert lines[2] == "| full softmax | 101.0 +-1.0 | +0.0 % | 110.0 +-1.0 | 100 (90 .. 200) | 1.0 x | 500 |"
    assert lines[3] == f"| {negative.name} | 111.1 | +10.0 % | 120.1 | 500 (500 .. 500) | 5.0 x | 500 |"
    assert lines[4].startswith("| the same, F read as log P, without + log Q | 505.0 | +400 % |")
    assert "failed" in lines[5]


def test_words_of_a_text_without_lines_are_cut_into_lines(load: Any, tmp_path: Path) -> None:
    import gzip

    corpora = load("corpora")
    (tmp_path / "text").mkdir()
    words = [f"w{number}" for number in range(2600)]
    with gzip.open(tmp_path / "text" / "enwiki-17m.txt.gz", "wt") as target:
        target.write(" " + " ".join(words))
    for train, expected in ((2100, [1000, 1000, 100]), (2200, [1000, 1000, 100, 100]), (1500, [1000, 500])):
        (folder := tmp_path / str(train)).mkdir()
        found = corpora.wiki(tmp_path, folder, train, 400, 2100)
        lines = found["train"].read_text().splitlines()
        assert [len(line.split()) for line in lines] == expected
        assert " ".join(lines).split() == [*words[: min(train, 2100)], *words[2500 : 2500 + train - 2100]][:train]
        assert found["test"].read_text().split() == words[min(train, 2100) :][:400]
