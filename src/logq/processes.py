"""Several processes that train together: who they are, and the exchanges between them that let gradients through."""

import contextlib
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from logq._arguments import ArgumentError
from logq._launch import World, launched

__all__ = [
    "Group",
    "LostProcessError",
    "Traffic",
    "World",
    "add_up",
    "all_bytes",
    "all_counts",
    "all_rows",
    "bytes_from_first",
    "exchange",
    "is_joined",
    "meeting_device",
    "received_counts",
    "take_from_first",
    "traffic",
    "world",
]

Group: TypeAlias = "torch.distributed.ProcessGroup | None"
"""Some of the processes; None for all of them."""

MOST_PADDING = 1.03
"""How much longer messages may get where all are made as long as the longest one, which an all_gather needs."""

REPORT_SECONDS = 3.0
"""How long those that miss another wait for each other, to tell which one it is."""


class LostProcessError(ConnectionError):
    """Other processes have ended, or do not answer; the message says which ones, and in what they were missed.

    Args:
        doing: what all were to do together.
        rank: of this process.
        lost: the ranks that are missing; empty where that is not known.
        seconds: how long they were waited for; 0 where they have ended.
        when: in which part of the work, such as "after step 20".

    Example:
        >>> raise LostProcessError("add up gradients (all_reduce)", 0, [1], 120.2).during("after step 20")
        Traceback (most recent call last):
        ...
        logq.processes.LostProcessError: after step 20 rank 0 was to add up gradients (all_reduce) with the others, and rank 1 did not answer within 120 seconds (see LOGQ_PROCESS_TIMEOUT)
    """  # noqa: E501

    def __init__(self, doing: str, rank: int, lost: Sequence[int], seconds: float, when: str = "") -> None:
        who = f"rank {', '.join(map(str, lost))}" if lost else "another one"
        how = f"did not answer within {seconds:.0f} seconds (see LOGQ_PROCESS_TIMEOUT)" if seconds else "has ended"
        super().__init__(f"{when}{' ' * bool(when)}rank {rank} was to {doing} with the others, and {who} {how}")
        self.doing, self.rank, self.lost, self.seconds = doing, rank, tuple(lost), seconds

    def during(self, when: str) -> "LostProcessError":
        """The same error, with the part of the work that it happened in."""
        return LostProcessError(self.doing, self.rank, self.lost, self.seconds, when)


def is_joined() -> bool:
    """Whether this process belongs to a group of torch.distributed.

    Example:
        >>> is_joined()
        False
    """
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def world(group: Group = None) -> World:
    """From torch.distributed if it is initialized, else from torchrun's environment.

    Args:
        group: some of the processes, among which this one has its rank; None for all.

    Raises:
        ArgumentError: the environment names several processes, which have not joined, so that they could not share what
            they learn.

    Example:
        >>> world()
        World(rank=0, size=1, local_rank=0)
    """
    there = launched()
    if is_joined():
        of = () if group is None else (group,)
        return World(torch.distributed.get_rank(*of), torch.distributed.get_world_size(*of), there.local_rank)
    if there.size > 1:
        hint = "logq.process_start.join() or torch.distributed.init_process_group()"
        raise ArgumentError("WORLD_SIZE", "processes that have joined", there.size, hint)
    return there


def _size(group: Group) -> int:
    """W, without a look at the environment where this process has joined: exchanges ask for it often."""
    return torch.distributed.get_world_size(group) if is_joined() else world(group).size


def meeting_device(group: Group = None) -> torch.device:
    """Where tensors have to be that processes exchange, if they come from elsewhere: the CPU unless all speak nccl.

    Example:
        >>> meeting_device()
        device(type='cpu')
    """
    return torch.device(_c10d()._get_object_coll_device(group)) if is_joined() else torch.device("cpu")


def _c10d() -> Any:
    return torch.distributed.distributed_c10d  # which builds of torch without it do not have


@contextlib.contextmanager
def _waiting(doing: str, group: Group) -> Generator[None, None, None]:
    """A block of one collective.

    Raises:
        LostProcessError: it failed, and not on all processes.
    """
    began = time.monotonic()
    try:
        yield
    except RuntimeError as error:  # as all errors of torch.distributed are
        hangs = any(text in str(error).lower() for text in ("timed out", "timeout"))
        seconds = time.monotonic() - began if hangs else 0.0
        lost = _missing(group)
        if lost == []:
            raise  # all have failed, for a reason that the message tells
        raise LostProcessError(doing, torch.distributed.get_rank(), lost or (), seconds) from error


