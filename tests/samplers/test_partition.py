import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frequencies import assert_frequencies, assert_mean
from logq.candidates import IGNORED
from logq.samplers import Partition


def cut(stream: list[int], size: int) -> tuple[list[int], list[list[int]]]:
    """A part takes targets until the next one would be the class beyond `size`."""
    starts, subsets = [0], [set()]
    for position, target in enumerate(stream):
        if target not in subsets[-1] and len(subsets[-1]) == size:
            starts.append(position)
            subsets.append(set())
        subsets[-1].add(target)
    return starts, [sorted(subset) for subset in subsets]


@given(stream=st.lists(st.integers(0, 14), min_size=1, max_size=120), size=st.integers(1, 8))
def test_from_targets_is_the_loop(stream, size):
    sampler, starts = Partition.from_targets(torch.tensor(stream), 15, size)
    assert (starts, [subset.tolist() for subset in sampler.subsets]) == cut(stream, size)
    ends = [*starts[1:], len(stream)]
    for part, (start, end, subset) in enumerate(zip(starts, ends, sampler.subsets, strict=True)):
        assert len(subset) <= size
        assert end == len(stream) or stream[end] not in subset, "the part could have been longer"
        sampler.part = part
        sampler.draw(torch.tensor(stream[start:end]))  # every target is in the subset of its part


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda s: np.array(s, dtype=np.int32)])
def test_from_targets_takes_any_whole_numbers(kind):
    sampler, starts = Partition.from_targets(kind([7, 7, 2, 5, 2, 5]), 10, 2, num_sampled=3, seed=1)
    assert starts == [0, 3]
    assert [subset.tolist() for subset in sampler.subsets] == [[2, 7], [2, 5]]
    assert sampler.draw(torch.tensor([7])).ids.shape == (3,)


def test_long_streams_are_cut_in_linear_time():
    stream = torch.randint(1000, (200_000,), generator=torch.Generator().manual_seed(1))
    sampler, starts = Partition.from_targets(stream, 1000, 50)
    assert (starts, [subset.tolist() for subset in sampler.subsets]) == cut(stream.tolist(), 50)


def test_whole_subset():
    sampler = Partition(9, [[5, 2, 7], [1]])
    candidates = sampler.draw(torch.tensor([[2, IGNORED], [7, 7]]))
    assert candidates.ids.tolist() == [2, 5, 7]
    assert candidates.log_expected_count.tolist() == [0, 0, 0]
    assert candidates.true_log_expected_count.tolist() == [[0, 0], [0, 0]]
    assert sampler.log_expected_count(torch.arange(9)).exp().tolist() == [0, 0, 1, 0, 0, 1, 0, 1, 0]
    sampler.part = 1
    assert sampler.draw(torch.tensor([1])).ids.tolist() == [1]
    assert sampler.log_expected_count(torch.arange(9)).exp().tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_drawn_with_replacement(seed):
    """Uniform within the part: chi-square of a million draws, fails with one seed in ten million."""
    sampler = Partition(9, [[0], [5, 2, 7]], num_sampled=1_000_000, seed=seed, dtype=torch.float64)
    sampler.part = 1
    candidates = sampler.draw(torch.tensor([5]))
    q = sampler.log_expected_count(torch.arange(9)).exp()
    torch.testing.assert_close(q[[2, 5, 7]], torch.full((3,), 1e6 / 3, dtype=torch.float64))
    assert_frequencies(candidates.ids, q / 1e6)


def test_drawn_without_replacement(seed):
    """S / size of the subset, exactly: mean of 1{in S} within 6.5 standard errors."""
    sampler = Partition(9, [[5, 2, 7, 8, 0]], num_sampled=3, replacement=False, seed=seed, dtype=torch.float64)
    ids = torch.stack([sampler.draw(torch.tensor([5])).ids for _ in range(3000)])
    counts = torch.zeros(3000, 9, dtype=torch.float64).scatter_(1, ids, 1.0)
    q = sampler.log_expected_count(torch.arange(9)).exp()
    torch.testing.assert_close(q[[0, 2, 5, 7, 8]], torch.full((5,), 0.6, dtype=torch.float64))
    assert_mean(counts, q)


def test_part():
    sampler = Partition(9, [[1], [2], [3]])
    assert sampler.part == 0
    sampler.part = 2
    assert sampler.part == 2
    later = Partition(9, [[1], [2], [3]])
    later.load_state_dict(sampler.state_dict())
    assert later.part == 2
    for wrong, error in ((3, ValueError), (-1, ValueError), (1.0, TypeError), ("1", TypeError)):
        with pytest.raises(error, match=r"^part: "):
            sampler.part = wrong
    assert sampler.part == 2


def test_a_target_outside_of_the_part():
    sampler = Partition(9, [[1, 2], [3]])
    with pytest.raises(ValueError, match="targets: expected classes in the subset of part 0, got 3; set `part`"):
        sampler.draw(torch.tensor([1, 3, 4]))
    sampler.part = 1
    sampler.draw(torch.tensor([3, IGNORED]))


@pytest.mark.parametrize(
    ("subsets", "error", "message"),
    [
        ([], ValueError, "subsets: expected at least one, got none"),
        (None, TypeError, "subsets: expected a list of subsets, got NoneType"),
        ([[1], []], ValueError, "subsets[1]: expected distinct class ids of shape (N,), N >= 1, got []"),
        ([[1, 2, 1]], ValueError, "subsets[0]: expected distinct class ids"),
        ([[[1, 2]]], ValueError, "subsets[0]: expected distinct class ids"),
        ([[1], [9]], ValueError, "subsets[1]: expected class ids in [0, 9), got 9 at position (0,)"),
        ([[0.5]], TypeError, "subsets[0]: expected integers, got list of float64"),
        ([["a"]], TypeError, "subsets[0]: expected integers"),
        ([1, 2], ValueError, "subsets[0]: expected distinct class ids"),
    ],
)
def test_wrong_subsets(subsets, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        Partition(9, subsets)


def test_more_distinct_classes_than_a_part_has():
    with pytest.raises(ValueError, match=r"num_sampled: expected at most 2, the size of subsets\[1\]"):
        Partition(9, [[1, 2, 3], [4, 5]], num_sampled=3, replacement=False)
    Partition(9, [[1, 2, 3], [4, 5]], num_sampled=3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, IGNORED], 9, 2), ValueError, "targets: expected class ids in [0, 9), got -100 at position (1,)"),
        (([1, 9], 9, 2), ValueError, "targets: expected class ids in [0, 9), got 9"),
        (([], 9, 2), ValueError, "targets: expected shape (N,) with N >= 1, got (0,)"),
        (([[1]], 9, 2), ValueError, "targets: expected shape (N,) with N >= 1, got (1, 1)"),
        (([1.0], 9, 2), TypeError, "targets: expected integers, got list of float64"),
        (([1], 9, 0), ValueError, "size: expected an integer >= 1, got 0"),
        (([1], 0, 1), ValueError, "num_classes: expected an integer >= 1, got 0"),
    ],
)
def test_wrong_streams(arguments, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        Partition.from_targets(*arguments)
