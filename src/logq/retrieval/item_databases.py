"""The databases of items that have a name, for Python and the command line; importing it loads none, nor torch."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from logq._arguments import ArgumentError, ArgumentTypeError, masked
from logq._project import check_installed

if TYPE_CHECKING:
    from logq.retrieval.index_checks import Metric
    from logq.retrieval.item_store import ItemStore

__all__ = ["DATABASES", "DatabaseEntry", "find_database", "open_items"]


class DatabaseEntry(NamedTuple):
    """A database of items.

    Attributes:
        location: "module:class" of its `ItemStore`, whose first argument is the place.
        extra: of logq, which has its client.
        address: how it is written, for help texts.
        local: what a place without "://" is.
        libraries: modules that its errors come from, the client first.
        whole: whether the place is the whole address, as that of PostgreSQL.

    Example:
        >>> DATABASES["duckdb"].address
        'duckdb:FILE'
    """

    location: str
    extra: str
    address: str
    local: Literal["file", "folder", "server"]
    libraries: tuple[str, ...]
    whole: bool = False

    def check_installed(self) -> None:
        """Check that the client is there.

        Raises:
            ModuleNotFoundError: it is not; the message says how to install it.
        """
        check_installed("this database", self.extra, self.libraries[0])


_POSTGRES = DatabaseEntry(
    "logq.retrieval.pgvector_items:PgVectorItems",
    "postgres",
    "postgresql://USER@HOST/DATABASE",
    "server",
    ("psycopg",),
    whole=True,
)

DATABASES: Final = {
    "duckdb": DatabaseEntry(
        "logq.retrieval.duckdb_items:DuckDBItems", "duckdb", "duckdb:FILE", "file", ("duckdb", "_duckdb")
    ),
    "lancedb": DatabaseEntry(
        "logq.retrieval.lancedb_items:LanceDBItems", "lancedb", "lancedb:FOLDER", "folder", ("lancedb",)
    ),
    "milvus": DatabaseEntry(
        "logq.retrieval.milvus_items:MilvusItems", "milvus", "milvus:FILE or milvus:URL", "file", ("pymilvus", "grpc")
    ),
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES._replace(address=""),
    "qdrant": DatabaseEntry(
        "logq.retrieval.qdrant_items:QdrantItems",
        "qdrant",
        "qdrant:URL",
        "server",
        ("qdrant_client", "httpx"),
    ),
}
"""What stands before the first ":" of an address -> database; one without a text for help is another name."""


def find_database(address: object) -> tuple[DatabaseEntry, str]:
    """Return the database that an address names, and the place in it.

    Raises:
        ArgumentTypeError, ArgumentError: it names none, or no place.

    Example:
        >>> find_database("qdrant:http://localhost:6333")[1]
        'http://localhost:6333'
    """
    known = ", ".join(entry.address for entry in DATABASES.values() if entry.address)
    if not isinstance(address, str):
        raise ArgumentTypeError("address", f"one of {known}", address)
    name, colon, place = address.partition(":")
    entry = DATABASES.get(name)
    if entry is None or not colon:
        raise ArgumentError("address", f"one of {known}", masked(address))
    if not place:
        raise ArgumentError("address", entry.address or _POSTGRES.address, masked(address))
    return entry, address if entry.whole else place


def open_items(
    address: str,
    dim: int | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    table: str = "items",
    metric: Metric | None = None,
    **options: Any,
) -> ItemStore:
    """Open a table of items in any of the databases, or create it.

    Args:
        address: "duckdb:items.duckdb", "lancedb:folder", "milvus:items.db", "milvus:http://localhost:19530",
            "postgresql://me@localhost/shop", "qdrant:http://localhost:6333", "qdrant::memory:".
        dim: D, needed if the table does not exist yet.
        columns: names and types ("int", "float", "text", "bool") of the columns in addition to id and vector.
        table: the name of the table, or collection.
        metric: "inner_product" or "cosine"; None takes that of the table, or "inner_product" for a new one.
        options: of the database's own class.

    Raises:
        ModuleNotFoundError: its client is not installed; the message says how to.
        ArgumentError: the address names no database, or the table differs from the arguments.

    Example:
        >>> with open_items("duckdb::memory:", dim=2, columns={"price": "float"}) as items:
        ...     items.write([1, 2], [[1.0, 0.0], [0.9, 0.1]], {"price": [80.0, 20.0]})
        ...     items.search([[1.0, 0.0]], k=1, where=[("price", "<", 50)]).ids.tolist()
        [[2]]
    """
    entry, place = find_database(address)
    return pkgutil.resolve_name(entry.location)(place, dim, columns, table=table, metric=metric, **options)
