"""The peak memory of a step, each time in a process of its own.

A process that has loaded torch and run nothing makes a child for every question, which saves loading it again:

    python benchmarks/losses/memory.py THREADS      and then lines of JSON in: [case, name of the contestant]

answers how many bytes the resident set rises above what there is without any step: interpreter, libraries, batches,
class table. What the optimizer keeps from step to step is left out. -1 where it failed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

STEPS = 3


def measure(case: list, name: str, threads: int) -> int:
    """Bytes; see above."""
    import torch
    from contestants import KINDS
    from numbers_in_torch import problem
    from resident import Peak
    from workloads import Case

    torch.set_num_threads(threads)
    kind = next(kind for kind in KINDS if kind.name == name)
    chosen = Case(*case)
    if name.endswith("compiled"):
        contestant = kind.build(problem(chosen))
        contestant.loss(0)  # what compiling needs is not what a step needs
    else:
        # Once in small first: libraries load what they load, and threads start.
        kind.build(problem(chosen.scaled(0.01))).step(0)
        contestant = kind.build(problem(chosen))
    state = contestant.state_bytes()
    peak = Peak()
    for index in range(STEPS):
        contestant.step(index)
    return peak.bytes() - (contestant.state_bytes() - state)


class Questions:
    """The process that is asked; ends with the `with` block."""

    def __init__(self, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, case: list, name: str) -> int | None:
        """Bytes, or None where it failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([case, name]) + "\n")
        self.process.stdin.flush()
        answer = int(self.process.stdout.readline() or -1)
        return None if answer < 0 else answer

    def __enter__(self) -> "Questions":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.communicate()


def main() -> None:
    import contestants  # noqa: F401  loads torch, and must run nothing: threads do not survive a fork

    answers = os.dup(1)
    os.dup2(2, 1)
    for line in iter(sys.stdin.readline, ""):
        case, name = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                found = max(0, measure(case, name, int(sys.argv[1])))
                os.write(answers, f"{found}\n".encode())
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1]:
            os.write(answers, b"-1\n")


if __name__ == "__main__":
    main()
