"""StratifiedDraws: one sample of all classes for models in parts, where each process has its own counts alone."""

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.candidates import IGNORED, Candidates
from logq.distributed.fetched_rows import RowRequest
from logq.distributed.placing import Placing
from logq.distributed.row_messages import as_bytes, from_bytes
from logq.distributed.stratified import Stratified, strata
from logq.processes import Group, all_rows, exchange, world
from logq.samplers import Draw, LogUniform, Mixture, Proposal, Sampler, Uniform, Unigram
from logq.samplers.streams import Source

__all__ = ["StratifiedDraws", "stratified_draws"]

KINDS = (Uniform, LogUniform, Unigram)
"""Distributions that stay what they are."""


class StratifiedDraws(Sampler):
    """What `Stratified` is beside a ShardedClassTable, as a sampler for models that look up the rows of its samples.

        Q(y) = S_r q(y) / q(shard r)     for the classes y of process r, exactly

    Each process keeps the table of the classes that it owns, and draws S_r of them. All processes share the sample of
    S, as one process has it for the joined batch; log Q comes from the owners. Draws and `log_expected_count` are
    collectives: all processes call them equally often.

    Args:
        sampler: a Uniform, LogUniform or Unigram over all classes, with one sample for the batch. Only the own part of
            it is kept.
        group: the processes.

    Raises:
        ArgumentTypeError, ArgumentError: the sampler is not as described, a process has no class that can be drawn, or
            fewer than it is to draw without replacement.

    References:
        Cochran, Sampling Techniques, 1977, chapter 5: stratified sampling with proportional allocation.

    Example:
        >>> sampler = StratifiedDraws(Uniform(1000, 20, seed=1))
        >>> sampler.draw(torch.tensor([3, 999])).true_log_expected_count.exp()
        tensor([0.0200, 0.0200])
    """

    def __init__(self, sampler: Proposal, *, group: Group = None) -> None:
        part = Stratified(sampler)
        here = world(group)
        super().__init__(sampler.num_classes, seed=sampler.seed, device=sampler.device, dtype=sampler.dtype)
        if type(sampler) not in KINDS:
            raise ArgumentTypeError("sampler", "a Uniform, LogUniform or Unigram", Verbatim(type(sampler).__name__))
        self.num_sampled, self.group, self.size = sampler.num_sampled, group, here.size
        self.placing = Placing(sampler.num_classes, here.size)
        part.join(self.placing, here.rank)
        self.part, self._own = part, len(self.placing.range_of(here.rank))
        possible = int((self._own_log_q() > -torch.inf).sum())
        told = torch.tensor([[part.mass(), possible]], dtype=torch.float64, device=sampler.device)
        masses, possible = all_rows(told, [1] * here.size, group).cpu().unbind(dim=1)
        if not possible.all():
            raise ArgumentError("sampler", "classes that can be drawn in each process", Verbatim("a process without"))
        shares = torch.tensor(strata(masses, sampler.num_sampled))
        if not sampler.replacement and (shares > possible).any():
            most = int((sampler.num_sampled * possible / shares).min())
            raise ArgumentError("num_sampled", f"at most {most}, without replacement", sampler.num_sampled)
        part.share(masses)

    @property
    def own_classes(self) -> int:
        """How many classes this process has a table of."""
        return self._own

    def sample_size(self) -> float:
        """S."""
        return float(self.num_sampled)

    def _is_sequence_of_ops(self) -> bool:
        return False

    def _draw(self, targets: Tensor, generator: Source) -> Draw:  # in a mixture, whose parts want to know more log Q
        drawn, ids = self.part.draw_for_all(self.placing, self.group)

        def log_expected_count(classes: Tensor) -> Tensor:
            request, asked = self._ask(classes.flatten())
            return self._told(request, drawn.log_expected_count(asked)).view(classes.shape)

        return Draw(ids, log_expected_count)

    def _counted(self, targets: Tensor, groups: Tensor | None, generator: Source, are_classes: bool) -> Candidates:
        is_true = targets != IGNORED
        request, asked = self._ask(targets[is_true])
        rows, of_rows, of_asked = self.part.draw_own(asked)
        of_targets = torch.zeros(targets.shape, dtype=self.dtype, device=targets.device)
        of_targets.masked_scatter_(is_true, self._told(request, of_asked))
        every = all_rows(as_bytes(rows.int(), of_rows), self.part.strata, self.group)
        rows, of_ids = from_bytes(every, [(torch.int32, None), (self.dtype, None)])
        return Candidates(self.placing.ids_of_rows(rows.long(), self.part.strata), of_ids, targets, of_targets)

    @torch.no_grad()
    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of Q in a sample to come, of classes, int64 of any shape, as their owners know it."""
        request, asked = self._ask(ids.flatten())
        return self._told(request, self.part.own_log_expected_count(asked)).view(ids.shape)

    @torch.no_grad()
    def all_log_expected_counts(self) -> Tensor:
        """(C,) `log_expected_count` of all classes."""
        counts = [len(self.placing.range_of(rank)) for rank in range(self.size)]
        every = all_rows(self._own_log_q(), counts, self.group)
        rows = torch.cat([torch.arange(count, device=every.device) for count in counts])
        return torch.empty_like(every).index_copy_(0, self.placing.ids_of_rows(rows, counts), every)

    def _own_log_q(self) -> Tensor:
        return self.part.own_log_expected_count(torch.arange(self._own, device=self.device))

    def _ask(self, ids: Tensor) -> tuple[RowRequest, Tensor]:
        """What this process asks the owners of classes (N,), and the own rows (n,) that it is asked for."""
        request = RowRequest.of(self, ids)
        rows = exchange(request.rows[:, None], request.sent, request.received, self.group)
        return request, rows[:, 0].long()

    def _told(self, request: RowRequest, values: Tensor) -> Tensor:
        """What owners have for the classes (N,) of a request, for what this one has for those it was asked for."""
        return exchange(values, request.received, request.sent, self.group)[request.inverse]


def stratified_draws(sampler: Sampler, *, group: Group = None) -> Sampler:
    """A sampler of which each process has its own part; the same one where it has to be whole in each.

    Whole are those of one process, those that learn, that draw for each row or from the batch, those of a kind of its
    own, and those with more draws than a process has classes, or fewer draws than there are processes. Of a mixture
    each part is as it would be alone.

    Example:
        >>> stratified_draws(Uniform(10, 2))
        Uniform(num_classes=10, num_sampled=2)
    """
    size = world(group).size
    if isinstance(sampler, Mixture):
        for number, part in enumerate(sampler.parts):
            assert isinstance(part, Sampler)
            sampler.parts[number] = stratified_draws(part, group=group)
        return sampler
    if size == 1 or type(sampler) not in KINDS or not isinstance(sampler, Proposal) or sampler.per_row:
        return sampler
    if not size <= sampler.num_sampled or sampler.num_classes < size:
        return sampler
    try:
        return StratifiedDraws(sampler, group=group)
    except ArgumentError:  # in all processes alike
        return sampler
