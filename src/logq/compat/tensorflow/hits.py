"""compute_accidental_hits: where a sampled class is a true class, of which TensorFlow sees the last copy."""

from typing import NamedTuple

import torch
from torch import Tensor

from logq.compat.tensorflow.arguments import Classes, Seed, as_ids, as_true_classes

__all__ = ["AccidentalHits", "compute_accidental_hits", "last_places", "masked"]


class AccidentalHits(NamedTuple):
    """What compute_accidental_hits returns.

    Args:
        indices: (H,) int32, rows of the batch.
        ids: (H,) int64, positions in the sample.
        weights: (H,) float32, all -3.4e38.

    Example:
        >>> compute_accidental_hits([[3], [4]], [4, 3, 5], num_true=1).ids
        tensor([1, 0])
    """

    indices: Tensor
    ids: Tensor
    weights: Tensor


def last_places(sampled: Tensor, classes: Tensor) -> Tensor:
    """Where in a sample each class stands for the last time, or -1.

    Args:
        sampled: (S,) int64.
        classes: int64 of any shape.

    Example:
        >>> last_places(torch.tensor([3, 7, 3]), torch.tensor([[3, 8]]))
        tensor([[ 2, -1]])
    """
    if sampled.numel() == 0:
        return torch.full_like(classes, -1)
    ordered, place = sampled.sort(stable=True)  # so the last copy is the last of equals
    at = (torch.searchsorted(ordered, classes.contiguous(), right=True) - 1).clamp_(min=0)
    return torch.where(ordered[at] == classes, place[at], -1)


def masked(sampled: Tensor, true_classes: Tensor) -> Tensor:
    """(B, S) bool: what the losses leave out when they remove accidental hits.

    Example:
        >>> masked(torch.tensor([3, 7, 3]), torch.tensor([[3], [4]]))
        tensor([[False, False,  True],
                [False, False, False]])
    """
    place = last_places(sampled, true_classes)
    # A column of its own for what is not in the sample, which is dropped again: no look at the values is needed.
    place = place.where(place >= 0, sampled.numel())
    mask = torch.zeros(place.shape[0], sampled.numel() + 1, dtype=torch.bool, device=sampled.device)
    return mask.scatter_(1, place, True)[:, :-1]


def compute_accidental_hits(
    true_classes: Classes,  # (B, T)
    sampled_candidates: Classes,  # (S,)
    num_true: int,
    seed: Seed = None,
    name: str | None = None,
) -> AccidentalHits:
    """Find the sampled classes that are true classes of a row.

    Equivalent to: tf.nn.compute_accidental_hits, in its order: row by row, in each the true classes in their order. Of
    a class that was sampled more than once only the last copy is reported; logq's own losses leave out all of them.

    Args:
        true_classes: (B, T) class ids.
        sampled_candidates: (S,) class ids.
        num_true: T.
        seed: not used, nor in TensorFlow.
        name: not used.

    Returns:
        AccidentalHits: indices (H,) int32, the row of each hit; ids (H,) int64, its position in `sampled_candidates`;
        weights (H,) float32, -FLT_MAX, to be added to the logit there.

    Raises:
        TypeError, ValueError: an argument is of another kind or shape.

    Example:
        >>> hits = compute_accidental_hits([[3, 5], [7, 1]], [3, 5, 3, 9], num_true=2)
        >>> hits.indices.tolist(), hits.ids.tolist()  # the first 3 is not reported
        ([0, 0], [2, 1])
    """
    classes = as_true_classes("true_classes", true_classes, num_true)
    sampled = as_ids("sampled_candidates", sampled_candidates).to(classes.device)
    if sampled.dim() != 1:
        raise ValueError(f"sampled_candidates: expected shape (S,), got {tuple(sampled.shape)}")
    place = last_places(sampled, classes)
    found = place >= 0
    indices = found.nonzero()[:, 0].int()
    weights = torch.full(indices.shape, torch.finfo(torch.float32).min, device=indices.device)
    return AccidentalHits(indices, place[found], weights)
