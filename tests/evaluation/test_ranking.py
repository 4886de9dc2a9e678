"""Metrics of rankings against loops over users, and against trec_eval."""

import io
import json
import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from logq.evaluation import RankingScores, evaluate_ranking
from logq.evaluation.ranking_metrics import METRICS, find_hits

RNG = np.random.default_rng(0)


def csr(rows):
    return np.array([item for row in rows for item in row], dtype=np.int64), np.cumsum([0, *map(len, rows)])


def by_loop(ranking, relevant, k):
    """What a student would write, for one user."""
    relevant = {item for item in relevant if item >= 0}
    if not relevant:
        return dict.fromkeys(METRICS, math.nan)
    places = [place for place, item in enumerate(ranking[:k], 1) if item in relevant]
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(len(relevant), k) + 1))
    return {
        "HR": float(bool(places)),
        "Recall": len(places) / len(relevant),
        "NDCG": sum(1 / math.log2(place + 1) for place in places) / ideal,
        "MRR": 1 / places[0] if places else 0.0,
        "MAP": sum(found / place for found, place in enumerate(places, 1)) / len(relevant),
    }


@st.composite
def judged_rankings(draw):
    users, places = draw(st.integers(0, 5)), draw(st.integers(1, 6))
    rankings = [draw(st.permutations(range(9)))[:places] for _ in range(users)]
    rankings = [row[: draw(st.integers(0, places))] for row in rankings]
    truth = [draw(st.lists(st.integers(-1, 12), max_size=5)) for _ in range(users)]
    return np.array([[*row, *[-1] * (places - len(row))] for row in rankings], dtype=int).reshape(users, places), truth


@given(judged_rankings(), st.integers(1, 6))
def test_as_a_loop_has_it(judged, k):
    ranked, truth = judged
    k = min(k, ranked.shape[1])
    hits = find_hits(ranked, csr(truth))
    expected = [by_loop(row.tolist(), relevant, k) for row, relevant in zip(ranked, truth, strict=True)]
    scores = evaluate_ranking(ranked, csr(truth), ks=[k], resamples=0)
    for name, metric in METRICS.items():
        np.testing.assert_allclose(metric(hits, k), [user[name] for user in expected], rtol=1e-12)
        kept = [user[name] for user in expected if not math.isnan(user[name])]
        assert scores[f"{name}@{k}"] == pytest.approx(np.mean(kept) if kept else math.nan, nan_ok=True)
    assert scores.users == sum(any(item >= 0 for item in relevant) for relevant in truth)
    assert scores.users + scores.left_out == len(ranked)
    assert scores.unknown_items == sum(row.count(-1) for row in truth)


def test_as_trec_eval_has_it():
    users, items, places = 200, 60, 30
    ranked = np.argsort(RNG.random((users, items)), axis=1)[:, :places]
    truth = [RNG.choice(items, RNG.integers(1, 15), replace=False).tolist() for _ in range(users)]
    run = {f"u{u}": {f"i{item}": float(places - place) for place, item in enumerate(ranked[u])} for u in range(users)}
    judgments = {f"u{u}": {f"i{item}": 1 for item in truth[u]} for u in range(users)}
    ks = (1, 5, 10, 30)
    asked = {f"{name}.{','.join(map(str, ks))}" for name in ("success", "recall", "ndcg_cut", "map_cut")}
    peer = pytrec_eval.RelevanceEvaluator(judgments, asked | {"recip_rank"}).evaluate(run)
    scores = evaluate_ranking(ranked, csr(truth), ks=ks, resamples=0)
    for ours, theirs in (("HR", "success"), ("Recall", "recall"), ("NDCG", "ndcg_cut"), ("MAP", "map_cut")):
        for k in ks:
            expected = [peer[f"u{u}"][f"{theirs}_{k}"] for u in range(users)]
            np.testing.assert_allclose(scores.per_user[f"{ours}@{k}"], expected, rtol=1e-9, atol=1e-12)
    expected = [peer[f"u{u}"]["recip_rank"] for u in range(users)]
    np.testing.assert_allclose(scores.per_user["MRR@30"], expected, rtol=1e-9)


