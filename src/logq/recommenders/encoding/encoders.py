"""Encoders turn the input of an example into a query vector: their interface, and the layers that they share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from logq._arguments import ArgumentError, check_float, check_int
from logq.candidates import IGNORED
from logq.recommenders.encoding.feature_tables import FeatureTables, ItemCodes
from logq.recommenders.encoding.item_bias import ItemBias, ShardedBias
from logq.recommenders.encoding.item_tables import ShardedTable, Table, column
from logq.tracing import keeps_sizes

__all__ = ["Batch", "RetrievalModel", "Tower", "WindowModel", "rows_of_targets"]

Batch = Mapping[str, Tensor]
"""The columns of a batch by name. All rows of a column are padded at the end with -1, most recent items last.

    history             (B, L) int64        items that a row knows of
    history.time        (B, L)              how long before the last event of its row each was, -1 if unknown
    target              (B,) int64          the item that came next
    targets             (B, L) int64        the same after each item of the history, for models that learn from all
    user                (B,) int64          -1: unknown
    age                 (B,) float          how old an example is
    user.NAME           (B,) or (B, W) int64    a feature of the user
    context.NAME        (B,) or (B, W) int64    a feature of the context of the request
    group               (B,) int64          the group of classes that a sampler draws for a row, see WithinGroup
    future              (B, [L,] K-1) int64     further targets of a query, for a loss, see TargetEvents
    weight              (B, [L,] K) float   what each target counts in a loss
    extra               (B, [L,] K, E) int64    items that are negatives of each target beside the sample
