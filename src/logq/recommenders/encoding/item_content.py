"""Items that are more than an id: vectors of items of their ids and of what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from logq._arguments import ArgumentError, Verbatim, check_bool
from logq.recommenders.encoding.encoders import RetrievalModel, Tower
from logq.recommenders.encoding.feature_tables import FeatureTables, ItemCodes, item_inputs
from logq.recommenders.encoding.item_tables import (
    IdTable,
    PaddedRows,
    ShardedTable,
    Table,
    table_of_ids,
)
from logq.recommenders.encoding.row_means import mean_of_computed, mean_of_padded
from logq.recommenders.events.known_log import KnownLog
from logq.tracing import keeps_sizes

__all__ = ["ContentTable", "ItemContent", "TableModel", "content_of"]

ROWS = 1 << 15
"""Items whose vectors are made at a time, where all of them are asked for."""


@dataclass(frozen=True)
class ItemContent:
    """What is known of items beside their ids, and how it enters their vectors.

    Args:
        kind: "sum" or "network"; see ContentTable.
        item_features: how many values each feature has, by name; 0 is the value of what is unknown.
        item_codes: the values (C,) or (C, W) of these, int64, -1 where an item has fewer.
        item_dense: features that are vectors, (C, W) by name, 0 for an item that has none.
        id_dropout: how often an item counts as unknown in training, in [0, 1), so that its content learns to do.
        added: how many items at the end of the codes came after training, and are known by their content alone.

    Raises:
        ArgumentError: kind is another one, or there is neither a feature nor a vector.

    Example:
        >>> ItemContent("sum", {"genre": 5}, {"genre": torch.tensor([4, 0, 2])}).kind
        'sum'
    """

    kind: str
    item_features: Mapping[str, int] = field(default_factory=dict[str, int])
    item_codes: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    item_dense: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    id_dropout: float = 0.1
    added: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("sum", "network"):
            raise ArgumentError("content", "sum or network", self.kind)
        if not self.item_features and not self.item_dense:
            raise ArgumentError("item_features", "a feature of items, or vectors of them", Verbatim("none"))

    def values(self, num_items: int) -> ItemCodes:
        """The values of all items as a module. A loaded model gets them from its log, so they are not in its state."""
        return ItemCodes(num_items, self.item_features, self.item_codes, self.item_dense, saved=False)


class ContentTable(PaddedRows):
    """Vectors of items of their ids and their content; asked as a `Table` is, which has those of ids alone.

        sum        v_i = e_i + sum_f c_f(i)
        network    v_i = e_i + W_2 max(0, W_1 [c_1(i) ; ... ; c_F(i)] + b_1) + b_2

    e_i is the vector of the id, or one vector for all items whose id is unknown: those that came after training, and
    in training at random ones. c_f(i) is the vector of the value of feature f, the mean of those of several values, or
    a projection where the feature is a vector itself. An item is computed once for a call, however often it is asked.

    Args:
        values: of the features of all items, which several tables may share.
        content: what `values` was made of.
        num_items: C.
        dim: D.
        std: of the normal distribution of first vectors.
        sparse: whether the table of ids gets sparse gradients.

    Example:
        >>> content = ItemContent("sum", {"genre": 5}, {"genre": torch.tensor([4, 0, 2])})
        >>> table = ContentTable(content.values(3), content, 3, 8, std=0.1).eval()
        >>> table(torch.tensor([[2, 0]])).shape, table.of_features({"genre": torch.tensor([4])}).shape
        (torch.Size([1, 2, 8]), torch.Size([1, 8]))
    """

    def __init__(
        self, values: ItemCodes, content: ItemContent, num_items: int, dim: int, *, std: float, sparse: bool = False
    ) -> None:
        super().__init__()
        self.values = values
        self.dim = dim
        self.ids = IdTable(num_items - content.added, dim, std=std, dropout=content.id_dropout, sparse=sparse)
        self.sparse = self.ids.table.sparse
        self.features = FeatureTables(content.item_features, dim, dense=content.item_dense, std=std)
        self.network = None
        if content.kind == "network":
            self.network = Tower(self.features.width, (2 * dim,), dim)
            nn.init.normal_(self.network.layers[-1].weight, std=std)  # pyright: ignore[reportArgumentType]

    plain = own = None
    """Vectors are computed."""

    def forward(self, codes: Tensor) -> Tensor:
        """The vectors (*codes, dim) of codes that are all there."""
        if keeps_sizes(codes):
            return self._rows(codes.reshape(-1)).view(*codes.shape, self.dim)
        items, place = codes.unique(return_inverse=True)
        return embedding(place, self._rows(items))

    def mean(self, codes: Tensor, decay: float = 1.0) -> Tensor:
        """The mean (B, dim) of the vectors of each row of codes (B, W), as that of a Table."""
        if keeps_sizes(codes):
            return mean_of_padded(self.padded(codes), codes, decay)
        return mean_of_computed(self._rows, codes, decay)

    def every(self) -> Tensor:
        """The vectors (C, dim) of all items."""
        items = torch.arange(self.ids.num_ids + self._added(), device=self.ids.table.weight.device)
        if torch.is_grad_enabled():
            return self._rows(items)
        return torch.cat([self._rows(part) for part in items.split(ROWS)])

    def _added(self) -> int:
        buffer = next(iter(self.values.buffer_of.values()))
        return len(getattr(self.values, buffer)) - self.ids.num_ids

    def of_features(self, features: Mapping[str, Tensor]) -> Tensor:
        """The vectors (n, dim) of items that are known by their content alone.

        Raises:
            KeyError: a feature is missing.
            ValueError: values are not as those of the items that there are.
        """
        rows = len(next(iter(features.values()))) if features else 0
        return self._vectors(torch.full((rows,), -1, device=self.ids.table.weight.device), features)

    def _rows(self, items: Tensor) -> Tensor:
        return self._vectors(items, self.values.of(items))

    def _vectors(self, ids: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        parts = self.features(features, ids.shape[0])
        content = sum(parts[1:], parts[0]) if self.network is None else self.network(torch.cat(parts, dim=1))
        return self.ids(ids) + content

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Take these vectors (C, dim) of ids to begin with."""
        self.ids.start_at(vectors)


