"""LogUniform: Zipf's distribution for classes sorted by falling frequency, without a table."""

import math

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from logq.kernels.distributions import LogUniformDistribution
from logq.kernels.expected_counts import LogUniformCounts
from logq.samplers.proposal import Proposal, ProposalOptions

__all__ = ["LogUniform"]


ONE_BY_ONE = 1 << 15
"""Classes whose probabilities are summed one by one."""


class LogUniform(Proposal):
    """Draws class y about in proportion to 1/(y + 1): for vocabularies sorted by falling frequency.

        q(y) = log( (y + 2) / (y + 1) ) / log(C + 1)

    Cost: O(1) per draw, by y = floor(exp(u log(C + 1))) - 1. Stores nothing.

    Equivalent to: tf.random.log_uniform_candidate_sampler(unique=not replacement), up to the exact expected counts of
    distinct draws (logq.samplers.distinct_draws).

    Args:
        num_classes: C.
        num_sampled: S.
        **options: as for Proposal: replacement, per_row, seed, device, dtype.

    Raises:
        ValueError: more distinct classes are asked for than there are, or there are 2^62 and more.

    References:
        TensorFlow, log_uniform_candidate_sampler. Zipf, Human Behavior and the Principle of Least Effort, 1949.

    Example:
        >>> sampler = LogUniform(999, 10, seed=1)
        >>> sampler.log_prob(torch.tensor([0, 998])).exp()
        tensor([0.1003, 0.0001])
        >>> sampler.draw(torch.tensor([0])).true_log_expected_count.exp()
        tensor([1.0034])
    """

    def __init__(self, num_classes: int, num_sampled: int, **options: Unpack[ProposalOptions]) -> None:
        super().__init__(num_classes, num_sampled, **options)
        self._drawn = LogUniformDistribution(self.num_classes)
        self._prepare()

    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of q for classes: int64 of any shape -> the same shape."""
        return LogUniformCounts(-math.log(math.log1p(self.num_classes)), self.dtype)(ids)

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """As for Proposal."""
        if not self.replacement:
            return super().log_expected_count(ids)
        return self._log_counts(self.num_sampled)(ids)

    def _log_counts(self, factor: int) -> LogUniformCounts:
        return LogUniformCounts(math.log(factor / math.log1p(self.num_classes)), self.dtype)

    def _grouped_probabilities(self) -> tuple[Tensor, Tensor]:
        """The first classes one by one; the others as an integral over x = y + 1.5, where p = 1 / (x log(C + 1)).

        Sums over classes are right to ten digits, from some 34,000 numbers however many classes there are.
        """
        if self.num_classes <= ONE_BY_ONE:
            return super()._grouped_probabilities()
        first = self.log_prob(torch.arange(ONE_BY_ONE, device=self.home)).double().exp()
        nodes, weights = np.polynomial.legendre.leggauss(16)
        edges = np.linspace(math.log(ONE_BY_ONE + 1), math.log(self.num_classes + 1), 65)
        half = np.diff(edges)[:, None] / 2
        log_x = torch.from_numpy((edges[:-1, None] + half * (1 + nodes)).reshape(-1)).to(self.home)
        number = torch.from_numpy((half * weights).reshape(-1)).to(self.home) * log_x.exp()
        p = (-log_x).exp() / math.log1p(self.num_classes)
        return torch.cat([first, p]), torch.cat([torch.ones_like(first), number])

    def _distribution(self) -> LogUniformDistribution:
        return self._drawn
