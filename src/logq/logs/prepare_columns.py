"""What a log that is prepared consists of: its files, the columns that are read, and how they are read as SQL."""

import itertools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentError
from logq._text_encodings import open_text
from logq.logs.column_names import check_further, guess_columns, plain_name
from logq.logs.log_files import choose_columns, layout_of_log
from logq.logs.parquet_reader import file_literal, parquet_source, quoted, text_literal
from logq.logs.text_layout import Layout, joined_fields

__all__ = ["RawLog", "column_of", "raw_log", "read_raw"]

_CHUNK = 1 << 24  # bytes of a file that is rewritten
_READ_BY_DUCKDB = (".gz", ".zst")
_BLANKS = " || ".join(
    f"chr({ord(letter)})"
    for letter in map(chr, range(0x3001))
    if letter.isspace() and ord(letter) not in range(0x1C, 0x20)
)
_PLAIN = "'[!-~]*'"  # what needs no look for blanks, which is slow
_KINDS = {
    "TIME": "times of day",
    "DATE": "dates",
    "VARCHAR": "text",
    "ENUM": "text",
    "BLOB": "bytes",
    "BOOLEAN": "true or false",
}


@dataclass(frozen=True)
class RawLog:
    """The columns of some files as a table of SQL.

    Args:
        files: of the log, in order.
        names: of each column of the table, "user", "item", ... and "c0", "c1", ..., the name that it has in the files.
        layouts: of files of text, how each is written; none of Parquet.
        notes: what was guessed, for `Interactions.notes`.
        guesses: of each role that was guessed, what is to be said.
        decimal_comma: whether 3,5 is a number.
        padded: whether a line of text may lack its last fields.
        repeats: which rows repeat the first line, as a condition, or "".
    """

    files: Sequence[Path]
    names: Mapping[str, str]
    layouts: Sequence[Layout] = ()
    notes: Sequence[str] = ()
    guesses: Mapping[str, str] = field(default_factory=dict[str, str])
    decimal_comma: bool = False
    padded: bool = False
    repeats: str = ""

    @property
    def text(self) -> bool:
        """Whether all values are text, which says by itself what it is."""
        return bool(self.layouts)

    def only(self, number: int) -> "RawLog":
        """One file of it, by its whole path, without what was looked at to find its columns."""
        layouts = [layout._replace(sample=[], notes=[]) for layout in self.layouts[number : number + 1]]
        return replace(self, files=[self.files[number].absolute()], layouts=layouts, notes=(), guesses={})

    def select(self, work: Path, *, copied: bool = False, options: str = "") -> str:
        """The statement whose rows are those of the files.

        Args:
            work: a folder for copies of files that DuckDB cannot read as they are.
            copied: whether text is written anew, in UTF-8, also where its beginning does not ask for it.
            options: further ones of `read_csv`, each after a comma.

        Raises:
            OSError: a file cannot be opened.
        """
        if not self.text:
            # Columns are found by their names, and have the type that holds those of all files.
            chosen = ", ".join(f"{quoted(name)} AS {quoted(key)}" for key, name in self.names.items())
            source = parquet_source(*self.files, options="union_by_name = true")
            return f"SELECT {chosen} FROM {source}"
        paths = [
            _readable(file, layout._replace(plain=layout.plain and not copied), work, number, copied)
            for number, (file, layout) in enumerate(zip(self.files, self.layouts, strict=True))
        ]
        return _select_text(self, paths, options)


def read_raw(raw: RawLog, work: Path, execute: Callable[[str], None], again: Callable[[], None]) -> None:
    """Run a statement over the rows of files; those of which only a later line shows how they are read are read again.

    Args:
        raw: the files.
        work: a folder for copies.
        execute: runs a statement with the rows of this one.
        again: makes it possible to run another one after an error.

    Raises:
        ValueError: a file cannot be read as a table; the message names it.
    """
    copied, options = False, ""
    while True:
        try:
            execute(raw.select(work, copied=copied, options=options))
        except Exception as error:  # noqa: PERF203 - three times at most
            said = str(error)
            if raw.text and not options and "quoted new lines" in said:  # which one thread reads
                options = ", parallel = false"
            elif raw.text and not copied and "not utf-8" in said:
                copied = True
            elif type(error).__name__ in ("InvalidInputException", "ConversionException"):
                raise ValueError(_about_csv(said, raw.files)) from None
            else:
                raise
            again()
        else:
            return


