"""The sample of all processes: its sizes, and that its expected counts are exact. Processes are played one by one."""

import pytest
import torch
from torch import Tensor

from frequencies import SEED, assert_frequencies
from logq.distributed import ShardedClassTable, Stratified
from logq.distributed.placing import Placing
from logq.distributed.stratified import strata
from logq.nn import SampledSoftmaxLoss
from logq.samplers import EveryClass, LearnedUnigram, LogUniform, Mixture, Proposal, Uniform, Unigram

C, S = 5_003, 40


def weights() -> Tensor:
    given = (torch.arange(C, dtype=torch.float64) + 1).reciprocal()
    given[17::50] = 0
    return given


def one_for_all(name: str) -> Proposal:
    options = {"seed": SEED + 1, "dtype": torch.float64}
    if name == "unigram":
        return Unigram(weights(), S, power=0.75, **options)
    if name == "learned_unigram":
        sampler = LearnedUnigram(C, S, **options)
        sampler.learn(torch.arange(C).repeat_interleave((weights() * 300).long()))
        return sampler
    kind = {"uniform": Uniform, "log_uniform": LogUniform, "uniform-distinct": Uniform}[name]
    return kind(C, S, replacement="distinct" not in name, **options)


NAMES = ["unigram", "learned_unigram", "uniform", "log_uniform", "uniform-distinct"]


def played(name: str, size: int) -> list[tuple[Stratified, Tensor]]:
    """Each process's sampler, sizes agreed, and its classes."""
    placing = Placing(C, size)
    samplers = [Stratified(one_for_all(name)) for _ in range(size)]
    for rank, sampler in enumerate(samplers):
        sampler.join(placing, rank)
    masses = torch.tensor([sampler.mass() for sampler in samplers], dtype=torch.float64)
    for sampler in samplers:
        sampler.share(masses)
    return [(sampler, placing.ids_of(rank)) for rank, sampler in enumerate(samplers)]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("name", NAMES)
def test_expected_counts_follow_the_distribution_of_all_classes(name: str, size: int) -> None:
    q = one_for_all(name).log_prob(torch.arange(C)).exp()
    total = 0.0
    for rank, (sampler, ids) in enumerate(played(name, size)):
        share = sampler.strata[rank]
        assert abs(share - S * float(q[ids].sum())) < 1
        found = sampler.own_log_expected_count(torch.arange(len(ids))).exp()
        torch.testing.assert_close(found, share * q[ids] / q[ids].sum(), rtol=1e-12, atol=0)
        total += float(found.sum())
    assert total == pytest.approx(S, rel=1e-12)


@pytest.mark.parametrize("name", ["unigram", "log_uniform"])
def test_expected_counts_are_those_of_the_alias_tables(name: str) -> None:
    """By enumeration of all cells of the tables that are drawn from; a threshold has 31 bits."""
    for rank, (sampler, ids) in enumerate(played(name, 3)):
        assert isinstance(sampler.sampler, Unigram)
        cells = sampler.sampler.table.distribution.cells
        below = cells[:, 0].double() / 2**31
        drawn = torch.zeros(len(ids), dtype=torch.float64)
        drawn.index_add_(0, torch.arange(len(ids)), below).index_add_(0, cells[:, 1].long(), 1 - below)
        expected = drawn / len(ids) * sampler.strata[rank]
        found = sampler.own_log_expected_count(torch.arange(len(ids))).exp()
        torch.testing.assert_close(found, expected, rtol=0, atol=sampler.strata[rank] * 2.0**-31)


@pytest.mark.parametrize("name", ["unigram", "learned_unigram", "uniform", "log_uniform"])
def test_draws_are_as_often_as_expected(name: str) -> None:
    """Chi-square of 80,000 draws of two processes; fails for one seed in ten million."""
    every, expected = [], torch.zeros(C, dtype=torch.float64)
    for sampler, ids in played(name, 2):
        none = torch.zeros(0, dtype=torch.int64)
        every += [ids[sampler.draw_own(none)[0]] for _ in range(2_000)]
        expected[ids] = sampler.own_log_expected_count(torch.arange(len(ids))).exp()
    assert_frequencies(torch.cat(every), expected / expected.sum())


