"""Rows of class weights summed per class by compiled code, and updated: by their gradients, or without any stored.

A batch names its classes in entries, some of them often: true classes and sampled ones. Entries are sorted by class,
by counting and without a comparison, and the rows that the entries of a class add are summed in registers: see
native/rows. Where a cache holds the whole gradient, they are added to it as they come.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from logq.kernels import _native, reference_rows
from logq.kernels.cpp.arrays import STORED, array, contiguous_in, running, side_by_side
from logq.kernels.fallback import report
from logq.kernels.passes import Entries, Passes, of_length
from logq.kernels.tensor_memory import is_plain
from logq.kernels.updates import HALF_PRECISION, RowRule, real_dtype

__all__ = ["class_gradients", "refuses_update", "row_means", "sum_rows", "update_classes", "update_rows"]

MOST_CLASSES = 1 << 32
"""So many classes can be sorted by counting."""

IN_CACHE = 1 << 22
"""Bytes of a gradient that entries are added to without an order."""

ENTRIES_OF_A_CLASS = 256
"""The most that are added one after the other, in the mean over all classes: of more, sums of sums round less."""

STANDS_FOR_OTHERS = "tensors are of a class that stands for others, such as DTensor"


def new_rows(count: int, dim: int, dtype: torch.dtype) -> Tensor:
    """Rows (count, dim) with anything in them, in memory that earlier ones gave back: see native/rows/memory.hpp."""
    size = count * dim * dtype.itemsize
    if size == 0:
        return torch.empty(count, dim, dtype=dtype, device="cpu")
    return torch.from_numpy(_native.row_memory(size)).view(dtype).view(count, dim)


def ids_of(order: _native.ClassOrder) -> Tensor:  # (n,)
    """The distinct classes of an order, ascending."""
    distinct = torch.empty(len(order), dtype=torch.int64, device="cpu")
    order.write_ids(distinct, threads=torch.get_num_threads())
    return distinct


def sum_rows(ids: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the rows of each distinct id; see the reference for its meaning."""
    largest = int(ids.max()) if ids.numel() else -1
    refusal = "" if rows.dtype in STORED else f"compiled code knows no rows in {rows.dtype}"
    if largest >= MOST_CLASSES:
        refusal = f"ids reach {MOST_CLASSES} and are not sorted by counting"
    if not is_plain(ids, rows):
        refusal = STANDS_FOR_OTHERS
    if refusal:
        report("sum_rows", "cpp", refusal)
        return reference_rows.sum_rows(ids, rows)
    order = _native.ClassOrder([array(ids.contiguous())], largest + 1, threads=torch.get_num_threads())
    sums = new_rows(len(order), rows.shape[1], rows.dtype)
    if sums.numel():
        _native.sum_classes(order, [array(side_by_side(rows))], [None], sums=array(sums), **running())
    return ids_of(order), sums


def row_means(table: Tensor, codes: Tensor, decay: float = 1.0) -> tuple[Tensor, Tensor]:
    """Means of rows of a table; see logq.kernels.passes for their meaning."""
    if not is_plain(table, codes) or table.dtype not in STORED or not table.is_contiguous():
        return Passes.row_means(table, codes, decay)
    means = torch.empty(len(codes), table.shape[1], dtype=real_dtype(table.dtype), device="cpu")
    shares = torch.empty(codes.shape, dtype=means.dtype, device="cpu")
    _native.row_means(
        array(table.detach()),
        array(codes.contiguous()),
        decay=decay,
        means=array(means),
        shares=array(shares),
        **running(),
    )
    return means.to(table.dtype), shares


def update_rows(rule: RowRule, table: Tensor, ids: Tensor | None, rows: Tensor) -> None:
    """Apply a rule to some rows of a table; see the reference for its meaning."""
    refusal = refuses_update(rule, table) if is_plain(rows) else STANDS_FOR_OTHERS
    if refusal:
        report("update_rows", "cpp", refusal)
        return reference_rows.update_rows(rule, table, ids, rows)
    _native.update_rows(
        array(table.detach()),
        None if ids is None else array(ids.contiguous()),
        array(side_by_side(rows)),
        scale=-1.0 if rule.maximize else 1.0,
        **running(),
        **rule_arguments(rule),
    )
    touch(rule, table)


def refuses_update(rule: RowRule, table: Tensor) -> str:
    """Why compiled code cannot write to the table and the states as they lie in memory; "" if it can.

    Example:
        >>> refuses_update(RowRule("sgd", lr=0.1), torch.zeros(2, 3).T)
        'numbers of a row of the table are not next to each other'
    """
    if not is_plain(table, *rule.states):
        return STANDS_FOR_OTHERS
    if table.dtype not in STORED:
        return f"compiled code knows no table in {table.dtype}"
    if rule.seed is not None and table.dtype in HALF_PRECISION:
        return "compiled code rounds to the nearest, not at random"
    if not _has_rows(table):
        return "numbers of a row of the table are not next to each other"
    real = real_dtype(table.dtype)
    if any(state.dtype != real or (state.dim() != 1 and not _has_rows(state)) for state in rule.states):
        return f"states are not rows in {real}"
    return ""


def rule_arguments(rule: RowRule) -> Mapping[str, Any]:
    """A rule as compiled code takes it; which way to go is left to the scale of the gradient."""
    states = [array(state if state.dim() == 2 else state[:, None]) for state in rule.states]
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
    """Whether the numbers of a row lie next to each other, and no two rows overlap."""
    count, dim = table.shape
    return (dim <= 1 or table.stride(1) == 1) and (count <= 1 or table.stride(0) >= dim)


