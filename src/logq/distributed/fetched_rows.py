"""The rows of a step: asked of their owners, brought to the loss, and their gradients sent back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from logq.distributed.placing import Placing
from logq.distributed.row_messages import arrived, as_bytes, from_bytes
from logq.distributed.stratified import Stratified
from logq.distributed.table_part import TablePart
from logq.processes import Group, all_rows, exchange

__all__ = ["InParts", "RowRequest", "Sample", "Step", "bring_rows"]


class InParts(Protocol):
    """What is divided over processes: how, over how many, and which.

    Example:
        >>> from logq.optim import SGD
        >>> part: InParts = TablePart(10, 2, SGD)
        >>> part.size
        1
    """

    placing: Placing
    size: int
    group: Group


@dataclass(frozen=True)
class RowRequest:
    """The classes that a process needs, and what all processes told each other of their step.

    Args:
        places: (U,) int64, of the distinct classes (logq.distributed.placing), ascending, and so in order of owners.
        inverse: (N,) where the place of each class that was asked for is among them.
        rows: (U,) int32, the rows in the parts of the owners.
        sent: how many each process is asked for.
        received: how many each process asks for here.
        told: (W, n) float64, numbers that each process told all others.

    Example:
        >>> from logq.optim import SGD
        >>> RowRequest.of(TablePart(10, 2, SGD), torch.tensor([4, 4]), 0.5).told
        tensor([[0.5000]], dtype=torch.float64)
    """

    places: Tensor
    inverse: Tensor
    rows: Tensor
    sent: list[int]
    received: list[int]
    told: Tensor

    @classmethod
    def of(cls, part: "InParts", ids: Tensor, *numbers: float) -> "RowRequest":
        """For (N,) classes, which may repeat: one message tells the others how many come, and the numbers."""
        places, inverse = part.placing.places(ids).unique(return_inverse=True)
        owners = part.placing.owners(places)
        rows = (places - owners * part.placing.per_process).int()
        sent = owners.bincount(minlength=part.size)
        mine = torch.tensor(numbers, dtype=torch.float64, device=ids.device).expand(part.size, -1)
        one_each = [1] * part.size
        told = exchange(torch.cat([sent[:, None].double(), mine], dim=1), one_each, one_each, part.group)
        return cls(places, inverse, rows, sent.tolist(), told[:, 0].long().tolist(), told[:, 1:])


class Sample(NamedTuple):
    """A sample of all classes, in the order of their owners.

    Args:
        own_rows: (S_r,) int64, the rows of those that this process drew.
        strata: S_r of each process.
        numbers: (S,) where each is among the rows of the step: a class that was asked for is there once.

    Example:
        >>> Sample(torch.tensor([0]), [1], torch.tensor([0])).strata
        [1]
    """

    own_rows: Tensor
    strata: list[int]
    numbers: Tensor


class Step(NamedTuple):
    """Rows that stand in for the class weights in a loss: of the classes asked for, and then of the sample.

    Args:
        weight: (U + S, D), whose gradients go to the owners.
        bias: (U + S,), or None.
        log_q: (U + S,) natural logs of expected counts, or None where owners know of none.
        sample: or None.

    Example:
        >>> Step(torch.zeros(1, 2), None, None, None).weight
        tensor([[0., 0.]])
    """

    weight: Tensor
    bias: Tensor | None
    log_q: Tensor | None
    sample: Sample | None


def bring_rows(
    part: TablePart,
    request: RowRequest,
    sampler: Stratified | None = None,
    *,
    tell: Callable[[Tensor], Tensor] | None = None,
    learn: Tensor | None = None,
    learners: Sequence[Stratified] = (),
) -> Step:
    """The rows of a request, and a sample of all classes.

    Args:
        part: the own rows, which others ask for.
        request: what this process needs.
        sampler: whose sample comes too, and whose log Q with each row; None for no sample.
        tell: without a sample, from own rows (N,) to log Q that comes with them; None for none.
        learn: (N,) bool, which of the classes that were asked for are targets to learn from; None learns nothing.
        learners: that learn from them.
    """
    with torch.no_grad():
        columns = [request.rows[:, None]]
        if learn is not None:
            times = request.places.new_zeros(len(request.places)).index_add_(0, request.inverse, learn.long())
            columns.append(times[:, None].int())
        asked = exchange(torch.cat(columns, dim=1), request.sent, request.received, part.group).long()
        part.read_ahead(asked[:, 0])
        own_rows = drawn_log_q = asked_log_q = None
        if sampler is not None:
            own_rows, drawn_log_q, asked_log_q = sampler.draw_own(asked[:, 0])
            part.read_ahead(own_rows)
        elif tell is not None:
            asked_log_q = tell(asked[:, 0])
        for learner in learners if learn is not None else ():
            learner.learn_own(asked[:, 0], asked[:, 1])
        message = _message(part, asked[:, 0], asked_log_q)
        found = exchange(message, request.received, request.sent, part.group)
        sample = None
        if sampler is not None and own_rows is not None:
            message = torch.cat([_message(part, own_rows, drawn_log_q), as_bytes(own_rows.int())], dim=1)
            every = all_rows(message, sampler.strata, part.group)
            (rows,) = from_bytes(every[:, -4:], [(torch.int32, None)])
            places = part.placing.places_of_rows(rows.long(), sampler.strata)
            sample = Sample(own_rows, sampler.strata, _numbers(places, request.places))
            found = torch.cat([found, every[:, :-4]])
            del every
        del message
        weight, bias, log_q = _read(part, found, None if asked_log_q is None else asked_log_q.dtype)
    weight, bias = arrived(weight, bias, partial(_send_back, part, request, asked[:, 0], sample))
    return Step(weight, bias, log_q, sample)


def _send_back(
    part: TablePart, request: RowRequest, asked: Tensor, sample: Sample | None, gradients: list[Tensor]
) -> None:
    """Bring gradients (U + S, D) and (U + S, 1) to the owners, who add up those of a sample in the order of ranks.

    One exchange for both: to each owner first those of the classes asked for, then those of its part of the sample.
    """
    own = 0 if sample is None else len(sample.own_rows)
    strata = [0] * part.size if sample is None else sample.strata
    first = gradients[0]
    wanted, drawn = torch.arange(len(first), device=first.device).split([len(request.rows), sum(strata)])
    parts = zip(wanted.split(request.sent), drawn.split(strata), strict=True)
    sent = [sum(counts) for counts in zip(request.sent, strata, strict=True)]
    received = [count + own for count in request.received]
    order = torch.cat([rows for both in parts for rows in both])
    arrived = exchange(_side_by_side(gradients, order), sent, received, part.group).split(received)
    # Copies, so that what arrived for the sample does not stay until the step.
    part.add_gradients(asked, torch.cat([found[: len(found) - own] for found in arrived]))
    if sample is not None:
        part.add_gradients(sample.own_rows, reduce(torch.add, [found[len(found) - own :] for found in arrived]))


def _side_by_side(columns: list[Tensor], order: Tensor) -> Tensor:
    """Tensors (N, ...) in another order as the columns of one, without a copy of each."""
    widths = [column.shape[1] for column in columns]
    joined = columns[0].new_empty(len(order), sum(widths))
    for column, place in zip(columns, joined.split(widths, dim=1), strict=True):
        torch.index_select(column, 0, order, out=place)
    return joined


def _message(part: TablePart, rows: Tensor, log_q: Tensor | None) -> Tensor:
    """Own rows as they travel: row, bias, log Q."""
    columns = [part.weight[rows]]
    columns += [] if part.bias is None else [part.bias[rows]]
    return as_bytes(*columns, *([] if log_q is None else [log_q]))


def _read(
    part: TablePart, message: Tensor, of_log_q: torch.dtype | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    kinds: list[tuple[torch.dtype, int | None]] = [(part.weight.dtype, part.dim)]
    kinds += [] if part.bias is None else [(part.bias.dtype, None)]
    found = from_bytes(message, kinds + ([] if of_log_q is None else [(of_log_q, None)]))
    return found[0], None if part.bias is None else found[1], None if of_log_q is None else found[-1]


def _numbers(drawn: Tensor, asked: Tensor) -> Tensor:
    """Where sampled classes are among the rows of a step: by the one row of their class if it was asked for.

    So a sampled copy of a true class has the id of the true class in the loss, which is how losses see hits.
    """
    numbers = len(asked) + torch.arange(len(drawn), device=drawn.device)
    if not len(asked):
        return numbers
    found = torch.searchsorted(asked, drawn).clamp_(max=len(asked) - 1)
    return numbers.where(asked[found] != drawn, found)
