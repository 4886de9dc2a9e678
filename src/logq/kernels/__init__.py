"""Arrays in, arrays out: the ops that the rest of the library stands on, each run by one backend.

The reference, `Backend`, is the meaning of every op, in plain torch. Another backend is a subclass that overrides what
it has, and is preferred on the types of devices that it says it runs on:

    class Mine(logq.kernels.Backend):
        device_types = ("cuda",)

        def log_normalizer(self, input, weight, bias, *, temperature, cosine, shift=None):
            ...

    logq.kernels.register("mine", Mine())

`active()` shows what runs, `use(backend)` chooses, `explain(objective, ...)` says what really runs in one case and why,
and what a fused backend leaves to the reference is reported once, by a FallbackWarning. Nothing is patched at import.

Backends are loaded when the first op is asked for: `logq.kernels._native` can be had without torch.
"""

import importlib
from typing import Any, Final

from logq.kernels.fallback import FallbackWarning
from logq.kernels.registry import BACKENDS, OPS, active, backend, get, register, unregister, use

__all__ = [
    "BACKENDS",
    "OPS",
    "Backend",
    "Explanation",
    "FallbackWarning",
    "FusedBackend",
    "active",
    "backend",
    "explain",
    "get",
    "register",
    "unregister",
    "use",
]

# Names that need torch, each with its module, which is imported when the name is first used.
_LAZY: Final = {
    "Backend": "logq.kernels.backend",
    "Explanation": "logq.kernels.explanation",
    "FusedBackend": "logq.kernels.fused",
    "explain": "logq.kernels.explanation",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return value
