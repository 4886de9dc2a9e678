"""Logits, F of inputs with rows of the class weights, and losses reduced: what ops of losses start and end with.

    F(i, c) = (<input_i, weight_c> + bias_c) / temperature        with cosine(input_i, weight_c) for <.,.> if `cosine`

computed in float32 at least, also under autocast, and so are sums of gradients: half precision is stored, never
computed in. (Sparse gradients of a table in half precision are summed by whoever coalesces them.)
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, normalize

from logq.candidates import IGNORED, as_columns
from logq.kernels.updated_rows import UpdatedRows, are_updated
from logq.tracing import goes_forward, in_transform, is_exported

__all__ = [
    "REDUCTIONS",
    "chunk_logits",
    "chunks",
    "class_rows",
    "computed_dtype",
    "logits",
    "mean_divisor",
    "reduce",
    "stand_in",
    "true_logits",
]

REDUCTIONS = ("none", "mean", "sum")

CHUNK_LOGITS = 1 << 22
"""How many logits a pass over all classes holds at a time on a CPU: 16 MiB in float32."""

CHUNK_LOGITS_ELSEWHERE = 1 << 26
"""On other devices: 256 MiB in float32, as each chunk costs the launch of some 40 kernels whatever its size."""


def chunk_logits(device: torch.device) -> int:
    """How many logits a pass over all classes holds at a time on a device.

    Example:
        >>> chunk_logits(torch.device("cpu"))
        4194304
    """
    return CHUNK_LOGITS if device.type == "cpu" else CHUNK_LOGITS_ELSEWHERE


def computed_dtype(*tensors: Tensor) -> torch.dtype:
    """What tensors are computed in together: float32 at least.

    Example:
        >>> computed_dtype(torch.ones(2, dtype=torch.float16))
        torch.float32
    """
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def logits(
    input: Tensor,  # (B, D)
    rows: Tensor,  # (N, D), or (B, N, D) for rows of their own
    bias: Tensor | None,  # (N,) or (B, N)
    *,
    temperature: float | Tensor,
    cosine: bool,
) -> Tensor:  # (B, N)
    """F of every input with its rows of the class weights, in float32 or wider."""
    dtype = computed_dtype(input, rows)
    with torch.autocast(input.device.type, enabled=False):
        input, rows = input.to(dtype), rows.to(dtype)
        if cosine:
            input, rows = normalize(input, dim=-1), normalize(rows, dim=-1)
        scores = input @ rows.T if rows.dim() == 2 else torch.einsum("bd,bnd->bn", input, rows)
        if bias is not None:
            scores = scores + bias.to(dtype)
        return scores / temperature


def class_rows(
    weight: Tensor, bias: Tensor | None, ids: Tensor, *, sparse: bool, named: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """(*ids, D) rows and (*ids,) biases, whose gradients are dense or sparse (C, D) and (C,) tensors.

    With `named`, shaped as ids and below 0 where an entry adds nothing, tables for which an optimizer asked for it are
    updated inside of backward instead, and get none.
    """
    if named is not None and are_updated(weight, bias):
        return UpdatedRows.apply(weight, bias, ids, named, sparse)
    rows = embedding(ids, weight, sparse=sparse) if sparse or not _is_narrow(weight) else _wide_rows(weight, ids)
    if bias is None:
        return rows, None
    if _is_narrow(bias) and not sparse:
        return rows, _wide_rows(bias[:, None], ids)[..., 0]
    return rows, torch.gather(bias, 0, ids.reshape(-1), sparse_grad=sparse).view(ids.shape)


def _is_narrow(table: Tensor) -> bool:
    return table.dtype.itemsize < 4


def _wide_rows(table: Tensor, ids: Tensor) -> Tensor:
    if in_transform() or goes_forward():  # which take no such function: by a wide copy of the table
        return embedding(ids, table.float())
    return _GatherNarrow.apply(table, ids)


class _GatherNarrow(torch.autograd.Function):
    """Rows of a table in half precision, in float32, whose gradients are added up in float32 and rounded once.

    Added up in bfloat16, the gradient of a class that a batch has thousands of times stops growing at 256 of them.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.table = weight.shape, weight.dtype
        return embedding(ids, weight).float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        shape, dtype = ctx.table
        rows = gradients[0].reshape(-1, shape[1])
        total = torch.zeros(shape, dtype=torch.float32, device=rows.device)
        return total.index_add(0, ids.reshape(-1), rows).to(dtype), None


def stand_in(targets: Tensor, ids: Tensor) -> Tensor:
    """`targets` with a class instead of IGNORED: every entry needs some row to point at.

    It is a class of the sample, where there is one: touching no other row keeps sparse gradients as small as they are.
    """
    some = ids.reshape(-1)[:1] if ids.numel() else ids.new_zeros(1)
    return torch.where(targets == IGNORED, some, targets)


def true_logits(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    targets: Tensor,  # (B, T), IGNORED allowed
    *,
    temperature: float | Tensor,
    cosine: bool,
) -> Tensor:  # (B, T)
    """F of the true classes; arbitrary where a target is IGNORED."""
    rows, biases = class_rows(weight, bias, stand_in(targets, targets.new_zeros(0)), sparse=False)
    return logits(input, rows, biases, temperature=temperature, cosine=cosine)


def chunks(num_rows: int, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """(first class, rows, biases) for consecutive chunks of the class weights, at most `chunk_logits` logits each."""
    most = chunk_logits(weight.device)
    # A graph for batches of any size has as many chunks as one row needs.
    size = most if is_exported() else max(1, most // max(1, num_rows))
    # split and not slices: the backward of a slice makes a (C, D) tensor a chunk, that of split one in all.
    biases = [None] * -(-weight.shape[0] // size) if bias is None else bias.split(size)
    for index, (rows, part) in enumerate(zip(weight.split(size), biases, strict=True)):
        yield index * size, rows, part


def reduce(losses: Tensor, is_true: Tensor, reduction: str, row_weight: Tensor | None = None) -> Tensor:
    """Losses (B,), each times its weight: as they are, summed, or their mean over the rows that have a true class.

    The mean divides by the sum of the weights of these rows; it is 0 where that is 0.
    """
    if row_weight is not None:
        row_weight = row_weight.to(losses.dtype)
        losses = losses * row_weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / mean_divisor(is_true, row_weight)


def mean_divisor(is_true: Tensor, row_weight: Tensor | None) -> Tensor:
    """What the sum of losses is divided by for their mean: rows that have a true class, or the sum of their weights.

    Example:
        >>> mean_divisor(torch.tensor([[True, False], [False, False]]), None)
        tensor(1)
    """
    is_row = as_columns(is_true).any(dim=1)
    if row_weight is None:
        return is_row.sum().clamp(min=1)
    total = row_weight.where(is_row, 0.0).sum()
    return total.where(total > 0, 1.0)
