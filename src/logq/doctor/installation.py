"""What is installed here: versions, the processor, the compiled core, GPUs, and which kernels run."""

import importlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any, NamedTuple

from logq._project import version

__all__ = ["Fact", "kernels_that_run", "versions"]


class Fact(NamedTuple):
    """Something that is so here, as text.

    Example:
        >>> Fact("Python", "3.11.7").name
        'Python'
    """

    name: str
    value: str


def versions() -> list[Fact]:
    """What is installed, as far as it can be told without an error; what is broken is said in its place."""
    import logq._project as project

    place = Path(project.__file__).parent
    facts = [
        Fact("logq", f"{version()} in {place}"),
        Fact("Python", f"{platform.python_version()} ({sys.executable})"),
        Fact("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        Fact("torch", _asked(_torch)),
        Fact("numpy", _asked(lambda: importlib.metadata.version("numpy"))),
        Fact("processor", _asked(_processor)),
        Fact("memory", _asked(_memory)),
        Fact("compiled core", _asked(_core)),
        Fact("GPU", _asked(_gpu)),
        Fact("triton", _asked(lambda: importlib.metadata.version("triton"))),
    ]
    return facts


def kernels_that_run() -> list[Fact]:
    """Which backend runs each loss on the devices that there may be, and which engine word2vec has."""
    asked = {"cpu": lambda: _kernels("cpu"), "cuda": _of_gpu, "word2vec": _engine}
    return [Fact(name, _asked(ask)) for name, ask in asked.items()]


def _asked(ask: Any) -> str:
    """The answer, or why there is none."""
    try:
        return str(ask())
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    except Exception as error:
        return f"not available: {type(error).__name__}: {' '.join(str(error).split())}"


def _torch() -> str:
    torch: Any = importlib.import_module("torch")
    cuda = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs"
    threads = torch.get_num_threads()
    return f"{torch.__version__}, {cuda}, {threads} thread{'' if threads == 1 else 's'}"


def _processor() -> str:
    from logq._machine import available_cores

    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {available_cores()} of {os.cpu_count()} cores for this process"


def _memory() -> str:
    from logq._machine import available_memory
    from logq._progress import format_bytes

    free = available_memory()
    return f"{format_bytes(int(free))} free" if free < float("inf") else "not known"


def _core() -> str:
    native: Any = importlib.import_module("logq.kernels._native")
    return f"{Path(native.__file__).name}, instructions {', '.join(native.simd_levels())}"


def _gpu() -> str:
    torch: Any = importlib.import_module("torch")
    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    mps = getattr(torch.backends, "mps", None)
    return "Apple's, as mps" if mps is not None and mps.is_available() else "none"


def _kernels(device: str) -> str:
    from logq.kernels.explanation import explain
    from logq.objectives import OBJECTIVES

    runs: dict[str, list[str]] = {}
    for name in OBJECTIVES:
        (choice,) = explain(name, device).values()
        runs.setdefault(choice.backend, []).append(name)
    return "; ".join(f"{backend}: {', '.join(names)}" for backend, names in runs.items())


def _of_gpu() -> str:
    torch: Any = importlib.import_module("torch")
    return _kernels("cuda") if torch.cuda.is_available() else "no such device"


def _engine() -> str:
    from logq.word2vec.word2vec import Word2Vec

    model = Word2Vec()
    called = {"fused": "compiled", "triton": "Triton", "plain": "plain PyTorch"}[model.engine_name]
    return f"the {called} engine" + (f", as {model.why_plain}" if model.why_plain else "")
