"""SDM, fitted from a log; Lv et al., CIKM 2019, arXiv:1909.00385."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import Unpack

from logq import models
from logq.arguments import check_bool, check_float, check_int
from logq.data.logs import Examples, Interactions, NextItems
from logq.models import RetrievalModel
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.seen import Seen
from logq.recommenders.widths import feature_codes, feature_sizes

__all__ = ["SDM"]


class SDM(NeuralRecommender):
    """Recommends by the running session and the long past of a user, mixed by a gate: logq.models.SDM, from a log.

    The session is the last `short_length` events, the past the others of the `max_length` that are looked at. Features
    of users and items that the log has are inputs.

    Args:
        dim: D, the width of the vectors of items, a multiple of `heads`.
        short_length: events of a session.
        heads: of self-attention.
        user_vectors: whether each user has a vector of its own; unknown users have a learned one.
        user_dropout: how often a user counts as unknown in training; above 0 where unknown users will be asked about.
        dropout: of what enters and leaves the LSTM.
        tied: whether items of a history and items to find are one table.
        **options: as for NeuralRecommender.

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Lv et al., SDM: Sequential Deep Matching Model for Online Large-scale Recommender System, CIKM 2019,
        arXiv:1909.00385.

    Example:
        >>> from logq.data.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = SDM(dim=16, num_sampled=8, epochs=30, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        short_length: int = 10,
        heads: int = 4,
        user_vectors: bool = False,
        user_dropout: float = 0.1,
        dropout: float = 0.0,
        tied: bool = True,
        **options: Unpack[NeuralOptions],
    ) -> None:
        super().__init__(dim, **options)
        self.short_length = check_int("short_length", short_length)
        self.heads = check_int("heads", heads)
        if self.dim % self.heads:
            raise ValueError(f"heads: expected a divisor of dim = {dim}, got {heads}")
        self.user_vectors = check_bool("user_vectors", user_vectors)
        self.user_dropout = check_float("user_dropout", user_dropout, at_least=0, at_most=0.999)
        self.dropout = check_float("dropout", dropout, at_least=0, at_most=0.999)
        self.tied = check_bool("tied", tied)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("short_length", "heads", "user_vectors", "user_dropout", "dropout", "tied")
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.SDM(
            seen.num_items,
            self.dim,
            short_length=self.short_length,
            num_users=seen.num_users if self.user_vectors else None,
            user_dropout=self.user_dropout,
            user_features=feature_sizes(seen.user_features),
            item_features=feature_sizes(seen.item_features),
            item_codes=feature_codes(seen.item_features),
            heads=self.heads,
            dropout=self.dropout,
            tied=self.tied,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions) -> Examples:
        return NextItems(log, self.max_length, age=None)
