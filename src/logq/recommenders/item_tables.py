"""Tables of vectors that codes of users, items and values look up."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float, check_int
from logq.kernels.backends import find_backend
from logq.kernels.passes import Entries, Passes
from logq.shapes import can_look_at, check_ids, check_shape
from logq.tracing import has_numbers, is_exported, keeps_sizes

__all__ = [
    "IdTable",
    "Table",
    "column",
    "end_of",
    "filled",
    "mean_of_padded",
    "mean_of_rows",
    "mean_weights",
    "recency_weights",
    "select_rows",
    "weighted_sum",
]


class Table(nn.Module):
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

    def padded(self, codes: Tensor) -> Tensor:
        """The vectors (*codes, dim) of codes, and 0 where one is -1."""
        return self._padded(codes, codes < 0)

    def _padded(self, codes: Tensor, is_padding: Tensor) -> Tensor:
        return self(filled(codes, sparse=self.sparse)).masked_fill(is_padding[..., None], 0.0)

    def mean(self, codes: Tensor, decay: float = 1.0) -> Tensor:
        """The mean (B, dim) of the vectors of each row of codes (B, W), padded with -1; 0 for a row without a code.

        Args:
            codes: int64.
            decay: what each code counts relative to the next one of its row; see recency_weights.
        """
        weights = mean_weights(codes, decay, self.weight.dtype)
        is_code = codes >= 0
        counts = is_code.sum(dim=1)
        if keeps_sizes(codes):
            return mean_of_padded(self._padded(codes, ~is_code), counts, weights)
        # Only codes are looked up, so that padding costs nothing and leaves no row in a sparse gradient.
        if self.sparse:
            starts = counts.cumsum(dim=0) - counts
            each = None if weights is None else weights[is_code]
            mode = "mean" if each is None else "sum"
            return embedding_bag(codes[is_code], self.weight, starts, mode=mode, sparse=True, per_sample_weights=each)
        return mean_of_rows(self.weight, codes, counts, weights)

    @property
    def plain(self) -> nn.Parameter:
        """The vectors (n, dim) as a parameter, whose rows a loss can touch one by one."""
        return self.weight

    def every(self) -> Tensor:
        """The vectors (n, dim) of all codes."""
        return self.weight

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Take these vectors (n, dim) to begin with."""
        self.weight.copy_(vectors)

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}" + ", sparse" * self.sparse


def filled(codes: Tensor, *, sparse: bool) -> Tensor:
    """Codes with others instead of -1: with one of them, if a sparse gradient shall get no row that it would not have.

    Example:
        >>> filled(torch.tensor([[3, -1], [5, 4]]), sparse=True)
        tensor([[3, 5], [5, 4]])
    """
    if not sparse or not has_numbers(codes) or codes.numel() == 0:  # a graph computes no gradient
        return codes.clamp(min=0)
    return codes.where(codes >= 0, codes.amax().clamp(min=0))