def _lists(entries: Entries) -> list[Any]:
    """The classes of entries; the true ones last: beside their factors, near -1, many small ones would be lost."""
    return [array(ids.reshape(-1).contiguous()) for ids in (entries.ids, entries.targets)]


def _sources(entries: Entries, dtype: torch.dtype, of_bias: bool) -> tuple[list[Any], list[Any]]:
    """The rows that are added, and what they are multiplied with."""
    true_factors, factors = (contiguous_in(dtype, f) for f in (entries.true_factors, entries.factors))
    if of_bias:
        return [array(factors.reshape(-1, 1)), array(true_factors.reshape(-1, 1))], [None, None]
    input = contiguous_in(dtype, entries.input)
    if entries.rows is None:
        return [array(input), array(input)], [array(factors), array(true_factors)]
    return [array(contiguous_in(dtype, entries.rows)), array(input)], [None, array(true_factors)]


class _Added:
    """The sums of some entries, for rows and for biases, with no order: in dense gradients that a cache holds."""

    def __init__(self, entries: Entries, num_classes: int) -> None:
        self.entries = entries
        self.num_classes = num_classes

    @staticmethod
    def suits(entries: Entries, weight: Tensor) -> bool:
        """Whether that is quicker than by an order, and as exact."""
        if weight.dtype.itemsize < 4 or weight.numel() * weight.dtype.itemsize > IN_CACHE:
            return False
        return entries.ids.numel() + entries.targets.numel() <= ENTRIES_OF_A_CLASS * weight.shape[0]

    def gradient(self, table: Tensor, dtype: torch.dtype, scale: float, cosine: bool) -> Tensor:
        """The gradient of a table, as a tensor of its shape."""
        of_bias = table.dim() == 1
        sums = torch.zeros(self.num_classes, 1 if of_bias else table.shape[1], dtype=dtype, device="cpu")
        if sums.numel():
            rows, factors = _sources(self.entries, dtype, of_bias)
            _native.add_classes(
                _lists(self.entries),
                rows,
                factors,
                sums=array(sums),
                table=array(side_by_side(table)) if cosine else None,
                scale=scale,
                cosine=cosine,
                **running(),
            )
        return sums[:, 0] if of_bias else sums


class _Sum:
    """The same sums by an order of their classes, and updates by them."""

    def __init__(self, entries: Entries, num_classes: int) -> None:
        self.entries = entries
        self.num_classes = num_classes
        self.order = _native.ClassOrder(_lists(entries), num_classes, threads=torch.get_num_threads())

    def gradient(self, table: Tensor, dtype: torch.dtype, scale: float, cosine: bool, sparse: bool) -> Tensor:
        """The gradient of a table, as a tensor of its shape."""
        of_bias = table.dim() == 1
        dim = 1 if of_bias else table.shape[1]
        sums = (
            new_rows(len(self.order), dim, dtype)
            if sparse
            else torch.zeros(self.num_classes, dim, dtype=dtype, device="cpu")
        )
        if sums.numel() and len(self.order):
            rows, factors = _sources(self.entries, real_dtype(dtype), of_bias)
            _native.sum_classes(
                self.order,
                rows,
                factors,
                table=array(side_by_side(table)) if cosine else None,
                sums=array(sums),
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
        refusal = refuses_update(rule, rows_of_table)
        if refusal:
            report("update_rows", "cpp", refusal)
            real = real_dtype(table.dtype)
            gradient = self.gradient(table, real, scale, False, sparse=True)
            ids, sums = gradient._indices()[0], gradient._values()
            sums = sums[:, None] if of_bias else sums
            if cosine:
                sums = of_length(sums, rows_of_table[ids].to(real))
            reference_rows.update_rows(rule, rows_of_table, ids, sums)
            return
        if rows_of_table.numel() and len(self.order):
            rows, factors = _sources(self.entries, real_dtype(table.dtype), of_bias)
            _native.sum_classes(
                self.order,
                rows,
                factors,
                table=array(rows_of_table),
                scale=-scale if rule.maximize else scale,
                cosine=cosine,
                **running(),
                **rule_arguments(rule),
            )
        touch(rule, table)


def class_gradients(
    entries: Entries,
    weight: Tensor,  # (C, D)
    *,
    bias: bool,
    scale: float | Tensor,
    cosine: bool,
    sparse: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradients of class weights and of biases; see logq.kernels.passes for their meaning.

    Example:
        >>> entries = Entries(
        ...     torch.tensor([[1.0, 2.0]]),
        ...     torch.tensor([[3]]), torch.tensor([[-0.5]]),
        ...     torch.tensor([[0, 3]]), torch.tensor([[0.25, 0.25]]), None,
        ... )
        >>> of_weight, of_bias = class_gradients(
        ...     entries, torch.zeros(4, 2), bias=True, scale=2.0, cosine=False, sparse=True
        ... )
        >>> of_weight.indices()[0].tolist(), of_weight.values().tolist(), of_bias.values().tolist()
        ([0, 3], [[0.5, 1.0], [-0.5, -1.0]], [0.5, -0.5])
    """
    scale = float(scale)
    if not sparse and _Added.suits(entries, weight):
        gradient = _Added(entries, weight.shape[0]).gradient
    else:
        gradient = partial(_Sum(entries, weight.shape[0]).gradient, sparse=sparse)
    of_weight = gradient(weight, weight.dtype, scale, cosine)
    return of_weight, gradient(weight[:, 0], real_dtype(weight.dtype), scale, False) if bias else None


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
    """Apply rules to the rows and biases of the classes that entries name; see logq.kernels.passes for the meaning.

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