def _about_csv(said: str, files: Sequence[Path]) -> str:
    """What DuckDB says of a line that is not like the others, beginning with the file."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = next((str(file) for file in files if str(file) in said), str(files[0]))
    short = " ".join(lines[:3])[:300]
    return f"{named}: cannot be read as a table ({short})"


def column_of(role: str, number: int) -> str:
    """What a column is called in SQL: its role, or its number among further ones.

    Example:
        >>> column_of("", 2)
        'c2'
    """
    return role or f"c{number}"


def raw_log(
    files: Sequence[Path],
    connection: Any,
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str],
    separator: str | None,
    header: bool | None,
) -> RawLog:
    """Find the columns of the files of a log, all of one kind, as `Interactions.from_csv` and `from_parquet` do.

    Args:
        files: text (also compressed) or Parquet.
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
    if kinds == {True}:
        return _parquet(files, connection, asked, columns)
    layouts = [layout_of_log(file, asked, separator, header) for file in files]
    for file, layout in zip(files[1:], layouts[1:], strict=True):
        if _described(layout, in_order=False) != _described(layouts[0], in_order=False):
            first = f"{os.fspath(files[0])} ({_described(layouts[0])})"
            raise ValueError(f"{os.fspath(file)}: expected the columns of {first}, got {_described(layout)}")
    return _text(files, layouts, asked, columns)


def _described(layout: Layout, *, in_order: bool = True) -> str:
    ordered = layout.names if in_order else sorted(layout.names)
    names = ", ".join(map(repr, ordered)) if layout.header else f"{len(layout.names)} columns without names"
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
) -> RawLog:
    source = parquet_source(*files, options="union_by_name = true")
    schemas = [_schema(connection, file) for file in files]
    names = list(schemas[0])
    check_further(columns, names)
    for name in names:  # DuckDB does not tell capitals from small letters
        if twice := [other for other in names if other != name and other.lower() == name.lower()]:
            expected = "names of columns that differ in more than capitals"
            raise ValueError(f"{os.fspath(files[0])}: expected {expected}, got {name!r} and {twice[0]!r}")

    def values(name: str) -> Any:
        found = connection.execute(f"SELECT {quoted(name)} AS v FROM {source} LIMIT 1000").fetchnumpy()["v"]
        return found.compressed() if hasattr(found, "compressed") else found

    roles, guesses = guess_columns(names, asked, None if asked.get("time") is not None else values)
    named = _named(roles, columns, names)
    for name in named.values():
        first = ""
        for file, schema in zip(files, schemas, strict=True):
            if name not in schema:
                raise ValueError(f"{os.fspath(file)}: expected a column {name!r}, as {os.fspath(files[0])} has")
            kind = _kind(schema[name])
            first = first or kind
            if kind and kind != first:
                raise ValueError(
                    f"{os.fspath(file)}: expected {first} in the column {name!r}, as the files before, got {kind}"
                )
    return RawLog(files, named, guesses=guesses)


def _schema(connection: Any, file: Path) -> dict[str, str]:
    """The columns of a Parquet file and their types."""
    try:
        # DESCRIBE gives other names to those that differ in capitals only; these are as the file has them.
        tree = connection.execute(f"SELECT name, num_children FROM parquet_schema({file_literal(file)})").fetchall()
        found = connection.execute(f"DESCRIBE SELECT * FROM {parquet_source(file)}").fetchall()
    except Exception as error:
        said = str(error).strip().splitlines()[0]
        raise ValueError(f"{os.fspath(file)}: cannot be read as Parquet ({said})") from None
    names, inside = list[str](), list[int]()
    for name, children in tree[1:]:
        if not inside:
            names.append(name)
        else:
            inside[-1] -= 1
        if children:
            inside.append(children)
        while inside and not inside[-1]:
            inside.pop()
    return dict(zip(names, (kind for _, kind, *_ in found), strict=True))


