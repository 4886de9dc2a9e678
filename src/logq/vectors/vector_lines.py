"""Lines of word vectors in text: the first, which may say V and D, and the words with their numbers."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.text.words import LONGEST_WORD

__all__ = ["Header", "Row", "as_header", "check_size", "is_number", "read_header", "text_header", "text_rows"]

_SAMPLE = 1 << 16  # bytes at the start of a file without a first line `V D` that show D, and at most
_SAMPLE_LINES = 200
_LONGEST_NUMBER = 64  # bytes
_LARGEST_DIM = 100_000  # no model has more; what a first line promises shall not fill the memory


class Header(NamedTuple):
    """What the beginning of a file promises: V words, or None where it does not say, and D dimensions."""

    num_words: int | None
    dim: int


class Row(NamedTuple):
    """A word with its numbers; `place` is the number of its line, or of the word in a binary file."""

    place: int
    word: bytes
    numbers: "list[float] | NDArray[np.float32]"


def as_header(line: bytes) -> Header | None:
    """Return what a line `V D` promises; None for other lines.

    Example:
        >>> as_header(b"400000 300")
        Header(num_words=400000, dim=300)
    """
    if not re.fullmatch(rb"\s*-?\d+\s+-?\d+\s*", line[:100]):
        return None
    num_words, dim = map(int, line.split())
    return Header(num_words, dim)


def read_header(name: str, file: BinaryIO) -> Header:
    """Read the first line, which must be `V D`.

    Raises:
        ValueError: it is not; the message names the file.
    """
    line = file.readline(100)
    header = as_header(line)
    if header is None:
        raise ValueError(f"{name}, line 1: expected the numbers of words and dimensions, 'V D', got {line[:40]!r}")
    return _check_header(name, header, line)


def _check_header(name: str, header: Header, line: bytes) -> Header:
    assert header.num_words is not None
    if header.num_words < 0 or header.dim < 1 or not line.endswith(b"\n"):
        raise ValueError(f"{name}, line 1: expected V >= 0 words and D >= 1 dimensions, got {line[:40]!r}")
    return header


def check_size(name: str, header: Header, smallest: int, size: int | None) -> None:
    """Refuse a first line that promises more than the file can hold, `smallest` bytes a word."""
    num_words = header.num_words or 0
    # The last row may lack its newline.
    if size is not None and num_words * smallest > size + 1:
        raise ValueError(f"{name}: the file is too short for the {num_words} words that its first line promises")
    if header.dim > _LARGEST_DIM:
        raise ValueError(f"{name}, line 1: expected at most {_LARGEST_DIM:,} dimensions, got {header.dim}")


def text_header(name: str, file: BinaryIO, size: int | None) -> tuple[Header, Iterator[tuple[int, bytes]]]:
    """Return what the beginning of a text promises, and its lines with their numbers, from the first word on."""
    first = file.readline(_LONGEST_NUMBER * 1000 + LONGEST_WORD)
    header = as_header(first)
    if header is not None:
        check_size(name, _check_header(name, header, first), 2 + 2 * header.dim, size)
    held = [] if header is not None else [first]
    longest = LONGEST_WORD + _LONGEST_NUMBER * (header.dim if header is not None else _LARGEST_DIM)
    if header is None and not first.endswith(b"\n"):
        held = [first + file.readline(longest)]
    number = 2 if header is not None else 1
    if header is None:
        while len(held) < _SAMPLE_LINES and sum(map(len, held)) < _SAMPLE and (line := file.readline(longest)):
            held.append(line)
        counts = Counter(map(_numbers_at_end, filter(bytes.strip, held)))
        # Lines of words that are numbers, or have blanks in them, are fewer than the others.
        dim = counts.most_common(1)[0][0] if counts else 0
        if dim < 1:
            raise ValueError(f"{name}, line 1: {_not_vectors(first)}")
        header = Header(None, dim)
    rest = iter(lambda: file.readline(longest), b"")
    return header, enumerate(chain(held, rest), number)


def _not_vectors(line: bytes) -> str:
    expected = "expected 'V D', the numbers of words and dimensions, or a word and its numbers, separated by blanks"
    cause = ""
    if not line:
        return "expected words with their vectors, the file is empty"
    _, *fields = line.split() or [b""]
    if line.count(b",") > 1 and len(fields) < 2:
        cause = "; it has commas, which have to become blanks"
    elif fields and _has_decimal_comma(fields[-1]):
        cause = "; its numbers have a decimal comma, which has to become a point"
    return f"{expected}, got {line[:40]!r}{cause}"


def is_number(field: bytes) -> bool:
    """Whether a field is a number in decimal.

    Example:
        >>> is_number(b"-1.5e-3"), is_number(b"0,5"), is_number(b"1_000")
        (True, False, False)
    """
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python reads 1_000 as a number


def _numbers_at_end(line: bytes) -> int:
    """How many numbers a line ends with; its first field is a word, whatever it looks like."""
    count = 0
    for field in reversed(line.split()[1:]):
        if not is_number(field):
            break
        count += 1
    return count


def text_rows(name: str, lines: Iterator[tuple[int, bytes]], header: Header) -> Iterator[Row]:
    """Yield the words of a text with their numbers; a word may have blanks in it.

    Args:
        name: the file, for messages.
        lines: its lines with their numbers, from the first word on.
        header: what its beginning promises.

    Raises:
        ValueError: a line is not a word and D numbers, or there are more or fewer than promised; the message names the
            line and what is wrong with it.
    """
    dim, last, done = header.dim, 1, 0
    longest = LONGEST_WORD + _LONGEST_NUMBER * dim
    for number, line in lines:
        last = number
        if header.num_words is not None and done == header.num_words:
            if line.strip():
                raise ValueError(f"{name}, line {number}: expected the end after the {done} words of line 1")
            continue
        if header.num_words is None and not line.strip():
            continue
        if len(line) >= longest:
            raise ValueError(f"{name}, line {number}: expected a word and {dim} numbers, the line has no end")
        word, *numbers = line.rsplit(None, dim) or [b""]
        try:
            values = [float(value) for value in numbers]
        except ValueError:
            values = []
        if b"_" in line and not all(map(is_number, numbers)):
            values = []
        if len(values) != dim or line[:1].isspace() or (b" " in word and is_number(word.split()[-1])):
            raise ValueError(f"{name}, line {number}: {_wrong_row(line, dim)}")
        done += 1
        yield Row(number, word, values)
    if header.num_words is not None and done < header.num_words:
        raise ValueError(f"{name}, line {last}: the file ends here, line 1 promises {header.num_words} words")


def _wrong_row(line: bytes, dim: int) -> str:
    """What is wrong with a line that is not a word and D numbers."""
    expected = f"expected a word and {dim} numbers"
    if line[:1].isspace() and line.strip():
        return f"{expected}, it begins with a blank where the word should be"
    word, *fields = line.split() or [b""]
    numbers = _numbers_at_end(line)
    odd = next((field for field in reversed(fields) if not is_number(field)), None)
    if odd is None or numbers >= dim:
        return f"{expected}, got {numbers} numbers" + (f" for {word[:40].decode('utf-8', 'replace')!r}" if word else "")
    shown = odd[:40].decode("utf-8", "replace")
    if _has_decimal_comma(odd):
        return f"{expected} with a decimal point, got {shown!r}"
    return f"{expected}, got {shown!r}"


def _has_decimal_comma(field: bytes) -> bool:
    return re.fullmatch(rb"[-+]?\d+,\d+([eE][-+]?\d+)?", field) is not None
