"""Kernels compiled for GPUs that are not there, and a table of what the compilers say of them.

    export TRITON_INTERPRET=0
    python tests/kernels/triton/ahead_of_time.py              what is compiled now, as lines of the table
    python tests/kernels/triton/ahead_of_time.py --write      the table written anew

A kernel is added by a case in `cases`, and `--write`. What changes in registers.tsv then shows in the diff; where it is
worse than before, say why in the commit. Arguments choose: `--quick` the cases of the default suite, `--target sm_90` a
target, `--kernel NAME` a kernel.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from logq.kernels.triton import (
    class_kernels,
    class_sums,
    flash_kernels,
    flash_pass,
    per_row_pass,
    shared_pass,
    triton_distinct,
    triton_draws,
    word2vec_kernel,
)
from logq.kernels.triton.launching import blocks_of_rows

TABLE: Final = Path(__file__).with_name("registers.tsv")
TOOLS: Final = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"

# ------------------------------------------------------------------------------------------------------------- targets


class Target(NamedTuple):
    """A GPU to compile for.

    Args:
        gpu: as Triton names it.
        traps: how kernels end there for an id that is out of range; see logq.kernels.triton.launching.
        shared: bytes of shared memory that a program may have.
        registers: that a thread may have.
    """

    gpu: GPUTarget
    traps: str
    shared: int
    registers: int


TARGETS: Final = {
    "sm_80": Target(GPUTarget("cuda", 80, 32), "ptx", 163 << 10, 255),
    "sm_90": Target(GPUTarget("cuda", 90, 32), "ptx", 227 << 10, 255),
    "sm_100": Target(GPUTarget("cuda", 100, 32), "ptx", 227 << 10, 255),
    "gfx942": Target(GPUTarget("hip", "gfx942", 64), "gcn", 64 << 10, 512),
}


class Usage(NamedTuple):
    """What a kernel takes on a GPU.

    Args:
        registers: of a thread; on AMD's, of vectors.
        spills: bytes that a thread keeps in memory, as it has too few registers.
        shared: bytes of shared memory of a program.
        wide: whether memory is read 16 bytes at a time.
        products: how many instructions of tensor cores are in the code: HGMMA, HMMA and their like.
        atomics: how many that add to memory in any order: RED, ATOM.
        traps: whether it ends for an id that is out of range.
    """

    registers: int
    spills: int
    shared: int
    wide: bool
    products: int
    atomics: int
    traps: bool


CODE: Final = {
    "cuda": {
        "wide": r"\bLDG(?:STS)?\.E\.[^ ]*(?:128|256)",
        "products": r"\b(?:HGMMA|HMMA|DMMA|UTC\w*MMA)\b",
        "atomics": r"\b(?:REDG?|ATOMG?)\b",
        "traps": r"\bBPT\.TRAP\b",
    },
    "hip": {
        "wide": r"\b(?:global|buffer)_load_dwordx4\b",
        "products": r"\bv_mfma_",
        "atomics": r"\b(?:global|buffer|flat)_atomic_",
        "traps": r"\bs_trap\b",
    },
}
"""What instructions look like."""

# --------------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    """A kernel at a size; its key in the table is what stands before `constants`, and the target.

    Args:
        kernel: a function of triton.jit.
        options: what tells the case from others of the kernel, in words; may be "".
        dim: D; 0 for a kernel that knows none.
        dtype: of the class weights, as Triton names it.
        constants: constexpr arguments, but for TRAPS; None for a pointer that is not given.
        warps: as for a launch.
        stages: as for a launch.
        types: of arguments, where they are not as TYPES has them.
        quick: whether the default suite compiles it for sm_90.
        targets: names of TARGETS.
    """

    kernel: Any
    options: str
    dim: int
    dtype: str
    constants: dict[str, Any] = field(repr=False)
    warps: int = 4
    stages: int = 3
    types: dict[str, str] = field(default_factory=dict)
    quick: bool = False
    targets: tuple[str, ...] = tuple(TARGETS)

    def key(self, target: str) -> tuple[str, ...]:
        """The first cells of its line in the table."""
        return self.kernel.__name__, self.options or "-", str(self.dim or "-"), self.dtype, target


STORED: Final = ("weight", "table")
"""Names of pointers to class weights, which have the dtype of the case."""

NUMBERS: Final = ("times", "lr", "weight_decay", "eps", "beta1", "beta2", "correction1", "correction2")
"""Of a rule."""

TYPES: Final = {
    **dict.fromkeys(["targets", "ids", "seed", "order", "ranks", "distinct", "recent", "num_recent"], "*i64"),
    **dict.fromkeys(["classes", "begins"], "*i32"),
    **dict.fromkeys(["num_classes", "num_sampled", "stride", "offset_stride", "size", "in_table"], "i32"),
    **dict.fromkeys(["num_ids", "per_row", "per_true", "num_rows", "per_split", "splits"], "i32"),
    **dict.fromkeys(["num_targets", "in_total", "first_row"], "i32"),
    **dict.fromkeys(["own_targets", "num_others", "tables", "inside", "places", "tries"], "*i64"),
    **dict.fromkeys([start + name for start in ("", "bias_") for name in NUMBERS], "fp64"),
    **dict.fromkeys(["per_temperature", "true_weight", "log_range", "shift"], "fp64"),
    "cells": "*i32",
}
"""Types of arguments by their names; all others are pointers to float32."""

ALIGNED: Final = ("stride",)
"""Numbers that are multiples of 16, as widths of tables are that are most used; so is what pointers point to."""


def cases() -> list[Case]:
    """Every kernel, at the sizes that are most used."""
    made = [*per_row_cases(), *class_cases(), *shared_cases(), *flash_cases(), *draw_cases()]
    return [*made, *word2vec_cases()]


GIVEN: Final = {"REAL": tl.float32, "GRADIENTS": True, "REMOVE_HITS": True, "excluded": None}
ONE_TRUE: Final = {"NUM_TRUE": 1, "TRUE_BLOCK": 1}


def per_row_cases() -> list[Case]:
    """The pass over samples of rows."""
    made: list[Case] = []
    for dim in (64, 128, 256, 1024):
        size = blocks_of_rows(dim, 20)
        shape = {"DIM": dim, "DIM_BLOCK": size.dim, "BLOCK": size.classes, "COSINE": False}
        for softmax in (True, False):
            for dtype in ("fp32", "bf16"):
                constants = {**GIVEN, **ONE_TRUE, **shape, "SOFTMAX": softmax}
                name = "softmax" if softmax else "logistic"
                quick = softmax and dim == 128
                made.append(
                    Case(per_row_pass.per_row_kernel, name, dim, dtype, constants, warps=size.warps, quick=quick)
                )
    return made


EACH: Final = "by a gradient"
"""Of class_kernel: updates of the rows of a gradient, which are summed already, and their ids not yet checked."""


def class_cases() -> list[Case]:
    """Sums over classes, put through the rules of optimizers."""
    none = dict.fromkeys(["rows", "ranks", "out", "out_bias", "distinct"])
    common = {"PIECE": class_sums.PIECE, "REAL": tl.float32}
    made = [
        Case(class_kernels.keys_kernel, "", 0, "fp32", {"BLOCK": class_sums.KEYS_AT_ONCE}, types={"keys": "*i32"}),
    ]

    def add(
        kind: str,
        dim: int,
        dtype: str,
        options: str = "",
        *,
        cosine: bool = False,
        random: bool = False,
        each: bool = False,
    ) -> None:
        shape = class_sums.shape_of_rows(dim)
        whole = cosine or kind == "rowwise_adagrad"
        constants = {
            **none,
            **common,
            **{"DIM": dim, "CHUNK": shape.chunk, "FEW": class_sums.FEW, "COSINE": cosine},
            **{"BY_CHUNKS": whole and dim > shape.chunk, "EACH": each, "BIASES": not each},
            **{"KIND": class_sums.KINDS[kind], "BIAS_KIND": class_sums.KINDS["adagrad"]},
            **{"ROUNDED": dtype if random else "", "BIAS_ROUNDED": ""},
        }
        if each:
            del constants["rows"]
        made.append(
            Case(
                class_kernels.class_kernel,
                " ".join(filter(None, [kind, options])),
                dim,
                dtype,
                constants,
                warps=shape.warps,
                types={"seed": "i64", "bias_seed": "i64"},
                quick=dim == 128,
            )
        )

    for dim in (64, 128, 256, 1024, 4096):
        for kind in class_sums.KINDS:
            if dim == 128 or kind in ("rowwise_adagrad", "adam"):
                add(kind, dim, "fp32")
    add("adagrad", 128, "fp32", "cosine", cosine=True)
    add("rowwise_adagrad", 4096, "fp32", "cosine", cosine=True)
    for dtype in ("bf16", "fp16"):
        add("adagrad", 128, dtype, "stochastic rounding", random=True)
    add("adagrad", 128, "fp32", EACH, each=True)
    for dim in (128, 1024):
        shape = class_sums.shape_of_rows(dim)
        constants = {**common, "rows": None, "DIM": dim, "CHUNK": shape.chunk, "MANY": shape.many, "BIASES": True}
        made.append(Case(class_kernels.pieces_kernel, "", dim, "fp32", constants, warps=shape.warps, quick=dim == 128))
    return made


def shared_cases() -> list[Case]:
    """What stands between the products of a shared sample, and of all classes."""
    made: list[Case] = []
    for softmax in (True, False):
        constants = {**GIVEN, **ONE_TRUE, "BLOCK": shared_pass.BLOCK, "SOFTMAX": softmax}
        name = "softmax" if softmax else "logistic"
        made.append(Case(shared_pass.tile_kernel, name, 0, "fp32", constants, quick=True))
        every = {**constants, "ids": None}
        made.append(Case(shared_pass.tile_kernel, f"{name}, all classes", 0, "fp32", every))
    return made


def flash_cases() -> list[Case]:
    """A shared sample, and all classes, on tensor cores."""
    made: list[Case] = []
    for dim in (64, 128, 256, 512):
        for softmax in (True, False):
            name = "softmax" if softmax else "logistic"
            options = {**ONE_TRUE, "DIM": dim, "SOFTMAX": softmax, "COSINE": False, "GRADIENTS": True}
            for dtype in ("bf16", "fp32"):
                shape = {**options, "REMOVE_HITS": True, "OWN_OFFSETS": False, "WIDENS": False, "excluded": None}
                shape |= {"PRODUCTS": {"bf16": tl.bfloat16, "fp32": tl.float32}[dtype], "BIASES": True, "RANGE": 1.0}
                shape |= {"PARTS": 2 if dtype == "bf16" else 1, "largest": None, "true_factors": None}
                for kernel in (flash_kernels.sample_kernel, flash_kernels.rows_kernel):
                    for target, capability in {"sm_80": 80, "sm_90": 90, "sm_100": 100, "gfx942": 0}.items():
                        kind = kernel.__name__.removesuffix("_kernel")
                        tiles = flash_pass.tiles_of(kind, dim, narrow=dtype == "bf16", capability=capability)
                        sizes = {"ROWS": tiles.rows, "CLASSES": tiles.classes, "DIM_BLOCK": tiles.dim}
                        made.append(
                            Case(
                                kernel,
                                name,
                                dim,
                                dtype,
                                {**shape, **sizes},
                                warps=tiles.warps,
                                stages=tiles.stages,
                                types={"input": f"*{dtype}"},
                                quick=softmax and dim == 128 and dtype == "bf16",
                                targets=(target,),
                            )
                        )
            ends = {**options, "DIM_BLOCK": dim}
            made.append(Case(flash_pass.end_kernel, name, dim, "bf16", ends, warps=1 if dim <= 128 else 4))
    return made


def draw_cases() -> list[Case]:
    """Draws, with their expected counts."""
    without = {
        "uniform": ["cells", "recent", "num_recent", "table", "num_others"],
        "log-uniform": ["cells", "recent", "num_recent", "table", "num_others"],
        "alias": ["recent", "num_recent", "num_others"],
        "learned": [],
    }
    made = [
        Case(
            triton_draws.next_seed_kernel, "folded", 0, "fp32", {"FOLDED": True}, types={"state": "*i64", "key": "i64"}
        ),
        Case(triton_distinct.inclusion_kernel, "", 0, "fp32", {"BLOCK": triton_distinct.BLOCK, "REAL": tl.float32}),
        Case(
            triton_distinct.places_kernel,
            "",
            0,
            "fp32",
            {"BLOCK": triton_distinct.COMPARED},
            types={"classes": "*i64", "number": "i32"},
        ),
    ]
    for number, (kind, nothing) in enumerate(without.items()):
        constants = {"KIND": number, "COUNTS": number, "REAL": tl.float32, **dict.fromkeys(nothing)}
        types = {"table": "*i64"} if kind == "learned" else {}
        quick = kind == "alias"
        tables = {**constants, "SLOTS": 1 << 15, "outside": None}
        block, filled = triton_distinct.NUMBERED, triton_distinct.FILL_BLOCK
        made += [
            Case(
                triton_draws.draw_kernel,
                kind,
                0,
                "fp32",
                {**constants, "BLOCK": triton_draws.BLOCK},
                types=types,
                quick=True,
            ),
            Case(
                triton_distinct.fill_kernel,
                kind,
                0,
                "fp32",
                {**tables, "BLOCK": filled},
                warps=filled // 64,
                quick=quick,
            ),
            Case(
                triton_distinct.number_kernel,
                f"{kind}, few",
                0,
                "fp32",
                {**tables, "BLOCK": 64, "FILLS": True},
                warps=1,
                types=types,
                quick=quick,
            ),
            Case(
                triton_distinct.number_kernel,
                f"{kind}, many",
                0,
                "fp32",
                {**tables, "BLOCK": block, "FILLS": False},
                warps=16,
                types=types,
            ),
        ]
    return made


def word2vec_cases() -> list[Case]:
    """word2vec, with the precision of products that torch asks for by default, and with TF32."""
    types = {
        **dict.fromkeys(["words", "places", "sentences", "reaches", "bounds", "columns"], "*i32"),
        **dict.fromkeys(["rate_start", "rate_slope", "rate_floor"], "fp32"),
        **{"cells": "*i64", "totals": "*fp64", "num_words": "i32", "seed": "i64", "position": "i64"},
    }
    nvidia = tuple(name for name, target in TARGETS.items() if target.gpu.backend == "cuda")
    amd = tuple(name for name in TARGETS if name not in nvidia)
    made = [
        Case(
            word2vec_kernel.columns_kernel,
            "k 5",
            0,
            "fp32",
            {"NEGATIVES": 5, "BLOCK": word2vec_kernel.BLOCK},
            types=types,
            quick=True,
        )
    ]
    sizes = [(dim, 5, 5, True, "tf32x3") for dim in (64, 100, 128, 256, 304)]
    sizes += [(128, 5, 5, False, "tf32x3"), (128, 5, 5, True, "tf32"), (128, 10, 5, True, "tf32x3")]
    sizes += [(128, 5, 20, True, "tf32x3"), (128, 5, 5, True, "ieee")]
    for dim, window, negatives, skip_gram, precision in sizes:
        tile = word2vec_kernel.tile_for(window, negatives, dim)
        constants = {
            **{"WINDOW": window, "NEGATIVES": negatives, "SKIP_GRAM": skip_gram, "MEAN": True, "STRIDE": dim},
            **{"CENTERS": tile.centers, "ROWS": tile.rows, "COLUMNS": tile.columns, "WIDTH": tile.width},
            "PRECISION": precision,
        }
        name = f"{'skip-gram' if skip_gram else 'CBOW'}, window {window}, k {negatives}, {precision}"
        kernel, quick = word2vec_kernel.word2vec_kernel, (dim, window, negatives, precision) == (128, 5, 5, "tf32x3")
        targets = amd if precision == "ieee" else nvidia
        if tile.columns >= 64:  # where sm_100 has another kind of products, whose code has traps of its own
            targets = tuple(name for name in targets if name != "sm_100")
        made.append(
            Case(kernel, name, dim, "fp32", constants, tile.warps, 1, types, quick=quick and skip_gram, targets=targets)
        )
    return made


# ------------------------------------------------------------------------------------------------------------ compiling


def compiled(case: Case, target: Target) -> Any:
    """A case as Triton compiles it, in a process without its interpreter."""
    names: list[str] = case.kernel.arg_names
    constants = {name: value for name, value in {**case.constants, "TRAPS": target.traps}.items() if name in names}
    types = {**TYPES, **dict.fromkeys(STORED, f"*{case.dtype}"), **case.types}
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in names}
    aligned = {
        (at,): [["tt.divisibility", 16]]
        for at, name in enumerate(names)
        if signature[name].startswith("*") or (name in ALIGNED and name not in constants)
    }
    source = ASTSource(
        fn=case.kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs=aligned,
    )
    options = {"num_warps": case.warps, "num_stages": case.stages}
    return triton.compile(source, target=target.gpu, options=options)


def usage_by(made: Any, target: Target) -> Usage:
    """What the compilers say of a kernel."""
    if target.gpu.backend == "cuda":
        usage, code = disassembled(made.asm["cubin"])
        registers, spills = (int(number) for number in found(r"REG:(\d+) STACK:(\d+)", usage))
    else:
        code = made.asm["amdgcn"]
        (registers,) = (int(number) for number in found(r"\.vgpr_count: +(\d+)", code))
        (spills,) = (int(number) for number in found(r"\.private_segment_fixed_size: +(\d+)", code))
    counts = {name: len(re.findall(pattern, code)) for name, pattern in CODE[target.gpu.backend].items()}
    return Usage(
        registers,
        spills,
        made.metadata.shared,
        counts["wide"] > 0,
        counts["products"],
        counts["atomics"],
        counts["traps"] > 0,
    )


def unguarded(code: str) -> list[str]:
    """Numbers that all threads read and one of them writes, without a barrier right before it."""
    read = set(re.findall(r"tt\.load (%\w+)[^:\n]*: !tt\.ptr", code))
    lines = code.splitlines()
    stores = [(re.search(r"tt\.store (%\w+),[^:]*: !tt\.ptr", line), before) for before, line in pairwise(lines)]
    racing = [store[1] for store, before in stores if store and store[1] in read and "barrier" not in before]
    return [f"{name} is written while other threads may read it" for name in racing]


def disassembled(cubin: bytes) -> tuple[str, str]:
    """What NVIDIA's tools say a kernel uses, and its code."""

    def run(tool: str, *arguments: str) -> str:
        return subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True, check=True).stdout

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        return run("cuobjdump", "-res-usage", file.name), run("nvdisasm", file.name)


