"""Sampled items that are left out of the negatives of a query: those it has seen, and those like what it is to find."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from logq.candidates import IGNORED, Candidates

__all__ = ["alike", "seen_before"]

NEVER = 2**31 - 1

ITEM_BITS = 40
"""Of a number that holds a row and an item."""

MOST_NUMBERS = 1 << 22
"""Of the vectors of items that are compared at a time, where each row has its own."""


def seen_before(ids: Tensor, history: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """Whether a sampled item is in the history up to a position.

    Args:
        ids: (S,) sampled items, or (M, S), those of each query.
        history: (B, L) items, -1 pads.
        rows: (M,) the history that a query belongs to.
        places: (M,) the last position of it that the query knows.

    Returns:
        (M, S) bool. Time and memory do not depend on how many items there are.

    Example:
        >>> history = torch.tensor([[4, 9, 4], [7, -1, -1]])
        >>> seen_before(torch.tensor([9, 4, 9]), history, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])).tolist()
        [[False, True, False], [True, True, True], [False, False, False]]
    """
    if ids.dim() == 2:
        return _seen_by_each(ids, history, rows, places)
    length = history.shape[1]
    items = ids.sort().values  # of an item that was drawn twice, the first one counts
    which = torch.searchsorted(items, ids)
    at = torch.searchsorted(items, history).clamp(max=len(items) - 1)
    found = items[at] == history
    # For each history and each item of the sample its first position, and NEVER where it is not there.
    first = torch.full((len(history), len(items)), NEVER, dtype=torch.int32, device=ids.device)
    place = torch.arange(length, dtype=torch.int32, device=ids.device).expand_as(history).where(found, NEVER)
    first.scatter_reduce_(1, at, place, reduce="amin")
    return first[:, which][rows] <= places[:, None].int()


def _seen_by_each(ids: Tensor, history: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """The same for samples (M, S) of each query: each is looked up among the items of all histories in order."""
    owners = torch.arange(len(history), device=ids.device)[:, None] << ITEM_BITS
    keys = (owners + history).where(history >= 0, -1).reshape(-1)
    keys, order = keys.sort(stable=True)  # so that of equal ones the earliest place comes first
    asked = (rows[:, None] << ITEM_BITS) + ids
    at = torch.searchsorted(keys, asked).clamp(max=len(keys) - 1)
    return (keys[at] == asked) & (order[at] % history.shape[1] <= places[:, None])


@torch.no_grad()
def alike(
    table: Tensor,  # (n, D)
    candidates: Candidates,
    least: float,
    queries: Tensor | None = None,  # (M, D)
) -> Tensor:
    """Where a sampled item is too much like what a query is to find to be taken for a negative.

        cos(v_s, v_t) >= least                       without queries
        cos(q, v_s) >= least cos(q, v_t) > 0         with queries: relative to the score of the true item

    Copies of the true item are not among them: the objective says what becomes of those.

    Args:
        table: vectors of items, which the candidates number.
        candidates: targets (M,), and ids (S,) or (M, S).
        least: the cosine, or the share of one.
        queries: to compare by.

    Returns:
        (M, S) bool.

    References:
        Moreira et al., NV-Retriever: Improving text embedding models with effective hard-negative mining, 2024,
        arXiv:2407.15831, section 3.2: positive-aware thresholds, TopK-PercPos.

    Example:
        >>> table = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> zeros = torch.zeros(3)
        >>> alike(table, Candidates(torch.tensor([0, 1, 2]), zeros, torch.tensor([0]), zeros[:1]), 0.9).tolist()
        [[False, True, False]]
    """
    targets, ids = candidates.targets, candidates.ids
    true = normalize(table[targets.where(targets != IGNORED, 0)], dim=1)
    if queries is None:
        asked, limit = true, torch.full_like(true[:, :1], least)
    else:
        asked = normalize(queries.to(true.dtype), dim=1)
        score = (asked * true).sum(dim=1, keepdim=True)
        limit = (least * score).where(score > 0, torch.inf)
    if ids.dim() == 1:
        scores = asked @ normalize(table[ids], dim=1).T
    else:
        part = max(1, MOST_NUMBERS // (ids.shape[1] * table.shape[1]))
        pairs = zip(asked.split(part), ids.split(part), strict=True)
        scores = torch.cat([(normalize(table[its], dim=2) @ query[:, :, None])[:, :, 0] for query, its in pairs])
    return (scores >= limit) & (ids != targets[:, None])