def _kind(of: str) -> str:
    """What a type of DuckDB is, for which another one may stand in another file; "" for one of missing values only."""
    if of in ('"NULL"', "NULL"):
        return ""
    start = re.split(r"[ _(]", of)[0]
    start = "DATE" if start.startswith("TIMESTAMP") else start
    return f"values of {of}" if of.endswith("]") or start in ("STRUCT", "MAP") else _KINDS.get(start, "numbers")


def _text(
    files: Sequence[Path],
    layouts: Sequence[Layout],
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str],
) -> RawLog:
    layout = layouts[0]
    roles, guesses, chosen, exact = choose_columns(layout, asked, columns)
    if twice := next((name for number, name in enumerate(chosen) if name in chosen[:number]), None):
        raise ValueError(f"{os.fspath(files[0])}: expected columns with different names, got {twice!r} twice")
    named = _named(roles, columns, layout.names)
    notes = (note for number, of in enumerate(layouts) for note in of.notes if not number or note not in layout.notes)
    same = [f"{quoted(key)} = {text_literal(name.strip())}" for key, name in named.items()]
    return RawLog(
        files,
        named,
        layouts,
        notes=list(dict.fromkeys(notes)),
        guesses=guesses,
        decimal_comma=any(of.decimal_comma for of in layouts),
        padded=layout.header or not exact,
        repeats=" AND ".join(same) if layout.header else "",
    )


def _select_text(raw: RawLog, paths: Sequence[Path], further: str) -> str:
    layout = raw.layouts[0]
    mark = layout.separator
    options = {
        "delim": text_literal(mark),
        "header": str(layout.header).lower(),
        "quote": text_literal('"' if mark in ",;" else ""),
        "escape": text_literal('"' if mark in ",;" else ""),
        "columns": "{" + ", ".join(f"'x{number}': 'VARCHAR'" for number in range(len(layout.names))) + "}",
        "auto_detect": "false",
        "null_padding": str(raw.padded).lower(),
        "strict_mode": "true",
        "max_line_size": "16777216",
    }
    written = ", ".join(f"{name} = {value}" for name, value in options.items()) + further
    selects: list[str] = []
    # Files that follow each other with the columns in one order are read together.
    for names, group in itertools.groupby(zip(paths, raw.layouts, strict=True), key=lambda pair: pair[1].names):
        listed = ", ".join(file_literal(path) for path, _ in group)
        places = {key: f"x{names.index(name)}" for key, name in raw.names.items()}
        chosen = [f"{_stripped(place, mark)} AS {quoted(key)}" for key, place in places.items()]
        selects.append(f"SELECT {', '.join(chosen)} FROM read_csv([{listed}], {written})")
    return " UNION ALL ".join(selects)


def _stripped(column: str, mark: str) -> str:
    """A value without blanks around it, and without quotes that come after some."""
    trimmed = f"trim({column}, {_BLANKS})"
    plain = f"WHEN regexp_full_match({column}, {_PLAIN}) THEN {column}"
    if mark not in ",;":
        return f"CASE {plain} ELSE {trimmed} END"
    quotes = f"{column} LIKE ' %' AND {trimmed} LIKE '\"%\"'"
    return f"CASE {plain} WHEN {quotes} THEN trim(trim({trimmed}, '\"'), {_BLANKS}) ELSE {trimmed} END"


def _readable(file: Path, layout: Layout, work: Path, number: int, copied: bool) -> Path:
    """The file, or a copy that DuckDB can read: UTF-8, lines that end in line feeds, single separators."""
    if layout.plain or (not copied and _is_plain(file, layout)):
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
