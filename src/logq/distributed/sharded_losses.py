"""The losses of a sharded table: rows are brought to queries, or queries to rows, whichever moves fewer bytes."""

from typing import NamedTuple

import torch
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim
from logq.candidates import IGNORED, Candidates, as_columns
from logq.distributed.fetched_rows import RowRequest, Step, bring_rows
from logq.distributed.moved_queries import all_told, full_losses, losses_by_queries
from logq.distributed.stratified import Stratified
from logq.distributed.table_draws import TableDraws
from logq.distributed.table_part import TablePart
from logq.functional import sampled_loss
from logq.kernels.logits import reduce
from logq.nn.class_table import LossSettings
from logq.row_losses import logistic, softmax
from logq.samplers import Sampler
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
    if extra_negatives is not None:
        check_ids("extra_negatives", extra_negatives, num_classes, ignore_index=-1)
        check_shape("extra_negatives", extra_negatives, "BK", sizes)
        if settings.objective.label_smoothing:  # before a process without rows waits for the others
            raise ArgumentError("extra_negatives", "None with label smoothing", Verbatim("some"))
    targets = targets.masked_fill(targets == settings.ignore_index, IGNORED)
    settings = settings._replace(ignore_index=IGNORED)
    is_row = as_columns(targets != IGNORED).any(dim=1)
    counted = float(is_row.sum() if row_weight is None else row_weight[is_row].double().sum())
    batch = _Batch(input, targets, row_weight, extra_negatives)
    sampler = settings.sampler
    if sampler is None:
        losses, told = full_losses(part, settings, input, targets, counted)
    elif isinstance(sampler, Stratified):
        request = RowRequest.of(part, batch.classes(), counted, sampler.mass(), len(input))
        told = request.told
        sampler.share(told[:, 1])
        batches = told[:, 2].long().tolist()
        settings = settings._replace(objective=settings.objective.for_sample(sampler.num_sampled, num_classes))
        movable = extra_negatives is None and settings.objective.loss in (logistic, softmax)
        chosen = plan == "queries" or (plan is None and by_queries(sampler.num_sampled, sum(batches), part.size))
        if not chosen or not movable:
            loss = _loss_by_rows(part, settings, sampler, batch, request)
            return loss * scale(told) if settings.reduction == "mean" else loss
        losses = losses_by_queries(part, settings, sampler, input, targets, batches)
    else:
        loss, told = _loss_by_candidates(part, settings, sampler, batch, counted)
        return loss * scale(told) if settings.reduction == "mean" else loss
    if settings.reduction != "mean":
        return reduce(losses, targets != IGNORED, settings.reduction, row_weight)
    return reduce(losses, targets != IGNORED, "sum", row_weight) * scale(told)


class _Batch(NamedTuple):
    """What a loss is given by one process; shapes as in `loss_of_table`, IGNORED where a target is no class."""

    input: Tensor
    targets: Tensor
    row_weight: Tensor | None
    extra_negatives: Tensor | None

    def wanted(self, *more: Tensor) -> Tensor:
        """(N,) its classes, end to end: targets, extra negatives and others; negative where one is none."""
        given = [self.targets, self.extra_negatives, *more]
        return torch.cat([one.flatten() for one in given if one is not None])

    def classes(self, *more: Tensor) -> Tensor:
        """(n,) of these what is a class."""
        wanted = self.wanted(*more)
        return wanted[wanted >= 0]

    def places(self, request: RowRequest, *more: Tensor) -> list[Tensor | None]:
        """Of targets, extra negatives and others where each class is among the rows of the request for them."""
        places = self.wanted(*more)
        places[places >= 0] = request.inverse
        given = [self.targets, self.extra_negatives, *more]
        parts = iter(places.split([one.numel() for one in given if one is not None]))
        return [None if one is None else next(parts).view(one.shape) for one in given]

    def is_target(self, *more: Tensor) -> Tensor:
        """(n,) bool, which of the `classes` are targets."""
        wanted = self.wanted(*more)
        return torch.arange(len(wanted), device=wanted.device)[wanted >= 0] < self.targets.numel()


