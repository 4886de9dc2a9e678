"""Distributions to draw classes from, as functions of random bits, in plain torch.

What is drawn at a position of a stream depends on (seed, position) and nothing else. So a draw is the same however it
is cut into pieces, on whatever device and by however many threads, and `native/sampling/distributions.hpp` draws the
same classes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from logq._arguments import ArgumentError, check_int

__all__ = [
    "MOST_CLASSES",
    "OF_PARTS",
    "AliasDistribution",
    "Distribution",
    "LearnedDistribution",
    "LogUniformDistribution",
    "UniformDistribution",
    "from_parts",
    "parts_of",
    "random_bits",
    "scaled",
    "shifted",
]

MOST_CLASSES = (1 << 62) - 1
"""The largest number of classes that a distribution without a table may have."""


def signed(bits: int) -> int:
    """The int64 with these 64 bits; torch computes with no uint64."""
    return bits - (1 << 64) if bits >> 63 else bits


STEP = signed(0x9E3779B97F4A7C15)
MULTIPLIERS = signed(0xBF58476D1CE4E5B9), signed(0x94D049BB133111EB)
OF_TABLE = signed(0xD1342543DE82EF95)
HALF = (1 << 32) - 1


def shifted(bits: Tensor, by: int) -> Tensor:
    """Shift int64 bits to the right, filling with zeros; `>>` of torch fills with the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def random_bits(seed: Tensor | int, positions: Tensor) -> Tensor:
    """64 random bits for each position of the stream of a seed: splitmix64 of seed + (position + 1) * step.

    Args:
        seed: int64, of a shape that broadcasts with `positions`; or one number.
        positions: int64, not negative.

    References:
        Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.

    Example:
        >>> random_bits(torch.tensor(1), torch.arange(2))
        tensor([-7995527694508729151, -4689498862643123097])
    """
    bits = seed + (positions + 1) * STEP  # int64 wraps around as uint64 does
    bits = (bits ^ shifted(bits, 30)) * MULTIPLIERS[0]
    bits = (bits ^ shifted(bits, 27)) * MULTIPLIERS[1]
    return bits ^ shifted(bits, 31)


def scaled(bits: Tensor, size: int | Tensor) -> tuple[Tensor, Tensor]:
    """The two halves of bits * size, 128 bits: a number uniform below `size` and bits uniform within it.

    Example:
        >>> scaled(torch.tensor([-1, 1 << 62]), 6)
        (tensor([5, 1]), tensor([                  -6, -9223372036854775808]))
    """
    high, low = shifted(bits, 32), bits & HALF
    size_high, size_low = size >> 32, size & HALF
    middle = high * size_low + shifted(low * size_low, 32)
    other = low * size_high + (middle & HALF)
    return high * size_high + shifted(middle, 32) + shifted(other, 32), bits * size


class Distribution(ABC):
    """A distribution over classes to draw from. A custom one implements `at`; the reference draws from it.

    Example:
        >>> UniformDistribution(10).at(torch.tensor(1), torch.arange(5))
        tensor([5, 7, 9, 4, 4])
    """

    @abstractmethod
    def at(self, seed: Tensor, positions: Tensor) -> Tensor:
        """The classes, int64, at these positions of the stream of a seed; seed and positions broadcast together."""


@dataclass(frozen=True)
class UniformDistribution(Distribution):
    """Every class with probability 1 / C, up to a relative error of C / 2^64.

    Args:
        num_classes: C, below 2^62.

    Example:
        >>> UniformDistribution(2).at(torch.tensor(1), torch.arange(5))
        tensor([1, 1, 1, 0, 0])
    """

    num_classes: int

    def __post_init__(self) -> None:
        check_size(self.num_classes)

    def at(self, seed: Tensor, positions: Tensor) -> Tensor:
        """The high half of C times the bits."""
        return scaled(random_bits(seed, positions), self.num_classes)[0]


@dataclass(frozen=True)
class LogUniformDistribution(Distribution):
    """Class y with probability log((y + 2) / (y + 1)) / log(C + 1).

    Args:
        num_classes: C, below 2^62.

    Example:
        >>> LogUniformDistribution(1000).at(torch.tensor(1), torch.arange(5))
        tensor([ 49, 171, 818,  20,  20])
    """

    num_classes: int

    def __post_init__(self) -> None:
        check_size(self.num_classes)

    def at(self, seed: Tensor, positions: Tensor) -> Tensor:
        """floor(exp(u log(C + 1))) - 1, in double: a float32 u would leave gaps between the large ids."""
        u = shifted(random_bits(seed, positions), 11).double() * 2.0**-53
        ids = (u * math.log1p(self.num_classes)).exp_().long() - 1
        return ids.clamp_(0, self.num_classes - 1)  # rounding may reach C


