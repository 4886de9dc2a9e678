"""Tensors as the arrays that compiled code takes: no copy, no gradient, half precision as its bits."""

from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "ClassTable",
    "array",
    "class_table",
    "contiguous_in",
    "has_memory",
    "maybe_array",
    "maybe_in",
    "running",
]

BITS = {torch.bfloat16, torch.float16}

SIMD = "auto"
"""The set of instructions that compiled code uses; one of `logq.kernels._native.simd_levels()` instead of the best."""


class Running(TypedDict):
    """How compiled code runs."""

    threads: int
    simd: str


def running() -> Running:
    """On as many threads as torch uses, with the best instructions there are.

    Example:
        >>> running()["simd"]
        'auto'
    """
    return {"threads": torch.get_num_threads(), "simd": SIMD}


def has_memory() -> bool:
    """Whether tensors lie in memory of their own: inside of the transforms of torch.func they do not.

    Example:
        >>> has_memory()
        True
    """
    return not torch._C._are_functorch_transforms_active()  # pyright: ignore[reportPrivateUsage]


def array(tensor: Tensor) -> "np.ndarray[Any, Any]":
    """A contiguous CPU tensor as a numpy array over the same memory; bfloat16 and float16 as int16.

    Example:
        >>> array(torch.ones(2, dtype=torch.bfloat16)).dtype
        dtype('int16')
    """
    return (tensor.view(torch.int16) if tensor.dtype in BITS else tensor).numpy()


def maybe_array(tensor: Tensor | None) -> "np.ndarray[Any, Any] | None":
    """The same for a tensor that may be missing."""
    return None if tensor is None else array(tensor)


def contiguous_in(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    """A tensor in a dtype, contiguous and without its history; itself where it is so already.

    Example:
        >>> contiguous_in(torch.float32, torch.ones(2, 3, dtype=torch.float16).T).stride()
        (2, 1)
    """
    return tensor.detach().to(dtype).contiguous()


def maybe_in(dtype: torch.dtype, tensor: Tensor | None) -> Tensor | None:
    """The same for a tensor that may be missing."""
    return None if tensor is None else contiguous_in(dtype, tensor)


class ClassTable(NamedTuple):
    """A class table as compiled code takes it, and the classes that are asked of it."""

    weight: Tensor  # (C, D)
    stored: str  # its dtype by name
    targets: Tensor
    ids: Tensor


def class_table(weight: Tensor, targets: Tensor, ids: Tensor, dtype: torch.dtype) -> ClassTable:
    """The class table, contiguous and in a dtype that is computed with in `dtype`.

    Compiled code reads rows of any dtype and computes with them in float32, or rows in float64 in float64. Other
    pairs are rare: then the rows that are named are copied, and numbered anew.

    Example:
        >>> table = class_table(torch.ones(9, 1), torch.tensor([[7]]), torch.tensor([3]), torch.float64)
        >>> table.weight.shape, table.stored, table.targets, table.ids
        (torch.Size([2, 1]), 'float64', tensor([[1]]), tensor([0]))
    """
    weight, targets, ids = weight.detach(), targets.contiguous(), ids.contiguous()
    if (dtype is torch.float64) != (weight.dtype is torch.float64) or not weight.is_contiguous():
        is_class = targets >= 0
        named, places = torch.cat([targets[is_class], ids.reshape(-1)]).unique(return_inverse=True)
        weight = weight.index_select(0, named).to(dtype)
        of_targets, of_ids = places.split([places.numel() - ids.numel(), ids.numel()])
        targets = targets.masked_scatter(is_class, of_targets)
        ids = of_ids.reshape(ids.shape)
    return ClassTable(weight, str(weight.dtype).removeprefix("torch."), targets, ids)
