"""Typical trouble: what keeps logq from working, or makes it slow, with what to do about it."""

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from logq._progress import format_bytes
from logq._project import page, requirements

__all__ = ["CHECKS", "Trouble", "find_troubles"]

_SHARED = Path("/dev/shm")
_LEAST_SHARED = 64 << 20
_PATIENCE = 120  # seconds, where twelve are usual
_FAMILIES = {"libiomp": "Intel's", "libomp": "LLVM's", "libgomp": "GNU's"}
_LIBRARIES = ("torch", "sklearn", "faiss")  # which bring an OpenMP along


class Trouble(NamedTuple):
    """Something that is in the way.

    Args:
        level: "error" for what a plain user cannot do without, "warning" for what goes wrong or slowly elsewhere.
        what: is the matter.
        remedy: what to do.

    Example:
        >>> Trouble("warning", "the disk is full", "make room").level
        'warning'
    """

    level: Literal["error", "warning"]
    what: str
    remedy: str


def find_troubles() -> list[Trouble]:
    """Return all that is found, errors first."""
    found = [trouble for check in CHECKS for trouble in check()]
    return sorted(found, key=lambda trouble: trouble.level != "error")


def too_old() -> Iterator[Trouble]:
    """Packages that every installation needs, and that are missing or older than wanted."""
    for needed in requirements():
        try:
            here = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            yield Trouble("error", f"{needed.name} is not installed", f"pip install '{needed.name}{needed.versions}'")
            continue
        if not needed.is_met_by(here):
            what = f"{needed.name} {here} is older than what logq calls ({needed.versions})"
            yield Trouble("error", what, f"pip install '{needed.name}{needed.versions}'")


def core_is_missing() -> Iterator[Trouble]:
    """The compiled core, of sources that were put on the path without being built, or for another Python."""
    try:
        importlib.import_module("logq.kernels._native")
        return
    except ImportError as error:
        reason = " ".join(str(error).split())
    home = Path(__file__).parents[1]
    built = [file.name for file in (home / "kernels").glob("_native*") if file.suffix in (".so", ".pyd")]
    if built:
        what = f"the compiled core does not load ({', '.join(built)}): {reason}"
        yield Trouble("error", what, "install logq for this Python: pip install --force-reinstall --no-deps logq")
    else:
        what = f"the compiled core is not in {home}: word vectors, draws and losses on a CPU need it"
        remedy = f"pip install . in the sources, which needs a C++17 compiler; see {page('CONTRIBUTING.md')}"
        yield Trouble("error", what, remedy)


def several_installations() -> Iterator[Trouble]:
    """A command `logq` of another Python than this one."""
    command = shutil.which("logq")
    if command is None:
        remedy = f"{sys.executable} -m logq does the same; or put {Path(sys.executable).parent} on the PATH"
        yield Trouble("warning", "the command logq is not on the PATH", remedy)
        return
    if Path(command).resolve().parent != Path(sys.executable).parent.resolve() and not _runs(command, sys.executable):
        what = f"the command logq on the PATH is {command}, of another Python than {sys.executable}"
        yield Trouble("warning", what, "activate the environment that you mean")


def cuda_without_a_card() -> Iterator[Trouble]:
    """PyTorch for CUDA, gigabytes of it, where there is no GPU that it can use."""
    torch = _imported("torch")
    if torch is not None and torch.version.cuda and not torch.cuda.is_available():
        what = f"torch {torch.__version__} is built for CUDA, and sees no GPU"
        remedy = "without a GPU the CPU build takes a tenth of the disk, see pytorch.org; with one, look at its driver"
        yield Trouble("warning", what, remedy)


def unwritable() -> Iterator[Trouble]:
    """Folders that have to take files: temporary ones, and caches."""
    try:
        _try_to_write(Path(tempfile.gettempdir()))
    except OSError as error:
        remedy = "set TMPDIR to a folder that takes files"
        yield Trouble("error", f"no temporary file can be written ({error})", remedy)
    for variable, usual, purpose in (
        ("HF_HOME", "~/.cache/huggingface", "models of the hub (hf://user/name)"),
        ("TRITON_CACHE_DIR", "~/.triton", "kernels for GPUs"),
    ):
        if variable == "TRITON_CACHE_DIR" and not _has_gpu():
            continue
        folder = Path(os.environ.get(variable) or usual).expanduser()
        there = next((one for one in (folder, *folder.parents) if one.exists()), None)
        try:
            _try_to_write(there or folder)
        except OSError as error:
            what = f"{folder} cannot be written, where {purpose} are kept ({error.strerror or error})"
            yield Trouble("warning", what, f"set {variable} to a folder that takes files")


