"""Refined softmax: its normalizer is unbiased, and what it learns is that of large samples; by enumeration.

All samples that a design can give are gone through with their probabilities, in float64, so that equal means rounding.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor

from logq.candidates import Candidates
from logq.objectives import OBJECTIVES, REFINED_SOFTMAX, SAMPLED_SOFTMAX
from logq.samplers import InBatch, Mixture, Uniform, Unigram

F = torch.tensor([0.3, -1.0, 2.0, 0.5, -0.2], dtype=torch.float64)
Q = torch.tensor([0.4, 0.2, 0.05, 0.05, 0.3], dtype=torch.float64)
C = len(F)
P = F.softmax(0)

Sample = tuple[tuple[int, ...], float]


def with_replacement(size: int) -> tuple[list[Sample], Tensor]:
    """Independent draws: each sample with its probability, and the expected counts."""
    every = itertools.product(range(C), repeat=size)
    return [(ids, math.prod(Q[y].item() for y in ids)) for ids in every], size * Q


def uniform_sets(size: int) -> tuple[list[Sample], Tensor]:
    """Sets of different classes, all as probable."""
    every = list(itertools.combinations(range(C), size))
    return [(ids, 1 / len(every)) for ids in every], torch.full((C,), size / C, dtype=torch.float64)


def included_apart(rate: float) -> tuple[list[Sample], Tensor]:
    """Each class is there or not, whatever the others are."""
    chances = (rate * Q / Q.max()).tolist()
    samples: list[Sample] = []
    for inside in itertools.product([False, True], repeat=C):
        ids = tuple(y for y in range(C) if inside[y])
        samples.append((ids, math.prod(p if there else 1 - p for p, there in zip(chances, inside, strict=True))))
    return samples, torch.tensor(chances, dtype=torch.float64)


DESIGNS = {
    "1 draw": with_replacement(1),
    "2 draws": with_replacement(2),
    "4 draws": with_replacement(4),
    "a set of 2": uniform_sets(2),
    "a set of 4": uniform_sets(4),
    "each apart": included_apart(0.7),
}


def candidates_of(ids: tuple[int, ...], counts: Tensor, true: int) -> Candidates:
    named, target = torch.tensor(ids, dtype=torch.int64), torch.tensor([true])
    return Candidates(named, counts[named].log(), target, counts[target].log())


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("true", range(C))
def test_the_normalizer_is_unbiased(name: str, true: int) -> None:
    """Without the distribution of draws that are not the true class, which the paper needs: counts take its place."""
    samples, counts = DESIGNS[name]
    mean = 0.0
    for ids, probability in samples:
        loss = REFINED_SOFTMAX(F[[true]], F[list(ids)][None], candidates_of(ids, counts, true))
        mean += probability * math.exp(loss.item() + F[true].item())
    assert mean == pytest.approx(F.exp().sum().item(), rel=1e-12)


@pytest.mark.parametrize("true", [0, 2])
def test_the_usual_row_estimates_something_else(true: int) -> None:
    """The assertion above can fail."""
    samples, counts = DESIGNS["2 draws"]
    mean = 0.0
    for ids, probability in samples:
        loss = SAMPLED_SOFTMAX(F[[true]], F[list(ids)][None], candidates_of(ids, counts, true))
        mean += probability * math.exp(loss.item() + F[true].item())
    assert abs(mean / F.exp().sum().item() - 1) > 0.05


def expected_gradient(name: str, design: str) -> Tensor:
    """By F, of the loss at targets that follow P: 0 for the full softmax."""
    total = torch.zeros(C, dtype=torch.float64)
    samples, counts = DESIGNS[design]
    for true in range(C):
        for ids, probability in samples:
            f = F.clone().requires_grad_()
            loss = OBJECTIVES[name](f[[true]], f[list(ids)][None], candidates_of(ids, counts, true))
            total += P[true] * probability * torch.autograd.grad(loss.sum(), f)[0]
    return total


def test_the_gradient_has_a_bias_that_falls_with_the_sample() -> None:
    """Exact samples of one and uniform sets are the usual row's alone."""
    errors = {design: expected_gradient("refined_softmax", design).norm().item() for design in DESIGNS}
    assert errors["1 draw"] > errors["2 draws"] > errors["4 draws"] > 0.01
    assert errors["a set of 2"] > errors["a set of 4"]
    for exact in ("1 draw", "a set of 2", "each apart"):
        assert expected_gradient("sampled_softmax", exact).norm() < 1e-12


@pytest.mark.parametrize("per_row", [False, True])
def test_the_papers_loss_has_the_same_gradient(per_row: bool) -> None:
    """-sg(1 - P_t) log( exp(F_t) / sum_{s != t} exp(F_s) / Q_s ), with P_t of the sample itself."""
    targets = torch.tensor([1, 4, 2])
    candidates = Unigram(Q * 100, 6, per_row=per_row, seed=1, dtype=torch.float64).draw(targets)
    f = torch.randn(3, C, dtype=torch.float64, requires_grad=True)
    ids = candidates.ids.expand(3, -1)
    true, sampled = f.gather(1, targets[:, None])[:, 0], f.gather(1, ids)
    of_ours = torch.autograd.grad(REFINED_SOFTMAX(true, sampled, candidates).sum(), f, retain_graph=True)[0]
    others = (sampled - candidates.log_expected_count).masked_fill(candidates.hits(), -torch.inf).logsumexp(1)
    share = torch.sigmoid(others - true).detach()  # 1 - P_t
    of_paper = torch.autograd.grad((share * (others - true)).sum(), f)[0]
    torch.testing.assert_close(of_ours, of_paper, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["in batch", "mixture"])
def test_every_sampler_with_expected_counts_will_do(kind: str) -> None:
    """The mean of the normalizer over many draws, of which each fails by chance in fewer than one seed of 10,000."""
    targets = torch.tensor([0, 1, 2, 3, 4, 0, 0, 4])
    sampler = (
        InBatch(C, counts=Q * 100) if kind == "in batch" else Mixture([Uniform(C, 3, seed=1), Unigram(Q, 3, seed=2)])
    )
    sampler = sampler.double()
    total, rounds = torch.zeros(8, dtype=torch.float64), 4000
    g = torch.Generator().manual_seed(7)
    for _ in range(rounds):
        if kind == "in batch":
            targets = torch.multinomial(Q, 8, replacement=True, generator=g)
            targets[0] = 2
        candidates = sampler.draw(targets)
        losses = REFINED_SOFTMAX(F[targets], F[candidates.ids].expand(8, -1), candidates)
        total += (losses + F[targets]).exp()
    found = (total / rounds)[0].item()
    assert found == pytest.approx(F.exp().sum().item(), rel=0.05)
