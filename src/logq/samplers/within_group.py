"""WithinGroup: negatives from the group that a row belongs to, such as the market of a listing."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float, check_int
from logq.candidates import IGNORED, as_columns
from logq.kernels.distributions import random_bits, shifted
from logq.samplers.class_counts import check_counts
from logq.samplers.kept_tensors import Kept
from logq.samplers.sampler import Draw, Sampler
from logq.samplers.streams import Source, take_seed
from logq.shapes import can_look_at

__all__ = ["WithinGroup"]


class WithinGroup(Sampler):
    """Draws for each row from the classes of one group, in proportion to a power of their counts.

        Q(y | row) = num_sampled * counts_y^power / sum_{c in group(row)} counts_c^power    for y in group(row), else 0

    The group of a row is that of its first true class, or what `draw(targets, groups=...)` is told. So negatives are as
    hard as the groups are narrow: listings of the same market, articles of the same section. In a group of one class
    all draws are that class. `Mixture([Unigram(...), WithinGroup(...)])` takes both kinds.

    Cost: O(log C) per draw and 24 bytes per class (28 in double). Draws are with replacement, a sample for each row.

    Args:
        counts: (C,) counts or weights, not negative, with a positive one in each group.
        groups: (C,) integers >= 0, the group of each class.
        num_sampled: S.
        power: of the counts.
        seed, device, dtype: as in Sampler.

    A true class outside of the group of its row is never drawn: its log Q is -inf.

    Raises:
        TypeError: groups are not integers.
        ValueError: counts or groups are not (C,), a number is negative, or all counts of a group are 0.

    References:
        Grbovic and Cheng, Real-time Personalization using Embeddings for Search Ranking at Airbnb, KDD 2018, Eq. 4:
        uniform draws from the market of the central listing.

    Example:
        >>> sampler = WithinGroup([1, 1, 3, 5], groups=[0, 1, 1, 0], num_sampled=4, seed=1)
        >>> candidates = sampler.draw(torch.tensor([2, 0]))
        >>> candidates.true_log_expected_count.exp()
        tensor([3.0000, 0.6667])
        >>> sampler.draw(torch.tensor([2]), groups=torch.tensor([0])).ids
        tensor([[3, 3, 3, 3]])
    """

    reads_groups = True

    names = Kept()  # (G,) int64
    group = Kept()  # (C,) int64
    classes = Kept()  # (C,) int64
    edges = Kept()  # (C,) int64
    log_q = Kept()  # (C,)

    def __init__(
        self,
        counts: Sequence[float] | np.ndarray[Any, Any] | Tensor,
        groups: Sequence[int] | np.ndarray[Any, Any] | Tensor,
        num_sampled: int,
        *,
        power: float = 1.0,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        values = check_counts(counts)
        super().__init__(len(values), seed=seed, device=device, dtype=dtype)
        self.num_sampled = check_int("num_sampled", num_sampled)
        self.power = check_float("power", power)
        # Names of groups may be large numbers; inside they are numbered from 0.
        names, group = _check_groups(groups, self.num_classes).unique(return_inverse=True)
        # As for Unigram: 0^0 is 1, yet what never occurs is not to be drawn.
        heaviest = values.max() if self.power >= 0 else values[values > 0].min()
        weights = (values / heaviest).pow(self.power).where(values > 0, 0.0)
        self.num_groups = len(names)
        totals = values.new_zeros(self.num_groups).index_add_(0, group, weights)
        empty = ~(totals[group] > 0)
        if bool(empty.any()):
            of = int(names[group[empty][0]])
            raise ArgumentError("counts", f"a positive count in each group, all of group {of} are 0")
        shares = weights / totals[group]
        classes = group.argsort(stable=True)
        self._bits = min(52, 62 - (self.num_groups - 1).bit_length())
        self.names = names
        self.group = group
        self.classes = classes
        self.edges = _edges(shares[classes], group[classes], self._bits)
        self.log_q = shares.log().to(self.dtype)

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of the expected count in a sample for a row of the class's own group; -inf where counts are 0."""
        return self.log_q[ids] + math.log(self.num_sampled)

    def sample_size(self) -> float:
        """S."""
        return self.num_sampled

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        return self._draw_in_groups(targets, generator, None)

    def _draw_in_groups(self, targets: Tensor, generator: Source, groups: Tensor | None) -> Draw:
        group = self._group_of_rows(targets, groups)[:, None]  # (B, 1)
        places = torch.arange(len(targets) * self.num_sampled, device=self.device).view(-1, self.num_sampled)
        bits = shifted(random_bits(take_seed(generator, self.device), places), 64 - self._bits)
        # Each group is a span of 2**bits numbers, each class its share of them.
        number = (group << self._bits) + bits
        ids = self.classes[torch.searchsorted(self.edges, number, right=True) - 1]

        def log_expected_count(classes: Tensor) -> Tensor:  # (B, N)
            return self.log_expected_count(classes).masked_fill(self.group[classes] != group, -torch.inf)

        return Draw(ids, log_expected_count)

    def _group_of_rows(self, targets: Tensor, groups: Tensor | None) -> Tensor:
        if groups is None:
            columns = as_columns(targets)
            first = (columns != IGNORED).int().argmax(dim=1, keepdim=True)
            some = columns.gather(1, first)[:, 0]
            return self.group[some.where(some != IGNORED, 0)]
        if groups.shape != targets.shape[:1] or groups.dtype != torch.int64:
            raise ArgumentError(
                "groups",
                f"int64 of shape ({len(targets)},), a group for each row",
                Verbatim(f"{groups.dtype} of shape {tuple(groups.shape)}"),
            )
        place = torch.searchsorted(self.names, groups).clamp(max=self.num_groups - 1)
        if can_look_at(groups):
            wrong = self.names[place] != groups
            if bool(wrong.any()):
                raise ArgumentError("groups", "groups with a class", int(groups[wrong][0]))
        return place

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"num_classes={self.num_classes}, num_groups={self.num_groups}, num_sampled={self.num_sampled}"


def _check_groups(groups: Any, num_classes: int) -> Tensor:
    array = np.asarray(groups.cpu() if isinstance(groups, Tensor) else groups)
    if array.dtype.kind not in "iu":
        found = Verbatim(f"{type(groups).__name__} of {array.dtype}")
        raise ArgumentTypeError("groups", "integers, one per class", found)
    if array.shape != (num_classes,):
        raise ArgumentError("groups", f"shape ({num_classes},), one per class", array.shape)
    wrong = (array < 0) | (array >= 1 << 31)
    if wrong.any():
        where = int(wrong.argmax())
        raise ArgumentError("groups", "numbers in [0, 2**31)", Verbatim(f"{array[where]} for class {where}"))
    return torch.from_numpy(array.astype(np.int64))


def _edges(shares: Tensor, group: Tensor, bits: int) -> Tensor:
    """Where the span of each class begins, int64: those of group g share [g, g + 1) * 2**bits.

    Integers, as float() on a model would take digits from fractions.
    """
    sums = torch.cat([shares.new_zeros(1), shares.cumsum(0)])
    starts = torch.searchsorted(group, group)
    ends = torch.searchsorted(group, group, right=True)
    # Exactly 1 for what is behind the last class that can be drawn, whatever the rounding.
    within = (sums[:-1] - sums[starts]) / (sums[ends] - sums[starts])
    return (group << bits) + (within * 2.0**bits).round().long()
