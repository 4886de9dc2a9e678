"""Items whose vectors are nearest to others by cosine."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from logq.retrieval import ExactIndex

__all__ = ["nearest_items"]


def nearest_items(
    table: Tensor,  # (C, D)
    vectors: Tensor | None,  # (n, D)
    own: NDArray[np.int64] | None,  # (n,)
    k: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosines and codes (n, k) of the nearest items.

    Args:
        table: vectors of all items.
        vectors: of what is new; None for the items in `own`.
        own: codes of items, which are left out of their own rows; None for what is new.
        k: how many.

    Example:
        >>> nearest_items(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]]), None, np.array([0]), 2)[1].tolist()
        [[1, 2]]
    """
    unit = normalize(table, dim=1)
    if vectors is not None:
        queries = normalize(vectors.detach().float(), dim=1)
    else:
        queries = unit[torch.from_numpy(own).to(unit.device)]  # pyright: ignore[reportArgumentType]
    exclude = None if own is None else (own, np.arange(len(own) + 1))
    scores, codes = ExactIndex(unit).search(queries, k, exclude=exclude)
    return scores.cpu().numpy(), codes.cpu().numpy()
