"""InBatch: the targets of the other rows of a batch are the negatives of a row."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim, check_float, check_int
from logq.candidates import IGNORED, as_columns
from logq.kernels.distributions import random_bits, shifted
from logq.process_groups import GroupChoice, check_group, group_of
from logq.processes import Group, World, all_rows, world
from logq.samplers.class_counts import check_counts
from logq.samplers.kept_tensors import Kept
from logq.samplers.sampler import Draw, Sampler
from logq.samplers.sampler_settings import SamplerSettings
from logq.samplers.streams import Source, rank_of_process, take_seed
from logq.shapes import can_look_at
from logq.tracing import is_fake

__all__ = ["InBatch"]


class InBatch(Sampler):
    """Takes the batch's own targets as one shared sample; a row's own targets are excluded from its negatives.

        Q(y) = (n - T) q(y)       n targets in the batch, T of them a row's own, q(y) the frequency of y as a target

    With `num_sampled` = m < n the sample is m of the targets, all sets equally likely, and Q(y) = m/n (n - T) q(y).

    The frequency is exact where `counts` of all targets are known, and otherwise estimated as the batches go by. With t
    the number of targets seen so far and a_y what it was when y came last, a batch with m copies of y takes in

        gap_y <- (1 - rate) gap_y + rate (t - a_y),    copies_y <- (1 - rate) copies_y + rate m,    a_y <- t

    and q(y) = copies_y / gap_y. Yi et al. count time in batches and have 1 for copies_y, which estimates the
    probability of being in a batch, and not the expected count. A new class starts with its gap since the beginning;
    one that was never seen, as may come under `eval()`, counts as if it were the next: q = 1 / (t + 1). Estimates learn
    in `train()`, not in `eval()`, are part of `state_dict`, and cost O(B) per batch and 16 bytes per class.

    Where rows have different numbers of true classes, so do their expected counts: `log_expected_count` of the
    candidates then is (B, S) for the shared ids (S,). Q supposes that rows are independent: shuffle them.

    Processes that train together may share their targets: with `group` the batch is that of all its processes, in the
    order of ranks, n and the estimates are those of one process that has all their rows, and so is a sample of
    `num_sampled`. Each process gets the candidates of its own rows. All of the group draw and learn at the same time,
    in `eval()` too, with the same T; numbers of rows may differ. Where item vectors are computed, those of the others
    come by `logq.processes.all_rows`, as logq.recommenders.ItemLoss does it.

    Args:
        num_classes: C.
        counts: (C,) of the targets in the data, for the exact frequency; None estimates it.
        rate: how fast estimates forget; 0.01 looks back about a hundred occurrences of a class.
        num_sampled: m, the most targets to take; None takes all of them.
        group: the processes whose targets are negatives: "world" for all, "node" for those of one machine, n for groups
            of n consecutive ranks; None for this process alone.
        seed, device, dtype: as in Sampler; nothing is random where all targets are taken.

    Raises:
        ValueError: counts are not (C,), or negative, or none is positive; rate is not in (0, 1]; num_sampled is not an
            integer >= 1; the processes cannot be divided into such groups, or differ in T.

    References:
        Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys 2019, Alg. 2.

    Example:
        >>> sampler = InBatch(5, counts=[10, 10, 20, 30, 30])
        >>> candidates = sampler.draw(torch.tensor([4, 1, 4]))
        >>> candidates.ids, candidates.log_expected_count.exp()
        (tensor([4, 1, 4]), tensor([0.6000, 0.2000, 0.6000]))
        >>> candidates.excluded
        tensor([[ True, False, False],
                [False,  True, False],
                [False, False,  True]])
    """

    learns_before_drawing = True  # so that no target of a batch has frequency 0

    LEARNED = ("others", "seen", "last", "gap", "copies")

    log_q = Kept()  # (C,)
    others = Kept()  # ()
    seen = Kept()  # () int64
    last = Kept()  # (C,) int64
    gap = Kept()  # (C,)
    copies = Kept()  # (C,)

    def __init__(
        self,
        num_classes: int,
        *,
        counts: Sequence[float] | np.ndarray[Any, Any] | Tensor | None = None,
        rate: float = 0.01,
        num_sampled: int | None = None,
        group: GroupChoice | None = None,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_classes, seed=seed, device=device, dtype=dtype)
        self.rate = check_float("rate", rate, above=0, at_most=1)
        self.num_sampled = None if num_sampled is None else check_int("num_sampled", num_sampled)
        self.is_random = num_sampled is not None
        self.group = check_group(group)
        self._shared: tuple[Tensor, Tensor, int] | None = None  # while a batch is drawn for: see `_of_group`
        self.exact = counts is not None
        home = self.home
        self.others = torch.ones((), dtype=torch.float32, device=home)  # the mean n - T of the last batch in training
        if counts is not None:
            weights = check_counts(counts, num_classes)
            self.log_q = (weights / weights.sum()).log().to(home, self.dtype)
        else:
            self.seen = torch.zeros((), dtype=torch.int64, device=home)
            self.last = torch.zeros(num_classes, dtype=torch.int64, device=home)
            self.gap = torch.zeros(num_classes, dtype=torch.float32, device=home)
            self.copies = torch.zeros(num_classes, dtype=torch.float32, device=home)

    @classmethod
    def from_settings(cls, settings: SamplerSettings) -> "InBatch":
        """Make the sampler from what an estimator knows; see Sampler."""
        return cls(settings.num_classes, counts=settings.of_targets, group=settings.group, seed=settings.seed)

    def sample_size(self) -> float:
        """The targets that are taken of a batch like the last one in training, where each row has one."""
        size = float(self.others) + 1
        return size if self.num_sampled is None else min(size, self.num_sampled)

    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of the estimated frequency of classes as targets: int64 of any shape -> the same shape."""
        if self.exact:
            return self.log_q[ids]
        gap, copies = self.gap[ids].to(self.dtype), self.copies[ids].to(self.dtype)
        return torch.where(copies > 0, copies / gap, 1 / (self.seen + 1).to(self.dtype)).log()

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of (n - T) q for a batch like the last one in training; -inf where `counts` are zero."""
        return self.log_prob(ids) + self.others.to(self.dtype).log()

    def _is_sequence_of_ops(self) -> bool:
        return self.group is None or rank_of_process() is None

    def _processes(self, device: torch.device) -> tuple[Group, World]:
        """The group, and the place of this process in it."""
        if self.group is None:
            return None, World()
        group = group_of(self.group, device)
        return group, world(group)

    def _of_group(self, targets: Tensor) -> tuple[Tensor, int]:
        """The targets (N, T) of all processes of the group, and the first row of them that is of this process."""
        if self._shared is not None and self._shared[0] is targets:
            return self._shared[1:]
        columns = as_columns(targets)
        group, here = self._processes(targets.device)
        if here.size == 1:
            return columns, 0
        shape = torch.tensor([columns.shape], device=columns.device)
        shapes: list[list[int]] = all_rows(shape, [1] * here.size, group).tolist()
        if len({width for _, width in shapes}) > 1:
            raise ArgumentError("targets", "the same T in all processes", Verbatim([width for _, width in shapes]))
        counts = [rows for rows, _ in shapes]
        return all_rows(columns, counts, group), sum(counts[: here.rank])

    def _learn(self, targets: Tensor, *, before: bool) -> None:
        if self.group is not None:  # what is asked of the other processes to learn is there for the draw
            self._shared = (targets, *self._of_group(targets)) if before and self.training else None
        if self.training and before and self.learns_together and self._learns_targets() and not is_fake(targets):
            self._take_in(all_rows(targets.reshape(-1), doing="learn the targets of all"))  # and not once more of each
        else:
            super()._learn(targets, before=before)

    def _with_kept(self, counts: Tensor) -> Tensor:
        """Numbers of candidates from the batch, and those that there are beside it; see CrossBatch."""
        return counts

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        every, first = self._of_group(targets)
        rows = torch.arange(first, first + len(targets), device=targets.device)
        draw = self._draw_known if can_look_at(targets) else self._draw_unseen
        return draw(every, rows, generator)

    def _first(self, is_true: Tensor, generator: Source) -> Tensor:
        """The places of entries (N,) that are classes, in random order, and behind them those of the others."""
        seed = take_seed(generator, is_true.device)
        group, here = self._processes(is_true.device)
        if here.size > 1:  # all take the same targets
            seed = all_rows(seed[None], [1] * here.size, group)[0]
        bits = random_bits(seed, torch.arange(len(is_true), device=is_true.device))
        return shifted(bits, 1).where(is_true, torch.iinfo(torch.int64).max).argsort(stable=True)

    def _draw_unseen(self, columns: Tensor, rows: Tensor, generator: Source) -> Draw:
        """The same where sizes must not follow from values: entries that are no class are excluded in each row."""
        is_true = columns != IGNORED  # (N, T)
        owner = torch.arange(len(columns), device=columns.device)[:, None].expand(is_true.shape).reshape(-1)  # (S,)
        own = is_true.sum(dim=1)  # (N,)
        others = self._with_kept(own.sum() - own).clamp(min=1).to(self.dtype)
        alike = self._with_kept(own.sum() - 1).clamp(min=1).to(self.dtype)
        ids, taken = columns.where(is_true, 0).reshape(-1), is_true.reshape(-1)
        if self.num_sampled is not None:
            share = (self.num_sampled / own.sum().clamp(min=1).to(self.dtype)).clamp(max=1)
            others, alike = others * share, alike * share
            first = self._first(taken, generator)[: self.num_sampled]
            ids, owner, taken = ids[first], owner[first], taken[first]
        if self.training and others.numel():
            mean = (others * (own > 0)).sum().to(self.others.dtype) / (own > 0).sum()
            self.others.copy_(torch.where((own > 0).any(), mean, self.others))
        # Rows without a class do not count, and with one class a row all others have the same number of negatives.
        of_row = others[rows].log()[:, None] if is_true.shape[1] > 1 else alike.log()
        excluded = (owner == rows[:, None]) | ~taken
        return Draw(ids, lambda classes: self.log_prob(classes) + of_row, excluded=excluded)

    def _draw_known(self, columns: Tensor, rows: Tensor, generator: Source) -> Draw:
        is_true = columns != IGNORED  # (N, T)
        if bool(is_true.all()) and (self.num_sampled is None or self.num_sampled >= columns.numel()):
            return self._draw_all(columns, rows)
        ids = columns[is_true]  # (S,)
        owner = torch.arange(len(columns), device=columns.device)[:, None].expand(is_true.shape)[is_true]  # (S,)
        # A row alone has no negatives, whose expected count could be anything but 0.
        others = self._with_kept(ids.numel() - is_true.sum(dim=1)).clamp(min=1).to(self.dtype)  # (N,)
        if self.num_sampled is not None and self.num_sampled < ids.numel():
            others = others * (self.num_sampled / ids.numel())
            flat = is_true.reshape(-1)
            first = self._first(flat, generator)[: self.num_sampled]
            ids = columns.reshape(-1)[first]
            owner = first // is_true.shape[1]
        counted = others[is_true.any(dim=1)]  # of the rows that have a class
        if self.training and counted.numel():
            self.others.fill_(counted.to(self.others.dtype).mean())
        if counted.numel() == 0 or bool((counted == counted[0]).all()):
            log_others = math.log(counted[0]) if counted.numel() else 0.0
            return Draw(ids, lambda classes: self.log_prob(classes) + log_others, excluded=owner == rows[:, None])
        of_row = others[rows].log()[:, None]  # (B, 1)
        return Draw(ids, lambda classes: self.log_prob(classes) + of_row, excluded=owner == rows[:, None])

    def _draw_all(self, columns: Tensor, rows: Tensor) -> Draw:
        """The same where all targets are classes, and are taken."""
        shape = len(rows), *columns.shape  # (B, N, T)
        others = self._with_kept(torch.tensor(columns.numel() - columns.shape[1], device="cpu")).clamp(min=1)
        if self.training and columns.numel():
            self.others.copy_(others)
        log_others = math.log(others) if columns.numel() else 0.0
        excluded = torch.zeros(shape, dtype=torch.bool, device="cpu")
        excluded.diagonal(int(rows[0]) if len(rows) else 0).fill_(True)
        return Draw(columns.reshape(-1), lambda ids: self.log_prob(ids) + log_others, excluded=excluded.flatten(1))

    def _learns_targets(self) -> bool:
        return not self.exact

    def learn(self, targets: Tensor) -> None:
        """Take the frequencies of a batch into the estimate; `draw` does so itself in training mode, before it draws.

        With `group` all of its processes call it at once.

        Args:
            targets: (B,) or (B, T) int64; IGNORED entries do not count.
        """
        if not self.exact and not is_fake(targets):
            self._take_in(self._of_group(targets)[0])

    def _take_in(self, targets: Tensor) -> None:
        if targets.numel() == 0:
            return
        # Sizes must not follow from values, for which a device would be waited for: a class is updated once for each of
        # its copies, always to the same, and entries that are none stand for the last class.
        ordered = targets.reshape(-1).sort().values
        classes = ordered.where(ordered != IGNORED, ordered[-1]).clamp(min=0)
        copies = torch.searchsorted(ordered, classes, right=True) - torch.searchsorted(ordered, classes)
        self.seen += (ordered != IGNORED).sum()
        last = self.last[classes]
        gap = (self.seen - last).to(self.gap.dtype)
        rate = torch.where(last == 0, 1.0, self.rate).where(copies > 0, 0.0).to(self.gap.dtype)
        self.gap[classes] = torch.lerp(self.gap[classes], gap, rate)
        self.copies[classes] = torch.lerp(self.copies[classes], copies.to(self.copies.dtype), rate)
        self.last[classes] = self.seen.where(copies > 0, last)

    def extra_repr(self) -> str:
        """What repr() shows."""
        sampled = "" if self.num_sampled is None else f"num_sampled={self.num_sampled}, "
        shared = "" if self.group is None else f"group={self.group!r}, "
        return f"num_classes={self.num_classes}, {sampled}{shared}" + (
            "exact counts" if self.exact else f"rate={self.rate:g}"
        )
