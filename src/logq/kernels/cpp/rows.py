"""Rows summed and updated by compiled code."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from logq.kernels import _native, reference_rows
from logq.kernels.cpp.arrays import running
from logq.kernels.rules import RowRule, real_dtype

__all__ = [
    "DTYPES",
    "can_update",
    "ids_of",
    "new_rows",
    "rule_arguments",
    "side_by_side",
    "sum_rows",
    "touch",
    "update_rows",
]

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
"""What a table may be stored as."""

MOST_CLASSES = 1 << 32


def new_rows(count: int, dim: int, dtype: torch.dtype) -> Tensor:
    """Rows (count, dim) with anything in them, in memory that earlier ones gave back: see native/rows/memory.hpp."""
    size = count * dim * dtype.itemsize
    if size == 0:
        return torch.empty(count, dim, dtype=dtype)
    return torch.from_numpy(_native.row_memory(size)).view(dtype).view(count, dim)


def ids_of(order: _native.ClassOrder) -> Tensor:  # (n,)
    """The distinct classes of an order, ascending."""
    distinct = torch.empty(len(order), dtype=torch.int64)
    order.write_ids(distinct, threads=torch.get_num_threads())
    return distinct


def sum_rows(ids: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the rows of each distinct id; see the reference for its meaning."""
    largest = int(ids.max()) if ids.numel() else -1
    if rows.dtype not in DTYPES or largest >= MOST_CLASSES:
        return reference_rows.sum_rows(ids, rows)
    order = _native.ClassOrder([ids.contiguous()], largest + 1, threads=torch.get_num_threads())
    sums = new_rows(len(order), rows.shape[1], rows.dtype)
    if sums.numel():
        _native.sum_classes(order, [side_by_side(rows)], [None], sums=sums, **running())
    return ids_of(order), sums


def update_rows(rule: RowRule, table: Tensor, ids: Tensor | None, rows: Tensor) -> None:
    """Apply a rule to some rows of a table; see the reference for its meaning."""
    if not can_update(rule, table):
        return reference_rows.update_rows(rule, table, ids, rows)
    _native.update_rows(
        table.detach(),
        None if ids is None else ids.contiguous(),
        side_by_side(rows),
        scale=-1.0 if rule.maximize else 1.0,
        **running(),
        **rule_arguments(rule),
    )
    touch(rule, table)


def can_update(rule: RowRule, table: Tensor) -> bool:
    """Whether compiled code can write to the table and the states as they lie in memory."""
    real = real_dtype(table.dtype)
    return (
        table.dtype in DTYPES
        and _has_rows(table)
        and all(state.dtype == real and (state.dim() == 1 or _has_rows(state)) for state in rule.states)
    )


def rule_arguments(rule: RowRule) -> Mapping[str, Any]:
    """A rule as compiled code takes it; which way to go is left to the scale of the gradient."""
    states = [state if state.dim() == 2 else state[:, None] for state in rule.states]
    adam = rule.kind == "adam"
    return {
        "rule": rule.kind,
        "first_state": states[0] if states else None,
        "second_state": states[1] if len(states) > 1 else None,
        "rate": rule.lr / (1 - rule.betas[0] ** rule.step) if adam else rule.lr,
        "decay": rule.weight_decay,
        "epsilon": rule.eps,
        "beta1": rule.betas[0],
        "beta2": rule.betas[1],
        "correction": (1 - rule.betas[1] ** rule.step) ** 0.5 if adam else 1.0,
    }


def touch(rule: RowRule, table: Tensor) -> None:
    """Let autograd know that the table was written to: a backward that needs its old values must not go on."""
    torch.autograd.graph.increment_version([table, *rule.states])


def _has_rows(table: Tensor) -> bool:
    """Whether the numbers of a row lie next to each other, and no two rows in the same place."""
    count, dim = table.shape
    return (dim <= 1 or table.stride(1) == 1) and (count <= 1 or table.stride(0) >= dim)


def side_by_side(rows: Tensor) -> Tensor:
    """Rows (n, D) without their history, the numbers of each next to each other; a copy only if they are not."""
    rows = rows.detach()
    return rows if rows.shape[1] <= 1 or rows.stride(1) == 1 else rows.contiguous()
