"""Tables of vectors that codes of users, items and values look up."""

import contextlib
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float, check_int
from logq.distributed.sharded_embedding import ShardedEmbedding, normal_rows
from logq.processes import world
from logq.recommenders.encoding.row_means import mean_of_padded, mean_of_rows, mean_weights
from logq.shapes import can_look_at, check_ids, check_shape
from logq.tracing import has_numbers, keeps_sizes

__all__ = [
    "IdTable",
    "PaddedRows",
    "ShardedTable",
    "Table",
    "column",
    "end_of",
    "filled",
    "makes_parts",
    "not_whole",
    "select_rows",
    "table_of_ids",
    "tables_in_parts",
]


ROWS = 1 << 16
"""Vectors that are made at a time."""


class PaddedRows(nn.Module):
    """What looks up vectors by codes, and has 0 where one is -1.

    Example:
        >>> Table(10, 4, std=0.1).padded(torch.tensor([[3, -1]]))[0, 1]
        tensor([0., 0., 0., 0.], grad_fn=<SelectBackward0>)
    """

    sparse: bool
    """Whether gradients have only the rows that were looked up."""

    def padded(self, codes: Tensor) -> Tensor:
        """The vectors (*codes, dim) of codes, and 0 where one is -1."""
        return self(filled(codes, sparse=self.sparse)).masked_fill((codes < 0)[..., None], 0.0)


class Table(PaddedRows):
    """Vectors of codes 0 .. n - 1, where -1 is not one of them.

    Args:
        num_rows: n.
        dim: width of a vector.
        std: of the normal distribution of the first vectors, drawn from torch's global generator.
        sparse: whether `weight` gets sparse gradients, for the optimizers of logq.optim.

    Example:
        >>> table = Table(10, 4, std=0.1)
        >>> table(torch.tensor([3, 3, 9])).shape, table.mean(torch.tensor([[3, 5, -1], [-1, -1, -1]])).shape
        (torch.Size([3, 4]), torch.Size([2, 4]))
    """

    def __init__(self, num_rows: int, dim: int, *, std: float, sparse: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(check_int("num_rows", num_rows), check_int("dim", dim)))
        self.sparse = check_bool("sparse", sparse)
        self.std = std
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new random vectors."""
        nn.init.normal_(self.weight, std=self.std)

    def forward(self, codes: Tensor) -> Tensor:
        """The vectors (*codes, dim) of codes that are all there."""
        return embedding(codes, self.weight, sparse=self.sparse)

    def mean(self, codes: Tensor, decay: float = 1.0) -> Tensor:
        """The mean (B, dim) of the vectors of each row of codes (B, W), padded with -1; 0 for a row without a code.

        Args:
            codes: int64.
            decay: what each code counts relative to the next one of its row.
        """
        if keeps_sizes(codes):
            return mean_of_padded(self.padded(codes), codes, decay)
        if not self.sparse:
            return mean_of_rows(self.weight, codes, decay)
        # Only codes are looked up, so that padding leaves no row in a sparse gradient.
        weights = mean_weights(codes, decay, self.weight.dtype)
        is_code = codes >= 0
        counts = is_code.sum(dim=1)
        starts = counts.cumsum(dim=0) - counts
        each = None if weights is None else weights[is_code]
        mode = "mean" if each is None else "sum"
        return embedding_bag(codes[is_code], self.weight, starts, mode=mode, sparse=True, per_sample_weights=each)

    own = None
    """No process has a part."""

    @property
    def plain(self) -> nn.Parameter:
        """The vectors (n, dim) as a parameter, whose rows a loss can touch one by one."""
        return self.weight

    def every(self) -> Tensor:
        """The vectors (n, dim) of all codes."""
        return self.weight

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Take these vectors (m, dim) to begin with, of the first m codes."""
        self.weight[: len(vectors)] = vectors.to(self.weight)

    @torch.no_grad()
    def clear(self, code: int) -> None:
        """Let the vector of a code be 0."""
        self.weight[code] = 0

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}" + ", sparse" * self.sparse


