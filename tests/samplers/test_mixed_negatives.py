"""In-batch negatives of which some are taken, and their mixture with others: expected counts by enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch

from logq.candidates import IGNORED
from logq.samplers import InBatch, Mixture, Uniform
from logq.samplers.registry import SamplerSettings, make_sampler

C = 3
Q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def sums(found: torch.Tensor, ids: torch.Tensor, excluded: torch.Tensor, weight: float) -> None:
    """Add to (B, C) how often each class is a negative of each row."""
    kept = (~excluded).double() * weight
    found.scatter_add_(1, ids.expand(kept.shape), kept)


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize(
    ("shape", "hidden"), [((3,), []), ((2, 2), []), ((2, 2), [1]), ((4,), [0])], ids=["one", "two", "uneven", "padded"]
)
@pytest.mark.parametrize("m", [1, 2])
def test_expected_counts_of_some_of_the_batch(shape, hidden, m, looks, monkeypatch):
    """Over all targets that a batch may have and all orders in which they may be taken, to rounding."""
    monkeypatch.setattr("logq.samplers.in_batch.can_look_at", lambda _: looks)
    q = torch.tensor([0.7, 0.3], dtype=torch.float64)
    sampler = InBatch(2, counts=q, num_sampled=m, dtype=torch.float64, seed=1)
    n, found, total = math.prod(shape), torch.zeros(shape[0], 2, dtype=torch.float64), 0.0
    for targets in itertools.product(range(2), repeat=n):
        probability = float(q[list(targets)].prod())
        batch = torch.tensor(targets)
        batch[hidden] = IGNORED
        orders = list(itertools.permutations([at for at in range(n) if at not in hidden]))
        for order in orders:
            monkeypatch.setattr(sampler, "_first", lambda *_, order=order: torch.tensor([*order, *hidden]))
            candidates = sampler.draw(batch.view(shape))
            assert candidates.excluded is not None
            sums(found, candidates.ids, candidates.excluded, probability / len(orders))
        total += probability
    assert total == pytest.approx(1)
    every = torch.arange(2).expand(shape[0], 2)
    draw = sampler._draw(batch.view(shape), torch.Generator())
    expected = draw.log_expected_count(every).exp().expand(shape[0], 2)
    rows = (batch.view(shape[0], -1) != IGNORED).any(dim=1)
    torch.testing.assert_close(found[rows], expected[rows], rtol=1e-12, atol=1e-12)


def test_orders_are_equally_likely_and_classes_come_first(seed):
    sampler = InBatch(C, counts=Q, num_sampled=2, seed=seed)
    is_true = torch.tensor([True, False, True, True])
    orders = [tuple(sampler._first(is_true, sampler.generator).tolist()) for _ in range(1200)]
    assert {order[3] for order in orders} == {1}
    counts = np.array([orders.count((*order, 1)) for order in itertools.permutations([0, 2, 3])])
    assert (np.abs(counts - 200) < 6 * math.sqrt(200)).all()


@pytest.mark.parametrize("per_row", [False, True])
def test_the_share_is_a_mixture_with_exact_counts(per_row):
    counts, targets = np.array([60, 30, 10]), torch.tensor([0, 2, 1, 0, 1, 2, 0, 0])
    settings = SamplerSettings(
        counts, 10, per_row=per_row, seed=3, target_counts=np.array([5.0, 3.0, 2.0]), in_batch_share=0.4
    )
    sampler = make_sampler("uniform", settings)
    assert isinstance(sampler, Mixture)
    candidates = sampler.draw(targets)
    expected = 4 / 8 * 7 * Q + 6 / C
    assert candidates.ids.shape == ((8, 10) if per_row else (10,))
    torch.testing.assert_close(candidates.log_expected_count.exp().double(), expected[candidates.ids])
    torch.testing.assert_close(candidates.true_log_expected_count.exp().double(), expected[targets])
    ids = candidates.ids.expand(8, 10)
    assert candidates.excluded is not None
    assert not bool(candidates.excluded[:, 4:].any())
    assert int(candidates.excluded[:, :4].sum()) == 4  # each of the four is of one row
    rows, places = candidates.excluded.nonzero(as_tuple=True)
    assert torch.equal(ids[rows, places], targets[rows])
    torch.testing.assert_close(sampler.all_log_expected_counts().exp().double(), expected)


def test_all_are_taken_of_a_batch_that_is_smaller():
    targets = torch.tensor([0, 2, 1])
    some, every = InBatch(C, counts=Q, num_sampled=9, seed=1).draw(targets), InBatch(C, counts=Q).draw(targets)
    for one, other in zip(some, every, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("looks", [True, False])
def test_both_ways_take_the_same(looks, monkeypatch):
    targets = torch.tensor([[0, IGNORED], [2, 1], [IGNORED, IGNORED], [1, 1]])
    expected = InBatch(C, counts=Q, num_sampled=3, seed=7).draw(targets)
    monkeypatch.setattr("logq.samplers.in_batch.can_look_at", lambda _: looks)
    found = InBatch(C, counts=Q, num_sampled=3, seed=7).draw(targets)
    assert torch.equal(found.ids, expected.ids)
    assert torch.equal(found.excluded[[0, 1, 3]], expected.excluded[[0, 1, 3]])
    torch.testing.assert_close(found.log_expected_count[[0, 1, 3]], expected.log_expected_count[[0, 1, 3]])


def test_a_mixture_of_samplers_is_that_by_hand():
    settings = SamplerSettings(np.array([50, 30, 20]), 6, seed=3, in_batch_share=0.5)
    by_hand = Mixture([InBatch(C, counts=[50, 30, 20], num_sampled=3, seed=3), Uniform(C, 3, seed=3)], seed=3)
    targets = torch.tensor([0, 1, 2, 0, 0])
    for one, other in zip(make_sampler("uniform", settings).draw(targets), by_hand.draw(targets), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("choice", "num_sampled", "share", "message"),
    [
        ("in_batch", 8, 0.5, "in_batch_share: expected 0, or the name of a sampler .* got 0.5 with in_batch"),
        ("every_class", 8, 0.5, "got 0.5 with every_class"),
        (lambda counts: Uniform(len(counts), 8), 8, 0.5, "got 0.5 with a function"),
        ("uniform", 1, 0.5, "expected a share of num_sampled = 1 that leaves both parts at least one, got 0.5"),
        ("uniform", 8, 0.01, "expected a share of num_sampled = 8 that leaves both parts at least one, got 0.01"),
    ],
)
def test_shares_that_cannot_be_are_named(choice, num_sampled, share, message):
    settings = SamplerSettings(np.array([5, 3, 2]), num_sampled, in_batch_share=share)
    with pytest.raises(ValueError, match=message):
        make_sampler(choice, settings)