def test_coverage_and_popularity_bias_are_their_formulas():
    ranked = np.array([[0, 1, 2], [0, 3, -1], [4, 2, 0], [-1, -1, -1]])
    truth = [[1, 1, 5], [0], [], [3]]
    counts = [10, 5, 4, 3, 2, 1]
    scores = evaluate_ranking(ranked, csr(truth), ks=[1, 2, 3], item_counts=counts)
    assert scores["coverage@1"] == 1 / 6
    assert scores["coverage@2"] == 3 / 6
    assert scores["coverage@3"] == 4 / 6
    # The third user has nothing relevant, the last one an empty ranking, which has no popularity.
    relevant = [(5 + 1) / 2, 10]
    assert scores["popularity_bias@1"] == pytest.approx((10 + 10) / sum(relevant))
    assert scores["popularity_bias@2"] == pytest.approx((7.5 + 6.5) / sum(relevant))
    assert scores["popularity_bias@3"] == pytest.approx((19 / 3 + 6.5) / sum(relevant))
    np.testing.assert_allclose(scores.per_user["popularity_bias@2"], [7.5 / 6.5, 1, np.nan, np.nan])
    assert "coverage@1" not in scores.intervals
    assert "popularity_bias@1" in scores.intervals


def test_the_most_popular_for_all_is_biased_and_covers_little():
    counts = np.arange(100, 0, -1)
    truth = RNG.integers(100, size=500)
    same = evaluate_ranking(np.tile(np.arange(10), (500, 1)), (truth, np.arange(501)), ks=[10], item_counts=counts)
    fair = evaluate_ranking(
        np.argsort(RNG.random((500, 100)), 1)[:, :10], (truth, np.arange(501)), ks=[10], item_counts=counts
    )
    assert same["coverage@10"] == 0.1
    assert fair["coverage@10"] == 1
    assert same["popularity_bias@10"] > 1.7
    low, high = fair.intervals["popularity_bias@10"]
    assert low < 1 < high


def test_an_interval_holds_the_mean_and_follows_the_seed():
    ranked = np.argsort(RNG.random((300, 50)), axis=1)[:, :10]
    truth = (RNG.integers(50, size=300), np.arange(301))
    scores = evaluate_ranking(ranked, truth, ks=[10], item_counts=np.ones(50))
    for name, (low, high) in scores.intervals.items():
        assert low - 1e-12 <= scores[name] <= high + 1e-12  # sums of equal numbers are not added in one order
    again = evaluate_ranking(ranked, truth, ks=[10], item_counts=np.ones(50))
    other = evaluate_ranking(ranked, truth, ks=[10], item_counts=np.ones(50), seed=1)
    assert scores.intervals == again.intervals
    assert scores.intervals != other.intervals
    assert not evaluate_ranking(ranked, truth, ks=[10], resamples=0).intervals


def test_a_table_and_json_have_the_numbers():
    ranked, truth = [[3, 1, 2], [4, 0, 1]], ([2, 4], [0, 1, 2])
    scores = evaluate_ranking(ranked, truth, ks=[1, 3], num_items=5, about={"exclude_seen": True})
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(scores.table("ML-1M"))
    text = console.export_text()
    assert "ML-1M" in text
    assert "0.5000 [0.0000, 1.0000]" in text
    assert "2 users, 95% intervals" in text
    loaded = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert loaded["values"]["HR@1"] == 0.5
    assert loaded["intervals"]["HR@1"] == [0, 1]
    assert loaded["about"] == {
        "exclude_seen": True,
        "confidence": 0.95,
        "resamples": 1000,
        "seed": 0,
        "num_items": 5,
    }


