"""A class table that is a file: what steps with a memory-mapped parameter cost, and the more so as pages are missing.

    python benchmarks/losses/mapped.py FOLDER                             a table of 2.6 GB on FOLDER's disk
    python benchmarks/losses/mapped.py FOLDER --resident 1 .5 0 --adagrad --distribution log-uniform

A machine whose memory holds a part F of the table finds a page there with probability F, if classes are drawn
uniformly. So all pages are evicted, and of those that the steps will touch a part F is read again: no machine with
little memory is needed, and no other program is squeezed. The files are removed afterwards.
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

    def evict(self) -> None:
        """Take all pages out of this process and out of the page cache; they must be clean for that."""
        self.flush()
        self.map.madvise(mmap.MADV_DONTNEED)
        os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)

    def load(self, pages: np.ndarray) -> None:
        """Read pages into the page cache."""
        for page in pages.tolist():
            os.pread(self.file, 1, page * PAGE)

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
        # Made for a small table first: the constructor would fill a tensor as large as the table in memory.
        stand_in = torch.nn.Parameter(torch.zeros(1, 1))
        optimizer = torch.optim.Adagrad([stand_in], lr=RATE)
        step = optimizer.state.pop(stand_in)["step"]
        optimizer.param_groups[0]["params"] = [weight]
        optimizer.state[weight] = {"step": step, "sum": sums}

    def compute(weight: torch.Tensor, batch: Batch) -> torch.Tensor:
        candidates = Candidates(batch.ids, batch.log_q, batch.targets, batch.true_log_q)
        return sampled_loss(case.objective, batch.input, weight, candidates, sparse=True)

    return InThisProcess(Problem(case, weight, made), compute, weight, optimizer)


def steps(training: InThisProcess, files: list[Mapped], resident: float) -> None:
    """A line: what steps take with that part of the pages in memory, and what writing them back takes."""
    random = np.random.default_rng(1)
    made = training.problem.batches
    touched = 0
    for mapped in files:
        mapped.evict()
        pages = [mapped.pages(torch.cat([batch.targets, batch.ids])) for batch in made]
        touched += sum(map(len, pages))
        every = np.unique(np.concatenate(pages))
        mapped.load(every[random.random(len(every)) < resident])
    before = Account.now()
    taken = [training.seconds(index) for index in range(len(made))]
    between = Account.now()
    for mapped in files:
        mapped.flush()
    after = Account.now()
    middle, most = 1e3 * statistics.median(taken), 1e3 * max(taken)
    if not files:
        print(f"| an ordinary tensor | {middle:,.1f} | {most:,.1f} | | | | |", flush=True)
        return
    counts = (touched, between.faults - before.faults, 1e3 * (after.seconds - between.seconds))
    per_step = " | ".join(f"{count / len(made):,.0f}" for count in counts)
    written = (after.written - before.written) / 1e6 / len(made)
    print(f"| {100 * resident:.0f} % | {middle:,.1f} | {most:,.1f} | {per_step} | {written:,.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--classes", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--sampled", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=20, help="for each line")
    parser.add_argument("--distribution", choices=["uniform", "log-uniform"], default="uniform")
    parser.add_argument("--resident", type=float, nargs="+", default=[1.0, 0.9, 0.5, 0.0], metavar="F")
    parser.add_argument("--adagrad", action="store_true", help="instead of SGD, its state in a file too")
    parser.add_argument("--read-ahead", action="store_true", help="leave the kernel's reading ahead as it is")
    options = parser.parse_args()
    table_bytes = 4 * options.classes * options.dim
    if (2 + options.adagrad) * table_bytes > 0.9 * shutil.disk_usage(options.folder).free:
        parser.error(f"folder: {(2 + options.adagrad) * table_bytes / 1e9:.1f} GB are wanted on its disk")
    shape = (options.classes, options.dim)
    case = Case("sampled_softmax", True, *shape, options.batch, options.sampled, distribution=options.distribution)
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
                os.posix_fadvise(mapped.file, 0, 0, os.POSIX_FADV_RANDOM)
        print("\nA step:\n\n| pages in memory | ms | largest | pages | faults | ms to write back | MB written |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        trained = training(case, files[0].tensor, files[1].tensor if options.adagrad else None, made)
        trained.step(0)  # loads what it loads
        for resident in options.resident:
            steps(trained, files, resident)
        trained.close()
        ordinary = torch.empty(shape)
        fill(ordinary)
        trained = training(case, ordinary, torch.zeros(shape) if options.adagrad else None, made)
        trained.step(0)
        steps(trained, [], 1.0)
        del trained, files
        gc.collect()


if __name__ == "__main__":
    main()
