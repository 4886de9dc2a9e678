"""Tensors as compiled code takes them: no copy, no gradient, half precision as its bits."""

from typing import Any, Final, NamedTuple, TypedDict

import torch
from torch import Tensor
from torch.utils.dlpack import to_dlpack  # pyright: ignore[reportPrivateImportUsage]

__all__ = [
    "ClassWeights",
    "array",
    "class_weights",
    "contiguous_in",
    "maybe_array",
    "maybe_in",
    "running",
    "side_by_side",
]

STORED: Final = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}
"""What a table may be stored as, by the names that compiled code has for it."""

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


def array(tensor: Tensor) -> Any:
    """A CPU tensor without history as compiled code takes it: its memory, in a DLPack capsule, to be used once.

    It is a third of the work of Tensor.numpy(), after which moreover no one could resize the storage, as FSDP does.

    Example:
        >>> array(torch.ones(2))
        <capsule object "dltensor" at ...>
    """
    # Memory of nothing has no address in torch, and stands for a missing array in compiled code.
    return to_dlpack(tensor) if tensor.numel() else tensor.numpy()


def maybe_array(tensor: Tensor | None) -> Any:
    """The same for a tensor that may be missing."""
    return None if tensor is None else array(tensor)


def contiguous_in(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    """A tensor in a dtype, contiguous and without its history; itself where it is so already.

    Example:
        >>> contiguous_in(torch.float32, torch.ones(2, 3, dtype=torch.float16).T).stride()
        (2, 1)
    """
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is not dtype:
        tensor = tensor.to(dtype)
    return tensor.contiguous()


def maybe_in(dtype: torch.dtype, tensor: Tensor | None) -> Tensor | None:
    """The same for a tensor that may be missing."""
    return None if tensor is None else contiguous_in(dtype, tensor)


def side_by_side(rows: Tensor) -> Tensor:
    """Rows (n, D) without their history, the numbers of each next to each other; a copy only if they are not.

    Example:
        >>> side_by_side(torch.ones(2, 3).T).stride()
        (2, 1)
    """
    rows = rows.detach()
    return rows if rows.shape[1] <= 1 or rows.stride(1) == 1 else rows.contiguous()


class ClassWeights(NamedTuple):
    """Class weights as compiled code takes them, and the classes that are asked of it."""

    weight: Tensor  # (C, D)
    stored: str  # its dtype by name
    targets: Tensor
    ids: Tensor

    @property
    def rows_of_targets(self) -> tuple[Any, str, Any]:
        """What compiled code takes that reads the rows of the targets; half precision as its bits."""
        weight = self.weight.view(torch.int16) if self.weight.dtype.itemsize == 2 else self.weight
        return array(weight), self.stored, array(self.targets)


def class_weights(weight: Tensor, targets: Tensor, ids: Tensor, dtype: torch.dtype) -> ClassWeights:
    """Class weights, contiguous and in a dtype that is computed with in `dtype`.

    Compiled code reads rows of any dtype and computes with them in float32, or rows in float64 in float64. Other
    pairs are rare: then the rows that are named are copied, and renumbered.

    Example:
        >>> table = class_weights(torch.ones(9, 1), torch.tensor([[7]]), torch.tensor([3]), torch.float64)
        >>> table.weight.shape, table.stored, table.targets, table.ids
        (torch.Size([2, 1]), 'float64', tensor([[1]]), tensor([0]))
    """
    weight, targets, ids = weight.detach(), targets.contiguous(), ids.contiguous()
    if (dtype is torch.float64) != (weight.dtype is torch.float64) or not weight.is_contiguous():
        is_class = targets >= 0
        named, positions = torch.cat([targets[is_class], ids.reshape(-1)]).unique(return_inverse=True)
        weight = weight.index_select(0, named).to(dtype)
        of_targets, of_ids = positions.split([positions.numel() - ids.numel(), ids.numel()])
        targets = targets.masked_scatter(is_class, of_targets)
        ids = of_ids.reshape(ids.shape)
    return ClassWeights(weight, STORED[weight.dtype], targets, ids)
