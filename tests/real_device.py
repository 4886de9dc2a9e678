"""What tests/fake_device.py gives, for a device that is there: LOGQ_DEVICE=cuda names it.

    LOGQ_DEVICE=cuda python -m pytest tests/device_paths.py -n0

On CUDA the waits are those that torch itself reports. Kernels, bytes and copies are not counted: tests of budgets are
left to the fake device. LOGQ_DEVICE=cpu tries this file out where there is no other device.
"""

import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["DEVICE", "NAME", "RealDevice", "held", "on_device"]

# Without which cuBLAS refuses to be deterministic; read when a device is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

NAME = os.environ["LOGQ_DEVICE"]
DEVICE = torch.device(NAME)


class RealDevice:
    """Count what torch reports of a device inside of a `with`; attributes as of fake_device.FakeDevice."""

    def __init__(self) -> None:
        self._seen: list[warnings.WarningMessage] = []
        self._caught: Any = None
        self.reset()

    def reset(self) -> None:
        """Count from nothing again."""
        self.kernels: Counter[str] = Counter()
        self.bytes = 0
        self.copies: Counter[str] = Counter()
        self._seen.clear()

    @property
    def waits(self) -> Counter[str]:
        """How often the host waited, by place."""
        waits = [seen for seen in self._seen if "called a synchronizing" in str(seen.message)]
        files = [(Path(seen.filename), seen.lineno) for seen in waits]
        return Counter(f"wait at {_place(file)}:{line}" for file, line in files if not _sends(file))

    def __enter__(self) -> "RealDevice":
        self._caught = warnings.catch_warnings(record=True)
        self._seen = self._caught.__enter__()
        warnings.simplefilter("always")
        _report_waits("warn")
        return self

    def __exit__(self, *error: object) -> None:
        _report_waits("default")
        self._caught.__exit__(*error)


def _report_waits(mode: str) -> None:
    if DEVICE.type == "cuda":
        torch.cuda.set_sync_debug_mode(mode)


def _sends(file: Path) -> bool:
    """Whether it is one of these tests, or what sends a module: torch counts what is sent to the device, too."""
    return file.parent == Path(__file__).resolve().parent or file.parts[-2:] == ("modules", "module.py")


def _place(file: Path) -> str:
    """The file inside of logq, or of what is not logq."""
    parts = file.parts
    return "/".join(parts[parts.index("logq") + 1 :]) if "logq" in parts else file.name


def on_device(tensor: Tensor, *, requires_grad: bool = False) -> Tensor:
    """The tensor on the device, as a leaf."""
    return tensor.detach().to(DEVICE, copy=True).requires_grad_(requires_grad)


def held(tensor: Tensor) -> Tensor:
    """Its values, on the CPU."""
    assert tensor.device.type == DEVICE.type, "it left the device"
    there = tensor.detach().cpu()
    return there.to_dense() if there.is_sparse else there
