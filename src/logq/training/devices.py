"""Where and how a model computes: the device, the precision, and the rank among processes."""

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._launch import launched
from logq.processes import World, is_joined, take_from_first, world
from logq.shapes import check_device
from logq.training.batch_feed import Packed
from logq.training.options import check_precision

__all__ = ["Device"]

Number = TypeVar("Number", int, float)


class Device:
    """Where a model computes: batches go there, and the precision is chosen here.

    Args:
        device: a name, such as "cpu", "cuda" or "cuda:1"; of several processes each takes the GPU of its local rank
            where no number is given.
        precision: "float32", "bfloat16" for the products of the model (the loss and the weights stay in float32), or
            "auto": bfloat16 on a GPU that has it.

    Raises:
        ValueError: there is no such device or precision here.

    Example:
        >>> import numpy as np
        >>> Device("cpu").put({"user": np.array([3])})
        {'user': tensor([3])}
    """

    def __init__(self, device: torch.device | str = "cpu", precision: str = "float32") -> None:
        # A process that has joined no others computes alone, whatever a launcher says: fit joins them first.
        self.world = world() if is_joined() else World(local_rank=launched().local_rank)
        several = str(device) == "cuda" and launched().size > 1
        found = check_device(f"cuda:{self.world.local_rank}" if several else device)
        assert found is not None
        self.torch_device = found
        self.precision = check_precision("precision", precision)
        has_bfloat16 = found.type == "cuda" and torch.cuda.is_bf16_supported()
        self.bfloat16 = self.precision == "bfloat16" or (self.precision == "auto" and has_bfloat16)

    def put(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
        """Arrays as tensors on the device: by one copy, and on the CPU without any."""
        if self.torch_device.type == "cpu":
            return {name: torch.from_numpy(array) for name, array in batch.items()}
        pinned = self.torch_device.type == "cuda"
        packed = Packed.of([batch], pinned=pinned)
        return packed.unpacked(packed.buffer.to(self.torch_device, non_blocking=pinned), 0)

    def agreed(self, number: Number) -> Number:
        """The number that the first process has, in all of them."""
        if self.world.size == 1:
            return number
        wide = torch.int64 if isinstance(number, int) else torch.float64
        shared = torch.tensor(number, dtype=wide, device=self.torch_device)
        take_from_first(shared, "agree on a number")
        return type(number)(shared.item())

    @contextlib.contextmanager
    def autocast(self) -> Generator[None, None, None]:
        """The precision of a forward pass."""
        if not self.bfloat16:
            yield
            return
        with torch.autocast(self.torch_device.type, torch.bfloat16):
            yield

    @contextlib.contextmanager
    def random(self, seed: int) -> Generator[None, None, None]:
        """A block in which torch's global generators begin with a seed; the caller's are as before afterwards."""
        cards = [self.torch_device] if self.torch_device.type == "cuda" else []
        with torch.random.fork_rng(devices=cards):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach generators of other cards, too
            if cards:
                with torch.cuda.device(self.torch_device):
                    torch.cuda.manual_seed(seed)
            yield

    def random_state(self) -> dict[str, Tensor]:
        """The states of torch's generators, for a run that continues later."""
        state = {"cpu": torch.get_rng_state()}
        if self.torch_device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.torch_device)
        return state

    def set_random_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `random_state` returned."""
        torch.set_rng_state(state["cpu"])
        if self.torch_device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.torch_device)
