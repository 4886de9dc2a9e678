"""Streams of random numbers where several processes draw: ranks that train together, and workers of a DataLoader.

All processes may have the generator of one sampler: by the same seed, by a fork, or from the checkpoint that one of
them wrote. Each takes one number of it a draw, which is the same in all, and draws from a generator that is seeded by
this number, the rank and the worker. So draws differ, and all of them go on exactly from the state of any one.
"""

import sys
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim

__all__ = [
    "Place",
    "SeedStream",
    "Source",
    "check_generator",
    "folded",
    "key_of",
    "place_of",
    "rank_of_process",
    "restore",
    "take_seed",
]


class Place(NamedTuple):
    """Which of several processes draws.

    Args:
        rank: in torch.distributed.
        worker: the seed of a worker of a DataLoader, another one for each epoch; 0 in the process that trains.

    Example:
        >>> Place(rank=1).worker
        0
    """

    rank: int = 0
    worker: int = 0


class SeedStream(NamedTuple):
    """Where seeds come from that no host gives: splitmix64, with its state on the device that draws.

    Each seed moves the state on, by a kernel. So a graph that was captured draws anew whenever it is replayed.

    Args:
        state: () int64, which moves on alike in all processes.
        key: of this process, folded into each seed; 0 for one that is alone.

    Example:
        >>> stream = SeedStream(torch.tensor(1))
        >>> int(take_seed(stream, torch.device("cpu"))), int(take_seed(stream, torch.device("cpu")))
        (-7995527694508729151, -4689498862643123097)
    """

    state: Tensor
    key: int = 0

    def get_state(self) -> Tensor:
        """A copy of the state, as of a generator."""
        return self.state.clone()

    def set_state(self, state: Tensor) -> None:
        """Go on from a state."""
        self.state.copy_(state)


Source: TypeAlias = torch.Generator | SeedStream
"""What a draw takes its seeds from."""


def rank_of_process() -> int | None:
    """The rank of this process where several train together by torch.distributed, else None.

    Example:
        >>> rank_of_process() is None
        True
    """
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return None
    return distributed.get_rank()


def place_of(rank: int | None, former_rank: int | None) -> Place | None:
    """The place of this process; None for one that is alone.

    Args:
        rank: what was set instead of the rank of the process.
        former_rank: that of the process from which this one has what it draws from, where it has no rank itself.

    Example:
        >>> place_of(None, None), place_of(3, None), place_of(None, 2)
        (None, Place(rank=3, worker=0), Place(rank=2, worker=0))
    """
    if rank is None:
        rank = rank_of_process()
    if rank is None:
        rank = former_rank
    loading = sys.modules.get("torch.utils.data")
    worker = None if loading is None else loading.get_worker_info()
    if rank is None and worker is None:
        return None
    return Place(rank or 0, 0 if worker is None else worker.seed)


def check_generator(generator: object, device: torch.device) -> None:
    """Raise TypeError or ValueError for what is no generator of that kind of device; None is none.

    Example:
        >>> check_generator(1, torch.device("cpu"))
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: generator: expected a torch.Generator, got int
    """
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        raise ArgumentTypeError("generator", "a torch.Generator", Verbatim(type(generator).__name__))
    if generator.device.type not in ("cpu", device.type):
        where = f"one on the CPU, or on {device} where the sampler is"
        raise ArgumentError("generator", where, Verbatim(f"one on {generator.device}"))


def take_seed(generator: Source, device: torch.device) -> Tensor:
    """64 bits from a source, () int64 on a device: all the randomness that a draw takes, whatever its size.

    A generator of the CPU gives the same bits to all devices, and no device is waited for. A stream lies on the device.

    Raises:
        RuntimeError: a CUDA graph is captured, in which a number that the host gives would stay the same for ever.

    Example:
        >>> take_seed(torch.Generator().manual_seed(1), torch.device("cpu")).shape
        torch.Size([])
    """
    if isinstance(generator, SeedStream):
        return kernels.get("next_seed", generator.state.device.type)(generator.state, generator.key)
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "a sampler draws while a CUDA graph is captured, and each replay would draw the same classes again: call"
            " sampler.seeds_on_device() before, and draw once outside of the graph"
        )
    seed = torch.empty((), dtype=torch.int64, device=generator.device).random_(-(1 << 63), None, generator=generator)
    if seed.device.type == device.type:
        return seed
    return torch.full((), int(seed), dtype=torch.int64, device=device)


def folded(generator: torch.Generator, place: Place) -> torch.Generator:
    """A generator for one draw at a place, by the next number of the generator that all places have.

    Example:
        >>> one, other = (folded(torch.Generator().manual_seed(1), Place(rank)) for rank in range(2))
        >>> one.initial_seed() == other.initial_seed()
        False
    """
    return torch.Generator("cpu").manual_seed(_digest(int(take_seed(generator, generator.device)), *place))


def key_of(rank: int | None, former_rank: int | None) -> int:
    """An int64 that tells the place of this process from others, by the arguments of `place_of`; 0 for one alone.

    Example:
        >>> key_of(None, None), key_of(0, None) == key_of(1, None)
        (0, False)
    """
    place = place_of(rank, former_rank)
    return 0 if place is None else (_digest(*place) >> 1) or 1


# As torch.compiler.assume_constant_result does, which would import the compiler: a process keeps its place.
key_of._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def restore(generator: torch.Generator, states: Mapping[str, Tensor]) -> None:
    """Bring the generator of a sampler, one of the CPU, to a state that was saved.

    Generators used to lie where the sampler was. No stream goes on from the state of one on another device; it seeds
    the generator then.

    Args:
        generator: of the CPU.
        states: one at least, by the names of the devices that the generators lay on.

    Example:
        >>> generator = torch.Generator()
        >>> restore(generator, {"cpu": torch.Generator().manual_seed(7).get_state()})
        >>> generator.initial_seed()
        7
    """
    if "cpu" in states:
        generator.set_state(states["cpu"])
    else:
        generator.manual_seed(_digest(next(iter(states.values())).numpy().tobytes()))


def _digest(*parts: object) -> int:
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "little")
