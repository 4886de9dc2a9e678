"""Samples of models in parts: each process has a part of the counts, and the sample of all has its exact log Q."""

from typing import Any

import numpy as np
import pytest
import torch

from frequencies import SEED, assert_frequencies
from logq.candidates import IGNORED, Candidates
from logq.distributed.placing import Placing
from logq.distributed.stratified import strata
from logq.distributed.stratified_draws import StratifiedDraws, stratified_draws
from logq.functional.named_losses import nce_loss
from logq.processes import world
from logq.samplers import InBatch, LearnedUnigram, LogUniform, Mixture, Proposal, Sampler, Uniform, Unigram
from processes import together

C, S = 501, 24
FEW = 7
"""Classes of which every sample of two is enumerated."""


def counts(classes: int = C) -> torch.Tensor:
    return 1000 / (torch.arange(classes, dtype=torch.float64) + 1)


def one_for_all(name: str) -> Proposal:
    options: dict[str, Any] = {"seed": SEED + 1, "dtype": torch.float64}
    if name == "few":
        return Unigram(counts(FEW), 2, **options)
    if "unigram" in name:
        return Unigram(counts(), S, power=0.75, replacement="distinct" not in name, **options)
    return {"uniform": Uniform, "log_uniform": LogUniform}[name](C, S, **options)


WITH_REPLACEMENT = ("unigram", "log_uniform", "uniform")


def drawn() -> dict[str, Any]:
    """What each of two processes finds."""
    found: dict[str, Any] = {}
    for name in (*WITH_REPLACEMENT, "unigram-distinct", "few"):
        sampler = StratifiedDraws(one_for_all(name))
        log_q = sampler.all_log_expected_counts()
        targets = torch.tensor([[world().rank, 5], [IGNORED, 3]])
        first = sampler.draw(targets)
        number = 250 if name in WITH_REPLACEMENT else 5
        samples = torch.stack([sampler.draw(torch.zeros(0, dtype=torch.int64)).ids for _ in range(number)])
        assert isinstance(sampler.part.sampler, Proposal)
        found[name] = {
            "log_q": log_q,
            "asked": sampler.log_expected_count(torch.tensor([[5, 5], [0, 6 - world().rank]])),
            "first": first,
            "samples": samples,
            "tables": (sampler.own_classes, sampler.part.sampler.num_classes),
            "state": {key: value.numel() for key, value in sampler.state_dict().items()},
        }
    kept: dict[str, Sampler] = {
        "learns": LearnedUnigram(C, S),
        "for each row": Uniform(C, S, per_row=True),
        "in batch": InBatch(C, counts=counts()),
        "fewer draws than processes": Uniform(C, 1),
        "a process without": Unigram((torch.arange(C) == 0).double(), S),
        "more than a process has": Unigram(counts(4), 4, replacement=False),
    }
    mixed = stratified_draws(Mixture([InBatch(C, counts=counts(), dtype=torch.float64), one_for_all("unigram")]))
    found["mixed"] = {"first": mixed.draw(torch.tensor([world().rank, 5, 3])), "log_q": mixed.all_log_expected_counts()}
    found["kept"] = [name for name, sampler in kept.items() if stratified_draws(sampler) is not sampler]
    found["parted"] = type(stratified_draws(Uniform(C, S))).__name__
    return found


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    return together(drawn)


def expected_counts(name: str) -> torch.Tensor:
    """S_r q(y) / q(shard r), of all classes."""
    sampler = one_for_all(name)
    q = sampler.log_prob(torch.arange(sampler.num_classes)).exp()
    placing = Placing(sampler.num_classes, 2)
    shards = [placing.ids_of(rank) for rank in range(2)]
    shares = strata(torch.stack([q[ids].sum() for ids in shards]), sampler.num_sampled)
    expected = torch.empty_like(q)
    for ids, share in zip(shards, shares, strict=True):
        expected[ids] = share * q[ids] / q[ids].sum()
    return expected


