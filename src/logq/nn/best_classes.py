"""The best classes of each row, found a chunk of classes at a time."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from logq.kernels.logits import chunks, logits
from logq.objectives import Objective

__all__ = ["Best", "TopK", "best_classes", "merged"]


class TopK(NamedTuple):
    """The best classes of each row, the best one first, and log P of them.

    Example:
        >>> from logq.nn import CandidateLoss
        >>> best = CandidateLoss("full_softmax", 2, 3).topk(torch.zeros(1, 2), 3)
        >>> best.log_prob.exp()
        tensor([[0.3333, 0.3333, 0.3333]])
    """

    log_prob: Tensor
    ids: Tensor


class Best(NamedTuple):
    """The best of some classes: log P up to what normalizes it, the classes, and the log of the sum over all of them.

    Example:
        >>> from logq.objectives import FULL_SOFTMAX
        >>> Best(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1)).of_all(FULL_SOFTMAX).log_prob
        tensor([[-1.]])
    """

    log_p: Tensor  # (B, k), falling
    ids: Tensor  # (B, k) int64
    total: Tensor  # (B,)

    def of_all(self, objective: Objective) -> TopK:
        """With log P as it is by the objective, once these are the best of all classes."""
        return TopK(self.log_p - self.total[:, None] if objective.approximates.normalized else self.log_p, self.ids)


def merged(one: Best, other: Best, k: int) -> Best:
    """The k best of two sets of classes, of fewer if there are not so many; of equal ones those of the first set.

    Example:
        >>> one = Best(torch.tensor([[2.0]]), torch.tensor([[7]]), torch.zeros(1))
        >>> merged(one, Best(torch.tensor([[3.0]]), torch.tensor([[9]]), torch.zeros(1)), 2).ids
        tensor([[9, 7]])
    """
    values, ids = torch.cat([one.log_p, other.log_p], dim=1), torch.cat([one.ids, other.ids], dim=1)
    best, order = values.topk(min(k, values.shape[1]), dim=1)
    return Best(best, ids.gather(1, order), torch.logaddexp(one.total, other.total))


@torch.no_grad()
def best_classes(
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    k: int,
    *,
    temperature: float | Tensor,
    cosine: bool,
    log_q: Callable[[slice], Tensor] | None = None,
) -> Best:
    """The k classes of a table with the largest P(y|x) of each row, at most C.

    Args:
        objective: turns F into log P.
        input: queries.
        weight: the class weights.
        bias: of the classes.
        k: how many.
        temperature: as in logq.functional.sampled_loss.
        cosine: likewise.
        log_q: of a range of classes, where the objective needs it.

    Example:
        >>> from logq.objectives import FULL_SOFTMAX
        >>> table = torch.tensor([[0.0], [2.0], [1.0]])
        >>> best_classes(FULL_SOFTMAX, torch.ones(1, 1), table, None, 2, temperature=1.0, cosine=False).ids
        tensor([[1, 2]])
    """
    best: Best | None = None
    for first, rows, biases in chunks(input.shape[0], weight, bias):
        scores = logits(input, rows, biases, temperature=temperature, cosine=cosine)
        of_chunk = slice(first, first + rows.shape[0])
        log_p = objective.log_p(scores, None if log_q is None else log_q(of_chunk))
        values, places = log_p.topk(min(k, rows.shape[0]), dim=1)
        found = Best(values, places + first, log_p.logsumexp(dim=1))
        best = found if best is None else merged(best, found, k)
    assert best is not None
    return best
