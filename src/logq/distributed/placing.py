"""Placing: which process owns a class, and in which row of its part of the table the class is."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from logq._arguments import ArgumentError, check_int

__all__ = ["BUCKETS", "FACTOR", "Placing"]

BUCKETS = 4096
"""V. Part of the format of what is saved, as is FACTOR."""

FACTOR = 2531
"""Odd, so that y -> FACTOR y mod V is a permutation of the buckets. Classes are mostly numbered by falling frequency:
with a factor of 1 the most frequent ones would all be the first process's."""

CHUNK = 1 << 20


class Placing:
    """Classes in an order that gives each process of any number of them a fair share, as one range of places.

        bucket = FACTOR y mod V,    place = (number of classes in the buckets before) + y div V

    A place is the row of a class in the global table (C, D), of which process r of W owns those from r ceil(C / W) up
    to (r + 1) ceil(C / W): the parts that DTensor's Shard(0) cuts, so a checkpoint is cut anew for any W. Every
    process computes the place of any class, from V numbers.

    Args:
        num_classes: C.
        size: W.

    Raises:
        ArgumentError: there are fewer classes than processes.

    Example:
        >>> placing = Placing(10_000, 2)
        >>> places = placing.places(torch.arange(4))
        >>> places, placing.owners(places), placing.ids(places)
        (tensor([   0, 6179, 2358, 8537]), tensor([0, 1, 0, 1]), tensor([0, 1, 2, 3]))
    """

    def __init__(self, num_classes: int, size: int = 1) -> None:
        self.num_classes = check_int("num_classes", num_classes)
        self.size = check_int("size", size)
        if num_classes < size:
            raise ArgumentError("num_classes", f"at least one for each of {size} processes", num_classes)
        self.per_process = -(-num_classes // size)
        self._residues = torch.arange(BUCKETS) * pow(FACTOR, -1, BUCKETS) % BUCKETS  # of the classes in each bucket
        counts = (num_classes - self._residues + BUCKETS - 1).div(BUCKETS, rounding_mode="floor")
        self._starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    def places(self, ids: Tensor) -> Tensor:
        """The places of classes, int64 of any shape."""
        return self._starts.to(ids.device)[ids * FACTOR % BUCKETS] + ids.div(BUCKETS, rounding_mode="floor")

    def ids(self, places: Tensor) -> Tensor:
        """The classes of places, int64 of any shape."""
        starts = self._starts.to(places.device)
        buckets = torch.searchsorted(starts, places.contiguous(), right=True) - 1
        return self._residues.to(places.device)[buckets] + (places - starts[buckets]) * BUCKETS

    def owners(self, places: Tensor) -> Tensor:
        """The processes that own places, int64 of any shape."""
        return places.div(self.per_process, rounding_mode="floor")

    def range_of(self, rank: int) -> range:
        """The places that a process owns.

        Example:
            >>> Placing(5, 2).range_of(1)
            range(3, 5)
        """
        first = min(self.num_classes, rank * self.per_process)
        return range(first, min(self.num_classes, first + self.per_process))

    def ids_of(self, rank: int, device: torch.device | str = "cpu") -> Tensor:
        """(n,) the classes that a process owns, in the order of its rows."""
        own = self.range_of(rank)
        return self.ids(torch.arange(own.start, own.stop, device=device))

    def places_of_rows(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """The places of rows (N,) of all processes, first those of process 0, and how many there are of each."""
        owners = torch.arange(self.size).repeat_interleave(torch.tensor(counts)).to(rows.device)
        return rows + owners * self.per_process

    def ids_of_rows(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """The classes of these.

        Example:
            >>> Placing(5, 2).ids_of_rows(torch.tensor([2, 0]), [1, 1])
            tensor([4, 1])
        """
        return self.ids(self.places_of_rows(rows, counts))

    def chunks_of(self, rank: int, rows: int = CHUNK) -> Iterator[tuple[slice, Tensor]]:
        """The rows of a process and their classes, some at a time, for what would be too much memory at once."""
        own = self.range_of(rank)
        for first in range(own.start, own.stop, rows):
            last = min(own.stop, first + rows)
            yield slice(first - own.start, last - own.start), self.ids(torch.arange(first, last))
