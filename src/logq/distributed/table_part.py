"""TablePart: the rows of a sharded table that this process owns, their optimizer, and the gradients on their way in."""

import contextlib
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_int
from logq._progress import Progress
from logq.distributed.checkpoint_parts import OwnRows
from logq.distributed.placing import BUCKETS, FACTOR, Placing
from logq.distributed.row_messages import rows_and_biases
from logq.kernels import _native
from logq.kernels.distributions import random_bits, shifted
from logq.kernels.tensor_memory import prefer_huge_pages, read_ahead
from logq.kernels.updates import real_dtype
from logq.optim import RowOptimizer
from logq.processes import Group, world
from logq.shapes import check_device, check_dtype
from logq.tracing import has_numbers

__all__ = ["Initial", "MakeOptimizer", "TablePart", "random_rows"]

MakeOptimizer = Callable[[list[nn.Parameter]], RowOptimizer]
"""Such as LazyAdam, or partial(LazyAdam, lr=0.01)."""

Initial = Callable[[Tensor], Tensor]
"""(N,) classes -> (N, D), their first rows."""

ROWS_AT_ONCE = 1 << 12
"""Few enough for a cache to hold while they are made."""


def random_rows(ids: Tensor, dim: int, seed: int) -> Tensor:
    """The first rows of classes: uniform in +-1/sqrt(D), as torch.nn.Linear starts, in float64.

    They depend on the class and the seed, and on nothing else: whoever owns a class starts it alike.

    Args:
        ids: (N,) int64.
        dim: D.
        seed: of the table.

    Example:
        >>> torch.equal(random_rows(torch.tensor([7, 9]), 4, 1)[1], random_rows(torch.tensor([9]), 4, 1)[0])
        True
    """
    if ids.device.type == "cpu" and has_numbers(ids):
        rows = torch.empty(len(ids), dim, dtype=torch.float64, device="cpu")
        threads = torch.get_num_threads()
        _native.uniform_rows(ids.contiguous().numpy(), seed, math.sqrt(dim), rows.numpy(), threads=threads)
        return rows
    positions = ids[:, None] * dim + torch.arange(dim, device=ids.device)
    numbers = shifted(random_bits(seed, positions), 11).double() * 2.0**-53  # in [0, 1)
    return (2 * numbers - 1) / math.sqrt(dim)


