"""From vectors of items to the best ones for a query: one face over exact and approximate search."""

from logq.retrieval.exact import ExactIndex
from logq.retrieval.index import ItemIndex, SearchResult

__all__ = ["ExactIndex", "ItemIndex", "SearchResult"]
