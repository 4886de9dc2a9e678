"""WithinGroup against a loop over groups. What holds for all samplers is in test_contract.py."""

import math

import numpy as np
import pytest
import torch

from frequencies import assert_frequencies
from logq.candidates import IGNORED
from logq.samplers import Mixture, Prefetch, Uniform, WithinGroup

COUNTS = [4.0, 1.0, 0.0, 2.0, 9.0, 3.0, 0.0]
GROUPS = [0, 2, 2, 0, 5, 2, 0]


def probabilities(power):
    weights = np.array([count**power if count else 0.0 for count in COUNTS])
    return np.array(
        [
            w / sum(v for v, other in zip(weights, GROUPS, strict=True) if other == g)
            for w, g in zip(weights, GROUPS, strict=True)
        ]
    )


@pytest.mark.parametrize("power", [1.0, 0.75, 0.0, -0.5])
def test_draws_of_a_row_have_the_distribution_of_its_group(power, seed):
    """Chi-square; each fails with one seed in ten million."""
    sampler = WithinGroup(COUNTS, GROUPS, 200_000, power=power, seed=seed, dtype=torch.float64)
    expected = probabilities(power)
    candidates = sampler.draw(torch.tensor([3, 1, 4]))
    for row, group in enumerate([0, 2, 5]):
        inside = [q if g == group else 0.0 for q, g in zip(expected, GROUPS, strict=True)]
        assert_frequencies(candidates.ids[row], torch.tensor(inside))
        of_row = candidates.log_expected_count[row].exp() / 200_000
        torch.testing.assert_close(of_row, torch.tensor(inside, dtype=torch.float64)[candidates.ids[row]])
    assert candidates.true_log_expected_count.exp().tolist() == pytest.approx(200_000 * expected[[3, 1, 4]])
    of_own_group = sampler.log_expected_count(torch.arange(7)).exp() / 200_000
    assert of_own_group.tolist() == pytest.approx(expected.tolist())


def test_the_first_true_class_says_which_group():
    sampler = WithinGroup(COUNTS, GROUPS, 8, seed=1)
    candidates = sampler.draw(torch.tensor([[IGNORED, 5], [4, 5], [IGNORED, IGNORED]]))
    assert set(candidates.ids[0].tolist()) <= {1, 5}
    assert set(candidates.ids[1].tolist()) == {4}
    assert candidates.true_log_expected_count.isinf().tolist() == [[False, False], [False, True], [False, False]]
    assert candidates.log_expected_count[1].tolist() == pytest.approx([math.log(8)] * 8)


def test_the_groups_of_rows_may_be_given():
    sampler = WithinGroup(COUNTS, GROUPS, 8, seed=1)
    groups = torch.tensor([2, 0])
    candidates = sampler.draw(torch.tensor([4, 3]), groups=groups)
    assert set(candidates.ids[0].tolist()) <= {1, 5}
    assert set(candidates.ids[1].tolist()) <= {0, 3}
    assert candidates.true_log_expected_count.isinf().tolist() == [True, False]
    with pytest.raises(ValueError, match="targets: expected classes that the sampler can draw, got 4"):
        sampler.draw(torch.tensor([4, 3]), groups=groups, need_log_q=True)
    own = sampler.draw(torch.tensor([4, 3]))  # nothing is remembered
    assert own.true_log_expected_count.isfinite().all()


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ([2], r"groups: expected int64 of shape \(2,\)"),
        ([2, 1], "groups.*got 1"),
        ([0, 6], "got 6"),
        ([-1, 0], "got -1"),
    ],
)
def test_groups_of_rows_are_checked(groups, match):
    within = WithinGroup(COUNTS, GROUPS, 8, seed=1)
    for sampler in (within, Mixture([Uniform(7, 2, seed=1), within])):
        with pytest.raises(ValueError, match=match):
            sampler.draw(torch.tensor([4, 3]), groups=torch.tensor(groups))