@dataclass(frozen=True)
class AliasDistribution(Distribution):
    """The distribution of an alias table.

    Args:
        cells: (C, 2) int32, the threshold and the alias of each cell: drawn uniformly, a cell gives itself if 31 random
            bits are below its threshold, else its alias.

    Example:
        >>> cells = torch.tensor([[0, 1], [2**31 - 1, 1]], dtype=torch.int32)
        >>> AliasDistribution(cells).at(torch.tensor(1), torch.arange(5))
        tensor([1, 1, 1, 1, 1])
    """

    cells: Tensor

    def at(self, seed: Tensor, positions: Tensor) -> Tensor:
        """The high half of C times the bits is the cell, the low half is random within it."""
        cell, within = scaled(random_bits(seed, positions), self.cells.shape[0])
        threshold, alias = self.cells[cell].unbind(dim=-1)
        return torch.where(shifted(within, 33) < threshold, cell, alias.long())


@dataclass(frozen=True)
class LearnedDistribution(Distribution):
    """One of n targets, uniformly: `in_table` of them are in an alias table, the others in a list.

    Args:
        table: the distribution of the first targets.
        recent: (n - in_table,) int64, the classes of the others.
        in_table: how many targets are in the table.
        num_recent: () int64, how many of `recent` count, where that is known to the device alone; None for all.

    Example:
        >>> table = AliasDistribution(torch.tensor([[2**31 - 1, 0]], dtype=torch.int32))
        >>> LearnedDistribution(table, torch.tensor([3, 4]), 1).at(torch.tensor(1), torch.arange(5))
        tensor([4, 0, 0, 4, 4])
    """

    table: AliasDistribution
    recent: Tensor
    in_table: int
    num_recent: Tensor | None = None

    def at(self, seed: Tensor, positions: Tensor) -> Tensor:
        """A target uniformly, and from the table another draw, of another stream."""
        places = self.recent.shape[0]
        num_recent = places if self.num_recent is None else self.num_recent
        ids = self.table.at(seed ^ OF_TABLE, positions)
        if places == 0:
            return ids
        target, _ = scaled(random_bits(seed, positions), num_recent + self.in_table)
        return torch.where(target < num_recent, self.recent[target.clamp(max=places - 1)], ids)


def check_size(num_classes: int) -> None:
    """Raise ArgumentError for more classes than a distribution without a table can have."""
    if check_int("num_classes", num_classes) > MOST_CLASSES:
        raise ArgumentError("num_classes", "fewer than 2**62", num_classes)


OF_PARTS = UniformDistribution, LogUniformDistribution, AliasDistribution, LearnedDistribution
"""The kinds that `parts_of` knows."""


def parts_of(distribution: Distribution) -> tuple[str, list[Tensor], list[int]]:
    """The name of a kind of distributions, and the tables and numbers that make this one, as an op can be given them.

    Raises:
        ArgumentError: it is one of nobody's kind.

    Example:
        >>> parts_of(UniformDistribution(3))
        ('uniform', [], [3])
    """
    if isinstance(distribution, UniformDistribution):
        return "uniform", [], [distribution.num_classes]
    if isinstance(distribution, LogUniformDistribution):
        return "log_uniform", [], [distribution.num_classes]
    if isinstance(distribution, AliasDistribution):
        return "alias", [distribution.cells], []
    if isinstance(distribution, LearnedDistribution):
        counted = [] if distribution.num_recent is None else [distribution.num_recent]
        return "learned", [distribution.table.cells, distribution.recent, *counted], [distribution.in_table]
    raise ArgumentError("distribution", "one of logq.kernels.distributions", distribution)


def from_parts(kind: str, tables: Sequence[Tensor], sizes: Sequence[int]) -> Distribution:
    """The distribution that `parts_of` took apart.

    Example:
        >>> from_parts("uniform", [], [3])
        UniformDistribution(num_classes=3)
    """
    if kind == "uniform":
        return UniformDistribution(*sizes)
    if kind == "log_uniform":
        return LogUniformDistribution(*sizes)
    if kind == "alias":
        return AliasDistribution(*tables)
    cells, recent, *num_recent = tables
    return LearnedDistribution(AliasDistribution(cells), recent, sizes[0], *num_recent)
