"""Uniform: all classes equally likely."""

import math

import torch
from torch import Tensor
from typing_extensions import Unpack

from logq._arguments import ArgumentError
from logq.kernels.distributions import UniformDistribution
from logq.kernels.expected_counts import EqualCounts
from logq.samplers.distinct_draws import permuted
from logq.samplers.proposal import Proposal, ProposalOptions
from logq.samplers.sampler import Draw
from logq.samplers.streams import Source, take_seed

__all__ = ["Uniform"]


class Uniform(Proposal):
    """Draws every class with the same probability.

        q(y) = 1/C,    Q(y) = num_sampled / C     with and without replacement, exactly

    Without replacement all sets of num_sampled classes are equally likely, and sampled softmax is exactly stationary.
    Cost: O(S) per draw, O(C) for a sample without replacement of more than half of the classes. Stores nothing.

    Equivalent to: tf.random.uniform_candidate_sampler, whose expected counts without replacement are
    1 - (1 - 1/C)^tries, a noisy estimate of the S/C here.

    Args:
        num_classes: C.
        num_sampled: S.
        **options: as for Proposal: replacement, per_row, seed, device, dtype.

    Raises:
        ValueError: more distinct classes are asked for than there are, or there are 2^62 and more.

    References:
        Bengio and Senecal, Quick Training of Probabilistic Neural Nets by Importance Sampling, AISTATS 2003.

    Example:
        >>> candidates = Uniform(1000, 4, seed=1).draw(torch.tensor([3, 5]))
        >>> candidates.ids.shape, candidates.log_expected_count.exp()
        (torch.Size([4]), tensor([0.0040, 0.0040, 0.0040, 0.0040]))
    """

    def __init__(self, num_classes: int, num_sampled: int, **options: Unpack[ProposalOptions]) -> None:
        super().__init__(num_classes, num_sampled, **options)
        self._drawn = UniformDistribution(self.num_classes)
        if not self.replacement and self.num_sampled > self.num_classes:
            expected = f"at most num_classes = {self.num_classes} without replacement"
            raise ArgumentError("num_sampled", expected, self.num_sampled)

    def log_prob(self, ids: Tensor) -> Tensor:
        """-log C for every class: int64 of any shape -> the same shape."""
        return EqualCounts(-math.log(self.num_classes), self.dtype)(ids)

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """log(S/C) for every class, in both ways of drawing."""
        return self._log_counts(self.num_sampled)(ids)

    def _log_counts(self, factor: int) -> EqualCounts:
        return EqualCounts(math.log(factor / self.num_classes), self.dtype)

    def _counts_tries(self) -> bool:
        return False  # all classes are as probable as before

    def _distribution(self) -> UniformDistribution:
        return self._drawn

    def _grouped_probabilities(self) -> tuple[Tensor, Tensor]:
        both = torch.tensor([1 / self.num_classes, self.num_classes], dtype=torch.float64, device="cpu")
        return both[:1], both[1:]

    def _draw_distinct(self, num_rows: int, generator: Source) -> Draw:
        if 2 * self.num_sampled > self.num_classes:
            ids = permuted(take_seed(generator, self.device), num_rows, self.num_classes, self.num_sampled)
        else:
            ids, _, _ = self._sample_distinct(num_rows, generator)
        return Draw(ids if self.per_row else ids[0], self.log_expected_count)