class TableModel(RetrievalModel):
    """An encoder with vectors of the items of histories, `watched`, and of the items to find, `items`.

    Both are plain tables, or computed of ids and content. A subclass calls `make_tables` once.

    Attributes:
        watched, items: the tables; one and the same where they are tied.

    Example:
        >>> class Mean(TableModel):
        ...     def __init__(self, num_items, dim, content=None):
        ...         super().__init__(num_items, dim)
        ...         self.make_tables(std=0.1, tied=True, content=content)
        ...
        ...     def query(self, batch):
        ...         return self.watched.mean(batch["history"])
        ...
        ...     def training_queries(self, batch):
        ...         return self.query(batch), batch["target"]
        >>> model = Mean(3, 4, ItemContent("sum", {"genre": 5}, {"genre": torch.tensor([4, 0, 2])}))
        >>> model.item_table is None, Mean(3, 4).item_table.shape
        (True, torch.Size([3, 4]))
        >>> model.add_items({"genre": torch.tensor([4])})
        >>> model.item_vectors().shape
        torch.Size([4, 4])
    """

    watched: Table | ShardedTable | ContentTable
    items: Table | ShardedTable | ContentTable

    def make_tables(self, *, std: float, tied: bool, sparse: bool = False, content: ItemContent | None = None) -> None:
        """Make `watched` and `items`, in this order, from torch's global generator.

        Args:
            std: of the normal distribution of first vectors.
            tied: whether they are one.
            sparse: whether tables of ids get sparse gradients.
            content: what is known of items beside their ids; None for nothing.
        """
        values = None if content is None else content.values(self.num_items)

        def made() -> Table | ShardedTable | ContentTable:
            if content is None or values is None:
                return table_of_ids(self.num_items, self.dim, std=std, sparse=sparse)
            return ContentTable(values, content, self.num_items, self.dim, std=std, sparse=sparse)

        self.watched = made()
        self.items = self.watched if check_bool("tied", tied) else made()

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """The vectors (n, D) of items to find; with content, ids count as unknown now and then in training."""
        return self.items.every() if ids is None else self.items(ids)

    @property
    def item_table(self) -> nn.Parameter | None:
        """The table (C, D) of items to find; None where their vectors are computed."""
        return self.items.plain

    @property
    def own_item_table(self) -> nn.Parameter | None:
        """The own rows of the table of items to find, where it is in parts and not computed."""
        return self.items.own

    def item_vectors_from(self, features: Mapping[str, Tensor]) -> Tensor:
        """The vectors (n, D) of items that are known by their content alone; see ContentTable."""
        if isinstance(self.items, ContentTable):
            return self.items.of_features(features)
        return super().item_vectors_from(features)


def content_of(kind: str, id_dropout: float, known: KnownLog) -> ItemContent | None:
    """What an encoder is to know of items beside their ids; None where `kind` is "none".

    Raises:
        ArgumentError: the log has no features of items.

    Example:
        >>> from logq.logs import Interactions
        >>> content_of("sum", 0.1, KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"])))
        Traceback (most recent call last):
        ...
        logq.ArgumentError: content: expected "none", as the log has no features of items, got 'sum'
    """
    if kind == "none":
        return None
    inputs: dict[str, Any] = item_inputs(known.item_features)
    if not inputs["item_features"] and not inputs["item_dense"]:
        raise ArgumentError("content", '"none", as the log has no features of items', kind)
    return ItemContent(kind, **inputs, id_dropout=id_dropout, added=known.added)
