"""The C++ backend: ops compiled into logq.kernels._native, behind the signatures of the reference."""

from typing import Final

from logq.kernels.cpp.alias import alias_table
from logq.kernels.cpp.full import full_loss
from logq.kernels.cpp.losses import sampled_loss
from logq.kernels.cpp.rows import sum_rows, update_rows
from logq.kernels.cpp.sampling import distinct_draws, draws, log_inclusion, places_of

__all__ = [
    "DEVICES",
    "alias_table",
    "distinct_draws",
    "draws",
    "full_loss",
    "log_inclusion",
    "places_of",
    "sampled_loss",
    "sum_rows",
    "update_rows",
]

DEVICES: Final = ("cpu",)
