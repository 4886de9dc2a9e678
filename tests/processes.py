"""A function run by several processes that train together, for tests."""

import pickle
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessContext, start_processes


def together(function: Callable[..., Any], *arguments: Any, size: int = 2, seconds: float = 120) -> list[Any]:
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


def _run(rank: int, function: Callable[..., Any], arguments: tuple[Any, ...], size: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    try:
        found = function(*arguments)
    except BaseException:
        traceback.print_exc()
        raise
    Path(folder, str(rank)).write_bytes(pickle.dumps(found))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
