"""A class table that is a file: what steps with a memory-mapped parameter cost, and the more so as pages are missing.

    python benchmarks/losses/mapped.py FOLDER                             a table of 2.6 GB on FOLDER's disk
    python benchmarks/losses/mapped.py FOLDER --resident 1 .5 0 --adagrad --law log-uniform

A machine whose memory holds a part F of the table finds a page there with probability F, if classes are drawn
uniformly. So before each step every page that it will touch is evicted with probability 1 - F, once it is clean: no
machine with little memory is needed, and no other program is squeezed. The files are removed afterwards.
docs/large-tables.md says what came out and what it means. Linux.
"""

import argparse
import gc
import mmap
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from contestants import InThisProcess
from numbers_in_torch import Batch, Problem
from numbers_of_cases import batches
from workloads import RATE, Case

from logq.candidates import Candidates
from logq.functional import sampled_loss

PAGE = mmap.PAGESIZE


class Mapped(NamedTuple):
    """A float32 tensor on a file."""

    file: int
    map: mmap.mmap
    tensor: torch.Tensor

    @classmethod
    def make(cls, path: Path, rows: int, dim: int) -> "Mapped":
        """A hole, which reads as zeros and takes disk space only where it is written."""
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, 4 * rows * dim)
        mapped = mmap.mmap(file, 4 * rows * dim)
        return cls(file, mapped, torch.from_numpy(np.frombuffer(mapped, np.float32)).view(rows, dim))

    def flush(self) -> None:
        """Write what was changed, and wait until the disk has it."""
        self.map.flush()
        os.fsync(self.file)

    def evict(self, pages: np.ndarray) -> None:
        """Take clean pages out of this process and out of the page cache."""
        for page in pages.tolist():
            length = min(PAGE, len(self.map) - page * PAGE)
            self.map.madvise(mmap.MADV_DONTNEED, page * PAGE, length)
            os.posix_fadvise(self.file, page * PAGE, PAGE, os.POSIX_FADV_DONTNEED)

    def pages(self, ids: torch.Tensor) -> np.ndarray:
        """The pages that rows lie on."""
        row = 4 * self.tensor.shape[1]
        first = ids.unique().numpy() * row // PAGE
        last = (ids.unique().numpy() * row + row - 1) // PAGE
        return np.unique(np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]))


class Account(NamedTuple):
    """What the kernel counted up to now."""

    seconds: float
    faults: int
    read: int
    written: int

    @classmethod
    def now(cls) -> "Account":
        io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        return cls(time.perf_counter(), faults, int(io["read_bytes"]), int(io["write_bytes"]))


@contextmanager
def stage(what: str) -> Iterator[None]:
    """A line of the table: seconds, page faults that waited for a disk, megabytes read and written."""
    before = Account.now()
    yield
    seconds, faults, read, written = (b - a for a, b in zip(before, Account.now(), strict=True))
    print(f"| {what} | {seconds:,.2f} | {faults:,} | {read / 1e6:,.0f} | {written / 1e6:,.0f} |", flush=True)


