"""How kernels are launched: where, in blocks of which size, and how they end where an id is out of range.

Sizes are chosen here, by shapes and types alone: nothing is tuned while a program runs, so that its first step is as
fast as any other and the order of sums is always the same.
"""

import functools
from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = [
    "TYPES",
    "RowBlocks",
    "blocks_of_rows",
    "capability",
    "launch",
    "least_capability",
    "multiprocessors",
    "product_precision",
    "readable",
    "trap_if",
    "traps",
]

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


def traps() -> str:
    """How kernels end for an id that is out of range, which their argument TRAPS says.

    "ptx" and "gcn": by an instruction of NVIDIA's and AMD's GPUs. "interpreter": by an error of Triton's interpreter.
    "assert", for any other GPU: by an assertion of Triton's, which is there with TRITON_DEBUG=1 alone.
    """
    if triton.knobs.runtime.interpret:
        return "interpreter"
    if torch.version.hip:
        return "gcn"
    return "ptx" if torch.version.cuda else "assert"  # what torch is made for: nobody is asked at each launch


@triton.jit
def trap_if(wrong, TRAPS: tl.constexpr):
    """End the kernel with an error of the device, as torch's own kernels do for an index out of range."""
    if TRAPS == "interpreter":
        tl.static_assert(wrong == 0, "a class id is out of range")  # its device_assert does nothing
    elif TRAPS == "assert":
        tl.device_assert(wrong == 0, "a class id is out of range")
    elif wrong:
        if TRAPS == "ptx":
            tl.inline_asm_elementwise("trap; mov.u32 $0, 0;", "=r", [], dtype=tl.int32, is_pure=False, pack=1)
        else:
            tl.inline_asm_elementwise("s_trap 2\nv_mov_b32 $0, 0", "=v", [], dtype=tl.int32, is_pure=False, pack=1)


def capability(device: torch.device) -> int:
    """What a GPU of NVIDIA's can do, such as 90; 0 for another.

    Example:
        >>> capability(torch.device("cpu"))
        0
    """
    if device.type != "cuda" or torch.version.hip is not None:
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


@functools.cache
def least_capability() -> int:
    """The capability of the oldest GPU that is here; 0 without one, and for those of other makers.

    Example:
        >>> least_capability() >= 0
        True
    """
    if not torch.cuda.is_available():
        return 0
    return min(capability(torch.device("cuda", index)) for index in range(torch.cuda.device_count()))


def multiprocessors(device: torch.device) -> int:
    """How many programs of a kernel a device runs side by side at least.

    Example:
        >>> multiprocessors(torch.device("cpu"))  # of the interpreter
        1
    """
    if device.type == "cpu":
        return 1
    properties: Any = torch.get_device_module(device).get_device_properties(device)
    return int(getattr(properties, "multi_processor_count", 0) or getattr(properties, "gpu_subslice_count", 1))


def product_precision() -> str:
    """What torch is set to make of products of float32: "highest", "high" (TF32 may be taken) or "medium".

    Example:
        >>> product_precision()
        'highest'
    """
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # torch.backends.cuda.matmul.fp32_precision was set, which that function refuses to read
        return "high" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "highest"


def readable(table: Tensor) -> Tensor:
    """A table as kernels read it: the numbers of a row one after the other. One that lies otherwise is copied.

    Example:
        >>> readable(torch.ones(3, 2).t()).stride()
        (3, 1)
    """
    return table if table.stride(1) == 1 else table.contiguous()
