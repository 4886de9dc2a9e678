"""Airbnb's listing embeddings: skip-gram over click sessions, with the booked listing in every window.

References:
    Grbovic and Cheng, Real-time Personalization using Embeddings for Search Ranking at Airbnb, KDD 2018, Sec. 3.
"""

from torch import Tensor, nn

from logq.arguments import check_int
from logq.models.base import Batch, RetrievalModel
from logq.models.tables import Table, column

__all__ = ["AirbnbEmbeddings"]


class AirbnbEmbeddings(RetrievalModel):
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
        sparse: whether tables get sparse gradients.

    Shape:
        history (B, L) int64, central listings -> queries (B, D), the mean of their vectors. In training L is 1.

    Raises:
        TypeError, ValueError: a size is no whole number >= 1.

    Example:
        >>> model = AirbnbEmbeddings(100, 8)
        >>> batch = {"history": torch.tensor([[5], [7]]), "target": torch.tensor([7, 99])}
        >>> queries, targets = model.training_queries(batch)
        >>> queries.shape
        torch.Size([2, 8])
    """

    def __init__(self, num_items: int, dim: int = 32, *, sparse: bool = False) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.listings = Table(num_items, dim, std=dim**-0.5, sparse=sparse)
        self.contexts = Table(num_items, dim, std=0.0, sparse=sparse)

    def query(self, batch: Batch) -> Tensor:
        """The mean (B, D) of the vectors v of each history."""
        return self.listings.mean(column(batch, "history", self.num_items, "BL"))

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The vectors (B, D) of central listings and what stands around them or was booked (B,)."""
        return self.query(batch), batch["target"]

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Rows (n, D) of v'."""
        return self.contexts.weight if ids is None else self.contexts(ids)

    @property
    def item_table(self) -> nn.Parameter:
        """The table v' (C, D)."""
        return self.contexts.weight
