import math

import pytest
import torch
from torch import Tensor

from frequencies import assert_mean
from logq.kernels.distributions import UniformDistribution
from logq.samplers import LearnedUnigram, LogUniform, Proposal, Unigram

C, S, ROWS = 12, 4, 15_000


def distributions(**how) -> dict[str, Proposal]:
    how = {"replacement": False, "dtype": torch.float64, "seed": 3} | how
    learned = LearnedUnigram(C, S, **how)
    learned.learn(torch.arange(C).repeat_interleave(torch.arange(C)))
    return {
        "log_uniform": LogUniform(C, S, **how),
        "unigram": Unigram([*range(1, C), 0], S, **how),
        "learned_unigram": learned.eval(),
    }


def counts_of(ids: Tensor) -> Tensor:
    ids = ids.view(-1, S)
    return torch.zeros(len(ids), C, dtype=torch.float64).scatter_(1, ids, 1.0)


@pytest.mark.parametrize("distribution", distributions())
@pytest.mark.parametrize("by_race", [False, True])
def test_distinct_draws_by_either_way(distribution, by_race, seed):
    """Inclusion frequency = mean of Q, and mean of 1{in S}/Q = 1, within 6.5 standard errors: a sample for each row."""
    sampler = distributions(per_row=True, seed=seed)[distribution]
    sampler._by_race = by_race
    candidates = sampler.draw(torch.arange(C).expand(ROWS, C))
    counts, q = counts_of(candidates.ids), candidates.true_log_expected_count.exp()
    possible = sampler.log_prob(torch.arange(C)) > -torch.inf
    assert bool((q[:, ~possible] == 0).all())
    assert_mean(counts - q, 0.0)
    assert_mean((counts / q)[:, possible], 1.0)
    assert torch.equal(q.gather(1, candidates.ids), candidates.log_expected_count.exp())


@pytest.mark.parametrize("distribution", distributions())
def test_both_ways_agree(distribution, seed):
    """The same inclusion frequencies and the same mean of Q, within 6.5 standard errors of the difference."""
    ways = []
    for by_race in (False, True):
        sampler = distributions(per_row=True, seed=seed + by_race)[distribution]
        sampler._by_race = by_race
        candidates = sampler.draw(torch.arange(C).expand(ROWS, C))
        ways.append(torch.cat([counts_of(candidates.ids), candidates.true_log_expected_count.exp()], dim=1))
    assert_mean(ways[0] - ways[1], 0.0)


@pytest.mark.parametrize("by_race", [False, True])
def test_one_shared_sample(by_race, seed):
    sampler = distributions(seed=seed)["unigram"]
    sampler._by_race = by_race
    draws = [sampler.draw(torch.arange(C)) for _ in range(1500)]
    counts = counts_of(torch.stack([draw.ids for draw in draws]))
    q = torch.stack([draw.true_log_expected_count.exp() for draw in draws])
    assert_mean(counts - q, 0.0)
    assert_mean((counts / q)[:, :-1], 1.0)  # the last class is never drawn


@pytest.mark.parametrize("distribution", distributions())
def test_expected_count_of_a_sample_to_come_is_close(distribution):
    """Hajek's approximation of inclusion probabilities: the sum is exact, each within 7 % here, with S = 4."""
    sampler = distributions(per_row=True)[distribution]
    approximate = sampler.log_expected_count(torch.arange(C)).exp()
    assert approximate.sum().item() == pytest.approx(S, rel=1e-9)
    exact = sampler.draw(torch.arange(C).expand(ROWS, C)).true_log_expected_count.exp().mean(dim=0)
    torch.testing.assert_close(approximate, exact, rtol=0.07, atol=0)


def test_the_way_is_chosen_by_the_distribution():
    def way(sampler: Proposal) -> str:
        return "race" if sampler._by_race else "tries"

    assert way(LogUniform(10_000, 100, replacement=False)) == "tries"
    assert way(LogUniform(10_000, 9_000, replacement=False)) == "race"
    assert way(Unigram([1e12, 1, 1, 1], 2, replacement=False)) == "race"
    assert way(Unigram([1, 1, 1, 1, 0, 0], 4, replacement=False)) == "race"


@pytest.mark.parametrize("distribution", distributions())
def test_expected_counts_with_replacement(distribution):
    sampler = distributions(replacement=True)[distribution]
    log_q = sampler.log_expected_count(torch.arange(C))
    torch.testing.assert_close(log_q.exp(), S * sampler.log_prob(torch.arange(C)).exp())
    assert torch.equal(sampler.draw(torch.arange(C)).true_log_expected_count, log_q)


def test_repr():
    assert "num_sampled=4, replacement=False, per_row=True" in repr(distributions(per_row=True)["log_uniform"])


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("distribution", distributions())
def test_the_same_distribution_with_another_number_of_draws(distribution, replacement):
    """As if it had been made with that number: the same distribution, draws for the same seed, and counts."""
    few = distributions(replacement=replacement)[distribution]
    state = few.generator.get_state()
    many = few.with_num_sampled(9)
    assert (few.num_sampled, many.num_sampled) == (S, 9)
    targets = torch.arange(C - 1)
    candidates = many.draw(targets)
    assert candidates.ids.shape == (9,)
    assert torch.equal(many.log_prob(targets), few.log_prob(targets))
    if replacement:
        wanted = 9 * few.log_prob(targets).exp()
        torch.testing.assert_close(candidates.true_log_expected_count.exp(), wanted, atol=1e-12, rtol=0)
    else:
        assert len(candidates.ids.unique()) == 9
        assert float(many.log_expected_count(torch.arange(C)).exp().sum()) == pytest.approx(9, rel=0.01)
    assert torch.equal(few.generator.get_state(), state)
    many.learn(torch.tensor([0, 0, 0]))
    assert torch.equal(few.log_prob(targets), distributions(replacement=replacement)[distribution].log_prob(targets))


def test_not_more_distinct_classes_than_there_are():
    with pytest.raises(ValueError, match="num_sampled: expected at most 11"):
        distributions()["unigram"].with_num_sampled(12)
    with pytest.raises(ValueError, match="num_sampled: expected an integer >= 1, got 0"):
        distributions()["unigram"].with_num_sampled(0)


@pytest.mark.parametrize("per_row", [False, True])
def test_distribution_and_log_prob_are_all_that_a_subclass_needs(per_row):
    class Plain(Proposal):
        def _distribution(self):
            return UniformDistribution(self.num_classes)

        def log_prob(self, ids):
            return torch.full(ids.shape, -math.log(self.num_classes), dtype=self.dtype)

    sampler = Plain(9, 5, replacement=False, per_row=per_row, seed=1)
    ids = sampler.draw(torch.tensor([3, 4])).ids
    assert all(len(set(row)) == 5 for row in ids.view(-1, 5).tolist())
    with pytest.raises(ValueError, match="num_sampled: expected at most 9"):
        Plain(9, 10, replacement=False, seed=1).draw(torch.tensor([3]))
