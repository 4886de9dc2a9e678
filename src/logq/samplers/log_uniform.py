"""LogUniform: Zipf's law for classes sorted by falling frequency, without a table."""

import math

import torch
from torch import Tensor

from logq.samplers.proposal import Proposal

__all__ = ["LogUniform"]


class LogUniform(Proposal):
    """Draws class y about in proportion to 1/(y + 1): for vocabularies sorted by falling frequency.

        q(y) = log( (y + 2) / (y + 1) ) / log(C + 1)

    Cost: O(1) a draw, by y = floor(exp(u log(C + 1))) - 1. Stores nothing.

    Equivalent to: tf.random.log_uniform_candidate_sampler(unique=not replacement), up to the exact expected counts of
    distinct draws (logq.samplers.distinct).

    Args:
        num_classes: C.
        num_sampled: S.
        replacement: whether a class can be drawn twice.
        per_row: whether each row of a batch gets a sample of its own.
        seed, device, dtype: as in Sampler.

    Raises:
        ValueError: more distinct classes are asked for than there are.

    References:
        TensorFlow, log_uniform_candidate_sampler. Zipf, Human Behavior and the Principle of Least Effort, 1949.

    Example:
        >>> sampler = LogUniform(999, 10, seed=1)
        >>> sampler.log_prob(torch.tensor([0, 998])).exp()
        tensor([0.1003, 0.0001])
        >>> sampler.draw(torch.tensor([0])).true_log_expected_count.exp()
        tensor([1.0034])
    """

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
        super().__init__(
            num_classes, num_sampled, replacement=replacement, per_row=per_row, seed=seed, device=device, dtype=dtype
        )
        if not replacement:
            self._prepare(self._all_probabilities())

    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of q for classes: int64 of any shape -> the same shape."""
        # log1p and not the log of a quotient, which for large ids is 1 in float32.
        return torch.log1p(1 / (ids + 1).to(self.dtype)).log() - math.log(math.log1p(self.num_classes))

    def _sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        # In double: a float32 u would leave gaps between the large ids.
        u = torch.rand(shape, generator=generator, device=self.device, dtype=torch.float64)
        ids = (u * math.log1p(self.num_classes)).exp_().long() - 1
        return ids.clamp_(0, self.num_classes - 1)  # rounding may reach C
