"""Queries brought to the rows: each process scores its own classes for the queries of all, and parts are put together.

A softmax over all classes or a sample is the log of a sum, a logistic loss a sum, so each process's negatives become
one number a query, which goes back to where the query came from.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from logq import kernels
from logq._arguments import ArgumentError
from logq.candidates import IGNORED, as_columns
from logq.distributed.placing import Placing
from logq.distributed.row_messages import arrived, as_bytes, from_bytes
from logq.distributed.stratified import Stratified
from logq.distributed.table_draws import TableDraws
from logq.distributed.table_part import TablePart
from logq.functional import full_loss
from logq.kernels.logits import logits
from logq.kernels.reference import sum_of_logits
from logq.nn.best_classes import Best, best_classes, merged
from logq.nn.class_table import LossSettings
from logq.objectives import Negatives
from logq.processes import Group, all_rows, exchange
from logq.row_losses import logistic, softmax

__all__ = ["OwnClasses", "all_told", "best_of_all", "full_losses", "log_normalizers", "losses_by_queries"]


@dataclass(frozen=True)
class OwnClasses:
    """The classes that this process owns, of rows that autograd knows: what `full_losses` asks of a TablePart.

    Args:
        placing: of all classes.
        rank: of this process.
        weight: (n, D), the rows of its own classes, in the order of their places.
        bias: (n,), or None.
        group: the processes.

    Example:
        >>> OwnClasses(Placing(5, 2), 1, torch.zeros(2, 3), None).own
        range(3, 5)
    """

    placing: Placing
    rank: int
    weight: Tensor
    bias: Tensor | None
    group: Group = None

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.placing.size

    @property
    def own(self) -> range:
        """The places of its classes."""
        return self.placing.range_of(self.rank)


@dataclass(frozen=True)
class Queries:
    """The queries of all processes and their true classes, as one process sees them.

    Args:
        vectors: (B, D), in the order of ranks.
        batches: how many are whose.
        rows: (B, T) the rows of true classes that this process owns, -1 for others.

    Example:
        >>> Queries(torch.zeros(1, 2), [1], torch.tensor([[-1]])).batches
        [1]
    """

    vectors: Tensor
    batches: list[int]
    rows: Tensor

    @classmethod
    def of(cls, part: TablePart | OwnClasses, input: Tensor, targets: Tensor, batches: list[int]) -> "Queries":
        """From those of this process, (b, D) and (b,) or (b, T), by two messages."""
        vectors = all_rows(input, batches, part.group)
        ids = all_rows(as_columns(targets), batches, part.group)
        places = part.placing.places(ids.clamp(min=0))
        is_own = (ids >= 0) & (part.placing.owners(places) == part.rank)
        return cls(vectors, batches, (places - part.own.start).where(is_own, -1))

    def back(self, part: TablePart | OwnClasses, columns: Tensor) -> Tensor:
        """(W, b, n), what all processes have for the queries of this one, from (B, n) of this one for all."""
        own = self.batches[part.rank]
        found = exchange(columns, self.batches, [own] * part.size, part.group)
        return found.view(part.size, own, columns.shape[1])

    def true_logits(self, rows: Tensor, bias: Tensor | None, settings: LossSettings) -> Tensor:
        """(B, T) F of the true classes that this process owns, 0 elsewhere, from their rows (N, D) and biases (N,)."""
        is_own = self.rows >= 0
        of_query = is_own.nonzero()[:, 0]
        biases = None if bias is None else bias[:, None]
        how: dict[str, Any] = {"temperature": settings.temperature, "cosine": settings.cosine}
        scores = logits(self.vectors[of_query], rows[:, None], biases, **how)
        return scores.new_zeros(is_own.shape).masked_scatter(is_own, scores[:, 0])


def all_told(part: TablePart | OwnClasses, *numbers: float) -> Tensor:
    """(W, n) float64, the numbers that each process tells the others.

    Example:
        >>> from logq.optim import SGD
        >>> all_told(TablePart(10, 2, SGD), 3.0)
        tensor([[3.]], dtype=torch.float64)
    """
    return all_rows(
        torch.tensor([numbers], dtype=torch.float64, device=part.weight.device), [1] * part.size, part.group
    )


def _own_rows(part: TablePart | OwnClasses, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Some own rows and biases, whose gradients are added to those that came from elsewhere."""
    if isinstance(part, OwnClasses):
        return part.weight[rows], None if part.bias is None else part.bias[rows]
    bias = None if part.bias is None else part.bias.detach()[rows]
    return arrived(part.weight.detach()[rows], bias, lambda found: part.add_gradients(rows, torch.cat(found, dim=1)))