def _missing(group: Group) -> list[int] | None:
    """The ranks of those that do not report, as this process does now; None where nobody can tell."""
    ranks = torch.distributed.get_process_group_ranks(group or torch.distributed.group.WORLD)
    try:
        store = _c10d()._get_default_store()
        store.set(f"logq/failed/{torch.distributed.get_rank()}", "1")
        ends = time.monotonic() + REPORT_SECONDS
        while True:
            lost = [rank for rank in ranks if not store.check([f"logq/failed/{rank}"])]
            if not lost or time.monotonic() > ends:
                return lost
            time.sleep(0.05)
    except RuntimeError:  # the store was with a process that has ended
        return None


def add_up(tensor: Tensor, doing: str, group: Group = None) -> None:
    """Replace a tensor by its sum over processes.

    Args:
        tensor: of the same shape in all.
        doing: what it is for, should another process be lost: "add up gradients".
        group: the processes.

    Example:
        >>> add_up(torch.tensor([1.0]), "count")
    """
    if world(group).size > 1:
        with _waiting(f"{doing} (all_reduce)", group):
            torch.distributed.all_reduce(tensor, group=group)


def take_from_first(tensor: Tensor, doing: str, group: Group = None) -> None:
    """Replace a tensor by that of the first process.

    Args:
        tensor: of the same shape in all.
        doing: what it is for, should another process be lost.
        group: the processes.

    Example:
        >>> take_from_first(torch.tensor([1.0]), "share weights")
    """
    if world(group).size > 1:
        with _waiting(f"{doing} (broadcast)", group):
            first = 0 if group is None else torch.distributed.get_global_rank(group, 0)
            torch.distributed.broadcast(tensor, first, group=group)


@dataclass
class Traffic:
    """What this process sent to others: see `traffic`.

    Example:
        >>> Traffic().bytes_sent
        0
    """

    bytes_sent: int = 0
    messages: int = 0


_COUNTED: list[Traffic] = []


@contextlib.contextmanager
def traffic() -> Generator[Traffic, None, None]:
    """Count the bytes that this process sends to others by the exchanges of this module, gradients' way back included.

    Example:
        >>> with traffic() as sent:
        ...     _ = exchange(torch.ones(2, 1), [2], [2])
        >>> sent.bytes_sent  # to itself
        0
    """
    counted = Traffic()
    _COUNTED.append(counted)
    try:
        yield counted
    finally:
        _COUNTED[:] = [other for other in _COUNTED if other is not counted]


def _count(rows: int, like: Tensor) -> None:
    for counted in _COUNTED:
        counted.bytes_sent += rows * math.prod(like.shape[1:]) * like.element_size()
        counted.messages += 1


def all_counts(count: int, device: torch.device | str = "cpu", group: Group = None) -> list[int]:
    """The number that each process of a group hands in, in the order of ranks.

    Example:
        >>> all_counts(3)
        [3]
    """
    size = world(group).size
    if size == 1:
        return [count]
    found = torch.empty(size, dtype=torch.int64, device=device)
    with _waiting("compare numbers of rows (all_gather)", group):
        torch.distributed.all_gather(list(found.split(1)), torch.tensor([count], device=device), group=group)
        return found.tolist()


def received_counts(sent: Sequence[int], device: torch.device | str = "cpu", group: Group = None) -> list[int]:
    """How many rows come from each rank, where so many go to each: what `exchange` wants to know of the others.

    Example:
        >>> received_counts([3])
        [3]
    """
    one_each = [1] * len(sent)
    return exchange(torch.tensor(sent, device=device), one_each, one_each, group).tolist()


def exchange(rows: Tensor, sent: Sequence[int], received: Sequence[int], group: Group = None) -> Tensor:
    """Rows for each process, for what the others have for this one; gradients go the same way back.

    Args:
        rows: (N, ...) first those for rank 0, then those for rank 1 and so on.
        sent: how many rows go to each rank; their sum is N.
        received: how many come from each rank: what that rank has in its `sent` for this one.
        group: the processes; all of them exchange at once.

    Returns:
        (M, ...) in the order of the ranks that sent them, M the sum of `received`.

    Example:
        >>> exchange(torch.tensor([[1.0], [2.0]]), [2], [2])
        tensor([[1.],
                [2.]])
    """
    if _size(group) == 1:
        return rows
    return cast(Tensor, _Exchange.apply(rows, list(sent), list(received), group))


