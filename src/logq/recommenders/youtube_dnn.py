"""YoutubeDNN: averaged histories and features through ReLU layers; Covington et al., RecSys 2016."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float, check_int
from logq.logs.examples import Examples
from logq.logs.interactions import Interactions
from logq.logs.next_items import NextItems
from logq.recommenders.encoding.encoders import Batch, RetrievalModel, Tower
from logq.recommenders.encoding.feature_tables import FeatureTables, feature_sizes
from logq.recommenders.encoding.item_bias import ItemBias, ShardedBias
from logq.recommenders.encoding.item_content import ItemContent, TableModel, content_of
from logq.recommenders.encoding.item_tables import column, makes_parts
from logq.recommenders.events.log_statistics import LogStatistics
from logq.recommenders.neural.neural_config import (
    ContentConfig,
    ContextConfig,
    FeatureDim,
    Hidden,
    Tied,
)
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.recommenders.neural.next_item_config import RecentItemsConfig
from logq.shapes import check_shape
from logq.training.config import AtLeast, Help, configclass

__all__ = ["YoutubeDNN", "YoutubeDNNConfig", "YoutubeDNNEncoder"]


class YoutubeDNNEncoder(TableModel):
    """The candidate generator of YouTube: P(next item i | user, context) is a softmax over inner products.

        x = [mean of e_h over the history ; features ; a, a^2, sqrt(a)]             Section 3.2, 3.3, 4.1
        u = tower(x)                                                                Section 3.2
        P(i | u) = exp(<v_i, u>) / sum_j exp(<v_j, u>)                              Section 3.1

    e are vectors of watched items, v those of items to find: another table, or the same one if `tied`. A feature with
    several values per row, such as the words that were searched for, counts with the mean of their vectors. a is the
    age of the example divided by the longest one: training learns how popularity changes with time, and `query` asks
    with age 0, for now. A row without a history has a mean of 0.

    Differs from the paper: the last layer is linear, not ReLU, so that queries may have any direction; features that
    are numbers have to be cut into classes; items of a history may count less the older they are (`recency`).

    Args:
        num_items: C.
        dim: D.
        hidden: widths of the ReLU layers.
        user_features: how many values each feature of the user has, by name ("age": 7 reads "user.age").
        context_features: the same of the context of the request ("tokens": 5000 reads "context.tokens").
        feature_dim: width of the vector of a feature.
        longest_age: the age that counts as 1, in the unit of the column "age"; None leaves age out.
        tied: whether e and v are one table.
        item_bias: whether items have a bias.
        dropout: of hidden layers.
        recency: what each item of a history counts in the mean, relative to the next one; 1 weighs all alike.
        sparse: whether tables and biases of items get sparse gradients.
        content: what is known of items beside their ids, which then enters e and v; None for nothing.

    Shape:
        history (B, L) int64, age (B,), features (B,) or (B, W) int64 -> queries (B, D). Padding may be anywhere.

    Raises:
        TypeError, ValueError: a size is not an integer >= 1, or a column does not fit.
        KeyError: a batch lacks a column.

    Example:
        >>> model = YoutubeDNNEncoder(1000, 16, hidden=[32], user_features={"gender": 3}, longest_age=86400.0)
        >>> batch = {"history": torch.tensor([[5, 7, -1], [999, 0, 3]]), "user.gender": torch.tensor([1, 0])}
        >>> model.query(batch).shape
        torch.Size([2, 16])
        >>> queries, targets = model.training_queries(
        ...     batch | {"target": torch.tensor([3, 8]), "age": torch.tensor([0.0, 3600.0])}
        ... )
        >>> logits = queries @ model.item_vectors(targets).T
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        *,
        hidden: Sequence[int] = (256, 128),
        user_features: Mapping[str, int] | None = None,
        context_features: Mapping[str, int] | None = None,
        feature_dim: int = 16,
        longest_age: float | None = None,
        tied: bool = False,
        item_bias: bool = False,
        dropout: float = 0.0,
        recency: float = 1.0,
        sparse: bool = False,
        content: ItemContent | None = None,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.make_tables(std=dim**-0.5, tied=tied, sparse=sparse, content=content)
        self.user_features = FeatureTables(user_features or {}, feature_dim, prefix="user.")
        self.context_features = FeatureTables(context_features or {}, feature_dim, prefix="context.")
        self.longest_age = None if longest_age is None else check_float("longest_age", longest_age, above=0)
        width = dim + self.user_features.width + self.context_features.width + 3 * (longest_age is not None)
        self.tower = Tower(width, hidden, dim, dropout=dropout)
        self.recency = check_float("recency", recency, above=0, at_most=1)
        self.sparse = sparse
        self.bias = self.own_biases = None
        if check_bool("item_bias", item_bias) and makes_parts():
            self.own_biases = ShardedBias(num_items, sparse=sparse)
            self.bias = self.own_biases.weight
        elif item_bias:
            self.bias = nn.Parameter(torch.zeros(num_items))

    def query(self, batch: Batch) -> Tensor:
        """The queries (B, D) as of now: the age of a row is 0, whatever the batch says."""
        history = column(batch, "history", self.num_items, "BL")
        return self._queries(batch, history, history.new_zeros(history.shape[0]))

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The queries (B, D) as of each example, and their targets (B,)."""
        history = column(batch, "history", self.num_items, "BL")
        targets = column(batch, "target", self.num_items, "B")
        if self.longest_age is None:
            return self._queries(batch, history, history), targets
        if "age" not in batch:
            raise KeyError("age: the model needs this column in training; longest_age=None makes one that does not")
        check_shape("age", batch["age"], "B", {"B": len(history)})
        return self._queries(batch, history, batch["age"]), targets

    def _queries(self, batch: Batch, history: Tensor, age: Tensor) -> Tensor:
        rows = history.shape[0]
        parts = [
            self.watched.mean(history, self.recency),
            *self.user_features(batch, rows),
            *self.context_features(batch, rows),
        ]
        if self.longest_age is not None:
            x = (age.to(parts[0].dtype) / self.longest_age).clamp(0, 1)[:, None]
            parts += [x, x**2, x.sqrt()]
        return self.tower(torch.cat(parts, dim=1))

    @property
    def item_bias(self) -> nn.Parameter | None:
        """The biases of items (C,), if there are any; None of those in parts."""
        return self.bias if self.own_biases is None else None

    @property
    def item_biases(self) -> ItemBias | ShardedBias | None:
        """The same as what is asked for those of some items."""
        if self.own_biases is not None or self.bias is None:
            return self.own_biases
        return ItemBias(self.bias, sparse=self.sparse)


@configclass(group="Model")
class YoutubeDNNConfig(ContextConfig, ContentConfig, RecentItemsConfig):
    """The arguments of YoutubeDNN.

    Example:
        >>> YoutubeDNNConfig(hidden=[64]).hidden
        (64,)
    """

    hidden: Hidden = (256, 128)
    feature_dim: FeatureDim = 16
    example_age: Annotated[
        bool,
        Help(
            "Whether the age of an example is an input; the log must have times.",
            typed="Use the age of each example as an input.",
        ),
    ] = False
    tied: Tied = True
    item_bias: Annotated[
        bool,
        Help(
            "Whether items have a bias.",
            more="It starts where the objective says that all items are alike; losses that learn log P or log odds, "
            'such as "nce", are slow to get there without.',
            typed="Learn a bias for each item.",
        ),
    ] = False
    max_per_user: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Use at most N training events per user, chosen at random; {none} uses all.",
            more="So very active users do not dominate the loss (section 3.3).",
            none="0",
        ),
    ] = None

    def num_examples(self, log: LogStatistics) -> int:
        """Events that are learned from in an epoch."""
        return log.num_targets if self.max_per_user is None else log.targets_at_most(self.max_per_user)


class YoutubeDNN(YoutubeDNNConfig, NeuralRecommender):
    """Recommends by the mean of a user's history, through ReLU layers; see YoutubeDNNEncoder.

    Learns what comes next from each event of a user and the `max_length` events before it. Features of users that the
    log has are inputs.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Covington, Adams and Sargin, Deep Neural Networks for YouTube Recommendations, RecSys 2016.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = YoutubeDNN(dim=16, num_sampled=8, epochs=30, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    def _inspect(self, log: Interactions) -> dict[str, Any]:
        if self.example_age and log.timestamps is None:
            raise ArgumentError("example_age", "a log with times", Verbatim("one without"))
        return {"longest_age": 1.0 if self.example_age else None}  # ages are parts of the duration of the log

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        return YoutubeDNNEncoder(
            self.known.num_items,
            self.dim,
            hidden=self.hidden,
            user_features=feature_sizes(self.known.user_features),
            context_features=self._context.sizes,
            feature_dim=self.feature_dim,
            longest_age=self.metadata["longest_age"],
            tied=self.tied,
            item_bias=self.item_bias,
            dropout=self.dropout,
            recency=self.recency,
            sparse=sparse,
            content=content_of(self.content, self.id_dropout, self.known),
        )

    def _make_examples(self, log: Interactions, seed: int) -> Examples:
        return NextItems(
            log,
            self.max_length,
            max_per_user=self.max_per_user,
            seed=seed,
            age="fraction" if self.example_age else None,
            context=self.context,
            pad=self.cuda_graphs,
        )
