"""Ids of classes as Chainer's callers have them: int32 arrays as often as int64 tensors."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from logq.arguments import is_tensor, shown

__all__ = ["as_ids"]


def as_ids(name: str, given: ArrayLike | Tensor, device: torch.device) -> Tensor:
    """Whole numbers in a tensor, an array or a list, as a new int64 tensor on a device.

    Raises:
        TypeError: they are no whole numbers; the message calls them `name`.

    Example:
        >>> as_ids("t", [[3, 1]], torch.device("cpu"))
        tensor([[3, 1]])
    """
    if is_tensor(given):
        if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
            raise TypeError(f"{name}: expected whole numbers, got dtype {given.dtype}")
        return given.detach().to(device, torch.int64, copy=True)
    try:
        array: np.ndarray[Any, Any] = np.asarray(given)
    except ValueError as error:  # lists of unequal length
        raise TypeError(f"{name}: expected an array of whole numbers, got {shown(given)} ({error})") from None
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected whole numbers, got dtype {array.dtype}")
    return torch.from_numpy(array.astype(np.int64)).to(device)
