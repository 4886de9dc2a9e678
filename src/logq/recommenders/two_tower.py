"""TwoTower, fitted from a log; Yi et al., RecSys 2019."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from logq import models
from logq.arguments import check_bool, check_float, check_int
from logq.data.logs import Examples, Interactions, NextItems
from logq.models import RetrievalModel
from logq.recommenders.context import check_context
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.seen import Seen
from logq.recommenders.widths import check_widths, feature_codes, feature_sizes

__all__ = ["TwoTower"]


class TwoTower(NeuralRecommender):
    """Recommends by a tower for users and one for items: logq.models.TwoTower, fitted from a log.

    Trained by softmax over the other targets of a batch, corrected by log Q, unless told otherwise. Queries and items
    are unit vectors. Features of users and items that the log has are inputs, so that `similar_items(item_features=)`
    answers for items that came later.

    Args:
        dim: D, the width of the vectors that are compared.
        hidden, item_hidden: widths of the ReLU layers of both towers.
        id_dim: width of the vectors of ids; None for D.
        feature_dim: width of the vector of a feature.
        id_dropout: how often an item counts as unknown in training, so that features alone learn to do.
        user_vectors: whether each user has a vector of its own; unknown users have a learned one.
        user_dropout: how often a user counts as unknown in training.
        context: names of columns of categories of the log that are inputs too, such as what was searched for, a market
            or a device: values of the moment of an event. `recommend(context=...)` tells them of the moment of a query.
        dropout: of hidden layers.
        **options: as for NeuralRecommender; sampler is "in_batch" and temperature 0.05 where
            they are not given; cosine cannot be.

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys 2019.

    Example:
        >>> from logq.data.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = TwoTower(dim=16, epochs=40, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    has_item_table: ClassVar[bool] = False

    def __init__(
        self,
        dim: int = 64,
        *,
        hidden: Sequence[int] = (256,),
        item_hidden: Sequence[int] = (256,),
        id_dim: int | None = None,
        feature_dim: int = 16,
        id_dropout: float = 0.1,
        user_vectors: bool = False,
        user_dropout: float = 0.1,
        context: Sequence[str] = (),
        dropout: float = 0.0,
        **options: Unpack[NeuralOptions],
    ) -> None:
        if options.get("cosine"):
            raise ValueError("cosine: expected no such argument, as the towers end in unit vectors anyway")
        defaults: NeuralOptions = {"temperature": 0.05}
        super().__init__(dim, **{**defaults, **options})
        if options.get("sampler") is None and self.sampler == "log_uniform":
            self.sampler = "in_batch"
        self.hidden = check_widths("hidden", hidden)
        self.item_hidden = check_widths("item_hidden", item_hidden)
        self.id_dim = None if id_dim is None else check_int("id_dim", id_dim)
        self.feature_dim = check_int("feature_dim", feature_dim)
        self.id_dropout = check_float("id_dropout", id_dropout, at_least=0, at_most=0.999)
        self.user_vectors = check_bool("user_vectors", user_vectors)
        self.user_dropout = check_float("user_dropout", user_dropout, at_least=0, at_most=0.999)
        self.context = check_context(context)
        self.dropout = check_float("dropout", dropout, at_least=0, at_most=0.999)

    @property
    def loss_temperature(self) -> float:
        """1, as the temperature is in the queries already."""
        return 1.0

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = (
            "hidden",
            "item_hidden",
            "id_dim",
            "feature_dim",
            "id_dropout",
            "user_vectors",
            "user_dropout",
            "context",
            "dropout",
        )
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.TwoTower(
            seen.num_items,
            self.dim,
            hidden=self.hidden,
            item_hidden=self.item_hidden,
            num_users=seen.num_users if self.user_vectors else None,
            user_dropout=self.user_dropout,
            user_features=feature_sizes(seen.user_features),
            context_features=self._context.sizes,
            item_features=feature_sizes(seen.item_features),
            item_codes=feature_codes(seen.item_features),
            id_dim=self.id_dim,
            feature_dim=self.feature_dim,
            id_dropout=self.id_dropout,
            temperature=self.temperature,
            dropout=self.dropout,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions) -> Examples:
        return NextItems(log, self.max_length, age=None, context=self.context)

    @torch.no_grad()
    def _cold_vectors(self, item_features: Mapping[str, Any]) -> Tensor:
        known = self.seen.item_features
        if known is None:
            raise ValueError("item_features: the model was fitted on a log without side information of items")
        device = next(self.model.parameters()).device
        codes = {
            name: torch.from_numpy(np.asarray(values, dtype=np.int64)).to(device)
            for name, values in known.encode(item_features).items()
        }
        return cast("models.TwoTower", self.model).item_vectors_from(codes)