def _loss_by_rows(
    part: TablePart, settings: LossSettings, sampler: Stratified, batch: _Batch, request: RowRequest
) -> Tensor:
    """The losses of this process's rows by a sample of all, among the rows that are brought here."""
    learners = [sampler] if sampler.learns and sampler.training else []
    step = bring_rows(part, request, sampler, learn=batch.is_target() if learners else None, learners=learners)
    assert step.log_q is not None
    assert step.sample is not None
    own, extra = batch.places(request)
    assert own is not None
    log_q = step.log_q[len(request.rows) :]
    candidates = Candidates(step.sample.numbers, log_q, own, _of_places(step.log_q, own))
    return _loss_of_rows(settings, step, batch._replace(extra_negatives=extra), candidates)


def _loss_by_candidates(
    part: TablePart, settings: LossSettings, sampler: Sampler, batch: _Batch, counted: float
) -> tuple[Tensor, Tensor]:
    """The same by candidates that this process draws, alone or in a mixture with a sample of all; and what was told."""
    draws = TableDraws(part, sampler)
    if draws.stratified:
        draws.share(all_told(part, *draws.masses()))
    drawn = draws.draw(batch.targets)
    request = RowRequest.of(part, batch.classes(drawn.ids), counted)
    learners = [one for one in draws.stratified if one.learns and one.training]
    learn = batch.is_target(drawn.ids) if learners else None
    tell = draws.told if draws.stratified else None
    step = bring_rows(part, request, tell=tell, learn=learn, learners=learners)
    own, extra, ids = batch.places(request, drawn.ids)
    assert own is not None
    assert ids is not None
    log_q, true_log_q = drawn.log_expected_count, drawn.true_log_expected_count
    if step.log_q is not None:
        log_q = torch.logaddexp(log_q, step.log_q[ids])
        true_log_q = torch.logaddexp(true_log_q, _of_places(step.log_q, own, -torch.inf))
    objective = settings.objective.for_sample(ids.shape[-1], part.placing.num_classes)
    candidates = drawn._replace(
        ids=ids, targets=own, log_expected_count=log_q, true_log_expected_count=true_log_q.where(own >= 0, 0.0)
    )
    settings = settings._replace(objective=objective)
    return _loss_of_rows(settings, step, batch._replace(extra_negatives=extra), candidates), request.told


def _of_places(log_q: Tensor, places: Tensor, otherwise: float = 0.0) -> Tensor:
    """Log Q of targets by the places of their rows; `otherwise` where one is no class."""
    if not len(log_q):
        return log_q.new_full(places.shape, otherwise)
    return log_q[places.clamp(min=0)].where(places >= 0, otherwise)


def _loss_of_rows(settings: LossSettings, step: Step, batch: _Batch, candidates: Candidates) -> Tensor:
    """The losses of this process's rows, (B,), or their sum for a mean too; all ids are places of rows of the step.

    The gradient of one number is made with the losses; that of each loss takes a second pass.
    """
    true_log_q = candidates.true_log_expected_count
    if settings.objective.subtract_log_q and bool(true_log_q.isinf().any()):
        which = int(batch.targets[true_log_q.isinf()][0])
        raise ArgumentError("targets", "classes that the sampler draws", which, "log Q says nothing about others")
    reduction = "none" if settings.reduction == "none" else "sum"
    if len(step.weight):
        found = sampled_loss(
            settings.objective,
            batch.input,
            step.weight,
            candidates,
            bias=step.bias,
            temperature=settings.temperature,
            cosine=settings.cosine,
            remove_hits=settings.remove_hits,
            reduction=reduction,
            row_weight=batch.row_weight,
            extra_negatives=batch.extra_negatives,
        )
    else:  # no row has a class
        found = batch.input.sum(dim=1) * 0
        found = found if reduction == "none" else found.sum()
    if len(batch.input) and len(step.weight):
        return found
    return found + 0 * step.weight.sum()  # so that this process, too, goes back to the others
