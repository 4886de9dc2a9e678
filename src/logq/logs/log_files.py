"""Reading logs from text files by polars: choosing columns, and what they are without a header."""

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from logq._project import install_line
from logq._text_encodings import open_text
from logq.logs.column_names import check_further, guess_columns, plain_name
from logq.logs.line_widths import find_odd_lines
from logq.logs.plain_values import MISSING_WORDS
from logq.logs.text_layout import Layout, detect_layout, is_number, joined_fields
from logq.logs.time_values import looks_like_time

__all__ = [
    "LogFile",
    "choose_columns",
    "first_line",
    "import_polars",
    "layout_of_log",
    "plain_headers",
    "read_csv",
    "read_table",
]


_PIECE = 1 << 18  # bytes that are looked through at a time
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?")
_WHOLE = r"^(?:0|-?[1-9][0-9]*)(?:\.0)?$"
_FRACTION = r"^-?[0-9]+\.[0-9]+$"


class LogFile(NamedTuple):
    """The columns of a file, which of them is which, notes on how it was read, and on each column that was guessed."""

    frame: Any
    roles: Mapping[str, "str | bool | None"]
    notes: list[str]
    guesses: Mapping[str, str]


def read_csv(
    path: str | os.PathLike[str],
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str],
    separator: str | None,
    header: bool | None,
    missing: Collection[str] | None = None,
) -> LogFile:
    """Read the columns of a text file that are asked for or have a usual name."""
    layout = layout_of_log(path, asked, separator, header)
    roles, guesses, chosen, exact = choose_columns(layout, asked, columns)
    ids = {str(roles[role]) for role in ("user", "item", "session") if roles[role] is not False}
    frame = read_table(path, layout, chosen, ids, missing, exact=exact)
    return LogFile(frame, roles, layout.notes, guesses)


def layout_of_log(
    path: str | os.PathLike[str],
    asked: Mapping[str, "str | int | bool | None"],
    separator: str | None = None,
    header: bool | None = None,
) -> Layout:
    """Detect the layout of a log, of which some columns are named.

    Raises:
        ValueError: the file is empty, or its lines are no events.
    """
    if header is None and any(isinstance(name, str) and not name.isdigit() for name in asked.values()):
        header = True  # who names a column says that there are names, which a file of nothing but text does not show
    layout = detect_layout(path, separator, header)
    if asked.get("user") is None or asked.get("item") is None:
        layout.check_events(path)
    return layout


class ChosenColumns(NamedTuple):
    """Which column is which, what is to be said of guesses, all that are read, and how strict lines are read."""

    roles: Mapping[str, "str | bool | None"]
    guesses: Mapping[str, str]
    names: list[str]
    exact: bool


def choose_columns(
    layout: Layout, asked: Mapping[str, "str | int | bool | None"], columns: Sequence[str]
) -> ChosenColumns:
    """Choose the columns of a log: those that are asked for or have a usual name, and further ones.

    Raises:
        ArgumentError: a column that was asked for does not exist, or users or items are not found.
    """
    named = asked
    guesses: dict[str, str] = {}
    if not layout.header:
        asked, guesses = _by_position(layout, asked)
    roles, more = guess_columns(layout.names, asked, layout.values)
    check_further(columns, layout.names)
    chosen = [name for name in layout.names if name in roles.values() or plain_name(name) in columns or name in columns]
    # Who names the columns of a file without names says that the others do not matter.
    exact = layout.header or named.get("user") is None or named.get("item") is None
    return ChosenColumns({role: roles.get(role, False) for role in asked}, {**guesses, **more}, chosen, exact)


