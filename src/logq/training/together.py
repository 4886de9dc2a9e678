"""Together: what the processes that train one model share in each step: numbers of targets, gradients and decisions."""

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from logq.distributed.sharded_embedding import ShardedEmbedding
from logq.optim import clip_grad_norm_
from logq.optim.gradients import coalesced
from logq.process_start import all_or_none, check_same
from logq.processes import add_up, all_rows, take_from_first, world
from logq.samplers.sampler import Sampler
from logq.training.devices import Device
from logq.training.interrupts import StopRequest, stop_requests
from logq.training.optimizers import Optimizers
from logq.training.task import Task

__all__ = ["Alone", "Shared", "Together", "share_gradients"]

EXTRA_STATE = "_extra_state"
"""How names of the states of samplers end in a state_dict; their lengths depend on what was drawn for."""

BUCKET_BYTES = 25 << 20
"""Dense gradients that are added up in one message: enough for its latency not to count."""


class Shared(NamedTuple):
    """What is known of a step when it is done.

    Args:
        loss: the mean over the targets of all of them; not finite if that of one is not.
        examples: their number in all of them.
        stops: whether one was asked to stop.
        saves: whether it is time for a checkpoint of all.

    Example:
        >>> Shared(0.5, 64).examples
        64
    """

    loss: float
    examples: int
    stops: bool = False
    saves: bool = False


class Alone:
    """The steps of one process, which has nobody to share them with.

    Example:
        >>> Alone().read([(torch.tensor(0.5), 64)])
        [Shared(loss=0.5, examples=64, stops=False, saves=False)]
    """

    is_due: Callable[[], bool] | None = None
    """Whether it is time for a checkpoint, which is asked in each step of several processes."""

    may_save = True
    """Whether a KeyboardInterrupt may be answered by a checkpoint: all processes have to make it together."""

    @contextlib.contextmanager
    def running(self, *, resumed: bool = False) -> Generator[None, None, None]:
        """The block of a training, which may be one that goes on."""
        yield

    def stop(self) -> None:
        """Stop the training.

        Raises:
            KeyboardInterrupt: always.
        """
        raise KeyboardInterrupt

    def stop_if_asked(self) -> None:
        """Stop if any process was asked to after its last step; Ctrl-C is not put off here."""

    def scaled(self, loss: Tensor, batch: Mapping[str, Tensor], count: int) -> tuple[Tensor, Tensor]:
        """The loss, for `backward` and for `read`."""
        return loss, loss.detach()

    def read(self, steps: Sequence[tuple[Tensor, int]]) -> list[Shared]:
        """Steps by their losses and numbers of examples, with one wait for a device."""
        losses = torch.stack([loss for loss, _ in steps]).tolist() if steps else []
        return [Shared(loss, count) for loss, (_, count) in zip(losses, steps, strict=True)]

    def share_gradients(self) -> None:
        """Leave the gradients as they are."""

    def clip(self, parameters: Iterable[Tensor], max_norm: float) -> None:
        """Scale gradients down to a norm."""
        clip_grad_norm_(parameters, max_norm)

    def agreed(self, check: Callable[[], None]) -> None:
        """A check that raises."""
        check()


