"""The backends of the library that can run here, each with the devices that it can run on: what contracts go over."""

import torch

from logq import kernels
from logq.kernels.backends import BUILT_IN

DEVICES = ("cpu", *(("cuda",) if torch.cuda.is_available() else ()))

HERE = [
    (name, device)
    for name, entry in BUILT_IN.items()
    for device in DEVICES
    if not entry.lacks() and (entry.device_types is None or device in entry.device_types)
]
"""(name, device), the reference among them."""

FUSED = [(name, device) for name, device in HERE if isinstance(kernels.backend(name), kernels.FusedBackend)]
"""Those whose losses are passes over a batch."""

ON_CPU = [name for name, device in HERE if device == "cpu"]
