"""Text in blocks that can be read apart from one another, since none begins or ends within a word."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from logq.data.text.plain_text import check_text
from logq.kernels import _native

__all__ = ["LONGEST_WORD", "TextBlock", "cut_blocks", "join_files"]

LONGEST_WORD = 65_536
"""Bytes of the longest word that is read as one. Longer ones are left out, and counted."""

_BLOCK = 1 << 21  # bytes; a multiple of what a piece of a file has
_MARK = b"\xef\xbb\xbf"  # with which some programs begin UTF-8 files


class TextBlock(NamedTuple):
    """Some bytes of a text.

    Attributes:
        text: the bytes.
        starts_inside: they begin inside of a word of more than `LONGEST_WORD` bytes.
        ends_inside: they end inside of one.
    """

    text: bytes
    starts_inside: bool
    ends_inside: bool


def join_files(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    r"""Yield the texts of several files as one, after a look at how each begins; every file ends with a line.

    Args:
        files: the name of each and its bytes in pieces.

    Raises:
        ValueError: a file is no UTF-8 text.

    Example:
        >>> list(join_files([("one", [b"\xef\xbb\xbfto be"]), ("two", [b"or not"])]))
        [b'to be', b'\n', b'or not', b'\n']
    """
    for name, pieces in files:
        start = bytearray()
        rest = iter(pieces)
        for piece in rest:
            start += piece
            if len(start) >= 1 << 16:
                break
        check_text(name, bytes(start))
        yield bytes(start.removeprefix(_MARK))
        yield from rest
        yield b"\n"


def cut_blocks(
    pieces: Iterable[bytes], *, block: int | None = None, longest_word: int = LONGEST_WORD
) -> Iterator[TextBlock]:
    """Yield a text in blocks that end after white space, or else inside of a word that is too long to be read.

    Args:
        pieces: the bytes of the text, cut anywhere.
        block: the bytes to aim at. What follows the last white space waits for the next block, so that no more than
            `block`, the longest word and the longest piece are held at a time.
        longest_word: as the table of words has it.

    Example:
        >>> [block.text for block in cut_blocks([b"to b", b"e or not"], block=3)]
        [b'to ', b'be or ', b'not']
    """
    size = _BLOCK if block is None else block
    pending = bytearray()
    inside = False
    for piece in pieces:
        pending += piece
        if len(pending) < size:
            continue
        text = bytes(pending)
        if end := _native.last_break(text):
            yield TextBlock(text[:end], inside, False)
            inside = False
        elif (end := _last_character(text)) > longest_word:
            yield TextBlock(text[:end], inside, True)
            inside = True
        else:
            continue
        del pending[:end]
    yield TextBlock(bytes(pending), inside, False)


def _last_character(text: bytes) -> int:
    """Where the last character begins: bytes before and after that place are decoded the same apart as together."""
    for back in range(1, min(4, len(text)) + 1):
        if text[-back] & 0xC0 != 0x80:
            return len(text) - back
    return len(text) - 1  # four bytes that only continue: at most three of them can belong to a character
