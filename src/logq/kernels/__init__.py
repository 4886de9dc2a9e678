"""Arrays in, arrays out: the ops that the rest of the library stands on, each resolved to one backend.

`reference` is the meaning of every op, in plain torch. Another backend is one module with functions of the same names;
it is preferred where it has an op. `active()` shows what runs, `use(backend)` chooses; nothing is patched at import and
nothing falls back in silence.

The backends are loaded when the first op is asked for: `logq.kernels._native` can be had without torch.
"""

import importlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["BACKENDS", "OPS", "active", "get", "use"]

OPS: Final = (
    "sampled_loss",
    "full_loss",
    "log_normalizer",
    "alias_table",
    "draws",
    "distinct_draws",
    "places_of",
    "log_inclusion",
)
"""The names of the ops. A backend may leave some out: those run on the reference."""

BACKENDS: Final = {"cpp": "logq.kernels.cpp", "reference": "logq.kernels.reference"}
"""The backends, the preferred one first, and their modules."""

Op = Callable[..., Any]


def _resolve(*backends: str) -> dict[str, tuple[str, Op]]:
    """For each op the first of the backends that has it."""
    modules = {name: importlib.import_module(BACKENDS[name]) for name in backends}
    return {op: next((name, getattr(m, op)) for name, m in modules.items() if hasattr(m, op)) for op in OPS}


_resolved: dict[str, tuple[str, Op]] = {}
_elsewhere: dict[str, tuple[str, Op]] = {}  # on devices other than the CPU, which the compiled core knows nothing of


def _current() -> dict[str, tuple[str, Op]]:
    if not _resolved:
        _resolved.update(_resolve(*BACKENDS))
    return _resolved


def active() -> dict[str, str]:
    """Which backend each op runs on.

    Example:
        >>> active()["alias_table"]
        'cpp'
    """
    return {op: backend for op, (backend, _) in _current().items()}


def get(op: str, device: str = "cpu") -> Op:
    """The function that runs an op now, on tensors of one type of device.

    Example:
        >>> get("full_loss").__name__
        'full_loss'
    """
    if device == "cpu":
        return _current()[op][1]
    if not _elsewhere:
        _elsewhere.update(_resolve("reference"))
    return _elsewhere[op][1]


@contextmanager
def use(backend: str) -> Generator[None, None, None]:
    """Prefer one backend inside a `with` block.

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
    global _resolved
    if backend not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    before, _resolved = _resolved, _resolve(*dict.fromkeys((backend, "reference")))
    try:
        yield
    finally:
        _resolved = before
