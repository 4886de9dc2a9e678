"""Vectors of features: tables of their values, projections of vectors made elsewhere, and what all items have."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.logs.features import Features
from logq.recommenders.encoding.item_tables import Table, column
from logq.shapes import check_shape

__all__ = ["FeatureTables", "ItemCodes", "Projection", "check_features", "feature_sizes", "item_inputs"]

ROWS = 1 << 16
"""Vectors that are looked at at a time."""


class Projection(nn.Module):
    """Vectors that were made elsewhere, such as those of texts or images, in the width of a model.

        y = W (x - m) / s + b,  and 0 where x is 0, which stands for none

    m is the mean of the vectors that there are, s the root of the mean square of the numbers of x - m: vectors of any
    origin and size come in alike, and keep their angles around their center.

    Args:
        vectors: (n, W), of which m and s are; both are saved with the weights.
        dim: width of y.
        std: about that of the numbers of the first y.

    Example:
        >>> Projection(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), 4, std=0.1)(torch.zeros(1, 2))
        tensor([[0., 0., 0., 0.]], grad_fn=<WhereBackward0>)
    """

    center: Tensor
    scale: Tensor

    def __init__(self, vectors: Tensor, dim: int, *, std: float) -> None:
        super().__init__()
        check_shape("vectors", vectors, "NW", {})
        self.std = std
        self.linear = nn.Linear(vectors.shape[1], dim)
        center, scale = _center_and_scale(vectors.detach().cpu().numpy())
        self.register_buffer("center", torch.from_numpy(center).to(torch.get_default_dtype()))
        self.register_buffer("scale", torch.from_numpy(scale).to(torch.get_default_dtype()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new random weights."""
        nn.init.normal_(self.linear.weight, std=self.std * self.linear.in_features**-0.5)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., W) -> (..., dim)."""
        is_there = (x != 0).any(dim=-1, keepdim=True)
        return self.linear((x.to(self.center.dtype) - self.center) / self.scale).where(is_there, 0.0)


def _center_and_scale(vectors: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean (W,) of rows that are not 0, and the root () of the mean square around it; 0 and 1 where none is."""
    count, total, squares = 0, np.zeros(vectors.shape[1]), 0.0
    for begin in range(0, len(vectors), ROWS):
        part = vectors[begin : begin + ROWS].astype(np.float64)
        count += int(part.any(axis=1).sum())
        total += part.sum(axis=0)
        squares += float(np.square(part).sum())
    center = total / max(1, count)
    variance = squares / max(1, count * vectors.shape[1]) - float(np.square(center).mean())
    return center, np.asarray(variance**0.5 if count and variance > 1e-12 else 1.0)


