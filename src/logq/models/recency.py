"""How much each item of a history counts."""

import torch
from torch import Tensor

__all__ = ["recency_weights"]


def recency_weights(
    history: Tensor,  # (B, L) int64
    decay: float,
) -> Tensor:
    """Weights that fall by a factor with each newer item, and add up to 1 in each row.

        w_t = decay^(items of the row after t) / sum

    Args:
        history: (B, L) int64, most recent last, -1 where there is none.
        decay: in [0, 1]: 1 weighs all alike, 0 takes the last one.

    Returns:
        (B, L) in torch's default dtype, 0 where there is no item.

    Example:
        >>> recency_weights(torch.tensor([[7, 3, 5], [2, -1, -1]]), 0.5)
        tensor([[0.1429, 0.2857, 0.5714],
                [1.0000, 0.0000, 0.0000]])
    """
    is_item = history >= 0
    newer = is_item.sum(dim=1, keepdim=True) - is_item.cumsum(dim=1)
    weights = torch.where(is_item, decay ** newer.to(torch.get_default_dtype()), 0.0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