def test_groups_for_a_sampler_that_knows_of_none_are_refused():
    for sampler in (Uniform(7, 2), Mixture([Uniform(7, 2), Uniform(7, 3)]), Prefetch(Uniform(7, 2))):
        with pytest.raises(ValueError, match=r"^groups: expected None, as "):
            sampler.draw(torch.tensor([4, 3]), groups=torch.tensor([0, 0]))


def test_in_a_mixture_counts_are_those_of_row_and_class():
    sampler = Mixture([Uniform(7, 6, seed=1), WithinGroup(COUNTS, GROUPS, 4, seed=2)])
    candidates = sampler.draw(torch.tensor([4, 1]))
    q = probabilities(1.0)
    for row, group in enumerate([5, 2]):
        for column, item in enumerate(candidates.ids[row].tolist()):
            expected = 6 / 7 + (4 * q[item] if GROUPS[item] == group else 0)
            assert candidates.log_expected_count[row, column].exp().item() == pytest.approx(expected, rel=1e-5)
    ids = sampler.draw(torch.tensor([4, 1]), groups=torch.tensor([2, 0])).ids[:, 6:]
    assert [{GROUPS[item] for item in row} for row in ids.tolist()] == [{2}, {0}]


def test_a_thousand_groups_of_very_different_weight(seed):
    groups = torch.arange(1000).repeat_interleave(2)
    counts = (torch.rand(1000, generator=torch.Generator().manual_seed(1)) * 40 - 20).exp().repeat_interleave(2)
    counts[1::2] *= 3
    sampler = WithinGroup(counts, groups, 400, seed=seed)
    ids = sampler.draw(torch.arange(0, 2000, 2)).ids
    assert bool((groups[ids] == torch.arange(1000)[:, None]).all())
    share = (ids % 2).double().mean(dim=1)
    assert abs(share.mean().item() - 0.75) < 5 * math.sqrt(0.75 * 0.25 / 400_000)  # fails once in 1.7 million
    assert share.min() > 0.55  # nine standard deviations
    sampler.float()
    assert sampler.edges.dtype == torch.int64


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (([1, 0, 1], [0, 1, 0], 3), ValueError, "counts.*all of group 1 are 0"),
        (([1, 1], [0], 3), ValueError, r"groups: expected shape \(2,\)"),
        (([1, 1], [0, -2], 3), ValueError, "groups.*-2 for class 1"),
        (([1, 1], [0.5, 1], 3), TypeError, "groups"),
        (([1, -1], [0, 1], 3), ValueError, "counts"),
        (([1, 1], [0, 1], 0), ValueError, "num_sampled"),
    ],
)
def test_bad_arguments_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        WithinGroup(*arguments)


def test_names_of_groups_may_be_large_numbers():
    # A table over the range of names would take 16 GB.
    names = [2**31 - 1 if group == 5 else 1000 * group for group in GROUPS]
    named, plain = WithinGroup(COUNTS, names, 50, seed=1), WithinGroup(COUNTS, GROUPS, 50, seed=1)
    assert named.num_groups == plain.num_groups == 3
    targets = torch.tensor([1, 4, 0])
    assert torch.equal(named.draw(targets).ids, plain.draw(targets).ids)
    by_name = named.draw(targets, groups=torch.tensor([2**31 - 1, 0, 2000]))
    assert torch.equal(by_name.ids, plain.draw(targets, groups=torch.tensor([5, 0, 2])).ids)
    with pytest.raises(ValueError, match="counts: expected a positive count in each group, all of group 2000 are 0"):
        WithinGroup([1.0, 0.0], [7, 2000], 5)


def test_the_size_of_a_sample_is_s_ahead_of_the_draw_too():
    assert WithinGroup(COUNTS, GROUPS, 6).sample_size() == 6
    assert Prefetch(Uniform(9, 5)).sample_size() == 5
