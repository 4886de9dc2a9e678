"""AliasTable: draws from any discrete distribution in constant time, by Walker's method."""

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError
from logq.kernels.distributions import AliasDistribution
from logq.samplers.kept_tensors import Kept, TensorKeeper
from logq.samplers.streams import Source, take_seed

__all__ = ["AliasTable", "check_size"]


class AliasTable(TensorKeeper):
    """Draws from any discrete distribution in O(1) per draw after O(C) of preparation, with 8 bytes per class.

    A cell i is drawn uniformly, then gives i itself if 31 random bits are below threshold_i, else alias_i. What is
    drawn differs from what was asked for by at most 2^-32 / C a cell; a class of weight 0 is never drawn.

    Args:
        weights: (C,) float64, not negative, with a positive sum; C < 2^31.

    References:
        Walker, An Efficient Method for Generating Discrete Random Variables, ACM Trans. Math. Softw. 1977.
        Vose, A Linear Algorithm for Generating Random Numbers with a Given Distribution, IEEE Trans. 1991.

    Example:
        >>> table = AliasTable(torch.tensor([0.0, 1.0, 0.0, 3.0], dtype=torch.float64))
        >>> table.sample((8,), torch.Generator().manual_seed(1)).unique()
        tensor([1, 3])
    """

    cells = Kept()  # (C, 2) int32

    def __init__(self, weights: Tensor) -> None:
        super().__init__("cpu")
        check_size(weights.numel())
        # The one for the CPU wherever the weights lie: made once, by a sweep that no other device is good at.
        accept, alias = kernels.get("alias_table", "cpu")(weights)
        # A class that always keeps its cell is its own alias, so that rounding 1 down to 31 bits does no harm. Both
        # halves of a cell lie together: a draw waits for one line of memory and not for two.
        threshold = (accept * 2.0**31).round_().clamp_(max=2**31 - 1).int()
        self.cells = torch.stack([threshold, alias], dim=1)

    @property
    def threshold(self) -> Tensor:
        """(C,) int32."""
        return self.cells[:, 0]

    @property
    def alias(self) -> Tensor:
        """(C,) int32."""
        return self.cells[:, 1]

    @property
    def distribution(self) -> AliasDistribution:
        """What the kernels draw from."""
        return AliasDistribution(self.cells)

    def sample(self, shape: tuple[int, ...], generator: Source) -> Tensor:
        """Independent draws: int64 of that shape."""
        device = self.cells.device
        return kernels.get("draws", device.type)(self.distribution, take_seed(generator, device), shape)


def check_size(num_classes: int) -> None:
    """Raise ValueError if an alias table cannot have that many classes, before memory is taken for them.

    Example:
        >>> check_size(1 << 31)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: num_classes: expected fewer than 2**31 for a table of them, got 2147483648
    """
    if num_classes >= 1 << 31:
        raise ArgumentError("num_classes", "fewer than 2**31 for a table of them", num_classes)