def little_shared_memory() -> Iterator[Trouble]:
    """A /dev/shm of a container, which processes that train together, and workers that load data, talk through."""
    try:
        size = os.statvfs(_SHARED)
    except (AttributeError, OSError):
        return
    total = size.f_blocks * size.f_frsize
    if total <= _LEAST_SHARED:
        what = f"{_SHARED} has {format_bytes(total)}: several processes and DataLoader workers end with a bus error"
        yield Trouble("warning", what, "give the container more: docker run --shm-size=8g")


def threads() -> Iterator[Trouble]:
    """More threads than cores."""
    from logq._machine import available_cores

    asked, cores = os.environ.get("OMP_NUM_THREADS", ""), available_cores()
    if asked.isdigit() and int(asked) > cores:
        what = f"OMP_NUM_THREADS is {asked}, and this process may use {cores} cores"
        yield Trouble("warning", what, f"OMP_NUM_THREADS={cores}, or unset it")


def two_openmps() -> Iterator[Trouble]:
    """OpenMP libraries of two makers in one process, which can end it, or leave it waiting."""
    code = f"""
import importlib.util, os, re, sys
for name in {_LIBRARIES!r}:
    if importlib.util.find_spec(name):
        __import__(name)
try:
    from threadpoolctl import threadpool_info
    found = [one["filepath"] for one in threadpool_info() if one["user_api"] == "openmp"]
except ImportError:
    found = []
    if os.path.exists("/proc/self/maps"):
        found = re.findall(r"(/\\S*lib[gi]?omp\\S*)", open("/proc/self/maps").read())
print("\\n".join(sorted(set(found))))
"""
    here = [name for name in _LIBRARIES if find_spec(name)]
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        what = f"a process that imports {', '.join(here)} is not done after {_PATIENCE} seconds"
        remedy = "if the machine was not busy, install one of them anew: two OpenMP libraries wait for each other"
        yield Trouble("warning", what, remedy)
        return
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        what = f"a process that imports {', '.join(here)} ends with {done.returncode}: {last}"
        yield Trouble("warning", what, "install one of them anew; two OpenMP libraries are often why")
        return
    makers = makers_of(done.stdout.split("\n"))
    if len(makers) > 1:
        files = ", ".join(file for several in makers.values() for file in several)
        what = f"{' and '.join(makers)} OpenMP are loaded into one process: {files}"
        yield Trouble("warning", what, "take packages from one source, all by pip or all by conda")


def makers_of(files: list[str]) -> dict[str, list[str]]:
    """The makers of OpenMP libraries, with their files.

    Example:
        >>> makers_of(["/a/torch.libs/libgomp-a34b.so.1", "/b/libomp.dylib", ""])
        {"LLVM's": ['/b/libomp.dylib'], "GNU's": ['/a/torch.libs/libgomp-a34b.so.1']}
    """
    found = {
        maker: [file for file in files if os.path.basename(file).startswith(prefix)]
        for prefix, maker in _FAMILIES.items()
    }
    return {maker: several for maker, several in found.items() if several}


CHECKS: tuple[Callable[[], Iterator[Trouble]], ...] = (
    too_old,
    core_is_missing,
    several_installations,
    cuda_without_a_card,
    unwritable,
    little_shared_memory,
    threads,
    two_openmps,
)
"""What is looked for. A new check is a function, and its name here."""


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception:  # whatever is wrong with it is said elsewhere
        return None


def _has_gpu() -> bool:
    torch = _imported("torch")
    return torch is not None and torch.cuda.is_available()


def _runs(command: str, python: str) -> bool:
    """Whether a script starts with this Python.

    Pythons of two environments are links to one file, so that the folders count in which they lie.
    """
    try:
        with open(command, "rb") as file:
            first = file.readline(1024).decode("utf-8", "replace")
    except OSError:
        return False
    named = first[2:].strip().split(" ")[0]
    return first.startswith("#!") and os.path.realpath(os.path.dirname(named)) == os.path.realpath(
        os.path.dirname(python)
    )


def _try_to_write(folder: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=".logq-", dir=folder)
    os.close(handle)
    os.unlink(name)
