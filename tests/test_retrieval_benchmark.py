"""benchmarks/retrieval: its tables, from what cells would have found; and that every row of them can be trained."""

import argparse
import importlib
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logq

FOLDER = Path(__file__).parents[1] / "benchmarks" / "retrieval"
NAMES = ("rows", "goals", "ablation", "objectives", "incremental", "cold_items", "cell", "report")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, Any]]:
    before = set(sys.modules)
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(FOLDER))
        sys.path.remove(str(FOLDER.parent))
        for name in set(sys.modules) - before:
            if Path(getattr(sys.modules[name], "__file__", None) or "/").parent in (FOLDER, FOLDER.parent):
                del sys.modules[name]


def cell(ranks: list[int], **more: Any) -> dict[str, Any]:
    asked = np.array([rank for rank in ranks if rank >= 0])
    hits = (asked > 0) & (asked <= 10)
    scores = {
        "HR@10": hits.mean(),
        "NDCG@10": np.where(hits, 1 / np.log2(np.where(hits, asked, 1) + 1), 0).mean(),
        "HR@50": (asked > 0).mean(),
    }
    found = {"scores": {"excluded": scores, "kept": scores}, "ranks": ranks, "epochs": 3}
    return {**found, "cpu_seconds": 10.0, "train_seconds": 8.0, **more}


def test_every_row_makes_a_model(modules: dict[str, Any]) -> None:
    rows = [row for table in modules["rows"].ROWS.values() for row in table]
    rows += [goal.row for table in modules["goals"].TABLES.values() for goal in table.goals]
    rows += [row for one in modules["ablation"].ABLATIONS.values() for row in one.rows()]
    rows += [row for log in modules["objectives"].BUDGETS for row in modules["objectives"].rows(log)]
    for row in rows:
        assert not set(row.options) - set(getattr(logq, row.estimator).options()), row
        # `--epochs 1` trains one epoch of every model that has some, those of "auto" included.
        model = modules["cell"].made({"estimator": row.estimator, "options": dict(row.options), "epochs": 1})
        assert getattr(model, "epochs", 1) == 1, row
    asked = argparse.Namespace(only=(), seeds=[1], data="logs", epochs=1, threads=1)
    for request in modules["incremental"].requests(asked):
        getattr(logq, request["estimator"])(**request["options"])
    for table in modules["goals"].TABLES.values():
        assert table.log in modules["rows"].ROWS


def test_metrics_of_users_are_those_of_their_ranks(modules: dict[str, Any]) -> None:
    cells = {1: cell([1, 3, 0, -1, 11]), 2: cell([1, 0, 0, -1, 2])}
    report = modules["report"]
    assert report.of_users(cells, "HR@10").tolist() == [1.0, 0.5, 0.0, 0.5]
    assert report.of_users(cells, "NDCG@10").tolist() == pytest.approx([1.0, 0.25, 0.0, 0.5 / np.log2(3)])
    assert report.of_users(cells, "MRR@20").tolist() == pytest.approx([1.0, 1 / 6, 0.0, (1 / 11 + 1 / 2) / 2])


def test_goals_stand_beside_what_was_measured(modules: dict[str, Any]) -> None:
    goals, rows, report = (modules[name] for name in ("goals", "rows", "report"))
    row = rows.Row("model", "SASRec", {"lr": 0.1}, chosen="by hand")
    table = goals.Table("log", (goals.Goal(row, {"HR@10": 0.5, "NDCG@10": 0.25}),), "Published: much.")
    ranks = [1] * 40 + [0] * 60
    text = report.goals_table(table, ("HR@10", "NDCG@10"), "excluded", "excluded", [(table.goals[0], {1: cell(ranks)})])
    line = next(line for line in text.splitlines() if line.startswith("| model | 0."))
    cells = [part.strip() for part in line.split("|")[1:-1]]
    assert cells[1].startswith("0.4000 [0.3")
    assert cells[2] == "0.5000"
    assert cells[5] == "80.0 %"  # the smaller of .4 / .5 and .4 / .25
    assert cells[-1] == "by hand"
    assert text.endswith("Published: much.\n")


def test_without_a_figure_the_goal_is_the_best_baseline(modules: dict[str, Any]) -> None:
    goals, rows, report = (modules[name] for name in ("goals", "rows", "report"))
    asked = [goals.Goal(row) for row in (*rows.BASELINES[:2], rows.Row("model", "SASRec"))]
    table = goals.Table("log", tuple(asked))
    several = ([1] + [0] * 9, [1, 1] + [0] * 8, [1, 1, 1] + [0] * 7)
    found = [(goal, {1: cell(ranks)}) for goal, ranks in zip(asked, several, strict=True)]
    text = report.goals_table(table, ("HR@10",), "excluded", "excluded", found)
    line = next(line for line in text.splitlines() if line.startswith("| model | 0."))
    assert "| 0.2000 | 150.0 % |" in line
    assert "best baseline" in text


def test_a_change_is_compared_user_by_user(modules: dict[str, Any]) -> None:
    ablation, rows, report = (modules[name] for name in ("ablation", "rows", "report"))
    base, other = ablation.Ablation(rows.Row("base", "SASRec", {"lr": 0.1}), {"slower": {"lr": 0.01}}).rows()
    ranks = [1, 0, 2, 0] * 50
    worse = [0, 0, 2, 0] * 50
    found = [(base, {1: cell(ranks), 2: cell(ranks)}), (other, {1: cell(worse)})]
    text = report.ablation_table(("HR@10", "NDCG@10"), "excluded", found)
    line = text.splitlines()[-1]
    low, high = (float(end) for end in line.split("[")[1].split("]")[0].split(","))
    assert "-0.2500 [" in line
    assert low < -0.25 < high < 0
    assert f"{-100 / (1 + 1 / np.log2(3)):+.1f} %" in line
    assert line.endswith("| `lr=0.01` |")
    assert "lr" not in text.splitlines()[-2]


def test_cold_items_have_their_table(modules: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A log whose items go on by kind, so that the kind of a new item says whom it is for."""
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 2, 40)
    sessions = [rng.permutation(np.flatnonzero(kinds == user % 2))[:8].tolist() for user in range(60)]

    def features(ids: Any) -> Any:
        return logq.logs.Features.from_frame(
            {"item": ids.keys, "kind": [[f"k{kinds[item]}"] for item in ids.keys]}, ids
        )

    cold_items = modules["cold_items"]
    log = logq.logs.Interactions.from_sessions(sessions)
    monkeypatch.setattr(cold_items, "read", lambda name, folder: (log, features))
    monkeypatch.setattr(cold_items, "K", 2)
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    monkeypatch.setitem(cold_items.YOUTUBE, "num_sampled", 8)
    monkeypatch.setattr(
        sys, "argv", ["", "cold-items", "--data", "logs", "--on", "ml-100k", "--only", "two", "--epochs", "20"]
    )
    runpy.run_path(str(FOLDER), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ml-100k: ") and "4 new ones" in line for line in lines)
    rows = {line.split("|")[1].strip(): line.split("|")[2:] for line in lines if line.startswith("| ")}
    assert list(rows) == ["", "chance", "their later popularity", "TwoTower, sum"]
    assert float(rows["chance"][0]) == 0.5
    assert float(rows["TwoTower, sum"][0]) > 0.6