def found(pattern: str, text: str) -> tuple[str, ...]:
    """The groups of the first match."""
    match = re.search(pattern, text)
    assert match, text
    return match.groups()


# ----------------------------------------------------------------------------------------------------------- the table

HEAD: Final = ("kernel", "options", "D", "dtype", "target", *Usage._fields)
Table = dict[tuple[str, ...], Usage]


def line_of(key: tuple[str, ...], usage: Usage) -> str:
    """A line of the table."""
    return "\t".join([*key, *(("no", "yes")[cell] if isinstance(cell, bool) else str(cell) for cell in usage)])


def usage_of(line: str) -> tuple[tuple[str, ...], Usage]:
    """A line of the table read."""
    cells = line.split("\t")
    *key, registers, spills, shared, wide, products, atomics, traps = cells
    numbers = int(registers), int(spills), int(shared)
    return tuple(key), Usage(*numbers, wide == "yes", int(products), int(atomics), traps == "yes")


def stated() -> tuple[str, Table]:
    """The version of Triton that the table was written by, and the table."""
    version, _, *lines = TABLE.read_text().splitlines()
    return version.removeprefix("# triton "), dict(map(usage_of, lines))


REGISTERS_MORE: Final = 8
"""Registers that a thread may take beyond what is stated, which are how they are counted out."""


