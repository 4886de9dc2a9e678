"""Gradients as rows: which rows of a parameter are touched, and by what."""

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim

__all__ = ["as_rows", "coalesced", "touched_rows"]


def touched_rows(gradient: Tensor) -> tuple[Tensor | None, Tensor]:
    """The ids (n,) of the rows that a gradient touches, distinct, or None for all; and the gradients (n, D) of these.

    Raises:
        TypeError: the gradient is neither strided nor a sparse COO tensor.
        ValueError: it is sparse in more dimensions than the first.
    """
    if gradient.layout == torch.strided:
        return None, as_rows(gradient)
    _check_sparse(gradient)
    ids, rows = gradient._indices()[0], gradient._values()
    rows = rows.reshape(len(ids), -1) if rows.numel() else rows.new_zeros(len(ids), gradient[0].numel())
    if gradient.is_coalesced() or _ascends(ids):
        return ids, rows
    return kernels.get("sum_rows", rows.device.type)(ids, rows)


def coalesced(gradient: Tensor) -> Tensor:
    """A sparse gradient with each row once, in ascending order; itself if it is so already.

    Raises:
        TypeError: the gradient is not a sparse COO tensor.
        ValueError: it is sparse in more dimensions than the first.
    """
    _check_sparse(gradient)
    if gradient.is_coalesced():
        return gradient
    ids, rows = touched_rows(gradient)
    assert ids is not None
    values = rows.view(len(ids), *gradient.shape[1:])
    return torch.sparse_coo_tensor(
        ids[None], values, gradient.shape, is_coalesced=True, check_invariants=False, requires_grad=False
    )


def as_rows(tensor: Tensor) -> Tensor:
    """A tensor as a table (C, D): its first dimension, and all others; a view where memory allows it."""
    if tensor.dim() == 0:
        return tensor.reshape(1, 1)
    return tensor if tensor.dim() == 2 else tensor.reshape(tensor.shape[0], tensor[:1].numel())


def _ascends(ids: Tensor) -> bool:
    # Autograd forgets that a gradient was coalesced when it makes it the .grad of a parameter; summing takes many times
    # as long as looking. Not on a GPU, which would have to wait.
    return ids.device.type == "cpu" and bool((ids[1:] > ids[:-1]).all())


def _check_sparse(gradient: Tensor) -> None:
    if gradient.layout != torch.sparse_coo:
        raise ArgumentTypeError(
            "gradient", "a dense tensor or a sparse COO tensor", Verbatim(f"layout {gradient.layout}")
        )
    if gradient.sparse_dim() != 1:
        found = Verbatim(f"{gradient.sparse_dim()} sparse dimensions")
        raise ArgumentError("gradient", "one sparse dimension and whole rows", found)
