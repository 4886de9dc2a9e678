"""Samplers that make num_sampled draws from one proposal distribution q, with or without replacement."""

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor
from typing_extensions import Self

from logq import kernels
from logq._arguments import ArgumentError, Verbatim, check_bool, check_int
from logq.candidates import IGNORED, Candidates
from logq.kernels.distributions import STEP, Distribution, LearnedDistribution, signed
from logq.kernels.expected_counts import LogCounts
from logq.kernels.reference_draws import counted, until_drawn
from logq.samplers.distinct_draws import by_race, expected_tries, log_inclusion, surely_enough
from logq.samplers.draw_contexts import check_can_draw, check_drawable
from logq.samplers.sampler import Draw, Sampler
from logq.samplers.sampler_settings import SamplerSettings
from logq.samplers.streams import Source, take_seed

__all__ = ["Proposal", "ProposalOptions", "options_of"]

FULL = (1 << 64) - 1


class ProposalOptions(TypedDict, total=False):
    """The keyword arguments of Proposal, which its subclasses take too."""

    replacement: bool
    per_row: bool
    seed: int | None
    device: torch.device | str | None
    dtype: torch.dtype | None


def options_of(settings: SamplerSettings) -> ProposalOptions:
    """The options of a Proposal among the settings of a sampler.

    Example:
        >>> import numpy as np
        >>> options_of(SamplerSettings(np.array([8, 1]), 3, seed=1))
        {'replacement': True, 'per_row': False, 'seed': 1}
    """
    return {"replacement": settings.replacement, "per_row": settings.per_row, "seed": settings.seed}


