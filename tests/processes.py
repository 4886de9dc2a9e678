"""A function or a program run by several processes that train together, for tests."""

import contextlib
import importlib
import os
import pickle
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessContext, start_processes


def together(function: Callable[..., Any], *arguments: Any, size: int = 2, seconds: float = 600) -> list[Any]:
    """What `function(*arguments)` returns in each of `size` processes of a gloo group, in the order of ranks.

    Args:
        function: at the top of a module that can be imported; it may use logq.processes.world().
        *arguments: what can be pickled.
        size: how many processes.
        seconds: after that time all processes are ended, and the test fails.
    """
    with TemporaryDirectory() as folder:
        context = start_processes(
            _run, args=(function, arguments, size, folder), nprocs=size, join=False, start_method="spawn"
        )
        assert isinstance(context, ProcessContext)
        try:
            ends = time.monotonic() + seconds
            while not context.join(timeout=1):  # raises what a process raised
                if time.monotonic() > ends:
                    raise TimeoutError(f"{size} processes are not done after {seconds:g} seconds")
        finally:
            for process in context.processes:
                if process is not None:
                    process.kill()
        return [pickle.loads(Path(folder, str(rank)).read_bytes()) for rank in range(size)]


@contextlib.contextmanager
def doubles() -> Generator[None, None, None]:
    """A block in which torch's default dtype is float64, as in processes that one is compared with."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def programs(code: str, *words: object, size: int = 2, **variables: str) -> list[subprocess.Popen[str]]:
    """Start a program once for each of `size` ranks, with the variables of torchrun; the caller ends them.

    Args:
        code: of Python.
        *words: what follows in sys.argv.
        size: how many processes.
        **variables: of the environment.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": path, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def ends(started: list[subprocess.Popen[str]], seconds: float = 120) -> list[tuple[int, str, str]]:
    """Exit codes, output and errors of programs; all of them are ended after that time, or if one fails here."""
    try:
        outputs = [program.communicate(timeout=seconds) for program in started]
    finally:
        for program in started:
            program.kill()
            program.wait()
    return [(program.returncode, *output) for program, output in zip(started, outputs, strict=True)]


def _run(rank: int, function: Callable[..., Any], arguments: tuple[Any, ...], size: int, folder: str) -> None:
    torch.set_num_threads(1)
    importlib.import_module("torch.distributed.nn.functional")  # before there is a group, which it would keep
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    try:
        found = function(*arguments)
    except BaseException:
        traceback.print_exc()
        raise
    Path(folder, str(rank)).write_bytes(pickle.dumps(found))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # A DeviceMesh keeps its group, one thread of which may free a tensor while Python ends, and so abort the process.
    os._exit(0)
