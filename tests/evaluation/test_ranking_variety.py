"""Novelty, diversity, serendipity, Gini and segments against their definitions, written as loops, and closed forms."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq import Popularity
from logq.evaluation import evaluate_ranking
from logq.evaluation.ranking_variety import diversity, gini, head_items, novelty, serendipity
from logq.logs import Features, Interactions, leave_one_out
from logq.logs.identifiers import Identifiers

ITEMS = 7


@st.composite
def rankings(draw):
    """(U, K) different items of a row, padded at its end."""
    users, length = draw(st.integers(1, 5)), draw(st.integers(1, ITEMS))
    rows = []
    for _ in range(users):
        row = draw(st.permutations(range(ITEMS)))[: draw(st.integers(0, length))]
        rows.append([*row, *[-1] * (length - len(row))])
    return np.array(rows)


COUNTS = st.lists(st.integers(0, 50), min_size=ITEMS, max_size=ITEMS).map(lambda one: np.array(one, dtype=float))


@given(rankings(), COUNTS)
def test_novelty_is_the_mean_self_information(ranked, counts):
    for row, found in zip(ranked, novelty(ranked, counts), strict=True):
        bits = [-np.log2(max(counts[item], 1) / max(counts.sum(), 1)) for item in row if item >= 0]
        assert (found == pytest.approx(np.mean(bits))) if bits else np.isnan(found)


def test_novelty_of_equally_frequent_items_is_the_logarithm_of_their_number():
    assert novelty(np.array([[0, 3], [5, 1]]), np.full(8, 9.0)).tolist() == [3.0, 3.0]


@given(rankings(), st.integers(0, 2**32 - 1))
def test_diversity_is_the_mean_distance_of_pairs(ranked, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(ITEMS, 3)) * rng.integers(0, 2, size=(ITEMS, 1))  # some are zeros
    check_diversity(ranked, vectors, diversity(ranked, vectors))


@given(rankings(), st.integers(0, 2**32 - 1))
def test_diversity_by_features_is_that_of_indicator_vectors(ranked, seed):
    rng = np.random.default_rng(seed)
    kinds = [["a", "b", None][code] for code in rng.integers(0, 3, size=ITEMS)]
    tags = [sorted({"xyz"[code] for code in rng.integers(0, 3, size=rng.integers(0, 3))}) for _ in range(ITEMS)]
    table = {
        "item": list(range(ITEMS)),
        "kind": [*kinds[:-1], "a"],
        "tags": ["|".join(one) for one in [*tags[:-1], "x"]],
    }
    features = Features.from_frame(table, Identifiers(range(ITEMS)), separator={"tags": "|"})
    vectors = np.zeros((ITEMS, 5))
    for item in range(ITEMS):
        for value in [table["kind"][item], *table["tags"][item].split("|")]:
            if value:
                vectors[item, "abxyz".index(value)] = 1
    check_diversity(ranked, vectors, diversity(ranked, features))


def check_diversity(ranked, vectors, found):
    for row, value in zip(ranked, found, strict=True):
        distances = []
        for one, other in combinations([vectors[item] for item in row if item >= 0], 2):
            size = np.linalg.norm(one) * np.linalg.norm(other)
            distances.append(1 - (one @ other / size if size else 0))
        assert (value == pytest.approx(np.mean(distances), abs=1e-12)) if distances else np.isnan(value)


def test_many_users_are_compared_in_parts(monkeypatch):
    ranked = np.argsort(np.random.default_rng(0).random((50, ITEMS)), axis=1)[:, :3]
    vectors = np.random.default_rng(1).normal(size=(ITEMS, 4))
    whole = diversity(ranked, vectors)
    monkeypatch.setattr("logq.evaluation.ranking_variety._NUMBERS", 100)
    np.testing.assert_array_equal(diversity(ranked, vectors), whole)


@given(rankings())
def test_gini_is_half_the_mean_difference_over_the_mean(ranked):
    counts = np.bincount(ranked[ranked >= 0], minlength=ITEMS)
    found = gini(ranked, ITEMS)
    if not counts.sum():
        assert np.isnan(found)
    else:
        differences = np.abs(counts[:, None] - counts[None, :]).mean()
        assert found == pytest.approx(differences / (2 * counts.mean()))


def test_gini_of_one_item_for_all_is_near_one():
    assert gini(np.zeros((9, 1), dtype=int), 100) == pytest.approx(0.99)


@given(rankings(), COUNTS, st.integers(0, 2**32 - 1))
def test_serendipity_is_the_recall_of_what_is_not_popular(ranked, counts, seed):
    counts = counts + np.linspace(0, 0.5, ITEMS)  # no two alike
    truth = [set(np.flatnonzero(np.random.default_rng(seed + user).random(ITEMS) < 0.4)) for user in range(len(ranked))]
    at = np.array([[item in mine for item in row] for row, mine in zip(ranked.tolist(), truth, strict=True)])
    popular = set(np.argsort(-counts)[: ranked.shape[1]])
    found = serendipity(ranked, at, np.array([len(mine) for mine in truth]), counts)
    for row, mine, value in zip(ranked.tolist(), truth, found, strict=True):
        if mine:
            assert value == pytest.approx(len((set(row) & mine) - popular) / len(mine))
        else:
            assert np.isnan(value)


@given(COUNTS, st.floats(0.05, 1))
def test_the_head_is_the_fewest_items_with_their_share(counts, share):
    head = head_items(counts, share)
    total = counts.sum()
    assert counts[head].sum() >= share * total - 1e-9
    if head.any():
        assert counts[head].sum() - counts[head].min() < share * total
        assert counts[head].min() >= counts[~head].max(initial=0)


# ------------------------------------------------------------------------------------------------------- whole scores


def test_popularity_is_neither_new_nor_surprising_and_the_same_for_all():
    log = Interactions.from_sessions([["a", "b", "c"]] * 6 + [["c", "d", "e"]] * 2)
    scores = Popularity().fit(leave_one_out(log)).evaluate(leave_one_out(log), ks=[1, 2], exclude_seen=False)
    assert scores["serendipity@2"] == 0
    assert scores["gini@1"] == pytest.approx(1 - 1 / log.num_items)
    assert scores["novelty@1"] == pytest.approx(-np.log2(6 / 8))


def test_segments_are_the_scores_of_some_items_and_of_some_users():
    ranked = [[0, 1, 2], [3, 2, 1], [2, 0, 1], [0, 2, 3]]
    truth = ([0, 3], [1], [2], [1]), [0, 2, 3, 4, 5]
    items = np.concatenate(truth[0])
    head = np.array([True, True, False, False])
    cold = np.array([True, False, True, False])
    scores = evaluate_ranking(
        ranked,
        (items, truth[1]),
        ks=[1, 3],
        num_items=4,
        item_segments={"head": head, "tail": ~head},
        user_segments={"cold": cold, "warm": ~cold},
    )
    alone = {
        "head": evaluate_ranking(ranked, ([0, 1, 1], [0, 1, 2, 2, 3]), ks=[1, 3]),
        "tail": evaluate_ranking(ranked, ([3, 2], [0, 1, 1, 2, 2]), ks=[1, 3]),
        "cold": evaluate_ranking([ranked[0], ranked[2]], ([0, 3, 2], [0, 2, 3]), ks=[1, 3]),
        "warm": evaluate_ranking([ranked[1], ranked[3]], ([1, 1], [0, 1, 2]), ks=[1, 3]),
    }
    assert list(scores.segments) == list(alone)
    for name, expected in alone.items():
        found = scores.segments[name]
        assert (found.users, found.values, found.intervals) == (expected.users, expected.values, expected.intervals)
    assert [scores.segments[name].users for name in alone] == [3, 2, 2, 2]


def test_a_model_says_what_is_head_and_who_is_cold(tmp_path):
    rng = np.random.default_rng(0)
    lengths = np.arange(4, 44)
    log = Interactions.from_sessions([rng.choice(50, size=length, replace=False).tolist() for length in lengths])
    split = leave_one_out(log)
    model = Popularity().fit(split)
    scores = model.evaluate(split, ks=[10], segments=True, item_vectors=np.eye(log.num_items))
    counts = split.train.item_counts()
    assert scores.about["cold_history"] == int(np.median(lengths - 1))
    assert scores.segments["cold users"].users == np.count_nonzero(lengths - 1 <= scores.about["cold_history"])
    assert scores.about["head_items"] == np.count_nonzero(head_items(counts.astype(float)))
    parts = [scores.segments[name] for name in ("head items", "tail items")]
    assert sum(part.users for part in parts) == scores.users  # each has one item to find
    whole = sum(part.users * part["NDCG@10"] for part in parts) / scores.users
    assert whole == pytest.approx(scores["NDCG@10"])
    assert scores["diversity@10"] == 1
    assert "diversity@10" not in model.evaluate(split, ks=[10]).values


def test_segments_are_rows_of_every_output():
    scores = evaluate_ranking(
        [[3, 1], [0, 1]], ([3, 1], [0, 1, 2]), ks=[1, 2], num_items=4, user_segments={"cold <users>": [True, False]}
    )
    lines = str(scores).splitlines()
    assert any(line.split("  ") == ["NDCG@2, cold <users>", "", "1.0000 [1.0000, 1.0000]"] for line in lines)
    assert lines[-1] == "2 users, 95% intervals, 1 for cold <users>"
    assert "| HR, cold <users> | 1.0000 [1.0000, 1.0000] | 1.0000 [1.0000, 1.0000] |" in scores.to_markdown()
    html = scores._repr_html_()
    assert "<tr><td>HR, cold &lt;users&gt;</td><td>1.0000 [1.0000, 1.0000]</td>" in html
    saved = json.loads(json.dumps(scores.to_json()))
    assert saved["segments"]["cold <users>"]["values"]["HR@1"] == 1.0
    assert "segments" not in evaluate_ranking([[3]], ([3], [0, 1]), ks=[1]).to_json()
    assert scores.table().row_count == 12  # 5 of everybody, coverage, gini, and 5 of the segment


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"item_vectors": np.ones(4)}, r"item_vectors: expected shape \(C, D\) of numbers, got float64 \(4,\)"),
        ({"item_vectors": np.ones((3, 2))}, "item_vectors: expected 4 rows, got 3"),
        ({"user_segments": {"x": [True]}}, r"user_segments\['x'\]: expected a mask of 2, got bool \(1,\)"),
        ({"item_segments": {"x": [1, 0, 1, 0]}}, r"item_segments\['x'\]: expected a mask of 4, got int64"),
    ],
)
def test_vectors_and_masks_that_do_not_fit_are_named(more, message):
    with pytest.raises(ValueError, match=message):
        evaluate_ranking([[3, 1], [0, 1]], ([3, 1], [0, 1, 2]), ks=[1], num_items=4, **more)
