"""Arrays in, arrays out: the ops that the rest of the library stands on, each resolved to one backend.

`reference` is the meaning of every op, in plain torch. Another backend is one module with functions of the same names
and signatures; it is preferred where it has an op, on the types of devices that it says it runs on:

    DEVICES = ("cuda",)                          # left out: on all of them

    def log_normalizer(input, weight, bias, *, temperature, cosine, shift=None):
        ...

`active()` shows what runs, `use(backend)` chooses, `register(name, module)` adds one; nothing is patched at import and
nothing falls back in silence.

The backends are loaded when the first op is asked for: `logq.kernels._native` can be had without torch.
"""

import importlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, NamedTuple

__all__ = ["BACKENDS", "OPS", "active", "get", "register", "unregister", "use"]

OPS: Final = (
    "sampled_loss",
    "full_loss",
    "log_normalizer",
    "alias_table",
    "draws",
    "distinct_draws",
    "places_of",
    "log_inclusion",
    "sum_rows",
    "update_rows",
)
"""The names of the ops. A backend may leave some out: those run on the next one."""

BACKENDS: Final[dict[str, str | ModuleType]] = {"cpp": "logq.kernels.cpp", "reference": "logq.kernels.reference"}
"""The backends, the preferred one first, and their modules or the names of these."""

BUILT_IN: Final = tuple(BACKENDS)

Op = Callable[..., Any]


class _Candidate(NamedTuple):
    """A backend that has an op, its function, and the types of devices that it runs on; None: all."""

    backend: str
    function: Op
    devices: tuple[str, ...] | None


_order: tuple[str, ...] | None = None  # as `use` has it; None: all BACKENDS
_resolved: dict[str, list[_Candidate]] = {}


def _resolve() -> None:
    """For each op find the backends that have it, the preferred one first."""
    global _resolved
    modules: dict[str, Any] = {}
    for name in _order or BACKENDS:
        module = BACKENDS[name]
        modules[name] = importlib.import_module(module) if isinstance(module, str) else module
    _resolved = {
        op: [
            _Candidate(name, getattr(module, op), getattr(module, "DEVICES", None))
            for name, module in modules.items()
            if hasattr(module, op)
        ]
        for op in OPS
    }


def _choice(op: str, device: str) -> _Candidate:
    if not _resolved:
        _resolve()
    for candidate in _resolved[op]:
        if candidate.devices is None or device in candidate.devices:
            return candidate
    raise AssertionError("the reference runs everywhere")


def active(device: str = "cpu") -> dict[str, str]:
    """Which backend each op runs on.

    Args:
        device: the type of the device that tensors lie on, such as "cpu" or "cuda".

    Example:
        >>> active()["sampled_loss"], active("cuda")["sampled_loss"]
        ('cpp', 'reference')
    """
    return {op: _choice(op, device).backend for op in OPS}


def get(op: str, device: str = "cpu") -> Op:
    """The function that runs an op now, on tensors of one type of device.

    Example:
        >>> get("full_loss").__name__
        'full_loss'
    """
    return _choice(op, device).function


@contextmanager
def use(backend: str) -> Generator[None, None, None]:
    """Prefer one backend inside a `with` block; what it lacks, and other types of devices, are left to the reference.

    Raises:
        ValueError: there is no backend of that name.
        ImportError: it cannot run here; the message says why.

    Example:
        >>> with use("reference"):
        ...     active()["alias_table"]
        'reference'
        >>> with use("abacus"):
        ...     pass
        Traceback (most recent call last):
        ...
        ValueError: backend: expected one of cpp, reference, got 'abacus'
    """
    global _order
    if backend not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    before, _order = _order, tuple(dict.fromkeys((backend, "reference")))
    try:
        _resolve()
        yield
    finally:
        _order = before
        _resolve()


def register(name: str, module: ModuleType) -> None:
    """Add a backend, which is preferred to those that are there already.

    Args:
        name: what `active` shows and `use` takes.
        module: has functions named as in OPS, with the signatures and the meaning of those in
            `logq.kernels.reference`, and may have DEVICES, a tuple of types of devices; without it, it runs on all.

    Raises:
        TypeError: `module` is no module, or its DEVICES no tuple of names.
        ValueError: the name is taken, or the module has none of the ops.

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
        raise ValueError(f"name: expected one that is not taken ({', '.join(BACKENDS)}), got {name!r}")
    if not isinstance(module, ModuleType):
        raise TypeError(f"module: expected a module, got {type(module).__name__}")
    devices = getattr(module, "DEVICES", ())
    if not isinstance(devices, tuple) or not all(isinstance(device, str) for device in devices):
        raise TypeError(f"module: expected DEVICES to be a tuple of names such as ('cuda',), got {devices!r}")
    if not any(hasattr(module, op) for op in OPS):
        raise ValueError(f"module: expected functions among {', '.join(OPS)}, got none of them in {module.__name__}")
    others = dict(BACKENDS)
    BACKENDS.clear()
    BACKENDS.update({name: module, **others})
    _resolve()


def unregister(name: str) -> None:
    """Take away a backend that was added by `register`.

    Raises:
        ValueError: no such backend was added.

    Example:
        >>> unregister("cpp")
        Traceback (most recent call last):
        ...
        ValueError: name: expected a backend that was registered, got 'cpp'
    """
    if name in BUILT_IN or name not in BACKENDS:
        raise ValueError(f"name: expected a backend that was registered, got {name!r}")
    del BACKENDS[name]
    _resolve()
