"""Equal scores: an order of items that knows nothing, and means over all orders against enumeration."""

from itertools import permutations

import numpy as np
import pytest

from logq.evaluation import evaluate_ranking, top_items
from logq.evaluation.ranking_metrics import find_hits
from logq.evaluation.ranking_ties import expected_metrics, tie_order


def test_the_order_of_two_items_is_the_same_whatever_else_there_is() -> None:
    for ids in (np.arange(200), np.array([f"item {number}" for number in range(200)])):
        places = tie_order(ids)
        assert sorted(places.tolist()) == list(range(200))
        some = np.random.default_rng(0).permutation(200)[:50]
        wider = ids[some].astype("U40") if ids.dtype.kind == "U" else ids[some]
        assert np.argsort(tie_order(wider)).tolist() == np.argsort(places[some]).tolist()


def test_the_order_does_not_follow_the_numbers_of_items() -> None:
    # Codes are by frequency. The correlation of a random order of 4,000 has a standard deviation of 0.016.
    assert abs(np.corrcoef(tie_order(np.arange(4000)), np.arange(4000))[0, 1]) < 0.06


def test_equal_scores_are_ranked_as_chance_ranks_them() -> None:
    items, k = 500, 10
    counts = 1 / np.arange(1, items + 1)  # Zipf: item 0 is what most users want
    wanted = np.random.default_rng(0).choice(items, 5000, p=counts / counts.sum())
    truth = (wanted, np.arange(5001))
    scores = np.zeros((5000, items), dtype=np.float32)
    blind = evaluate_ranking(top_items(scores, k), truth, ks=[k], resamples=0)
    by_number = evaluate_ranking(top_items(scores, k, ties="lower"), truth, ks=[k], resamples=0)
    # Always the same ten items: their share of the events, whose mean over orders is k / C = 0.02.
    assert blind["HR@10"] < 0.05
    assert by_number["HR@10"] > 0.4
    with pytest.raises(ValueError, match="ties: expected 'random' or 'lower', got 'first'"):
        top_items(scores, k, ties="first")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("seed", range(6))
def test_expected_metrics_are_means_over_all_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.sort(rng.integers(0, 3, 6))[::-1].astype(np.float32)
    values[5:] = np.where(seed % 2, -np.inf, values[5:])
    truth = (rng.choice(6, int(rng.integers(1, 5)), replace=False), None)
    truth = (truth[0], np.array([0, len(truth[0])]))
    ks = [1, 2, 3, 5, 6]
    orders = [order for order in permutations(range(6)) if (np.diff(values[list(order)]) <= 0).all()]
    each = [evaluate_ranking([list(order)], truth, ks=ks, resamples=0).values for order in orders]
    found = expected_metrics(values[None], find_hits([list(range(6))], truth), ks)
    assert len(found) == 5 * len(ks)
    for name, value in found.items():
        assert value[0] == pytest.approx(np.mean([one[name] for one in each])), name


def test_a_constant_model_has_the_expected_metrics_of_chance() -> None:
    items, k = 1000, 10
    found = expected_metrics(np.zeros((1, items)), find_hits([list(range(items))], ([7], [0, 1])), [k])
    assert found["HR@10"][0] == pytest.approx(k / items)
    assert found["NDCG@10"][0] == pytest.approx((1 / np.log2(np.arange(2, k + 2))).sum() / items)
    assert found["MRR@10"][0] == pytest.approx((1 / np.arange(1, k + 1)).sum() / items)


def test_users_without_a_relevant_item_have_no_expected_metric() -> None:
    found = expected_metrics(np.zeros((1, 3)), find_hits([[0, 1, 2]], ([-1], [0, 1])), [2])
    assert np.isnan(list(found.values())).all()


def test_ids_that_are_fractions_have_no_order() -> None:
    with pytest.raises(TypeError, match="ids: expected integers or strings, got values of float64"):
        tie_order([0.5, 1.5])
