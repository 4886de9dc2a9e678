"""ShardedEmbedding: rows that processes look up, of which each has a part, as a module among others."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from logq import kernels
from logq._arguments import check_bool
from logq.distributed.fetched_rows import RowRequest
from logq.distributed.row_messages import arrived
from logq.distributed.table_part import Initial, TablePart
from logq.graph_breaks import outside_of_graphs
from logq.kernels.distributions import random_bits, shifted
from logq.optim import SGD
from logq.processes import Group, exchange
from logq.shapes import check_ids

__all__ = ["ShardedEmbedding", "normal_rows"]


def normal_rows(ids: Tensor, dim: int, std: float, seed: int) -> Tensor:
    """First rows (N, D) from a normal distribution, in float64, which depend on the id and the seed alone.

    Args:
        ids: (N,) int64.
        dim: D.
        std: of the distribution.
        seed: of the table.

    Example:
        >>> torch.equal(normal_rows(torch.tensor([7, 9]), 4, 1.0, 1)[1], normal_rows(torch.tensor([9]), 4, 1.0, 1)[0])
        True
    """
    positions = 2 * (ids[:, None] * dim + torch.arange(dim, device=ids.device))
    one, other = (shifted(random_bits(seed, positions + i), 11).double() * 2.0**-53 for i in range(2))  # in [0, 1)
    return std * (-2 * (1 - one).log()).sqrt() * (2 * math.pi * other).cos()  # Box and Muller


class _Fetched:
    """Rows that were looked up in a step, and their gradient, once there is one."""

    def __init__(self, request: RowRequest, asked: Tensor) -> None:
        self.request, self.asked = request, asked
        self.gradient: Tensor | None = None

    def take(self, gradients: list[Tensor]) -> None:
        (gradient,) = gradients
        self.gradient = gradient if self.gradient is None else self.gradient + gradient


class ShardedEmbedding(nn.Module):
    """Rows (N, D) that are looked up by ids, of which each process has, and updates, a part.

    Where ShardedClassTable is a table of classes that updates itself, this is a module: `weight` has the own rows, in
    the order of `own_ids`, and is a parameter like others, for optimizers, averages, clipping and checkpoints. A lookup
    brings rows from their owners. Gradients wait where the rows went until `collect_gradients`, which all processes
    call after `backward`:

        loss(embedding(ids)).backward()
        embedding.collect_gradients()           # weight.grad is then the sum of what all processes have for own rows
        optimizer.step()

    So what `backward` does need not be the same in all processes, only which lookups were made before it. The sum is
    that of the gradients, in the order of ranks: for the mean over all processes each one scales its loss.

    Args:
        num_rows: N, of all processes together.
        dim: D; None for rows that are a number each, so that `weight` is (n,).
        init: (n,) ids -> (n, D), their first rows; None draws them as ShardedClassTable does. They do not depend on
            the number of processes.
        seed: of the first rows; the same in all processes.
        sparse: whether the gradient has only the rows that were looked up, for the optimizers of logq.optim.
        group: the processes; None for all.
        device, dtype: of the rows, torch's defaults if None.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described, or there are fewer rows than processes.

    Example:
        >>> embedding = ShardedEmbedding(10, 2)
        >>> embedding(torch.tensor([[3, 3, 9]])).sum().backward()
        >>> embedding.collect_gradients()
        >>> rows = embedding.weight.grad.coalesce()
        >>> embedding.own_ids()[rows.indices()[0]], rows.values()
        (tensor([9, 3]), tensor([[1., 1.],
                [2., 2.]]))
    """

    def __init__(
        self,
        num_rows: int,
        dim: int | None,
        *,
        init: Initial | None = None,
        seed: int = 0,
        sparse: bool = True,
        group: Group = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        # The part's own optimizer is never asked; SGD has no states.
        self.part = TablePart(
            num_rows,
            1 if dim is None else dim,
            SGD,
            bias=False,
            init=init,
            seed=seed,
            group=group,
            device=device,
            dtype=dtype,
            progress=False,
        )
        self.num_rows, self.dim = num_rows, self.part.dim
        self.row_shape: tuple[int, ...] = () if dim is None else (dim,)
        self.weight: nn.Parameter = self.part.weight
        if dim is None:
            self.weight = nn.Parameter(self.weight.detach().view(-1))
        self.sparse = check_bool("sparse", sparse)
        self._fetched: list[_Fetched] = []

    def own_ids(self) -> Tensor:
        """(n,) the ids of the rows in `weight`."""
        return self.part.placing.ids_of(self.part.rank)

    def forward(self, ids: Tensor) -> Tensor:
        """The rows (*ids, D), or numbers of the shape of ids."""
        rows, places = self.distinct(ids.flatten())
        return nn.functional.embedding(places, rows).view(*ids.shape, *self.row_shape)

    @outside_of_graphs
    def distinct(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (U, D) of the distinct ones among ids (n,), and where the row of each is among them, (n,)."""
        check_ids("ids", ids, self.num_rows)
        part = self.part
        request = RowRequest.of(part, ids)
        back_and_forth = partial(exchange, group=part.group)
        with torch.no_grad():
            asked = back_and_forth(request.rows[:, None], request.sent, request.received)[:, 0].long()
            rows = back_and_forth(self.weight[asked].view(-1, self.dim), request.received, request.sent)
        if torch.is_grad_enabled() and self.weight.requires_grad:
            self._fetched.append(_Fetched(request, asked))
            rows, _ = arrived(rows, None, self._fetched[-1].take)
        return rows, request.inverse

    @torch.no_grad()
    def collect_gradients(self) -> None:
        """Bring the gradients of all rows that were looked up since the last time to their owners, into `weight.grad`.

        All processes call it at once. A sparse gradient is one also where it has no rows, and replaces what was there.
        A dense one, without `sparse` or where `backward` left one of the own rows there, is added to that.
        """
        fetched, self._fetched = self._fetched, []
        asked = [self.weight.new_zeros(0, dtype=torch.int64)]
        gradients = [self.weight.new_zeros(0, self.dim)]
        for one in fetched:
            request, own = one.request, one.gradient
            own = self.weight.new_zeros(len(request.rows), self.dim) if own is None else own
            asked.append(one.asked)
            gradients.append(exchange(own, request.sent, request.received, self.part.group))
        rows, sums = torch.cat(asked), torch.cat(gradients)
        there = self.weight.grad
        if there is not None and there.is_sparse:
            there = None
        if there is not None or not self.sparse:
            total = torch.zeros_like(self.weight) if there is None else there
            total.view(-1, self.dim).index_add_(0, rows, sums)
            self.weight.grad = total
            return
        if len(rows):
            rows, sums = kernels.get("sum_rows", rows.device.type)(rows, sums)
        self.weight.grad = torch.sparse_coo_tensor(
            rows[None],
            sums.view(-1, *self.row_shape),
            self.weight.shape,
            is_coalesced=True,
            check_invariants=False,
        )

    @torch.no_grad()
    def for_first(self, ids: Tensor) -> Tensor:
        """The rows (n, D) of ids (n,) in the first process, none in the others; all ask for the same ids at once."""
        part = self.part
        places = part.placing.places(ids.to(self.weight.device))
        owners = part.placing.owners(places)
        counts = owners.bincount(minlength=part.size).tolist()
        own = self.weight[places[owners == part.rank] - part.own.start]
        sent = [len(own), *[0] * (part.size - 1)]
        found = exchange(own, sent, counts if part.rank == 0 else [0] * part.size, part.group)
        return torch.empty_like(found).index_copy_(0, owners.argsort(stable=True), found) if part.rank == 0 else found

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"{', '.join(map(str, (self.num_rows, *self.row_shape)))}, of which {len(self.weight)} rows here"
