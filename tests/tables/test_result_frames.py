"""to_frame: the same table of each result in pandas and in polars."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import polars
import pytest

import logq
from logq._arguments import ArgumentError, ArgumentTypeError
from logq.diagnostics.gradient_errors import ErrorAt, GradientErrors, Measured
from logq.evaluation import (
    AnalogyResult,
    AnalogySection,
    Correlation,
    Interval,
    Likelihood,
    RankingScores,
    SimilarityResult,
)
from logq.language_models.language_model import NextWords
from logq.recommenders.ranking.recommendations import Reasons, Recommendations
from logq.recommenders.tuning import Trial, Tuning
from logq.tables import to_frame

NONE = -np.inf
FOUND = Recommendations(
    np.array([["tea", "cup"], ["nut", None], [None, None]], dtype=object),
    np.array([[2.0, 1.0], [0.5, NONE], [NONE, NONE]], dtype=np.float32),
    np.array(["", "1 unknown item left out", "nothing to rank by"], dtype=object),
    Reasons(
        np.array([[["a", "b"], ["b", None]], [["c", None], [None, None]], [[None, None]] * 2], dtype=object),
        np.array([[[3, 1], [2, NONE]], [[1, NONE], [NONE, NONE]], [[NONE, NONE]] * 2], dtype=np.float32),
        "cosine",
    ),
)
SCORES = RankingScores(
    (5, 10),
    {"HR@5": 0.2, "HR@10": 0.4, "coverage@10": 0.5},
    {"HR@5": Interval(0.1, 0.3), "HR@10": Interval(0.3, 0.5)},
    {},
    users=8,
    segments={"cold users": RankingScores((5,), {"HR@5": 0.0}, {"HR@5": Interval(0.0, 0.1)}, {}, users=2)},
)


def at(k: int) -> ErrorAt:
    return ErrorAt(k, *(Measured(value / k, 0.01) for value in (1.0, 2.0, 3.0, 4.0, 5.0)))


RESULTS: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "recommendations": (
        FOUND,
        {
            "row": [0, 0, 1],
            "rank": [1, 2, 1],
            "item": ["tea", "cup", "nut"],
            "score": [2.0, 1.0, 0.5],
            "status": ["", "", "1 unknown item left out"],
            "reason_1": ["a", "b", "c"],
            "cosine_1": [3.0, 2.0, 1.0],
            "reason_2": ["b", None, None],
            "cosine_2": [1.0, NONE, NONE],
        },
    ),
    "recommendations for one": (
        Recommendations(np.array([7, 9]), np.array([2.0, 1.0], dtype=np.float32)),
        {"rank": [1, 2], "item": [7, 9], "score": [2.0, 1.0], "status": ["", ""]},
    ),
    "scores": (
        SCORES,
        {
            "metric": ["HR", "HR", "coverage", "HR"],
            "k": [5, 10, 10, 5],
            "part": ["", "", "", "cold users"],
            "value": [0.2, 0.4, 0.5, 0.0],
            "low": [0.1, 0.3, None, 0.0],
            "high": [0.3, 0.5, None, 0.1],
            "users": [8, 8, 8, 2],
        },
    ),
    "similarity": (
        SimilarityResult(Correlation(0.5, 0.1), Correlation(0.6, 0.2), pairs=9, left_out=1),
        {
            "correlation": ["pearson", "spearman"],
            "coefficient": [0.5, 0.6],
            "p": [0.1, 0.2],
            "pairs": [9, 9],
            "left_out": [1, 1],
        },
    ),
    "analogies": (
        AnalogyResult("3cosadd", (AnalogySection("family", 3, 4, 0), AnalogySection("gram3", 1, 4, 2))),
        {
            "section": ["family", "gram3"],
            "correct": [3, 1],
            "total": [4, 4],
            "accuracy": [0.75, 0.25],
            "left_out": [0, 2],
        },
    ),
    "likelihood": (
        Likelihood(log_prob=-np.log(8), num_tokens=3, num_sentences=1, known_log_prob=-np.log(8)),
        {
            "perplexity": [2.0],
            "cross_entropy": [np.log(2)],
            "bits": [1.0],
            "log_prob": [-np.log(8)],
            "num_tokens": [3],
            "num_sentences": [1],
            "num_unknown": [0],
            "known_log_prob": [-np.log(8)],
            "num_impossible": [0],
        },
    ),
    "gradient errors": (
        GradientErrors({"uniform": [at(10)], "unigram": [at(20)]}, "sampled_softmax", 8, 100, 64, 1.0),
        {
            "sampler": ["uniform", "unigram"],
            "num_sampled": [10, 20],
            **{
                f"{name}{of}": [value / 10, value / 20] if not of else [0.01, 0.01]
                for name, value in (("relative_error", 1.0), ("bias", 2.0), ("std", 3.0), ("ess", 4.0))
                for of in ("", "_se")
            },
        },
    ),
    "tuning": (
        Tuning("SASRec", "ndcg@10", {}, [Trial(0, 0.1, "complete", {}), Trial(1, None, "pruned", {"lr": 0.01})]),
        {
            "number": [0, 1],
            "state": ["complete", "pruned"],
            "value": [0.1, None],
            "lr": [None, 0.01],
            "epochs": [0, 0],
            "seconds": [0.0, 0.0],
            "error": ["", ""],
        },
    ),
    "next words": (NextWords(["a", "</s>"], np.array([-1.0, -2.0])), {"word": ["a", "</s>"], "log_prob": [-1.0, -2.0]}),
    "nearest words": ([("tea", 0.9), ("cup", 0.2)], {"word": ["tea", "cup"], "score": [0.9, 0.2]}),
    "training log": (
        SimpleNamespace(training_log=[{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0, "ndcg@10": 0.1}]),
        {"epoch": [1, 2], "loss": [2.5, 2.0], "ndcg@10": [None, 0.1]},
    ),
    "sections": (
        [AnalogySection("family", 3, 4, 0)],
        {"name": ["family"], "correct": [3], "total": [4], "left_out": [0]},
    ),
    "correlations": ([Correlation(0.5, 0.1)], {"coefficient": [0.5], "p": [0.1]}),
    "an empty log": ([], {}),
}


def values_of(frame: Any) -> dict[str, list[Any]]:
    """The columns, with None where a value is missing."""
    lists = frame.to_dict("list") if isinstance(frame, pandas.DataFrame) else frame.to_dict(as_series=False)
    return {
        name: [None if isinstance(value, float) and np.isnan(value) else value for value in values]
        for name, values in lists.items()
    }


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_the_same_table_in_both_libraries(name: str) -> None:
    result, expected = RESULTS[name]
    for library, kind in (("pandas", pandas.DataFrame), ("polars", polars.DataFrame), (None, pandas.DataFrame)):
        frame = to_frame(result, library=library)
        assert isinstance(frame, kind)
        found = values_of(frame)
        assert list(found) == list(expected)
        for column, values in expected.items():
            if all(isinstance(value, float) for value in values):
                np.testing.assert_allclose(found[column], values, rtol=1e-6)
            else:
                assert found[column] == values, column


def test_what_a_model_answers_is_a_table() -> None:
    log = logq.Interactions.from_sessions([["tea", "cup", "nut"], ["tea", "cup"], ["tea"]])
    model = logq.Popularity().fit(log)
    frame = logq.to_frame(model.recommend(histories=[["nut"], ["tea"]], k=2))
    assert frame["item"].tolist() == ["tea", "cup", "cup", "nut"]
    assert frame["row"].tolist() == [0, 0, 1, 1]
    words = logq.KeyedVectors(["a", "b", "c"], np.eye(3, dtype=np.float32) + 0.1)
    assert to_frame(words.most_similar("a", topn=2), library="polars")["word"].to_list() == ["b", "c"]


def test_polars_takes_over_and_a_hint_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert isinstance(to_frame(SCORES), polars.DataFrame)
    with pytest.raises(ModuleNotFoundError, match="to_frame needs pandas: pip install pandas") as missing:
        to_frame(SCORES, library="pandas")
    assert missing.value.name == "pandas"
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ModuleNotFoundError, match=r"to_frame needs pandas or polars: pip install 'logq\[logs\]'"):
        to_frame(SCORES)


def test_what_is_no_result_is_refused() -> None:
    for wrong in (3, "scores", [1, 2], [("a", 1, 2)], logq.EASE(), {"a": [1]}):
        with pytest.raises(ArgumentTypeError, match="result: expected a result of logq"):
            to_frame(wrong)
    with pytest.raises(ArgumentError, match="library: expected 'pandas', 'polars' or None, got 'arrow'"):
        to_frame(SCORES, library="arrow")  # pyright: ignore[reportArgumentType]
