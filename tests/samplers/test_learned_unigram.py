from pathlib import Path

import numpy as np
import pytest
import torch

from frequencies import assert_frequencies, assert_mean
from logq.candidates import IGNORED
from logq.samplers import LearnedUnigram
from logq.samplers.distinct_draws import surely_enough

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "tf_samplers.npz")


def test_expected_counts_of_tensorflow():
    """tf.random.learned_unigram_candidate_sampler(num_sampled=4, range_max=10), three calls, to 1e-6."""
    sampler = LearnedUnigram(10, 4)
    for call in GOLDEN["learned10_S4_true_expected_calls"]:
        candidates = sampler.draw(torch.tensor([[3], [3]]))
        np.testing.assert_allclose(candidates.true_log_expected_count.exp()[:, 0], call, rtol=0, atol=1e-6)


def zipf(shape: tuple[int, ...], num_classes: int, seed: int) -> torch.Tensor:
    distribution = 1 / torch.arange(1, num_classes + 1).double()
    return torch.multinomial(
        distribution, int(np.prod(shape)), True, generator=torch.Generator().manual_seed(seed)
    ).view(shape)


@pytest.mark.parametrize("num_classes", [5, 30, 3000])
def test_the_distribution_after_thousands_of_draws(num_classes, seed):
    """(1 + n_y) / (C + n), before and after new tables; each of the looks fails with one seed in ten million."""
    sampler = LearnedUnigram(num_classes, 3, seed=seed, dtype=torch.float64)
    counts = torch.ones(num_classes, dtype=torch.float64)
    tables = set()
    for step, batch in enumerate(zipf((2000, 8), num_classes, seed)):
        sampler.draw(batch)
        counts += torch.bincount(batch, minlength=num_classes)
        tables.add(sampler.in_table)
        if step in (0, 100, 127, 128, 1000, 1999):
            q = counts / counts.sum()
            torch.testing.assert_close(sampler.log_prob(torch.arange(num_classes)).exp(), q)
            assert_frequencies(sampler._sample((300_000,), torch.Generator().manual_seed(seed + step)), q)
    assert len(tables) == 1 + 16_000 // (max(1024, num_classes) // 8 * 8 + 8)
    assert 0 < sampler.num_recent < len(sampler.recent)


def test_a_batch_longer_than_the_list(seed):
    sampler = LearnedUnigram(4, 2, seed=seed)
    sampler.draw(torch.full((5000,), 2))
    assert sampler.num_recent == 0
    assert sampler.log_prob(torch.tensor([2])).exp().item() == pytest.approx(5001 / 5004)
    assert_frequencies(sampler._sample((100_000,), sampler.generator), torch.tensor([1, 1, 5001, 1]) / 5004)


def test_ignored_entries_do_not_count():
    sampler = LearnedUnigram(4, 2)
    sampler.draw(torch.tensor([[1, IGNORED], [IGNORED, IGNORED], [3, 3]]))
    assert sampler.counts.tolist() == [1, 2, 1, 3]
    sampler.learn(torch.tensor(0))
    assert sampler.counts.tolist() == [2, 2, 1, 3]


def test_a_batch_is_drawn_from_what_was_known_before():
    candidates = LearnedUnigram(4, 8, seed=1).draw(torch.tensor([3] * 100))
    assert bool((candidates.true_log_expected_count.exp() == 2).all())
    assert candidates.ids.unique().numel() > 1


def test_loading_builds_the_table_again(seed):
    """A chi-square of draws after load_state_dict; fails with one seed in ten million."""
    sampler = LearnedUnigram(20, 2)
    sampler.draw(zipf((4000,), 20, seed))
    later = LearnedUnigram(20, 2, seed=seed)
    later.draw(torch.arange(20))
    later.load_state_dict(sampler.state_dict())
    assert list(sampler.state_dict()) == ["_extra_state"]
    assert_frequencies(later._sample((300_000,), later.generator), sampler.log_prob(torch.arange(20)).exp())


@pytest.mark.parametrize("num_sampled", [2, 6])
def test_distinct_draws_stay_exact_as_it_learns(num_sampled, seed):
    """Recent targets or none: the mean of 1{in S} - Q is 0 and that of 1{in S}/Q is 1 within 6.5 standard errors."""
    sampler = LearnedUnigram(8, num_sampled, replacement=False, per_row=True, seed=seed, dtype=torch.float64)
    for batch in (torch.empty(0, dtype=torch.int64), zipf((500,), 8, seed), zipf((5000,), 8, seed + 1)):
        sampler.learn(batch)
        candidates = sampler.eval().draw(torch.arange(8).expand(20_000, 8))
        q = candidates.true_log_expected_count.exp()
        counts = torch.zeros(20_000, 8, dtype=torch.float64).scatter_(1, candidates.ids, 1.0)
        assert_mean(counts - q, 0.0)
        assert_mean(counts / q, 1.0)


def test_expected_count_of_a_sample_to_come_follows_what_was_learned():
    """Without replacement too, where it is computed again: the sum over the classes is S."""
    sampler = LearnedUnigram(30, 7, replacement=False, dtype=torch.float64)
    for batch in zipf((5, 40), 30, 6):
        sampler.draw(batch)
        assert sampler.log_expected_count(torch.arange(30)).exp().sum().item() == pytest.approx(7, rel=1e-9)


def test_draws_that_are_enough_are_so_until_the_table_is_built_again():
    """Here all targets are one class, so that the others become less probable."""
    sampler = LearnedUnigram(200, 50, replacement=False)
    enough = sampler._surely_enough()
    sampler.learn(torch.zeros(1000, dtype=torch.int64))
    assert sampler.in_table == 200
    p, number = sampler._grouped_probabilities()
    assert surely_enough(p, 50, number) <= enough


def test_more_distinct_classes_than_there_are():
    with pytest.raises(ValueError, match="num_sampled: expected at most 5"):
        LearnedUnigram(5, 6, replacement=False)


def test_inference_mode_leaves_it_able_to_learn():
    sampler = LearnedUnigram(5, 2, seed=1)
    state = sampler.state_dict()
    with torch.inference_mode():
        sampler.load_state_dict(state)
        sampler.draw(torch.tensor([1, 2]))
    sampler.draw(torch.tensor([1, 2]))
    assert sampler.counts.tolist() == [1, 3, 3, 1, 1]
