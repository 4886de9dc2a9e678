"""`DuckDBItems`: items with vectors and columns in DuckDB, a database in one file."""

import contextlib
import os
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_index import Ids
from logq.retrieval.item_store import (
    NEW_ROWS,
    Answer,
    Condition,
    ItemStore,
    StoredItems,
    check_conditions,
    check_table,
    column_kinds,
    removed_ids,
    where_clause,
)

__all__ = ["DuckDBItems"]

_SQL: Final = {"int": "BIGINT", "float": "DOUBLE", "text": "VARCHAR", "bool": "BOOLEAN"}
_TYPES: Final = {sql: kind for kind, sql in _SQL.items()}
_SCORE: Final = {"inner_product": "array_inner_product", "cosine": "array_cosine_similarity"}
_AT_A_TIME = 1 << 16  # rows passed at a time, as one array for each dimension


class DuckDBItems(ItemStore):
    """Items in a file of DuckDB (extra `duckdb`); every search compares all rows that meet its conditions.

    The vectors are a column FLOAT[D], which any program with DuckDB can use.

    Args:
        path: the file, which is created if it is missing; ":memory:" for none.
        dim: D, needed if the table does not exist yet.
        columns: names and types ("int", "float", "text", "bool") of the columns in addition to id and vector.
        table: the name of the table.
        metric: "inner_product" or "cosine".
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

    def __init__(
        self,
        path: str | os.PathLike[str],
        dim: int | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        table: str = "items",
        metric: Metric = "inner_product",
        read_only: bool = False,
    ) -> None:
        """See the class."""
        try:
            import duckdb  # optional extra `duckdb`
        except ModuleNotFoundError:
            raise ModuleNotFoundError("this needs duckdb: pip install 'logq[duckdb]'", name="duckdb") from None
        _check_file(os.fspath(path))
        self._table = f'"{check_table(table)}"'
        self._connection: Any = duckdb.connect(os.fspath(path), read_only=read_only)
        try:
            if self._describe(path, self._found(table), dim, columns, metric):
                # No primary key: DuckDB would not write an id again in the transaction that deleted it.
                parts = ["id BIGINT NOT NULL", f"vector FLOAT[{self.dim}] NOT NULL"]
                parts += [f'"{name}" {_SQL[kind]}' for name, kind in self.columns.items()]
                self._connection.execute(f"CREATE TABLE {self._table} ({', '.join(parts)})")
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
        with self._transaction():
            self.remove(ids)
            for start in range(0, len(ids), _AT_A_TIME):
                part = slice(start, start + _AT_A_TIME)
                new: dict[str, Any] = {"id": np.array(ids[part], dtype=np.int64)}
                new |= {name: np.ascontiguousarray(row) for name, row in zip(parts, vectors[part].T, strict=True)}
                for number, column in enumerate(columns.values()):
                    new[f"c{number}"] = np.array(column[part], dtype=object)
                self._connection.register(NEW_ROWS, new)
                try:
                    self._connection.execute(sql)
                finally:
                    self._connection.unregister(NEW_ROWS)

    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        score = f"{_SCORE[self.metric]}(vector, CAST(? AS FLOAT[{self.dim}]))"
        scores = score if len(queries) == 1 else f"greatest({', '.join([score] * len(queries))})"
        condition, values = self._where(where)
        if excluded:
            condition += " AND id NOT IN (SELECT unnest(CAST(? AS BIGINT[])))"
            values.append(excluded)
        sql = f"SELECT id, {scores} AS score FROM {self._table} WHERE {condition} ORDER BY score DESC, id LIMIT ?"
        return self._connection.execute(sql, [*queries.tolist(), *values, k]).fetchall()

    def _where(self, where: Sequence[Condition]) -> tuple[str, list[Any]]:
        types = {"id": "int", **self.columns}
        return where_clause(
            where, "?", lambda quoted, name: f"{quoted} IN (SELECT unnest(CAST(? AS {_SQL[types[name]]}[])))"
        )

    def _found(self, table: str) -> tuple[int, dict[str, str]] | None:
        """Return the dimension and columns of the table, or None if it does not exist."""
        sql = """SELECT column_name, data_type FROM duckdb_columns()
                 WHERE lower(table_name) = lower(?) AND schema_name = 'main'
                 AND database_name = current_database() ORDER BY column_index"""
        types: dict[str, str] = dict(self._connection.execute(sql, [table]).fetchall())
        if not types:
            return None
        vector = re.fullmatch(r"FLOAT\[(\d+)\]", types.pop("vector", ""))
        if vector is None or types.pop("id", "") != "BIGINT":
            raise ArgumentError("table", "the name of a table with columns id BIGINT and vector FLOAT[D]", table)
        return int(vector[1]), column_kinds(table, types, _TYPES)

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
