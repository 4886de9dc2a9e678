"""Kernels: the ops that the rest of the library is built on, arrays in and arrays out, each run by one backend.

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

import lazy_loader

from logq.kernels.backends import BACKENDS as BACKENDS
from logq.kernels.backends import OPS as OPS
from logq.kernels.backends import active as active
from logq.kernels.backends import backend as backend
from logq.kernels.backends import get as get
from logq.kernels.backends import register as register
from logq.kernels.backends import unregister as unregister
from logq.kernels.backends import use as use

# Those above at once: they need no torch, are asked in every step, and torch.compile looks for them in the module.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
