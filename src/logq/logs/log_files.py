"""Reading logs from text and Parquet files by polars: detecting the layout of text, and choosing columns."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from logq._arguments import ArgumentError
from logq._compression import open_bytes
from logq.logs.column_names import guess_columns, plain_name

__all__ = ["LogFile", "detect_layout", "plain_headers", "read_csv", "read_parquet", "read_table"]

_SEPARATORS = ("\t", "::", ",", ";", "|", " ")
_SHOWN = {"\t": "tabs", " ": "spaces"}
_SAMPLE = 1 << 16  # bytes at the start of a file from which its layout is detected
_TIME = 1e8  # seconds since 1970 from 1973 on; ratings and counts are smaller


class LogFile(NamedTuple):
    """The columns of a file, which of them is which, and notes of what was guessed."""

    frame: Any
    roles: Mapping[str, "str | bool | None"]
    notes: list[str]


class Layout(NamedTuple):
    """How the columns of a text file are written."""

    separator: str
    header: bool
    names: list[str]
    sample: list[list[str]]  # the first rows
    encoding: str  # utf8 or latin-1
    notes: list[str]


def read_csv(
    path: str | os.PathLike[str],
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str],
    separator: str | None,
    header: bool | None,
) -> LogFile:
    """Read the columns of a text file that are asked for or have a usual name."""
    layout = detect_layout(path, separator, header)
    notes = list(layout.notes)
    if not layout.header:
        asked, more = _by_position(layout, asked)
        notes += more
    roles, more = guess_columns(layout.names, asked)
    chosen = [name for name in layout.names if name in roles.values() or plain_name(name) in columns or name in columns]
    ids = {roles[role] for role in ("user", "item", "session") if role in roles}
    frame = read_table(path, layout, chosen, ids)
    return LogFile(frame, {role: roles.get(role, False) for role in asked}, [*notes, *more])


def read_parquet(
    path: str | os.PathLike[str], asked: Mapping[str, "str | int | bool | None"], columns: Sequence[str]
) -> LogFile:
    """Read the columns of a Parquet file that are asked for or have a usual name."""
    polars = _polars("Parquet files")
    with open(path, "rb"):
        pass  # a missing file is an OSError with its name
    try:
        names = list(polars.read_parquet_schema(os.fspath(path)))
        roles, notes = guess_columns(names, asked)
        chosen = [name for name in names if name in roles.values() or name in columns]
        frame = polars.read_parquet(os.fspath(path), columns=chosen)
    except polars.exceptions.PolarsError as error:
        raise ValueError(f"{os.fspath(path)}: cannot be read as Parquet ({_first_line(error)})") from None
    return LogFile(frame, {role: roles.get(role, False) for role in asked}, notes)


def detect_layout(path: str | os.PathLike[str], separator: str | None = None, header: bool | None = None) -> Layout:
    """Detect the layout of a text file from its first lines.

    Raises:
        ArgumentError: `separator` is empty.
        ValueError: the file has no line.
    """
    with open_bytes(path) as file:
        data = file.read(_SAMPLE)
    if separator == "":
        raise ArgumentError("separator", "at least one character", "")
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    lines = lines[:-1] if len(data) == _SAMPLE and len(lines) > 1 else lines  # the last one is incomplete
    try:
        text, encoding = [line.decode() for line in lines if line.strip()][:200], "utf8"
    except UnicodeDecodeError:
        text, encoding = [line.decode("latin-1") for line in lines if line.strip()][:200], "latin-1"
    if not text:
        raise ValueError(f"{os.fspath(path)}: expected one event per line, the file is empty")
    notes = [] if encoding == "utf8" else ["encoding: took Latin-1, as the text is not UTF-8"]
    if separator is None:
        # What every line has, in this order, so that a space in a title does not win against a comma.
        common = [mark for mark in _SEPARATORS if all(mark in line.strip(" ") for line in text[:20])]
        separator = common[0] if common else ","
        notes.append(f"separator: took {_SHOWN.get(separator, repr(separator))}")
    rows = [[field.strip().strip('"') for field in line.split(separator)] for line in text]
    if header is None:
        first, later = rows[0], rows[1:] or [[]]
        named = not any(_is_number(field) for field in first if field)
        header = named and (any(_is_number(field) for row in later for field in row) or _usual(first))
        notes.append(f"header: took the first line for {'names' if header else 'an event, there is no header'}")
    names = rows[0] if header else [str(number) for number in range(len(rows[0]))]
    return Layout(separator, header, names, rows[1:] if header else rows, encoding, notes)


def read_table(path: str | os.PathLike[str], layout: Layout, columns: Sequence[str], ids: "set[str]") -> Any:
    """Read columns by polars; a column of ids has integers if all of them are, else strings.

    Raises:
        ImportError: polars is not installed.
        ValueError: the file cannot be read as a table.
    """
    polars = _polars("text files")
    numbers = [layout.names.index(name) for name in columns]
    twice = next((name for number, name in enumerate(columns) if name in columns[:number]), None)
    if twice is not None:
        raise ValueError(f"{os.fspath(path)}: expected columns with different names, got {twice!r} twice")
    options: dict[str, Any] = {
        "separator": "\x01" if len(layout.separator) > 1 else layout.separator,
        "has_header": layout.header,
        "columns": numbers,
        "infer_schema_length": 10_000,
        "quote_char": '"' if layout.separator in ",;" else None,
    }
    source: Any = os.fspath(path)
    if len(layout.separator) > 1 or layout.encoding != "utf8":
        with open_bytes(path) as file:
            source = file.read().replace(layout.separator.encode(), options["separator"].encode())
        if layout.encoding != "utf8":
            source = source.decode("latin-1").encode()
    where = os.fspath(path)
    read: Callable[..., Any] = polars.read_csv
    try:
        try:
            header = read(source, **{**options, "n_rows": 0}).columns
            # 007 is not a number, as it would become 7; and only the whole column shows whether all are numbers.
            schema = {name: polars.String for name, plain in zip(header, columns, strict=True) if plain in ids}
            frame = read(source, **options, schema_overrides=schema)
        except polars.exceptions.ComputeError:
            # A value has another type than the first ten thousand: read text, which is converted later.
            frame = read(source, **options, infer_schema=False)
    except polars.exceptions.PolarsError as error:
        if layout.encoding == "utf8" and "utf-8" in str(error):  # the first lines were only ASCII
            return read_table(path, layout._replace(encoding="latin-1"), columns, ids)
        raise ValueError(f"{where}: cannot be read as a table ({_first_line(error)})") from None
    except OSError as error:
        if error.errno is None:  # from polars' own reader of compressed files
            raise ValueError(f"{where}: the compressed file is truncated or damaged ({_first_line(error)})") from None
        raise
    named = zip(frame.get_columns(), columns, strict=True)
    frame = frame.with_columns([_numbers_or_text(column) if name in ids else column for column, name in named])
    frame.columns = list(columns)
    return frame


def plain_headers(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return names without the types of RecBole's headers, and those of them whose fields hold several values.

    Example:
        >>> plain_headers(["item_id:token", "class:token_seq"])
        (['item_id', 'class'], ['class'])
    """
    return list(map(plain_name, names)), [plain_name(name) for name in names if name.strip().endswith("_seq")]


