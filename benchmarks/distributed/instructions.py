"""Instructions and bytes of a step with a sharded table, as the same batch is divided over more processes.

    python benchmarks/distributed/instructions.py --classes 200_000 --sampled 512 --steps 1

Valgrind's callgrind counts the instructions of each process, which other programs do not change, from the first to the
last of some steps (`callgrind_control`): rows to the queries, Adagrad, whose states are as large as the rows. Valgrind
knows no AVX-512. A step of W processes takes what the busiest one computes, and its messages, whose bytes are counted
beside.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bytes_and_times import measured, versions_of
from machine import description


def work(task: dict[str, int]) -> None:
    """Steps of one of the processes, which tells callgrind when to count."""
    import torch
    from worker import counts_of

    from logq.distributed import ShardedClassTable, Stratified
    from logq.nn import SampledSoftmaxLoss
    from logq.optim import Adagrad
    from logq.process_start import all_values, join
    from logq.processes import traffic, world
    from logq.samplers import Unigram

    torch.set_num_threads(1)
    join()
    here, counts = world(), counts_of(task["classes"])
    table = ShardedClassTable(task["classes"], task["dim"], partial(Adagrad, lr=0.05), plan="rows", progress=False)
    loss = SampledSoftmaxLoss(table, Stratified(Unigram(counts, task["sampled"], power=0.75, seed=1)))
    generator = torch.Generator().manual_seed(1)
    rows = task["batch"] // here.size
    own = slice(here.rank * rows, (here.rank + 1) * rows)
    sent = 0
    for number in range(1 + task["steps"]):  # the first one is not counted
        targets = torch.multinomial(counts, task["batch"], True, generator=generator)[own]
        queries = torch.randn(task["batch"], task["dim"], generator=generator)[own]
        if here.size > 1:
            torch.distributed.barrier()
        if number == 1:
            subprocess.run(["callgrind_control", "-i", "on", str(os.getpid())], check=True, capture_output=True)
        with traffic() as counted:
            loss(queries, targets).backward()
            table.step()
        sent += counted.bytes_sent if number else 0
    subprocess.run(["callgrind_control", "-i", "off", str(os.getpid())], check=True, capture_output=True)
    every = all_values({"sent": sent / task["steps"]}, "compare bytes")
    if here.is_first:
        print(json.dumps({"sent": max(one["sent"] for one in every)}))


def counted(folder: Path) -> list[int]:
    """The instructions that callgrind counted in each process."""
    found: list[int] = []
    for path in folder.glob("counts.*"):
        totals = [line for line in path.read_text().splitlines() if line.startswith(("summary:", "totals:"))]
        found.append(max(int(line.split()[1]) for line in totals))
    return found


def main() -> None:
    """Count, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], metavar="W")
    parser.add_argument("--classes", type=int, default=1_000_000, metavar="C")
    parser.add_argument("--dim", type=int, default=64, metavar="D")
    parser.add_argument("--batch", type=int, default=4096, metavar="B", help="queries of all processes together")
    parser.add_argument("--sampled", type=int, default=4096, metavar="S", help="negatives of all processes together")
    parser.add_argument("--steps", type=int, default=3, help="that are counted")
    asked = parser.parse_args()
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is missing, which counts instructions")
    task = {name: getattr(asked, name) for name in ("classes", "dim", "batch", "sampled", "steps")}
    versions = versions_of(sys.executable, ["torch"])
    print(description("benchmarks/distributed/instructions.py", versions, "instructions, not seconds"))
    print(f"C = {asked.classes:,}, D = {asked.dim}, B = {asked.batch:,} and S = {asked.sampled:,} of all processes.\n")
    print("| processes | million instructions a step, most of a process | against one | bytes a process sends |")
    print("|---|---|---|---|")
    least = 0.0
    for size in asked.processes:
        with tempfile.TemporaryDirectory() as folder:
            before = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no"]
            before += [f"--callgrind-out-file={folder}/counts.%p", sys.executable]
            found = measured(size, before, task, program=Path(__file__).name, folder="work")
            most = max(counted(Path(folder))) / task["steps"] / 1e6
        least = least or most
        print(f"| {size} | {most:,.1f} | {most / least:.2f} x | {found['sent']:,.0f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[2:] == ["work"]:
        work(json.loads(sys.argv[1]))
    else:
        main()
