"""The repr of every result: a line that tells what it is, whatever is in it."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import logq
from logq.diagnostics import ErrorAt, GradientErrors, Measured
from logq.evaluation import (
    AnalogyResult,
    AnalogySection,
    Correlation,
    Likelihood,
    RankingScores,
    SimilarityResult,
)
from logq.evaluation.map_points import MapPoints, Neighbors
from logq.folders.recommender_folders import RecommenderFolder
from logq.huffman import HuffmanTree
from logq.language_models.language_model import NextWords
from logq.recommenders import Histories, Reasons, Recommendations, Trial, Tuning
from logq.recommenders.events.known_log import KnownLog
from logq.retrieval import DuckDBItems, ExactIndex, IndexChoice, IndexTrial, SearchResult, StoredItems
from logq.tables import HasColumns, to_frame
from logq.tables.short_texts import ranked

PACKAGES = ("diagnostics", "evaluation", "language_models", "recommenders", "retrieval")
EVIL = "a\nb" + "c" * 500
ITEMS = np.array([[EVIL, *map(str, range(99))]] * 50, dtype=object)
SCORES = np.tile(np.linspace(1, 0, 100, dtype=np.float32), (50, 1))
CUT = r"a\nb" + "c" * 23 + "..."


def errors(samplers: int) -> GradientErrors:
    at = ErrorAt(8, *[Measured(1 / 3, 0.01)] * 5)
    return GradientErrors(
        {f"{EVIL}{number}": [at] * 9 for number in range(samplers)}, "sampled_softmax", 8, 99, 64, 1.0
    )


def trial() -> IndexTrial:
    return IndexTrial("usearch", {"links": 48}, "ef_search", 64, 0.97, 0.003, 21_000.0, 1_200_000)


def log() -> logq.Interactions:
    return logq.Interactions.from_sessions([["tea", "milk"], ["milk", "cup"]])


SCORED = {f"{name}@{k}": 1 / 3 for name in ("NDCG", "HR", "MRR", "recall") for k in (1, 5, 10, 50)}
POINTS = MapPoints(
    "item", 99, 8, "pca", list(range(50)), [EVIL] * 50, None, np.zeros((50, 2)), np.zeros(50, np.int64), [[1]], None
)  # pyright: ignore[reportArgumentType]

RESULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "recommendations": (
        lambda: Recommendations(ITEMS, SCORES, np.array(["unknown user: nothing", *[""] * 49], dtype=object)),
        f"Recommendations(50 rows of 100, the first: {CUT} 1, 0 0.9899, 1 0.9798, 97 more, 1 with a status)",
    ),
    "recommendations for one": (
        lambda: Recommendations(np.array([7, 9, None]), np.array([0.5, -0.25, -np.inf])),
        "Recommendations(7 0.5, 9 -0.25)",
    ),
    "no recommendation": (lambda: Recommendations(np.array([None]), np.array([-np.inf])), "Recommendations(nothing)"),
    "recommendations for nobody": (
        lambda: Recommendations(np.empty((0, 5)), np.empty((0, 5))),
        "Recommendations(0 rows of 5)",
    ),
    "reasons": (
        lambda: Reasons(ITEMS.reshape(5, 10, 100), SCORES.reshape(5, 10, 100), "contribution"),
        f"Reasons(contribution: 5 x 10 rows of 100, the first: {CUT} 1, 0 0.9899, 1 0.9798, 97 more)",
    ),
    "search": (
        lambda: SearchResult(torch.from_numpy(SCORES[:1]), torch.arange(100)[None]),
        "SearchResult(1 row of 100, the first: 0 1, 1 0.9899, 2 0.9798, 97 more)",
    ),
    "stored items": (
        lambda: StoredItems(np.arange(5000), np.ones((5000, 64), np.float32), {"city": [EVIL] * 5000}),
        "StoredItems(5,000 items, 64 dimensions, city)",
    ),
    "index choice": (
        lambda: IndexChoice(ExactIndex(torch.eye(4)), trial(), trial(), (trial(),) * 30),
        "IndexChoice(usearch, links=48, ef_search=64, recall 0.9700, 30 trials)",
    ),
    "index": (lambda: ExactIndex(torch.eye(4)), "ExactIndex(exact, 4 items, 4 dimensions, inner_product)"),
    "database": (
        lambda: DuckDBItems(":memory:", 8, {"city": "text"}),
        "DuckDBItems(8 dimensions, inner_product, city text)",
    ),
    "next words": (lambda: NextWords(["rose", "</s>"], np.log([0.5, 0.25])), "NextWords(rose 0.5, </s> 0.25)"),
    "gradient errors": (
        lambda: errors(50),
        f"GradientErrors(sampled_softmax: {CUT}, {CUT}, {CUT}, 47 more, k from 8 to 8, 8 rows, 99 classes, 64 repeats)",
    ),
    "errors of a sampler": (
        lambda: next(iter(errors(1).samplers.values()))[0],
        "ErrorAt(num_sampled 8, relative_error 0.3333 +- 0.01, bias 0.3333 +- 0.01, std 0.3333 +- 0.01, "
        "ess 0.3333 +- 0.01)",
    ),
    "scores": (
        lambda: RankingScores((1,), SCORED, {}, {}, 8, segments={"cold users": RankingScores((1,), {}, {}, {}, 1)}),
        "RankingScores(NDCG@1 0.3333, NDCG@5 0.3333, NDCG@10 0.3333, 13 more, 8 users, cold users)",
    ),
    "analogies": (
        lambda: AnalogyResult("3cosadd", (AnalogySection(EVIL, 3, 4, 0),) * 50),
        "AnalogyResult(3cosadd, 150 of 200 right, 50 sections)",
    ),
    "similarity": (lambda: SimilarityResult(*[Correlation(0.5, 0.1)] * 2, 9, 1), "pairs=9"),
    "likelihood": (lambda: Likelihood(-3.0, 3, 1), "num_tokens=3"),
    "tuning": (
        lambda: Tuning("SASRec", "ndcg@10", {}, [Trial(number, 0.2, "complete", {EVIL: 1}) for number in range(50)]),
        "Tuning(SASRec, 50 trials, best ndcg@10 0.2000)",
    ),
    "no trial": (lambda: Tuning("SASRec", "ndcg@10", {}, []), "Tuning(SASRec, 0 trials, no ndcg@10 yet)"),
    "map": (lambda: POINTS, "MapPoints(50 of 99 items, 8 dimensions, pca, 1 groups)"),
    "neighbors": (lambda: Neighbors(np.zeros((50, 8), np.int64), np.zeros((50, 8))), "8 of each of 50 points"),
    "histories": (
        lambda: Histories(np.arange(999), np.array([0, 9, 999]), np.array([0, -1])),
        "Histories(2 users, 999 events)",
    ),
    "known log": (lambda: KnownLog.of(log()), "KnownLog(2 users, 3 items, 4 events)"),
    "tree": (lambda: HuffmanTree.from_counts(np.ones(999)), "HuffmanTree(999 classes, 9,"),
    "folder": (
        lambda: RecommenderFolder(logq.Popularity().fit(log()), log(), None, ["Tea"] * 3, {}),
        "RecommenderFolder(Popularity(fitted on 3 items), log, titles)",
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_a_line(name: str) -> None:
    make, said = RESULTS[name]
    shown = repr(make())
    assert said in shown
    assert shown.isprintable()
    assert len(shown) <= 200
    assert "array(" not in shown
    assert "tensor(" not in shown


def test_every_result_with_columns_is_tried_and_shows_itself_in_notebooks() -> None:
    made = {type(make()): make() for make, _ in RESULTS.values()}
    for package in PACKAGES:
        found = importlib.import_module(f"logq.{package}")
        for name in found.__all__:
            kind = getattr(found, name)
            if inspect.isclass(kind) and hasattr(kind, "to_columns"):
                assert kind in made, f"add {name} to RESULTS"
                assert hasattr(kind, "_repr_html_"), name
                assert made[kind]._repr_html_().startswith("<table>")
                assert len(to_frame(made[kind], library="polars").columns) > 1


def test_reasons_and_searches_are_tables() -> None:
    scores = np.array([[[3, 1], [2, -np.inf]], [[1, -np.inf], [-np.inf, -np.inf]]], dtype=np.float32)
    reasons = Reasons(
        np.array([[["a", "b"], ["b", None]], [["c", None], [None, None]]], dtype=object), scores, "cosine"
    )
    rows = to_frame(reasons, library="polars").rows()
    assert rows == [(0, 0, 1, "a", 3), (0, 0, 2, "b", 1), (0, 1, 1, "b", 2), (1, 0, 1, "c", 1)]
    assert list(reasons.to_columns()) == ["row", "place", "rank", "item", "cosine"]
    found = SearchResult(torch.tensor([[0.5, 0.25], [0.5, -torch.inf]]), torch.tensor([[7, 8], [9, -1]]))
    assert isinstance(found, HasColumns)
    assert to_frame(found, library="polars").rows() == [(0, 1, 7, 0.5), (0, 2, 8, 0.25), (1, 1, 9, 0.5)]


def test_a_ranking_of_no_places() -> None:
    assert ranked(np.empty((3, 0)), np.empty((3, 0))) == "3 rows of 0"
