"""Kernels compiled for a GPU that is not there, and what the compiler says of them."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


class Report(NamedTuple):
    """What a kernel takes.

    Args:
        registers: of a thread, 255 at most.
        spills: bytes a thread keeps in memory, as it has too few registers.
        shared: bytes of shared memory of a program.
        wide_loads: how many loads of 16 bytes are in the code.
    """

    registers: int
    spills: int
    shared: int
    wide_loads: int


def compiled(
    kernel: Any, types: dict[str, str], constants: dict[str, Any], capability: int, *, warps: int = 4
) -> Report:
    """Compile a kernel for a capability such as 90.

    Args:
        kernel: a function of triton.jit, in a process without Triton's interpreter.
        types: of the arguments that are not constants, such as "*fp32" and "i32".
        constants: constexpr arguments; None for a pointer that is not given.
        capability: of the GPU.
        warps: as for a launch.
    """
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    # As for memory of torch, and widths of tables that are multiples of 16.
    aligned = {
        (names.index(name),): [["tt.divisibility", 16]]
        for name in names
        if signature[name].startswith("*") or name == "stride"
    }
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs=aligned,
    )
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage = _run("cuobjdump", "-res-usage", file.name)
        code = _run("nvdisasm", file.name)
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found, usage
    return Report(int(found[1]), int(found[2]), made.metadata.shared, len(re.findall(r"LDG\.E\.[^ ]*128", code)))


def _run(tool: str, *arguments: str) -> str:
    return subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True, check=True).stdout


POINTERS = {
    **dict.fromkeys(["targets", "ids", "seed", "order", "classes", "starts", "number", "recent", "num_recent"], "*i64"),
    **dict.fromkeys(["num_classes", "num_sampled", "stride", "offset_stride", "size", "in_table"], "i32"),
    **dict.fromkeys(["num_ids", "per_row", "per_true"], "i32"),
    **dict.fromkeys(["lr", "weight_decay", "eps", "beta1", "beta2", "correction1", "correction2"], "fp64"),
    **dict.fromkeys(["per_temperature", "true_weight", "log_range"], "fp64"),
    "cells": "*i32",
    "of_table": "i64",
}
"""Types of arguments by their names; all others are pointers to float32."""


def report(name: str, kernel: Any, capability: int, constants: dict[str, Any], warps: int = 4, **types: str) -> Report:
    """Compile a kernel, print what it takes, and hold that to what a GPU has."""
    given = {argument: types.get(argument, POINTERS.get(argument, "*fp32")) for argument in kernel.arg_names}
    made = compiled(kernel, given, constants, capability, warps=warps)
    print(f"sm_{capability} {name}: {made}", flush=True)
    assert made.spills <= MOST_SPILLED, "registers spill"
    assert made.shared <= 48 << 10, "more shared memory than a program gets without asking"
    return made


MOST_SPILLED = 8
"""Bytes a thread: the compiler keeps a number in memory here and there."""


def main(capability: int, every: bool) -> None:
    """Compile the kernels at the sizes that are most used, or at all."""
    import triton.language as tl

    from logq.kernels.triton import class_sums, per_row_pass, shared_pass, triton_draws
    from logq.kernels.triton.launching import blocks_of_rows

    real = {"REAL": tl.float32, "GRADIENTS": True, "REMOVE_HITS": True, "excluded": None}
    one = {"NUM_TRUE": 1, "TRUE_BLOCK": 1}
    for dim in (64, 128, 256, 1024) if every else (128,):
        size = blocks_of_rows(dim, 20)
        shape = {"DIM": dim, "DIM_BLOCK": size.dim}
        for softmax in (True, False) if every else (True,):
            for storage in ("*fp32", "*bf16"):
                constants = {**real, **one, **shape, "BLOCK": size.classes, "SOFTMAX": softmax, "COSINE": False}
                constants["TRAPS"] = True
                name = f"per_row_kernel, {storage} of width {dim}, {'softmax' if softmax else 'logistic'}"
                kernel = per_row_pass.per_row_kernel
                made = report(name, kernel, capability, constants, size.warps, weight=storage)
                assert made.wide_loads, "rows of the table are not read 16 bytes at a time"
        for kind, number in class_sums.KINDS.items():
            constants = {**shape, "BLOCK": class_sums.ENTRIES_AT_ONCE, "COSINE": False, "TO_RUNS": False, "rows": None}
            constants |= {"UPDATES": True, "KIND": number, "MAXIMIZE": False, "REAL": tl.float32, "out": None}
            kernel = class_sums.class_kernel
            report(f"class_kernel, {kind} of width {dim}", kernel, capability, constants, 1 if dim <= 128 else 4)
    for softmax in (True, False):
        constants = {**real, **one, "BLOCK": shared_pass.BLOCK, "SOFTMAX": softmax}
        report(f"tile_kernel, {'softmax' if softmax else 'logistic'}", shared_pass.tile_kernel, capability, constants)
    for name in ("uniform_kernel", "log_uniform_kernel", "alias_kernel", "learned_kernel"):
        report(name, getattr(triton_draws, name), capability, {"BLOCK": triton_draws.BLOCK})


if __name__ == "__main__":
    main(int(sys.argv[1]), every="all" in sys.argv)