class ShardedTable(ShardedEmbedding, PaddedRows):
    """A Table of which each process has, and updates, a part; see ShardedEmbedding. All processes ask it at once.

    Args:
        num_rows: n.
        dim: width of a vector.
        std: of the normal distribution of the first vectors, which depend on the code and the seed alone.
        seed: of these.
        sparse: as for `Table`.

    Example:
        >>> table = ShardedTable(10, 4, std=0.1, seed=1)
        >>> table(torch.tensor([3, 3, 9])).shape, table.mean(torch.tensor([[3, 5, -1], [-1, -1, -1]])).shape
        (torch.Size([3, 4]), torch.Size([2, 4]))
    """

    plain = None
    """No loss can touch the vectors one by one, as those of others come when they are asked for."""

    def __init__(self, num_rows: int, dim: int, *, std: float, seed: int, sparse: bool = True) -> None:
        super().__init__(num_rows, dim, init=partial(normal_rows, dim=dim, std=std, seed=seed), sparse=sparse)
        self.std = std

    @property
    def own(self) -> nn.Parameter:
        """The vectors of the codes that this process owns."""
        return self.weight

    def mean(self, codes: Tensor, decay: float = 1.0) -> Tensor:
        """The mean (B, dim) of the vectors of each row of codes (B, W), as that of a Table."""
        is_code = codes >= 0
        rows, place = self.distinct(codes[is_code])
        places = torch.full_like(codes, -1).masked_scatter(is_code, place)
        return mean_of_rows(rows, places, decay)

    def every(self) -> Tensor:
        """No process has all vectors.

        Raises:
            ArgumentError: always.
        """
        raise not_whole(self)

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Take these vectors (m, dim) to begin with, of the first m codes, of which each process takes its own."""
        own = self.own_ids()
        rows = (own < len(vectors)).nonzero()[:, 0]
        self.weight[rows.to(self.weight.device)] = vectors[own[rows].to(vectors.device)].to(self.weight)

    @torch.no_grad()
    def clear(self, code: int) -> None:
        """Let the vector of a code be 0."""
        self.weight[self.own_ids() == code] = 0


def not_whole(table: ShardedEmbedding) -> ArgumentError:
    """What is raised where all rows of a table in parts are needed.

    Example:
        >>> print(not_whole(ShardedTable(10, 4, std=0.1, seed=1)))
        tables: expected a model that this process has whole, got one of which each of 1 processes has a part; save() \
writes it whole, and logq.load reads it in one process; write_vector_shards() writes its vectors
    """
    hint = "save() writes it whole, and logq.load reads it in one process; write_vector_shards() writes its vectors"
    got = Verbatim(f"one of which each of {table.part.size} processes has a part")
    return ArgumentError("tables", "a model that this process has whole", got, hint)


_in_parts: ContextVar[bool] = ContextVar("in_parts", default=False)
"""Whether tables of ids are made in parts."""


@contextlib.contextmanager
def tables_in_parts(in_parts: bool = True) -> Generator[None, None, None]:
    """A block in which the tables of users and items that a model makes are ones of which each process has a part.

    Example:
        >>> with tables_in_parts():
        ...     type(table_of_ids(10, 4, std=0.1)).__name__  # as there is one process, which has all
        'Table'
    """
    before = _in_parts.set(in_parts)
    try:
        yield
    finally:
        _in_parts.reset(before)


def makes_parts() -> bool:
    """Whether what is made now for each user or item is to be in parts, and there are several processes.

    Example:
        >>> makes_parts()
        False
    """
    return _in_parts.get() and world().size > 1


def table_of_ids(num_rows: int, dim: int, *, std: float, sparse: bool = False) -> Table | ShardedTable:
    """A table of users or items: whole, or in parts where `tables_in_parts` says so and there are several processes.

    First vectors are the same for any number of processes there, so that one begins with those too. Arguments as for
    `Table`.

    Example:
        >>> table_of_ids(10, 4, std=0.1)
        Table(10, 4)
    """
    if not _in_parts.get():
        return Table(num_rows, dim, std=std, sparse=sparse)
    seed = int(torch.randint(1 << 62, ()))
    if makes_parts():
        return ShardedTable(num_rows, dim, std=std, seed=seed, sparse=sparse)
    with torch.random.fork_rng(devices=[]):  # what is drawn next must not depend on the number of processes
        table = Table(num_rows, dim, std=std, sparse=sparse)
    with torch.no_grad():
        for part in torch.arange(num_rows).split(ROWS):
            table.weight[part] = normal_rows(part, dim, std, seed).to(table.weight)
    return table


def filled(codes: Tensor, *, sparse: bool) -> Tensor:
    """Codes with others instead of -1: with one of them, if a sparse gradient shall get no row that it would not have.

    Example:
        >>> filled(torch.tensor([[3, -1], [5, 4]]), sparse=True)
        tensor([[3, 5], [5, 4]])
    """
    if not sparse or not has_numbers(codes) or codes.numel() == 0:  # a graph computes no gradient
        return codes.clamp(min=0)
    return codes.where(codes >= 0, codes.amax().clamp(min=0))


class IdTable(nn.Module):
    """Vectors of users or items 0 .. n - 1, and one more for whoever is unknown: -1, or n and above.

    That one starts at 0. In training it replaces others at random, so that it learns what to be.

    Args:
        num_ids: n.
        dim: width of a vector.
        std: as for `Table`.
        dropout: how often an id counts as unknown in training, in [0, 1).
        sparse: as for `Table`.

    Example:
        >>> users = IdTable(10, 4, std=0.1)
        >>> users(torch.tensor([-1]))
        tensor([[0., 0., 0., 0.]], grad_fn=<EmbeddingBackward0>)
    """

    def __init__(self, num_ids: int, dim: int, *, std: float, dropout: float = 0.0, sparse: bool = False) -> None:
        super().__init__()
        self.num_ids = num_ids
        self.dropped = check_float("dropout", dropout, at_least=0, at_most=0.999)
        self.table = table_of_ids(num_ids + 1, dim, std=std, sparse=sparse)
        self.table.clear(num_ids)

    def forward(self, ids: Tensor) -> Tensor:
        """(B,) -> (B, dim)."""
        is_unknown = (ids < 0) | (ids >= self.num_ids)
        if self.training and self.dropped:
            is_unknown |= torch.rand(ids.shape, device=ids.device) < self.dropped
        return self.table(ids.masked_fill(is_unknown, self.num_ids))

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Take these vectors (n, dim) to begin with; that of the unknown stays 0."""
        self.table.start_at(vectors)

    def mean(self, ids: Tensor, decay: float = 1.0) -> Tensor:
        """The mean (B, dim) of the vectors of each row of ids (B, W), padded with -1; 0 for a row without one."""
        return self.table.mean(ids.clamp(max=self.num_ids), decay)


