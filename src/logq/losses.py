"""The two losses of candidate sampling, on logits: logistic and softmax, nothing more."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["Loss", "logistic", "softmax"]


class Loss(Protocol):
    """From the logits of true and of negative classes to one number a row."""

    def __call__(
        self,
        true_logits: Tensor,  # (B, T)
        negative_logits: Tensor,  # (B, S)
        is_true: Tensor,  # (B, T) bool
        is_negative: Tensor | None,  # (B, S) bool, None for everywhere
        /,
    ) -> Tensor:  # (B,)
        """The loss of each row, in nats."""
        ...


def logistic(true_logits: Tensor, negative_logits: Tensor, is_true: Tensor, is_negative: Tensor | None) -> Tensor:
    """Binary cross-entropy: each true class has label 1, each negative class label 0, summed over a row.

        loss = sum_t log(1 + exp(-G_t)) + sum_s log(1 + exp(G_s))

    Args:
        true_logits: (B, T).
        negative_logits: (B, S).
        is_true: (B, T) bool, False where an entry is no class.
        is_negative: (B, S) bool, False where a column is no negative of the row; None where all are.

    Returns:
        (B,), in nats.

    Example:
        >>> one = torch.ones(1, 1, dtype=torch.bool)
        >>> logistic(torch.zeros(1, 1), torch.zeros(1, 3), one, None) / torch.tensor(2.0).log()
        tensor([4.])
    """
    # logsigmoid and not softplus, whose linear part beyond 20 costs a double nine digits.
    positive = -logsigmoid(true_logits).where(is_true, 0.0)
    negative = -logsigmoid(-negative_logits)
    if is_negative is not None:
        negative = negative.where(is_negative, 0.0)
    return positive.sum(dim=1) + negative.sum(dim=1)


def softmax(true_logits: Tensor, negative_logits: Tensor, is_true: Tensor, is_negative: Tensor | None) -> Tensor:
    """Cross-entropy of the true class among itself and the negatives of its row.

        loss = log( exp(G_t) + sum_s exp(G_s) ) - G_t

    Args:
        true_logits: (B, 1).
        negative_logits: (B, S).
        is_true: (B, 1) bool; a row without a true class has loss 0.
        is_negative: (B, S) bool, or None for everywhere.

    Returns:
        (B,), in nats.

    Example:
        >>> one = torch.ones(1, 1, dtype=torch.bool)
        >>> softmax(torch.zeros(1, 1), torch.zeros(1, 3), one, None) / torch.tensor(2.0).log()
        tensor([2.])
    """
    if is_negative is not None:
        negative_logits = negative_logits.masked_fill(~is_negative, -torch.inf)
    total = torch.cat([true_logits, negative_logits], dim=1).logsumexp(dim=1)
    return (total - true_logits[:, 0]).where(is_true[:, 0], 0.0)
