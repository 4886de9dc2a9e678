"""How kernels are launched: where, and in blocks of which size.

Sizes are chosen here, by shapes and types alone: nothing is tuned while a program runs, so that its first step is as
fast as any other and the order of sums is always the same.
"""

from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["TYPES", "RowBlocks", "blocks_of_rows", "launch", "traps"]

TYPES: Final = {torch.float32: tl.float32, torch.float64: tl.float64}
"""What kernels compute in."""

REGISTERS = 4096
"""Numbers of the table that a program holds at a time."""


class RowBlocks(NamedTuple):
    """How many rows of a table a program holds at a time, how wide they are, and by how many warps.

    Args:
        classes: rows of the table.
        dim: their width, a power of 2.
        warps: of 32 threads.
    """

    classes: int
    dim: int
    warps: int


def blocks_of_rows(dim: int, number: int) -> RowBlocks:
    """The blocks in which rows of width `dim` are gathered, where a program reads that many.

    Example:
        >>> blocks_of_rows(dim=100, number=20)
        RowBlocks(classes=32, dim=128, warps=4)
    """
    width = triton.next_power_of_2(dim)
    classes = min(32, triton.next_power_of_2(max(1, number)), max(1, REGISTERS // width))
    return RowBlocks(classes, width, max(1, min(8, classes * width // 1024)))


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Launch a Triton kernel on the device of its first argument, a tensor."""
    first: Tensor = arguments[0]
    if first.device.type == "cpu":  # in Triton's interpreter
        kernel[grid](*arguments, **options)
        return
    with torch.get_device_module(first.device).device(first.device):
        kernel[grid](*arguments, **options)


def traps() -> bool:
    """Whether kernels can end with an error of the device: Triton's interpreter knows no assembly."""
    return not triton.knobs.runtime.interpret