def recency_weights(
    history: Tensor,  # (B, L) int64
    decay: float,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Weights that fall by a factor with each newer item, and add up to 1 in each row.

        w_t = decay^(items of the row after t) / sum

    Args:
        history: (B, L) int64, most recent last, -1 where there is none.
        decay: in [0, 1]: 1 weighs all alike, 0 takes the last one.
        dtype: of the weights; None takes torch's default.

    Returns:
        (B, L), 0 where there is no item.

    Example:
        >>> recency_weights(torch.tensor([[7, 3, 5], [2, -1, -1]]), 0.5)
        tensor([[0.1429, 0.2857, 0.5714],
                [1.0000, 0.0000, 0.0000]])
    """
    is_item = history >= 0
    if history.shape[1:] == (1,) and not is_exported():  # the item in the middle of a window
        return is_item.to(dtype or torch.get_default_dtype())
    newer = is_item.sum(dim=1, keepdim=True) - is_item.cumsum(dim=1)
    weights = torch.where(is_item, decay ** newer.to(dtype or torch.get_default_dtype()), 0.0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def mean_weights(codes: Tensor, decay: float, dtype: torch.dtype) -> Tensor | None:
    """The weights of a mean of vectors of some dtype, computed in float32 at least; None where all are alike.

    Example:
        >>> mean_weights(torch.tensor([[7, 3, -1]]), 0.25, torch.float64)
        tensor([[0.2000, 0.8000, 0.0000]], dtype=torch.float64)
    """
    if decay == 1:
        return None
    return recency_weights(codes, decay, torch.promote_types(dtype, torch.float32)).to(dtype)


def weighted_sum(
    vectors: Tensor,  # (B, L, D)
    weights: Tensor,  # (B, L)
) -> Tensor:
    """The sum (B, D) of the vectors of each row, each times its weight.

    Example:
        >>> weighted_sum(torch.ones(1, 2, 3), torch.tensor([[0.25, 0.5]]))
        tensor([[0.7500, 0.7500, 0.7500]])
    """
    return (weights.to(vectors.dtype)[:, None] @ vectors)[:, 0]


def mean_of_padded(
    vectors: Tensor,  # (B, W, dim)
    counts: Tensor,  # (B,)
    weights: Tensor | None,  # (B, W)
) -> Tensor:
    """The means (B, dim) of vectors, which are 0 where there is none, of `counts` in each row or by `weights`.

    Example:
        >>> mean_of_padded(torch.tensor([[[3.0], [1.0], [0.0]]]), torch.tensor([2]), None)
        tensor([[2.]])
    """
    if weights is None:
        return vectors.sum(dim=1) / counts.clamp(min=1)[:, None]
    return weighted_sum(vectors, weights)


def mean_of_rows(rows: Tensor, codes: Tensor, counts: Tensor, weights: Tensor | None = None) -> Tensor:
    """The means (B, dim) of rows (n, dim) that each row of codes (B, W), padded with -1, names; 0 for a row of none.

    Args:
        rows: what codes name.
        codes: (B, W) int64.
        counts: (B,) how many of them are >= 0.
        weights: (B, W), 0 where there is no code, by which they are added up; None takes the mean.

    Example:
        >>> codes = torch.tensor([[0, 1], [1, -1]])
        >>> mean_of_rows(torch.tensor([[1.0], [3.0]]), codes, torch.tensor([2, 1]))
        tensor([[2.],
                [3.]])
    """
    return _Mean.apply(rows, codes, counts, weights)  # pyright: ignore[reportReturnType]


class _Mean(torch.autograd.Function):
    """Means of rows of a table, whose gradient is summed on a CPU as that of the classes of a loss is."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, codes: Tensor, counts: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, codes, counts, weights)
        starts, is_code = counts.cumsum(dim=0) - counts, codes >= 0
        each = None if weights is None else weights[is_code]
        mode = "mean" if each is None else "sum"
        return embedding_bag(codes[is_code], weight, starts, mode=mode, per_sample_weights=each)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None]:
        weight, codes, counts, weights = ctx.saved_tensors
        each = gradients[0] if weights is not None else gradients[0] / counts.clamp(min=1)[:, None]
        if weight.device.type != "cpu":
            is_code = codes >= 0
            named = each.repeat_interleave(counts, dim=0)
            if weights is not None:
                named *= weights[is_code][:, None]
            return torch.zeros_like(weight).index_add_(0, codes[is_code], named), None, None, None
        shares = each.new_ones(codes.shape) if weights is None else weights
        none = codes[:, :0]
        passes = cast(Passes, find_backend("sampled_loss", "cpu"))
        sums, _ = passes.class_gradients(
            Entries(each, codes, shares, none, none.to(each), None),
            weight,
            bias=False,
            scale=1.0,
            cosine=False,
            sparse=False,
        )
        return sums, None, None, None


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
        self.table = Table(num_ids + 1, dim, std=std, sparse=sparse)
        with torch.no_grad():
            self.table.weight[-1] = 0

    def forward(self, ids: Tensor) -> Tensor:
        """(B,) -> (B, dim)."""
        is_unknown = (ids < 0) | (ids >= self.num_ids)
        if self.training and self.dropped:
            is_unknown |= torch.rand(ids.shape, device=ids.device) < self.dropped
        return self.table(ids.masked_fill(is_unknown, self.num_ids))

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Take these vectors (n, dim) to begin with; that of the unknown stays 0."""
        self.table.weight[:-1].copy_(vectors)

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
