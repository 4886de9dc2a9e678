"""One pass through a text: words numbered as they come, by one thread or several, and written as ids."""

import threading
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from logq.kernels import _native
from logq.text.id_file import IdFile
from logq.text.text_files import check_text
from logq.text.words import check_strings

__all__ = [
    "END_OF_LINE",
    "LONGEST_WORD",
    "ListScan",
    "Piece",
    "TextBlock",
    "TextScan",
    "cut_blocks",
    "join_files",
    "pack_words",
]

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


END_OF_LINE = -1
"""Stands behind the ids of a line; a line without words has none."""

Ids32 = NDArray[np.int32]


class Piece(NamedTuple):
    """What one block left: the table that numbered its ids, how many those are, and how many words were new."""

    table: int
    num_ids: int
    new_words: int


class _Read(NamedTuple):
    block: _native.EncodedBlock
    table: int
    new_words: int


@dataclass
class TextScan:
    """A pass through a text, and what it found.

    Each thread has a table of its own, whose numbers differ from those of the others; `pieces` says whose numbers stand
    where. As threads take blocks in their order, the new words of a table come in the order of its blocks, and so the
    place of each word's first appearance in the text can be told afterwards.

    Args:
        ids: where ids go; None only counts.
        threads: how many work on blocks, while one more reads and writes; 1 does everything itself.
        known: words to number from 0 on, without new ones; None numbers all as they come.

    Attributes:
        tables: one a thread.
        pieces: one a block, in order.
        raw_words: words read.
        long_words: those left out for having more than 65,536 bytes.
        invalid_lines: lines with bytes that are no UTF-8.
        num_lines: lines with ids.

    Example:
        >>> scan = TextScan(None)
        >>> for _ in scan.run([TextBlock(b"a rose is a rose ", False, False)]):
        ...     pass
        >>> scan.raw_words, scan.tables[0].counts().tolist()
        (5, [2, 2, 1])
    """

    ids: IdFile | None
    threads: int = 1
    known: Sequence[str] | None = None
    longest_word: int = LONGEST_WORD
    tables: list[_native.WordTable] = field(default_factory=list[_native.WordTable])
    pieces: list[Piece] = field(default_factory=list[Piece])
    raw_words: int = 0
    long_words: int = 0
    invalid_lines: int = 0
    num_lines: int = 0
    _line_is_open: bool = False
    _line_is_invalid: bool = False

    def run(self, blocks: Iterable[TextBlock]) -> Generator[int, None, None]:
        """Read all blocks, and yield after each the number of words in it."""
        self.tables = [_native.WordTable(self.longest_word) for _ in range(self.threads)]
        if self.known is not None:
            packed = pack_words(self.known)
            for table in self.tables:
                table.add(*packed)
        with _in_order(self.threads) as submit:
            waiting: deque[Future[_Read]] = deque()
            for block in blocks:
                waiting.append(submit(self._encode, block))
                while waiting and (len(waiting) > self.threads + 1 or waiting[0].done()):
                    yield self._take(waiting.popleft().result())
            while waiting:
                yield self._take(waiting.popleft().result())

    def _encode(self, block: TextBlock, number: int) -> _Read:
        table = self.tables[number]
        before = len(table)
        encoded = table.encode(
            block.text,
            frozen=self.known is not None,
            starts_inside=block.starts_inside,
            ends_inside=block.ends_inside,
        )
        return _Read(encoded, number, len(table) - before)

    def _take(self, read: _Read) -> int:
        """Append what a block has to what was before it, with the line that both may have in common."""
        block = read.block
        both_invalid = self._line_is_invalid and block.first_line_invalid
        self.invalid_lines += block.invalid_lines - both_invalid
        self._line_is_invalid = block.last_line_invalid or (self._line_is_invalid and not block.has_newline)
        self.raw_words += block.words
        self.long_words += block.long_words
        ids = block.take_ids()
        if len(ids) and ids[0] == END_OF_LINE and not self._line_is_open:
            ids = ids[1:]
        if len(ids):
            self._line_is_open = bool(ids[-1] != END_OF_LINE)
        if self.ids is not None:
            self.num_lines += int(np.count_nonzero(ids == END_OF_LINE))
            self.ids.append(ids)
        self.pieces.append(Piece(read.table, len(ids), read.new_words))
        return block.words