def losses_by_queries(
    part: TablePart,
    settings: LossSettings,
    sampler: Stratified,
    input: Tensor,  # (b, D)
    targets: Tensor,  # (b,) or (b, T), IGNORED allowed
    batches: list[int],
) -> Tensor:  # (b,)
    """The losses of this process's queries by an objective that samples; S_r was shared out before."""
    objective = settings.objective
    objective.check_num_true(as_columns(targets).shape[1])
    queries = Queries.of(part, input, targets, batches)
    true_rows = queries.rows[queries.rows >= 0]
    drawn, log_q, true_log_q = sampler.draw_own(true_rows)
    if sampler.learns and sampler.training:
        sampler.learn_own(true_rows, torch.ones_like(true_rows))
    rows, bias = _own_rows(part, torch.cat([true_rows, drawn]))
    of_sample = slice(len(true_rows), None)
    true = plain = queries.true_logits(
        rows[: len(true_rows)], None if bias is None else bias[: len(true_rows)], settings
    )
    negative = scores = logits(
        queries.vectors,
        rows[of_sample],
        None if bias is None else bias[of_sample],
        temperature=settings.temperature,
        cosine=settings.cosine,
    )
    if objective.subtract_log_q:
        negative = negative - log_q.to(negative.dtype)
        if objective.true_log_q:
            if bool(true_log_q.isinf().any()):
                which = int(part.placing.ids(true_rows[true_log_q.isinf()][:1] + part.own.start))
                raise ArgumentError("targets", "classes that the sampler draws", which, "log Q says nothing of others")
            true = true - torch.zeros_like(true).masked_scatter(queries.rows >= 0, true_log_q.to(true.dtype))
    remove = objective.negatives is not Negatives.S if settings.remove_hits is None else settings.remove_hits
    is_negative = torch.ones_like(negative, dtype=torch.bool)
    for column in queries.rows.unbind(dim=1) if remove else ():
        is_negative &= drawn != column[:, None]
    if objective.loss is softmax:
        lowest = torch.finfo(negative.dtype).min / 4  # and not -inf, of which a sum over none has no gradient
        total = torch.cat(
            [negative.masked_fill(~is_negative, lowest), negative.new_full((len(negative), 1), lowest)], 1
        )
        others = total.logsumexp(dim=1)
    else:
        others = -logsigmoid(-negative).where(is_negative, 0.0).sum(dim=1)
    columns, width = [others[:, None], true], true.shape[1]
    if objective.label_smoothing:  # what it is of: F / Q and F of the true class, or negatives
        terms = scores * (-log_q.to(scores.dtype)).exp() if objective.loss is softmax else negative
        columns += [terms.where(is_negative, 0.0).sum(dim=1, keepdim=True)]
        columns += [plain] if objective.loss is softmax else []
    found = queries.back(part, torch.cat(columns, dim=1))
    is_true = as_columns(targets != IGNORED)
    of_parts = found[:, :, 0].T
    true, smoothed = found[:, :, 1:].sum(dim=0).split([width, sum(one.shape[1] for one in columns) - 1 - width], dim=1)
    if objective.loss is softmax:
        losses = softmax(true, of_parts, is_true, None)
        if objective.label_smoothing:
            total, plain = smoothed.unbind(dim=1)
            mean = (total + plain if remove else total) / part.placing.num_classes
            losses = losses + objective.label_smoothing * (plain - mean)
    else:
        weight = objective.true_weight()
        losses = logistic(true, true[:, :0], is_true, None, weight) + of_parts.sum(dim=1)
        if objective.label_smoothing:
            losses = losses + objective.label_smoothing / 2 * (weight * true.sum(dim=1) - smoothed[:, 0])
    return losses.where(is_true.any(dim=1), 0.0)


