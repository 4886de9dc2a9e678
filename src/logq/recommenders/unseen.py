"""Which sampled items a user had already, when the next one was asked for."""

import torch
from torch import Tensor

__all__ = ["seen_before"]

NEVER = 2**31 - 1


def seen_before(ids: Tensor, history: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """Where a sampled item stands in the history up to a place.

    Args:
        ids: (S,) sampled items.
        history: (B, L) items, -1 pads.
        rows: (M,) the history that a query belongs to.
        places: (M,) the last place of it that the query knows.

    Returns:
        (M, S) bool. Time and memory do not depend on how many items there are.

    Example:
        >>> history = torch.tensor([[4, 9, 4], [7, -1, -1]])
        >>> seen_before(torch.tensor([9, 4, 9]), history, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])).tolist()
        [[False, True, False], [True, True, True], [False, False, False]]
    """
    length = history.shape[1]
    items, which = ids.unique(return_inverse=True)
    at = torch.searchsorted(items, history).clamp(max=len(items) - 1)
    found = items[at] == history
    # For each history and each item of the sample the first place where it stands, and NEVER where it does not.
    first = torch.full((len(history), len(items)), NEVER, dtype=torch.int32, device=ids.device)
    place = torch.arange(length, dtype=torch.int32, device=ids.device).expand_as(history).where(found, NEVER)
    first.scatter_reduce_(1, at, place, reduce="amin")
    return first[:, which][rows] <= places[:, None].int()
