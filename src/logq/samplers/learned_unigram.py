"""LearnedUnigram: the unigram distribution of the targets seen so far."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import Unpack

from logq.candidates import IGNORED
from logq.kernels.distributions import LearnedDistribution
from logq.kernels.expected_counts import LearnedCounts
from logq.samplers.alias_table import AliasTable, check_size
from logq.samplers.kept_tensors import Kept
from logq.samplers.proposal import Proposal, ProposalOptions
from logq.shapes import can_look_at
from logq.tracing import is_fake

__all__ = ["LearnedUnigram"]


class LearnedUnigram(Proposal):
    """Draws classes in proportion to how often they were targets, plus one. Learns in `train()`, not in `eval()`.

        q(y) = (1 + n_y) / (C + n),    n_y of the n targets before this batch were y

    A batch is drawn from, and its expected counts are those of, what was known before it; then its targets count.

    Cost: O(1) per draw and a target, on average: an alias table of the counts at some time, and the list of targets
    since then, from which one is drawn uniformly; the table is built again, O(C), when the list is C long. 20 bytes per
    class.

    Equivalent to: tf.random.learned_unigram_candidate_sampler, up to the exact expected counts of distinct draws
    (logq.samplers.distinct_draws).

    Args:
        num_classes: C.
        num_sampled: S.
        **options: as for Proposal: replacement, per_row, seed, device, dtype.

    Raises:
        ValueError: more distinct classes are asked for than there are, or there are 2^31 and more.

    Example:
        >>> sampler = LearnedUnigram(4, num_sampled=1, seed=1)
        >>> for _ in range(3):
        ...     print(sampler.draw(torch.tensor([3, 3])).true_log_expected_count.exp())
        tensor([0.2500, 0.2500])
        tensor([0.5000, 0.5000])
        tensor([0.6250, 0.6250])
    """

    LEARNED = ("counts",)

    counts = Kept()  # (C,) int64
    recent = Kept()  # (max(1024, C) + 1,) int64, whose last place takes what is no class
    num_recent = Kept()  # () int64

    def __init__(self, num_classes: int, num_sampled: int, **options: Unpack[ProposalOptions]) -> None:
        super().__init__(num_classes, num_sampled, **options)
        check_size(self.num_classes)
        self.counts = torch.ones(self.num_classes, dtype=torch.int64, device=self.home)
        self.take_counts()

    def take_counts(self) -> None:
        """Take all counts into the table and empty the list, so that draws to come depend on the counts alone; O(C)."""
        self.in_table = int(self.counts.sum())
        self.taken = 0  # of the list, with entries that are no class: known without a look at the device
        with torch.inference_mode(False):  # what is made here is written to in training
            self.table = AliasTable(self.counts.double()).to(self.device)
            self.recent = torch.zeros(max(1024, self.num_classes) + 1, dtype=torch.int64, device=self.home)
            self.num_recent = torch.zeros((), dtype=torch.int64, device=self.home)
        self._enough = None
        self._prepare()

    def _surely_enough(self) -> int:
        # Until the list is full a class can become so many times less probable.
        return super()._surely_enough() * (1 + math.ceil(self.recent.numel() / self.in_table))

    def _learned(self) -> dict[str, Tensor]:
        # What of the counts is in the table decides how numbers become classes: draws are to go on as they were.
        taken = torch.tensor(self.taken, device="cpu")
        return {**super()._learned(), "recent": self.recent, "num_recent": self.num_recent, "taken": taken}

    def _load_learned(self, learned: Mapping[str, Tensor]) -> None:
        super()._load_learned(learned)
        recent = learned["recent"][: int(learned["num_recent"])] if "recent" in learned else self.recent[:0]
        recent = recent.to(self.home)
        self.counts.sub_(torch.bincount(recent, minlength=self.num_classes))
        self.take_counts()
        self.learn(recent)
        self.taken = int(learned.get("taken", self.num_recent))

    def _is_sequence_of_ops(self) -> bool:
        return not self.training  # the host knows when the list is full

    def learn(self, targets: Tensor) -> None:
        """Count targets; `draw` does so itself in training mode.

        Args:
            targets: int64 of any shape; IGNORED entries do not count.
        """
        if is_fake(targets):
            return
        targets = targets.reshape(-1)
        is_class = targets != IGNORED
        self.counts.index_add_(0, targets.where(is_class, 0), is_class.long())
        self._tries = None
        self.taken += targets.numel()
        if self.taken >= self.recent.numel():
            self.take_counts()
        else:
            places = self.num_recent + is_class.cumsum(0) - 1
            self.recent[places.where(is_class, self.recent.numel() - 1)] = targets
            self.num_recent += is_class.sum()

    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of q for classes as known now: int64 of any shape -> the same shape."""
        return LearnedCounts(self.counts, self.in_table, self.num_recent, self.dtype)(ids)

    def _log_counts(self, factor: int) -> LearnedCounts:
        return LearnedCounts(self.counts, self.in_table, self.num_recent, self.dtype, math.log(factor))

    def _distribution(self) -> LearnedDistribution:
        if can_look_at(self.num_recent):
            return LearnedDistribution(self.table.distribution, self.recent[: int(self.num_recent)], self.in_table)
        return LearnedDistribution(self.table.distribution, self.recent, self.in_table, self.num_recent)
