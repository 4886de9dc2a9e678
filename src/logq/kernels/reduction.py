"""How the losses of a batch become one number."""

from torch import Tensor

from logq.candidates import as_columns

__all__ = ["REDUCTIONS", "reduce"]

REDUCTIONS = ("none", "mean", "sum")


def reduce(losses: Tensor, is_true: Tensor, reduction: str) -> Tensor:
    """Losses (B,) as they are, summed, or their mean over the rows that have a true class."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    rows = as_columns(is_true).any(dim=1).sum()
    return losses.sum() / rows.clamp(min=1)
