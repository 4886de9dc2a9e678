"""WalkerAlias: draws from a discrete distribution in constant time, under the name that Chainer has for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from logq.arguments import check_int, shown
from logq.samplers import Unigram
from logq.samplers.class_counts import check_counts

__all__ = ["WalkerAlias", "count_list"]

Counts = Sequence[float] | np.ndarray[Any, Any] | Tensor


class WalkerAlias(nn.Module):
    """Draws classes in proportion to `probs`, independently of one another, in O(1) a draw.

        P(i) = probs_i / sum_j probs_j

    Differs from Chainer: the law is kept to 2^-32 / V instead of in float32, in which a probability below 1e-7 or so is
    lost; draws come from a generator of its own, not from numpy's global one, so the same seed gives other ids than
    there; they are int64 tensors, not int32 arrays. Probabilities that are all 0, negative or not finite are an error,
    from which Chainer made a table of NaN. Calling the object is the same as `sample`.

    Go on to: logq.samplers.Unigram, which draws for a batch and knows the expected counts, log Q.

    Args:
        probs: (V,) numbers >= 0, one of them positive; they need not sum to 1.
        seed: of the draws; None takes one from the operating system.
        device: where ids are drawn; `to(device)` moves it later.

    Raises:
        TypeError: probs are no numbers.
        ValueError: one is negative or not finite, or all are 0; the first is named.

    References:
        Walker, An Efficient Method for Generating Discrete Random Variables, ACM Trans. Math. Softw. 1977.

    Example:
        >>> alias = WalkerAlias([1, 0, 3], seed=1)
        >>> ids = alias.sample((100, 4))
        >>> ids.shape, ids.unique()
        (torch.Size([100, 4]), tensor([0, 2]))
    """

    def __init__(self, probs: Counts, *, seed: int | None = None, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.unigram = Unigram(check_counts(probs, name="probs"), 1, seed=seed, device=device)

    def sample(self, shape: int | Sequence[int]) -> Tensor:
        """Draw ids.

        Args:
            shape: of the result, a number or several.

        Returns:
            int64 of that shape, on the device of the object.

        Raises:
            TypeError, ValueError: that is no shape.

        Example:
            >>> WalkerAlias([2, 1]).sample(3).shape
            torch.Size([3])
        """
        try:
            sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
            sizes = tuple(check_int("shape", size, 0) for size in sizes)
        except TypeError:
            raise TypeError(f"shape: expected whole numbers >= 0, got {shown(shape)}") from None
        return self.unigram.table.sample(sizes, self.unigram.generator)

    def forward(self, shape: int | Sequence[int]) -> Tensor:
        """As `sample`."""
        return self.sample(shape)

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"num_classes={self.unigram.num_classes}"


def count_list(counts: Counts | Mapping[int, float]) -> Counts:
    """Counts in order of ids, from a list of them or from a dict whose keys are the ids 0..V-1.

    Example:
        >>> count_list({1: 7, 0: 3})
        [3, 7]
    """
    if not isinstance(counts, Mapping):
        return counts
    missing = next((i for i in range(len(counts)) if i not in counts), None)
    if missing is not None:
        keys = shown(list(counts))
        raise ValueError(f"counts: expected the ids 0..{len(counts) - 1} for keys, got {keys}: {missing} is missing")
    return [counts[i] for i in range(len(counts))]
