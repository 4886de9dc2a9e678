"""DTensors, of which each process holds a part: parameters under FSDP2 and tensor parallelism, and their states.

The rules of the optimizers look at a number or at a row alone, so each process updates the part that it holds. Nothing
here loads torch.distributed.tensor before there is a DTensor.
"""

import sys
from typing import Any

import torch
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim
from logq.kernels.tensor_memory import prefer_huge_pages
from logq.kernels.updates import real_dtype
from logq.tracing import DTENSORS, is_sharded

__all__ = ["copy_state", "local", "new_state", "world_size"]


def world_size() -> int:
    """How many processes train together by torch.distributed; 1 without it.

    Example:
        >>> world_size()
        1
    """
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def local(tensor: Any, parameter: Any = None) -> Tensor:
    """The part of a DTensor that this process holds, as memory to write to; any other tensor itself.

    Args:
        tensor: without history.
        parameter: whose part of a gradient or a state is wanted, where those may be placed in another way.

    Example:
        >>> local(torch.ones(2))
        tensor([1., 1.])
    """
    if not is_sharded(tensor):
        return tensor
    if parameter is not None and tensor.placements != parameter.placements:
        tensor = tensor.redistribute(parameter.device_mesh, parameter.placements)
    part = tensor.to_local()
    return part.wait() if hasattr(part, "wait") else part  # what is still on its way


def new_state(parameter: Any, *, by_row: bool) -> Tensor:
    """Room for a state of a parameter, with anything in it and placed as the parameter is.

    Args:
        parameter: dense or a DTensor.
        by_row: whether the state is one number a row.

    Raises:
        ValueError: it is, and no process has a whole row.

    Example:
        >>> new_state(torch.zeros(3, 2, dtype=torch.float16), by_row=True).shape
        torch.Size([3])
    """
    shape, dtype = parameter.shape[:1] if by_row else parameter.shape, real_dtype(parameter.dtype)
    if not is_sharded(parameter):
        state = torch.empty(shape, dtype=dtype, device=parameter.device)
        prefer_huge_pages(state)
        return state
    if not by_row:
        return torch.zeros_like(parameter.detach(), dtype=dtype)
    for placement in parameter.placements:
        if not placement.is_replicate() and not (placement.is_shard() and placement.dim == 0):
            raise ArgumentError(
                "params",
                "whole rows in each process, by Shard(0) or Replicate()",
                Verbatim(f"a DTensor placed by {placement}"),
                "Adagrad needs no whole rows",
            )
    part = local(parameter.detach())
    return sys.modules[DTENSORS].DTensor.from_local(
        part.new_empty(part.shape[:1], dtype=dtype),
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=shape,
        stride=(1,),
    )


def copy_state(state: Any, saved: Any) -> Tensor:
    """Copy a saved state into one of the same shape, whichever of the two are DTensors; returns `state`.

    Example:
        >>> copy_state(torch.empty(2), torch.ones(2))
        tensor([1., 1.])
    """
    if is_sharded(state) and not is_sharded(saved):
        saved = sys.modules[DTENSORS].distribute_tensor(saved.to(state.device), state.device_mesh, state.placements)
    elif is_sharded(saved) and not is_sharded(state):
        saved = saved.full_tensor()
    local(state).copy_(local(saved, state))
    return state