def test_what_was_not_measured_is_named():
    scores = RankingScores((10,), {"HR@10": 0.25}, {}, {}, users=4)
    with pytest.raises(KeyError, match=r"NDCG@10: expected one of HR@10"):
        scores["NDCG@10"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ranked": [1, 2]}, ValueError, r"ranked: expected shape \(U, K\), got \(2,\)"),
        ({"ranked": [[0.5]]}, TypeError, r"ranked: expected integers, got float64"),
        ({"ranked": [[1, 2], [3, 3]]}, ValueError, r"ranked: .*3 twice for user 1"),
        ({"truth": [1, 2, 3]}, TypeError, r"truth: expected a pair"),
        ({"truth": ([1], [0, 1])}, ValueError, r"truth: expected 3 offsets for 2 users, got 2"),
        ({"truth": ([1], [0, 1, 2])}, ValueError, r"truth: expected offsets that rise from 0 to 1"),
        ({"truth": ([1, 2], [0, 2, 1])}, ValueError, r"truth: expected offsets that rise"),
        ({"truth": ([0.5, 2], [0, 1, 2])}, TypeError, r"truth: expected integers, got dtype float64"),
        ({"ks": [3]}, ValueError, r"ks: expected integers from 1 to 2, .*got \[3\]"),
        ({"ks": []}, ValueError, r"ks: expected integers"),
        ({"ks": [0]}, ValueError, r"ks: expected an integer >= 1, got 0"),
        ({"num_items": 3}, ValueError, r"ranked: expected items below 3, got 3"),
        ({"item_counts": [1, 2, 3, -4]}, ValueError, r"item_counts: .*got -4"),
        (
            {"item_counts": [1, 2, 3], "num_items": 4},
            ValueError,
            r"item_counts: expected shape \(4,\) of numbers, got .*\(3,\)",
        ),
        ({"confidence": 1}, ValueError, r"confidence"),
        ({"resamples": -1}, ValueError, r"resamples"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"ranked": [[1, 2], [3, 1]], "truth": ([1, 2], [0, 1, 2]), "ks": [1], **change}
    with pytest.raises(error, match=message):
        evaluate_ranking(arguments.pop("ranked"), arguments.pop("truth"), **arguments)


def test_what_numpy_counted_goes_into_json():
    about = {"users": np.int64(3), "seen": np.bool_(True), "ks": np.array([1, 2])}
    scores = evaluate_ranking([[1, 2]], ([1], [0, 1]), ks=[2], about=about)
    assert {name: scores.to_json()["about"][name] for name in about} == {"users": 3, "seen": True, "ks": [1, 2]}
    with pytest.raises(TypeError, match="about: expected what JSON can hold, got set"):
        evaluate_ranking([[1, 2]], ([1], [0, 1]), ks=[2], about={"ks": {1}}).to_json()


def test_what_print_shows_is_short_however_many_users_there_are():
    users = 500
    scores = evaluate_ranking(
        np.tile(np.arange(10), (users, 1)), csr([[user % 20] for user in range(users)]), ks=(5, 10)
    )
    lines = str(scores).splitlines()
    assert lines[0].startswith("HR@5 ")
    assert lines[0].endswith(f"0.2500 [{scores.intervals['HR@5'].low:.4f}, {scores.intervals['HR@5'].high:.4f}]")
    assert lines[-1] == "500 users, 95% intervals"
    assert len(lines) == len(scores.values) + 1
    assert "array(" not in repr(scores)


def test_what_is_too_large_for_metrics_is_named():
    items, offsets = np.array([2**62, 1]), np.array([0, 1, 2])
    with pytest.raises(ValueError, match=f"truth: expected items below {2**62} for 2 users, got {2**62}"):
        evaluate_ranking(np.array([[1], [2]]), (items, offsets), ks=(1,), resamples=0)
    hits = find_hits(np.array([[1], [2]]), (np.array([1, 1]), offsets))
    with pytest.raises(ValueError, match="k: expected at most 1, the length of the rankings, got 2"):
        METRICS["HR"](hits, 2)
