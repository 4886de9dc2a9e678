"""The backends by name, and which of them runs an op. Loads neither torch nor a backend until an op is asked for."""

import pkgutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, Protocol

from logq._arguments import ArgumentError
from logq.kernels.fallback import Case

__all__ = [
    "BACKENDS",
    "OPS",
    "AnyBackend",
    "BuiltIn",
    "active",
    "backend",
    "find_backend",
    "get",
    "register",
    "unregister",
    "use",
]

OPS: Final = (
    "sampled_loss",
    "full_loss",
    "log_normalizer",
    "alias_table",
    "next_seed",
    "draws",
    "distinct_draws",
    "places_of",
    "log_inclusion",
    "sum_rows",
    "update_rows",
)
"""The names of the ops. A backend may leave some out: those run on the next one."""

BESIDE: Final = {"counted_draws": "draws", "counted_distinct_draws": "distinct_draws"}
"""Functions that `get` finds too: they come from the backend of the op that each stands beside."""

Op = Callable[..., Any]


class AnyBackend(Protocol):
    """What is asked of a backend here; logq.kernels.reference_backend has the class that they are made of."""

    name: str
    device_types: tuple[str, ...] | None

    @property
    def missing(self) -> tuple[str, ...]:
        """The ops that the backend lacks."""
        ...

    def has(self, op: str) -> bool:
        """Whether it has an op."""
        ...

    def refusal(self, op: str, case: Case) -> str:
        """Why an op runs on the reference in a case; "" where it does not."""
        ...

    def how(self, op: str, case: Case) -> str:
        """By which of several ways it runs an op in a case; "" if there is one."""
        ...


@dataclass(frozen=True)
class BuiltIn:
    """A backend that comes with the library: where it is, and what it needs.

    Args:
        location: "module:class".
        device_types: as the backend has them, known before it is loaded; None for all.
        needs: packages without which it is passed over.

    Example:
        >>> BACKENDS["cpp"].device_types
        ('cpu',)
    """

    location: str
    device_types: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()

    def lacks(self) -> list[str]:
        """The needed packages that are not installed."""
        return [package for package in self.needs if find_spec(package) is None]


BUILT_IN: Final = {
    "cpp": BuiltIn("logq.kernels.cpp:CppBackend", ("cpu",)),
    "triton": BuiltIn("logq.kernels.triton:TritonBackend", ("cuda",), ("triton",)),
    "reference": BuiltIn("logq.kernels.reference_backend:Backend"),
}

BACKENDS: Final[dict[str, BuiltIn | AnyBackend]] = dict(BUILT_IN)
"""The backends, the preferred one first."""

_order: tuple[str, ...] | None = None  # as `use` has it; None: all BACKENDS
_loaded: dict[str, AnyBackend] = {}
# What `get` answers for an op and a type of devices, as long as nothing changes. By ops, for torch.compile looks at a
# dict once, and would not see what an op of the same graph adds to it later.
_chosen: dict[str, dict[str, Op]] = {op: {} for op in (*OPS, *BESIDE)}


def backend(name: str) -> AnyBackend:
    """A backend by name.

    Raises:
        ArgumentError: there is no backend of that name.
        ImportError: it cannot run here; the message says why.

    Example:
        >>> backend("cpp").missing
        ('log_normalizer',)
    """
    if name not in BACKENDS:
        raise ArgumentError("backend", f"one of {', '.join(BACKENDS)}", name)
    if name not in _loaded:
        entry = BACKENDS[name]
        if isinstance(entry, BuiltIn):
            if entry.lacks():
                raise ImportError(f"backend {name}: needs {', '.join(entry.lacks())}, which is not installed")
            _loaded[name] = pkgutil.resolve_name(entry.location)()
        else:
            _loaded[name] = entry
    return _loaded[name]


