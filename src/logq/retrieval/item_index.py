"""The face of every index of items: vectors by id in, the best ids for a query out."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from logq.retrieval.index_checks import Combine, Metric

__all__ = ["Ids", "ItemIndex", "SearchResult", "Vectors"]

Vectors: TypeAlias = Tensor | NDArray[np.floating[Any]] | Sequence[Sequence[float]]
Ids: TypeAlias = Tensor | NDArray[np.integer[Any]] | NDArray[np.bool_] | Sequence[int]


class SearchResult(NamedTuple):
    """What a search found, best first; both tensors lie on the device of the index.

    Attributes:
        scores: (B, k) float32, descending; -inf where there was no further item.
        ids: (B, k) int64; -1 where there was no further item.

    Example:
        >>> scores, ids = SearchResult(torch.tensor([[0.5]]), torch.tensor([[7]]))
    """

    scores: Tensor
    ids: Tensor


class ItemIndex(ABC):
    """Items that can be searched by their vectors.

        score(q, i) = <q, v_i>  or  <q, v_i> / (|q| |v_i|)
        with K queries a row:  max_k or sum_k of score(q_k, i)

    Equal scores stand in the order of their ids; of those that share the last place, exact search takes the lowest ids,
    and approximate search any. With metric "cosine" a zero vector has the score 0 everywhere.

    Attributes:
        kind: the name under which `make_index` makes it.
        metric: "inner_product" or "cosine".
        dim: D, the numbers of a vector.
    """

    kind: str
    metric: Metric
    dim: int

    @abstractmethod
    def __len__(self) -> int:
        """Return how many items there are."""

    @property
    @abstractmethod
    def ids(self) -> Tensor:
        """The ids of all items, (n,) int64 on the CPU, ascending."""

    @abstractmethod
    def search(
        self,
        queries: Vectors,  # (B, D) or (B, K, D)
        k: int = 10,
        *,
        exclude: tuple[Ids, Ids] | None = None,
        allow: Ids | None = None,
        combine: Combine = "max",
    ) -> SearchResult:
        """Return the k items with the highest scores for each query.

        Args:
            queries: one vector a row, or K: interests of one user.
            k: how many items a row.
            exclude: ids that a row must not get, as (ids, offsets): those of row b are
                ids[offsets[b] : offsets[b + 1]], offsets has B + 1 numbers. -1 and ids that are not here do no harm.
            allow: the only items that any row may get: their ids, or a mask (C,) of bool by id, C above the largest id.
            combine: how the K scores of an item become one; "max" or "sum".

        Raises:
            TypeError: an argument has a type or dtype that it cannot have.
            ValueError: a shape, a number that is not finite, or offsets do not fit.
        """

    @abstractmethod
    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add items; ids are integers >= 0 that are not here yet.

        Raises:
            ValueError: an id is negative, occurs twice or is here already, or a vector is not finite.
        """

    @abstractmethod
    def remove(self, ids: Ids) -> None:
        """Remove items.

        Raises:
            ValueError: an id is not here.
        """

    @abstractmethod
    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index as `index.safetensors` into a folder, which is made if it is missing.

        Raises:
            OSError: the file cannot be written.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged, truncated or changed, or holds an index of another kind.
        """
