"""Reading Parquet by DuckDB, some rows at a time."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._files import DamagedFileError
from logq._project import load_optional

__all__ = ["ParquetReader", "file_literal", "import_duckdb", "parquet_source", "quoted", "text_literal"]

_ROWS = 1 << 19
"""Read at a time."""


def import_duckdb(what: str) -> Any:
    """Return DuckDB, which does `what`.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to.

    Example:
        >>> import_duckdb("preparing a log").__name__
        'duckdb'
    """
    return load_optional(what, "duckdb", "duckdb")


def quoted(name: str) -> str:
    """The name of a column as SQL has it.

    Example:
        >>> quoted("time")
        '"time"'
    """
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """A text as SQL has it.

    Example:
        >>> text_literal("it's")
        "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: str | os.PathLike[str]) -> str:
    """The name of one file as SQL has it, in which nothing is a pattern.

    Example:
        >>> file_literal("log[1].csv")
        "'log[[]1].csv'"
    """
    return text_literal(re.sub(r"[*?\[\\]", r"[\g<0>]", os.fspath(path)))


def parquet_source(*files: str | os.PathLike[str], options: str = "") -> str:
    """The rows of Parquet files as SQL has them.

    Args:
        files: one or several.
        options: of `read_parquet`, such as "union_by_name = true".

    Example:
        >>> parquet_source("log[1].parquet", options="file_row_number = true")
        "read_parquet(['log[[]1].parquet'], file_row_number = true)"
    """
    return f"read_parquet([{', '.join(map(file_literal, files))}]{options and f', {options}'})"


class ParquetReader(contextlib.AbstractContextManager["ParquetReader"]):
    """Reads Parquet files in bounded memory; what cannot be read is an error that names the file.

    Example:
        See logq.logs.check_partitions, which reads by one.
    """

    def __init__(self) -> None:
        self._duckdb = import_duckdb("reading a prepared log")
        self._connection = self._duckdb.connect()
        for setting in ("threads = 1", "memory_limit = '256MB'", "temp_directory = ''"):
            self._connection.execute(f"SET {setting}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def schema(self, path: Path) -> dict[str, str]:
        """The columns of a file and their types."""
        found = self._execute(path, f"DESCRIBE SELECT * FROM {_source(path)}").fetchall()
        return {name: kind for name, kind, *_ in found if name != "file_row_number"}

    def rows(self, path: Path) -> int:
        """How many rows a file has."""
        return int(self.value(path, "count(*)"))

    def value(self, path: Path, what: str) -> Any:
        """The value of an expression over a file."""
        return self._execute(path, f"SELECT {what} FROM {_source(path)}").fetchone()[0]

    def pieces(self, path: Path, columns: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """Columns, some rows at a time, in order.

        Raises:
            DamagedFileError: a value is missing.
        """
        chosen = ", ".join(map(quoted, columns))
        for start in range(0, self.rows(path), _ROWS):
            where = f"file_row_number >= {start} AND file_row_number < {start + _ROWS}"
            found = self._execute(path, f"SELECT {chosen} FROM {_source(path)} WHERE {where}").fetchnumpy()
            for name, values in found.items():
                if isinstance(values, np.ma.MaskedArray) and values.mask.any():
                    row = start + int(values.mask.argmax())
                    raise DamagedFileError(f"{path}: expected a value in each row of {name!r}, got none in row {row:,}")
            yield {name: np.asarray(values) for name, values in found.items()}

    def _execute(self, path: Path, sql: str) -> Any:
        try:
            return self._connection.execute(sql)
        except self._duckdb.OutOfMemoryException as error:
            raise MemoryError(f"{path}: there is not enough memory to read it") from error
        except self._duckdb.Error as error:
            said = str(error).strip().splitlines()[0]
            raise DamagedFileError(f"{path}: cannot be read as Parquet, is it truncated? ({said})") from None


def _source(path: Path) -> str:
    return parquet_source(path, options="file_row_number = true")