def all_rows(
    rows: Tensor, counts: Sequence[int] | None = None, group: Group = None, *, doing: str = "gather rows"
) -> Tensor:
    """The rows of all processes in the order of ranks.

    Differentiable: the gradient of a process's rows is the sum of what all processes have for them, added up in the
    order of ranks, so that it is the same bits each time.

    Args:
        rows: (N, ...) of this process; N may differ from process to process.
        counts: the N of each rank; they are asked for without it (see all_counts).
        group: the processes.
        doing: what it is for, should another process be lost.

    Example:
        >>> all_rows(torch.tensor([[1.0, 2.0]]))
        tensor([[1., 2.]])
    """
    if _size(group) == 1:
        return rows
    counts = all_counts(len(rows), rows.device, group) if counts is None else list(counts)
    return cast(Tensor, _AllRows.apply(rows, counts, group, doing))


def all_bytes(
    own: bytes, device: torch.device | str = "cpu", group: Group = None, *, doing: str = "gather bytes"
) -> list[bytes]:
    """What each process of a group hands in, in the order of ranks; without pickle.

    Args:
        own: of this process.
        device: that the group's exchanges use.
        group: the processes.
        doing: what it is for, should another process be lost.

    Example:
        >>> all_bytes(b"mine")
        [b'mine']
    """
    if world(group).size == 1:
        return [own]
    counts = all_counts(len(own), device, group)
    if not any(counts):
        return [b""] * len(counts)
    rows = torch.frombuffer(bytearray(own or b" "), dtype=torch.uint8).to(device)[: len(own)]
    return [part.numpy().tobytes() for part in all_rows(rows, counts, group, doing=doing).cpu().split(counts)]


def bytes_from_first(
    own: bytes, device: torch.device | str = "cpu", group: Group = None, *, doing: str = "share bytes"
) -> bytes:
    """What the first process of a group hands in, in all of them.

    Example:
        >>> bytes_from_first(b"mine")
        b'mine'
    """
    if world(group).size == 1:
        return own
    is_first = world(group).is_first
    length = torch.tensor([len(own) if is_first else 0], device=device)
    take_from_first(length, doing, group)
    if is_first:
        shared = torch.frombuffer(bytearray(own or b" "), dtype=torch.uint8)[: len(own)].to(device)
    else:
        shared = torch.empty(int(length), dtype=torch.uint8, device=device)
    if len(shared):
        take_from_first(shared, doing, group)
    return shared.cpu().numpy().tobytes()


def _exchanged(rows: Tensor, sent: list[int], received: list[int], group: Group) -> Tensor:
    found = rows.new_empty((sum(received), *rows.shape[1:]))
    with _waiting("exchange rows (all_to_all)", group):
        torch.distributed.all_to_all_single(found, rows.contiguous(), received, sent, group=group)
    _count(len(rows) - sent[torch.distributed.get_rank(group)], rows)
    return found


class _Exchange(torch.autograd.Function):
    """Its backward is the exchange in the other direction."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sent: list[int], received: list[int], group: Group) -> Tensor:
        ctx.sent, ctx.received, ctx.group = sent, received, group
        return _exchanged(rows, sent, received, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _exchanged(grads[0], ctx.received, ctx.sent, ctx.group), None, None, None


class _AllRows(torch.autograd.Function):
    """Its backward gives each process the parts of all others for its rows, and adds them up.

    A reduce-scatter moves as many bytes, but gloo has none, and the order of its sums is not ours.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int], group: Group, doing: str) -> Tensor:
        ctx.counts, ctx.group, ctx.own = counts, group, len(rows)
        longest, size = max(counts), len(counts)
        if longest == 0:
            return rows.new_empty(rows.shape)
        if longest * size > MOST_PADDING * sum(counts):
            # Exact numbers, from as many copies of the own rows as there are processes.
            return _exchanged(rows.repeat(size, *[1] * (rows.dim() - 1)), [len(rows)] * size, counts, group)
        padded = rows.new_zeros((longest, *rows.shape[1:]))
        padded[: len(rows)] = rows
        found = rows.new_empty((size * longest, *rows.shape[1:]))
        with _waiting(f"{doing} (all_gather)", group):
            torch.distributed.all_gather(list(found.split(longest)), padded, group=group)
        _count(longest * (size - 1), padded)
        if min(counts) == longest:
            return found
        return torch.cat([found[rank * longest : rank * longest + count] for rank, count in enumerate(counts)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        parts = _exchanged(grads[0], ctx.counts, [ctx.own] * len(ctx.counts), ctx.group)
        return parts.view(len(ctx.counts), ctx.own, *parts.shape[1:]).sum(0), None, None, None