def read_table(
    path: str | os.PathLike[str],
    layout: Layout,
    columns: Sequence[str],
    ids: "set[str]",
    missing: Collection[str] | None = None,
    *,
    exact: bool = True,
    text: Collection[str] = (),
) -> Any:
    """Read columns by polars, without blanks around values; a column of ids has integers if all of them are.

    Args:
        path: the file.
        layout: how it is written; what is to be said of its lines is added to the notes.
        columns: the names of those to read.
        ids: which of them have ids.
        missing: the words for a missing value; None for the usual ones.
        exact: whether a line with more fields than the first one is an error, instead of something to be said.
        text: which of them stay text, whatever they look like.

    Raises:
        ImportError: polars is not installed.
        ValueError: the file cannot be read as a table, or a line has too many fields.
    """
    polars = import_polars("text files")
    numbers = [layout.names.index(name) for name in columns]
    twice = next((name for number, name in enumerate(columns) if name in columns[:number]), None)
    if twice is not None:
        raise ValueError(f"{os.fspath(path)}: expected columns with different names, got {twice!r} twice")
    where, mark = os.fspath(path), "\x01" if len(layout.separator) > 1 else layout.separator
    options: dict[str, Any] = {
        "separator": mark,
        "has_header": layout.header,
        "columns": numbers,
        "infer_schema_length": 10_000,
        "quote_char": '"' if layout.separator in ",;" else None,
        "decimal_comma": layout.decimal_comma,
        "truncate_ragged_lines": True,  # they are looked for before
    }
    source: Any = where
    if not layout.plain:
        with open_text(path, kept=True) as (file, _):
            source = joined_fields(file.read(), layout.separator, mark)
    blank = _check_widths(where, source, mark, layout, exact=exact)
    read: Callable[..., Any] = polars.read_csv
    late = False
    try:
        try:
            header = read(source, **{**options, "n_rows": 0}).columns
            # 007 is not a number, as it would become 7; and only the whole column shows whether all are numbers.
            schema = {
                name: polars.String for name, plain in zip(header, columns, strict=True) if plain in (*ids, *text)
            }
            frame = read(source, **options, schema_overrides=schema)
        except polars.exceptions.ComputeError:
            # A value has another type than the first ten thousand: read text, which is converted later.
            frame, late = read(source, **options, infer_schema=False), True
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        if layout.plain and "utf-8" in str(error):  # the first lines were only ASCII
            return read_table(path, layout._replace(plain=False), columns, ids, missing, exact=exact, text=text)
        if "utf-8" in str(error):
            hint = "convert it: iconv -f ENCODING -t UTF-8"
            raise ValueError(f"{where}: expected UTF-8 text, or an encoding that is recognized; {hint}") from None
        raise ValueError(f"{where}: cannot be read as a table ({first_line(error)})") from None
    frame = frame.with_columns(_without_blanks(polars))
    if blank:  # a line without anything is no event, and no value is missing in it
        frame = frame.filter(~polars.all_horizontal(polars.all().is_null()))
    if late:
        others = [
            column.name
            for column, plain in zip(frame.get_columns(), columns, strict=True)
            if plain not in (*ids, *text)
        ]
        frame = frame.with_columns([_numbers(frame[name]) for name in others])
    if layout.header:
        frame = _without_headers(polars, frame, columns, layout)
    named = zip(frame.get_columns(), columns, strict=True)
    words = MISSING_WORDS if missing is None else missing
    frame = frame.with_columns([_numbers_or_text(column, words) if name in ids else column for column, name in named])
    frame.columns = list(columns)
    return frame


def _check_widths(where: str, source: Any, mark: str, layout: Layout, *, exact: bool) -> bool:
    """Look for lines that have not as many fields as the first one, of which polars would lose some in silence.

    Returns:
        Whether there are lines without anything.
    """
    blank = [False]

    def seen(pieces: Iterable[bytes]) -> Iterator[bytes]:
        end = b""
        for piece in pieces:
            blank[0] |= b"\n\n" in end + piece or b"\n\r\n" in end + piece
            end = piece[-2:]
            yield piece

    with contextlib.ExitStack() as stack:
        if isinstance(source, bytes):
            pieces: Iterable[bytes] = (source[at : at + _PIECE] for at in range(0, len(source), _PIECE))
        else:
            file = stack.enter_context(open(source, "rb"))
            pieces = iter(lambda: file.read(_PIECE), b"")
        odd = find_odd_lines(seen(pieces), mark, len(layout.names))
    expected = f"{len(layout.names)} fields in each line, as in the first"
    for first, count in ((odd.first_longer, odd.longer), (odd.first_shorter, odd.shorter)):
        if first is None:
            continue
        got = f"{first.fields} in line {first.number}{f' ({count:,} such lines)' if count > 1 else ''}"
        if exact and (first is odd.first_longer or not layout.header):
            raise ValueError(f"{where}: expected {expected}, got {got}{_way_out(mark, layout)}")
        lost = "more" if first is odd.first_longer else "missing"
        layout.notes.append(f"lines: expected {expected}, got {got}; what is {lost} does not count")
    return blank[0]


def _way_out(mark: str, layout: Layout) -> str:
    quoted = "; a field with the separator in it belongs in quotation marks" if mark in ",;" else ""
    if layout.header:
        return quoted
    return (
        f"{quoted}; lists of items are separated by blanks (from_sessions, --format sessions), and naming the columns "
        "by user and item (--user 0 --item 1) reads only these"
    )


def _without_headers(polars: Any, frame: Any, columns: Sequence[str], layout: Layout) -> Any:
    """The rows that do not repeat the first line, as those of files put together do."""
    text = [
        polars.col(name) == title.strip()
        for name, title in zip(frame.columns, columns, strict=True)
        if frame[name].dtype == polars.String
    ]
    if len(text) < len(columns):  # a column of numbers has no name in it
        return frame
    repeats = frame.select(polars.all_horizontal(text).fill_null(False)).to_series()
    if not repeats.any():
        return frame
    count = int(repeats.sum())
    lines = "1 line repeats" if count == 1 else f"{count:,} lines repeat"
    layout.notes.append(f"header: {lines} the first one and {'is' if count == 1 else 'are'} left out")
    return frame.filter(~repeats)