class _SelectRows(torch.autograd.Function):
    """Distinct rows of a tensor. That they are distinct makes the backward a copy, where autograd's adds."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.size = value.shape[0]  # pyright: ignore[reportAttributeAccessIssue]
        return value.index_select(0, rows)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        gradient = gradients[0]
        whole = gradient.new_zeros(ctx.size, *gradient.shape[1:])  # pyright: ignore[reportAttributeAccessIssue]
        return whole.index_copy(0, rows, gradient), None


def select_rows(value: Tensor, rows: Tensor) -> Tensor:
    """value[rows] for rows that are all different.

    Example:
        >>> select_rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0]))
        tensor([[3.],
                [1.]])
    """
    return _SelectRows.apply(value, rows)  # pyright: ignore[reportReturnType]


def column(batch: Mapping[str, Tensor], name: str, size: int, letters: str | None = None) -> Tensor:
    """A column of codes in [0, size) or -1 of a batch.

    Raises:
        KeyError: the batch lacks it.
        TypeError, ValueError: it is not int64, has another shape, or a code is out of range.

    Example:
        >>> column({"user": torch.tensor([0, 7])}, "user", 5)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: user: expected class ids in [0, 5) or ignore_index = -1, got 7 at position (1,)
    """
    if name not in batch:
        raise KeyError(f"{name}: the model needs this column, the batch has {', '.join(map(str, batch)) or 'none'}")
    codes = batch[name]
    check_ids(name, codes, size, ignore_index=-1)
    if letters is not None:
        check_shape(name, codes, letters, {})
    return codes


def end_of(name: str, codes: Tensor) -> Tensor:
    """How many codes there are in each row of (B, L), which must come before all padding.

    Raises:
        ValueError: a row has padding before a code.

    Example:
        >>> end_of("history", torch.tensor([[4, 2, -1], [-1, -1, -1]]))
        tensor([2, 0])
    """
    is_code = codes >= 0
    if can_look_at(codes):
        late = is_code[:, 1:] & ~is_code[:, :-1]
        if bool(late.any()):
            row, place = (int(i) for i in late.nonzero()[0])
            raise ArgumentError(name, "padding (-1) at the end of a row", Verbatim(f"-1 at position ({row}, {place})"))
    return is_code.sum(dim=1)