class FeatureTables(nn.Module):
    """A table for each feature, or a projection where it is a vector, and one vector per feature for each row.

    Args:
        sizes: how many values a feature has, by its name; 0 is the value of what is unknown.
        dim: width of the vector of one feature.
        prefix: what comes before the name in a batch, such as "user."; the names of a batch are `prefix + name`.
        dense: features that are vectors, by name: (n, W) of them, as for `Projection`.
        std: of the first vectors; None for dim^-1/2.

    Example:
        >>> features = FeatureTables({"age": 7, "genres": 20}, 4, prefix="user.")
        >>> batch = {"user.age": torch.tensor([1, 0]), "user.genres": torch.tensor([[3, 5], [2, -1]])}
        >>> [vectors.shape for vectors in features(batch, 2)]
        [torch.Size([2, 4]), torch.Size([2, 4])]
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        dim: int,
        *,
        prefix: str = "",
        dense: Mapping[str, Tensor] | None = None,
        std: float | None = None,
    ) -> None:
        super().__init__()
        self.prefix = prefix
        self.sizes = check_features(f"{prefix}features", sizes)
        dense = dense or {}
        twice = next((name for name in dense if name in self.sizes), None)
        if twice is not None:
            raise ArgumentError("dense", "other names than those of features with values", twice)
        first = dim**-0.5 if std is None else std
        self.tables = nn.ModuleList(Table(size, dim, std=first) for size in self.sizes.values())
        self.widths = {name: vectors.shape[1] for name, vectors in dense.items()}
        self.projections = nn.ModuleList(Projection(vectors, dim, std=first) for vectors in dense.values())
        self.width = len(self.names) * dim

    @property
    def names(self) -> list[str]:
        """Of all features, in the order of their vectors."""
        return [*self.sizes, *self.widths]

    def forward(self, batch: Mapping[str, Tensor], rows: int) -> list[Tensor]:
        """One (B, dim) for each feature: of its value, the mean of its values (B, W), or its projected vector."""
        found: list[Tensor] = []
        # Sizes are constants to torch.jit.trace once Python compares them.
        compares = not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        for (name, size), table in zip(self.sizes.items(), self.tables, strict=True):
            codes = column(batch, self.prefix + name, size)
            if codes.dim() not in (1, 2) or (compares and codes.shape[0] != rows):
                expected = f"shape (B,) or (B, W) with B = {rows}"
                raise ArgumentError(self.prefix + name, expected, tuple(codes.shape))
            assert isinstance(table, Table)
            found.append(table(codes.clamp(min=0)) if codes.dim() == 1 else table.mean(codes))
        for (name, width), projection in zip(self.widths.items(), self.projections, strict=True):
            key = self.prefix + name
            if key not in batch:
                raise KeyError(f"{key}: the model needs these vectors, the batch has {', '.join(batch) or 'none'}")
            if compares and batch[key].shape != (rows, width):
                raise ArgumentError(key, f"shape (B, W) = ({rows}, {width})", tuple(batch[key].shape))
            found.append(projection(batch[key]))
        return found


class ItemCodes(nn.Module):
    """The values of the features of all items, which move with a model.

    Args:
        num_items: C.
        sizes: how many values a feature has, by its name.
        codes: the values (C,) or (C, W) int64 of each, -1 where an item has fewer.
        dense: features that are vectors, by name: (C, W), 0 for an item that has none. They are not copied.
        saved: whether codes are in the state of the module; vectors never are.

    Raises:
        KeyError: a feature has no codes.
        TypeError, ValueError: codes are not int64, out of range, or not those of C items.

    Example:
        >>> codes = ItemCodes(3, {"genre": 5}, {"genre": torch.tensor([4, 0, 2])})
        >>> codes.of(torch.tensor([2, 0]))
        {'genre': tensor([2, 4])}
        >>> codes.append({"genre": torch.tensor([1])})
        >>> codes.of(torch.tensor([3]))
        {'genre': tensor([1])}
    """

    def __init__(
        self,
        num_items: int,
        sizes: Mapping[str, int],
        codes: Mapping[str, Tensor],
        dense: Mapping[str, Tensor] | None = None,
        *,
        saved: bool = True,
    ) -> None:
        super().__init__()
        self.sizes = dict(sizes)
        self.buffer_of: dict[str, str] = {}
        surplus = [name for name in codes if name not in sizes]
        if surplus:
            raise ArgumentError("item_codes", "the names of item_features", surplus[0])
        for place, (name, size) in enumerate(sizes.items()):
            values = column(codes, name, size)
            if values.dim() not in (1, 2) or len(values) != num_items:
                expected = f"shape (C,) or (C, W) with C = {num_items}"
                raise ArgumentError(f"item_codes[{name!r}]", expected, tuple(values.shape))
            self.buffer_of[name] = f"codes_{place}"
            self.register_buffer(f"codes_{place}", values.clone(), persistent=saved)
        for place, (name, vectors) in enumerate((dense or {}).items()):
            if vectors.dim() != 2 or len(vectors) != num_items or not vectors.is_floating_point():
                expected = f"floats of shape (C, W) with C = {num_items}"
                got = Verbatim(f"{vectors.dtype} {tuple(vectors.shape)}")
                raise ArgumentError(f"item_dense[{name!r}]", expected, got)
            self.buffer_of[name] = f"dense_{place}"
            self.register_buffer(f"dense_{place}", vectors, persistent=False)

    def of(self, ids: Tensor) -> dict[str, Tensor]:
        """The values (n,) or (n, W) of some items, by feature."""
        return {name: getattr(self, buffer)[ids] for name, buffer in self.buffer_of.items()}

    def append(self, features: Mapping[str, Tensor]) -> None:
        """Take the values of more items, which get the next places.

        Raises:
            KeyError: a feature is missing.
            ValueError: they are not as those that are there.
        """
        for name, buffer in self.buffer_of.items():
            known: Tensor = getattr(self, buffer)
            values = column(features, name, self.sizes[name]) if name in self.sizes else features[name]
            if values.shape[1:] != known.shape[1:]:
                expected = f"shape (n, {known.shape[1]})" if known.dim() == 2 else "shape (n,)"
                raise ArgumentError(name, expected, tuple(values.shape))
            setattr(self, buffer, torch.cat([known, values.to(known)]))


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


def item_inputs(features: Features | None) -> dict[str, Any]:
    """What an encoder is told of the features of items: `item_features`, `item_codes` and `item_dense`.

    Example:
        >>> item_inputs(None)
        {'item_features': {}, 'item_codes': {}, 'item_dense': {}}
    """
    codes = {} if features is None else {name: np.asarray(features.values[name]) for name in features.names}
    return {
        "item_features": feature_sizes(features),
        "item_codes": {name: torch.from_numpy(np.array(values, dtype=np.int64)) for name, values in codes.items()},
        "item_dense": {} if features is None else {name: _shared(table) for name, table in features.dense.items()},
    }


def _shared(vectors: NDArray[np.float32]) -> Tensor:
    """The vectors as a tensor on the same memory, which may be that of a file: nobody writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(vectors))
