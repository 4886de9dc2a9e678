"""What notebooks show: well-formed, escaped, small, and without colors of its own."""

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import logq
from logq.evaluation import AnalogyResult, AnalogySection, Interval, Likelihood, RankingScores
from logq.recommenders.ranking.recommendations import Recommendations
from logq.tables.notebook_html import ROWS, TrainingLog, cell, columns_table, learning_curves

EVIL = "<script>alert('x')</script>&\""


def parsed(shown: Any) -> ElementTree.Element:
    """What an object shows, as a tree; it is small, and names are text in it."""
    html = shown if isinstance(shown, str) else shown._repr_html_()
    assert len(html) < 20_000
    assert "<script" not in html
    assert not re.search(r"#[0-9a-f]{3}|rgb|background|white|black", html)  # those of the page are readable
    return ElementTree.fromstring(html)  # an error where it is not well-formed


def texts(tree: ElementTree.Element) -> list[str]:
    return [text for text in tree.itertext() if text]


def many(rows: int, k: int) -> Recommendations:
    items = np.array([[f"{EVIL}{rank}" for rank in range(k)]] * rows, dtype=object)
    items[0, -1] = None
    scores = np.ones((rows, k), dtype=np.float32)
    scores[0, -1] = -np.inf
    return Recommendations(items, scores)


def test_models_show_their_settings_what_was_chosen_and_their_curves() -> None:
    log = logq.Interactions.from_sessions([["tea", "milk", "cup"], ["milk", "cup", "tea"]] * 4)
    model = logq.YoutubeDNN(dim=4, hidden=(4,), epochs=3, seed=1)
    before = texts(parsed(model))
    assert before[0] == "YoutubeDNN, not fitted"
    assert before[before.index("dim") :][:2] == ["dim", "4"]
    model.fit(log, progress=False)
    tree = parsed(model)
    assert texts(tree)[0] == "YoutubeDNN, fitted on 3 items"
    for name, choice in model.chosen.items():
        row = next(row for row in tree.iter("tr") if row[0].text == name)
        assert [cell.text for cell in row][2] == f"chosen: {choice.reason}"
    assert len(list(tree.iter("polyline"))) == 1  # the loss
    assert isinstance(model.training_log, TrainingLog)
    assert len(list(parsed(model.training_log).iter("svg"))) == 1
    assert repr(model).startswith("YoutubeDNN(dim=4, ")
    assert texts(parsed(logq.Word2Vec()))[0] == "Word2Vec, not fitted"


def test_words_of_users_are_text() -> None:
    words = logq.KeyedVectors([EVIL, *map(str, range(99))], np.ones((100, 50), np.float32), counts=[1000, *[1] * 99])
    tree = parsed(words)
    assert texts(tree)[0] == "KeyedVectors(100 words, 50 dimensions)"
    assert EVIL in texts(tree)
    assert "1,000" in texts(tree)
    assert len(list(tree.iter("tr"))) == ROWS + 1
    assert len(list(tree.iter("th"))) == 10
    assert EVIL in texts(parsed(RankingScores((5,), {"HR@5": 0.2}, {}, {}, 8, segments={EVIL: segment()})))[-2]
    assert EVIL in texts(parsed(AnalogyResult("3cosadd", (AnalogySection(EVIL, 1, 2, 0),))))


def segment() -> RankingScores:
    return RankingScores((5,), {"HR@5": 0.2}, {"HR@5": Interval(0.1, 0.3)}, {}, users=3)


def test_recommendations_are_a_row_for_each_user() -> None:
    tree = parsed(many(500, 30))
    rows = list(tree.iter("tr"))
    assert len(rows) == ROWS + 1
    assert [head.text for head in rows[0]] == ["row", *map(str, range(1, 11)), "status"]
    assert rows[2][1].text == f"{EVIL}0 (1)"
    assert "480 more rows" in texts(tree)[0]
    two = list(parsed(many(2, 2)).iter("tr"))
    assert [cell.text for cell in two[1]] == ["0", f"{EVIL}0 (1)", None, None]  # an empty place
    one = parsed(Recommendations(np.array(["tea"]), np.array([0.25], dtype=np.float32)))
    assert texts(one) == ["rank", "item", "score", "status", "1", "tea", "0.25"]


def test_other_results_show_their_table() -> None:
    assert "2" in texts(parsed(Likelihood(log_prob=-np.log(8), num_tokens=3)))
    assert cell(np.float32(0.5)) == "0.5"
    assert cell(True) == "True"
    assert texts(parsed(columns_table({"a": np.arange(3), "b": [None, np.nan, "x"]}, "c")))[:3] == ["c", "a", "b"]
    with pytest.raises(ValueError, match="zip"):
        columns_table({"a": [1], "b": []})


def test_a_curve_goes_through_its_points() -> None:
    log = [{"epoch": e, "loss": 4.0 - e, "ndcg@10": 0.1 * (e == 2) + 0.1, "items_per_second": 9.0} for e in (1, 2, 3)]
    del log[0]["ndcg@10"]
    tree = parsed(learning_curves(log))
    lines = [line.get("points") for line in tree.iter("polyline")]
    assert lines == ["2.0,2.0 90.0,24.0 178.0,46.0", "2.0,2.0 178.0,46.0"]
    assert [caption.text for caption in tree.iter("figcaption")] == [
        "loss: 3 to 1 in epochs 1 to 3",
        "ndcg@10: 0.2 to 0.1 in epochs 2 to 3",
    ]
    assert {line.get("stroke") for line in tree.iter("polyline")} == {"currentColor"}
    flat = learning_curves([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": float("nan")}])
    assert parsed(flat).find(".//polyline").get("points") == "2.0,46.0"  # pyright: ignore[reportOptionalMemberAccess]


def test_a_long_log_stays_small_and_an_empty_one_says_so() -> None:
    names = [f"{EVIL}{number}" for number in range(50)]
    long = learning_curves([{"epoch": epoch, **dict.fromkeys(names, 0.5)} for epoch in range(5000)])
    assert len(list(parsed(long).iter("svg"))) == 6
    assert learning_curves([]) == learning_curves([{"epoch": 1}]) == ""
    assert texts(parsed(TrainingLog())) == ["no epochs"]
