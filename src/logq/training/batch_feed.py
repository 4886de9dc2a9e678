"""Batches on their way to a device: made by a thread and packed into one copy while the device is busy with others.

    batches of arrays  ->  blocks of 1, 2, 4, ... 32 batches, each one buffer  ->  one copy a block  ->  views of it

On the CPU the arrays are the tensors: nothing is copied, and there is no thread. The batches are the same ones in the
same order on all devices.
"""

import contextlib
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Arrays", "Copies", "CudaCopies", "Packed", "feed", "make_copies"]

Arrays = Mapping[str, NDArray[Any]]
"""A batch: arrays by name."""

MOST_BATCHES = 32
"""Batches of a block: so many copies fewer. The first blocks are smaller, so that training begins at once."""

MOST_BYTES = 8 << 20
"""A block of this size takes no further batch; three blocks are in memory at a time."""

ALIGNMENT = 16
"""Bytes at whose multiples arrays begin in a buffer: kernels then read four floats at once."""


class Bytes(NamedTuple):
    """Where an array is in a buffer: its bytes, and what they stand for."""

    begin: int
    end: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class Packed(NamedTuple):
    """Several batches in one buffer of bytes.

    Attributes:
        buffer: (n,) uint8.
        batches: for each batch where its arrays are.

    Example:
        >>> packed = Packed.of([{"user": np.array([3, 5]), "age": np.array([0.5, 1.0], dtype=np.float32)}])
        >>> packed.buffer.shape, packed.unpacked(packed.buffer, 0)
        (torch.Size([24]), {'user': tensor([3, 5]), 'age': tensor([0.5000, 1.0000])})
    """

    buffer: Tensor
    batches: list[dict[str, Bytes]]

    @classmethod
    def of(cls, batches: Sequence[Arrays], *, pinned: bool = False) -> "Packed":
        """Pack batches.

        Args:
            batches: one or more.
            pinned: whether the buffer lies in memory that a GPU can copy from by itself.
        """
        places: list[dict[str, Bytes]] = []
        end = 0
        for batch in batches:
            places.append({})
            for name, array in batch.items():
                begin = -(-end // ALIGNMENT) * ALIGNMENT
                end = begin + array.nbytes
                places[-1][name] = Bytes(begin, end, _dtype(array), array.shape)
        buffer = torch.empty(end, dtype=torch.uint8, device="cpu", pin_memory=pinned)
        written = buffer.numpy()
        for batch, at in zip(batches, places, strict=True):
            for name, array in batch.items():
                written[at[name].begin : at[name].end].view(array.dtype).reshape(array.shape)[...] = array
        return cls(buffer, places)

    def unpacked(self, buffer: Tensor, number: int) -> dict[str, Tensor]:
        """A batch as views of the buffer, or of a copy of it elsewhere."""
        return {name: _view(buffer, place) for name, place in self.batches[number].items()}


def _dtype(array: NDArray[Any]) -> torch.dtype:
    return torch.from_numpy(np.empty(0, array.dtype)).dtype


def _view(buffer: Tensor, place: Bytes) -> Tensor:
    return buffer[place.begin : place.end].view(place.dtype).view(place.shape)


class Copies(Protocol):
    """How buffers come to a device: a copy is begun, and taken over when it is needed.

    Example:
        >>> copies = make_copies(torch.device("cpu"))
        >>> copies.finish(copies.begin(torch.zeros(2)))
        tensor([0., 0.])
    """

    pinned: bool
    """Whether buffers must be in pinned memory."""

    def begin(self, buffer: Tensor) -> Any:
        """Begin to copy, and return what `finish` takes."""
        ...

    def finish(self, begun: Any) -> Tensor:
        """The copy, which what is launched from now on may read."""
        ...


class PlainCopies:
    """Copies in order with all other work of a device."""

    pinned = False

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def begin(self, buffer: Tensor) -> Tensor:
        """Copy."""
        return buffer.to(self._device)

    def finish(self, begun: Tensor) -> Tensor:
        """The copy."""
        return begun


class CudaCopies:
    """Copies on a stream of their own, beside the kernels, from pinned memory.

    Neither the host nor the copies wait for kernels; kernels that read a copy wait for its event. Pinned memory comes
    from torch's allocator, which gives it to nobody else until the copy is over.

    Args:
        device: a GPU.
        cuda: torch.cuda, or what stands for it in a test.
    """

    pinned = True

    def __init__(self, device: torch.device, cuda: Any = torch.cuda) -> None:
        self._device, self._cuda = device, cuda
        self._stream = cuda.Stream(device)

    def begin(self, buffer: Tensor) -> tuple[Tensor, Any]:
        """Begin to copy on the other stream, and record the event of its end."""
        with self._cuda.stream(self._stream):
            there = buffer.to(self._device, non_blocking=True)
            event = self._cuda.Event()
            event.record(self._stream)
        return there, event

    def finish(self, begun: tuple[Tensor, Any]) -> Tensor:
        """Make the current stream wait for the copy, whose memory lives until that stream has read it."""
        there, event = begun
        current = self._cuda.current_stream(self._device)
        current.wait_event(event)
        there.record_stream(current)
        return there


def make_copies(device: torch.device) -> Copies:
    """How batches come to a device.

    Example:
        >>> make_copies(torch.device("cpu")).pinned
        False
    """
    return CudaCopies(device) if device.type == "cuda" else PlainCopies(device)


def feed(
    batches: Iterator[tuple[Arrays, int]], device: torch.device, copies: Copies | None = None
) -> Generator[tuple[dict[str, Tensor], int], None, None]:
    """Yield batches as tensors on a device, each with its number of examples.

    On other devices than the CPU a thread makes the next block while the current one is trained; the iterator is run by
    that thread alone. Close the generator to end the thread, which finishes the batch that it is making.

    Args:
        batches: arrays and their number of examples.
        device: where they are needed.
        copies: None for what suits the device.

    Raises:
        Exception: what the iterator raises, after the batches before.

    Example:
        >>> two = iter([({"user": np.array([3])}, 1), ({"user": np.array([5])}, 1)])
        >>> list(feed(two, torch.device("cpu")))
        [({'user': tensor([3])}, 1), ({'user': tensor([5])}, 1)]
    """
    if device.type == "cpu" and copies is None:
        for batch, count in batches:
            yield {name: torch.from_numpy(array) for name, array in batch.items()}, count
        return
    copies = copies or make_copies(device)
    stopped = threading.Event()
    # The stack is left first: the thread is told to stop before it is waited for.
    with ThreadPoolExecutor(1, "logq-batches") as thread, contextlib.ExitStack() as at_end:
        at_end.callback(stopped.set)
        blocks = _blocks(batches, copies.pinned, stopped)
        coming: Future[_PackedBlock | None] = thread.submit(next, blocks, None)
        begun: Any = None
        while (block := coming.result()) is not None:
            there = copies.finish(copies.begin(block.packed.buffer) if begun is None else begun)
            coming, begun = thread.submit(next, blocks, None), None
            for number, count in enumerate(block.counts):
                yield block.packed.unpacked(there, number), count
                if begun is None and coming.done() and coming.exception() is None:
                    following = coming.result()
                    begun = None if following is None else copies.begin(following.packed.buffer)


class _PackedBlock(NamedTuple):
    packed: Packed
    counts: list[int]


def _blocks(batches: Iterator[tuple[Arrays, int]], pinned: bool, stopped: threading.Event) -> Iterator[_PackedBlock]:
    most, failed = 1, None
    while failed is None:
        found: list[tuple[Arrays, int]] = []
        size = 0
        try:
            for batch, count in islice(batches, most):
                found.append((batch, count))
                size += sum(array.nbytes for array in batch.values())
                if size >= MOST_BYTES or stopped.is_set():
                    break
        except Exception as error:
            failed = error
        if found:
            yield _PackedBlock(Packed.of([batch for batch, _ in found], pinned=pinned), [count for _, count in found])
        elif failed is None:
            return
        most = min(2 * most, MOST_BATCHES)
    raise failed
