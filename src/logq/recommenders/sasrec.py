"""SASRec, fitted from a log; Kang and McAuley, ICDM 2018, arXiv:1808.09781."""

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import Unpack

from logq import models
from logq.arguments import check_bool, check_float, check_int
from logq.data.logs import Examples, Interactions, Sequences
from logq.models import RetrievalModel
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.seen import Seen

__all__ = ["SASRec"]


class SASRec(NeuralRecommender):
    """Recommends by causal self-attention over what a user did: logq.models.SASRec, fitted from a log.

    Learns what comes next after each event of a window at once, so `batch_size` counts windows, not events. Histories
    longer than `max_length` are cut into windows; with `overlap` each window sees that many items of the one before.

    Args:
        dim: D, the width of the vectors of items, a multiple of `heads`.
        blocks, heads: of attention.
        hidden: width of the feed-forward layer; None for D.
        dropout: in [0, 1).
        tied: whether items of a history and items to find are one table.
        overlap: items that a window repeats from the one before, less than max_length.
        last_only: learn from the last window of each user only, as in the paper.
        **options: as for NeuralRecommender; max_length is 200 and batch_size 64 where they are not given.

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, arXiv:1808.09781.

    Example:
        >>> from logq.data.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = SASRec(dim=16, num_sampled=8, epochs=60, lr=0.01, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    bucket: ClassVar[int] = 16

    def __init__(
        self,
        dim: int = 64,
        *,
        blocks: int = 2,
        heads: int = 1,
        hidden: int | None = None,
        dropout: float = 0.2,
        tied: bool = True,
        overlap: int = 0,
        last_only: bool = False,
        **options: Unpack[NeuralOptions],
    ) -> None:
        defaults: NeuralOptions = {"max_length": 200, "batch_size": 64}
        super().__init__(dim, **{**defaults, **options})
        self.blocks = check_int("blocks", blocks)
        self.heads = check_int("heads", heads)
        if self.dim % self.heads:
            raise ValueError(f"heads: expected a divisor of dim = {dim}, got {heads}")
        self.hidden = None if hidden is None else check_int("hidden", hidden)
        self.dropout = check_float("dropout", dropout, at_least=0, at_most=0.999)
        self.tied = check_bool("tied", tied)
        self.overlap = check_int("overlap", overlap, 0)
        self.last_only = check_bool("last_only", last_only)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("blocks", "heads", "hidden", "dropout", "tied", "overlap", "last_only")
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.SASRec(
            seen.num_items,
            self.dim,
            max_length=self.max_length,
            blocks=self.blocks,
            heads=self.heads,
            hidden=self.hidden,
            dropout=self.dropout,
            tied=self.tied,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions) -> Examples:
        return Sequences(log, self.max_length, overlap=self.overlap, last_only=self.last_only)
