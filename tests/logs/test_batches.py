"""Batches of an epoch: each example once, the same for the same seed, whatever the ranks and wherever it begins."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from frequencies import FAILURE_RATE
from logq.logs import Interactions, NextItems, epoch_batches, num_batches
from logq.logs.batches import own_batches


class Numbers:
    """Examples that are their own numbers, with lengths that vary."""

    def __init__(self, count):
        self.count = count
        self.asked = 0

    def __len__(self):
        return self.count

    def lengths(self, indices=None):
        return (np.arange(self.count)[slice(None) if indices is None else indices] * 7) % 10

    def batch(self, indices):
        self.asked += 1
        return {"number": np.array(indices)}


def numbers(*arguments, **options):
    return [batch["number"].tolist() for batch in epoch_batches(*arguments, **options)]


OPTIONS = {
    "count": st.integers(0, 40),
    "size": st.integers(1, 6),
    "bucket": st.integers(0, 3),
    "seed": st.integers(0, 9),
    "shuffle": st.booleans(),
}


@given(**OPTIONS)
def test_each_example_is_there_once(count, size, bucket, seed, shuffle):
    found = numbers(Numbers(count), size, seed=seed, bucket=bucket, shuffle=shuffle)
    assert sorted(chain(*found)) == list(range(count))
    assert [len(batch) for batch in found[:-1]] == [size] * max(len(found) - 1, 0)
    assert len(found) == num_batches(count, size) == -(-count // size)


@given(world=st.integers(1, 4), **OPTIONS)
def test_ranks_share_each_step(world, count, size, bucket, seed, shuffle):
    options = {"seed": seed, "bucket": bucket, "shuffle": shuffle, "world_size": world}
    ranks = [numbers(Numbers(count), size, rank=rank, **options) for rank in range(world)]
    assert {len(rank) for rank in ranks} == {num_batches(count, size, world)}
    whole = numbers(Numbers(count), size * world, seed=seed, bucket=bucket, shuffle=shuffle)
    for step, together in enumerate(whole):
        parts = [rank[step] for rank in ranks]
        assert all(parts)  # nobody waits for one that has nothing to do
        flat = list(chain(*parts))
        assert sorted(set(flat)) == sorted(together)
        assert len(flat) == max(len(together), world)


@given(world=st.integers(1, 4), buffer=st.integers(0, 12), **OPTIONS)
def test_own_examples_are_there_once(world, buffer, count, size, bucket, seed, shuffle):
    """With a buffer each rank has a part of its own, of which the last steps take one example at a time."""
    assume(buffer == 0 or count >= world)
    about = {"world_size": world, "buffer": buffer if shuffle else 0}
    own = []
    for rank in range(world):
        found = numbers(Numbers(count), size, rank=rank, seed=seed, bucket=bucket, shuffle=shuffle, **about)
        has_own = own_batches(count, size, rank, world, buffer=about["buffer"])
        own += [batch for step, batch in enumerate(found) if has_own(step)]
    assert sorted(chain(*own)) == list(range(count))


@given(start=st.integers(0, 12), **OPTIONS)
def test_a_run_goes_on_where_it_stopped(start, count, size, bucket, seed, shuffle):
    options = {"seed": seed, "bucket": bucket, "shuffle": shuffle, "epoch": 3}
    examples = Numbers(count)
    found = numbers(examples, size, start=start, **options)
    assert examples.asked == len(found)  # what was done is not gathered again
    assert found == numbers(Numbers(count), size, **options)[start:]


def test_epochs_and_seeds_differ():
    orders = [
        list(chain(*numbers(Numbers(50), 8, seed=seed, epoch=epoch)))
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert orders[0] == orders[3]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != list(range(50))
    assert list(chain(*numbers(Numbers(50), 8, shuffle=False))) == list(range(50))


def test_places_in_the_order_are_equally_likely(seed):
    found = [list(chain(*numbers(Numbers(5), 2, seed=seed + i))) for i in range(1000)]
    counts = np.stack([np.bincount(np.array(found)[:, place], minlength=5) for place in range(5)])
    low, high = binom.ppf([FAILURE_RATE / 50, 1 - FAILURE_RATE / 50], 1000, 1 / 5)
    assert low <= counts.min() <= counts.max() <= high


def test_buckets_keep_lengths_together():
    examples = Numbers(1000)
    spread = {}
    for bucket in (0, 10):
        found = numbers(examples, 10, bucket=bucket)
        lengths = examples.lengths()
        spread[bucket] = np.mean([np.ptp(lengths[batch]) for batch in found])
    assert spread[10] < 0.3 * spread[0]


def test_batches_come_from_mapped_files(tmp_path):
    log = Interactions.from_arrays([1, 1, 1, 2, 2, 2], [5, 6, 7, 5, 6, 7], [1, 2, 3, 4, 5, 6])
    log.save(tmp_path)
    mapped = Interactions.load(tmp_path)
    pairs = zip(epoch_batches(NextItems(log, 3), 2), epoch_batches(NextItems(mapped, 3), 2), strict=True)
    for one, other in pairs:
        assert {name: value.tolist() for name, value in one.items()} == {
            name: value.tolist() for name, value in other.items()
        }
        assert {type(value) for value in other.values()} == {np.ndarray}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected an integer >= 1"),
        ({"rank": 2, "world_size": 2}, "rank: expected an integer below world_size = 2, got 2"),
        ({"seed": -1}, "seed: expected an integer >= 0"),
        ({"start": -1}, "start: expected an integer >= 0"),
    ],
)
def test_arguments_are_checked_before_the_first_batch(options, message):
    with pytest.raises(ValueError, match=message):
        epoch_batches(Numbers(3), **{"batch_size": 2, **options})
