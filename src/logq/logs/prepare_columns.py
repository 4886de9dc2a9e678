"""What a log that is prepared consists of: its files, the columns that are read, and how they are read as SQL."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentError
from logq._text_encodings import open_text
from logq.logs.column_names import check_further, guess_columns, plain_name
from logq.logs.log_files import choose_columns, layout_of_log
from logq.logs.parquet_reader import quoted, text_literal
from logq.logs.text_layout import Layout, joined_fields

__all__ = ["RawLog", "column_of", "raw_log"]

_CHUNK = 1 << 24  # bytes of a file that is rewritten
_READ_BY_DUCKDB = (".gz", ".zst")
_BLANKS = r"E' \t\r\n\f' || chr(11)"


@dataclass(frozen=True)
class RawLog:
    """The columns of some files as a table of SQL.

    Args:
        files: of the log, in order.
        select: the statement whose rows are those of the files: columns "user", "item", ... and "c0", "c1", ...
        names: of each of these, the name that it has in the files.
        text: whether all values are text, which says by itself what it is.
        notes: what was guessed, for `Interactions.notes`.
        guesses: of each role that was guessed, what is to be said.
        size: bytes of the files.
        decimal_comma: whether 3,5 is a number.
        repeats: which rows repeat the first line, as a condition, or "".
    """

    files: Sequence[Path]
    select: str
    names: Mapping[str, str]
    text: bool
    notes: list[str] = field(default_factory=list[str])
    guesses: Mapping[str, str] = field(default_factory=dict[str, str])
    size: int = 0
    decimal_comma: bool = False
    repeats: str = ""

    @property
    def further(self) -> dict[str, str]:
        """The names of further columns by what they are called in SQL."""
        return {key: name for key, name in self.names.items() if key.startswith("c")}


def column_of(role: str, number: int) -> str:
    """What a column is called in SQL: its role, or its number among further ones.

    Example:
        >>> column_of("", 2)
        'c2'
    """
    return role or f"c{number}"


def raw_log(
    files: Sequence[Path],
    work: Path,
    connection: Any,
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str],
    separator: str | None,
    header: bool | None,
) -> RawLog:
    """Find the columns of the files of a log, all of one kind, as `Interactions.from_csv` and `from_parquet` do.

    Args:
        files: text (also compressed) or Parquet.
        work: a folder for copies of files that DuckDB cannot read as they are.
        connection: of DuckDB, to look into Parquet files.
        asked: the columns of users, items, times, labels and sessions.
        columns: further ones.
        separator: of the columns of text files; None detects it.
        header: whether their first lines have names; None detects it.

    Raises:
        ArgumentError: a column does not exist.
        ValueError: a file is not like the first one, or is no table; the message names it.
        OSError: a file cannot be opened.
    """
    for file in files:
        with open(file, "rb"):
            pass  # a missing file is an OSError with its name
    kinds = {file.suffix.lower() in (".parquet", ".pq") for file in files}
    if len(kinds) > 1:
        raise ArgumentError("sources", "files of one kind", "text files and Parquet files")
    size = sum(file.stat().st_size for file in files)
    if kinds == {True}:
        return _parquet(files, connection, asked, columns, size)
    layouts = [layout_of_log(file, asked, separator, header) for file in files]
    for file, layout in zip(files[1:], layouts[1:], strict=True):
        if _described(layout) != _described(layouts[0]):
            first = f"{os.fspath(files[0])} ({_described(layouts[0])})"
            raise ValueError(f"{os.fspath(file)}: expected the columns of {first}, got {_described(layout)}")
    return _text(files, layouts, work, asked, columns, size)


def _described(layout: Layout) -> str:
    names = ", ".join(map(repr, layout.names)) if layout.header else f"{len(layout.names)} columns without names"
    return f"{names}, separated by {layout.separator!r}"


def _named(roles: Mapping[str, "str | bool | None"], columns: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """What each column is called in SQL, and its name in the files."""
    found = {role: str(name) for role, name in roles.items() if isinstance(name, str)}
    for number, name in enumerate(columns):
        found[column_of("", number)] = name if name in names else next(n for n in names if plain_name(n) == name)
    return found


def _parquet(
    files: Sequence[Path],
    connection: Any,
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str],
    size: int,
) -> RawLog:
    source = f"read_parquet([{', '.join(text_literal(str(file)) for file in files)}])"
    names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    check_further(columns, names)

    def values(name: str) -> Any:
        found = connection.execute(f"SELECT {quoted(name)} AS v FROM {source} LIMIT 1000").fetchnumpy()["v"]
        return found.compressed() if hasattr(found, "compressed") else found

    roles, guesses = guess_columns(names, asked, None if asked.get("time") is not None else values)
    named = _named(roles, columns, names)
    select = ", ".join(f"{quoted(name)} AS {quoted(key)}" for key, name in named.items())
    return RawLog(files, f"SELECT {select} FROM {source}", named, text=False, guesses=guesses, size=size)


def _text(
    files: Sequence[Path],
    layouts: Sequence[Layout],
    work: Path,
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str],
    size: int,
) -> RawLog:
    layout = layouts[0]
    roles, guesses, _, exact = choose_columns(layout, asked, columns)
    named = _named(roles, columns, layout.names)
    paths = [_readable(file, of, work, number) for number, (file, of) in enumerate(zip(files, layouts, strict=True))]
    mark = layout.separator
    numbers = [f"x{number}" for number in range(len(layout.names))]
    options = {
        "delim": text_literal(mark),
        "header": str(layout.header).lower(),
        "quote": text_literal('"' if mark in ",;" else ""),
        "escape": text_literal('"' if mark in ",;" else ""),
        "columns": "{" + ", ".join(f"'{number}': 'VARCHAR'" for number in numbers) + "}",
        "auto_detect": "false",
        "null_padding": str(layout.header or not exact).lower(),
        "strict_mode": "true",
        "max_line_size": "16777216",
    }
    listed = ", ".join(text_literal(str(path)) for path in paths)
    source = f"read_csv([{listed}], {', '.join(f'{name} = {value}' for name, value in options.items())})"
    places = {key: numbers[layout.names.index(name)] for key, name in named.items()}
    select = ", ".join(f"{_stripped(place, mark)} AS {quoted(key)}" for key, place in places.items())
    same = [f"{quoted(key)} = {text_literal(name.strip())}" for key, name in named.items()]
    return RawLog(
        files,
        f"SELECT {select} FROM {source}",
        named,
        text=True,
        notes=list(layout.notes),
        guesses=guesses,
        size=size,
        decimal_comma=layout.decimal_comma,
        repeats=" AND ".join(same) if layout.header else "",
    )


def _stripped(column: str, mark: str) -> str:
    """A value without blanks around it, and without quotes that come after some."""
    plain = f"trim({column}, {_BLANKS})"
    if mark not in ",;":
        return plain
    quotes = f"{column} LIKE ' %' AND {plain} LIKE '\"%\"'"
    return f"CASE WHEN {quotes} THEN trim(trim({plain}, '\"'), {_BLANKS}) ELSE {plain} END"


def _readable(file: Path, layout: Layout, work: Path, number: int) -> Path:
    """The file, or a copy that DuckDB can read: UTF-8, lines that end in line feeds, single separators."""
    if layout.plain or _is_plain(file, layout):
        return file
    copy, mark = work / f"copy-{number}.txt", layout.separator
    with open_text(file) as (source, _), open(copy, "wb") as target:
        rest = b""
        while data := source.read(_CHUNK):
            whole, line, rest = (rest + data).rpartition(b"\n")
            target.write(joined_fields(whole + line, mark, mark))
        target.write(joined_fields(rest, mark, mark))
    return copy


def _is_plain(file: Path, layout: Layout) -> bool:
    """Whether DuckDB reads a file that polars does not: one compressed by gzip or zstd, or with long separators."""
    compressed = file.suffix.lower() in _READ_BY_DUCKDB
    if layout.separator == " ":
        return False
    with open_text(file) as (source, text):
        source.read(1)
        return text.encoding == "utf-8" and not text.returns_alone and (compressed or not source.compression)
