"""Reading logs from Parquet in pieces: no more of a file is in memory at once than its codes and times."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.logs.column_names import check_further, guess_columns, plain_name
from logq.logs.identifiers import Factor, code_type, factorize
from logq.logs.log_files import LogFile, first_line, import_polars
from logq.logs.time_values import Times

__all__ = ["read_parquet"]

_ROWS = 1 << 17  # read at a time
_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32")
_FLOATS = ("Float32", "Float64")


def read_parquet(
    path: str | os.PathLike[str], asked: Mapping[str, "str | int | bool | None"], columns: Sequence[str]
) -> LogFile:
    """Read the columns of a Parquet file that are asked for or have a usual name.

    Ids become codes and dates become seconds while they are read, which takes 8 bytes an event for users and items,
    and 8 for times. Further columns, and times that are text, are read whole.
    """
    polars, where = import_polars("Parquet files"), os.fspath(path)
    with open(path, "rb"):
        pass  # a missing file is an OSError with its name
    try:
        schema = polars.read_parquet_schema(where)
        names = list(schema)
        check_further(columns, names)
        first = None if asked.get("time") is not None else polars.read_parquet(where, n_rows=1000)
        roles, guesses = guess_columns(names, asked, None if first is None else first.get_column)
        events = polars.scan_parquet(where)
        total = events.select(polars.len()).collect().item()
        parts: dict[str, Any] = {}
        for role, name in roles.items():
            parts[name] = _part(polars, role, str(schema[name]).split("(")[0], events.select(name), total)
        for batch in _batches(events.select(list(parts)), total):
            for name, part in parts.items():
                part.add(batch.get_column(name))
        further = [name for name in names if {name, plain_name(name)} & {*columns} and name not in parts]
        table = {name: part.finished() for name, part in parts.items()}
        for name in further:
            table[name] = polars.read_parquet(where, columns=[name]).get_column(name)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        raise ValueError(f"{where}: cannot be read as Parquet ({first_line(error)})") from None
    return LogFile(table, {role: roles.get(role, False) for role in asked}, [], guesses)


def _batches(events: Any, total: int) -> Iterator[Any]:
    if hasattr(events, "collect_batches"):  # of newer polars
        yield from events.collect_batches(chunk_size=_ROWS, maintain_order=True)
        return
    for start in range(0, total, _ROWS):
        yield events.slice(start, _ROWS).collect()


def _part(polars: Any, role: str, kind: str, column: Any, total: int) -> Any:
    if role in ("user", "item", "session"):
        return _IdColumn(f"{role}s", total)
    if kind in (*_INTEGERS, *_FLOATS):
        whole = kind in _INTEGERS and not column.null_count().collect().item()
        dtype = np.float32 if role == "label" else np.int64 if whole else np.float64
        return _NumberColumn(np.empty(total, dtype))
    if role == "time" and kind in ("Datetime", "Date") and not column.null_count().collect().item():
        return _DateColumn(np.empty(total, np.int64))
    return _OtherColumn(polars)


class _IdColumn:
    """Ids as codes by first appearance, over all pieces."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._codes = np.empty(total, code_type(total))
        self._place = 0
        self._keys: list[NDArray[Any]] = []
        self._count = 0
        # Integers are found by search, which takes a tenth of the memory of a dict; strings in a dict.
        self._sorted, self._sorted_codes = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._known: dict[str, int] = {}

    def add(self, series: Any) -> None:
        found = factorize(series, self._name)
        text = found.keys.dtype.kind == "U"
        table = np.append(self._coded_text(found.keys) if text else self._coded_numbers(found.keys), -1)
        self._codes[self._place : self._place + len(series)] = table[found.codes]
        self._place += len(series)

    def _coded_numbers(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        places = np.minimum(np.searchsorted(self._sorted, keys), max(len(self._sorted) - 1, 0))
        known = self._sorted[places] == keys if len(self._sorted) else np.zeros(len(keys), dtype=np.bool_)
        codes = np.empty(len(keys), np.int64)
        codes[known] = self._sorted_codes[places[known]]
        fresh = keys[~known]
        if len(fresh):
            codes[~known] = self._count + np.arange(len(fresh))
            order = np.argsort(fresh)
            places = np.searchsorted(self._sorted, fresh[order])
            self._sorted = np.insert(self._sorted, places, fresh[order])
            self._sorted_codes = np.insert(self._sorted_codes, places, codes[~known][order])
            self._keep(fresh)
        return codes

    def _coded_text(self, keys: NDArray[np.str_]) -> NDArray[np.int64]:
        known, count = self._known, self._count
        codes = np.array([known.setdefault(key, len(known)) for key in keys.tolist()], dtype=np.int64)
        if (codes >= count).any():
            self._keep(keys[codes >= count])
        return codes

    def _keep(self, keys: NDArray[Any]) -> None:
        self._keys.append(keys)
        self._count += len(keys)

    def finished(self) -> Factor:
        return Factor(self._codes, np.concatenate(self._keys) if self._keys else np.zeros(0, np.int64))


class _NumberColumn:
    """Numbers, with NaN for a missing one."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self._place = 0

    def add(self, series: Any) -> None:
        self._values[self._place : self._place + len(series)] = series.to_numpy()
        self._place += len(series)

    def finished(self) -> NDArray[Any]:
        return self._values


class _DateColumn:
    """Dates as seconds since 1970, with fractions if there are any."""

    def __init__(self, micros: NDArray[np.int64]) -> None:
        self._micros = micros
        self._place = 0
        self._whole = True

    def add(self, series: Any) -> None:
        micros = series.dt.epoch("us").to_numpy()
        self._whole = self._whole and not (micros % 1_000_000).any()
        self._micros[self._place : self._place + len(series)] = micros
        self._place += len(series)

    def finished(self) -> Times:
        if not self._whole:
            return Times(self._micros / 1e6, "dates")
        self._micros //= 1_000_000
        return Times(self._micros, "dates")


class _OtherColumn:
    """A column of any type as it is."""

    def __init__(self, polars: Any) -> None:
        self._polars = polars
        self._pieces: list[Any] = []

    def add(self, series: Any) -> None:
        self._pieces.append(series)

    def finished(self) -> Any:
        return self._polars.concat(self._pieces) if self._pieces else self._polars.Series([])
