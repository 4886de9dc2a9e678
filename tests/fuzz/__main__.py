"""`make fuzz`: 100,000 damaged files of all formats, read in processes of their own with limits of memory and time.

    python tests/fuzz [--inputs N] [--jobs N] [--seed N] [--only FORMAT] [--one NUMBER]

Each input has to end with what is right, or with one error that names the file. What is counted as a fault: a process
that dies, one that takes more than 20 seconds, one that takes 3 GiB more, any other exception, and weights that are
read though the digest in the file is that of others. A fault is told with the format and the number that give it again.
"""

import argparse
import faulthandler
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

SECONDS = 20
MEMORY = 3 << 30
CHUNK = 2000  # inputs of a process, which takes some seconds to start


def try_inputs(name: str, seed: int, numbers: list[int]) -> None:
    """Damage and read; print a line before each input, and one for each fault."""
    import torch
    from formats import FORMATS
    from mutations import damage

    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)  # which says where it hangs, and lets the signal end the process
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = FORMATS[name]
    with tempfile.TemporaryDirectory() as base:
        whole, folder = Path(base, "whole"), Path(base, "damaged")
        whole.mkdir()
        chosen.make(whole)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        for number in numbers:
            rng = random.Random(f"{name} {seed} {number}")
            shutil.copytree(whole, folder)
            told = damage(folder, chosen.damaged, rng)
            print(f"at {number}", flush=True)
            signal.alarm(SECONDS)  # the default action ends the process, whatever it is doing
            fault = read(chosen, folder, told)
            signal.alarm(0)
            if fault:
                print(f"fault {number} {fault}", flush=True)
            shutil.rmtree(folder, ignore_errors=True)


def read(chosen, folder: Path, told: bool) -> str | None:
    from logq._arguments import BadArgumentError
    from logq.cli.terminal.errors import BadInputError

    try:
        chosen.use(folder)
    except (ValueError, OSError, MemoryError, BadArgumentError, BadInputError) as error:
        said = str(error)
        known = isinstance(error, OSError) and error.errno is not None
        # Weights may be finite, and what is computed from them not.
        overflow = isinstance(error, FloatingPointError) or (isinstance(error, BadArgumentError) and "finite" in said)
        # A corpus is the argument "source", whatever files it is of.
        names = str(folder) in said or overflow or getattr(error, "name", "") == "source"
        if known or names:
            return None
        return "unnamed " + last(error)
    except FloatingPointError:
        return None
    except Exception as error:
        return "raw " + last(error)
    return "accepted weights that the digest tells from those written" if told else None


def last(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/logq/" in frame.filename][-2:]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(ours))
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]} ({places})"


def run_chunk(name: str, seed: int, numbers: list[int]) -> list[str]:
    """Try inputs in a process of their own, and go on behind one that ends it."""
    found: list[str] = []
    while numbers:
        command = [sys.executable, __file__, "--child", name, str(seed), ",".join(map(str, numbers))]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        at = None
        for line in done.stdout.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "at":
                at = int(rest)
            elif kind == "fault":
                found.append(f"{name} {rest}")
        if done.returncode == 0:
            return found
        if at is None:
            return [*found, f"{name} cannot be made: {done.stderr[-500:]}"]
        how = "hang" if done.returncode == -signal.SIGALRM else f"process ended with {done.returncode}"
        found.append(f"{name} {at} {how}: {' '.join(done.stderr.split())[-1000:]}")
        numbers = numbers[numbers.index(at) + 1 :]
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--exactly", action="store_true", help="--only has whole names of formats, separated by commas")
    parser.add_argument("--one", type=int)
    parser.add_argument("--child", nargs=3)
    typed = parser.parse_args()
    if typed.child:
        name, seed, numbers = typed.child
        try_inputs(name, int(seed), [int(number) for number in numbers.split(",")])
        return 0
    from formats import FORMATS

    asked = typed.only.split(",")
    names = [name for name in FORMATS if (name in asked if typed.exactly else typed.only in name)]
    if typed.one is not None:
        print("\n".join(run_chunk(names[0], typed.seed, [typed.one])))
        return 0
    share = typed.inputs / sum(FORMATS[name].weight for name in names)
    chunks: list[tuple[str, list[int]]] = []
    for name in names:
        count = round(share * FORMATS[name].weight)
        chunks += [(name, list(range(at, min(at + CHUNK, count)))) for at in range(0, count, CHUNK)]
    began, faults, done = time.monotonic(), 0, 0
    with ThreadPoolExecutor(typed.jobs) as pool:
        work = {pool.submit(run_chunk, name, typed.seed, numbers): len(numbers) for name, numbers in chunks}
        for one in as_completed(work):
            for fault in one.result():
                faults += 1
                print(fault, flush=True)
            done += work[one]
    print(f"{done:,} inputs of {len(names)} formats, {faults} faults, {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
