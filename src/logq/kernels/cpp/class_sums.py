"""Gradients of class tables, summed per class, or applied at once.

A batch names its classes in entries, some of them often: true classes and sampled ones. Entries are sorted by class,
by counting and without a comparison, and the rows that the entries of a class add are summed in registers: see
native/rows.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from logq.kernels import _native, reference_rows
from logq.kernels.cpp.arrays import contiguous_in, running
from logq.kernels.cpp.rows import can_update, ids_of, new_rows, rule_arguments, side_by_side, touch
from logq.kernels.rules import RowRule, real_dtype

__all__ = ["Entries", "class_gradient", "update_classes"]


class Entries(NamedTuple):
    """What adds to the gradients of classes, in float32 or float64.

    Args:
        input: (B, D).
        targets: (B, T) int64; those below 0, as IGNORED is, are no class.
        true_factors: (B, T): each adds factor * input[row] to the row of its class, and the factor to its bias.
        ids: (S,) or (B, S) int64.
        factors: as `ids`. Of (B, S) each adds factor * input[row]; of (S,) they are what is added to biases.
        rows: (S, D), what ids (S,) add; None for ids (B, S).
    """

    input: Tensor
    targets: Tensor
    true_factors: Tensor
    ids: Tensor
    factors: Tensor
    rows: Tensor | None


class _Sum:
    """The sums of some entries, to be had for rows and for biases."""

    def __init__(self, entries: Entries, num_classes: int) -> None:
        self.entries = entries
        self.num_classes = num_classes
        # The true classes last: beside their factors, near -1, many small ones would be rounded away.
        lists = [entries.ids.reshape(-1).contiguous(), entries.targets.reshape(-1).contiguous()]
        self.order = _native.ClassOrder(lists, num_classes, threads=torch.get_num_threads())

    def _sources(self, dtype: torch.dtype, of_bias: bool) -> tuple[list[Tensor], list[Tensor | None]]:
        """The rows that are added, and what they are multiplied with."""
        entries = self.entries
        true_factors, factors = (contiguous_in(dtype, f) for f in (entries.true_factors, entries.factors))
        if of_bias:
            return [factors.reshape(-1, 1), true_factors.reshape(-1, 1)], [None, None]
        input = contiguous_in(dtype, entries.input)
        if entries.rows is None:
            return [input, input], [factors, true_factors]
        return [contiguous_in(dtype, entries.rows), input], [None, true_factors]

    def gradient(self, table: Tensor, dtype: torch.dtype, scale: float, cosine: bool, sparse: bool) -> Tensor:
        """The gradient of a table, as a tensor of its shape."""
        of_bias = table.dim() == 1
        dim = 1 if of_bias else table.shape[1]
        sums = new_rows(len(self.order), dim, dtype) if sparse else torch.zeros(self.num_classes, dim, dtype=dtype)
        if sums.numel() and len(self.order):
            rows, factors = self._sources(real_dtype(dtype), of_bias)
            _native.sum_classes(
                self.order,
                rows,
                factors,
                table=side_by_side(table) if cosine else None,
                sums=sums,
                sums_by_id=not sparse,
                scale=scale,
                cosine=cosine,
                **running(),
            )
        if of_bias:
            sums = sums[:, 0]
        if not sparse:
            return sums
        return torch.sparse_coo_tensor(
            ids_of(self.order)[None], sums, table.shape, is_coalesced=True, check_invariants=False, requires_grad=False
        )

    def update(self, table: Tensor, rule: RowRule, scale: float, cosine: bool) -> None:
        """Apply a rule to the rows of a table."""
        of_bias = table.dim() == 1
        rows_of_table = table.detach()[:, None] if of_bias else table.detach()
        if not can_update(rule, rows_of_table):
            gradient = self.gradient(table, table.dtype, scale, cosine, sparse=True)
            with_rows = gradient._values()[:, None] if of_bias else gradient._values()
            reference_rows.update_rows(rule, rows_of_table, gradient._indices()[0], with_rows)
            return
        if rows_of_table.numel() and len(self.order):
            rows, factors = self._sources(real_dtype(table.dtype), of_bias)
            _native.sum_classes(
                self.order,
                rows,
                factors,
                table=rows_of_table,
                scale=-scale if rule.maximize else scale,
                cosine=cosine,
                **running(),
                **rule_arguments(rule),
            )
        touch(rule, table)


def class_gradient(
    entries: Entries,
    weight: Tensor,  # (C, D)
    *,
    bias: bool,
    scale: float | Tensor,
    cosine: bool,
    sparse: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradients of a class table and of its biases: for each class the sum of what its entries add, times `scale`.

    With `cosine` a sum is the gradient g of the row divided by its length, u = w / max(|w|, 1e-12), and that of the row
    itself is (g - <g, u> u) / |w|, or g / 1e-12 for a shorter row: reckoned once a class, after summing.

    Returns:
        (C, D) in the dtype of `weight`, and (C,) in float32 or float64, or None unless `bias`. Sparse ones are
        coalesced: ids distinct and ascending.

    Example:
        >>> entries = Entries(
        ...     torch.tensor([[1.0, 2.0]]),
        ...     torch.tensor([[3]]), torch.tensor([[-0.5]]),
        ...     torch.tensor([[0, 3]]), torch.tensor([[0.25, 0.25]]), None,
        ... )
        >>> of_weight, of_bias = class_gradient(
        ...     entries, torch.zeros(4, 2), bias=True, scale=2.0, cosine=False, sparse=True
        ... )
        >>> of_weight.indices()[0].tolist(), of_weight.values().tolist(), of_bias.values().tolist()
        ([0, 3], [[0.5, 1.0], [-0.5, -1.0]], [0.5, -0.5])
    """
    sums, scale = _Sum(entries, weight.shape[0]), float(scale)
    of_weight = sums.gradient(weight, weight.dtype, scale, cosine, sparse)
    if not bias:
        return of_weight, None
    return of_weight, sums.gradient(weight[:, 0], real_dtype(weight.dtype), scale, False, sparse)


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
    """Apply rules to the rows and biases of the classes that entries name, in place, and store no gradient at all.

    A table without a rule stays as it is. What the rules are given is what `class_gradient` says.

    Example:
        >>> entries = Entries(
        ...     torch.tensor([[1.0, 2.0]]),
        ...     torch.tensor([[3]]), torch.tensor([[-0.5]]),
        ...     torch.tensor([[0, 3]]), torch.tensor([[0.25, 0.25]]), None,
        ... )
        >>> weight = torch.zeros(4, 2)
        >>> update_classes(
        ...     entries, weight, None, scale=2.0, cosine=False, weight_rule=RowRule("sgd", lr=0.1), bias_rule=None
        ... )
        >>> weight[3]
        tensor([0.0500, 0.1000])
    """
    sums, scale = _Sum(entries, weight.shape[0]), float(scale)
    if weight_rule is not None:
        sums.update(weight, weight_rule, scale, cosine)
    if bias is not None and bias_rule is not None:
        sums.update(bias, bias_rule, scale, False)
