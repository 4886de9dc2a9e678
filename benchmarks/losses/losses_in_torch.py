"""Sampled losses in plain PyTorch: as people write them, and as one who knows what costs time would.

Both take the gathered rows: the lookup is what differs between dense and sparse gradients, and stays outside of
torch.compile, which knows no sparse gradients.
"""

import torch
import torch.nn.functional as F
from numbers_in_torch import Batch
from torch import Tensor
from workloads import Case


def entries(case: Case, batch: Batch) -> Tensor:
    """All ids of a step in one tensor: two lookups would make two gradients. (B + S,) or (B, 1 + k)."""
    if case.shared:
        return torch.cat([batch.targets, batch.ids])
    return torch.cat([batch.targets[:, None], batch.ids], dim=1)


def hits(case: Case, batch: Batch) -> Tensor:
    ids = batch.ids[None, :] if case.shared else batch.ids
    return ids == batch.targets[:, None]


def as_written(case: Case, rows: Tensor | tuple[Tensor, Tensor], input: Tensor, batch: Batch) -> Tensor:
    """All logits side by side, the true class first, and cross_entropy or binary_cross_entropy of them.

    Rows come from one lookup, or true and sampled ones from a lookup each.
    """
    if case.shared or isinstance(rows, tuple):
        true_rows, sampled_rows = rows if isinstance(rows, tuple) else rows.split([case.batch, case.sampled])
        true = torch.einsum("bd,bd->b", input, true_rows)[:, None]
        sampled = torch.einsum("bd,sd->bs" if case.shared else "bd,bsd->bs", input, sampled_rows)
        scores = torch.cat([true, sampled], dim=1)
    else:
        scores = torch.einsum("bd,bkd->bk", input, rows)
    if case.objective != "negative_sampling":
        log_q = batch.log_q.expand(case.batch, case.sampled)
        scores = scores - torch.cat([batch.true_log_q[:, None], log_q], dim=1)
    if case.objective in ("sampled_softmax", "sampled_logistic"):
        mask = F.pad(hits(case, batch), (1, 0))
        scores = scores.masked_fill(mask, float("-inf"))
    if case.objective == "sampled_softmax":
        return F.cross_entropy(scores, torch.zeros_like(batch.targets))
    labels = torch.zeros_like(scores)
    labels[:, 0] = 1
    if case.objective == "sampled_logistic":  # binary_cross_entropy makes 0 * -inf of a masked logit
        scores = scores.masked_fill(mask, -1e9)
    return F.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(1).mean()


def well_written(case: Case, rows: Tensor, input: Tensor, batch: Batch) -> Tensor:
    """The same with fewer passes over (B, S): log Q inside of the product, no concatenation, no labels."""
    subtract = case.objective != "negative_sampling"
    if case.shared:
        true_rows, sampled_rows = rows.split([case.batch, case.sampled])
        true = (input * true_rows).sum(1)
        sampled = torch.addmm(-batch.log_q, input, sampled_rows.t()) if subtract else input @ sampled_rows.t()
    else:
        scores = torch.bmm(rows, input[:, :, None])[:, :, 0]
        true, sampled = scores[:, 0], scores[:, 1:]
        if subtract:
            sampled = sampled - batch.log_q
    if subtract:
        true = true - batch.true_log_q
    if case.objective in ("sampled_softmax", "sampled_logistic"):
        sampled = sampled.masked_fill(hits(case, batch), float("-inf"))
    if case.objective == "sampled_softmax":
        return (torch.logaddexp(sampled.logsumexp(1), true) - true).mean()
    return (F.softplus(-true) + F.softplus(sampled).sum(1)).mean()