def find_backend(op: str, device: str) -> AnyBackend:
    """The backend that runs an op: the first that runs on that type of device and has it.

    Example:
        >>> find_backend("log_normalizer", "cpu")
        <Backend 'reference' for all devices: all ops>
    """
    if op not in OPS:
        raise ArgumentError("op", f"one of {', '.join(OPS)}", op)
    for name in _order or BACKENDS:
        entry = BACKENDS[name]
        if entry.device_types is not None and device not in entry.device_types:
            continue
        if isinstance(entry, BuiltIn) and entry.lacks():
            continue
        if backend(name).has(op):
            return backend(name)
    raise AssertionError("the reference runs everywhere")


def active(device: str = "cpu") -> dict[str, str]:
    """The backend that runs each op. It may leave rare cases to the reference in turn: `explain` says which.

    Args:
        device: the type of the device that tensors lie on, such as "cpu" or "cuda".

    Example:
        >>> active()["sampled_loss"], active()["log_normalizer"]
        ('cpp', 'reference')
    """
    return {op: find_backend(op, device).name for op in OPS}


def get(op: str, device: str = "cpu") -> Op:
    """The function that runs an op now, on tensors of one type of device.

    Example:
        >>> get("full_loss").__name__
        'full_loss'
    """
    _is_chosen(op, device)
    return _chosen[op][device]


def _is_chosen(op: str, device: str) -> bool:
    if op not in _chosen or device not in _chosen[op]:
        _chosen[op][device] = getattr(find_backend(BESIDE.get(op, op), device), op)
    return True


# As torch.compiler.assume_constant_result does, which would import the compiler. It cannot follow an import into its
# graph: the tracer runs the function, and then looks into the dict.
_is_chosen._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def _choose_again() -> None:
    for chosen in _chosen.values():
        chosen.clear()


@contextmanager
def use(name: str) -> Generator[None, None, None]:
    """Prefer one backend inside a `with` block; what it lacks, and other types of devices, are left to the reference.

    Raises:
        ArgumentError: there is no backend of that name.
        ImportError: it cannot run here; the message says why.

    Example:
        >>> with use("reference"):
        ...     active()["alias_table"]
        'reference'
        >>> with use("abacus"):
        ...     pass
        Traceback (most recent call last):
        ...
        logq.ArgumentError: backend: expected one of cpp, ...reference, got 'abacus'
    """
    global _order
    backend(name)
    before, _order = _order, tuple(dict.fromkeys((name, "reference")))
    try:
        _choose_again()
        yield
    finally:
        _order = before
        _choose_again()


def register(name: str, backend: AnyBackend | ModuleType) -> None:
    """Add a backend, which is preferred to existing ones.

    Args:
        name: what `active` shows and `use` takes.
        backend: of a subclass of Backend; or a module that has functions named as in OPS, with the signatures and the
            meaning of those of Backend, and may have DEVICES, a tuple of types of devices; without it, it runs on all.

    Raises:
        ArgumentTypeError: `backend` is something else, or DEVICES is not a tuple of names.
        ArgumentError: the name is taken, or the backend has none of the ops.

    Example:
        >>> from types import ModuleType
        >>> mine = ModuleType("mine")
        >>> mine.DEVICES = ("xpu",)
        >>> mine.sampled_loss = get("sampled_loss", "xpu")  # the reference under another name
        >>> register("mine", mine)
        >>> active("xpu")["sampled_loss"], active("cpu")["sampled_loss"]
        ('mine', 'cpp')
        >>> unregister("mine")
    """
    if name in BACKENDS:
        raise ArgumentError("name", f"one that is not taken ({', '.join(BACKENDS)})", name)
    added: AnyBackend = pkgutil.resolve_name("logq.kernels.reference_backend:as_backend")(backend)
    added.name = name
    others = dict(BACKENDS)
    BACKENDS.clear()
    BACKENDS[name] = added
    BACKENDS.update(others)
    _choose_again()


def unregister(name: str) -> None:
    """Remove a backend that was added by `register`.

    Raises:
        ArgumentError: no such backend was added.

    Example:
        >>> unregister("cpp")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: name: expected a backend that was registered, got 'cpp'
    """
    if name in BUILT_IN or name not in BACKENDS:
        raise ArgumentError("name", "a backend that was registered", name)
    del BACKENDS[name]
    _loaded.pop(name, None)
    _choose_again()
