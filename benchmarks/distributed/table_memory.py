"""Memory of a step with a sharded table that is larger than memory: its rows lie in files.

    python benchmarks/distributed/table_memory.py FOLDER                  # 26 GB in FOLDER, emptied again
    python benchmarks/distributed/table_memory.py FOLDER --classes 1_000_000

W processes train a ShardedClassTable(file=...), each with its own targets, for some steps. What a step takes is memory
that belongs to no file (RssAnon of Linux), at its peak, less that before the steps. The formula counts what a step
holds at once: rows, biases and log Q of the classes asked for and of the sample, and queries, in as many copies as
COPIES says. Runs differ by a tenth, as allocators keep now more, now less.
"""

import argparse
import ctypes
import json
import shutil
import sys
import threading
import time
from functools import partial
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bytes_and_times import measured, versions_of
from machine import description

COPIES = 7
"""Of the rows of a step, in backward: as they came, their gradients as the loss makes them, one for each row, in the
order of their owners, as they come back, and what allocators keep. By 16,384 and 65,536 negatives it is 6.9."""


def anonymous() -> int:
    """Bytes of this process that belong to no file."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("RssAnon"))
    return int(line.split()[1]) << 10


def give_back() -> None:
    """Return what was freed to the operating system, as it would serve the steps unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def read_of_disk() -> int:
    """Bytes that this process had the operating system read from disks."""
    line = next(one for one in Path("/proc/self/io").read_text().splitlines() if one.startswith("read_bytes"))
    return int(line.split()[1])


class Peak:
    """The most that `anonymous` says while a block runs, looked at every millisecond."""

    def __enter__(self) -> "Peak":
        self.most, self._ended = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.001):
            self.most = max(self.most, anonymous())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def one_of_several(task: dict[str, int], folder: str) -> None:
    """Train, and print what the first process found."""
    from logq.distributed import ShardedClassTable, Stratified
    from logq.nn import SampledSoftmaxLoss
    from logq.optim import RowWiseAdagrad
    from logq.process_start import all_values, join
    from logq.processes import world
    from logq.samplers import LogUniform

    torch.set_num_threads(1)
    join()
    num_classes, dim, batch, num_sampled = (task[name] for name in ("classes", "dim", "batch", "num_sampled"))

    began = time.monotonic()
    made = partial(RowWiseAdagrad, lr=0.1)
    table = ShardedClassTable(num_classes, dim, made, file=f"{folder}/table", plan="rows", progress=False)
    made_in = time.monotonic() - began
    sampler = Stratified(LogUniform(num_classes, num_sampled, seed=1))
    loss = SampledSoftmaxLoss(table, sampler)
    generator = torch.Generator().manual_seed(world().rank)
    query = torch.randn(batch, dim, generator=generator, requires_grad=True)
    before, read, computed, asked, seconds = 0, 0, 0.0, [0.0], [0.0]
    with Peak() as peak:
        for number in range(task["steps"]):
            targets = (num_classes ** torch.rand(batch, generator=generator).double()).long() - 1
            if number == 1:  # the first makes what stays, such as alias tables of the own classes
                give_back()
                before, read, computed = anonymous(), read_of_disk(), time.thread_time()
                peak.most = before
            began = time.monotonic()
            loss(query, targets).backward()
            table.step()
            query.grad = None
            if number:
                seconds.append(time.monotonic() - began)
                asked.append(len(targets.unique()))
    counted = len(seconds) - 1
    mean = sum(asked) / counted
    own = {"step": peak.most - before, "before": before, "asked": mean, "seconds": sum(seconds) / counted}
    own |= {"read": (read_of_disk() - read) / counted, "computed": (time.thread_time() - computed) / counted}
    every = all_values({**own, "made": made_in}, "compare memory")
    if world().is_first:
        print(json.dumps({key: max(one[key] for one in every) for key in every[0]}))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--classes", type=int, nargs="+", default=[100_000_000], metavar="C")
    parser.add_argument("--dim", type=int, default=64, metavar="D")
    parser.add_argument("--batch", type=int, default=4096, metavar="B", help="targets of each process")
    parser.add_argument("--num-sampled", type=int, default=16384, metavar="S")
    parser.add_argument("--processes", type=int, default=4, metavar="W")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    lines = [
        description("benchmarks/distributed/table_memory.py", versions_of(sys.executable, ["torch"])),
        f"{asked.processes} processes, D = {asked.dim}, B = {asked.batch:,} a process, S = {asked.num_sampled:,}, "
        "row-wise Adagrad; of the process that took most.",
        "",
        "| classes | GB in files | s to fill | MB before the steps | MB of a step | formula | MB read | CPU ms | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for classes in asked.classes:
        needed = classes * (asked.dim + 2) * 4
        asked.folder.mkdir(parents=True, exist_ok=True)
        folder = asked.folder / "sharded-table"
        if shutil.disk_usage(asked.folder).free < 1.2 * needed:
            raise SystemExit(f"{asked.folder}: expected {1.2 * needed / 1e9:.1f} GB of free disk")
        folder.mkdir()
        task = {name: getattr(asked, name) for name in ("dim", "batch", "num_sampled", "steps")} | {"classes": classes}
        try:
            found = measured(asked.processes, sys.executable, task, program=Path(__file__).name, folder=str(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        formula = COPIES * (found["asked"] + asked.num_sampled + asked.batch) * (asked.dim + 2) * 4
        lines.append(
            f"| {classes:,} | {needed / 1e9:.1f} | {found['made']:.0f} | {found['before'] / 1e6:.0f} "
            f"| {found['step'] / 1e6:.1f} | {formula / 1e6:.1f} | {found['read'] / 1e6:.1f} "
            f"| {1e3 * found['computed']:.0f} | {1e3 * found['seconds']:.0f} |"
        )
    text = "\n".join(lines)
    print(text)
    if asked.output is not None:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1].startswith("{"):
        one_of_several(json.loads(sys.argv[1]), sys.argv[2])
    else:
        main()
