"""What the objectives of the table make of the logits of a row: the logistic loss and softmax cross-entropy.

Can be imported without torch, which is imported when something is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Loss", "logistic", "mean_logit", "softmax"]

Loss: TypeAlias = "Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]"
"""(true logits (B, T), negative logits (B, S), is_true (B, T), is_negative (B, S) or None for all) -> (B,) in nats."""


def logistic(
    true_logits: Tensor,
    negative_logits: Tensor,
    is_true: Tensor,
    is_negative: Tensor | None,
    true_weight: float = 1.0,
) -> Tensor:
    """Binary cross-entropy: each true class has label 1, each negative class label 0, summed over a row.

        loss = beta sum_t log(1 + exp(-G_t)) + sum_s log(1 + exp(G_s))

    Args:
        true_logits: (B, T).
        negative_logits: (B, S).
        is_true: (B, T) bool, False where an entry is not a class.
        is_negative: (B, S) bool, False where a column is not a negative of the row; None where all are.
        true_weight: beta.

    Example:
        >>> one = torch.ones(1, 1, dtype=torch.bool)
        >>> logistic(torch.zeros(1, 1), torch.zeros(1, 3), one, None) / torch.tensor(2.0).log()
        tensor([4.])
    """
    from torch.nn.functional import logsigmoid

    # logsigmoid and not softplus, whose linear part beyond 20 costs a double nine digits.
    positive = -logsigmoid(true_logits).where(is_true, 0.0)
    negative = -logsigmoid(-negative_logits)
    if is_negative is not None:
        negative = negative.where(is_negative, 0.0)
    return true_weight * positive.sum(dim=1) + negative.sum(dim=1)


def softmax(true_logits: Tensor, negative_logits: Tensor, is_true: Tensor, is_negative: Tensor | None) -> Tensor:
    """Cross-entropy of the true class among itself and the negatives of its row.

        loss = log( exp(G_t) + sum_s exp(G_s) ) - G_t

    Args:
        true_logits: (B, 1).
        negative_logits: (B, S).
        is_true: (B, 1) bool; a row without a true class has loss 0.
        is_negative: (B, S) bool, or None for everywhere.

    Example:
        >>> one = torch.ones(1, 1, dtype=torch.bool)
        >>> softmax(torch.zeros(1, 1), torch.zeros(1, 3), one, None) / torch.tensor(2.0).log()
        tensor([2.])
    """
    import torch

    if is_negative is not None:
        negative_logits = negative_logits.masked_fill(~is_negative, -torch.inf)
    total = torch.cat([true_logits, negative_logits], dim=1).logsumexp(dim=1)
    return (total - true_logits[:, 0]).where(is_true[:, 0], 0.0)


def mean_logit(
    true_logits: Tensor,
    negative_logits: Tensor,
    log_q: Tensor,
    is_negative: Tensor | None,
    num_classes: int,
    *,
    with_true: bool,
) -> Tensor:
    """The mean of F over all classes, as a sample of them estimates it without bias.

        mean = 1/C ( F_t + sum_s F_s / Q_s )

    Args:
        true_logits: (B, 1), F.
        negative_logits: (B, S), F.
        log_q: of the negatives, (S,) or (B, S).
        is_negative: (B, S) bool, or None for everywhere.
        num_classes: C.
        with_true: whether the true class is added, as it must be where its copies are not among the negatives.

    Example:
        >>> mean_logit(torch.ones(1, 1), torch.tensor([[2.0]]), torch.tensor([0.5]).log(), None, 10, with_true=True)
        tensor([0.5000])
    """
    terms = negative_logits * (-log_q.detach().to(negative_logits.dtype)).exp()
    total = (terms if is_negative is None else terms.where(is_negative, 0.0)).sum(dim=1)
    return (total + true_logits[:, 0] if with_true else total) / num_classes
