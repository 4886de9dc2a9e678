"""TwoTower: one tower for users and their histories, one for items and their features; Yi et al., RecSys 2019."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from logq._arguments import ArgumentError, check_float, check_int
from logq.distributed.grad_cache import GradCache
from logq.logs.examples import Examples
from logq.logs.interactions import Interactions
from logq.logs.next_items import NextItems
from logq.recommenders.encoding.encoders import Batch, RetrievalModel, Tower
from logq.recommenders.encoding.feature_tables import (
    FeatureTables,
    ItemCodes,
    check_features,
    feature_sizes,
    item_inputs,
)
from logq.recommenders.encoding.item_content import ROWS, ContentTable, ItemContent, content_of
from logq.recommenders.encoding.item_tables import IdTable, column
from logq.recommenders.neural.neural_config import (
    ContentConfig,
    ContextConfig,
    FeatureDim,
    Hidden,
    UserDropout,
    UserVectors,
)
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.recommenders.neural.next_item_config import RecentItemsConfig
from logq.samplers.registry import SamplerChoice
from logq.training.config import AtLeast, Help, TriedValues, configclass

__all__ = ["TwoTower", "TwoTowerConfig", "TwoTowerEncoder"]


class TwoTowerEncoder(RetrievalModel):
    """Queries and items are unit vectors from two towers; the loss to go with them is softmax within the batch.

        u = tower_u([mean of e_h over the history ; user ; features])               Section 5
        v = tower_v([e_i ; features of item i])
        s(u, v) = <u / |u|, v / |v|> / tau                                          Section 3
        loss = softmax of s - log p_i among the targets of a batch

    The temperature tau is in the queries, which so have length 1 / tau: a loss takes them as they are, at temperature
    1. In-batch negatives and their log p are a sampler's, logq.samplers.InBatch; any other sampler does as well.

    Vectors of items are computed, so there is no `item_table`: a loss gets `item_vectors(ids)` of the classes it needs.
    An item that came after training has features, but no id: `item_vectors_from` makes its vector. In training an id
    counts as unknown now and then, so that features alone learn to do.

    Differs from the paper: the vectors of a history are those of the ids of items, before the tower, or with `content`
    those of ids and features.

    Args:
        num_items: C.
        dim: D.
        hidden, item_hidden: widths of the ReLU layers of both towers.
        num_users: users with vectors of their own, from the column "user", -1 for others; None takes none.
        user_dropout: how often a user counts as unknown in training.
        user_features, context_features: how many values each feature of the user and of the request has, by name.
        item_features: the same of items.
        item_codes: the values (C,) or (C, W) of these features, int64, -1 where an item has fewer.
        item_dense: features of items that are vectors, (C, W) by name, 0 for an item that has none.
        content: what is known of the items of a history beside their ids, which then enters their vectors; None for
            nothing. The items to find have `item_features` and `item_dense`.
        added: how many items at the end of the codes came after training, and have no vector of their id.
        id_dim: width of the vectors of ids; None for D.
        feature_dim: width of the vector of a feature.
        id_dropout: how often an item counts as unknown in training; only where items have features.
        temperature: tau.
        dropout: of hidden layers.
        recency: what each item of a history counts in the mean, relative to the next one; 1 weighs all alike.
        sparse: whether tables of ids get sparse gradients.
        chunk: how many rows a tower takes at a time in training, so that memory does not grow with hidden layers of the
            batch; see logq.distributed.GradCache. None takes all at once.

    Shape:
        history (B, L) int64, features (B,) or (B, W) int64 -> queries (B, D). Padding may be anywhere.

    Raises:
        TypeError, ValueError: a number is out of range, or a column does not fit.
        KeyError: a batch lacks a column, or item_codes a feature.

    Example:
        >>> genres = torch.randint(20, (1000,))
        >>> model = TwoTowerEncoder(1000, 16, item_features={"genre": 20}, item_codes={"genre": genres}).eval()
        >>> batch = {"history": torch.tensor([[5, 7, -1], [999, 0, 3]])}
        >>> scores = model.query(batch) @ model.item_vectors().T
        >>> model.item_vectors_from({"genre": torch.tensor([3, 19])}).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        *,
        hidden: Sequence[int] = (256,),
        item_hidden: Sequence[int] = (256,),
        num_users: int | None = None,
        user_dropout: float = 0.0,
        user_features: Mapping[str, int] | None = None,
        context_features: Mapping[str, int] | None = None,
        item_features: Mapping[str, int] | None = None,
        item_codes: Mapping[str, Tensor] | None = None,
        item_dense: Mapping[str, Tensor] | None = None,
        content: ItemContent | None = None,
        added: int = 0,
        id_dim: int | None = None,
        feature_dim: int = 16,
        id_dropout: float = 0.1,
        temperature: float = 0.05,
        dropout: float = 0.0,
        recency: float = 1.0,
        sparse: bool = False,
        chunk: int | None = None,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        width = dim if id_dim is None else check_int("id_dim", id_dim)
        std = width**-0.5
        sizes = check_features("item_features", item_features or {})
        id_dropout = check_float("id_dropout", id_dropout, at_least=0, at_most=0.999) if sizes or item_dense else 0.0
        added = check_int("added", added, 0)
        self.ids = IdTable(num_items - added, width, std=std, dropout=id_dropout, sparse=sparse)
        self.watched = None
        if content is not None:
            values = content.values(num_items)
            self.watched = ContentTable(values, content, num_items, width, std=std, sparse=sparse)
        self.item_features = FeatureTables(sizes, feature_dim, dense=item_dense)
        self.item_codes = ItemCodes(num_items, sizes, item_codes or {}, item_dense)
        self.item_tower = Tower(width + self.item_features.width, item_hidden, dim, dropout=dropout)
        self.num_users = 0 if num_users is None else check_int("num_users", num_users)
        self.users = IdTable(num_users, width, std=std, dropout=user_dropout, sparse=sparse) if num_users else None
        self.user_features = FeatureTables(user_features or {}, feature_dim, prefix="user.")
        self.context_features = FeatureTables(context_features or {}, feature_dim, prefix="context.")
        inputs = width * (1 + bool(num_users)) + self.user_features.width + self.context_features.width
        self.user_tower = Tower(inputs, hidden, dim, dropout=dropout)
        self.recency = check_float("recency", recency, above=0, at_most=1)
        self.temperature = check_float("temperature", temperature, above=0)
        self.chunk = None if chunk is None else check_int("chunk", chunk)

    first_tables = ("ids", "watched")

    @property
    def start_dim(self) -> int:
        """The width of vectors of ids."""
        return self.ids.table.weight.shape[1]

    def query(self, batch: Batch) -> Tensor:
        """The queries (B, D), each of length 1 / tau."""
        history = column(batch, "history", self.num_items, "BL")
        rows = history.shape[0]
        parts = [(self.ids if self.watched is None else self.watched).mean(history, self.recency)]
        if self.users is not None:
            parts.append(self.users(column(batch, "user", self.num_users, "B")))
        parts += self.user_features(batch, rows) + self.context_features(batch, rows)
        return normalize(self.user_tower(torch.cat(parts, dim=1)), dim=1) / self.temperature

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The queries (B, D) and the targets (B,)."""
        if self.chunk is None:
            queries = self.query(batch)
        else:
            queries = GradCache(self.query, self.chunk)({name: batch[name] for name in ("history", *self.inputs)})
        return queries, column(batch, "target", self.num_items, "B")

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """The unit vectors (n, D) of some items, or of all; in training ids count as unknown now and then."""
        if ids is None:
            ids = torch.arange(self.num_items, device=self.ids.table.weight.device)
            if not torch.is_grad_enabled():  # hidden layers of all items would be many times their vectors
                return torch.cat([self.item_vectors(part) for part in ids.split(ROWS)])
        of_ids = self._items_of if self.chunk is None else GradCache(self._items_of, self.chunk)
        return of_ids(ids)

    def _items_of(self, ids: Tensor) -> Tensor:
        return self._items(ids, self.item_codes.of(ids))

    def item_vectors_from(self, features: Mapping[str, Tensor]) -> Tensor:
        """The unit vectors (n, D) of items that are known by their features alone.

        Args:
            features: (n,) or (n, W) int64 for each name of item_features, -1 where an item has fewer values, and (n, W)
                floats for each of item_dense.

        Raises:
            KeyError: a feature is missing.
            ValueError: the model has no features of items.
        """
        if not self.item_features.names:
            return super().item_vectors_from(features)
        rows = len(next(iter(features.values()))) if features else 0
        return self._items(torch.full((rows,), -1, device=self.ids.table.weight.device), features)

    def _items(self, ids: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        return normalize(
            self.item_tower(torch.cat([self.ids(ids), *self.item_features(features, len(ids))], dim=1)), dim=1
        )


@configclass(group="Model")
class TwoTowerConfig(ContextConfig, ContentConfig, RecentItemsConfig):
    """The arguments of TwoTower.

    Example:
        >>> TwoTowerConfig().sampler, TwoTowerConfig().temperature
        ('in_batch', 0.05)
    """

    default_sampler: ClassVar[str] = "in_batch"

    hidden: Annotated[Hidden, Help("Widths of the ReLU layers of the user tower.")] = (256,)
    item_hidden: Annotated[Hidden, Help("Widths of the ReLU layers of the item tower.")] = (256,)
    id_dim: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Dimension of the vectors of ids; None takes `dim`.",
            typed="Dimension of the vectors of ids.",
            default="dim",
        ),
    ] = None
    feature_dim: FeatureDim = 16
    user_vectors: UserVectors = False
    user_dropout: UserDropout = 0.1
    sampler: Annotated[SamplerChoice | None, Help(default="in_batch")] = None
    temperature: Annotated[float, TriedValues(0.02, 0.2), Help("Temperature that divides the cosines.")] = 0.05
    chunk: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Rows that a tower takes at a time in training; {none} takes the batch at once.",
            more="For large batches in fixed memory: hidden layers are held for that many rows only, and computed a "
            "second time for the gradients, which are the same.",
            typed="Rows that a tower takes at a time in training, for large batches in fixed memory.",
            none="0",
            group="Training",
        ),
    ] = None
    cosine: Annotated[bool, Help("False: the towers end in unit vectors anyway.", hidden=True)] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cosine:
            raise ArgumentError("cosine", "False, as the towers end in unit vectors anyway", self.cosine)
        for name in ("compile", "cuda_graphs"):
            if self.chunk is not None and getattr(self, name):
                raise ArgumentError(name, "False with chunk, which encodes a second time in backward", True)


class TwoTower(TwoTowerConfig, NeuralRecommender):
    """Recommends by a tower for users and one for items: logq.recommenders.TwoTowerEncoder, fitted on a log.

    Trained by softmax over the other targets of a batch, corrected by log Q, unless told otherwise. Queries and items
    are unit vectors. Features of users and items that the log has are inputs, so that `similar_items(item_features=)`
    answers for items that came later.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys 2019.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = TwoTower(dim=16, epochs=40, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    @property
    def loss_temperature(self) -> float:
        """1, as the temperature is in the queries already."""
        return 1.0

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        return TwoTowerEncoder(
            self.known.num_items,
            self.dim,
            hidden=self.hidden,
            item_hidden=self.item_hidden,
            num_users=self.known.num_users if self.user_vectors else None,
            user_dropout=self.user_dropout,
            user_features=feature_sizes(self.known.user_features),
            context_features=self._context.sizes,
            **item_inputs(self.known.item_features),
            content=content_of(self.content, self.id_dropout, self.known),
            added=self.known.added,
            id_dim=self.id_dim,
            feature_dim=self.feature_dim,
            id_dropout=self.id_dropout,
            temperature=self.temperature,
            dropout=self.dropout,
            recency=self.recency,
            sparse=sparse,
            chunk=self.chunk,
        )

    def _make_examples(self, log: Interactions, seed: int) -> Examples:
        return NextItems(log, self.max_length, age=None, context=self.context, pad=self.cuda_graphs)

    @property
    def describes_items(self) -> bool:
        """True: the item tower reads features."""
        return True
