"""Parts: what one pass over a batch leaves for its losses and for the gradients of everything that took part."""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["Parts", "positive_losses"]


class Parts(NamedTuple):
    """Losses, and what their gradients are made of; the latter are empty where no gradients are wanted.

    A factor is the derivative of sum_i row_scale_i loss_i by one dot product <input_i, weight_c>.

    Args:
        losses: (B,), not scaled; 0 for a row without a true class.
        input: (B, D), the gradient of the input.
        true_factors: (B, T); 0 where there is no class.
        factors: (B, S) for rows with samples of their own; (S,), their sums over the rows, for a shared sample:
            what biases of sampled classes get, and empty if these are not asked for.
        rows: (S, D) for a shared sample: sum_i factor_is input_i; empty otherwise.
    """

    losses: Tensor
    input: Tensor
    true_factors: Tensor
    factors: Tensor
    rows: Tensor


def positive_losses(true_logits: Tensor, targets: Tensor) -> Tensor:
    """(B,) the part that the true classes have in the logistic loss of each row, sum_t log(1 + exp(-G_t)).

    Args:
        true_logits: (B, T).
        targets: (B, T), negative where there is no class.

    Example:
        >>> import torch
        >>> positive_losses(torch.zeros(1, 2), torch.tensor([[3, -100]]))
        tensor([0.6931])
    """
    return -logsigmoid(true_logits).where(targets >= 0, 0.0).sum(dim=1)