def pack_words(words: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    """Return words as UTF-8 without anything between them, and the place where each begins, and the last one ends.

    Example:
        >>> pack_words(["to", "be"])
        (b'tobe', array([0, 2, 4]))
    """
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    return b"".join(encoded), offsets


class _Submit(Protocol):
    def __call__(self, work: Callable[[TextBlock, int], _Read], block: TextBlock) -> "Future[_Read]": ...


@contextmanager
def _in_order(threads: int) -> Generator[_Submit, None, None]:
    """Let threads work on blocks, which each of them takes in the order in which they are submitted."""
    if threads == 1:

        def at_once(work: Callable[[TextBlock, int], _Read], block: TextBlock) -> "Future[_Read]":
            done: Future[_Read] = Future()
            done.set_result(work(block, 0))
            return done

        yield at_once
        return
    local = threading.local()
    numbers = iter(range(threads))

    def start() -> None:
        local.number = next(numbers)

    pool = ThreadPoolExecutor(threads, initializer=start, thread_name_prefix="logq-text")
    try:
        yield lambda work, block: pool.submit(lambda: work(block, local.number))
    finally:
        pool.shutdown(cancel_futures=True)


_BUFFER = 1 << 20  # ids written at a time


class ListScan:
    """A pass through sentences, each a list of words, and what it found. A word may hold anything, white space too.

    Args:
        ids: where ids go; None only counts.
        known: the number of each word to keep; None numbers all as they come.

    Attributes:
        words: the words in the order in which they came, or those known.
        counts: how often each was there.
        pieces: what was written at a time.
        raw_words: words read.
        num_lines: sentences with ids.

    Raises:
        TypeError: a sentence is no list of words, or a word no string.

    Example:
        >>> scan = ListScan(None)
        >>> for _ in scan.run([["New York", "is", "New York"], []]):
        ...     pass
        >>> scan.words, scan.counts.tolist()
        (['New York', 'is'], [2, 1])
    """

    def __init__(self, ids: IdFile | None, known: Mapping[str, int] | None = None) -> None:
        self.words: list[str] = [] if known is None else list(known)
        self.counts: NDArray[np.int64] = np.zeros(len(self.words), np.int64)
        self.pieces: list[Piece] = []
        self.raw_words = 0
        self.num_lines = 0
        self.invalid_lines = self.long_words = 0  # there are no bytes in a list of words
        self._ids = ids
        self._known = known
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__

    def run(self, sentences: Iterable[Any]) -> Generator[int, None, None]:
        """Read all sentences, and yield now and then how many words were in those since the last time."""
        buffer, told = array("i"), 0
        number = self._numbers.__getitem__ if self._known is None else self._known.get
        for place, sentence in enumerate(sentences):
            words = _words_of(sentence, place)
            before = len(buffer)
            try:
                if self._known is None:
                    buffer.extend(cast("map[int]", map(number, words)))
                else:
                    buffer.extend(self._known_ids(words, cast("Callable[[str], int | None]", number)))
            except TypeError:
                check_strings("source", words)
                raise
            self.raw_words += len(words)
            if len(buffer) > before:
                buffer.append(END_OF_LINE)
                self.num_lines += 1
            if len(buffer) >= _BUFFER:
                self._flush(buffer)
                yield self.raw_words - told
                told = self.raw_words
        self._flush(buffer)
        yield self.raw_words - told

    @staticmethod
    def _known_ids(words: list[str], number: Callable[[str], int | None]) -> list[int]:
        numbers = [number(word) for word in words]
        if None in numbers:
            check_strings("source", words)
        return [each for each in numbers if each is not None]

    def _flush(self, buffer: "array[int]") -> None:
        ids = np.array(buffer, np.int32)
        del buffer[:]
        if self._known is None:
            self.words += check_strings("source", islice(self._numbers, len(self.words), None))
        counts = np.bincount(ids[ids != END_OF_LINE], minlength=len(self.words))
        counts[: len(self.counts)] += self.counts
        self.counts = counts.astype(np.int64)
        if self._ids is not None:
            self._ids.append(ids)
        self.pieces.append(Piece(0, len(ids), 0))


def _words_of(sentence: Any, place: int) -> list[str]:
    if isinstance(sentence, str | bytes | Iterator) or not isinstance(sentence, Iterable):
        shown = repr(sentence)
        raise TypeError(
            f"source: expected each sentence to be a list of words, got "
            f"{shown if len(shown) <= 60 else shown[:57] + '...'} as sentence {place}"
        )
    return list(cast("Iterable[str]", sentence))
