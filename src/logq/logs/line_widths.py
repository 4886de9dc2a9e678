"""Lines of a text file that have more or fewer fields than its first one."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["OddLine", "OddLines", "find_odd_lines"]

_QUOTE, _NEWLINE = ord('"'), ord("\n")
_LONGEST: Final = 1 << 24  # bytes of a line
_QUOTING: Final = (",", ";")  # the separators with which fields are put in quotation marks


class OddLine(NamedTuple):
    """A line with another number of fields than the first.

    Attributes:
        number: of the line, from 1.
        fields: how many it has.
    """

    number: int
    fields: int


class OddLines(NamedTuple):
    """The lines that have another number of fields than expected.

    Attributes:
        longer, shorter: how many lines have more and fewer fields.
        first_longer, first_shorter: the first of each.
    """

    longer: int = 0
    shorter: int = 0
    first_longer: OddLine | None = None
    first_shorter: OddLine | None = None


def find_odd_lines(pieces: Iterable[bytes], separator: str, fields: int) -> OddLines:
    r"""Find the lines that have not the expected number of fields, without those that are blank.

    Empty fields at the end of a line, behind those that are expected, do not count: some programs end lines so.

    Args:
        pieces: the bytes of the file, in UTF-8.
        separator: a single character; fields may be in quotation marks if it is a comma or a semicolon.
        fields: the number expected.

    Example:
        >>> found = find_odd_lines([b"1,2\n1,2,", b"3\n\n1\n"], ",", 2)
        >>> found.longer, found.first_longer, found.first_shorter
        (1, OddLine(number=2, fields=3), OddLine(number=4, fields=1))
        >>> find_odd_lines([b'1,"2,3"\n4,5,\n'], ",", 2)
        OddLines(longer=0, shorter=0, first_longer=None, first_shorter=None)
    """
    before = 0
    quoted = separator in _QUOTING
    longer = shorter = 0
    first: dict[bool, OddLine] = {}
    blocks = _whole_lines(pieces, quoted)
    for block in blocks:
        if not _is_even(block, separator, fields, quoted):
            for number, row in _rows(block, separator, quoted):
                more = _is_longer(row, fields)
                if more or len(row) < fields:
                    longer, shorter = longer + more, shorter + (not more)
                    first.setdefault(more, OddLine(before + number, len(row)))
        before += block.count(b"\n")
    return OddLines(longer, shorter, first.get(True), first.get(False))


def _whole_lines(pieces: Iterable[bytes], quoted: bool) -> Iterator[bytes]:
    """The bytes in blocks that end with a line, and not within quotation marks; nothing after marks left open."""
    rest = b""
    for piece in pieces:
        rest += piece
        end = rest.rfind(b"\n") + 1
        if quoted and rest.count(b'"', 0, end) % 2:  # a line feed within quotation marks ends no line
            letters = np.frombuffer(rest, dtype=np.uint8)
            outside = np.cumsum(letters == _QUOTE, dtype=np.int64) % 2 == 0
            ends = np.flatnonzero((letters == _NEWLINE) & outside)
            end = int(ends[-1]) + 1 if len(ends) else 0
        if end:
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) > _LONGEST:
            return
    if rest and not (quoted and rest.count(b'"') % 2):
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _is_even(block: bytes, separator: str, fields: int, quoted: bool) -> bool:
    """Whether every line has the expected number of fields; False also where that is not seen at a glance."""
    letters: NDArray[np.uint8] = np.frombuffer(block, dtype=np.uint8)
    marks = (letters == ord(separator)) | (letters == _NEWLINE)
    if quoted and b'"' in block:
        marks &= np.cumsum(letters == _QUOTE, dtype=np.int64) % 2 == 0
    ends = letters[np.flatnonzero(marks)] == _NEWLINE
    if len(ends) % fields:
        return False
    table = ends.reshape(-1, fields)
    return bool(table[:, -1].all() and not table[:, :-1].any())


def _rows(block: bytes, separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    text = block.decode("utf-8", "replace")
    if quoted:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        for row in reader:
            if row:
                yield reader.line_num, row
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.split(separator)


def _is_longer(row: list[str], fields: int) -> bool:
    return any(field.strip() for field in row[fields:])
