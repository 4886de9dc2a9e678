"""Uniform: every class alike."""

import math

import torch
from torch import Tensor

from logq.arguments import check_bool, check_int
from logq.samplers.base import Draw, Sampler
from logq.samplers.distinct import by_tries

__all__ = ["Uniform"]


class Uniform(Sampler):
    """Draws every class with the same probability.

        q(y) = 1/C,    Q(y) = num_sampled / C     with and without replacement, exactly

    Without replacement all sets of num_sampled classes are equally likely, and sampled softmax is exactly stationary.
    Cost: O(S) a draw, O(C) for a sample without replacement of more than half of the classes. Stores nothing.

    Equivalent to: tf.random.uniform_candidate_sampler, whose expected counts without replacement are
    1 - (1 - 1/C)^tries, a noisy estimate of the S/C here.

    Args:
        num_classes: C.
        num_sampled: S.
        replacement: whether a class can be drawn twice.
        per_row: whether each row of a batch gets a sample of its own.
        seed, device, dtype: as in Sampler.

    Raises:
        ValueError: more distinct classes are asked for than there are.

    References:
        Bengio and Senecal, Quick Training of Probabilistic Neural Nets by Importance Sampling, AISTATS 2003.

    Example:
        >>> candidates = Uniform(1000, 4, seed=1).draw(torch.tensor([3, 5]))
        >>> candidates.ids.shape, candidates.log_expected_count.exp()
        (torch.Size([4]), tensor([0.0040, 0.0040, 0.0040, 0.0040]))
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
        super().__init__(num_classes, seed=seed, device=device, dtype=dtype)
        self.num_sampled = check_int("num_sampled", num_sampled)
        self.replacement = check_bool("replacement", replacement)
        self.per_row = check_bool("per_row", per_row)
        if not replacement and self.num_sampled > self.num_classes:
            raise ValueError(
                f"num_sampled: expected at most num_classes = {self.num_classes} without replacement, "
                f"got {self.num_sampled}"
            )

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """log(S/C) for every class, in both ways of drawing."""
        return torch.full(ids.shape, math.log(self.num_sampled / self.num_classes), dtype=self.dtype, device=ids.device)

    def _draw(self, targets: Tensor, generator: torch.Generator) -> Draw:
        num_rows = targets.shape[0] if self.per_row else 1
        if self.replacement:
            ids = self._sample((num_rows, self.num_sampled), generator)
        elif 2 * self.num_sampled > self.num_classes:
            ids = torch.empty(num_rows, self.num_sampled, dtype=torch.int64, device=self.device)
            for row in ids:
                row.copy_(torch.randperm(self.num_classes, generator=generator, device=self.device)[: self.num_sampled])
        else:
            ids, _, _ = by_tries(lambda shape: self._sample(shape, generator), num_rows, self.num_sampled)
        return Draw(ids if self.per_row else ids[0], self.log_expected_count)

    def _sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randint(self.num_classes, shape, generator=generator, device=self.device)

    def extra_repr(self) -> str:
        """What repr() shows."""
        law = f"num_classes={self.num_classes}, num_sampled={self.num_sampled}"
        return law + ("" if self.replacement else ", replacement=False") + (", per_row=True" if self.per_row else "")
