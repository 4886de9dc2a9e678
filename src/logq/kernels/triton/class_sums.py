"""Sums over classes on a GPU: entries sorted by class, one program per class, nothing added by atomics.

The order of a sum is that of the entries, so the same bits come out each time. How many classes there are is known to
the device alone: grids have a program for each entry, and those beyond the last class end at once. Only the size of a
sparse gradient is waited for, as torch's tensors need it. Updates inside of backward store no gradient.
"""

from typing import Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from logq.kernels.passes import Entries
from logq.kernels.reference_rows import ranked
from logq.kernels.triton.launching import TYPES, launch
from logq.kernels.updates import RowRule, real_dtype

__all__ = ["class_gradients", "sum_rows", "update_classes", "update_rows"]

ENTRIES_AT_ONCE = 4
KINDS: Final = {"sgd": 0, "adagrad": 1, "rowwise_adagrad": 2, "adam": 3}


class Runs(NamedTuple):
    """Entries in the order of their classes.

    Args:
        order: (N,) int64, the entries, those of one class one after the other as they were given.
        classes: (N,) int64, their classes in this order; those below 0 first.
        starts: (N + 2,) int64, where the entries of each class begin, and the end of the last ones.
        number: () int64, how many classes there are.
    """

    order: Tensor
    classes: Tensor
    starts: Tensor
    number: Tensor


def runs_of(named: Tensor) -> Runs:
    """Sort entries by the classes (N,) that they name; those below 0 are left out."""
    size = len(named)
    classes, order, begins, ranks = ranked(named)
    starts = torch.full((size + 2,), size, dtype=torch.int64, device=named.device)
    starts.scatter_(0, ranks.where(begins, size + 1), torch.arange(size, device=named.device))
    number = ranks[-1] + 1 if size else torch.zeros((), dtype=torch.int64, device=named.device)
    return Runs(order, classes, starts, number)


