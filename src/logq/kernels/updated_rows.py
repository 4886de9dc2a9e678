"""Rows of class weights for the reference, updated inside of backward where an optimizer asked for it.

What fused backends do in their own backward, see logq.kernels.autograd, with any loss and on any device: gradients of
rows are summed per class, put through the rule of the table, and none is stored.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding

from logq.kernels import updates
from logq.kernels.backends import get
from logq.kernels.updates import RowRule, real_dtype
from logq.tracing import PLAIN_DISPATCH, goes_forward, in_transform, is_traced

__all__ = ["UpdatedRows", "are_updated"]


def are_updated(weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the table or its biases may be updated inside of backward, and are tensors that can be.

    Example:
        >>> are_updated(torch.zeros(3, 2, requires_grad=True), None)
        False
    """
    if not updates.exist() or is_traced() or in_transform() or goes_forward():
        return False
    for table in (weight, bias):
        kind: Any = type(table)
        if table is not None and kind.__torch_dispatch__ in PLAIN_DISPATCH and updates.is_attached(table):
            return True
    return False


class UpdatedRows(torch.autograd.Function):
    """Class weights (C, D), biases (C,) or None, ids -> rows (*ids, D) and biases (*ids,), in float32 at least.

    `named`, shaped as ids, are the classes that are updated: below 0 where an entry adds nothing.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor | None, ids: Tensor, named: Tensor, sparse: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Gather the rows."""
        ctx.save_for_backward(ids, named)
        # Not saved, for torch would refuse a table that changed since; its values are not needed.
        ctx.table, ctx.sparse = (weight, bias), sparse
        rows = embedding(ids, weight).to(real_dtype(weight.dtype))
        if bias is None:
            return rows, None
        return rows, bias.index_select(0, ids.reshape(-1)).view(ids.shape).to(real_dtype(bias.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Update what has a rule, and give the gradients of the rest."""
        ids, named = ctx.saved_tensors
        wanted: list[tuple[int, Tensor, Tensor, RowRule | None]] = []
        again = torch.is_grad_enabled() or goes_forward()
        for index, (table, of_rows) in enumerate(zip(ctx.table, gradients, strict=True)):
            if table is not None and ctx.needs_input_grad[index]:
                updated = not again and updates.is_stored(ctx, index)
                rows = of_rows.reshape(ids.numel(), -1)
                wanted.append((index, table, rows, updates.find(table) if updated else None))
        found: list[Tensor | None] = [None, None]
        for index, table, rows, rule in wanted:
            if rule is None:
                found[index] = _gradient(table, ids.reshape(-1), rows, sparse=ctx.sparse)
        _update(named.reshape(-1), [(table, rows, rule) for _, table, rows, rule in wanted if rule is not None])
        return *found, None, None, None


def _gradient(table: Tensor, ids: Tensor, rows: Tensor, *, sparse: bool) -> Tensor:
    """The gradient of a table by those of some of its rows."""
    if sparse:
        rows = rows.to(table.dtype).view(-1, *table.shape[1:])
        return torch.sparse_coo_tensor(ids[None], rows, table.shape, check_invariants=False)
    total = torch.zeros(table.shape[0], rows.shape[1], dtype=rows.dtype, device=rows.device)
    return total.index_add(0, ids, rows).view(table.shape).to(table.dtype)


def _update(named: Tensor, tables: list[tuple[Tensor, Tensor, RowRule]]) -> None:
    """Apply rules to tables, by gradients of rows (N, D) of some classes (N,)."""
    if not tables:
        return
    device = named.device.type
    # Side by side, so that classes are sorted, and their number is waited for, once.
    distinct, sums = get("sum_rows", device)(named, torch.cat([rows for _, rows, _ in tables], dim=1))
    widths = [rows.shape[1] for _, rows, _ in tables]
    for (table, _, rule), part in zip(tables, sums.split(widths, dim=1), strict=True):
        columns = table.detach() if table.dim() == 2 else table.detach()[:, None]
        get("update_rows", device)(rule, columns, distinct, part.to(real_dtype(table.dtype)))
