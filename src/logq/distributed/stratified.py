"""Stratified: each process draws from the classes that it owns, and every class has its exact expected count."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float
from logq.distributed.checkpoint_parts import OwnRows
from logq.distributed.placing import Placing
from logq.processes import Group, all_rows
from logq.samplers import Draw, LearnedUnigram, Proposal, Sampler, Uniform, Unigram
from logq.samplers.draw_contexts import check_can_draw
from logq.samplers.streams import Source

__all__ = ["Stratified", "strata"]


class Stratified(Sampler):
    """A sample of all classes to which each process gives classes that it owns, so that nobody needs the counts of all.

        S_r = S q(shard r), rounded by largest remainder and at least 1,     sum_r S_r = S
        Q(y) = S_r q(y) / q(shard r)     for the classes y of process r, exactly

    The distribution q is that of the given sampler. Process r draws S_r classes by q within its own, from an alias
    table of these alone, and tells log Q with each row that it hands out. All processes share the sample.

    A LearnedUnigram counts the targets of all processes: each class is counted by its owner. S_r then follows what was
    learned, from step to step.

    In a Mixture with samplers of the batch or for each row, Q is the sum of the expected counts of all parts.

    Draws without replacement are distinct within each process, and so altogether. S_r / S differs from q(shard r) by
    rounding; Q does not, it is of the S_r that are drawn.

    Args:
        sampler: a Uniform, LogUniform, Unigram, LearnedUnigram, or another Proposal, over all classes and of S draws
            in all; each process takes its part of it. One sample for the batch, not one for each row.
        own_mass: tells that the sampler is over this process's own classes alone, in the order of
            `ShardedClassTable.own_ids()`, and what their part of q is, up to a factor that is the same in all
            processes. For counts that fit into no process: Unigram(own_counts, S, power=0.75) has the mass
            (own_counts ** 0.75).sum(). A LearnedUnigram knows its mass.

    Raises:
        ArgumentTypeError: the sampler is not a Proposal.
        ArgumentError: the sampler draws for each row.

    References:
        Cochran, Sampling Techniques, 1977, chapter 5: stratified sampling with proportional allocation.

    Example:
        >>> from logq.distributed import ShardedClassTable
        >>> from logq.nn import SampledSoftmaxLoss
        >>> table = ShardedClassTable(1000, 8)
        >>> loss = SampledSoftmaxLoss(table, Stratified(Uniform(1000, 20, seed=1)))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 999])).backward()
        >>> table.step()
    """

    def __init__(self, sampler: Proposal, *, own_mass: float | None = None) -> None:
        if not isinstance(sampler, Proposal):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError(
                "sampler", "one with a distribution, such as Uniform or Unigram", Verbatim(type(sampler).__name__)
            )
        if sampler.per_row:
            raise ArgumentError("sampler", "one sample for the batch", Verbatim("per_row=True"))
        super().__init__(sampler.num_classes, seed=sampler.seed, device=sampler.device, dtype=sampler.dtype)
        self.num_sampled = sampler.num_sampled
        self.sampler: Proposal | None = sampler.eval()  # what is learned comes from all processes
        self.learns = isinstance(sampler, LearnedUnigram)
        self.own_mass = None if own_mass is None else check_float("own_mass", own_mass, at_least=0)
        self._joined: tuple[int, int, int] | None = None
        self._own = range(0)
        self.strata: list[int] = []
        """S_r of each process, once they were shared out."""
        self.sample: Tensor | None = None
        """(S,) what was drawn for all, while a Mixture that this is part of draws."""

    def train(self, mode: bool = True) -> "Stratified":
        """As nn.Module does; the sampler within is told what to learn, and never learns by itself."""
        super().train(mode)
        if self.sampler is not None:
            self.sampler.eval()
        return self

    def join(self, placing: Placing, rank: int) -> None:
        """Take the part of a process. A table that it is used with calls it.

        Args:
            placing: of the classes.
            rank: of the process.

        Raises:
            ArgumentError: the sampler is over another number of classes, or in use with another table.
        """
        own = placing.range_of(rank)
        who = placing.num_classes, placing.size, rank
        if self._joined is not None:
            if self._joined != who:
                raise ArgumentError("sampler", f"one that is used with no other table than one of {who[0]} classes")
            return
        assert self.sampler is not None
        expected = placing.num_classes if self.own_mass is None else len(own)
        if self.sampler.num_classes != expected:
            raise ArgumentError("sampler", f"num_classes = {expected}", self.sampler.num_classes)
        if self.own_mass is None:
            self.own_mass, self.sampler = _part(self.sampler, placing, rank)
        self.num_classes = placing.num_classes
        self._joined, self._own = who, own

    def mass(self) -> float:
        """What this process's own classes have of q, up to a factor common to all processes."""
        if isinstance(self.sampler, LearnedUnigram):
            return float(self.sampler.in_table + int(self.sampler.num_recent))
        return self.own_mass or 0.0

    def share(self, masses: Tensor) -> list[int]:
        """The S_r of all processes, from the masses of all.

        Args:
            masses: (W,) float64.

        Raises:
            ArgumentError: S is less than the processes whose classes can be drawn.
        """
        assert self._joined is not None
        self.strata = strata(masses, self.num_sampled)
        own = self._share()
        if self.sampler is not None and own and own != self.sampler.num_sampled:
            self.sampler.set_num_sampled(own)
        return self.strata

    def draw_own(self, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw this process's part of a sample.

        Args:
            asked: (N,) int64, own classes, by their rows, of which log Q is wanted.

        Returns:
            (S_r,) the rows of the drawn classes, (S_r,) log Q of these, and (N,) of what was asked for.
        """
        if self.sampler is None or not self._share():
            return asked[:0], self._never(asked[:0]), self._never(asked)
        drawn = self.sampler.draw(asked)
        return drawn.ids, drawn.log_expected_count, drawn.true_log_expected_count

    def draw_rows(self) -> Draw:
        """The same draw, before it is known of which classes log Q is wanted: (S_r,) rows, and what tells it."""
        nothing = torch.zeros(0, dtype=torch.int64, device=self.device)
        if self.sampler is None or not self._share():
            return Draw(nothing, self._never)
        check_can_draw(moves_on=True)
        with torch.no_grad():
            return self.sampler._draw_in_groups(nothing, self.sampler._source(), None)

    def draw_for_all(self, placing: Placing, group: Group) -> tuple[Draw, Tensor]:
        """The same draw, and what the other processes drew.

        Args:
            placing: of the classes.
            group: the processes that draw together.

        Returns:
            What `draw_rows` does, and the (S,) classes that all processes drew.
        """
        drawn = self.draw_rows()
        rows = all_rows(drawn.ids.int(), self.strata, group)
        return drawn, placing.ids_of_rows(rows.long(), self.strata)

    def own_log_expected_count(self, rows: Tensor) -> Tensor:
        """Natural log of Q in a sample to come, of own classes by their rows, int64 of any shape."""
        if self.sampler is None or (self.strata and not self._share()):
            return self._never(rows)
        return self.sampler.log_expected_count(rows)

    def _share(self) -> int:
        """S_r of this process."""
        return self.strata[self._joined[2] if self._joined else 0]

    def _never(self, rows: Tensor) -> Tensor:
        """Log Q where nothing is drawn."""
        return torch.full(rows.shape, -torch.inf, dtype=self.dtype, device=rows.device)

    def learn_own(self, rows: Tensor, times: Tensor) -> None:
        """Count own classes as targets, each so many times."""
        if self.sampler is not None and len(rows):
            self.sampler.learn(rows.repeat_interleave(times))

    def sharded_state(self) -> dict[str, Any]:
        """For logq.distributed.Checkpoint: what was learned of own classes, and the generator of this process."""
        if self.sampler is None:
            return {}
        state: dict[str, Any] = {"generator": self.sampler.generator}
        if isinstance(self.sampler, LearnedUnigram):
            self.sampler.take_counts()  # so that draws go on here as they do where only the counts are loaded
            state["counts"] = OwnRows(self.sampler.counts, self._own.start, self.num_classes)
        return state

    def load_sharded_state(self, state: Mapping[str, Any]) -> None:
        """Use the counts that were written to the tensors of `sharded_state`."""
        if isinstance(self.sampler, LearnedUnigram):
            self.sampler.take_counts()

    def sample_size(self) -> float:
        """S."""
        return float(self.num_sampled)

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Is known to the owner of a class alone, and comes with its row."""
        raise self._needs_table()

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        if self.sample is None:
            raise self._needs_table()
        return Draw(self.sample, self._never)  # log Q comes with the rows, and is added to that of the other parts

    def _needs_table(self) -> ArgumentError:
        hint = "the samplers of logq.samplers draw for tables that each process has whole"
        return ArgumentError("sampler", "Stratified beside a ShardedClassTable", Verbatim("other weights"), hint)

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"num_classes={self.num_classes}, num_sampled={self.num_sampled}"


def strata(masses: Tensor, num_sampled: int) -> list[int]:
    """S_r in proportion to masses, by largest remainder, and at least 1 where a mass is not 0.

    Args:
        masses: (W,) float64, >= 0.
        num_sampled: S, their sum.

    Raises:
        ArgumentError: S is less than the number of masses above 0, or all are 0.

    Example:
        >>> strata(torch.tensor([5.0, 3.0, 0.0, 0.01]), 10)
        [6, 3, 0, 1]
    """
    alive = masses > 0
    least = int(alive.sum())
    if not least:
        raise ArgumentError("sampler", "a class that can be drawn", Verbatim("none in any process"))
    if num_sampled < least:
        expected = f"at least {least}, one for each process"
        raise ArgumentError("num_sampled", expected, num_sampled, "a class that no process draws has no log Q")
    wanted = (masses / masses.sum() * num_sampled).tolist()
    found = [max(int(number), 1 if number > 0 else 0) for number in wanted]
    while (missing := num_sampled - sum(found)) != 0:
        change = 1 if missing > 0 else -1
        able = [rank for rank, number in enumerate(found) if wanted[rank] > 0 and (change > 0 or number > 1)]
        found[max(able, key=lambda rank: change * (wanted[rank] - found[rank]))] += change
    return found


def _part(sampler: Proposal, placing: Placing, rank: int) -> tuple[float, Proposal | None]:
    """The mass of a process's own classes, and a sampler of them alone; None where none of them can be drawn."""
    own = placing.range_of(rank)
    about = {"replacement": sampler.replacement, "seed": sampler.seed, "device": sampler.device, "dtype": sampler.dtype}
    if isinstance(sampler, Uniform):
        return float(len(own)), Uniform(len(own), _at_most(sampler, len(own)), **about).eval()
    if isinstance(sampler, LearnedUnigram):
        part = LearnedUnigram(len(own), _at_most(sampler, len(own)), **about).eval()
        counts = torch.cat([sampler.counts[ids.to(sampler.home)] for _, ids in placing.chunks_of(rank)])
        part.learn(torch.arange(len(own), device=part.home).repeat_interleave(counts - 1))
        return 0.0, part
    weights = torch.cat(
        [sampler.log_prob(ids.to(sampler.home)).double().exp() for _, ids in placing.chunks_of(rank)]
    ).cpu()
    mass = float(weights.sum())
    if not mass:
        return 0.0, None
    return mass, Unigram(weights, _at_most(sampler, int((weights > 0).sum())), **about).eval()


def _at_most(sampler: Proposal, possible: int) -> int:
    """A number of draws that is possible; that of a step follows from the masses of all processes."""
    return sampler.num_sampled if sampler.replacement else min(sampler.num_sampled, possible)
