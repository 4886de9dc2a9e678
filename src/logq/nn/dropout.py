"""ByteDropout: dropout that draws one random byte for each entry."""

import torch
from torch import Tensor, nn

from logq._arguments import check_float
from logq.tracing import keeps_sizes

__all__ = ["ByteDropout"]


class ByteDropout(nn.Module):
    """Sets entries to 0 with probability p, and divides the others by 1 - p; in training only.

    Equivalent to: torch.nn.Dropout, with p rounded to a multiple of 1/256. Bytes come from torch's global generator.

    Args:
        p: in [0, 1).

    Raises:
        ValueError: p is out of range.

    Example:
        >>> ByteDropout(0.5)(torch.ones(1000)).unique()
        tensor([0., 2.])
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropped = min(255, round(256 * check_float("p", p, at_least=0, at_most=0.999)))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        if not self.training or self.dropped == 0:
            return x
        if keeps_sizes(x):  # under vmap and in graphs a byte is a number of its own
            kept = torch.randint(0, 256, x.shape, device=x.device) >= self.dropped
            return x * kept.to(x.dtype).mul_(256 / (256 - self.dropped))
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - self.dropped))

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"p={self.dropped / 256:g}"
