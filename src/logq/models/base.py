"""RetrievalModel: what a training loop and an index ask of a model of this room."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from logq.models.tables import Table

__all__ = ["Batch", "RetrievalModel"]

Batch = Mapping[str, Tensor]
"""The columns of a batch by name. All rows of a column are padded at the end with -1, most recent items last.

    history             (B, L) int64        items that a row knows of
    target              (B,) int64          the item that came next
    targets             (B, L) int64        the same after each item of the history, for models that learn from all
    user                (B,) int64          -1: unknown
    age                 (B,) float          how old an example is
    user.NAME           (B,) or (B, W) int64    a feature of the user
    context.NAME        (B,) or (B, W) int64    a feature of the moment
"""


class RetrievalModel(nn.Module, ABC):
    """Turns a batch into query vectors, and items into vectors that an inner product compares them with.

    Args:
        num_items: C.
        dim: D, the width of queries and items.

    Example:
        >>> class Popularity(RetrievalModel):
        ...     "Every query is the same number."
        ...
        ...     def query(self, batch):
        ...         return torch.ones(len(batch["history"]), 1)
        ...
        ...     def training_queries(self, batch):
        ...         return self.query(batch), batch["target"]
        ...
        ...     def item_vectors(self, ids=None):
        ...         return torch.zeros(self.num_items if ids is None else len(ids), 1)
        >>> Popularity(10, 1).query({"history": torch.tensor([[3, -1]])})
        tensor([[1.]])
    """

    def __init__(self, num_items: int, dim: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.dim = dim

    @abstractmethod
    def query(self, batch: Batch) -> Tensor:
        """The queries (B, D), or (B, K, D) for K interests, that items are searched by."""

    @abstractmethod
    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Queries (M, D) and what each should find (M,) int64, for a loss."""

    @abstractmethod
    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """The vectors (n, D) of some items, or of all."""

    @property
    def item_table(self) -> nn.Parameter | None:
        """The vectors of all items (C, D) where they are a plain table, whose rows a loss can touch one by one."""
        return None

    @property
    def item_bias(self) -> nn.Parameter | None:
        """A bias (C,) that is added to the logits of items, where the model has one."""
        return None

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The tables with sparse gradients, for an optimiser of logq.optim; all others are dense."""
        found = {id(m.weight): m.weight for m in self.modules() if isinstance(m, Table) and m.sparse}
        return list(found.values())