class Proposal(Sampler):
    """Makes `num_sampled` draws from a distribution q over the classes.

        Q(y) = num_sampled * q(y)              with replacement
        Q(y) = 1 - (1 - q(y))^M(y)             without: M(y) draws were made of other classes until S of those differed

    A subclass gives `_distribution` and `log_prob`.

    Args:
        num_classes: C.
        num_sampled: S, the number of sampled classes.
        replacement: whether a class can be drawn twice. Without, draws are repeated until S classes differ; where that
            would take more than about C of them, all classes run an exponential race instead
            (logq.samplers.distinct_draws).
        per_row: whether each row of a batch gets a sample of its own, (B, S), or all share one, (S,).
        seed, device, dtype: as in Sampler.

    Example:
        >>> from logq.kernels.distributions import UniformDistribution
        >>> class LikeUniform(Proposal):
        ...     def _distribution(self):
        ...         return UniformDistribution(self.num_classes)
        ...
        ...     def log_prob(self, ids):
        ...         return torch.full(ids.shape, -math.log(self.num_classes), dtype=self.dtype)
        >>> LikeUniform(10, 5, seed=1).draw(torch.tensor([3])).true_log_expected_count.exp()
        tensor([0.5000])
    """

    reads_targets = False

    def __init__(
        self,
        num_classes: int,
        num_sampled: int,
        *,
        replacement: bool = True,
        per_row: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_classes, seed=seed, device=device, dtype=dtype)
        self.num_sampled = check_int("num_sampled", num_sampled)
        self.replacement = check_bool("replacement", replacement)
        self.per_row = check_bool("per_row", per_row)
        self._by_race: bool | None = None  # how distinct classes are drawn: `_prepare` finds it
        self._enough: int | None = None  # draws for distinct classes, found when first asked for
        self._tries: float | Tensor | None = None  # found when first asked for; set to None again where q changes

    @classmethod
    def from_settings(cls, settings: SamplerSettings) -> Self:
        """Make the sampler from what an estimator knows; see Sampler."""
        return cls(settings.num_classes, settings.num_distinct, **options_of(settings))

    def _prepare(self) -> None:
        """Check `num_sampled` and find the way to draw distinct classes.

        The first draw does it; a constructor that calls it last says at once what is wrong.
        """
        if self.replacement:
            return
        p, number = self._grouped_probabilities()
        possible = int(number[p > 0].sum())
        if self.num_sampled > possible:
            expected = f"at most {possible}, the number of classes that can be drawn, for a sample without replacement"
            raise ArgumentError("num_sampled", expected, self.num_sampled)
        # The way is chosen by the distribution alone. Choosing by how a draw turns out would change what is drawn.
        self._by_race = float(expected_tries(p.cpu(), self.num_sampled + 1, number.cpu())) > self.num_classes

    def with_num_sampled(self, num_sampled: int) -> Self:
        """A sampler of the same distribution that makes another number of draws, from a generator of its own.

        Args:
            num_sampled: S of the new one.

        Returns:
            A copy, tables and all; neither knows of what the other learns later.

        Raises:
            ValueError: there are fewer distinct classes, where draws are without replacement.
        """
        other = copy.deepcopy(self)
        other._states = {}  # so that it starts fresh
        if other.has_seeds_on_device:
            other.seeds_on_device()
        other.set_num_sampled(num_sampled)
        return other

    def set_num_sampled(self, num_sampled: int) -> None:
        """Make another number of draws from now on, from the same generator.

        Args:
            num_sampled: S.

        Raises:
            ValueError: there are fewer distinct classes, where draws are without replacement.
        """
        self.num_sampled = check_int("num_sampled", num_sampled)
        self._tries = self._enough = None
        if not self.replacement:
            self._prepare()

    def _all_probabilities(self) -> Tensor:
        """(C,) float64."""
        return self.log_prob(torch.arange(self.num_classes, device=self.home)).double().exp()

    def _grouped_probabilities(self) -> tuple[Tensor, Tensor]:
        """Probabilities and how many classes each is that of, float64; to be overridden where few do for many."""
        p = self._all_probabilities()
        return p, torch.ones_like(p)

    def sample_size(self) -> float:
        """S."""
        return self.num_sampled

    @abstractmethod
    def _distribution(self) -> Distribution:
        """What the kernels draw from."""

    def _log_counts(self, factor: int) -> LogCounts:
        """The log of `factor` times q as kernels know it; for a subclass to give, if it can."""
        raise NotImplementedError

    _has_log_counts: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "_log_counts" in vars(cls):
            cls._has_log_counts = True
        elif {"log_prob", "log_expected_count", "_draw", "_sample"} & vars(cls).keys():
            cls._has_log_counts = False  # those of the base class are not true of this one

    @abstractmethod
    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of q for classes: int64 of any shape -> the same shape, in a tensor of its own."""

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of num_sampled * q with replacement.

        Without, of the inclusion probability 1 - exp(-n q), where n solves sum_v (1 - exp(-n q_v)) = num_sampled: the
        one number here that is approximate, with a relative error of order 1/num_sampled (Hajek 1981). `draw` is exact.
        """
        log_p = self.log_prob(ids)
        if self.replacement:
            return log_p.add_(math.log(self.num_sampled))
        if self._tries is None:
            p, number = self._grouped_probabilities()
            self._tries = expected_tries(p, self.num_sampled, number)
        log_q = torch.log(-torch.expm1(-log_p.double().exp() * self._tries)).to(log_p.dtype)
        return log_q.masked_fill(log_p == -torch.inf, -torch.inf)

    @property
    def _copies_targets(self) -> bool:
        # Graphs are made of the ops one by one: the compiler joins them.
        known = self._has_log_counts and not torch.compiler.is_compiling()
        return known and (self.replacement or self._counts_tries())

    def _counts_tries(self) -> bool:
        """Whether distinct classes are drawn by tries, and expected counts follow from how many those were."""
        if self._by_race is None:
            self._prepare()
        return not self._by_race

    def _counted(self, targets: Tensor, groups: Tensor | None, generator: Source, are_classes: bool) -> Candidates:
        if not self._copies_targets:
            return super()._counted(targets, groups, generator, are_classes)
        return self._counted_from(take_seed(generator, self.device), targets, are_classes)

    def _counted_from(self, seed: Tensor, targets: Tensor, are_classes: bool) -> Candidates:
        """The same from the seed of the draw, where it comes with copies of targets."""
        given: tuple[Any, ...] = self._distribution(), seed
        if self.replacement:
            draws, log_counts = kernels.get("counted_draws", self.device.type), self._log_counts(self.num_sampled)
            return Candidates(*draws(*given, self._shape(targets), targets, log_counts, are_classes))
        draws, log_q = kernels.get("counted_distinct_draws", self.device.type), self._log_counts(1)
        sizes = (len(targets) if self.per_row else 1, self.num_sampled)
        ids, of_ids, *others = draws(*given, *sizes, targets, log_q, are_classes, **self._enough_draws())
        return Candidates(ids if self.per_row else ids[0], of_ids if self.per_row else of_ids[0], *others)

    @property
    def draws_in_parts(self) -> bool:
        """Whether there is `draw_in_parts`: each row has a sample, by independent draws or by tries."""
        return self.per_row and self._copies_targets

    @torch.no_grad()
    def draw_in_parts(
        self, targets: Tensor, num_rows: int, *, ignore_index: int = IGNORED, need_log_q: bool = False
    ) -> Iterator[Candidates]:
        """The candidates that `draw` gives, for some rows of a batch at a time, so that no samples of all are stored.

        In training mode the batch is learned after the last of them.

        Args:
            targets: as for `draw`.
            num_rows: of a part; the last one may have less.
            ignore_index: as for `draw`.
            need_log_q: as for `draw`.

        Raises:
            ArgumentTypeError, ArgumentError: as `draw`, or `draws_in_parts` is False.

        Example:
            >>> from logq.samplers import LogUniform
            >>> whole, parts = (LogUniform(9, 4, per_row=True, seed=1) for _ in range(2))
            >>> targets = torch.tensor([3, 0, 5])
            >>> ids = [part.ids for part in parts.draw_in_parts(targets, 2)]
            >>> torch.equal(torch.cat(ids), whole.draw(targets).ids)
            True
        """
        if not self.draws_in_parts:
            found = Verbatim(f"{self}")
            raise ArgumentError("sampler", "one that draws for each row, and not by a race of all classes", found)
        check_can_draw(moves_on=True)
        are_classes = self._check(targets, None, ignore_index)
        if not are_classes:
            targets = targets.masked_fill(targets == ignore_index, IGNORED)
        self._learn(targets, before=True)
        seed = take_seed(self._source(), self.device)
        for first in range(0, len(targets), num_rows):
            rows = targets[first : first + num_rows]
            candidates = self._part_of(seed, first, rows, are_classes)
            if need_log_q:
                check_drawable(rows, candidates.true_log_expected_count)
            yield candidates
        self._learn(targets, before=False)

    def _part_of(self, seed: Tensor, first_row: int, targets: Tensor, are_classes: bool) -> Candidates:
        """What a draw from a seed gives for the rows behind the first ones."""
        # Distinct draws take a number of the stream for each row, independent ones for each class.
        first = first_row * (self.num_sampled if self.replacement else 1)
        distribution = self._distribution()
        if not self.replacement or not isinstance(distribution, LearnedDistribution):
            return self._counted_from(seed + signed(first * STEP & FULL), targets, are_classes)
        # This one draws from two streams, which are not moved alike by moving the seed.
        shape = self._shape(targets)
        ids = distribution.at(seed, torch.arange(first, first + math.prod(shape), device=seed.device)).view(shape)
        of_ids, of_targets = counted(ids, targets, self._log_counts(self.num_sampled), are_classes)
        return Candidates(ids, of_ids, targets, of_targets)

    def _shape(self, targets: Tensor) -> tuple[int, ...]:
        return (targets.shape[0], self.num_sampled) if self.per_row else (self.num_sampled,)

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        if not self.replacement:
            return self._draw_distinct(targets.shape[0] if self.per_row else 1, generator)
        return Draw(self._sample(self._shape(targets), generator), self.log_expected_count)

    def _sample(self, shape: tuple[int, ...], generator: Source) -> Tensor:
        """Independent draws from q."""
        return kernels.get("draws", self.device.type)(self._distribution(), take_seed(generator, self.device), shape)

    def _sample_distinct(self, num_rows: int, generator: Source) -> tuple[Tensor, Tensor, Tensor]:
        """Draws until S classes differ: ids and tries, as the op gives them."""
        seed, draws = take_seed(generator, self.device), kernels.get("distinct_draws", self.device.type)
        return draws(self._distribution(), seed, num_rows, self.num_sampled, **self._enough_draws())

    def _enough_draws(self) -> dict[str, Callable[[], int]]:
        """What spares other devices than the CPU a look at whether draws are enough, where q is as this class says."""
        return {} if self.device.type == "cpu" or not self._has_log_counts else {"enough": self._surely_enough}

    def _surely_enough(self) -> int:
        if self._enough is None:
            p, number = self._grouped_probabilities()
            self._enough = surely_enough(p, self.num_sampled, number)
        return self._enough

    def _draw_distinct(self, num_rows: int, generator: Source) -> Draw:
        if self._by_race is None:
            self._prepare()
        if self._by_race:
            seed = take_seed(generator, self.device)
            ids, inside, outside = by_race(self._all_probabilities(), num_rows, self.num_sampled, seed)
            inside = inside.expand(ids.shape)
        else:
            ids, inside, outside = self._sample_distinct(num_rows, generator)
        sample = ids if self.per_row else ids[0]

        def log_expected_count(classes: Tensor) -> Tensor:  # (N,) for a shared sample, (B, N) for one per row
            rows = classes if self.per_row else classes.reshape(1, -1)
            until = inside
            if classes is not sample:
                until = until_drawn(rows, ids, inside, outside, kernels.get("places_of", self.device.type))
            log_p = self.log_prob(rows)
            if self._by_race:
                log_q = torch.log(-torch.expm1(-log_p.double().exp() * until)).to(log_p.dtype)
                # 0 * inf: a class that can't be drawn, in a sample of all that can.
                log_q = log_q.masked_fill(log_p == -torch.inf, -torch.inf)
            else:
                log_q = log_inclusion(log_p, until)
            return log_q.view(classes.shape)

        return Draw(sample, log_expected_count)

    def extra_repr(self) -> str:
        """What repr() shows."""
        sizes = f"num_classes={self.num_classes}, num_sampled={self.num_sampled}"
        return sizes + ("" if self.replacement else ", replacement=False") + (", per_row=True" if self.per_row else "")
