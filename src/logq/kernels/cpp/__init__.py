"""The C++ backend: ops compiled into logq.kernels._native, behind the signatures of the reference."""

from typing import Final

from logq.kernels.cpp.alias import alias_table
from logq.kernels.cpp.losses import sampled_loss

__all__ = ["DEVICES", "alias_table", "sampled_loss"]

DEVICES: Final = ("cpu",)
