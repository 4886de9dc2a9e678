"""Airbnb's objective, equation 4, against a loop in float64."""

import math

import pytest
import torch

from logq.functional import negative_sampling_loss
from logq.recommenders.airbnb import AirbnbEncoder
from logq.samplers import Mixture, Uniform, WithinGroup


@pytest.fixture
def model():
    torch.manual_seed(1)
    made = AirbnbEncoder(7, 3).double()
    with torch.no_grad():
        made.contexts.weight.normal_()
    return made


def test_a_window_with_a_booking_is_equation_four(model):
    # l = 2 among 1 and 3, in a session that ends with booking 6; the market of l is {2, 3, 5}.
    market = torch.tensor([0, 0, 1, 1, 0, 1, 0])
    sampler = Mixture(
        [Uniform(7, 4, per_row=True, seed=1), WithinGroup(torch.ones(7), market, 2, seed=2)], seed=3
    ).double()
    batch = {"history": torch.tensor([[2]]), "targets": torch.tensor([[1, -1, 3, 6]])}
    queries, targets = model.training_queries(batch)
    candidates = sampler.draw(targets, groups=market[torch.tensor([2, 2, 2])])
    loss = negative_sampling_loss(queries, model.item_table, candidates, remove_hits=False, reduction="sum")
    v, contexts = model.listings.weight[2].tolist(), model.contexts.weight.tolist()
    expected = 0.0
    for c, negatives in zip((1, 3, 6), candidates.ids.tolist(), strict=True):
        assert set(negatives[4:]) <= {2, 3, 5}
        for listing, sign in [(c, 1), *((n, -1) for n in negatives)]:
            product = sum(a * b for a, b in zip(contexts[listing], v, strict=True))
            expected -= math.log(1 / (1 + math.exp(-sign * product)))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_queries_are_means_and_padding_counts_for_nothing(model):
    made = model.query({"history": torch.tensor([[3, 1, 3], [2, -1, -1]])})
    table = model.listings.weight
    torch.testing.assert_close(made, torch.stack([(2 * table[3] + table[1]) / 3, table[2]]))


def test_recent_listings_count_more():
    model = AirbnbEncoder(7, 3, decay=0.5)
    made = model.query({"history": torch.tensor([[3, 1, 2], [-1, -1, -1]])})
    table = model.listings.weight
    torch.testing.assert_close(made[0], (0.25 * table[3] + 0.5 * table[1] + table[2]) / 1.75)
    assert made[1].tolist() == [0, 0, 0]


def test_contexts_are_what_is_found(model):
    assert model.item_table is model.contexts.weight
    assert torch.equal(model.item_vectors(torch.tensor([4, 0])), model.contexts.weight[[4, 0]])
    assert not AirbnbEncoder(7, 3).contexts.weight.any()


def test_bad_batches_are_named(model):
    with pytest.raises(KeyError, match="history"):
        model.query({})
    with pytest.raises(ValueError, match=r"history.*got 7"):
        model.query({"history": torch.tensor([[7]])})
    with pytest.raises(ValueError, match="num_items"):
        AirbnbEncoder(0)