def class_gradients(
    entries: Entries,
    weight: Tensor,  # (C, D)
    *,
    bias: bool,
    scale: float | Tensor,
    cosine: bool,
    sparse: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradients of class weights and of biases, summed per class; see logq.kernels.passes."""
    runs, real = _runs(entries), real_dtype(weight.dtype)
    number = int(runs.number) if sparse else weight.shape[0]
    of_weight = weight.new_empty(number, weight.shape[1]) if sparse else torch.zeros_like(weight)
    _sum(runs, entries, scale, real, out=of_weight, table=weight, cosine=cosine, sparse=sparse)
    of_bias = None
    if bias:
        of_bias = torch.zeros(number, 1, dtype=real, device=weight.device)
        _sum(runs, _of_biases(entries), scale, real, out=of_bias, sparse=sparse)
        of_bias = of_bias[:, 0]
    if not sparse:
        return of_weight, of_bias
    ids = runs.classes[runs.starts[:number]]
    return _sparse(ids, of_weight, weight.shape), None if of_bias is None else _sparse(ids, of_bias, weight.shape[:1])


def update_classes(
    entries: Entries,
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    *,
    scale: float | Tensor,
    cosine: bool,
    weight_rule: RowRule | None,
    bias_rule: RowRule | None,
) -> None:
    """Apply rules to the classes that entries name, in place and without a wait; see logq.kernels.passes."""
    runs = _runs(entries)
    if weight_rule is not None:
        table = weight.detach()
        _sum(runs, entries, scale, real_dtype(table.dtype), table=table, cosine=cosine, rule=weight_rule)
    if bias is not None and bias_rule is not None:
        column = bias.detach()[:, None]
        _sum(runs, _of_biases(entries), scale, real_dtype(column.dtype), table=column, rule=bias_rule)


def sum_rows(ids: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the rows of each distinct id, in float32 at least; see logq.kernels.reference_rows."""
    runs = runs_of(ids)
    number = int(runs.number)
    summed = rows.new_empty(number, rows.shape[1])
    given = Entries(rows, ids.new_empty(0, 1), rows.new_empty(0, 1), ids, rows.new_empty(0), rows)
    _sum(runs, given, 1.0, real_dtype(rows.dtype), out=summed, sparse=True)
    return runs.classes[runs.starts[:number]], summed


@torch.no_grad()
def update_rows(rule: RowRule, table: Tensor, ids: Tensor | None, rows: Tensor) -> None:
    """Apply a rule to some rows of a table, in place; see logq.kernels.reference_rows."""
    if not rows.numel():
        return
    every = torch.arange(len(rows) + 1, device=table.device)
    classes = every[:-1] if ids is None else ids
    number = every[-1]  # a view: known to the host and to the device
    given = Entries(rows, classes.new_empty(0, 1), rows.new_empty(0, 1), classes, rows.new_empty(0), rows)
    _sum(Runs(every[:-1], classes, every, number), given, 1.0, real_dtype(table.dtype), table=table, rule=rule)


def _runs(entries: Entries) -> Runs:
    # The true classes last: beside their factors, near -1, many small ones would be rounded away.
    return runs_of(torch.cat([entries.ids.reshape(-1), entries.targets.reshape(-1)]))


def _of_biases(entries: Entries) -> Entries:
    """Biases are a table of width 1, to which each entry adds its factor."""
    ones, rows = entries.input.new_ones(len(entries.input), 1), entries.rows
    return entries._replace(input=ones, rows=None if rows is None else entries.factors[:, None])


def _sparse(ids: Tensor, values: Tensor, shape: torch.Size) -> Tensor:
    return torch.sparse_coo_tensor(
        ids[None], values, shape, is_coalesced=True, check_invariants=False, requires_grad=False
    )


def _sum(
    runs: Runs,
    entries: Entries,
    scale: float | Tensor,
    real: torch.dtype,
    *,
    out: Tensor | None = None,
    table: Tensor | None = None,
    cosine: bool = False,
    sparse: bool = False,
    rule: RowRule | None = None,
) -> None:
    """Sum what the entries of each class add, and write it to `out` or apply a rule with it."""
    input, targets, true_factors, ids, factors, rows = entries
    if not len(runs.order):
        return
    if table is not None and not table.is_contiguous():
        plain = table.contiguous()
        _sum(runs, entries, scale, real, out=out, table=plain, cosine=cosine, sparse=sparse, rule=rule)
        if rule is not None:
            table.copy_(plain)
        return
    dim = input.shape[1] if rows is None else rows.shape[1]
    of_rule = rule or RowRule("sgd", lr=0.0)
    states = [state if state.dim() == 1 else state.view(-1) for state in of_rule.states]
    launch(
        class_kernel,
        (len(runs.order),),
        *runs,
        input.contiguous(),
        true_factors.contiguous(),
        factors.contiguous(),
        None if rows is None else rows.contiguous(),
        torch.as_tensor(scale, dtype=real, device=runs.order.device),
        out,
        table,
        states[0] if states else None,
        states[1] if len(states) > 1 else None,
        ids.numel(),
        1 if rows is not None else ids.shape[-1],
        max(1, targets.shape[-1]),
        of_rule.lr,
        of_rule.weight_decay,
        of_rule.eps,
        *of_rule.betas,
        1 - of_rule.betas[0] ** of_rule.step,
        1 - of_rule.betas[1] ** of_rule.step,
        DIM=dim,
        DIM_BLOCK=triton.next_power_of_2(dim),
        BLOCK=ENTRIES_AT_ONCE,
        COSINE=cosine,
        TO_RUNS=sparse,
        UPDATES=rule is not None,
        KIND=KINDS[of_rule.kind],
        MAXIMIZE=of_rule.maximize,
        REAL=TYPES[real],
        num_warps=1 if dim <= 128 else 4,
    )


@triton.jit(do_not_specialize=["num_ids", "per_row", "per_true"])
def class_kernel(
    order,
    classes,
    starts,
    number,
    input,
    true_factors,
    factors,
    rows,
    scale,
    out,
    table,
    first_state,
    second_state,
    num_ids,
    per_row,
    per_true,
    lr: tl.float64,
    weight_decay: tl.float64,
    eps: tl.float64,
    beta1: tl.float64,
    beta2: tl.float64,
    correction1: tl.float64,
    correction2: tl.float64,
    DIM: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    COSINE: tl.constexpr,
    TO_RUNS: tl.constexpr,
    UPDATES: tl.constexpr,
    KIND: tl.constexpr,
    MAXIMIZE: tl.constexpr,
    REAL: tl.constexpr,
):
    run = tl.program_id(0).to(tl.int64)
    if run < tl.load(number):
        at = tl.arange(0, DIM_BLOCK)
        in_row = at < DIM
        begin = tl.load(starts + run)
        end = tl.load(starts + run + 1)
        total = tl.zeros((DIM_BLOCK,), REAL)
        for first in tl.range(begin, end, BLOCK):
            place = first + tl.arange(0, BLOCK)
            exists = place < end
            entry = tl.load(order + place, mask=exists, other=0)
            is_sampled = entry < num_ids
            of_true = entry - num_ids
            factor = tl.load(true_factors + of_true, mask=exists & (is_sampled == 0), other=0.0).to(REAL)
            source = tl.where(is_sampled, entry // per_row, of_true // per_true)[:, None] * DIM + at[None, :]
            if rows is None:
                factor += tl.load(factors + entry, mask=exists & is_sampled, other=0.0).to(REAL)
                value = tl.load(input + source, mask=exists[:, None] & in_row[None, :], other=0.0).to(REAL)
                total += tl.sum(factor[:, None] * value, 0)
            else:
                of_input = (exists & (is_sampled == 0))[:, None] & in_row[None, :]
                value = factor[:, None] * tl.load(input + source, mask=of_input, other=0.0).to(REAL)
                of_sample = (exists & is_sampled)[:, None] & in_row[None, :]
                value += tl.load(rows + source, mask=of_sample, other=0.0).to(REAL)
                total += tl.sum(value, 0)
        gradient = total * tl.load(scale)
        named = tl.load(classes + begin)
        if COSINE or UPDATES:
            own = tl.load(table + named * DIM + at, mask=in_row, other=0.0).to(REAL)
        if COSINE:  # from the gradient of row / |row| to that of the row
            length = tl.sqrt(tl.sum(own * own, 0))
            safe = tl.maximum(length, 1e-12)
            unit = own / safe
            along = tl.where(length > 1e-12, tl.sum(gradient * unit, 0), 0.0)
            gradient = (gradient - along * unit) / safe
        if UPDATES:
            if MAXIMIZE:
                gradient = -gradient
            gradient += tl.full((), weight_decay, REAL) * own
            step = tl.full((), lr, REAL)
            if KIND == 0:
                change = step * gradient
            elif KIND == 2:
                sums = tl.load(first_state + named).to(REAL) + tl.sum(gradient * gradient, 0) / DIM
                tl.store(first_state + named, sums)
                change = step * gradient / (tl.sqrt(sums) + tl.full((), eps, REAL))
            else:
                state = first_state + named * DIM + at
                first = tl.load(state, mask=in_row, other=0.0).to(REAL)
                if KIND == 1:
                    first += gradient * gradient
                    change = step * gradient / (tl.sqrt(first) + tl.full((), eps, REAL))
                else:
                    other = second_state + named * DIM + at
                    second = tl.load(other, mask=in_row, other=0.0).to(REAL)
                    first += (1 - tl.full((), beta1, REAL)) * (gradient - first)
                    decay = tl.full((), beta2, REAL)
                    second = decay * second + (1 - decay) * gradient * gradient
                    tl.store(other, second, mask=in_row)
                    root = tl.sqrt(second / tl.full((), correction2, REAL)) + tl.full((), eps, REAL)
                    change = step / tl.full((), correction1, REAL) * first / root
                tl.store(state, first, mask=in_row)
            tl.store(table + named * DIM + at, own - change, mask=in_row)
        elif TO_RUNS:
            tl.store(out + run * DIM + at, gradient, mask=in_row)
        else:
            tl.store(out + named * DIM + at, gradient, mask=in_row)
