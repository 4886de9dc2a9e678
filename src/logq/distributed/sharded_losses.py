"""The losses of a sharded table: rows are brought to queries, or queries to rows, whichever moves fewer bytes."""

import torch
from torch import Tensor

from logq._arguments import ArgumentError
from logq.candidates import IGNORED, Candidates, as_columns
from logq.distributed.fetched_rows import RowRequest, bring_rows
from logq.distributed.moved_queries import full_losses, losses_by_queries
from logq.distributed.stratified import Stratified
from logq.distributed.table_part import TablePart
from logq.functional import sampled_loss
from logq.kernels.logits import reduce
from logq.nn.class_table import LossSettings
from logq.row_losses import logistic, softmax
from logq.shapes import check_ids, check_shape

__all__ = ["by_queries", "loss_of_table"]


def by_queries(num_sampled: int, batch: int, size: int) -> bool:
    """Whether a step brings the queries of all processes to the rows, and not the rows to the queries.

    In both cases vectors go out and gradients come back: 2 S D numbers for a shared sample, 2 B D for the queries of
    all processes. The rows of the targets, which move in the first case alone, are not counted.

    Args:
        num_sampled: S.
        batch: B, of all processes.
        size: W.

    Example:
        >>> by_queries(4096, 1024, 8), by_queries(1024, 4096, 8), by_queries(4096, 1024, 1)
        (True, False, False)
    """
    return size > 1 and num_sampled > batch


def loss_of_table(
    part: TablePart,
    settings: LossSettings,
    input: Tensor,  # (B, D)
    targets: Tensor,  # (B,) or (B, T)
    row_weight: Tensor | None,  # (B,)
    extra_negatives: Tensor | None,  # (B, K)
    plan: str | None,
) -> Tensor:
    """The loss of this process's rows; see ShardedClassTable.

    Args:
        part: the own rows of the table.
        settings: of the loss module.
        input: queries of this process.
        targets: their true classes.
        row_weight: as in logq.functional.sampled_loss.
        extra_negatives: likewise.
        plan: "rows" or "queries", or None for the one that moves fewer bytes.
    """

    def scale(told: Tensor) -> float:  # of a sum of this process, for a mean over the targets of all
        return part.size / (float(told[:, 0].sum()) or 1.0)

    num_classes = part.placing.num_classes
    sizes = {"D": part.dim}
    check_shape("input", input, "BD", sizes)
    check_ids("targets", targets, num_classes, ignore_index=settings.ignore_index)
    check_shape("targets", targets, "BT" if targets.dim() == 2 else "B", sizes)
    targets = targets.masked_fill(targets == settings.ignore_index, IGNORED)
    settings = settings._replace(ignore_index=IGNORED)
    is_row = as_columns(targets != IGNORED).any(dim=1)
    counted = float(is_row.sum() if row_weight is None else row_weight[is_row].double().sum())
    sampler = settings.sampler
    if sampler is None:
        losses, told = full_losses(part, settings, input, targets, counted)
    else:
        assert isinstance(sampler, Stratified)
        if extra_negatives is not None:
            check_ids("extra_negatives", extra_negatives, num_classes, ignore_index=-1)
            check_shape("extra_negatives", extra_negatives, "BK", sizes)
        wanted = (
            targets.flatten() if extra_negatives is None else torch.cat([targets.flatten(), extra_negatives.flatten()])
        )
        request = RowRequest.of(part, wanted[wanted >= 0], counted, sampler.mass(), len(input))
        told = request.told
        sampler.share(told[:, 1])
        batches = told[:, 2].long().tolist()
        settings = settings._replace(objective=settings.objective.for_sample(sampler.num_sampled, num_classes))
        movable = extra_negatives is None and settings.objective.loss in (logistic, softmax)
        chosen = plan == "queries" or (plan is None and by_queries(sampler.num_sampled, sum(batches), part.size))
        if chosen and movable:
            losses = losses_by_queries(part, settings, sampler, input, targets, batches)
        else:
            loss = _loss_by_rows(part, settings, sampler, input, targets, wanted, request, extra_negatives, row_weight)
            return loss * scale(told) if settings.reduction == "mean" else loss
    if settings.reduction != "mean":
        return reduce(losses, targets != IGNORED, settings.reduction, row_weight)
    return reduce(losses, targets != IGNORED, "sum", row_weight) * scale(told)


def _loss_by_rows(
    part: TablePart,
    settings: LossSettings,
    sampler: Stratified,
    input: Tensor,
    targets: Tensor,
    wanted: Tensor,
    request: RowRequest,
    extra_negatives: Tensor | None,
    row_weight: Tensor | None,
) -> Tensor:
    """The losses of this process's rows, among the rows that are brought here: (B,), or their sum for a mean too.

    The gradient of one number is made with the losses; that of each loss takes a second pass.
    """
    learn = None
    if sampler.learns and sampler.training:
        learn = torch.arange(len(wanted), device=wanted.device)[wanted >= 0] < targets.numel()
    step = bring_rows(part, request, sampler, learn=learn)
    assert step.log_q is not None
    assert step.sample is not None
    places = wanted.clone()
    places[wanted >= 0] = request.inverse
    own, extra = places[: targets.numel()].view(targets.shape), None
    if extra_negatives is not None:
        extra = places[targets.numel() :].view(extra_negatives.shape)
    true_log_q = step.log_q[own.clamp(min=0)] if len(step.log_q) else step.log_q.new_zeros(targets.shape)
    true_log_q = true_log_q.where(own >= 0, 0.0)
    if settings.objective.subtract_log_q and bool(true_log_q.isinf().any()):
        which = int(targets[true_log_q.isinf()][0])
        raise ArgumentError("targets", "classes that the sampler draws", which, "log Q says nothing about others")
    log_q = step.log_q[len(request.unique) :]
    found = sampled_loss(
        settings.objective,
        input,
        step.weight,
        Candidates(step.sample.places, log_q, own, true_log_q),
        bias=step.bias,
        temperature=settings.temperature,
        cosine=settings.cosine,
        remove_hits=settings.remove_hits,
        reduction="none" if settings.reduction == "none" else "sum",
        row_weight=row_weight,
        extra_negatives=extra,
    )
    if len(input):
        return found
    return found + 0 * step.weight.sum()  # so that this process, too, goes back to the others
