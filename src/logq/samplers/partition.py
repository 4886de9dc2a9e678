"""Partition: a fixed subset of the classes for each part of the corpus."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_int
from logq.candidates import IGNORED
from logq.kernels.distributions import UniformDistribution
from logq.samplers.distinct_draws import permuted
from logq.samplers.kept_tensors import Kept
from logq.samplers.sampler import Draw, Sampler
from logq.samplers.streams import Source, take_seed
from logq.shapes import can_look_at, check_ids

__all__ = ["Partition"]


class Partition(Sampler):
    """Gives every example of a part of the corpus the same subset of classes as negatives, those of that part.

        Q(y) = 1 for y in the subset, 0 outside               with num_sampled = None: the whole subset, once
        Q(y) = num_sampled / (size of the subset)             otherwise: draws from it, uniform within

    The parts cut the corpus into stretches with at most a given number of different targets, so that every target is in
    the subset of its part (`from_targets`). Before a part's examples are trained on, set `part`. A subset of 30,000
    classes needs 30,000 rows of the class weights on the device for as long as its part lasts.

    Cost: O(S) per draw. Stores the subsets, 8 bytes per class of each; `part` is in `state_dict`.

    Args:
        num_classes: C.
        subsets: for each part, the distinct ids of its classes.
        num_sampled: S draws from the subset, or None for all of it.
        replacement: whether a class can be drawn twice; means nothing for all of it.
        seed, device, dtype: as in Sampler.

    Raises:
        ValueError: there are no subsets, one is empty or has an id twice or outside [0, C), or is too small for S
            distinct classes. `draw` raises it for a target outside of the part's subset.

    References:
        Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, ACL 2015, arXiv:1412.2007,
        Sec. 3.2.

    Example:
        >>> sampler, starts = Partition.from_targets(torch.tensor([7, 7, 2, 5, 2, 5]), 10, size=2)
        >>> starts, sampler.subsets
        ([0, 3], [tensor([2, 7]), tensor([2, 5])])
        >>> sampler.part = 1
        >>> sampler.draw(torch.tensor([5, 2, 5])).ids
        tensor([2, 5])
    """

    LEARNED = ("_part",)

    _ids = Kept()  # the subsets, one after the other

    def __init__(
        self,
        num_classes: int,
        subsets: Sequence[Sequence[int] | np.ndarray[Any, Any] | Tensor],
        *,
        num_sampled: int | None = None,
        replacement: bool = True,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_classes, seed=seed, device=device, dtype=dtype)
        self.num_sampled = None if num_sampled is None else check_int("num_sampled", num_sampled)
        self.is_random = self.num_sampled is not None
        self.replacement = check_bool("replacement", replacement)
        if not hasattr(subsets, "__len__"):
            raise ArgumentTypeError("subsets", "a list of subsets", Verbatim(type(subsets).__name__))
        if len(subsets) == 0:
            raise ArgumentError("subsets", "at least one", Verbatim("none"))
        sorted_subsets: list[Tensor] = []
        for index, subset in enumerate(subsets):
            name = f"subsets[{index}]"
            ids = torch.from_numpy(_whole_numbers(name, subset))
            check_ids(name, ids, self.num_classes)
            if ids.dim() != 1 or ids.numel() == 0 or ids.unique().numel() != ids.numel():
                raise ArgumentError(name, "distinct class ids of shape (N,), N >= 1", Verbatim(f"{subset!r:.80}"))
            if not replacement and (self.num_sampled or 0) > ids.numel():
                expected = f"at most {ids.numel()}, the size of {name}, without replacement"
                raise ArgumentError("num_sampled", expected, num_sampled)
            sorted_subsets.append(ids.sort().values)
        self.num_parts = len(subsets)
        self._sizes = [len(ids) for ids in sorted_subsets]
        self._ids = torch.cat(sorted_subsets)
        self._part = torch.zeros((), dtype=torch.int64, device="cpu")  # sizes follow from it: no device is to be asked

    @classmethod
    def from_targets(
        cls, targets: Tensor | np.ndarray[Any, Any] | Sequence[int], num_classes: int, size: int, **arguments: Any
    ) -> tuple["Partition", list[int]]:
        """Cut a stream of targets into parts with at most `size` different ones each, greedily from the start.

        Args:
            targets: (N,) targets in the order of training.
            num_classes: C.
            size: of the largest subset; Jean et al. took 15,000 to 50,000.
            **arguments: as for Partition.

        Returns:
            The sampler, and for each part the index of its first target.
        """
        stream = _whole_numbers("targets", targets)
        num_classes, size = check_int("num_classes", num_classes), check_int("size", size)
        check_ids("targets", torch.from_numpy(stream), num_classes)
        if stream.ndim != 1 or len(stream) == 0:
            raise ArgumentError("targets", "shape (N,) with N >= 1", stream.shape)
        # before[i] is where the target of i stood last: i is new to a part that starts at s exactly if before[i] < s.
        order = np.argsort(stream, kind="stable")
        before = np.full(len(stream), -1)
        again = stream[order[1:]] == stream[order[:-1]]
        before[order[1:][again]] = order[:-1][again]
        starts, subsets, start = [], [], 0
        while start < len(stream):
            end, reach = len(stream), 2 * size
            while start + reach // 2 < len(stream):
                new = np.cumsum(before[start : start + reach] < start)
                if new[-1] > size:
                    end = start + int(np.searchsorted(new, size, side="right"))
                    break
                reach *= 2
            starts.append(start)
            subsets.append(np.unique(stream[start:end]))
            start = end
        return cls(num_classes, subsets, **arguments), starts

    @property
    def subsets(self) -> list[Tensor]:
        """The classes of each part, in order of their ids."""
        return list(self._ids.split(self._sizes))

    @property
    def part(self) -> int:
        """The part of the corpus that draws are for."""
        return int(self._part)

    @part.setter
    def part(self, value: int) -> None:
        number = check_int("part", value, 0)
        if number >= self.num_parts:
            raise ArgumentError("part", f"a number below {self.num_parts}, the number of parts", number)
        self._part.fill_(number)

    def _is_sequence_of_ops(self) -> bool:
        return False  # the host chooses the part

    def _subset(self) -> Tensor:
        return self.subsets[self.part]

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of the expected count in a sample for this part; -inf outside of its subset."""
        subset = self._subset()
        place = torch.searchsorted(subset, ids).clamp_(max=subset.numel() - 1)
        count = 1.0 if self.num_sampled is None else self.num_sampled / subset.numel()
        log_q = torch.full(ids.shape, count, dtype=self.dtype, device=ids.device).log()
        return log_q.masked_fill(subset[place] != ids, -torch.inf)

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        subset = self._subset()
        if can_look_at(targets):
            outside = (targets != IGNORED) & self.log_expected_count(targets).isinf()
            if bool(outside.any()):
                raise ArgumentError(
                    "targets",
                    f"classes in the subset of part {self.part}",
                    int(targets[outside][0]),
                    "set `part` to the part of the corpus that the batch is from",
                )
        if self.num_sampled is None:
            return Draw(subset, self.log_expected_count)
        seed = take_seed(generator, self.device)
        if self.replacement:
            of_subset = UniformDistribution(len(subset))
            places = kernels.get("draws", self.device.type)(of_subset, seed, (self.num_sampled,))
        else:
            places = permuted(seed, 1, len(subset), self.num_sampled)[0]
        return Draw(subset[places], self.log_expected_count)

    def extra_repr(self) -> str:
        """What repr() shows."""
        drawn = "" if self.num_sampled is None else f", num_sampled={self.num_sampled}"
        return f"num_classes={self.num_classes}, parts={self.num_parts}, part={self.part}{drawn}"


def _whole_numbers(name: str, values: Sequence[int] | np.ndarray[Any, Any] | Tensor) -> np.ndarray[Any, Any]:
    """Class ids of any integer type and layout as a plain int64 array."""
    array = np.asarray(values.cpu() if isinstance(values, Tensor) else values)
    if array.dtype.kind not in "iu" and array.size:
        raise ArgumentTypeError(name, "integers", Verbatim(f"{type(values).__name__} of {array.dtype}"))
    return array.astype(np.int64)