@pytest.mark.parametrize("name", [*WITH_REPLACEMENT, "few"])
def test_every_process_knows_the_exact_log_q(name: str, found: list[dict[str, Any]]) -> None:
    expected = expected_counts(name).log()
    for rank, one in enumerate(each[name] for each in found):
        torch.testing.assert_close(one["log_q"], expected, rtol=0, atol=1e-7)  # an alias table has 31 bits
        asked = torch.tensor([[5, 5], [0, 6 - rank]])
        torch.testing.assert_close(one["asked"], one["log_q"][asked], rtol=0, atol=0)
        first: Candidates = one["first"]
        torch.testing.assert_close(first.log_expected_count, one["log_q"][first.ids])
        of_targets = torch.stack([one["log_q"][[rank, 5]], torch.stack([torch.tensor(0.0), one["log_q"][3]])])
        torch.testing.assert_close(first.true_log_expected_count, of_targets, check_dtype=False)


def test_in_a_mixture_the_sample_is_that_of_all(found: list[dict[str, Any]]) -> None:
    """Two other targets beside each, of this process, and S draws of all."""
    expected = (2 * counts() / counts().sum() + expected_counts("unigram")).log()
    firsts: list[Candidates] = [one["mixed"]["first"] for one in found]
    assert torch.equal(firsts[0].ids[3:], firsts[1].ids[3:])
    for rank, (one, first) in enumerate(zip(found, firsts, strict=True)):
        assert first.ids[:3].tolist() == [rank, 5, 3]
        assert len(first.ids) == 3 + S
        torch.testing.assert_close(one["mixed"]["log_q"], expected, rtol=0, atol=1e-7)
        torch.testing.assert_close(first.log_expected_count, expected[first.ids], rtol=0, atol=1e-7)
        torch.testing.assert_close(first.true_log_expected_count, expected[first.targets], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", WITH_REPLACEMENT)
def test_draws_are_as_often_as_expected(name: str, found: list[dict[str, Any]]) -> None:
    """Chi-square of 6,000 draws; fails for one seed in ten million."""
    expected = expected_counts(name)
    assert_frequencies(found[0][name]["samples"].flatten(), expected / expected.sum())


def test_all_have_one_sample_and_a_part_of_the_counts(found: list[dict[str, Any]]) -> None:
    for name in (*WITH_REPLACEMENT, "unigram-distinct"):
        one, other = (each[name] for each in found)
        assert torch.equal(one["samples"], other["samples"])
        assert torch.equal(one["first"].ids, other["first"].ids)
        assert [each[name]["tables"] for each in found] == [(251, 251), (250, 250)]
        assert one["state"] == other["state"]  # a checkpoint of one lets all go on
    for each in found:
        samples = each["unigram-distinct"]["samples"]
        assert all(len(set(row)) == S for row in samples.tolist())
        assert each["kept"] == []
        assert each["parted"] == "StratifiedDraws"


def test_the_gradient_vanishes_at_the_truth_over_all_samples(found: list[dict[str, Any]]) -> None:
    """NCE, whose logits are log P at the truth: the mean over targets and over every sample of two is 0."""
    log_q, q = found[0]["few"]["log_q"], one_for_all("few").log_prob(torch.arange(FEW)).exp()
    p = torch.tensor(np.random.default_rng(SEED).dirichlet(np.ones(FEW)))
    logits = p.log()[:, None].requires_grad_()
    shards = [Placing(FEW, 2).ids_of(rank) for rank in range(2)]
    total = torch.zeros(())
    for one in shards[0].tolist():
        for other in shards[1].tolist():
            ids, targets = torch.tensor([one, other]), torch.arange(FEW)
            candidates = Candidates(ids, log_q[ids], targets, log_q)
            chance = q[one] / q[shards[0]].sum() * q[other] / q[shards[1]].sum()
            losses = nce_loss(torch.ones(FEW, 1, dtype=torch.float64), logits, candidates, reduction="none")
            total = total + chance * (p * losses).sum()
    total.backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), rtol=0, atol=1e-8)
