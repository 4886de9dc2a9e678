"""Tables of vectors that codes look up, of items and of the values of their features."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float, check_int
from logq.logs import Features
from logq.shapes import can_look_at, check_ids, check_shape
from logq.tracing import has_numbers, keeps_sizes

__all__ = [
    "FeatureTables",
    "IdTable",
    "ItemCodes",
    "Table",
    "check_features",
    "column",
    "end_of",
    "feature_codes",
    "feature_sizes",
    "filled",
    "select_rows",
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

    def mean(self, codes: Tensor) -> Tensor:
        """The mean (B, dim) of the vectors of each row of codes (B, W), padded with -1; 0 for a row without a code."""
        is_code = codes >= 0
        counts = is_code.sum(dim=1)
        if keeps_sizes(codes):
            return self._padded(codes, ~is_code).sum(dim=1) / counts.clamp(min=1)[:, None]
        # Only codes are looked up, so that padding costs nothing and leaves no row in a sparse gradient.
        found, starts = codes[is_code], counts.cumsum(dim=0) - counts
        if self.sparse:
            return embedding_bag(found, self.weight, starts, mode="mean", sparse=self.sparse)
        return _Mean.apply(self.weight, found, starts, counts)  # pyright: ignore[reportReturnType]

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


class _Mean(torch.autograd.Function):
    """Means of rows of a table. On a CPU torch's own backward takes four times as long as adding the rows up."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, weight: Tensor, codes: Tensor, starts: Tensor, counts: Tensor
    ) -> Tensor:
        ctx.save_for_backward(codes, counts)
        ctx.size = weight.shape[0]  # pyright: ignore[reportAttributeAccessIssue]
        return embedding_bag(codes, weight, starts, mode="mean")

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None]:
        codes, counts = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        gradient = gradients[0] / counts.clamp(min=1)[:, None]
        whole = gradient.new_zeros(ctx.size, gradient.shape[1])  # pyright: ignore[reportAttributeAccessIssue]
        return whole.index_add_(0, codes, gradient.repeat_interleave(counts, dim=0)), None, None, None


class IdTable(nn.Module):
    """Vectors of users or items 0 .. n - 1, and one more for whoever is unknown, -1.

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
        is_unknown = ids < 0
        if self.training and self.dropped:
            is_unknown |= torch.rand(ids.shape, device=ids.device) < self.dropped
        return self.table(ids.masked_fill(is_unknown, self.num_ids))


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


class FeatureTables(nn.Module):
    """A table for each feature, and one vector per feature for each row of a batch.

    Args:
        sizes: how many values a feature has, by its name; 0 is the value of what is unknown.
        dim: width of the vector of one feature.
        prefix: what comes before the name in a batch, such as "user."; the names of a batch are `prefix + name`.

    Example:
        >>> features = FeatureTables({"age": 7, "genres": 20}, 4, prefix="user.")
        >>> batch = {"user.age": torch.tensor([1, 0]), "user.genres": torch.tensor([[3, 5], [2, -1]])}
        >>> [vectors.shape for vectors in features(batch, 2)]
        [torch.Size([2, 4]), torch.Size([2, 4])]
    """

    def __init__(self, sizes: Mapping[str, int], dim: int, *, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix
        self.sizes = check_features(f"{prefix}features", sizes)
        self.tables = nn.ModuleList(Table(size, dim, std=dim**-0.5) for size in self.sizes.values())
        self.width = len(self.sizes) * dim

    def forward(self, batch: Mapping[str, Tensor], rows: int) -> list[Tensor]:
        """One (B, dim) for each feature: of its value, or the mean of its values where it has several (B, W)."""
        found: list[Tensor] = []
        for (name, size), table in zip(self.sizes.items(), self.tables, strict=True):
            codes = column(batch, self.prefix + name, size)
            # Sizes are constants to torch.jit.trace once Python compares them.
            compares = not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
            if codes.dim() not in (1, 2) or (compares and codes.shape[0] != rows):
                expected = f"shape (B,) or (B, W) with B = {rows}"
                raise ArgumentError(self.prefix + name, expected, tuple(codes.shape))
            assert isinstance(table, Table)
            found.append(table(codes.clamp(min=0)) if codes.dim() == 1 else table.mean(codes))
        return found


class ItemCodes(nn.Module):
    """The values of the features of all items, which move and are saved with a model.

    Args:
        num_items: C.
        sizes: how many values a feature has, by its name.
        codes: the values (C,) or (C, W) int64 of each, -1 where an item has fewer.

    Raises:
        KeyError: a feature has no codes.
        TypeError, ValueError: codes are not int64, out of range, or not those of C items.

    Example:
        >>> codes = ItemCodes(3, {"genre": 5}, {"genre": torch.tensor([4, 0, 2])})
        >>> codes.of(torch.tensor([2, 0]))
        {'genre': tensor([2, 4])}
    """

    def __init__(self, num_items: int, sizes: Mapping[str, int], codes: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = list(sizes)
        surplus = [name for name in codes if name not in sizes]
        if surplus:
            raise ArgumentError("item_codes", "the names of item_features", surplus[0])
        for place, (name, size) in enumerate(sizes.items()):
            values = column(codes, name, size)
            if values.dim() not in (1, 2) or len(values) != num_items:
                expected = f"shape (C,) or (C, W) with C = {num_items}"
                raise ArgumentError(f"item_codes[{name!r}]", expected, tuple(values.shape))
            self.register_buffer(f"codes_{place}", values.clone())

    def of(self, ids: Tensor) -> dict[str, Tensor]:
        """The values (n,) or (n, W) of some items, by feature."""
        return {name: getattr(self, f"codes_{place}")[ids] for place, name in enumerate(self.names)}


def check_features(name: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the number of values of each feature, as a dict of its own.

    Raises:
        ArgumentTypeError: it is not a mapping, or a number is not an integer.
        ArgumentError: a number is below 1.

    Example:
        >>> check_features("user_features", {"age": 7})
        {'age': 7}
    """
    if not isinstance(sizes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(name, "a mapping of names to numbers of values", Verbatim(type(sizes).__name__))
    return {str(key): check_int(f"{name}[{key!r}]", size) for key, size in sizes.items()}


def feature_sizes(features: Features | None) -> dict[str, int]:
    """How many values each feature has.

    Example:
        >>> feature_sizes(None)
        {}
    """
    return {} if features is None else {name: int(features.sizes[name]) for name in features.names}


def feature_codes(features: Features | None) -> dict[str, Tensor]:
    """The values of each feature, int64.

    Example:
        >>> feature_codes(None)
        {}
    """
    if features is None:
        return {}
    return {name: torch.from_numpy(np.array(features.values[name], dtype=np.int64)) for name in features.names}
