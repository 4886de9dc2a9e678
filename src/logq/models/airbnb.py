"""Airbnb's listing embeddings: skip-gram over click sessions, with the booked listing in every window.

References:
    Grbovic and Cheng, Real-time Personalization using Embeddings for Search Ranking at Airbnb, KDD 2018, Sec. 3.
"""

from torch import Tensor

from logq.arguments import check_float, check_int
from logq.models.base import Batch, WindowModel
from logq.models.recency import recency_weights
from logq.models.tables import Table, column

__all__ = ["AirbnbEmbeddings"]


class AirbnbEmbeddings(WindowModel):
    """Vectors of listings, learned from what was clicked around them and what was booked in the end.

        max  sum_{(l,c) in D_p} log s(<v'_c, v_l>) + sum_{(l,c) in D_n} log s(-<v'_c, v_l>)          Eq. 4
             + log s(<v'_b, v_l>) + sum_{(l,m) in D_m} log s(-<v'_m, v_l>)

    s is the logistic function, l the central listing, c those in its window, b the listing that its session ends in
    booking, D_n random negatives and D_m random ones of the market of l. The booked listing counts as a context of
    every l of its session, however far away. Both tables are here; the pairs (l, c) and (l, b) come as examples, and
    the negatives from `Mixture([Unigram(...), WithinGroup(...)])` with any row of the table of objectives.

    Args:
        num_items: C.
        dim: D.
        decay: in (0, 1], how much less an item of a history counts than the one after it.
        sparse: whether tables get sparse gradients.

    Shape:
        history (B, L) int64 -> queries (B, D), the weighted mean of their vectors. In training L is 1, the central
        listing, and targets (B, W) are its window and what was booked, padded with -1: each pair is a query.

    Raises:
        TypeError, ValueError: a size is no whole number >= 1.

    Example:
        >>> model = AirbnbEmbeddings(100, 8)
        >>> batch = {"history": torch.tensor([[5], [7]]), "targets": torch.tensor([[7, 99], [5, -1]])}
        >>> queries, targets = model.training_queries(batch)
        >>> queries.shape, targets
        (torch.Size([3, 8]), tensor([ 7, 99,  5]))
    """

    def __init__(self, num_items: int, dim: int = 32, *, decay: float = 1.0, sparse: bool = False) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.decay = check_float("decay", decay, above=0, at_most=1)
        self.listings = Table(num_items, dim, std=dim**-0.5, sparse=sparse)
        self.contexts = Table(num_items, dim, std=0.0, sparse=sparse)

    def query(self, batch: Batch) -> Tensor:
        """The mean (B, D) of the vectors v of each history, weighted by recency."""
        history = column(batch, "history", self.num_items, "BL")
        is_item = history >= 0
        vectors = self.listings(history[is_item])
        weights = recency_weights(history, self.decay)[is_item].to(vectors.dtype)
        rows = is_item.nonzero()[:, 0]
        return vectors.new_zeros(len(history), self.dim).index_add(0, rows, weights[:, None] * vectors)