def test_what_comes_with_a_draw_is_log_q_of_what_was_asked() -> None:
    for name in NAMES:
        for sampler, ids in played(name, 2):
            asked = torch.tensor([3, 3, 0, len(ids) - 1])
            drawn, log_q, of_asked = sampler.draw_own(asked)
            torch.testing.assert_close(log_q, sampler.own_log_expected_count(drawn), rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(of_asked, sampler.own_log_expected_count(asked), rtol=1e-12, atol=1e-12)


def test_own_counts_make_the_same_sampler_as_all_counts() -> None:
    placing = Placing(C, 3)
    whole = played("unigram", 3)
    parts = []
    for rank in range(3):
        own = weights()[placing.ids_of(rank)]
        sampler = Unigram(own, S, power=0.75, seed=SEED + 1, dtype=torch.float64)
        parts.append(Stratified(sampler, own_mass=float((own**0.75).sum())))
        parts[-1].join(placing, rank)
    masses = torch.tensor([part.mass() for part in parts], dtype=torch.float64)
    for part, (other, ids) in zip(parts, whole, strict=True):
        assert part.share(masses) == other.strata
        rows = torch.arange(len(ids))
        found = part.own_log_expected_count(rows)
        torch.testing.assert_close(found, other.own_log_expected_count(rows), rtol=1e-9, atol=1e-9)


def test_a_sampler_that_learns_counts_targets_at_their_owners_and_not_in_evaluation() -> None:
    sampler = played("learned_unigram", 2)[0][0]
    before = sampler.mass()
    sampler.learn_own(torch.tensor([5, 9]), torch.tensor([3, 0]))
    assert sampler.mass() == before + 3
    sampler.train()
    assert sampler.sampler is not None
    assert not sampler.sampler.training  # or a draw would learn what was asked, once for each process that asks


def test_sizes_add_up() -> None:
    generator = torch.Generator().manual_seed(0)
    for size in (1, 2, 7, 64):
        masses = torch.rand(size, generator=generator, dtype=torch.float64).pow(8)
        for sampled in (size, 2 * size + 1, 1000):
            found = strata(masses, sampled)
            assert sum(found) == sampled
            assert min(found) >= 1
    assert strata(torch.tensor([0.0, 2.0]), 5) == [0, 5]


def test_equal_classes_are_drawn_by_how_many_a_process_has() -> None:
    placing = Placing(10, 4)
    sampler = Stratified(Uniform(10, 20))
    sampler.join(placing, 3)
    masses = [float(len(placing.range_of(rank))) for rank in range(4)]
    assert sampler.mass() == masses[3] == 1
    assert sampler.share(torch.tensor(masses, dtype=torch.float64)) == [6, 6, 6, 2]


def test_a_process_without_a_class_that_can_be_drawn_draws_none() -> None:
    placing = Placing(C, 2)
    only = torch.zeros(C)
    only[placing.ids_of(1)[:9]] = 1
    sampler = Stratified(Unigram(only, S))
    sampler.join(placing, 0)
    assert sampler.mass() == 0
    sampler.share(torch.tensor([0.0, 1.0]))
    drawn, _, of_asked = sampler.draw_own(torch.tensor([4]))
    assert not len(drawn)
    assert of_asked.tolist() == [-float("inf")]


def test_what_cannot_be_is_said() -> None:
    for sampler, message in (
        (EveryClass(9), "sampler: expected one with a distribution, such as Uniform or Unigram, got EveryClass"),
        (Mixture([Uniform(9, 2)]), "got Mixture"),
        (Uniform(9, 2, per_row=True), "sampler: expected one sample for the batch, got per_row=True"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            Stratified(sampler)  # pyright: ignore[reportArgumentType]
    table = ShardedClassTable(C, 2)
    with pytest.raises(ValueError, match="num_classes = 5003, got 9"):
        SampledSoftmaxLoss(table, Stratified(Uniform(9, 2)))
    with pytest.raises(TypeError, match=r"Stratified beside a ShardedClassTable, got Uniform; Stratified\(Uniform"):
        SampledSoftmaxLoss(table, Uniform(C, 2))
    with pytest.raises(ValueError, match="at least 2, one for each process, got 1"):
        strata(torch.ones(2), 1)
    with pytest.raises(ValueError, match="Stratified beside a ShardedClassTable"):
        SampledSoftmaxLoss(2, C, Stratified(Uniform(C, 2)))(torch.zeros(1, 2), torch.tensor([1]))
