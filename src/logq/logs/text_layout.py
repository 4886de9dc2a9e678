"""Detecting how the columns of a text file are written: separator, header, encoding; and whether it is a table."""

import csv
import json
import os
import re
import shlex
from typing import Final, NamedTuple

from logq._arguments import ArgumentError
from logq._text_encodings import open_text
from logq.logs.column_names import names_columns
from logq.logs.time_values import looks_like_time

__all__ = ["Layout", "detect_layout", "is_number", "joined_fields"]

_SEPARATORS: Final = ("\t", "::", ",", ";", "|", " ")
_SHOWN: Final = {"\t": "tabs", " ": "spaces"}
_SAMPLE: Final = 1 << 16  # bytes at the start of a file from which its layout is detected
_LINES: Final = 200
_COLUMNS: Final = 4  # a log of words without a header has hardly more of them
_WORDS: Final = 3  # in a field, on average, are a part of a sentence
_BLANKS: Final = re.compile(rb"[ \t]+")
_JSON: Final = re.compile(r"\s*(?:\{\s*(?:[\"}]|$)|\[\s*(?:[\[{]|$))")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+")


class Layout(NamedTuple):
    """How the columns of a text file are written."""

    separator: str
    header: bool
    names: list[str]
    sample: list[list[str]]  # the first rows
    plain: bool  # whether polars can read the file as it is
    notes: list[str]
    decimal_comma: bool = False

    def values(self, name: str) -> list[str]:
        """The first values of a column."""
        number = self.names.index(name)
        return [row[number] for row in self.sample if number < len(row)]

    def share_of_different(self, number: int) -> float:
        """How many of the first values of a column are different, as a share of them."""
        values = self.values(self.names[number])
        return len(set(values)) / max(len(values), 1)

    def check_events(self, path: str | os.PathLike[str]) -> None:
        """Check that lines can be events, and are no running text and no lists.

        Raises:
            ValueError: they are; the message asks what is meant.
        """
        where, rows, separator = os.fspath(path), self.sample, self.separator
        if len(self.names) == 1 and rows:  # sentences of which one has but a word
            rows, separator = [row[0].split() if row else [] for row in rows], " "
        widths = [len(row) for row in rows]
        if rows and max(widths) == 1:
            raise ValueError(f"{where}: expected columns of users and items, found one column; separator splits it")
        fewest, most = min(widths, default=0), max(widths, default=0)
        parts = _SHOWN.get(separator, repr(separator))
        size = f"{most if fewest == most else f'{fewest} to {most}'} fields separated by {parts}"
        words = [field for row in rows for field in row if field]
        wordy = sum(field[:1].isalpha() and not any(map(str.isdigit, field)) for field in words) > len(words) / 2
        if separator == " ":
            odd = most > _COLUMNS or fewest < most
        else:  # commas of sentences: parts of several words
            odd = sum(" " in field for field in words) > len(words) / 2 and (
                fewest < most or sum(len(field.split()) for field in words) >= _WORDS * len(words)
            )
        if wordy and odd and not names_columns(self.names):
            raise ValueError(
                f"{where}: is it running text, its lines have {size}? For a log, name the columns "
                "by user and item (--user 0 --item 1); words are learned by logq.Word2Vec (logq train word2vec)"
            )
        if separator == " " and fewest < most and not self.header:
            raise ValueError(
                f"{where}: is each line a list of items, they have {size}? For a log of sessions, "
                "use from_sessions (--format sessions, or user-sessions); else name the columns by user and item"
            )


def detect_layout(path: str | os.PathLike[str], separator: str | None = None, header: bool | None = None) -> Layout:
    """Detect the layout of a text file from its first lines.

    Raises:
        ArgumentError: `separator` is empty.
        ValueError: the file has no line, or is JSON.
    """
    if separator == "":
        raise ArgumentError("separator", "at least one character", "")
    with open_text(path) as (file, text):
        data = file.read(_SAMPLE)
        plain = not file.compression and text.encoding == "utf-8" and not text.returns_alone
        guessed = text.encoding if text.guessed else ""
    lines = data.splitlines()
    lines = lines[:-1] if len(data) == _SAMPLE and len(lines) > 1 else lines  # the last one is incomplete
    shown = [line.decode("utf-8", "replace") for line in lines if line.strip()][:_LINES]
    if not shown:
        raise ValueError(f"{os.fspath(path)}: expected one event per line, the file is empty")
    if _JSON.match(shown[0]):
        read = "read_json" if shown[0].lstrip().startswith("[") else "read_ndjson"
        code = f'import polars; polars.{read}({json.dumps(os.fspath(path))}).write_parquet("log.parquet")'
        raise ValueError(f"{os.fspath(path)}: expected a table, it is JSON; python -c {shlex.quote(code)} makes one")
    notes = []
    if guessed:
        taken = "Latin-1" if guessed == "latin-1" else guessed.upper()
        notes.append(f"encoding: took {taken}, as the text is not UTF-8")
    if separator is None:
        # What every line has, in this order, so that a space in a title does not win against a comma.
        common = [mark for mark in _SEPARATORS if all(mark in line.strip(" ") for line in shown[:20])]
        separator = common[0] if common else ","
        notes.append(f"separator: took {_SHOWN.get(separator, repr(separator))}")
    rows = _rows(shown, separator)
    comma = separator == ";" and any(_DECIMAL_COMMA.fullmatch(field) for row in rows for field in row)
    if comma:
        rows = [
            [field.replace(",", ".") if _DECIMAL_COMMA.fullmatch(field) else field for field in row] for row in rows
        ]
        notes.append("numbers: took ',' for the decimal sign")
    if header is None:
        header = _has_header(rows)
        notes.append(f"header: took the first line for {'names' if header else 'an event, there is no header'}")
    names = rows[0] if header else [str(number) for number in range(len(rows[0]))]
    # Several blanks are one separator, and blanks at the ends are none.
    blanks = separator == " " and any("  " in line or line != line.strip(" ") for line in shown)
    plain &= not blanks and len(separator) == 1
    return Layout(separator, header, names, rows[1:] if header else rows, plain, notes, comma)


def joined_fields(data: bytes, separator: str, mark: str) -> bytes:
    """Return a table in which columns are separated by a single character, and lines by line feeds.

    Example:
        >>> joined_fields(b"1::2", "::", ";"), joined_fields(b" 1   2", " ", " ")
        (b'1;2', b'1 2')
    """
    if separator != " ":
        return data.replace(separator.encode(), mark.encode()) if separator != mark else data
    return re.sub(rb"(?m)^ +| +(?=\r?$)", b"", _BLANKS.sub(b" ", data))


def is_number(text: str) -> bool:
    """Return whether a field is a number.

    Example:
        >>> is_number(" 1e3"), is_number("1 kg")
        (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(lines: list[str], separator: str) -> list[list[str]]:
    if separator in (",", ";"):
        fields = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    else:
        fields = [line.split() if separator == " " else line.split(separator) for line in lines]
    return [[field.strip().strip('"') for field in row] for row in fields]


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first line has names: it has no value, and others have some or the names are usual ones."""
    first, later = rows[0], rows[1:]
    if any(_is_value(field) for field in first if field):
        return False
    if not all(first[:-1]) and not names_columns(first):  # a column without a name is one of row numbers, or none
        return False
    return any(_is_value(field) for row in later for field in row) or names_columns(first)


def _is_value(text: str) -> bool:
    return is_number(text) or looks_like_time([text]) == "dates"
