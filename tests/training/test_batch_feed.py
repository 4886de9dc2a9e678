"""Batches on their way to a device: the same ones in the same order, packed, and copied while others are trained.

The stream of copies is tested with what stands for torch.cuda; that a GPU does what it is asked for is not.
"""

import contextlib
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from logq.training import batch_feed
from logq.training.batch_feed import ALIGNMENT, MOST_BATCHES, CudaCopies, Packed, feed, make_copies

CPU = torch.device("cpu")


def numbered(count: int, width: int = 3) -> Iterator[tuple[dict[str, Any], int]]:
    for number in range(count):
        yield {"row": np.full((2, width), number), "age": np.array([number], dtype=np.float32)}, number


class Recording:
    """Copies that note what is done when."""

    pinned = False

    def __init__(self) -> None:
        self.done: list[str] = []

    def begin(self, buffer: Tensor) -> Tensor:
        self.done.append("begin")
        return buffer.clone()

    def finish(self, begun: Tensor) -> Tensor:
        self.done.append("finish")
        return begun


def of_feed() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("logq-batches")]


def test_packed_arrays_are_what_they_were_and_begin_at_whole_words() -> None:
    batches = [
        {"ids": np.arange(3), "flags": np.array([True]), "none": np.zeros((0, 4), dtype=np.float32)},
        {"ids": np.arange(12)[::2].reshape(2, 3), "half": np.array([[1.5]], dtype=np.float16), "one": np.array(2.5)},
    ]
    packed = Packed.of(batches)
    for number, batch in enumerate(batches):
        found = packed.unpacked(packed.buffer.clone(), number)
        assert list(found) == list(batch)
        for name, array in batch.items():
            torch.testing.assert_close(found[name], torch.from_numpy(array.copy()))
            assert packed.batches[number][name].begin % ALIGNMENT == 0


@pytest.mark.parametrize("count", [0, 1, 2, 3, 70])
def test_batches_are_those_of_a_cpu_in_blocks_that_grow(count: int) -> None:
    copies = Recording()
    expected, found = list(feed(numbered(count), CPU)), list(feed(numbered(count), CPU, copies))
    assert [number for _, number in found] == [number for _, number in expected] == list(range(count))
    for (one, _), (other, _) in zip(found, expected, strict=True):
        assert list(one) == list(other)
        assert all(torch.equal(one[name], other[name]) for name in one)
    blocks = {0: 0, 1: 1, 2: 2, 3: 2, 70: 7}[count]  # 1 + 2 + 4 + 8 + 16 + 32 + 7
    assert copies.done.count("begin") == copies.done.count("finish") == blocks
    assert MOST_BATCHES == 32
    assert not of_feed()


def test_a_block_is_no_larger_than_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_feed, "MOST_BYTES", 100)
    copies = Recording()
    assert len(list(feed(numbered(9), CPU, copies))) == 9
    assert copies.done.count("begin") == 1 + 4  # 52 bytes each: two in a block


def test_the_next_block_is_copied_while_one_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_feed, "ThreadPoolExecutor", AtOnce)
    copies = Recording()
    done: list[list[str]] = []
    for _ in feed(numbered(7), CPU, copies):
        done.append(list(copies.done))
        copies.done.clear()
    # Blocks of 1, 2 and 4: the copy of the next one begins after the first batch of a block.
    assert done == [["begin", "finish"], ["begin", "finish"], ["begin"], ["finish"], [], [], []]


class AtOnce:
    """A thread that has done what it is asked for before it is asked again."""

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


def test_an_error_comes_after_the_batches_before_it() -> None:
    def failing() -> Iterator[tuple[dict[str, Any], int]]:
        yield from numbered(5)
        raise OSError("the disk is gone")

    fed = feed(failing(), CPU, Recording())
    assert [number for _, number in islice(fed, 5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="the disk is gone"):
        next(fed)
    assert not of_feed()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_thread_ends_with_the_loop(error: type[BaseException]) -> None:
    def train() -> None:
        with contextlib.closing(feed(numbered(100), CPU, Recording())) as fed:
            for _, number in fed:
                if number == 5:
                    raise error

    with pytest.raises(error):
        train()
    assert not of_feed()


def test_the_thread_ends_with_the_batch_that_it_is_making() -> None:
    """And not with 32 of them, after Ctrl-C."""
    entered, closing = threading.Event(), threading.Event()

    def slow() -> Iterator[tuple[dict[str, Any], int]]:
        for batch, number in numbered(100):
            made.append(number)
            if number == 3:  # the first one of the third block
                entered.set()
                closing.wait(10)
            yield batch, number

    made: list[int] = []
    fed = feed(slow(), CPU, Recording())
    assert [number for _, number in islice(fed, 2)] == [0, 1]
    assert entered.wait(10)
    threading.Timer(0.1, closing.set).start()
    fed.close()
    assert made == [0, 1, 2, 3]


def test_the_stream_of_a_gpu_waits_for_nothing_and_is_waited_for() -> None:
    done: list[str] = []

    class Buffer:
        def to(self, device: torch.device, non_blocking: bool) -> "Buffer":
            done.append(f"copy to {device} on {current[-1]}, non_blocking={non_blocking}")
            return self

        def record_stream(self, stream: Any) -> None:
            done.append(f"keep for {stream.name}")

    @contextlib.contextmanager
    def stream(one: Any) -> Generator[None, None, None]:
        current.append(one.name)
        yield
        current.pop()

    def make_event() -> Any:
        return SimpleNamespace(record=lambda of: done.append(f"record on {of.name}"))

    def wait_event(_: Any) -> None:
        done.append("main waits for the event")

    current = ["main"]
    main = SimpleNamespace(name="main", wait_event=wait_event)
    cuda = SimpleNamespace(
        Stream=lambda device: SimpleNamespace(name=f"side of {device}"),
        Event=make_event,
        stream=stream,
        current_stream=lambda device: main,
    )
    copies = CudaCopies(torch.device("cuda:1"), cuda)
    begun = copies.begin(Buffer())  # pyright: ignore[reportArgumentType]
    assert done == ["copy to cuda:1 on side of cuda:1, non_blocking=True", "record on side of cuda:1"]
    done.clear()
    copies.finish(begun)
    assert done == ["main waits for the event", "keep for main"]
    assert copies.pinned
    assert not make_copies(CPU).pinned
