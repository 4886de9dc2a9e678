"""The loop that trains modules of torch, with a schedule, validation, early stopping and checkpoints to go on from."""

from logq.loop.checkpoint import Checkpoint
from logq.loop.devices import Computer
from logq.loop.loop import Loop, LoopSettings, Task

__all__ = ["Checkpoint", "Computer", "Loop", "LoopSettings", "Task"]
