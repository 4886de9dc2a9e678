"""LogUniform: Zipf's law for classes sorted by falling frequency, without a table."""

import math

from torch import Tensor
from typing_extensions import Unpack

from logq.kernels.laws import LogUniformLaw
from logq.samplers.proposal import Options, Proposal

__all__ = ["LogUniform"]


class LogUniform(Proposal):
    """Draws class y about in proportion to 1/(y + 1): for vocabularies sorted by falling frequency.

        q(y) = log( (y + 2) / (y + 1) ) / log(C + 1)

    Cost: O(1) a draw, by y = floor(exp(u log(C + 1))) - 1. Stores nothing.

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

    def __init__(self, num_classes: int, num_sampled: int, **options: Unpack[Options]) -> None:
        super().__init__(num_classes, num_sampled, **options)
        self._drawn = LogUniformLaw(self.num_classes)
        if not self.replacement:
            self._prepare(self._all_probabilities())

    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of q for classes: int64 of any shape -> the same shape."""
        return self._log_share(ids).sub_(math.log(math.log1p(self.num_classes)))

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """As for Proposal."""
        if not self.replacement:
            return super().log_expected_count(ids)
        return self._log_share(ids).add_(math.log(self.num_sampled / math.log1p(self.num_classes)))

    def _log_share(self, ids: Tensor) -> Tensor:
        # log1p and not the log of a quotient, which for large ids is 1 in float32.
        return (ids + 1).to(self.dtype).reciprocal_().log1p_().log_()

    def _distribution(self) -> LogUniformLaw:
        return self._drawn
