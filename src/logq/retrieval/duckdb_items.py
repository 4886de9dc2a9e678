"""`DuckDBItems`: items with vectors and columns in DuckDB, a database in one file."""

import contextlib
import importlib.util
import os
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, check_int
from logq._project import load_optional
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_conditions import Condition, check_conditions
from logq.retrieval.item_index import Ids
from logq.retrieval.item_store import (
    Answer,
    FoundTable,
    ItemStore,
    StoredItems,
    best_answers,
    removed_ids,
)
from logq.retrieval.sql_tables import (
    NEW_ROWS,
    check_table,
    column_kinds,
    index_name,
    metric_comment,
    metric_of,
    where_clause,
)

__all__ = ["DuckDBItems"]

_SQL: Final = {"int": "BIGINT", "float": "DOUBLE", "text": "VARCHAR", "bool": "BOOLEAN"}
_TYPES: Final = {sql: kind for kind, sql in _SQL.items()}
_SCORE: Final = {"inner_product": "array_inner_product", "cosine": "array_cosine_similarity"}
_DISTANCE: Final = {"inner_product": "array_negative_inner_product", "cosine": "array_cosine_distance"}
_INDEX_METRIC: Final = {"inner_product": "ip", "cosine": "cosine"}


class DuckDBItems(ItemStore):
    """Items in a file of DuckDB (extra `duckdb`); a search compares all rows that meet its conditions.

    `create_index` makes searches without conditions approximate, by DuckDB's extension VSS. The vectors are a column
    FLOAT[D], which any program with DuckDB can use.

    Args:
        path: the file, which is created if it is missing; ":memory:" for none.
        dim: D, needed if the table does not exist yet.
        columns: names and types ("int", "float", "text", "bool") of the columns in addition to id and vector.
        table: the name of the table.
        metric: "inner_product" or "cosine"; None takes that of the table, or "inner_product" for a new one.
        read_only: open the file only for reading, so that others may read it at the same time.

    Raises:
        ModuleNotFoundError: duckdb is not installed; the message says how to.
        ArgumentError: the file is there and not one of DuckDB, or the table differs from the arguments, or is not a
            table of items.

    Example:
        >>> with DuckDBItems(":memory:", dim=2, columns={"city": "text", "price": "float"}) as items:
        ...     items.write([1, 2], [[1.0, 0.0], [0.9, 0.1]], {"city": ["Rome", "Oslo"], "price": [80.0, None]})
        ...     items.search([[1.0, 0.0]], k=1, where=[("city", "=", "Oslo")]).ids.tolist()
        [[2]]
    """

    atomic = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        dim: int | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        table: str = "items",
        metric: Metric | None = None,
        read_only: bool = False,
    ) -> None:
        """See the class."""
        duckdb = load_optional("this database", "duckdb", "duckdb")
        _check_file(os.fspath(path))
        self._name = check_table(table)
        self._table = f'"{self._name}"'
        self._connection: Any = duckdb.connect(os.fspath(path), read_only=read_only)
        try:
            self._indexed = bool(self._indexes())
            if self._indexed:  # DuckDB writes into a table with an index only if it knows its kind
                self._load_vss()
            if self._describe(path, self._found(table), dim, columns, metric):
                # No primary key: DuckDB would not write an id again in the transaction that deleted it.
                parts = ["id BIGINT NOT NULL", f"vector FLOAT[{self.dim}] NOT NULL"]
                parts += [f'"{name}" {_SQL[kind]}' for name, kind in self.columns.items()]
                with self._transaction():
                    self._connection.execute(f"CREATE TABLE {self._table} ({', '.join(parts)})")
                    self._connection.execute(f"COMMENT ON TABLE {self._table} IS {metric_comment(self.metric)}")
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Return the number of items."""
        return int(self._connection.execute(f"SELECT count(*) FROM {self._table}").fetchall()[0][0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def remove(self, ids: Ids) -> int:
        """Remove items, and return how many of them there were."""
        sql = f"DELETE FROM {self._table} WHERE id IN (SELECT unnest(CAST(? AS BIGINT[])))"
        return int(self._connection.execute(sql, [removed_ids(ids)]).fetchall()[0][0])

    def read(self, where: Sequence[Condition] = ()) -> StoredItems:
        """Return the items that meet all conditions; see `ItemStore.read`."""
        condition, values = self._where(check_conditions(where, self.columns))
        names = ", ".join(["id", "vector", *(f'"{name}"' for name in self.columns)])
        sql = f"SELECT {names} FROM {self._table} WHERE {condition} ORDER BY id"
        found = self._connection.execute(sql, values).fetchnumpy()
        vectors = np.stack(found["vector"]) if len(found["id"]) else np.empty((0, self.dim))
        return StoredItems(
            np.asarray(found["id"], dtype=np.int64),
            np.asarray(vectors, dtype=np.float32),
            {name: _plain(found[name]) for name in self.columns},
        )

    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        parts = [f"d{number}" for number in range(self.dim)]
        values = [f"CAST(c{number} AS {_SQL[kind]})" for number, kind in enumerate(self.columns.values())]
        names = ", ".join(["id", "vector", *(f'"{name}"' for name in self.columns)])
        chosen = ", ".join(["id", f"array_value({', '.join(parts)})", *values])
        sql = f"INSERT INTO {self._table} ({names}) SELECT {chosen} FROM {NEW_ROWS}"
        self.remove(ids)
        new: dict[str, Any] = {"id": np.array(ids, dtype=np.int64)}
        new |= {name: np.ascontiguousarray(row) for name, row in zip(parts, vectors.T, strict=True)}
        for number, column in enumerate(columns.values()):
            new[f"c{number}"] = np.array(column, dtype=object)
        self._connection.register(NEW_ROWS, new)
        try:
            self._connection.execute(sql)
        finally:
            self._connection.unregister(NEW_ROWS)

    def create_index(self, *, links: int = 16, ef_construction: int = 128, ef_search: int = 64) -> None:
        """Make searches without conditions approximate and fast by a graph, which replaces an earlier one.

        It is made by DuckDB's extension VSS, taken from the package duckdb-extension-vss of the same version where that
        is installed, or else downloaded by DuckDB. Searches with conditions compare all rows that meet them: VSS would
        look at conditions only after the search. In a file the index is an experiment of DuckDB; it is built again by
        calling this, and dropped with `DROP INDEX`.

        Args:
            links: number of neighbors of an item in the graph.
            ef_construction: number of candidates while the graph is built.
            ef_search: number of candidates of a query, until the file is closed.

        Raises:
            ArgumentError: a number is out of range.
            duckdb.Error: the extension cannot be loaded.
        """
        numbers = {"M": check_int("links", links, 2), "ef_construction": check_int("ef_construction", ef_construction)}
        candidates = check_int("ef_search", ef_search)
        self._load_vss(install=True)
        options = ", ".join(f"{name} = {number}" for name, number in numbers.items())
        for before in self._indexes():
            self._connection.execute(f'DROP INDEX "{before}"')
        self._connection.execute(
            f'CREATE INDEX "{index_name(self._name)}" ON {self._table} USING HNSW (vector) '
            f"WITH (metric = '{_INDEX_METRIC[self.metric]}', {options})"
        )
        self._connection.execute(f"SET hnsw_ef_search = {candidates}")
        self._indexed = True

    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        if self._indexed and not where:
            gone, parts = set(excluded), [self._nearest(query, k + len(set(excluded))) for query in queries.tolist()]
            kept = [[pair for pair in part if pair[0] not in gone] for part in parts]
            if all(len(part) >= k for part in kept):  # a graph has holes where rows were removed
                return best_answers(kept, k)
        score = f"{_SCORE[self.metric]}(vector, CAST(? AS FLOAT[{self.dim}]))"
        scores = score if len(queries) == 1 else f"greatest({', '.join([score] * len(queries))})"
        condition, values = self._where(where)
        if excluded:
            condition += " AND id NOT IN (SELECT unnest(CAST(? AS BIGINT[])))"
            values.append(excluded)
        sql = f"SELECT id, {scores} AS score FROM {self._table} WHERE {condition} ORDER BY score DESC, id LIMIT ?"
        return self._connection.execute(sql, [*queries.tolist(), *values, k]).fetchall()

    def _nearest(self, query: list[float], k: int) -> Answer:
        """Return what the index finds; another order than that of the distance would not be answered by it."""
        distance = f"{_DISTANCE[self.metric]}(vector, CAST(? AS FLOAT[{self.dim}]))"
        sql = f"SELECT id, {distance} AS distance FROM {self._table} ORDER BY distance LIMIT ?"
        highest = 0.0 if self.metric == "inner_product" else 1.0
        return [(number, highest - far) for number, far in self._connection.execute(sql, [query, k]).fetchall()]

    def _indexes(self) -> list[str]:
        """Return the names of the graphs of the table."""
        sql = "SELECT index_name FROM duckdb_indexes() WHERE lower(table_name) = lower(?) AND sql ILIKE '%USING HNSW%'"
        return [row[0] for row in self._connection.execute(sql, [self._name]).fetchall()]

    def _load_vss(self, *, install: bool = False) -> None:
        package = importlib.util.find_spec("duckdb_extension_vss")
        version = self._connection.execute("SELECT library_version FROM pragma_version()").fetchall()[0][0]
        for folder in (package.submodule_search_locations or []) if package is not None else []:
            file = os.path.join(folder, "extensions", version, "vss.duckdb_extension")
            if os.path.isfile(file):
                self._connection.execute(f"LOAD '{file.replace(chr(39), 2 * chr(39))}'")
                break
        else:
            if install:
                self._connection.execute("INSTALL vss")
            self._connection.execute("LOAD vss")
        self._connection.execute("SET hnsw_enable_experimental_persistence = true")

    def _where(self, where: Sequence[Condition]) -> tuple[str, list[Any]]:
        types = {"id": "int", **self.columns}
        return where_clause(
            where, "?", lambda quoted, name: f"{quoted} IN (SELECT unnest(CAST(? AS {_SQL[types[name]]}[])))"
        )

    def _found(self, table: str) -> FoundTable | None:
        """Return what the file says of the table, or None if it does not exist."""
        of = "lower(table_name) = lower(?) AND schema_name = 'main' AND database_name = current_database()"
        sql = f"SELECT column_name, data_type FROM duckdb_columns() WHERE {of} ORDER BY column_index"
        types: dict[str, str] = dict(self._connection.execute(sql, [table]).fetchall())
        if not types:
            return None
        vector = re.fullmatch(r"FLOAT\[(\d+)\]", types.pop("vector", ""))
        if vector is None or types.pop("id", "") != "BIGINT":
            raise ArgumentError("table", "the name of a table with columns id BIGINT and vector FLOAT[D]", table)
        comments = self._connection.execute(f"SELECT comment FROM duckdb_tables() WHERE {of}", [table]).fetchall()
        metric = metric_of(comments[0][0]) if comments else None
        return FoundTable(int(vector[1]), column_kinds(table, types, _TYPES), metric)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _plain(values: Any) -> list[Any]:
    """Return the values of a column, None where one is missing."""
    if isinstance(values, np.ma.MaskedArray):
        return [
            None if missing else value
            for value, missing in zip(values.data.tolist(), np.ma.getmaskarray(values), strict=True)
        ]
    return values.tolist()


def _check_file(path: str) -> None:
    """Check that a file is DuckDB's: it opens tables of text too, in memory, and forgets what is written to them."""
    if path == ":memory:" or not os.path.exists(path):
        return
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read(12)[8:] == b"DUCK":
                return
    raise ArgumentError("path", "a file of DuckDB, or one that is new", path)