def complaints(table: Table) -> list[str]:
    """What is worse in a table than what GPUs have and, by the same version of Triton, than what is stated."""
    version, before = stated()
    if version != triton.__version__:
        before = {}
    return [f"{' '.join(key)}: {what}" for key, now in table.items() for what in worse(key, now, before.get(key))]


def worse(key: tuple[str, ...], now: Usage, before: Usage | None) -> list[str]:
    """What is worse of one kernel."""
    target = TARGETS[key[-1]]
    said: list[str] = []
    if now.registers > target.registers:
        said.append(f"{now.registers} registers, of {target.registers}")
    if now.shared > target.shared:
        said.append(f"{now.shared} bytes of shared memory, of {target.shared}")
    if before is None:
        return said
    if now.registers > before.registers + REGISTERS_MORE:
        said.append(f"{now.registers} registers, not {before.registers}")
    if now.spills > before.spills:
        said.append(f"{now.spills} bytes spilled, not {before.spills}")
    if now.shared > before.shared:
        said.append(f"{now.shared} bytes of shared memory, not {before.shared}")
    if before.wide and not now.wide:
        said.append("memory is not read 16 bytes at a time any more")
    if before.products and not now.products:
        said.append("products do not run on tensor cores any more")
    if now.atomics > before.atomics:
        said.append(f"{now.atomics} atomics, not {before.atomics}")
    if before.traps and not now.traps:
        said.append("ids are not checked any more")
    return said


