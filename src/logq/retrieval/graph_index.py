"""`GraphIndex`: what the indexes of libraries that search one graph of neighbors have in common."""

from typing import Any

from logq._arguments import check_int
from logq.retrieval.approximate_index import DENSER, ApproximateIndex
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_index import SearchSetting

__all__ = ["GraphIndex"]


class GraphIndex(ApproximateIndex):
    """An index whose library has one kind, a graph, and cannot filter; the candidates of a query are its effort."""

    filters = False

    def __init__(self, dim: int, metric: Metric, ef_search: int) -> None:
        """Begin without items."""
        super().__init__(self.family, dim, metric)
        self._ef_search = check_int("ef_search", ef_search)

    @property
    def search_setting(self) -> SearchSetting:
        """The number of candidates of a query."""
        return SearchSetting("ef_search", self._ef_search, len(self._slot_ids))

    def set_search(self, value: int) -> None:
        """Set the number of candidates of a query."""
        self._ef_search = check_int("ef_search", value)

    @classmethod
    def builds(cls, kind: str, dim: int) -> tuple[dict[str, Any], ...]:
        """Return denser graphs; see `ItemIndex.builds`."""
        del kind, dim
        return DENSER

    def _options(self) -> dict[str, Any]:
        return {"ef_search": self._ef_search}