def _by_position(
    layout: Layout, asked: Mapping[str, "str | int | bool | None"]
) -> tuple[dict[str, "str | int | bool | None"], list[str]]:
    """Guess the columns of a file without a header: the first are user and item, and times are large numbers."""
    found = dict(asked)
    taken = {int(value) for value in asked.values() if isinstance(value, str) and value.isdigit()}
    taken |= {value for value in asked.values() if isinstance(value, int) and not isinstance(value, bool)}
    free = [number for number in range(len(layout.names)) if number not in taken]
    notes: list[str] = []
    for role in ("user", "item"):
        if found.get(role) is None and free:
            found[role] = free.pop(0)
    for number in free:
        values = [row[number] for row in layout.sample if number < len(row) and row[number]]
        if not values or not all(_is_number(value) for value in values):
            continue
        role = "time" if min(map(float, values)) > _TIME else "label"
        if found.get(role) is None:
            found[role] = number
    for role in ("user", "item", "time", "label"):
        found.setdefault(role, None)
        if asked.get(role) is None and found[role] is not None:
            notes.append(f"{role}: took column {found[role]}")
    return {role: False if number is None else number for role, number in found.items()}, notes


def _numbers_or_text(column: Any) -> Any:
    """Convert ids from text to numbers, if all are written as numbers and different ones stay different."""
    import polars

    try:
        numbers = column.cast(polars.Int64)
    except polars.exceptions.InvalidOperationError:
        # The form of integers in a column with missing values; 20 digits, and 1e3, stay text.
        if not column.str.contains(r"^-?[0-9]+\.[0-9]+$").all():
            return column
        return column.cast(polars.Float64)
    odd = column.str.starts_with("0") & (column.str.len_bytes() > 1)
    odd |= column.str.starts_with("+") | column.str.starts_with("-0")
    return column if odd.any() else numbers


def _usual(names: Sequence[str]) -> bool:
    try:
        guess_columns(names, {})
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _polars(what: str) -> Any:
    try:
        import polars
    except ImportError:
        raise ImportError(f'{what} are read by polars, which is not installed: pip install "logq[logs]"') from None
    return polars