class Together(Alone):
    """Makes the steps of several processes one step of them all.

    The loss of process r is a mean over its m_r targets, or by weights of sum m_r. That of a step is the mean over all

        loss = sum_r m_r loss_r / M,    M = sum_r m_r

    so each process takes the gradient of m_r / M loss_r, and gradients are added up: W processes with n examples each
    do what one would do with W n. One message of five numbers tells them M before `backward`, and with it the loss,
    which is not finite for any of them where it is not for one, whether one was asked to stop, and whether the first
    finds it time for a checkpoint.

    Tables of which each process has a part (ShardedEmbedding) are left out of that: their rows begin alike by
    themselves, their gradients are added up by the owners, and norms of gradients are those of all parts.

    Args:
        task: what is trained.
        device: where.
        optimizers: of its parameters.

    Example:
        See logq.training.Loop, which makes one where there are several processes.
    """

    def __init__(self, task: Task, device: Device, optimizers: Optimizers) -> None:
        self._task, self._device, self._optimizers = task, device, optimizers
        self._tables = [part for part in task.module.modules() if isinstance(part, ShardedEmbedding)]
        self._own = {id(table.weight) for table in self._tables}
        self._request = StopRequest()
        self.may_save = False

    @contextlib.contextmanager
    def running(self, *, resumed: bool = False) -> Generator[None, None, None]:
        """The block of a training, in which all begin with the weights and states of the first one.

        Args:
            resumed: whether each process has its own state already, as a checkpoint of as many had it: what a recurrent
                model carries from batch to batch, and the memory of a sampler, are not those of the first one.

        Raises:
            ArgumentError: a table or its shape differs.
        """
        with stop_requests() as self._request:
            self._begin(resumed)
            yield

    def stop(self) -> None:
        """As in Alone; all processes come here after the same step."""
        self.may_save = True
        raise KeyboardInterrupt

    def stop_if_asked(self) -> None:
        """As in Alone; all processes call it at once."""
        asked = torch.tensor(float(bool(self._request)), device=self._device.torch_device)
        add_up(asked, "see whether to stop")
        if asked > 0:
            self.stop()

    @torch.no_grad()
    def _begin(self, resumed: bool) -> None:
        module = self._task.module
        own = {name for name, value in module.state_dict(keep_vars=True).items() if id(value) in self._own}
        for part in module.modules():
            if isinstance(part, Sampler):
                part.learn_from_all()
        state = {name: value for name, value in module.state_dict().items() if name not in own}
        compared = {name: value for name, value in state.items() if not (resumed and name.endswith(EXTRA_STATE))}
        shapes = {
            f"table {i}": f"{one.weight.dtype} {(one.num_rows, *one.row_shape)}" for i, one in enumerate(self._tables)
        }
        check_same(shapes | {name: f"{value.dtype} {tuple(value.shape)}" for name, value in compared.items()})
        if resumed:
            return
        for name, value in state.items():
            there = value.to(self._device.torch_device)
            take_from_first(there, "share the first weights")
            state[name] = there.to(value.device)  # states of samplers lie on the CPU
        module.load_state_dict(state, strict=not own)

    def scaled(self, loss: Tensor, batch: Mapping[str, Tensor], count: int) -> tuple[Tensor, Tensor]:
        """The part of a process in the loss of all, for `backward`; and what all share, for `read`.

        Args:
            loss: the mean over the targets of the batch of this process.
            batch: of this process.
            count: number of its examples.
        """
        mass = self._task.mass(batch, count)
        own = loss.new_empty(5, dtype=torch.float64, requires_grad=False)
        own[1], own[2], own[3] = mass, count, bool(self._request)
        own[4] = self._device.world.is_first and self.is_due is not None and self.is_due()
        own[0] = torch.where(own[1] > 0, loss.detach() * own[1], 0.0)
        share = own[1].clone()
        add_up(own, "add up losses and numbers of targets")
        return loss * (share / own[1].clamp(min=torch.finfo(torch.float64).tiny)).to(loss.dtype), own

    def read(self, steps: Sequence[tuple[Tensor, int]]) -> list[Shared]:
        """Steps by what was shared in them."""
        rows = torch.stack([shared for shared, _ in steps]).tolist() if steps else []
        return [
            Shared(total / mass if mass else 0.0, int(count), stops > 0, saves > 0)
            for total, mass, count, stops, saves in rows
        ]

    def share_gradients(self) -> None:
        """Give every process the sum of all gradients, or the owner of a row alone."""
        for table in self._tables:
            table.collect_gradients()
        dense, lazy = (
            [one for one in of if id(one) not in self._own] for of in (self._optimizers.dense, self._optimizers.lazy)
        )
        share_gradients(dense, lazy)

    @torch.no_grad()
    def clip(self, parameters: Iterable[Tensor], max_norm: float) -> None:
        """Scale gradients down to a norm, that of all rows of all processes together."""
        if not self._tables:
            return super().clip(parameters, max_norm)
        every = list(parameters)
        parts = [table.weight for table in self._tables]
        squares = clip_grad_norm_(parts, math.inf).double().square()
        add_up(squares, "add up norms of gradients")
        whole = clip_grad_norm_([one for one in every if id(one) not in self._own], math.inf).double()
        factor = max_norm / (float((squares + whole.square()).sqrt()) + 1e-6)
        for one in every if factor < 1 else ():
            if one.grad is not None:
                (one.grad._values() if one.grad.is_sparse else one.grad).mul_(factor)

    def agreed(self, check: Callable[[], None]) -> None:
        """A check that raises: in all processes where it does in one, as each looks at rows of its own."""
        all_or_none(check, self._device.torch_device) if self._tables else check()