class TablePart:
    """The part of a table (C, D) with biases (C,) that one process owns.

    Gradients are handed in as they arrive, and are applied by `step`, averaged over the processes: each process's loss
    is taken as its share of a mean, as DistributedDataParallel does.

    Args:
        num_classes: C.
        dim: D.
        optimizer: made for the own rows and biases.
        bias: whether classes have one.
        init: of the first rows; None draws them by `random_rows`.
        seed: for that.
        file: where rows and states of the optimizer lie, for what is larger than memory; None for memory.
        group: the processes.
        device, dtype: of the rows.
        progress: as in Progress.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described.

    Example:
        >>> from logq.optim import SGD
        >>> part = TablePart(10, 2, SGD)
        >>> part.weight.shape, part.own
        (torch.Size([10, 2]), range(0, 10))
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        optimizer: MakeOptimizer,
        *,
        bias: bool = True,
        init: Initial | None = None,
        seed: int = 0,
        file: str | os.PathLike[str] | None = None,
        group: Group = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        progress: bool | None = None,
    ) -> None:
        self.dim = check_int("dim", dim)
        self.group = group
        self.rank, self.size = world(group).rank, world(group).size
        self.placing = Placing(num_classes, self.size)
        self.own = self.placing.range_of(self.rank)
        self._file = None if file is None else f"{os.fspath(file)}.{self.rank}-of-{self.size}"
        device, dtype = check_device(device), check_dtype(dtype) or torch.get_default_dtype()
        if file is not None and device is not None and device.type != "cpu":
            raise ArgumentError("file", "None for a table on another device than the CPU", str(file))
        self.weight = nn.Parameter(self._memory((len(self.own), self.dim), dtype, device, "rows"))
        self.bias = nn.Parameter(self.weight.new_zeros(len(self.own))) if check_bool("bias", bias) else None
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._start_rows(init, check_int("seed", seed, 0), progress)
        self.optimizer = optimizer(self.parameters())
        if not isinstance(self.optimizer, RowOptimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError(
                "optimizer", "one of logq.optim, such as LazyAdam", Verbatim(type(self.optimizer).__name__)
            )
        self._start_states()
        self.is_new = True

    def parameters(self) -> list[nn.Parameter]:
        """The own rows, and the own biases if there are any."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def _memory(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None, name: str) -> Tensor:
        if self._file is None:
            table = torch.empty(shape, dtype=dtype, device=device)
            prefer_huge_pages(table)
            return table
        path, numbers = f"{self._file}.{name}", math.prod(shape)
        size = max(1, numbers) * dtype.itemsize
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # and not written over: another table may still lie in it
        with open(path, "xb") as file:
            # It reads as zeros, and all of its room is taken now: a disk that is full later would be a signal, which
            # ends the program in the middle of a step.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        return torch.from_file(path, shared=True, size=numbers, dtype=dtype).view(shape)

    @torch.no_grad()
    def _start_rows(self, init: Initial | None, seed: int, progress: bool | None) -> None:
        shown = progress if self.rank == 0 else False
        with Progress(len(self.own), "rows", "class table", shown) as line:
            for rows, ids in self.placing.chunks_of(self.rank, ROWS_AT_ONCE):
                ids = ids.to(self.weight.device)
                first = random_rows(ids, self.dim, seed) if init is None else init(ids)
                if first.shape != (len(ids), self.dim):
                    raise ArgumentError("init", f"rows of shape {(len(ids), self.dim)}", tuple(first.shape))
                if self._file is None or first.any():
                    self.weight[rows] = first.to(self.weight)
                line.advance(len(ids))

    def _start_states(self) -> None:
        """Make the states of the optimizer now: they are saved and loaded whole, whether or not there was a step."""
        for place, parameter in enumerate(self.parameters()):
            state = self.optimizer.state[parameter]
            for name, kept_for in self.optimizer.STATES.items():
                shape = parameter.shape if kept_for == "parameter" else parameter.shape[:1]
                made = self._memory(tuple(shape), real_dtype(parameter.dtype), parameter.device, f"{name}.{place}")
                value = self.optimizer.initial_value(self.optimizer.param_groups[0])
                state[name] = made if self._file is not None and value == 0 else made.fill_(value)
            if self.optimizer.STATES:
                state["step"] = 0

    def read_ahead(self, rows: Tensor, *, states: bool = False) -> None:
        """Let own rows (N,) be read from the file of the table, if there is one, and the optimizer's states of them."""
        if self._file is None:
            return
        read_ahead(self.weight, rows)
        if states:
            for parameter in self.parameters():
                for name in self.optimizer.STATES:
                    read_ahead(self.optimizer.state[parameter][name], rows)

    def add_gradients(self, rows: Tensor, gradients: Tensor) -> None:
        """Take gradients of own rows: (N,) int64, and (N, D + 1) with those of biases. Rows may repeat."""
        self._pending.append((rows, gradients))

    @torch.no_grad()
    def step(self) -> None:
        """Update the rows that have a gradient, by the average over the processes, and forget the gradients."""
        touched = self._pending or any(parameter.grad is not None for parameter in self.parameters())
        if not touched:
            return
        if self._pending:
            rows, gradients = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
            self._pending.clear()
            rows, gradients = kernels.get("sum_rows", rows.device.type)(rows, gradients)
            self.read_ahead(rows, states=True)
            parts = rows_and_biases(gradients / self.size, self.dim)
        else:
            rows, parts = None, (None, None)
        for parameter, part in zip(self.parameters(), parts, strict=False):
            if parameter.grad is not None:  # of a loss over all classes
                parameter.grad /= self.size
                if rows is not None and part is not None:
                    parameter.grad.index_add_(0, rows, part)
            elif rows is not None and part is not None:
                parameter.grad = torch.sparse_coo_tensor(
                    rows[None], part, parameter.shape, is_coalesced=True, check_invariants=False
                )
        self.is_new = False
        self.optimizer.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._pending.clear()
        for parameter in self.parameters():
            parameter.grad = None

    def sharded_state(self) -> dict[str, Any]:
        """What a checkpoint saves: tensors of own rows, and what is the same in all processes."""
        names = ("weight", "bias")
        options = {name: value for name, value in self.optimizer.param_groups[0].items() if name != "params"}
        state: dict[str, Any] = {
            "placing": {"buckets": BUCKETS, "factor": FACTOR},
            "options": {name: float(one) if isinstance(one, Tensor) else one for name, one in options.items()},
        }
        for name, parameter in zip(names, self.parameters(), strict=False):
            kept = dict(self.optimizer.state[parameter])
            state[name] = {"step": kept.pop("step", 0), "rows": self._own_rows(parameter)}
            state[name] |= {key: self._own_rows(value) for key, value in kept.items()}
        return state

    def _own_rows(self, tensor: Tensor) -> OwnRows:
        return OwnRows(tensor.detach(), self.own.start, self.placing.num_classes)

    def load_sharded_state(self, state: Mapping[str, Any]) -> None:
        """Take over numbers that are no tensors; those of `sharded_state` were written to.

        Raises:
            ArgumentError: the rows were placed in another way.
        """
        expected = {"buckets": BUCKETS, "factor": FACTOR}
        if state["placing"] != expected:
            raise ArgumentError("placing", f"{expected}", state["placing"])
        self.optimizer.param_groups[0].update(state["options"])
        for name, parameter in zip(("weight", "bias"), self.parameters(), strict=False):
            if self.optimizer.STATES:
                self.optimizer.state[parameter]["step"] = int(state[name]["step"])
        self.is_new = False
