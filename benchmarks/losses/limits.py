"""What this machine can do at most, measured in the same run: rows a second at random, and arithmetic."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from clock import seconds
from numbers_of_cases import empty

SOURCE = Path(__file__).with_name("limits.c")
REPEAT = 5
LARGEST = 1 << 29
"""Bytes of the table that rows are read from: several times the caches of a processor."""


class Limits(NamedTuple):
    """Bytes a second of rows at random, and operations a second of products; the best of REPEAT.

    Attributes:
        read: bytes read. Measured by loops in C with prefetching, or by torch's embedding_bag without a compiler.
        update: bytes read and bytes written, so each counts twice; measured by the same loops, or by index_add_.
        compute: multiplications and additions of float32, in a product of two square matrices.
    """

    read: float
    update: float
    compute: float
    by: str


@cache
def _compiled() -> ctypes.CDLL | None:
    compiler = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "limits.so"
        command = [compiler, "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", str(SOURCE), "-o", str(library)]
        if subprocess.run(command, capture_output=True).returncode:
            return None
        return ctypes.CDLL(str(library))


def _best(action: Callable[[], object]) -> float:
    return min(seconds(action) for _ in range(REPEAT))


@cache
def rows(dim: int, threads: int, scale: float) -> tuple[float, float, str]:
    """Bytes a second of rows of `dim` floats: read, and read and written. Also what measured it."""
    count = max(1000, round(LARGEST * min(1.0, scale) / 4 / dim))
    table = torch.from_numpy(empty(count, dim)).uniform_()
    orders = [torch.randperm(count)[: max(1, count // 4)] for _ in range(threads)]
    moved = sum(4 * dim * order.numel() for order in orders)
    library = _compiled() if dim % 16 == 0 else None
    if library is None:
        offsets = torch.arange(0, orders[0].numel(), 1024)
        read = _best(lambda: torch.nn.functional.embedding_bag(orders[0], table, offsets, mode="sum"))
        one = torch.zeros(1, dim).expand(orders[0].numel(), dim)
        update = _best(lambda: table.index_add_(0, orders[0], one))
        moved //= threads
        return moved / read, 2 * moved / update, "torch"

    def every_thread(name: str) -> None:
        def work(order: torch.Tensor) -> None:
            pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (table, order)]
            getattr(library, name)(*pointers, ctypes.c_int64(order.numel()), ctypes.c_int64(dim))

        list(pool.map(work, orders))

    with ThreadPoolExecutor(threads) as pool:
        return (
            moved / _best(lambda: every_thread("read_rows")),
            2 * moved / _best(lambda: every_thread("update_rows")),
            "C",
        )


@cache
def compute(scale: float) -> float:
    """Operations a second of a product of square matrices."""
    size = max(64, round(2048 * min(1.0, scale)))
    a, b, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    return 2 * size**3 / _best(lambda: torch.mm(a, b, out=out))


def limits(dim: int, threads: int, scale: float = 1.0) -> Limits:
    """Measure, once for each row length."""
    read, update, by = rows(dim, threads, scale)
    return Limits(read, update, compute(scale), by)