def full_losses(
    part: TablePart | OwnClasses,
    settings: LossSettings,
    input: Tensor,  # (b, D)
    targets: Tensor,  # (b,) or (b, T), IGNORED allowed
    counted: float,
) -> tuple[Tensor, Tensor]:  # (b,), (W, 1)
    """The losses of this process's queries by an objective over all classes, and what each process counted.

    Each process goes through its own rows a chunk at a time, for the queries of all.

    softmax:  log( sum_r exp(z_r) ) - F_t,  z_r = log( sum_c exp(F_c) )           over the classes c of process r
    logistic: sum_r n_r - sum_t F_t,        n_r = sum_c log(1 + exp(F_c)),        as log(1 + e^-F) = log(1 + e^F) - F

    Label smoothing adds epsilon (F_t - 1/C sum_r sum_c F_c) to the first one. In the second it takes epsilon / 2 F_c
    from each class in n_r, and adds it for a true one, of which (1 - epsilon) F_t is left to subtract.
    """
    objective, smoothing = settings.objective, settings.objective.label_smoothing
    targets = as_columns(targets)
    objective.check_num_true(targets.shape[1])
    told = all_told(part, counted, len(input))
    queries = Queries.of(part, input, targets, told[:, 1].long().tolist())
    how: dict[str, Any] = {"temperature": settings.temperature, "cosine": settings.cosine}
    given = queries.vectors, part.weight, part.bias
    if objective.loss is softmax:
        of_part = [kernels.get("log_normalizer", input.device.type)(*given, **how)]
        of_part += [sum_of_logits(*given, **how)] if smoothing else []
    else:
        # The loss of queries whose true class is the first own one, without what is special about a true class.
        first = queries.rows.new_zeros(len(queries.rows))
        bias = None if part.bias is None else part.bias[:1]
        every = full_loss(objective, *given[:2], first, bias=part.bias, reduction="none", **how)
        of_part = [every + (1 - smoothing) * logits(queries.vectors, part.weight[:1], bias, **how)[:, 0]]
    true = queries.true_logits(*_own_rows(part, queries.rows[queries.rows >= 0]), settings)
    found = queries.back(part, torch.cat([torch.stack(of_part, dim=1), true], dim=1))
    is_true = targets != IGNORED
    of_parts, true = found[:, :, 0], found[:, :, len(of_part) :].sum(dim=0).where(is_true, 0.0)
    if objective.loss is softmax:
        losses = of_parts.logsumexp(dim=0) - true[:, 0]
        if smoothing:
            losses = losses + smoothing * (true[:, 0] - found[:, :, 1].sum(dim=0) / part.placing.num_classes)
        return losses.where(is_true[:, 0], 0.0), told
    losses = of_parts.sum(dim=0) - (1 - smoothing) * true.sum(dim=1)
    # A class that is there twice leaves the negatives once.
    again = torch.zeros_like(is_true)
    for place in range(1, targets.shape[1]):
        again[:, place] = is_true[:, place] & (targets[:, :place] == targets[:, place : place + 1]).any(dim=1)
    losses = losses - (logsigmoid(-true) + smoothing / 2 * true).where(again, 0.0).sum(dim=1)
    return losses.where(is_true.any(dim=1), 0.0), told


def log_normalizers(
    part: TablePart, settings: LossSettings, input: Tensor, batches: list[int], log_q: Tensor | None
) -> Tensor:
    """(b,) log( sum_c exp(F_c) Q_c^[Q is part of P] ) over all classes, of this process's queries.

    Args:
        part: the own rows.
        settings: of the loss.
        input: (b, D).
        batches: b of all processes.
        log_q: (n,) of own classes, added to F; or None.
    """
    vectors = all_rows(input, batches, part.group)
    how: dict[str, Any] = {"temperature": settings.temperature, "cosine": settings.cosine}
    found = kernels.get("log_normalizer", input.device.type)(vectors, part.weight, part.bias, shift=log_q, **how)
    own = batches[part.rank]
    return exchange(found, batches, [own] * part.size, part.group).view(part.size, own).logsumexp(dim=0)


@torch.no_grad()
def best_of_all(
    part: TablePart, settings: LossSettings, draws: TableDraws | None, input: Tensor, batches: list[int], k: int
) -> Best:
    """The k best of all classes for this process's queries: each process searches its own rows, and sends its k best.

    Args:
        part: the own rows.
        settings: of a loss.
        draws: whose log Q is needed to tell log P from F; or None.
        input: (b, D).
        batches: b of all processes.
        k: at most C.
    """
    vectors = all_rows(input, batches, part.group)

    def log_q(rows: slice) -> Tensor:
        assert draws is not None
        return draws.own_log_expected_count(torch.arange(rows.start, rows.stop, device=input.device))

    found = best_classes(
        settings.objective,
        vectors,
        part.weight,
        part.bias,
        k,
        temperature=settings.temperature,
        cosine=settings.cosine,
        log_q=None if draws is None else log_q,
    )
    ids, columns = part.placing.ids(found.ids + part.own.start), found.ids.shape[1]
    missing = (0, k - columns)  # where a process has less than k classes
    log_p = torch.nn.functional.pad(found.log_p, missing, value=-torch.inf)
    message = as_bytes(log_p, torch.nn.functional.pad(ids, missing), found.total)
    own = batches[part.rank]
    parts = exchange(message, batches, [own] * part.size, part.group).view(part.size, own, message.shape[1])
    kinds: list[tuple[torch.dtype, int | None]] = [(log_p.dtype, k), (torch.int64, k), (log_p.dtype, None)]
    best, *others = (Best(*from_bytes(one, kinds)) for one in parts)
    for other in others:
        best = merged(best, other, k)
    return best
