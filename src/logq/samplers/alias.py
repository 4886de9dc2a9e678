"""AliasTable: draws from any discrete distribution in constant time, by Walker's method."""

import torch
from torch import Tensor, nn

from logq import kernels

__all__ = ["AliasTable"]


class AliasTable(nn.Module):
    """Draws from any discrete distribution in O(1) a draw after O(C) of preparation, with 8 bytes a class.

    A cell i is drawn uniformly, then gives i itself if 31 random bits are below threshold_i, else alias_i. The law that
    is drawn differs from the one asked for by at most 2^-32 / C a cell; a class of weight 0 is never drawn.

    Args:
        weights: (C,) float64, not negative, with a positive sum.

    References:
        Walker, An Efficient Method for Generating Discrete Random Variables, ACM Trans. Math. Softw. 1977.
        Vose, A Linear Algorithm for Generating Random Numbers with a Given Distribution, IEEE Trans. 1991.

    Example:
        >>> table = AliasTable(torch.tensor([0.0, 1.0, 0.0, 3.0], dtype=torch.float64))
        >>> table.sample((8,), torch.Generator().manual_seed(1)).unique()
        tensor([1, 3])
    """

    threshold: Tensor
    alias: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        # The one for the CPU wherever the weights lie: made once, by a sweep that no other device is good at.
        accept, alias = kernels.get("alias_table", "cpu")(weights)
        # A class that always keeps its cell is its own alias, so that rounding 1 down to 31 bits does no harm.
        self.register_buffer("threshold", (accept * 2.0**31).round_().clamp_(max=2**31 - 1).int(), persistent=False)
        self.register_buffer("alias", alias, persistent=False)

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent draws: int64 of that shape."""
        size, device = self.threshold.shape[0], self.threshold.device
        cell = torch.randint(size, shape, generator=generator, device=device, dtype=torch.int32).view(-1)
        bits = torch.empty(cell.shape, dtype=torch.int32, device=device).random_(generator=generator)
        kept = bits < self.threshold.index_select(0, cell)
        return torch.where(kept, cell, self.alias.index_select(0, cell)).view(shape).long()
