"""The C++ backend: ops compiled into logq.kernels._native, behind the signatures of the reference."""

from typing import Final

from logq.kernels.cpp.alias import alias_table
from logq.kernels.cpp.losses import sampled_loss
from logq.kernels.cpp.rows import sum_rows, update_rows

__all__ = ["DEVICES", "alias_table", "sampled_loss", "sum_rows", "update_rows"]

DEVICES: Final = ("cpu",)
