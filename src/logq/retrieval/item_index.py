"""`ItemIndex`: the interface of all indexes of items."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim
from logq.retrieval.index_checks import Combine, Metric
from logq.tables.notebook_html import result_html
from logq.tables.short_texts import ranked, result_text

__all__ = ["Ids", "ItemIndex", "SearchResult", "SearchSetting", "Vectors"]

Vectors: TypeAlias = Tensor | NDArray[np.floating[Any]] | Sequence[Sequence[float]]
Ids: TypeAlias = Tensor | NDArray[np.integer[Any]] | NDArray[np.bool_] | Sequence[int]


class SearchResult(NamedTuple):
    """The items that a search found, best first; both tensors are on the device of the index.

    Attributes:
        scores: (B, k) float32, descending; -inf where there are no more items.
        ids: (B, k) int64; -1 where there are no more items.

    Example:
        >>> scores, ids = SearchResult(torch.tensor([[0.5]]), torch.tensor([[7]]))
    """

    scores: Tensor
    ids: Tensor

    def __repr__(self) -> str:
        return result_text(self, ranked(self.ids.cpu(), self.scores.cpu()))

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns that `logq.to_frame` makes a table of: a row for each item that was found.

        Example:
            >>> SearchResult(torch.tensor([[0.5]]), torch.tensor([[7]])).to_columns()["id"].tolist()
            [7]
        """
        scores, ids = self.scores.cpu().numpy(), self.ids.cpu().numpy()
        rows, ranks = np.nonzero(scores > -np.inf)
        return {"row": rows, "rank": ranks + 1, "id": ids[rows, ranks], "score": scores[rows, ranks]}

    _repr_html_ = result_html


class SearchSetting(NamedTuple):
    """How much of an index a search looks at: more is slower, and finds more of the true best items.

    Attributes:
        name: of the option of the index.
        value: that searches use now.
        most: above which a larger value changes nothing.

    Example:
        >>> SearchSetting("ef_search", 64, 1000).name
        'ef_search'
    """

    name: str
    value: int
    most: int


class ItemIndex(ABC):
    """Items that can be searched by their vectors.

        score(q, i) = <q, v_i>  or  <q, v_i> / (|q| |v_i|)
        with K queries per row:  max_k or sum_k of score(q_k, i)

    Equal scores are in the order of their ids; of items tied for the last rank, exact search returns those with the
    lowest ids, and approximate search any. With the metric "cosine" a zero vector has the score 0 everywhere.

    Attributes:
        kind: the name by which `make_index` makes it.
        metric: "inner_product" or "cosine".
        dim: D, the dimension of the vectors.
    """

    kind: str
    metric: Metric
    dim: int
    _ids: Tensor

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._ids)

    def __repr__(self) -> str:
        return result_text(self, self.kind, f"{len(self):,} items", f"{self.dim} dimensions", self.metric)

    @property
    def ids(self) -> Tensor:
        """The ids of all items, (n,) int64 on the CPU, ascending."""
        return self._ids

    @property
    def search_setting(self) -> SearchSetting | None:
        """What trades speed for recall in searches; None where nothing does."""
        return None

    def set_search(self, value: int) -> None:
        """Set the value of `search_setting`, which `save` keeps.

        Raises:
            ArgumentError: it is not an integer of 1 or more, or there is no such setting.
        """
        raise ArgumentError("value", "an index with a setting of searches", Verbatim(f"{self.kind}, which has none"))

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of memory for vectors, codes, graphs and lists."""

    @classmethod
    def builds(cls, kind: str, dim: int) -> tuple[dict[str, Any], ...]:
        """Return options of the constructor to find more items by than with the defaults, each dearer than the last.

        Args:
            kind: as `make_index` names it.
            dim: D, the dimension of the vectors.
        """
        del kind, dim
        return ()

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
            queries: one vector for each row, or K, the interests of one user.
            k: number of items for each row.
            exclude: ids to exclude for each row, as (ids, offsets): those of row b are
                ids[offsets[b] : offsets[b + 1]], offsets has B + 1 numbers. -1 and unknown ids have no effect.
            allow: the only items to return: their ids, or a mask (C,) of bool by id, with C above the largest id.
            combine: how to combine the K scores of an item; "max" or "sum".

        Raises:
            ArgumentTypeError: an argument has a wrong type or dtype.
            ArgumentError: a shape or offsets do not fit, or a number is not finite.
        """

    @abstractmethod
    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add items; ids are integers >= 0 that are not in the index yet.

        Raises:
            ArgumentError: an id is negative, occurs twice or is in the index already, or a vector is not finite.
        """

    @abstractmethod
    def remove(self, ids: Ids) -> None:
        """Remove items.

        Raises:
            ArgumentError: an id is not in the index.
        """

    @abstractmethod
    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index as `index.safetensors` into a folder, which is created if it is missing.

        Raises:
            OSError: the file cannot be written.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: str | os.PathLike[str], *, check: bool = True) -> Self:
        """Read what `save` wrote; nothing in the file is ever executed.

        Args:
            folder: where it is.
            check: compare the digests in the file, at about the speed of a copy.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged, truncated or changed, or holds an index of another kind.
        """
