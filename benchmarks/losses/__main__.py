"""A training step over a class table, by logq and by everybody else: forward, backward and update, side by side.

    python benchmarks/losses                                     the goals, some ten minutes
    python benchmarks/losses --tensorflow ../tf/bin/python -o results.md
    python benchmarks/losses --all --case nce "C=1,000,000" --only logq "PyTorch, sparse" --no-memory
    python benchmarks/losses --scale 0.01 --repeat 1             to try it out

Contestants take their steps in turn, on the same numbers, over several rounds; the table has medians, ratios, the
distance to the machine's floor, and the peak memory of a step. benchmarks/README.md says what each of them is.
"""

import argparse
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

PARTS = ("steps", "growth", "end-to-end")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/losses", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="every size and objective, which takes hours")
    parser.add_argument("--case", nargs="+", default=[], metavar="TEXT", help="cases whose title has all of these")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="contestants that begin like one of these"
    )
    parser.add_argument("--tensorflow", metavar="PYTHON", help="a Python that has tensorflow")
    parser.add_argument("--rechub", metavar="PYTHON", help="a Python that has torch-rechub")
    parser.add_argument(
        "--distribution", choices=["uniform", "log-uniform"], default="uniform", help="of targets and samples"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="of everybody")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="turns of each (default 5)")
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="X", help="classes, batch and samples X times as many"
    )
    parser.add_argument("--no-compiled", action="store_true", help="no torch.compile, which takes seconds a case")
    parser.add_argument("--no-memory", action="store_true", help="no peak memory, which takes a process for each")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="steps, cost against C, YoutubeDNN")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the tables there, as Markdown")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.repeat < 1 or not 0 < arguments.scale <= 10:
        parser.error("--threads and --repeat must be positive, --scale in (0, 10]")
    for option, package in (("tensorflow", "tensorflow"), ("rechub", "torch_rechub")):
        python = getattr(arguments, option)
        if python is not None and not has(python, package):
            parser.error(f"--{option}: {python} has no {package}")
    return arguments


def has(python: str, package: str) -> bool:
    """Whether an interpreter finds a package, without loading it."""
    if shutil.which(python) is None:
        return False
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def main() -> None:
    arguments = parse()
    # Before torch is loaded: its threads, and those of the processes started from here.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # for machine.py
    import end_to_end
    import growth
    import one_case
    import torch
    from machine import description, load, threads_and_turns
    from report import of_case, of_goals
    from workloads import GOALS, grid

    torch.set_num_threads(arguments.threads)
    gc.freeze()  # what was imported stays, and need not be looked through between turns
    begins = tuple(name.lower() for name in arguments.only)
    kinds = tuple(kind for kind in one_case.EVERYBODY if not begins or kind.name.lower().startswith(begins))
    if arguments.no_compiled:
        kinds = tuple(kind for kind in kinds if "compiled" not in kind.name)
    if not kinds:
        names = [kind.name for kind in one_case.EVERYBODY]
        raise SystemExit(f"--only: expected names among {names}, got {arguments.only}")

    def say(line: str) -> None:
        print(f"  [load {load()}] {line}", file=sys.stderr, flush=True)

    options = one_case.Options(
        kinds,
        arguments.tensorflow,
        arguments.threads,
        arguments.repeat,
        not arguments.no_memory,
        arguments.scale,
        say,
    )
    goals = [
        goal._replace(case=goal.case.scaled(arguments.scale)._replace(distribution=arguments.distribution))
        for goal in GOALS
    ]
    cases = [goal.case for goal in goals]
    if arguments.all:
        cases += [case.scaled(arguments.scale)._replace(distribution=arguments.distribution) for case in grid()]
    cases = [case for case in dict.fromkeys(cases) if all(text in str(case) for text in arguments.case)]
    if arguments.case and not cases:
        raise SystemExit(f"--case: no case has {arguments.case} in its title")
    versions = {"torch": torch.__version__, **one_case.versions(arguments.tensorflow, "tensorflow")}
    versions |= one_case.versions(arguments.rechub, "torch_rechub")
    parts = [description("benchmarks/losses", versions, threads_and_turns(arguments.threads, arguments.repeat))]

    def add(part: str) -> None:
        parts.append(part)
        print(part, flush=True)
        if arguments.output:
            arguments.output.write_text("\n".join(parts))

    print(parts[0])
    results = []
    for case in cases if "steps" in arguments.parts else ():
        results.append(one_case.run(case, options))
        add(of_case(results[-1]))
    if "growth" in arguments.parts and not arguments.case and any(kind.stands_for == "ours" for kind in kinds):
        add(growth.measure(options))
    if "end-to-end" in arguments.parts and not arguments.case:
        add(end_to_end.measure(options, arguments.rechub))
    if summary := of_goals(goals, results, kinds):
        add(summary)


if __name__ == "__main__":
    main()
