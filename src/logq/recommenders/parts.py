"""What a recommender is made of: the parts that a subclass fills in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from logq.data.logs import Interactions
from logq.recommenders.fitting import FitOptions, HeldOut
from logq.recommenders.histories import Histories

__all__ = ["RecommenderParts"]


class RecommenderParts(ABC):
    """What is learned, how it ranks, and what is saved.

    `_fit` learns from a log, where `seen` is there already. `_queries` gives a vector (or several) a user, `_item_rows`
    a row an item: their inner product is the score by which `recommend` ranks. `_vectors` are what `similar_items`
    compares by cosine. A model that has no vectors overrides `_rank` and `_similar` of Recommender instead. What is
    saved is `settings` (the arguments), `facts` (what JSON can hold of the log, such as sizes) and `state` (arrays).
    """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, as JSON can hold them; a device is left out."""

    @abstractmethod
    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        """Learn from a log; `validation` is what may be measured on meanwhile."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that was learned, by name; `seen` is saved by the base."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave; `seen` is there already.

        Raises:
            KeyError, ValueError: names, dtypes or shapes are not those that the settings ask for.
        """

    def _queries(self, histories: Histories) -> Tensor:
        """(n, D) or (n, K, D), the vectors that stand for what users want."""
        raise self._no_vectors()

    def _item_rows(self) -> Tensor:
        """(C, D), rows whose inner product with a query is the score of an item."""
        raise self._no_vectors()

    def _vectors(self) -> Tensor:
        """(C, D), the vectors of the items."""
        return self._item_rows()

    def _cold_vectors(self, item_features: Mapping[str, Any]) -> Tensor:
        """(n, D), vectors of items of which only side information is known."""
        raise ValueError(f"item_features: {type(self).__name__} learns nothing from side information of items")

    def _no_vectors(self) -> ValueError:
        return ValueError(f"{type(self).__name__} has no vectors of users and items that an index could compare")
