"""TableDraws: what the sampler of a loss draws beside a table in parts, by processes from batches and by owners."""

from collections.abc import Iterator

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.candidates import IGNORED, Candidates
from logq.distributed.stratified import Stratified
from logq.distributed.table_part import TablePart
from logq.samplers import Draw, EveryClass, InBatch, Mixture, Prefetch, Proposal, Sampler

__all__ = ["TableDraws"]


class TableDraws:
    """The sampler of a loss as two kinds of parts: those that owners draw from, and those that each process has whole.

    Where both are in a mixture, the expected counts of either kind are added up for each class: those of what is whole
    are known where candidates are, those of a Stratified come with the rows.

    Args:
        part: the own rows of the table.
        sampler: a Stratified; one that draws from the batch or for each row; or a Mixture of such.

    Example:
        >>> from logq.optim import SGD
        >>> from logq.samplers import Uniform
        >>> sampler = Mixture([InBatch(9), Stratified(Uniform(9, 4, seed=1))])
        >>> draws = TableDraws(TablePart(9, 2, SGD, progress=False), sampler)
        >>> draws.join()
        >>> draws.share(torch.tensor([draws.masses()]))
        >>> draws.draw(torch.tensor([3, 3])).ids.shape
        torch.Size([6])
    """

    def __init__(self, part: TablePart, sampler: Sampler) -> None:
        self.part, self.sampler = part, sampler
        every = list(_parts(sampler))
        self.stratified = [one for one in every if isinstance(one, Stratified)]
        self.whole = [one for one in every if not isinstance(one, Stratified)]
        self._drawn: list[Draw] = []
        self._shifts = [0.0] * len(self.whole)

    def join(self) -> None:
        """Check the sampler, and let its parts take what they need to know of the table.

        Raises:
            ArgumentError, ArgumentTypeError: a part cannot be beside the table.
        """
        for one in self.stratified:
            one.join(self.part.placing, self.part.rank)
        for one in self.whole:
            inner = one.sampler if isinstance(one, Prefetch) else one
            name = type(inner).__name__
            if isinstance(inner, EveryClass):
                hint = "the full objectives have all classes, and move queries and no rows"
                raise ArgumentError("sampler", "one that draws some classes", Verbatim(name), hint)
            if isinstance(inner, Proposal) and not inner.per_row:
                hint = f"Stratified({name}(...)) lets each process draw from its own rows"
                raise ArgumentTypeError("sampler", "a Stratified beside a ShardedClassTable", Verbatim(name), hint)
            if one.num_classes != self.part.placing.num_classes:
                raise ArgumentError("sampler", f"num_classes = {self.part.placing.num_classes}", one.num_classes)
            if self.part.group is None and getattr(one, "group", None) != "world":
                one.learn_from_all()  # a group of all does so anyway

    def masses(self) -> list[float]:
        """What the others have to know before owners draw."""
        return [one.mass() for one in self.stratified]

    def share(self, told: Tensor) -> None:
        """Take the `masses` (W, n) of all processes, float64."""
        for one, of_all in zip(self.stratified, told.unbind(dim=1), strict=True):
            one.share(of_all)

    def numbers(self) -> list[float]:
        """What the others have to know before log P is read by log Q."""
        others = [float(one.others) if isinstance(one, InBatch) else 1.0 for one in self.whole]
        return self.masses() + others + [one.sample_size() for one in self.whole]

    def agree(self, told: Tensor) -> float:
        """Take the `numbers` (W, n) of all processes, float64.

        Returns:
            S of all parts, on average over the processes.
        """
        masses, others, sizes = told.split([len(self.stratified), len(self.whole), len(self.whole)], dim=1)
        self.share(masses)
        # Batches of processes, or of groups, may differ in how many targets there are beside one. Noise is that of all.
        self._shifts = (others.mean(dim=0) / others[self.part.rank]).log().tolist()
        return sum(one.sample_size() for one in self.stratified) + float(sizes.mean(dim=0).sum())

    def draw(self, targets: Tensor) -> Candidates:
        """The candidates of this process's rows; log Q in them is without that of what owners drew (`told`).

        Args:
            targets: (B,) or (B, T), IGNORED where there is no class.
        """
        self._drawn = []
        try:
            for one in self.stratified:
                drawn, one.sample = one.draw_for_all(self.part.placing, self.part.group)
                self._drawn.append(drawn)
            return self.sampler.draw(targets, ignore_index=IGNORED)
        finally:
            for one in self.stratified:
                one.sample = None

    def told(self, rows: Tensor) -> Tensor:
        """(N,) log Q of own classes, by their rows (N,), in what owners drew last."""
        return _log_sum([one.log_expected_count(rows) for one in self._drawn], self.sampler.dtype)

    def own_log_expected_count(self, rows: Tensor) -> Tensor:
        """Natural log of Q in a sample to come, of own classes by their rows, int64 of any shape: of all parts."""
        ids = self.part.placing.ids(rows + self.part.own.start)
        logs = [one.own_log_expected_count(rows) for one in self.stratified]
        logs += [one.log_expected_count(ids) + shift for one, shift in zip(self.whole, self._shifts, strict=True)]
        return _log_sum(logs, self.sampler.dtype)


def _parts(sampler: Sampler) -> Iterator[Sampler]:
    if not isinstance(sampler, Mixture):
        yield sampler
        return
    for part in sampler.parts:
        assert isinstance(part, Sampler)
        yield from _parts(part)


def _log_sum(logs: list[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.stack([one.to(dtype) for one in logs]).logsumexp(dim=0)
