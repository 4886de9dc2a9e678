"""`PgVectorItems`: items with vectors and columns in PostgreSQL with pgvector, a database shared with others."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, check_int
from logq._project import load_optional
from logq.retrieval.index_checks import Metric, check_choice
from logq.retrieval.item_conditions import Condition, check_conditions
from logq.retrieval.item_index import Ids
from logq.retrieval.item_store import Answer, FoundTable, ItemStore, StoredItems, removed_ids
from logq.retrieval.sql_tables import (
    NEW_ROWS,
    check_table,
    column_kinds,
    index_name,
    metric_comment,
    metric_of,
    where_clause,
)

__all__ = ["PgVectorItems"]

_SQL: Final = {"int": "bigint", "float": "double precision", "text": "text", "bool": "boolean"}
_TYPES: Final = {sql: kind for kind, sql in _SQL.items()}
_OPERATOR: Final = {"inner_product": "<#>", "cosine": "<=>"}  # distances: -<q, v> and 1 - cos(q, v)
_CLASS: Final = {"inner_product": "vector_ip_ops", "cosine": "vector_cosine_ops"}


class PgVectorItems(ItemStore):
    """Items in a table of PostgreSQL with the extension pgvector (extra `postgres`).

    Without an index every search compares all rows that meet its conditions. `create_index` makes searches
    approximate; where the index ends with fewer than k rows, all that meet the conditions are compared.

    Args:
        dsn: the server: "postgresql://user:password@host/database", or what else psycopg takes.
        dim: D, needed if the table does not exist yet.
        columns: names and types ("int", "float", "text", "bool") of the columns in addition to id and vector.
        table: the name of the table, in the first schema of the connection's search path.
        metric: "inner_product" or "cosine"; None takes that of the table, or "inner_product" for a new one.

    Raises:
        ModuleNotFoundError: psycopg is not installed; the message says how to.
        psycopg.OperationalError: the server does not answer.
        ArgumentError: the table differs from the arguments, or the server has no pgvector.

    Example:
        >>> south = [("city", "in", ["Rome", "Athens"]), ("price", "<", 90)]
        >>> columns = {"city": "text", "price": "float"}
        >>> items = PgVectorItems("postgresql://localhost/shop", dim=64, columns=columns)  # doctest: +SKIP
        >>> items.search(queries, k=10, where=south)  # doctest: +SKIP
    """

    atomic = True

    def __init__(
        self,
        dsn: str,
        dim: int | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        table: str = "items",
        metric: Metric | None = None,
    ) -> None:
        """See the class."""
        psycopg = load_optional("this database", "postgres", "psycopg")
        self._name = check_table(table)
        self._table = f'"{self._name}"'
        self._connection: Any = psycopg.connect(dsn, autocommit=True)
        try:
            self._extension = self._pgvector()
            if self._describe("the database", self._found(), dim, columns, metric):
                parts = ["id bigint PRIMARY KEY", f"vector vector({self.dim}) NOT NULL"]
                parts += [f'"{name}" {_SQL[kind]}' for name, kind in self.columns.items()]
                with self._connection.transaction():
                    self._connection.execute(f"CREATE TABLE {self._table} ({', '.join(parts)})")
                    self._connection.execute(f"COMMENT ON TABLE {self._table} IS {metric_comment(self.metric)}")
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Return the number of items."""
        return int(self._connection.execute(f"SELECT count(*) FROM {self._table}").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def remove(self, ids: Ids) -> int:
        """Remove items, and return how many of them there were."""
        sql = f"DELETE FROM {self._table} WHERE id = ANY(%s::bigint[])"
        return int(self._connection.execute(sql, [removed_ids(ids)]).rowcount)

    def read(self, where: Sequence[Condition] = ()) -> StoredItems:
        """Return the items that meet all conditions; see `ItemStore.read`."""
        condition, values = self._where(check_conditions(where, self.columns))
        names = ", ".join(["id", "vector::real[]", *(f'"{name}"' for name in self.columns)])
        sql = f"SELECT {names} FROM {self._table} WHERE {condition} ORDER BY id"
        rows: list[tuple[Any, ...]] = self._connection.cursor(binary=True).execute(sql, values).fetchall()
        return StoredItems(
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.float32).reshape(len(rows), self.dim),
            {name: [row[number] for row in rows] for number, name in enumerate(self.columns, 2)},
        )

    def create_index(
        self, kind: Literal["hnsw", "ivfflat"] = "hnsw", *, links: int = 16, ef_construction: int = 64, nlist: int = 100
    ) -> None:
        """Make searches approximate and fast by an index, which replaces an earlier one.

        Args:
            kind: "hnsw", a graph, or "ivfflat", lists, which should be built when the table is full.
            links: number of neighbors of an item in the graph, 2 to 100.
            ef_construction: number of candidates while the graph is built, from 2 `links` to 1,000.
            nlist: number of lists, at most 32,768.

        Raises:
            ArgumentError: a number is out of range, or D is above 2,000, the most that pgvector indexes.
        """
        check_choice("kind", kind, ("hnsw", "ivfflat"))
        if self.dim > 2000:
            raise ArgumentError("dim", "at most 2000 for an index of pgvector", self.dim)
        numbers = {"lists": check_int("nlist", nlist)}
        if kind == "hnsw":
            numbers = {
                "m": check_int("links", links, 2),
                "ef_construction": check_int("ef_construction", ef_construction),
            }
            if links > 100:
                raise ArgumentError("links", "an integer from 2 to 100", links)
            if not 2 * links <= ef_construction <= 1000:
                raise ArgumentError(
                    "ef_construction", f"an integer in [2 links, 1000] = [{2 * links}, 1000]", ef_construction
                )
        elif nlist > 32768:
            raise ArgumentError("nlist", "at most 32768", nlist)
        name = index_name(self._name)
        options = ", ".join(f"{option} = {number}" for option, number in numbers.items())
        with self._connection.transaction():
            for before in self._indexes(name):
                self._connection.execute(f"DROP INDEX {before}")
            self._connection.execute(
                f'CREATE INDEX "{name}" ON {self._table} USING {kind} (vector {_CLASS[self.metric]}) WITH ({options})'
            )

    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        names = ", ".join(["id", "vector", *(f'"{name}"' for name in self.columns)])
        changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names.split(", ")[1:])
        with self._connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {NEW_ROWS} (LIKE {self._table}) ON COMMIT DROP")
            cursor.execute(f"TRUNCATE {NEW_ROWS}")
            with cursor.copy(f"COPY {NEW_ROWS} ({names}) FROM STDIN") as copy:
                for row in zip(ids, vectors, *columns.values(), strict=True):
                    copy.write_row([row[0], _text(row[1]), *row[2:]])
            sql = f"INSERT INTO {self._table} ({names}) SELECT {names} FROM {NEW_ROWS}"
            cursor.execute(f"{sql} ON CONFLICT (id) DO UPDATE SET {changes}")

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        with self._connection.transaction():
            yield

    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        with self._connection.transaction():
            for option, value in self._effort(k):
                self._connection.execute("SELECT set_config(%s, %s, true)", [option, value])
            found = self._connection.execute(*self._query(queries, k, where, excluded)).fetchall()
            if len(found) < k and self._indexes():  # which gave up before it had met k rows
                self._connection.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = on")
                found = self._connection.execute(*self._query(queries, k, where, excluded)).fetchall()
            return found

    def _indexes(self, name: str | None = None) -> list[str]:
        """Return the approximate indexes of the table, as SQL names them, or those of this name."""
        sql = """SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                 JOIN pg_am ON pg_am.oid = relam WHERE indrelid = to_regclass(%s) AND amname IN ('hnsw', 'ivfflat')
                 AND (%s::text IS NULL OR relname = %s)"""
        return [row[0] for row in self._connection.execute(sql, [self._table, name, name]).fetchall()]

    def _query(
        self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]
    ) -> tuple[str, list[Any]]:
        """Return SQL and its values.

        Rows are ordered by the distance itself, as an index is used only then; and the k best of the maximum over
        queries are among the k best of each.
        """
        condition, bound = self._where(where)
        if excluded:
            condition += " AND id <> ALL(%s::bigint[])"
            bound.append(excluded)
        distance = f"vector {_OPERATOR[self.metric]} %s::vector"
        part = (
            f"SELECT id, {distance} AS distance FROM {self._table} WHERE {condition} ORDER BY {distance}, id LIMIT %s"
        )
        parts = " UNION ALL ".join([f"({part})"] * len(queries))
        score = "-min(distance)" if self.metric == "inner_product" else "1 - min(distance)"
        values = [value for text in map(_text, queries) for value in (text, *bound, text, k)]
        return f"SELECT id, {score} FROM ({parts}) AS found GROUP BY id ORDER BY 2 DESC, 1 LIMIT %s", [*values, k]

    def _effort(self, k: int) -> list[tuple[str, str]]:
        effort = [("hnsw.ef_search", str(min(1000, max(100, k))))]
        if self._extension >= (0, 8):
            effort += [("hnsw.iterative_scan", "strict_order"), ("ivfflat.iterative_scan", "relaxed_order")]
        return effort

    def _where(self, where: Sequence[Condition]) -> tuple[str, list[Any]]:
        types = {"id": "int", **self.columns}
        return where_clause(where, "%s", lambda quoted, name: f"{quoted} = ANY(%s::{_SQL[types[name]]}[])")

    def _pgvector(self) -> tuple[int, ...]:
        """Return the version of pgvector, which is installed into the database if it is missing."""
        sql = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        if self._connection.execute(sql).fetchone() is None:
            if (
                self._connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone()
                is None
            ):
                raise ArgumentError("dsn", "a server with the extension vector", hint="install pgvector there")
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        return tuple(int(part) for part in self._connection.execute(sql).fetchone()[0].split(".")[:2])

    def _found(self) -> FoundTable | None:
        """Return what the server says of the table, or None if it does not exist."""
        sql = """SELECT attname, format_type(atttypid, NULL), atttypmod FROM pg_attribute
                 WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
        rows: list[tuple[str, str, int]] = self._connection.execute(sql, [self._table]).fetchall()
        if not rows:
            return None
        types = {name: kind for name, kind, _ in rows}
        dim = {name: number for name, _, number in rows}.get("vector", -1)
        if types.pop("vector", "") != "vector" or types.pop("id", "") != "bigint" or dim < 1:
            expected = "the name of a table with columns id bigint and vector vector(D)"
            raise ArgumentError("table", expected, self._name)
        comment = self._connection.execute("SELECT obj_description(to_regclass(%s))", [self._table]).fetchone()[0]
        return FoundTable(dim, column_kinds(self._name, types, _TYPES), metric_of(comment))


def _text(vector: NDArray[np.float32]) -> str:
    """Return a vector in the form that pgvector reads; nine digits determine a float32."""
    return f"[{','.join(f'{number:.9g}' for number in vector.tolist())}]"