def fill(table: torch.Tensor) -> None:
    """Random numbers, a part at a time."""
    generator, at_once = torch.Generator().manual_seed(1), max(1, (1 << 22) // table.shape[1])
    for part in table.split(at_once):
        part.uniform_(-0.5, 0.5, generator=generator)


def training(case: Case, table: torch.Tensor, sums: torch.Tensor | None, made: list[Batch]) -> InThisProcess:
    """The loss with sparse gradients, and SGD or, with `sums`, Adagrad."""
    weight = torch.nn.Parameter(table)
    assert weight.data_ptr() == table.data_ptr()
    optimizer: torch.optim.Optimizer = torch.optim.SGD([weight], lr=RATE)
    if sums is not None:
        # Made for a small stand-in first: the constructor would fill a tensor as large as the table in memory.
        stand_in = torch.nn.Parameter(torch.zeros(1, 1))
        optimizer = torch.optim.Adagrad([stand_in], lr=RATE)
        step = optimizer.state.pop(stand_in)["step"]
        optimizer.param_groups[0]["params"] = [weight]
        optimizer.state[weight] = {"step": step, "sum": sums}

    def compute(weight: torch.Tensor, batch: Batch) -> torch.Tensor:
        candidates = Candidates(batch.ids, batch.log_q, batch.targets, batch.true_log_q)
        return sampled_loss(case.objective, batch.input, weight, candidates, sparse=True)

    return InThisProcess(Problem(case, weight, made), compute, weight, optimizer)


def steps(training: InThisProcess, files: list[Mapped], resident: float, first: int, count: int) -> None:
    """A line for some steps with that part of the pages in memory: what a step and what writing it back takes."""
    random = np.random.default_rng(first)
    taken, flushed, faults, touched = [], [], 0, 0
    for index in range(first, first + count):
        batch = training.problem.batches[index]
        for mapped in files:
            pages = mapped.pages(torch.cat([batch.targets, batch.ids]))
            touched += len(pages)
            mapped.evict(pages[random.random(len(pages)) >= resident])
        before = Account.now()
        taken.append(training.seconds(index))
        faults += Account.now().faults - before.faults
        start = time.perf_counter()
        for mapped in files:
            mapped.flush()  # an evicted page must be clean
        flushed.append(time.perf_counter() - start)
    middle, most, flush = (1e3 * value for value in (statistics.median(taken), max(taken), statistics.median(flushed)))
    pages = f"{touched / count:,.0f} | {faults / count:,.0f}" if files else " | "
    written = f"{flush:,.1f}" if files else ""
    name = f"{100 * resident:.0f} %" if files else "an ordinary tensor"
    print(f"| {name} | {middle:,.1f} | {most:,.1f} | {pages} | {written} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--classes", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--sampled", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=20, help="for each line")
    parser.add_argument("--law", choices=["uniform", "log-uniform"], default="uniform")
    parser.add_argument("--resident", type=float, nargs="+", default=[1.0, 0.9, 0.5, 0.0], metavar="F")
    parser.add_argument("--adagrad", action="store_true", help="instead of SGD, its state in a file too")
    parser.add_argument("--read-ahead", action="store_true", help="leave the kernel's reading ahead as it is")
    options = parser.parse_args()
    table_bytes = 4 * options.classes * options.dim
    if (2 + options.adagrad) * table_bytes > 0.9 * shutil.disk_usage(options.folder).free:
        parser.error(f"folder: {(2 + options.adagrad) * table_bytes / 1e9:.1f} GB are wanted on its disk")
    shape = (options.classes, options.dim)
    case = Case("sampled_softmax", True, *shape, options.batch, options.sampled, law=options.law)
    case = case._replace(optimizer="adagrad" if options.adagrad else "sgd")
    made = [Batch(*map(torch.from_numpy, batch)) for batch in batches(case, options.steps)]
    for batch in made:
        batch.input.requires_grad_()
    print(f"{case}, table {table_bytes / 1e9:.2f} GB\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print("| | seconds | faults from disk | MB read | MB written |\n| --- | ---: | ---: | ---: | ---: |")
        files = [Mapped.make(Path(name) / file, *shape) for file in ("table", "sums")[: 1 + options.adagrad]]
        with stage("random numbers into the table"):
            fill(files[0].tensor)
        with stage("flush of the whole table"):
            files[0].flush()
        with stage("checkpoint: a copy of the file, on the disk"):
            shutil.copyfile(Path(name) / "table", Path(name) / "copy")
            descriptor = os.open(Path(name) / "copy", os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        os.remove(Path(name) / "copy")
        if not options.read_ahead:
            for mapped in files:
                mapped.map.madvise(mmap.MADV_RANDOM)
        print("\n| pages in memory | ms a step | largest | pages | faults | ms to write back |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        trained = training(case, files[0].tensor, files[1].tensor if options.adagrad else None, made)
        steps(trained, files, 1.0, 0, min(3, options.steps))  # the first touch
        for resident in options.resident:
            steps(trained, files, resident, 0, options.steps)
        trained.close()
        ordinary = torch.empty(shape)
        fill(ordinary)
        trained = training(case, ordinary, torch.zeros(shape) if options.adagrad else None, made)
        steps(trained, [], 1.0, 0, min(3, options.steps))
        steps(trained, [], 1.0, 0, options.steps)
        del trained, files
        gc.collect()


if __name__ == "__main__":
    main()
