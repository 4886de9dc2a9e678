"""What models that learn from windows have in common: a query for each item, learned from the items around it."""

from torch import Tensor, nn

from logq.models.base import Batch, RetrievalModel
from logq.models.tables import Table, column

__all__ = ["WindowModel"]


class WindowModel(RetrievalModel):
    """A model whose batches are windows: an item in `history` (B, 1), and what is around it in `targets` (B, W).

    Items are found by vectors of their own, those of contexts, as in word2vec.

    Attributes:
        contexts: the vectors (C, D) that items of a context are found by.

    Example:
        >>> import torch
        >>> class Plain(WindowModel):
        ...     def __init__(self, num_items, dim):
        ...         super().__init__(num_items, dim)
        ...         self.own, self.contexts = Table(num_items, dim, std=0.1), Table(num_items, dim, std=0.0)
        ...
        ...     def query(self, batch):
        ...         return self.own.mean(batch["history"])
        >>> batch = {"history": torch.tensor([[5], [7]]), "targets": torch.tensor([[7, 9], [5, -1]])}
        >>> queries, targets = Plain(10, 4).training_queries(batch)
        >>> queries.shape, targets
        (torch.Size([3, 4]), tensor([7, 9, 5]))
    """

    contexts: Table

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The query (M, D) of a row for each of its targets, row after row, and these targets (M,)."""
        queries, targets = self.query(batch), column(batch, "targets", self.num_items, "BL")
        if len(targets) != len(queries):
            raise ValueError(f"targets: expected {len(queries)} rows, as history has, got {len(targets)}")
        is_target = targets >= 0
        return queries[is_target.nonzero()[:, 0]], targets[is_target]

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Rows (n, D) of the table of contexts."""
        return self.contexts.weight if ids is None else self.contexts(ids)

    @property
    def item_table(self) -> nn.Parameter:
        """The table of contexts (C, D)."""
        return self.contexts.weight