@torch.no_grad()
def share_gradients(dense: Sequence[Tensor], tables: Sequence[Tensor] = ()) -> None:
    """Add up gradients over processes: dense ones in a few large messages, and of sparse ones the rows that they have.

    A sum is the same bits in all processes. A parameter without a gradient counts as one with zeros.

    Args:
        dense: parameters with dense gradients.
        tables: parameters with gradients of few rows, in sparse COO tensors.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> layer(torch.ones(1, 2)).sum().backward()
        >>> share_gradients(list(layer.parameters()))
        >>> layer.weight.grad
        tensor([[1., 1.]])
    """
    alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for table, counts in zip(tables, _numbers_of_rows(tables), strict=True):
        if min(counts) >= 0:
            _share_rows(table, counts)
            continue
        # A table that is also used as a whole has a dense gradient: one is enough for all to have one.
        if table.grad is not None and table.grad.is_sparse:
            table.grad = table.grad.to_dense()
        dense = [*dense, table]
    for parameter in dense:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        alike.setdefault((parameter.grad.dtype, parameter.grad.device), []).append(parameter.grad)
    for gradients in alike.values():
        for bucket in _buckets(gradients):
            if len(bucket) == 1 and bucket[0].is_contiguous():
                add_up(bucket[0], "add up gradients")
                continue
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            add_up(flat, "add up gradients")
            parts = flat.split([gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))


def _numbers_of_rows(tables: Sequence[Tensor]) -> list[list[int]]:
    """For each table how many rows have a gradient in each process, -1 for a dense one."""
    if not tables:
        return []
    own: list[int] = []
    for table in tables:
        if table.grad is not None and table.grad.is_sparse:
            table.grad = coalesced(table.grad)
        own.append(0 if table.grad is None else table.grad._nnz() if table.grad.is_sparse else -1)
    numbers = torch.tensor([own], device=tables[0].device)
    found: list[list[int]] = all_rows(
        numbers, [1] * world().size, doing="compare numbers of rows with gradients"
    ).T.tolist()
    return found


def _share_rows(table: Tensor, counts: list[int]) -> None:
    """Replace a sparse gradient by the rows of all processes, in the order of ranks."""
    if table.grad is None:
        ids = torch.zeros(0, dtype=torch.int64, device=table.device)
        rows = table.new_zeros(0, *table.shape[1:])
    else:
        ids, rows = table.grad._indices()[0], table.grad._values()
    every = all_rows(ids, counts, doing="gather ids of rows with gradients")
    values = all_rows(rows, counts, doing="gather gradients of rows")
    table.grad = torch.sparse_coo_tensor(
        every[None], values, table.shape, check_invariants=False, requires_grad=False, is_coalesced=False
    )


def _buckets(gradients: Sequence[Tensor]) -> list[list[Tensor]]:
    found: list[list[Tensor]] = []
    size = BUCKET_BYTES
    for gradient in gradients:
        size += gradient.numel() * gradient.element_size()
        if size > BUCKET_BYTES:
            found.append([])
            size = gradient.numel() * gradient.element_size()
        found[-1].append(gradient)
    return found
