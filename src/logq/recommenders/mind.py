"""MIND, fitted from a log; Li et al., CIKM 2019, arXiv:1904.08030."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import Unpack

from logq import models
from logq.arguments import check_bool, check_float, check_int
from logq.data.logs import Examples, Interactions, NextItems
from logq.models import RetrievalModel
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.seen import Seen
from logq.recommenders.widths import check_widths, feature_sizes

__all__ = ["MIND"]


class MIND(NeuralRecommender):
    """Recommends by several interests a user, made by dynamic routing: logq.models.MIND, fitted from a log.

    An item is as good as it is for the interest that it fits best. Features of users that the log has are inputs.

    Args:
        dim: D, the width of the vectors of items.
        interests: K, queries a user at most.
        adaptive: whether short histories have fewer.
        passes: of the routing.
        power: p of the label-aware attention, >= 1, 0, or math.inf.
        hidden: widths of the ReLU layers behind the capsules.
        feature_dim: width of the vector of a feature.
        learned_routing: whether the routing's first logits are trained.
        tied: whether items of a history and items to find are one table.
        dropout: of hidden layers.
        **options: as for NeuralRecommender.

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Li et al., Multi-Interest Network with Dynamic Routing for Recommendation at Tmall, CIKM 2019, arXiv:1904.08030.

    Example:
        >>> from logq.data.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = MIND(dim=16, interests=2, num_sampled=8, epochs=30, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        interests: int = 4,
        adaptive: bool = True,
        passes: int = 3,
        power: float = 2.0,
        hidden: Sequence[int] = (256,),
        feature_dim: int = 16,
        learned_routing: bool = False,
        tied: bool = True,
        dropout: float = 0.0,
        **options: Unpack[NeuralOptions],
    ) -> None:
        super().__init__(dim, **options)
        self.interests = check_int("interests", interests)
        self.adaptive = check_bool("adaptive", adaptive)
        self.passes = check_int("passes", passes)
        self.power = math.inf if power in (math.inf, "inf") else check_float("power", power, at_least=0)
        self.hidden = check_widths("hidden", hidden)
        self.feature_dim = check_int("feature_dim", feature_dim)
        self.learned_routing = check_bool("learned_routing", learned_routing)
        self.tied = check_bool("tied", tied)
        self.dropout = check_float("dropout", dropout, at_least=0, at_most=0.999)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("interests", "adaptive", "passes", "hidden", "feature_dim", "learned_routing", "tied", "dropout")
        return {
            **super().settings(),
            **{name: getattr(self, name) for name in names},
            "power": "inf" if self.power == math.inf else self.power,
        }

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.MIND(
            seen.num_items,
            self.dim,
            interests=self.interests,
            adaptive=self.adaptive,
            passes=self.passes,
            max_length=self.max_length,
            power=self.power,
            hidden=self.hidden,
            user_features=feature_sizes(seen.user_features),
            feature_dim=self.feature_dim,
            learned_routing=self.learned_routing,
            tied=self.tied,
            dropout=self.dropout,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions) -> Examples:
        return NextItems(log, self.max_length, age=None)
