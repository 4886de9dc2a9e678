"""LearnedUnigram: the unigram distribution of the targets seen so far."""

import torch
from torch import Tensor
from typing_extensions import Unpack

from logq.candidates import IGNORED
from logq.kernels.distributions import LearnedDistribution
from logq.samplers.alias_table import AliasTable, check_size
from logq.samplers.proposal import Proposal, ProposalOptions

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

    counts: Tensor
    recent: Tensor

    def __init__(self, num_classes: int, num_sampled: int, **options: Unpack[ProposalOptions]) -> None:
        super().__init__(num_classes, num_sampled, **options)
        check_size(self.num_classes)
        self.register_buffer("counts", torch.ones(self.num_classes, dtype=torch.int64, device=self.device))
        self.register_buffer("recent", torch.empty(0, dtype=torch.int64, device=self.device), persistent=False)
        self._build()
        self.register_load_state_dict_post_hook(self._build_again)

    def _build(self) -> None:
        """Take all counts into the table and empty the list."""
        self.in_table = int(self.counts.sum())
        self.num_recent = 0
        with torch.inference_mode(False):  # what is made here is written to in training
            self.table = AliasTable(self.counts.double()).to(self.device)
            self.recent = torch.empty(max(1024, self.num_classes), dtype=torch.int64, device=self.device)
        self._prepare()

    @staticmethod
    def _build_again(sampler: "LearnedUnigram", _: object) -> None:
        """After loading counts. Not a lambda, so that a sampler can be pickled."""
        sampler._build()

    def learn(self, targets: Tensor) -> None:
        """Count targets; `draw` does so itself in training mode.

        Args:
            targets: int64 of any shape; IGNORED entries do not count.
        """
        seen = targets[targets != IGNORED]
        self.counts.index_add_(0, seen, torch.ones_like(seen))
        self._tries = None
        if self.num_recent + seen.numel() > self.recent.numel():
            self._build()
        else:
            self.recent[self.num_recent : self.num_recent + seen.numel()] = seen
            self.num_recent += seen.numel()

    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of q for classes as known now: int64 of any shape -> the same shape."""
        total = torch.tensor(self.in_table + self.num_recent, dtype=self.dtype)
        return self.counts[ids].to(self.dtype).log() - total.log()

    def _distribution(self) -> LearnedDistribution:
        return LearnedDistribution(self.table.distribution, self.recent[: self.num_recent], self.in_table)
