"""YoutubeDNN, fitted from a log; Covington, Adams and Sargin, RecSys 2016."""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import Unpack

from logq import models
from logq.arguments import check_bool, check_float, check_int
from logq.data.logs import Examples, Interactions, NextItems
from logq.models import RetrievalModel
from logq.recommenders.context import check_context
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.seen import Seen
from logq.recommenders.widths import check_widths, feature_sizes

__all__ = ["YoutubeDNN"]


class YoutubeDNN(NeuralRecommender):
    """Recommends by a mean of what a user did, through ReLU layers: logq.models.YoutubeDNN, fitted from a log.

    Learns what comes next from each event of a user and the `max_length` events before it. Features of users that the
    log has are inputs.

    Args:
        dim: D, the width of the vectors of items.
        hidden: widths of the ReLU layers.
        feature_dim: width of the vector of a feature.
        example_age: whether the age of an example is an input; the log must have times.
        tied: whether items of a history and items to find are one table.
        item_bias: whether items have a bias. It starts where the objective says that all items are alike; losses that
            learn log P or log odds, such as "nce", are slow to get there without.
        max_per_user: learn from so many events of a user at most, drawn at random, so that very active users do not
            rule the loss (section 3.3); None learns from all.
        context: names of columns of categories of the log that are inputs too, such as what was searched for, a market
            or a device: values of the moment of an event. `recommend(context=...)` tells them of the moment of a query.
        dropout: of hidden layers.
        **options: as for NeuralRecommender: objective, sampler, num_sampled, max_length, batch_size, epochs, lr, ...

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Covington, Adams and Sargin, Deep Neural Networks for YouTube Recommendations, RecSys 2016.

    Example:
        >>> from logq.data.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = YoutubeDNN(dim=16, num_sampled=8, epochs=30, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        hidden: Sequence[int] = (256, 128),
        feature_dim: int = 16,
        example_age: bool = False,
        tied: bool = False,
        item_bias: bool = False,
        max_per_user: int | None = None,
        context: Sequence[str] = (),
        dropout: float = 0.0,
        **options: Unpack[NeuralOptions],
    ) -> None:
        super().__init__(dim, **options)
        self.hidden = check_widths("hidden", hidden)
        self.feature_dim = check_int("feature_dim", feature_dim)
        self.example_age = check_bool("example_age", example_age)
        self.tied = check_bool("tied", tied)
        self.item_bias = check_bool("item_bias", item_bias)
        self.max_per_user = None if max_per_user is None else check_int("max_per_user", max_per_user)
        self.context = check_context(context)
        self.dropout = check_float("dropout", dropout, at_least=0, at_most=0.999)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("hidden", "feature_dim", "example_age", "tied", "item_bias", "max_per_user", "context", "dropout")
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

    def _look_at(self, log: Interactions) -> dict[str, Any]:
        if self.example_age and log.timestamps is None:
            raise ValueError("example_age: expected a log with times, got one without")
        return {"longest_age": 1.0 if self.example_age else None}  # ages are parts of the duration of the log

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.YoutubeDNN(
            seen.num_items,
            self.dim,
            hidden=self.hidden,
            user_features=feature_sizes(seen.user_features),
            context_features=self._context.sizes,
            feature_dim=self.feature_dim,
            longest_age=facts["longest_age"],
            tied=self.tied,
            item_bias=self.item_bias,
            dropout=self.dropout,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions) -> Examples:
        return NextItems(
            log,
            self.max_length,
            max_per_user=self.max_per_user,
            seed=self.seed or 0,
            age="fraction" if self.example_age else None,
            context=self.context,
        )
