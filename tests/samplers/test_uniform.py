from pathlib import Path

import numpy as np
import pytest
import torch

from frequencies import assert_frequencies, assert_mean
from logq.samplers import Uniform

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "tf_samplers.npz")


def test_expected_counts_of_tensorflow():
    """tf.random.uniform_candidate_sampler(unique=False, num_sampled=4, range_max=10), single precision, to 1e-6."""
    candidates = Uniform(10, 4).draw(torch.arange(10))
    np.testing.assert_allclose(
        candidates.true_log_expected_count.exp(), GOLDEN["uniform10_S4_nonunique"][0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize(("num_classes", "num_sampled"), [(1, 1), (2, 1), (2, 2), (7, 3), (7, 6), (7, 7)])
def test_s_over_c_exactly(num_classes, num_sampled, replacement):
    sampler = Uniform(num_classes, num_sampled, replacement=replacement, dtype=torch.float64)
    candidates = sampler.draw(torch.arange(num_classes))
    expected = torch.tensor(num_sampled / num_classes, dtype=torch.float64).log()
    assert bool((candidates.true_log_expected_count == expected).all())
    assert bool((candidates.log_expected_count == expected).all())
    assert torch.equal(candidates.true_log_expected_count, sampler.log_expected_count(torch.arange(num_classes)))


@pytest.mark.parametrize("num_sampled", [2, 3, 5])  # by tries, and more than half of the classes by a permutation
def test_all_sets_are_equally_likely(num_sampled, seed):
    """Chi-square over the sets; fails with one seed in ten million."""
    ids = Uniform(6, num_sampled, replacement=False, per_row=True, seed=seed).draw(torch.zeros(50_000).long()).ids
    bits = (1 << ids).sum(dim=1)
    sets, number = bits.unique(return_inverse=True)
    assert len(sets) == {2: 15, 3: 20, 5: 6}[num_sampled]
    assert_frequencies(number, torch.full((len(sets),), 1 / len(sets)))


def test_mean_count_is_exact(seed):
    ids = Uniform(6, 4, replacement=False, per_row=True, seed=seed).draw(torch.zeros(50_000).long()).ids
    assert_mean(torch.zeros(50_000, 6).scatter_(1, ids, 1.0), 4 / 6)


def test_everything_and_nothing_more():
    ids = Uniform(5, 5, replacement=False, seed=1).draw(torch.tensor([0])).ids
    assert ids.sort().values.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="num_sampled: expected at most num_classes = 5 without replacement, got 6"):
        Uniform(5, 6, replacement=False)
    assert Uniform(5, 6).draw(torch.tensor([0])).ids.shape == (6,)


def test_more_classes_than_memory():
    ids = Uniform(1 << 50, 1000, replacement=False, seed=1).draw(torch.tensor([0])).ids
    assert ids.unique().numel() == 1000
    assert int(ids.max()) > 1 << 49