def _without_blanks(polars: Any) -> Any:
    """Strip blanks, and quotes that come after some, which are part of the value for polars."""
    text = polars.col(polars.String)
    stripped = text.str.strip_chars()
    quoted = text.str.starts_with(" ") & stripped.str.starts_with('"') & stripped.str.ends_with('"')
    return polars.when(quoted).then(stripped.str.strip_chars('"').str.strip_chars()).otherwise(stripped).name.keep()


def plain_headers(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return names without the types of RecBole's headers, and those of them whose fields hold several values.

    Example:
        >>> plain_headers(["item_id:token", "class:token_seq"])
        (['item_id', 'class'], ['class'])
    """
    return list(map(plain_name, names)), [plain_name(name) for name in names if name.strip().endswith("_seq")]


def _by_position(
    layout: Layout, asked: Mapping[str, "str | int | bool | None"]
) -> tuple[dict[str, "str | int | bool | None"], dict[str, str]]:
    """Guess the columns of a file without a header: times by their values, then the first two as users and items."""
    found = dict(asked)
    taken = {int(value) for value in asked.values() if isinstance(value, str) and value.isdigit()}
    taken |= {value for value in asked.values() if isinstance(value, int) and not isinstance(value, bool)}
    free = [number for number in range(len(layout.names)) if number not in taken]
    looks = {number: looks_like_time(layout.values(str(number))) for number in free}
    dates = [number for number in free if looks[number] == "dates"]
    epochs = [number for number in free if looks[number] == "epochs"]
    if found.get("time") is None:
        # Ids may be as large as times: of the first columns only one that hardly repeats is taken for times.
        wanted = sum(found.get(role) is None for role in ("user", "item"))
        late = [number for number in epochs if number in free[wanted:]]
        early = [number for number in epochs if len(free) > wanted and layout.share_of_different(number) > 0.5]
        found["time"] = next(iter([*dates, *late, *early]), None)
    # A date is no item, whether it is taken for the time or not; nor is a time of day.
    dates += [number for number in free if _are_clocks(layout.values(str(number)))]
    free = [number for number in free if number not in dates and (found["time"] is False or number != found["time"])]
    for role in ("user", "item"):
        if found.get(role) is None and free:
            found[role] = free.pop(0)
    if found.get("label") is None:
        found["label"] = next((number for number in free if _are_labels(layout.values(str(number)))), None)
    notes: dict[str, str] = {}
    for role in ("user", "item", "time", "label"):
        if asked.get(role) is None and found.get(role) is not None:
            notes[role] = f"took column {found[role]}"
        elif role == "time" and asked.get(role) is None:
            among = f"no time column found among columns {', '.join(map(str, free))}" if free else "no further column"
            notes[role] = f"{among}: the order of rows counts as time; time=N (--time N) names one"
    others = [f"column {number}" for number in dates if number != found["time"]]
    if others and "time" in notes:
        notes["time"] += f"; it could also be {' or '.join(others)}"
    return {role: False if number is None else number for role, number in found.items()}, notes


def _are_clocks(values: Sequence[str]) -> bool:
    present = [value for value in values if value not in MISSING_WORDS]
    return bool(present) and all(_CLOCK.fullmatch(value) for value in present)


def _are_labels(values: Sequence[str]) -> bool:
    """Whether values are numbers, and not always the same one."""
    present = [value for value in values if value not in MISSING_WORDS]
    return len(set(present)) > 1 and all(is_number(value) for value in present)


def _numbers_or_text(column: Any, missing: Collection[str]) -> Any:
    """Convert ids from text to numbers, if all are written as numbers and different ones stay different."""
    import polars

    if column.dtype != polars.String:
        return column
    present = column.set(column.is_in(list(missing)), None) if missing else column
    if present.null_count() == len(column):
        return column
    if present.str.contains(_WHOLE).all():  # the form of integers in a column with missing values
        present = present.str.strip_suffix(".0")
    elif present.str.contains(_FRACTION).all():
        return present.cast(polars.Float64)  # which are no ids: whoever reads them says so
    try:
        numbers = present.cast(polars.Int64)
    except polars.exceptions.InvalidOperationError:  # 20 digits, and 1e3, stay text
        return column
    odd = present.str.starts_with("0") & (present.str.len_bytes() > 1)
    odd |= present.str.starts_with("+") | present.str.starts_with("-0")
    return column if odd.any() else numbers


def _numbers(column: Any) -> Any:
    """A column of text as numbers, if all of it is numbers."""
    import polars

    if column.dtype != polars.String:
        return column
    present = column.set(column == "", None)
    for kind in (polars.Int64, polars.Float64):
        numbers = present.cast(kind, strict=False)
        if numbers.null_count() == present.null_count() < len(column):
            return numbers
    return column


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error of polars, which may have many.

    Example:
        >>> first_line(ValueError("one\ntwo"))
        'one'
    """
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def import_polars(what: str) -> Any:
    """Return polars, which reads `what`.

    Raises:
        ImportError: it is not installed.

    Example:
        >>> import_polars("text files").__name__
        'polars'
    """
    try:
        import polars
    except ImportError:
        raise ImportError(f"{what} are read by polars, which is not installed: {install_line('logs')}") from None
    return polars
