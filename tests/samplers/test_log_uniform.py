import math
from pathlib import Path

import numpy as np
import pytest
import torch

from frequencies import assert_frequencies
from logq.samplers import LogUniform
from logq.samplers.distinct_draws import expected_tries

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "tf_samplers.npz")


def test_expected_counts_of_tensorflow():
    """tf.random.log_uniform_candidate_sampler(unique=False, num_sampled=4, range_max=10), to 1e-6."""
    candidates = LogUniform(10, 4).draw(torch.arange(10))
    np.testing.assert_allclose(
        candidates.true_log_expected_count.exp(), GOLDEN["loguniform10_S4_nonunique"][0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("num_classes", [1, 2, 10, 50_000])
def test_the_distribution(num_classes, seed):
    """The formula, its sum, and a million draws (fails with one seed in ten million)."""
    sampler = LogUniform(num_classes, 1_000_000, seed=seed, dtype=torch.float64)
    q = sampler.log_prob(torch.arange(num_classes)).exp()
    by_hand = [math.log((y + 2) / (y + 1)) / math.log(num_classes + 1) for y in range(num_classes)]
    np.testing.assert_allclose(q, by_hand, rtol=1e-9)
    assert q.sum().item() == pytest.approx(1, abs=1e-12)
    assert_frequencies(sampler.draw(torch.tensor([0])).ids, q)


def test_single_precision_at_large_ids():
    """A quotient (y + 2) / (y + 1) would be 1 here, and its logarithm 0."""
    ids = torch.tensor([1 << 24, 1 << 30, (1 << 31) - 1])
    single, double = (LogUniform(1 << 31, 1, dtype=d).log_prob(ids).double() for d in (torch.float32, torch.float64))
    torch.testing.assert_close(single, double, rtol=0, atol=1e-5)


def test_large_ids_leave_no_gaps(seed):
    """Odd and even ids beyond 2^24 are drawn alike, within 5 standard errors: fails with one seed in 1.7 million."""
    ids = LogUniform(1 << 40, 100_000, seed=seed).draw(torch.tensor([0])).ids
    large = ids[(ids > 1 << 24) & (ids < 1 << 30)]
    assert abs(float((large % 2).double().mean()) - 0.5) < 5 * 0.5 / len(large) ** 0.5


def test_more_distinct_classes_than_there_are():
    with pytest.raises(ValueError, match="num_sampled: expected at most 10, the number of classes that can be drawn"):
        LogUniform(10, 11, replacement=False)
    ids = LogUniform(10, 10, replacement=False, seed=1).draw(torch.tensor([0])).ids
    assert ids.sort().values.tolist() == list(range(10))


def test_few_numbers_stand_for_many_classes():
    """The number of tries, from which expected counts of distinct draws follow, is that of the sum over classes."""
    for num_classes in (1 << 16, 100_003, 1 << 20):
        for num_sampled in (1, 100, 20_000):
            sampler = LogUniform(num_classes, num_sampled, replacement=False, dtype=torch.float64)
            p, number = sampler._grouped_probabilities()
            assert len(p) < 40_000
            assert float(number.sum()) == pytest.approx(num_classes, rel=1e-12)
            expected = expected_tries(sampler._all_probabilities(), num_sampled)
            assert expected_tries(p, num_sampled, number) == pytest.approx(expected, rel=1e-10)


def test_more_classes_than_memory_has_numbers():
    sampler = LogUniform(1 << 50, 1000, replacement=False, seed=1)
    candidates = sampler.draw(torch.tensor([0, (1 << 50) - 1]))
    assert candidates.ids.unique().numel() == 1000
    log_q = sampler.log_expected_count(torch.tensor([0, 100, 1 << 40]))
    assert (log_q.diff() < 0).all()
    assert log_q.exp().max() <= 1