"""


class RetrievalModel(nn.Module, ABC):
    """Turns a batch into query vectors, and items into vectors that an inner product compares them with.

    Args:
        num_items: C.
        dim: D, the width of queries and items.

    Example:
        >>> class Popularity(RetrievalModel):
        ...     "Every query is the same number."
        ...
        ...     def query(self, batch):
        ...         return torch.ones(len(batch["history"]), 1)
        ...
        ...     def training_queries(self, batch):
        ...         return self.query(batch), batch["target"]
        ...
        ...     def item_vectors(self, ids=None):
        ...         return torch.zeros(self.num_items if ids is None else len(ids), 1)
        >>> Popularity(10, 1).query({"history": torch.tensor([[3, -1]])})
        tensor([[1.]])
    """

    answers_without_history: ClassVar[bool] = True
    """Whether the other inputs, where there are some, make a query by themselves."""

    first_tables: ClassVar[tuple[str, ...]] = ("watched", "items")
    """Its tables of items that may start from vectors learned elsewhere, as far as it has them."""

    queries_know_targets: ClassVar[bool] = False
    """Whether a query in training depends on the item that it is to find, so that each target needs one of its own."""

    def __init__(self, num_items: int, dim: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.dim = dim

    @property
    def inputs(self) -> list[str]:
        """The columns of a batch beside "history" that queries depend on: "user", "user.NAME", "context.NAME"."""
        parts = [part for part in self.children() if isinstance(part, FeatureTables) and part.prefix]
        users = ["user"] if getattr(self, "users", None) is not None else []
        return users + [part.prefix + name for part in parts for name in part.sizes]

    @abstractmethod
    def query(self, batch: Batch) -> Tensor:
        """The queries (B, D), or (B, K, D) for K interests, that items are searched by."""

    @abstractmethod
    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Queries (M, D) and what each should find (M,) int64, for a loss."""

    @abstractmethod
    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """The vectors (n, D) of some items, or of all."""

    @property
    def item_table(self) -> nn.Parameter | None:
        """The vectors of all items (C, D) where they are a plain table, whose rows a loss can touch one by one."""
        return None

    @property
    def own_item_table(self) -> nn.Parameter | None:
        """The vectors (n, D) of the items that this process owns, where each has a part of a plain table."""
        return None

    def parts(self) -> list[ShardedTable | ShardedBias]:
        """What each of several processes has a part of; nothing where the model is whole."""
        return [part for part in self.modules() if isinstance(part, ShardedTable | ShardedBias)]

    @property
    def item_bias(self) -> nn.Parameter | None:
        """A bias (C,) that is added to the logits of items, where the model has one, whole."""
        return None

    @property
    def item_biases(self) -> ItemBias | ShardedBias | None:
        """The same as what is asked for the biases of some items, whole or in parts."""
        bias = self.item_bias
        return None if bias is None else ItemBias(bias)

    @torch.no_grad()
    def start_items_at(self, vectors: Tensor) -> None:
        """Take these vectors (C, start_dim) to begin with, learned elsewhere: of histories, and of items to find.

        Raises:
            ValueError: the model has no such table, or the shape is another one.
        """
        tables = [part for name, part in self.named_children() if name in self.first_tables]
        if not tables:
            raise ValueError(f"{type(self).__name__} has no table of items that could start from other vectors")
        if vectors.shape != (self.num_items, self.start_dim):
            raise ArgumentError("vectors", f"(C, D) = ({self.num_items}, {self.start_dim})", tuple(vectors.shape))
        for table in tables:
            table.start_at(vectors)  # pyright: ignore[reportCallIssue]

    @property
    def start_dim(self) -> int:
        """The width of the tables that may start from other vectors."""
        return self.dim

    def item_vectors_from(self, features: Mapping[str, Tensor]) -> Tensor:
        """The vectors (n, D) of items that are known by their features alone.

        Args:
            features: (n,) or (n, W) int64 for each feature with values, -1 where an item has fewer, and (n, W) floats
                for each that is a vector.

        Raises:
            KeyError: a feature is missing.
            ValueError: the model knows items by their ids alone.
        """
        raise ValueError("features: the model was trained without item_features, which new items need")

    @torch.no_grad()
    def add_items(self, features: Mapping[str, Tensor]) -> None:
        """Take in items that came after training, which get the next codes; arguments as for `item_vectors_from`.

        Where items have biases, theirs is the mean.
        """
        rows = len(self.item_vectors_from(features))  # or an error that says what is wrong
        for part in self.modules():
            if isinstance(part, ItemCodes):
                part.append(features)
        if self.item_biases is not None:
            self.item_biases.append(rows)
        self.num_items += rows

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The tables with sparse gradients, for an optimizer of logq.optim; all others are dense."""
        found = {id(m.weight): m.weight for m in self.modules() if isinstance(m, Table | ShardedTable) and m.sparse}
        biases = self.item_biases
        return [*found.values(), *([] if biases is None or not biases.sparse else [biases.weight])]


class WindowModel(RetrievalModel):
    """A model of skip-gram: `history` (B, 1) is the item in the middle of a window, `targets` (B, W) what is around it.

    Items are found by vectors of their own, those of contexts, as in word2vec.

    Attributes:
        contexts: the vectors (C, D) that items of a context are found by.

    Example:
        >>> class Plain(WindowModel):
        ...     def __init__(self, num_items, dim):
        ...         super().__init__(num_items, dim)
        ...         self.own, self.contexts = Table(num_items, dim, std=0.1), Table(num_items, dim, std=0.0)
        ...
        ...     def query(self, batch):
        ...         return self.own.mean(batch["history"])
        >>> batch = {"history": torch.tensor([[5], [7]]), "targets": torch.tensor([[7, 9], [5, -1]])}
        >>> queries, targets = Plain(10, 4).training_queries(batch)
        >>> queries.shape, targets
        (torch.Size([3, 4]), tensor([7, 9, 5]))
    """

    contexts: Table | ShardedTable

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The query (M, D) of a row for each of its targets, row after row, and these targets (M,).

        Where sizes must not depend on targets, padding comes with them, as IGNORED.
        """
        queries, targets = self.query(batch), column(batch, "targets", self.num_items, "BL")
        if len(targets) != len(queries):
            raise ArgumentError("targets", f"{len(queries)} rows, as history has", len(targets))
        if keeps_sizes(targets):
            of_each = queries[:, None].expand(-1, targets.shape[1], -1).reshape(-1, queries.shape[1])
            return of_each, targets.masked_fill(targets < 0, IGNORED).reshape(-1)
        return queries[rows_of_targets(targets)[0]], targets[targets >= 0]

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Rows (n, D) of the table of contexts."""
        return self.contexts.every() if ids is None else self.contexts(ids)

    @property
    def item_table(self) -> nn.Parameter | None:
        """The table of contexts (C, D); None of one in parts."""
        return self.contexts.plain

    @property
    def own_item_table(self) -> nn.Parameter | None:
        """The own rows of the table of contexts, where it is in parts."""
        return self.contexts.own


def rows_of_targets(targets: Tensor) -> tuple[Tensor, Tensor]:
    """The row (M,) and the column (M,) of each query that training makes of targets (B, L), in their order.

    There is a query for each target, and where sizes must not depend on targets for each entry.

    Example:
        >>> rows_of_targets(torch.tensor([[7, 9], [5, -1]]))
        (tensor([0, 0, 1]), tensor([0, 1, 0]))
    """
    if not keeps_sizes(targets):
        rows, columns = (targets >= 0).nonzero(as_tuple=True)
        return rows, columns
    at = torch.arange(targets.numel(), device=targets.device)
    return at // targets.shape[1], at % targets.shape[1]


class Tower(nn.Module):
    """Hidden layers with ReLU, and a linear one that gives the output.

        x_0 = x,  x_{i+1} = dropout(max(0, W_i x_i + b_i)),  y = W_n x_n + b_n

    Weights start as Glorot and Bengio's, biases at 0, from torch's global generator.

    Args:
        inputs, outputs: widths.
        hidden: widths of the layers between; none of them makes the tower one linear layer.
        dropout: after each hidden layer, in [0, 1).

    Example:
        >>> Tower(6, [8, 4], 2)(torch.zeros(3, 6)).shape
        torch.Size([3, 2])
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [inputs, *(check_int("hidden", width) for width in hidden), outputs]
        self.dropout = nn.Dropout(check_float("dropout", dropout, at_least=0, at_most=0.999))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new random weights."""
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        for layer in self.layers[:-1]:  # pyright: ignore[reportGeneralTypeIssues]
            x = self.dropout(layer(x).relu())
        return self.layers[-1](x)
