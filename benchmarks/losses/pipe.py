"""This side of a pipe to a contestant that lives in a process, and often an environment, of its own."""

import json
import os
import subprocess
from pathlib import Path

from workloads import Case

HERE = Path(__file__).parent
KNOWN_TO_TENSORFLOW = ("sgd", "adagrad", "adam")


class Peer:
    """A contestant whose steps another Python takes, one when it is asked.

    The program gets the case as JSON and the number of threads, says its version when it is ready, and answers lines
    "loss I" and "step I" with a number: a loss, and the seconds of a step by its own clock.
    """

    def __init__(self, python: str, program: str, case: Case, threads: int, *more: str) -> None:
        self.process = subprocess.Popen(
            [python, str(HERE / program), json.dumps(case), str(threads), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self.version = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        if line := self.process.stdout.readline().strip():
            return line
        _, errors = self.process.communicate()
        raise RuntimeError(f"its process ended with status {self.process.returncode}: {errors.strip()[-200:]}")

    def ask(self, request: str) -> float:
        """Send a line, wait for the number."""
        assert self.process.stdin is not None
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return float(self._line())

    def loss(self, index: int) -> float:
        return self.ask(f"loss {index}")

    def seconds(self, index: int) -> float:
        return self.ask(f"step {index}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.communicate()


def tensorflow(python: str, case: Case, threads: int) -> Peer:
    """TensorFlow's losses and optimizers.

    Raises:
        LookupError: it has no such optimizer.
    """
    if case.optimizer not in KNOWN_TO_TENSORFLOW:
        raise LookupError(f"tensorflow has no {case.optimizer.replace('_', '-')}")
    return Peer(python, "tensorflow_steps.py", case, threads)
