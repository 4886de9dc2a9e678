"""The k highest scores of each row, equal ones by their place: on every device the same, which torch.topk is not.

A score and its place are made one whole number, so that no two are equal and the larger one is the better one:

    key = ordered bits of the float32 score x 2^32 + (2^32 - 1 - place)
"""

from typing import Final

import torch
from torch import Tensor

__all__ = ["PLACES", "best", "keys_of", "scores_and_places"]

PLACES: Final = 1 << 32
"""Places are below this."""

_LOW: Final = PLACES - 1


def keys_of(
    scores: Tensor,  # (..., n) float32, no NaN
    places: Tensor,  # int64 in [0, 2^32), broadcast over scores
) -> Tensor:
    """Return (..., n) int64: the higher score has the larger key, and of equal scores the lower place.

    Example:
        >>> keys_of(torch.tensor([1.0, 2.0, 2.0, -1.0]), torch.arange(4)).argsort(descending=True).tolist()
        [1, 2, 0, 3]
    """
    return (_ordered((scores + 0.0).view(torch.int32)).to(torch.int64) << 32) | (_LOW - places)  # + 0.0: -0.0 is 0.0


def scores_and_places(
    keys: Tensor,  # int64
) -> tuple[Tensor, Tensor]:
    """Return what `keys_of` put into keys: float32 scores and int64 places.

    Example:
        >>> [part.tolist() for part in scores_and_places(keys_of(torch.tensor([-0.5, 3.0]), torch.tensor([7, 2])))]
        [[-0.5, 3.0], [7, 2]]
    """
    return _ordered((keys >> 32).to(torch.int32)).view(torch.float32), _LOW - (keys & _LOW)


def best(
    scores: Tensor,  # (b, c) float32, no NaN
    k: int,
    first: int = 0,
) -> Tensor:
    """Return the keys of the k highest scores of each row, descending; column j has the place first + j.

    torch.topk takes any of the items that share the last place, so it is asked for one more: where that one is as good
    as the last, the row is sorted by keys.

    Returns:
        (b, min(k, c)) int64.

    Example:
        >>> scores_and_places(best(torch.tensor([[1.0, 3.0, 2.0, 3.0]]), 3))[1].tolist()
        [[1, 3, 2]]
    """
    columns = scores.shape[1]
    if k >= columns:
        return (
            keys_of(scores, torch.arange(first, first + columns, device=scores.device)).sort(1, descending=True).values
        )
    values, places = scores.topk(k + 1, dim=1)
    keys = keys_of(values[:, :k], first + places[:, :k]).sort(1, descending=True).values
    tied = ((values[:, k] == values[:, k - 1]) & (values[:, k] > -torch.inf)).nonzero().squeeze(1)
    if len(tied):
        places = torch.arange(first, first + columns, device=scores.device)
        keys[tied] = keys_of(scores[tied], places).topk(k, dim=1).values
    return keys


def _ordered(bits: Tensor) -> Tensor:
    """Turn the bits of floats into whole numbers in the same order, or back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)
