"""Losses whose samples are not stored are those whose samples are."""

from typing import Any

import pytest
import torch
from torch import Tensor

from logq import ArgumentError, optim
from logq.functional.losses_in_parts import ENTRIES
from logq.nn import CandidateLoss
from logq.samplers import InBatch, LearnedUnigram, LogUniform, Sampler, Uniform, Unigram

C, D, B, S = 40, 6, 11, 5

SAMPLERS: dict[str, Any] = {
    "uniform": lambda **how: Uniform(C, S, **how),
    "log_uniform": lambda **how: LogUniform(C, S, **how),
    "unigram": lambda **how: Unigram(range(1, C + 1), S, **how),
    "learned_unigram": lambda **how: LearnedUnigram(C, S, **how),
}
WAYS = [(name, replacement) for name in SAMPLERS for replacement in (True, False) if replacement or name != "uniform"]


@pytest.fixture(autouse=True)
def rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENTRIES, "cpu", 3 * S)


def steps(sampler: Sampler, objective: str, targets: Tensor, row_weight: Tensor | None, **options: Any) -> list[Tensor]:
    """Losses, gradients and weights of some steps."""
    torch.manual_seed(0)
    model = CandidateLoss(objective, D, C, sampler, **options)
    optimizer = optim.Adagrad(model.parameters(), lr=0.1, in_backward=True)
    found: list[Tensor] = []
    for _ in range(3):
        x = torch.randn(B, D, requires_grad=True)
        loss = model(x, targets, row_weight)
        optimizer.zero_grad()
        (2 * loss).backward()
        optimizer.step()
        assert x.grad is not None
        found += [loss.detach(), x.grad, *(one.detach().clone() for one in model.parameters())]
    return found


@pytest.mark.parametrize("objective", ["sampled_softmax", "nce", "negative_sampling", "gbce"])
@pytest.mark.parametrize(("name", "replacement"), WAYS)
def test_the_steps_are_the_same(name: str, replacement: bool, objective: str) -> None:
    """Draws, losses, gradients and what the sampler learns, step after step."""
    targets = torch.randint(C, (B,)).masked_fill(torch.arange(B) % 4 == 1, -7)
    for options, row_weight in (
        ({"cosine": True, "temperature": 0.5}, None),
        ({"bias": False, "reduction": "sum"}, torch.rand(B)),
        ({"remove_hits": True}, torch.rand(B)),
    ):
        results = [
            steps(
                SAMPLERS[name](replacement=replacement, per_row=True, seed=3),
                objective,
                targets,
                row_weight,
                ignore_index=-7,
                store_samples=stored,
                **options,
            )
            for stored in (True, False)
        ]
        for stored, not_stored in zip(*results, strict=True):
            torch.testing.assert_close(not_stored, stored, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("needs", ["input", "weight", "nothing"])
def test_only_what_is_asked_for_gets_a_gradient(needs: str) -> None:
    model = CandidateLoss("nce", D, C, Uniform(C, S, per_row=True, seed=1), store_samples=False)
    x = torch.randn(B, D, requires_grad=needs == "input")
    model.requires_grad_(needs == "weight")
    loss = model(x, torch.randint(C, (B,)))
    assert loss.requires_grad == (needs != "nothing")
    if loss.requires_grad:
        loss.backward()
    assert (x.grad is not None) == (needs == "input")
    assert (model.weight.grad is not None) == (needs == "weight")
    with torch.no_grad():
        assert not model(x, torch.randint(C, (B,))).requires_grad


@pytest.mark.parametrize("targets", [torch.empty(0, dtype=torch.int64), torch.full((4,), -100)])
def test_nothing_to_learn(targets: Tensor) -> None:
    model = CandidateLoss("sampled_softmax", D, C, Uniform(C, S, per_row=True, seed=1), store_samples=False)
    loss = model(torch.randn(len(targets), D), targets)
    loss.backward()
    assert loss == 0
    assert model.weight.grad is not None
    assert not model.weight.grad.any()


def test_several_true_classes_and_half_precision() -> None:
    found: list[Tensor] = []
    for stored in (True, False):
        torch.manual_seed(0)
        sampler = LogUniform(C, S, per_row=True, seed=1)
        model = CandidateLoss("nce", D, C, sampler, store_samples=stored, dtype=torch.bfloat16)
        x = torch.randn(B, D, dtype=torch.bfloat16, requires_grad=True)
        model(x, torch.randint(C, (B, 3)).masked_fill(torch.rand(B, 3) < 0.3, -100)).backward()
        assert x.grad is not None
        assert model.weight.grad is not None
        found.append(torch.cat([x.grad, model.weight.grad]))
    torch.testing.assert_close(*found, rtol=0.02, atol=0.002)


def test_no_more_than_a_part_is_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, ...]] = []
    counted = Uniform._counted_from  # pyright: ignore[reportPrivateUsage]

    def note(self: Any, *arguments: Any) -> Any:
        candidates = counted(self, *arguments)
        drawn.append(tuple(candidates.ids.shape))
        return candidates

    monkeypatch.setattr(Uniform, "_counted_from", note)
    model = CandidateLoss("nce", D, C, Uniform(C, S, per_row=True, seed=1), store_samples=False)
    model(torch.randn(B, D), torch.randint(C, (B,))).backward()
    assert drawn == [(3, S)] * 3 + [(2, S)]


def test_what_cannot_be_drawn_in_parts_is_refused() -> None:
    per_row = Uniform(C, S, per_row=True)
    race = Unigram([1000, 1, 1, 1, 1], 4, per_row=True, replacement=False)
    for sampler in (Uniform(C, S), InBatch(C), race):
        with pytest.raises(
            ArgumentError,
            match=r"store_samples: expected True .* one by one, got False; give a sampler such as LogUniform",
        ):
            CandidateLoss("nce", D, sampler.num_classes, sampler, store_samples=False)
    with pytest.raises(ArgumentError, match="sampler: expected one that draws for each row"):
        next(race.draw_in_parts(torch.tensor([0]), 1))
    with pytest.raises(ArgumentError, match="store_samples: expected True"):
        CandidateLoss("full_softmax", D, C, store_samples=False)
    for name, value in (("reduction", "none"), ("sparse", True), ("temperature", torch.tensor(1.0))):
        with pytest.raises(ArgumentError, match=f"{name}: expected .* where samples are not stored"):
            CandidateLoss("nce", D, C, per_row, store_samples=False, **{name: value})


def test_a_target_that_is_never_drawn_is_told() -> None:
    model = CandidateLoss("nce", D, 3, Unigram([1, 1, 0], 2, per_row=True), store_samples=False)
    with pytest.raises(ArgumentError, match="targets: expected classes that the sampler can draw, got 2"):
        model(torch.zeros(1, D), torch.tensor([2]))
