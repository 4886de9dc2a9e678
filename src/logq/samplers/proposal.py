"""Samplers that make num_sampled draws from one proposal distribution q, with or without replacement."""

import copy
import math
from abc import abstractmethod
from typing import TypedDict

import torch
from torch import Tensor
from typing_extensions import Self

from logq import kernels
from logq._arguments import ArgumentError, check_bool, check_int
from logq.kernels.distributions import Distribution
from logq.samplers.distinct_draws import by_race, expected_tries, log_inclusion
from logq.samplers.sampler import Draw, Sampler
from logq.samplers.sampler_settings import SamplerSettings
from logq.samplers.streams import Source, take_seed

__all__ = ["Proposal", "ProposalOptions", "options_of"]


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
        self._tries: float | None = None  # found when first asked for; set to None again where q changes

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
        self._by_race = expected_tries(p, self.num_sampled + 1, number) > self.num_classes

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
        other.num_sampled = check_int("num_sampled", num_sampled)
        if other.has_seeds_on_device:
            other.seeds_on_device()
        other._tries = None
        if not other.replacement:
            other._prepare()
        return other

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

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        if not self.replacement:
            return self._draw_distinct(targets.shape[0] if self.per_row else 1, generator)
        shape = (targets.shape[0], self.num_sampled) if self.per_row else (self.num_sampled,)
        return Draw(self._sample(shape, generator), self.log_expected_count)

    def _sample(self, shape: tuple[int, ...], generator: Source) -> Tensor:
        """Independent draws from q."""
        return kernels.get("draws", self.device.type)(self._distribution(), take_seed(generator, self.device), shape)

    def _sample_distinct(self, num_rows: int, generator: Source) -> tuple[Tensor, Tensor, Tensor]:
        """Draws until S classes differ: ids and tries, as the op gives them."""
        seed = take_seed(generator, self.device)
        return kernels.get("distinct_draws", self.device.type)(self._distribution(), seed, num_rows, self.num_sampled)

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
            if classes is sample:
                until = inside
            else:
                place = kernels.get("places_of", self.device.type)(ids, rows)
                until = torch.where(place >= 0, inside.gather(1, place.clamp(min=0)), outside)
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
