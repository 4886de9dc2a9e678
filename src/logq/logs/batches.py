"""Batches of an epoch: shuffled by a seed, divided among ranks, and resumed at any step."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, check_bool, check_int
from logq.logs.buffered_order import BufferedOrder
from logq.logs.examples import Examples
from logq.logs.identifiers import code_type

__all__ = ["BUFFER", "epoch_batches", "num_batches", "own_batches"]

BUFFER = 1 << 20
"""Examples of a mapped log that are shuffled together."""


def num_batches(count: int, batch_size: int, world_size: int = 1) -> int:
    """Return the number of batches of an epoch on each rank: ceil(count / (batch_size world_size)).

    Example:
        >>> num_batches(10, 4), num_batches(10, 4, world_size=2)
        (3, 2)
    """
    return -(-count // (batch_size * world_size))


def own_batches(count: int, batch_size: int, rank: int, world_size: int, *, buffer: int = 0) -> "Callable[[int], bool]":
    """Return what says of a step of `epoch_batches` whether a rank has examples of its own in it.

    Where it has none, its batch is an example that is learned from elsewhere, and whose target is not to count.

    Example:
        >>> [own_batches(5, 2, rank, 2)(1) for rank in (0, 1)]
        [True, False]
    """
    if 0 < buffer < count:
        return _Share(count, batch_size, rank, world_size).has
    return lambda step: rank < count - step * batch_size * world_size


def epoch_batches(
    examples: Examples,
    batch_size: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world_size: int = 1,
    start: int = 0,
    bucket: int = 0,
    shuffle: bool = True,
    buffer: int = 0,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield all examples once, in batches; their order is a function of (seed, epoch) alone.

    All ranks follow the same order and each takes its share of every step, so they make the same number of steps; the
    last batch may be smaller. If fewer examples than ranks remain at the end, some ranks get one that another has too.
    A run that stopped after i batches continues with `start=i`, without gathering those before.

    An order of all examples takes 4 bytes for each. With a `buffer` that is smaller than their number it takes nothing:
    each rank has a part of its own, the same in all epochs, of equal size but for one example. It is cut into blocks of
    neighbors, which come in random order, and the examples of 64 blocks are shuffled together. No example is yielded
    twice (but with batches of one), and the order depends on the number of ranks too.

    Args:
        examples: `NextItems`, `Sequences` or another kind of `Examples`.
        batch_size: B, the number of examples of a batch on each rank.
        seed: of the order, together with `epoch`.
        epoch: the number of the epoch.
        rank: the number of this process.
        world_size: the number of processes.
        start: the number of the first batch to yield.
        bucket: k > 0 sorts the examples of k steps by length before they are cut into batches, and shuffles those
            batches, which reduces padding; 0 does not.
        shuffle: False keeps the order of the examples.
        buffer: k > 0: how many examples are shuffled together, where there are more of them; 0 shuffles all.

    Yields:
        What `examples.batch` returns for up to B examples.

    Raises:
        ArgumentError: a number is out of range.
        ArgumentTypeError: an argument has a wrong type.

    Example:
        >>> from logq.logs import Interactions, NextItems
        >>> examples = NextItems(Interactions.from_arrays([1, 1, 1, 1], [5, 7, 9, 5]), max_length=3)
        >>> [batch["target"].tolist() for batch in epoch_batches(examples, 2, shuffle=False)]
        [[1, 2], [0]]
    """
    check_int("batch_size", batch_size)
    check_int("world_size", world_size)
    for name, value in (
        ("seed", seed),
        ("epoch", epoch),
        ("rank", rank),
        ("start", start),
        ("bucket", bucket),
        ("buffer", buffer),
    ):
        check_int(name, value, 0)
    if rank >= world_size:
        raise ArgumentError("rank", f"an integer below world_size = {world_size}", rank)
    check_bool("shuffle", shuffle)
    if 0 < buffer < len(examples) and shuffle:
        order = _Part(examples, batch_size, (seed, epoch), rank, world_size, buffer)
        return order.batches(start, bucket)
    return _batches(examples, batch_size, (seed, epoch), rank, world_size, start, bucket, shuffle)