def main() -> None:
    """Compile what is asked for; print it, and what is wrong with it, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--kernel", action="append", help="default: all")
    parser.add_argument("--quick", action="store_true", help="the cases of the default suite")
    parser.add_argument("--write", action="store_true", help="write the table, with what was not asked for as it was")
    asked = parser.parse_args()
    chosen = {
        case.key(target): (case, TARGETS[target])
        for case in cases()
        for target in case.targets
        if target in (asked.target or TARGETS)
        and case.kernel.__name__ in (asked.kernel or [case.kernel.__name__])
        and (case.quick or not asked.quick)
    }
    table: Table = {}
    said: list[str] = []
    for key, (case, target) in chosen.items():
        made = compiled(case, target)
        said += [f"{' '.join(key)}: {what}" for what in unguarded(made.asm["ttir"])]
        table[key] = usage_by(made, target)
        print(line_of(key, table[key]), flush=True)
    if not asked.write:
        sys.exit("\n".join(said + complaints(table)) or None)
    before = stated()[1] if TABLE.exists() else {}
    every = (case.key(target) for case in cases() for target in case.targets)
    lines = [line_of(key, {**before, **table}[key]) for key in every if key in table or key in before]
    TABLE.write_text("\n".join([f"# triton {triton.__version__}", "\t".join(HEAD), *lines, ""]))


if __name__ == "__main__":
    main()
