"""From vectors of items to the best ones for a query: one face over exact and approximate search."""

from logq.retrieval.duckdb_items import DuckDBItems
from logq.retrieval.exact import ExactIndex
from logq.retrieval.faiss_index import FaissIndex
from logq.retrieval.index import ItemIndex, SearchResult
from logq.retrieval.item_store import ItemStore, StoredItems
from logq.retrieval.making import INDEX_KINDS, load_index, make_index
from logq.retrieval.pgvector_items import PgVectorItems
from logq.retrieval.recall import IndexRecall, index_recall
from logq.retrieval.usearch_index import UsearchIndex

__all__ = [
    "INDEX_KINDS",
    "DuckDBItems",
    "ExactIndex",
    "FaissIndex",
    "IndexRecall",
    "ItemIndex",
    "ItemStore",
    "PgVectorItems",
    "SearchResult",
    "StoredItems",
    "UsearchIndex",
    "index_recall",
    "load_index",
    "make_index",
]
