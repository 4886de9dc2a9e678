"""EveryClass: no sampling at all, which the others are checked against."""

import torch
from torch import Tensor

from logq.samplers.sampler import Draw, Sampler
from logq.samplers.streams import Source

__all__ = ["EveryClass"]


class EveryClass(Sampler):
    """Returns all classes, each once.

        Q(y) = 1,   log Q(y) = 0

    With it sampled softmax is full softmax, and sampled logistic is full logistic. Cost: O(C). Stores nothing.

    Equivalent to: tf.random.all_candidate_sampler with num_sampled = C.

    Args:
        num_classes: C.
        seed, device, dtype: as in Sampler; there is nothing random.

    Example:
        >>> EveryClass(4).draw(torch.tensor([2])).ids
        tensor([0, 1, 2, 3])
    """

    is_random = False
    reads_targets = False

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros(ids.shape, dtype=self.dtype, device=ids.device)

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        return Draw(torch.arange(self.num_classes, device=self.device), self.log_expected_count)

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"num_classes={self.num_classes}"
