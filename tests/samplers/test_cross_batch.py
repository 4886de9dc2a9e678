"""A memory of earlier batches: what it holds, its expected counts by enumeration, and vectors kept as they were."""

import itertools
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from logq.candidates import IGNORED, Candidates
from logq.functional import sampled_loss
from logq.objectives import NCE
from logq.recommenders.neural.item_loss import ItemLoss
from logq.samplers import CrossBatch, InBatch
from logq.samplers.registry import SamplerSettings, make_sampler

C = 3
Q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


@pytest.fixture(params=[True, False], ids=["looks", "keeps sizes"])
def looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether sizes follow from values, as on a CPU, or not, as on a GPU."""
    for module in ("in_batch", "cross_batch"):
        monkeypatch.setattr(f"logq.samplers.{module}.can_look_at", lambda _: request.param)
    return request.param


def counted(candidates: Candidates, num_classes: int = C) -> Tensor:
    """(B, C), how often each class is a negative of each row."""
    assert candidates.excluded is not None
    kept = (~candidates.excluded).double()
    return torch.zeros(len(kept), num_classes, dtype=torch.float64).scatter_add_(
        1, candidates.ids.expand(kept.shape), kept
    )


def without_some(targets: Tensor, hidden: list[int]) -> Tensor:
    return targets.index_fill(0, torch.tensor(hidden, dtype=torch.int64), IGNORED)


# Shapes of the batches, which of their entries are none, and M.
STREAMS: dict[str, tuple[list[tuple[int, ...]], list[list[int]], int]] = {
    "half full": ([(2,), (2,)], [[], []], 9),
    "full": ([(2,), (1,), (2,)], [[], [], []], 2),
    "less than a batch": ([(3,), (2,)], [[], []], 2),
    "two a row": ([(1, 2), (2, 2)], [[], [3]], 3),
    "padded": ([(3,), (2,)], [[1], []], 3),
    "first": ([(3,)], [[]], 3),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.usefixtures("looks")
def test_expected_counts_by_enumeration(stream: str) -> None:
    """Over all targets that all batches may have: the mean count of the last draw is Q, to rounding."""
    shapes, hidden, memory = STREAMS[stream]
    sizes = [int(np.prod(shape)) for shape in shapes]
    sampler = CrossBatch(C, memory, counts=Q, dtype=torch.float64)
    found, first = torch.zeros(1), sampler.state_dict()
    for targets in itertools.product(range(C), repeat=sum(sizes)):
        sampler.load_state_dict(first)
        batches = list(torch.tensor(targets).split(sizes))
        for number, (shape, none) in enumerate(zip(shapes, hidden, strict=True)):
            batches[number] = without_some(batches[number], none).view(shape)
        for batch in batches[:-1]:
            sampler.draw(batch)
        candidates = sampler.eval().draw(batches[-1])
        sampler.train()
        found = found + Q[list(targets)].prod() * counted(candidates)
    batch = without_some(torch.zeros(sizes[-1], dtype=torch.int64), hidden[-1]).view(shapes[-1])
    rows = len(batch)
    draw = sampler._draw(batch, torch.Generator())
    expected = draw.log_expected_count(torch.arange(C).expand(rows, C)).exp().expand(rows, C)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    own = (batch.view(rows, -1) != IGNORED).sum(dim=1, keepdim=True)
    before = sum(size - len(none) for size, none in zip(sizes[:-1], hidden[:-1], strict=True))
    torch.testing.assert_close(expected, (own.sum() - own + min(before, memory)).clamp(min=1) * Q)


@pytest.mark.usefixtures("looks")
def test_nce_is_stationary() -> None:
    """By enumeration of two batches, one row and two: at F = log P the mean gradient is 0."""
    logits = Q.log().requires_grad_()
    sampler = CrossBatch(C, 2, counts=Q, dtype=torch.float64)
    first, total = sampler.state_dict(), torch.zeros((), dtype=torch.float64)
    for batch in itertools.product(range(C), repeat=4):
        sampler.load_state_dict(first)
        sampler.draw(torch.tensor(batch[:2]))
        targets = torch.tensor(batch[2:])
        candidates = sampler.draw(targets)
        rows = logits.expand(2, C)
        losses = NCE(rows.gather(1, targets[:, None]), rows[:, candidates.ids], candidates)
        total = total + Q[list(batch)].prod() * losses.sum()
    (gradient,) = torch.autograd.grad(total, logits)
    assert float(gradient.abs().max()) < 1e-12


@settings(max_examples=40)
@given(
    stream=st.lists(st.lists(st.integers(0, C - 1) | st.just(IGNORED), max_size=7), max_size=9),
    memory=st.integers(1, 6),
    look=st.booleans(),
)
def test_first_in_first_out(stream: list[list[int]], memory: int, look: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("in_batch", "cross_batch"):
            patch.setattr(f"logq.samplers.{module}.can_look_at", lambda _: look)
        sampler, plain = CrossBatch(C, memory, dtype=torch.float64), InBatch(C, dtype=torch.float64)
        queue: deque[int] = deque(maxlen=memory)
        for batch in stream:
            targets = torch.tensor(batch, dtype=torch.int64)
            candidates, beside = sampler.draw(targets), plain.draw(targets)
            size = len(beside.ids)
            assert torch.equal(candidates.ids[:size], beside.ids)
            assert candidates.excluded is not None
            assert beside.excluded is not None
            assert torch.equal(candidates.excluded[:, :size], beside.excluded)
            if batch:
                there = ~candidates.excluded[:, size:]
                assert bool((there == there[0]).all()), "a row leaves out what another has"
                assert sorted(candidates.ids[size:][there[0]].tolist()) == sorted(queue)
            others = [y for y in batch if y != IGNORED]
            n = max(1, len(others) - 1 + len(queue))
            q = plain.log_prob(torch.arange(C)).exp()
            of_true = candidates.true_log_expected_count[targets != IGNORED].exp()
            torch.testing.assert_close(of_true, n * q[others])
            queue.extend(others)


def test_a_memory_is_not_touched_in_eval_nor_by_learning_by_hand() -> None:
    sampler = CrossBatch(5, 4)
    for batch in (torch.tensor([1, 1, 2]), torch.tensor([[3, IGNORED], [1, 4]])):
        sampler.draw(batch)
        sampler.eval().draw(torch.tensor([0, 0]))
        sampler.train().learn(torch.tensor([0]))
    assert sorted(sampler.eval().draw(torch.tensor([2])).ids[1:].tolist()) == [1, 2, 3, 4]
    assert int(sampler.seen) == 8


def test_vectors_come_back_at_the_end_of_the_ids_and_outlast_a_state() -> None:
    sampler = CrossBatch(9, 3, counts=range(1, 10), dtype=torch.float64)

    def vectors(ids: Tensor, step: int) -> Tensor:
        return torch.stack([ids, torch.full_like(ids, step)], dim=1).double()

    kept: deque[list[float]] = deque(maxlen=3)
    for step, batch in enumerate([[1, 2], [3, IGNORED, 4], [5, 6, 7, 8], [0]]):
        candidates = sampler.draw(torch.tensor(batch))
        own = [y for y in batch if y != IGNORED]
        found = sampler.kept_vectors()
        if step == 0:
            assert found is None
        else:
            assert found is not None
            assert sorted(found.tolist()) == sorted(kept)
            assert found[:, 0].tolist() == candidates.ids[len(own) :].tolist()
        sampler.keep_vectors(vectors(candidates.ids[: len(own)], step))
        kept.extend([float(y), float(step)] for y in own)
        places = [place for place in sampler._places.tolist() if place < 3]
        assert len(places) == len(set(places)) == min(3, len(own)), "two targets go to one place"
    fresh = CrossBatch(9, 3, counts=range(1, 10), dtype=torch.float64)
    fresh.load_state_dict(sampler.state_dict())
    for one in (sampler, fresh):
        one.eval().draw(torch.tensor([2, 2]))
        one.keep_vectors(vectors(torch.tensor([2, 2]), 9))  # of no effect
        found = one.kept_vectors()
        assert found is not None
        assert sorted(found.tolist()) == sorted(kept)
    fresh.load_state_dict(CrossBatch(9, 3, counts=range(1, 10)).state_dict())
    assert fresh.draw(torch.tensor([1])).ids.tolist() == [1]
    with pytest.raises(ValueError, match=r"vectors: expected shape \(M \+ 1, D\) with M = 5, got \(4, 2\)"):
        CrossBatch(9, 5, counts=range(1, 10)).load_state_dict(sampler.state_dict())
    with pytest.raises(ValueError, match=r"queue: expected shape \(6,\), got \(4,\)"):
        CrossBatch(9, 5).load_state_dict(CrossBatch(9, 3).state_dict())


def test_vectors_that_are_missing_are_told() -> None:
    sampler = CrossBatch(9, 3)
    sampler.draw(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"vectors: expected shape \(n, D\) with n = 2, got \(3, 4\)"):
        sampler.keep_vectors(torch.ones(3, 4))
    sampler.draw(torch.tensor([3]))
    with pytest.raises(RuntimeError, match="the memory has targets without vectors: call keep_vectors after each draw"):
        sampler.kept_vectors()


class Items(nn.Module):
    """Vectors of items that are computed."""

    item_table = item_bias = item_biases = None

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
        self.asked: list[int] = []

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        assert ids is not None
        self.asked += ids.unique().tolist()
        return self.table[ids].tanh()


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("objective", ["sampled_softmax", "nce", "gbce"])
def test_computed_vectors_of_earlier_batches_are_constants(
    objective: str, keeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a loop of our own with a row of logits for each candidate."""
    if keeps:
        monkeypatch.setattr("logq.recommenders.neural.item_loss.keeps_sizes", lambda _: True)
    model: Any = Items()
    sampler = CrossBatch(9, 4, counts=range(1, 10), dtype=torch.float64)
    loss, beside = ItemLoss(objective, sampler), CrossBatch(9, 4, counts=range(1, 10), dtype=torch.float64)
    ring: list[tuple[int, Tensor]] = []  # item and vector at each place
    came = 0
    for step, batch in enumerate([[1, 2, 1], [3, 1, 8], [2, 3, 8], [7]]):
        targets = torch.tensor(batch)
        queries = torch.randn(len(batch), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(step + 5))
        model.zero_grad()
        model.asked = []
        found = loss(model, queries, targets)
        found.backward()
        assert set(model.asked) == set(batch), "a vector of an earlier batch was computed"
        candidates = beside.draw(targets)
        assert candidates.ids.tolist() == batch + [y for y, _ in ring]
        rows = torch.cat([model.table.tanh(), *(vector[None] for _, vector in ring)])
        numbers = [y if y in batch else 9 + place for place, (y, _) in enumerate(ring)]
        expected = sampled_loss(
            loss.objective.for_sample(candidates.ids.shape[-1], 9),
            queries,
            rows,
            candidates._replace(ids=torch.tensor(batch + numbers)),
        )
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        (gradient,) = torch.autograd.grad(expected, model.table)
        torch.testing.assert_close(model.table.grad, gradient, rtol=1e-12, atol=1e-12)
        assert not bool(gradient[[y for y in range(9) if y not in batch]].any())
        for y in batch:
            ring[came % 4 : came % 4 + 1] = [(y, model.table[y].tanh().detach())]
            came += 1
        model.table.data += 0.3  # what is kept is stale now


def test_by_name() -> None:
    of = SamplerSettings(np.array([5, 3, 1]), 7, target_counts=np.array([1.0, 1.0, 2.0]), seed=1)
    sampler = make_sampler("cross_batch", of)
    assert isinstance(sampler, CrossBatch)
    assert (sampler.memory, sampler.group) == (7, None)
    assert sampler.log_prob(torch.tensor([2])).exp().item() == pytest.approx(0.5)
    assert "memory=7" in repr(sampler)
    with pytest.raises(ValueError, match="memory: expected an integer >= 1, got 0"):
        CrossBatch(3, 0)