def _batches(
    examples: Examples,
    batch_size: int,
    seeds: tuple[int, int],
    rank: int,
    world_size: int,
    start: int,
    bucket: int,
    shuffle: bool,
) -> Iterator[dict[str, NDArray[Any]]]:
    count, step = len(examples), batch_size * world_size
    # 4 bytes each: 40 MB for ten million examples.
    order = np.arange(count, dtype=code_type(count))
    if shuffle:
        np.random.default_rng(seeds).shuffle(order)
    steps = num_batches(count, batch_size, world_size)
    group: list[NDArray[Any]] = []
    for number in range(start, steps):
        if not bucket:
            mine = order[number * step : (number + 1) * step]
        else:
            first = number - number % bucket
            if number == first or not group:
                chunk = order[first * step : (first + bucket) * step]
                cuts = range(step, len(chunk), step)
                group = _by_length(chunk, examples.lengths(chunk), cuts, (*seeds, first) if shuffle else None)
            mine = group[number - first]
        # Every world_size-th: in a step sorted by length all ranks get examples of about the same length.
        share = mine[rank::world_size]
        yield examples.batch(share if len(share) else mine[rank % len(mine) :][:1])


def _by_length(
    chunk: NDArray[Any], lengths: NDArray[np.int64], cuts: Sequence[int], seeds: tuple[int, int, int] | None
) -> list[NDArray[Any]]:
    """Return the examples of some steps sorted by length, with the steps in random order, smaller ones last."""
    chunk = chunk[np.argsort(lengths, kind="stable")]
    parts = np.split(chunk, cuts)
    if seeds is None:
        return parts
    full = [part for part in parts if len(part) == len(parts[0])]
    shuffled = [full[place] for place in np.random.default_rng(seeds).permutation(len(full))]
    return shuffled + parts[len(full) :]


class _Share:
    """Which examples are those of one rank, and which of them belong to a step, where each has a part of its own."""

    def __init__(self, count: int, batch_size: int, rank: int, world_size: int) -> None:
        self.first = rank * count // world_size
        self.count = (rank + 1) * count // world_size - self.first
        self.steps, self._size = num_batches(count, batch_size, world_size), batch_size

    def begin(self, step: int) -> int:
        """Where a batch begins: each step has an example left, where there are as many as steps."""
        return max(0, min(step * self._size, self.count - (self.steps - step)))

    def has(self, step: int) -> bool:
        """Whether there are any in a step."""
        return self.begin(step) < self.begin(step + 1)


class _Part:
    """The examples of one rank, in an order that needs no memory for each."""

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seeds: tuple[int, int],
        rank: int,
        world_size: int,
        buffer: int,
    ) -> None:
        share = _Share(len(examples), batch_size, rank, world_size)
        self._examples, self._steps, self._begin = examples, share.steps, share.begin
        self._seeds = (*seeds, rank)
        self._order = BufferedOrder(share.first, share.count, buffer, self._seeds)
        self._mapped = getattr(getattr(examples, "log", None), "mapped", None)

    def batches(self, start: int, bucket: int) -> Iterator[dict[str, NDArray[Any]]]:
        group: list[NDArray[Any]] = []
        shown = self._order.group
        for number in range(start, self._steps):
            if not bucket:
                mine = self._order.positions(self._begin(number), self._begin(number + 1))
            else:
                first = number - number % bucket
                if number == first or not group:
                    last = min(first + bucket, self._steps)
                    chunk = self._order.positions(self._begin(first), self._begin(last))
                    cuts = [self._begin(step) - self._begin(first) for step in range(first + 1, last)]
                    group = _by_length(chunk, self._examples.lengths(chunk), cuts, (*self._seeds[:2], first))
                mine = group[number - first]
            yield self._examples.batch(mine if len(mine) else self._order.positions(0, 1))
            if self._mapped is not None and self._order.group != shown:  # what was read for the buffer before
                self._mapped.release()
                shown = self._order.group
