import re

import pytest
import torch

from frequencies import assert_mean
from logq.candidates import Candidates
from logq.samplers import InBatch, LearnedUnigram, LogUniform, Mixture, Partition, Uniform, Unigram

C = 10
DISTRIBUTION = torch.arange(1, C + 1).double() / 55


def in_row_0(candidates: Candidates) -> torch.Tensor:
    """(C,) how often each class stands in the sample of the first row, without what is excluded there."""
    ids = candidates.ids if candidates.ids.dim() == 1 else candidates.ids[0]
    kept = torch.ones(len(ids)) if candidates.excluded is None else (~candidates.excluded[0]).float()
    return torch.zeros(C).scatter_add_(0, ids, kept)


@pytest.mark.parametrize("per_row", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_expected_counts_are_the_sums(per_row, seed):
    """Mean of count - Q is 0 within 6.5 standard errors, with any of the parts drawing for each row."""
    samplers = [
        Uniform(C, 3, per_row=0 in per_row),
        Unigram(DISTRIBUTION, 2, per_row=1 in per_row),
        LogUniform(C, 2, replacement=False, per_row=2 in per_row),
    ]
    sampler = Mixture(samplers, seed=seed)
    targets = torch.arange(C).expand(2, C)
    draws = [sampler.draw(targets) for _ in range(700)]
    assert draws[0].ids.shape == ((2, 7) if per_row else (7,))
    q = torch.stack([draw.true_log_expected_count[0].exp() for draw in draws])
    assert_mean(torch.stack([in_row_0(draw) for draw in draws]) - q, 0.0)


def test_the_sum_without_chance():
    a, b = Uniform(C, 3, dtype=torch.float64), Unigram(DISTRIBUTION, 2, dtype=torch.float64)
    candidates = Mixture([a, b]).draw(torch.arange(C))
    expected = 3 / C + 2 * DISTRIBUTION
    torch.testing.assert_close(candidates.true_log_expected_count.exp(), expected)
    torch.testing.assert_close(candidates.log_expected_count.exp(), expected[candidates.ids])
    torch.testing.assert_close(Mixture([a, b]).log_expected_count(torch.arange(C)).exp(), expected)


def test_shared_samples_are_repeated_for_each_row():
    candidates = Mixture([Uniform(C, 3), Unigram(DISTRIBUTION, 2, per_row=True)], seed=1).draw(torch.zeros(50).long())
    assert candidates.ids.shape == candidates.log_expected_count.shape == (50, 5)
    assert bool((candidates.ids[:, :3] == candidates.ids[0, :3]).all())
    assert not bool((candidates.ids[:, 3:] == candidates.ids[0, 3:]).all())
    assert candidates.excluded is None


@pytest.mark.parametrize("per_row", [False, True])
def test_in_batch_part(per_row, seed):
    """Yang et al.: a row's own targets are excluded, and only in the columns of the in-batch part.

    The mean count of each class in the first row is the expected one, within 6.5 standard errors.
    """
    sampler = Mixture([Uniform(C, 3, per_row=per_row), InBatch(C, counts=DISTRIBUTION), Uniform(C, 2)], seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    draws = []
    for _ in range(1000):
        targets = torch.multinomial(DISTRIBUTION, 6, True, generator=generator)
        draws.append(sampler.draw(targets))
    for draw in draws[:5]:
        assert torch.equal(draw.ids.expand(6, -1)[:, 3:9], draw.targets.expand(6, 6))
        assert draw.excluded is not None
        assert draw.excluded.shape == (6, 11)
        assert torch.equal(draw.excluded[:, 3:9], torch.eye(6, dtype=torch.bool))
        assert not bool(draw.excluded[:, :3].any())
        assert not bool(draw.excluded[:, 9:].any())
    expected = sampler.log_expected_count(torch.arange(C)).exp()
    torch.testing.assert_close(expected.double(), 5 / C + 5 * DISTRIBUTION, rtol=1e-6, atol=0)
    assert_mean(torch.stack([in_row_0(draw) for draw in draws]), expected)


def test_one_generator_for_all_parts():
    """Parts with the same seed are independent, and the mixture's generator is the state of all of them."""
    one, other = Uniform(1000, 50, seed=1), Uniform(1000, 50, seed=1)
    sampler = Mixture([one, other])
    ids = sampler.draw(torch.tensor([0])).ids
    assert not torch.equal(ids[:50], ids[50:])
    state = sampler.generator.get_state()
    again = sampler.draw(torch.tensor([0])).ids
    sampler.generator.set_state(state)
    assert torch.equal(sampler.draw(torch.tensor([0])).ids, again)


def test_seed():
    assert Mixture([Uniform(C, 2), Uniform(C, 2, seed=4)]).seed == 4
    assert Mixture([Uniform(C, 2), Uniform(C, 2, seed=4)], seed=0).seed == 0
    assert Mixture([Uniform(C, 2)]).seed is None


def test_parts_learn_once_in_training_and_not_in_eval():
    sampler = Mixture([LearnedUnigram(C, 2), InBatch(C)])
    learned, in_batch = sampler.parts
    sampler.draw(torch.tensor([1, 1, 2]))
    assert learned.counts.tolist()[:3] == [1, 3, 2]
    assert int(in_batch.seen) == 3
    sampler.eval().draw(torch.tensor([1, 1, 2]))
    assert learned.counts.tolist()[:3] == [1, 3, 2]
    assert int(in_batch.seen) == 3


def test_classes_that_one_part_only_draws():
    sampler = Mixture([Partition(4, [[0, 1]]), Unigram([0, 1, 1, 0], 2)])
    log_q = sampler.log_expected_count(torch.arange(4))
    torch.testing.assert_close(log_q.exp(), torch.tensor([1.0, 2.0, 1.0, 0.0]))
    assert log_q[3] == -torch.inf


def test_mixtures_of_mixtures_and_the_wider_dtype():
    inner = Mixture([Uniform(C, 3, dtype=torch.float64), Uniform(C, 2)])
    sampler = Mixture([Uniform(C, 1), inner])
    assert sampler.dtype == torch.float64
    torch.testing.assert_close(sampler.log_expected_count(torch.tensor([0])).exp().item(), 0.6)
    assert sampler.draw(torch.tensor([0])).ids.shape == (6,)


@pytest.mark.parametrize(
    ("samplers", "error", "message"),
    [
        ([], ValueError, "expected at least one, got none"),
        (None, TypeError, "expected a list of samplers, got NoneType"),
        (Uniform(3, 1), TypeError, "expected a list of samplers, got Uniform"),
        ([Uniform(3, 1), "uniform"], TypeError, "expected samplers, got str"),
        ([Uniform(3, 1), Uniform(4, 1)], ValueError, "expected samplers with the same num_classes, got [3, 4]"),
    ],
)
def test_wrong_parts(samplers, error, message):
    with pytest.raises(error, match="^samplers: " + re.escape(message)):
        Mixture(samplers)


def test_a_part_in_evaluation_mode_learns_nothing():
    learned, batch = LearnedUnigram(5, 2, seed=1), InBatch(5)
    mixture = Mixture([learned, batch])
    learned.eval()
    batch.eval()
    mixture.draw(torch.tensor([1, 1, 2]))
    assert learned.counts.tolist() == [1, 1, 1, 1, 1]
    assert int(batch.seen) == 0
    mixture.train()
    mixture.draw(torch.tensor([1, 1, 2]))
    assert learned.counts.tolist() == [1, 3, 2, 1, 1]
    assert int(batch.seen) == 3
