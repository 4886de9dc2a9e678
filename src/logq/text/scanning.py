"""One pass over a text: its words are numbered in order of appearance, by one or several threads, and written as ids.

`TextScan` reads bytes of files, cut into blocks at white space; `ListScan` reads lists of words.
"""

import threading
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from logq._model_file import pack_strings
from logq.kernels import _native
from logq.text.id_file import IdFile
from logq.text.spilled_words import BYTES_OF_A_WORD, SpilledWords
from logq.text.words import LONGEST_WORD, check_sentence, check_strings, check_utf8_form, is_too_long

__all__ = ["END_OF_LINE", "ListScan", "Piece", "TextBlock", "TextScan", "cut_blocks", "join_texts"]

END_OF_LINE = -1
"""Follows the ids of a line; a line without words has none."""

_BLOCK = 1 << 21  # bytes of a block of text, a multiple of those of a piece of a file
_BUFFER = 1 << 20  # ids that are written at a time
_BYTES_OF_A_STRING = 300  # and of its number in a dict, besides its letters, and what writing it takes
_TOO_LONG = -2  # instead of the number of a word that is left out


class TextBlock(NamedTuple):
    """A block of a text.

    Attributes:
        text: the bytes.
        starts_inside: they begin inside a word of more than `LONGEST_WORD` bytes.
        ends_inside: they end inside one.
    """

    text: bytes
    starts_inside: bool
    ends_inside: bool


def join_texts(texts: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    r"""Yield several texts, each as bytes in pieces, as one; each is ended by a new line.

    Example:
        >>> list(join_texts([[b"to ", b"be"], [b"or not"]]))
        [b'to ', b'be', b'\n', b'or not', b'\n']
    """
    for pieces in texts:
        yield from pieces
        yield b"\n"


def cut_blocks(
    pieces: Iterable[bytes], *, block: int | None = None, longest_word: int = LONGEST_WORD
) -> Iterator[TextBlock]:
    """Yield a text in blocks that end after white space, or inside a word that is too long to be read.

    Args:
        pieces: the bytes of the text, cut anywhere.
        block: the size to aim at, in bytes. What follows the last white space waits for the next block, so that at most
            `block`, the longest word and the longest piece are in memory at a time.
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
    """Return where the last character begins: a text that is cut there is decoded as if it were whole."""
    for back in range(1, min(4, len(text)) + 1):
        if text[-back] & 0xC0 != 0x80:
            return len(text) - back
    return len(text) - 1  # four bytes that only continue: at most three of them can belong to a character


class Piece(NamedTuple):
    """What remains of a block: the table that numbered its ids, how many ids those are, and how many words were new."""

    table: int
    num_ids: int
    new_words: int


class _Read(NamedTuple):
    block: _native.EncodedBlock
    table: int
    new_words: int


@dataclass
class TextScan:
    """A pass over a text, and its results.

    Each thread has a table of its own, with its own numbers for words; `pieces` says which table numbered which part.
    Threads take blocks in order, so the new words of a table come in the order of its blocks, and the first appearance
    of each word in the text can be told afterwards.

    Args:
        ids: where to write ids; None only counts.
        threads: number of threads that work on blocks, while one more reads and writes; 1 does everything itself.
        known: the words to keep, numbered from 0; None numbers all in order of appearance.
        longest_word: maximum length of a word in bytes.
        memory: bytes for words, of all threads together; tables that become larger are written to disk. None keeps all.

    Attributes:
        tables: one a thread, and those that were written to disk, emptied.
        spilled: what was written to disk, None if nothing was.
        pieces: one a block, in order.
        raw_words: words read.
        long_words: those left out because they are too long.
        invalid_lines: lines with bytes that are not UTF-8.
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
    memory: int | None = None
    tables: list[_native.WordTable] = field(default_factory=list[_native.WordTable])
    spilled: SpilledWords | None = None
    pieces: list[Piece] = field(default_factory=list[Piece])
    raw_words: int = 0
    long_words: int = 0
    invalid_lines: int = 0
    num_lines: int = 0
    _line_is_open: bool = False
    _line_is_invalid: bool = False
    _current: list[int] = field(default_factory=list[int])  # the table of each thread
    _bytes: list[int] = field(default_factory=list[int])  # of the words of each
    _spilling: threading.Lock = field(default_factory=threading.Lock)

    def run(self, blocks: Iterable[TextBlock]) -> Generator[int, None, None]:
        """Read all blocks, and yield the number of words of each."""
        self.tables = [_native.WordTable(self.longest_word) for _ in range(self.threads)]
        self._current, self._bytes = list(range(self.threads)), [0] * self.threads
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
        if self.spilled is not None:
            for thread in range(self.threads):
                self._spill(thread)

    def _encode(self, block: TextBlock, thread: int) -> _Read:
        number = self._current[thread]
        table = self.tables[number]
        before = len(table)
        encoded = table.encode(
            block.text,
            frozen=self.known is not None,
            starts_inside=block.starts_inside,
            ends_inside=block.ends_inside,
        )
        new_words = len(table) - before
        if self.memory is not None and self.known is None and new_words:
            self._bytes[thread] += len(table.words(np.arange(before, len(table)))[0])
            if self._bytes[thread] + BYTES_OF_A_WORD * len(table) > self.memory // self.threads:
                self._spill(thread)
        return _Read(encoded, number, new_words)

    def _spill(self, thread: int) -> None:
        """Write the table of a thread to disk, which begins another."""
        number = self._current[thread]
        full = self.tables[number]
        if not len(full):
            return
        with self._spilling:
            self.spilled = SpilledWords(self.threads) if self.spilled is None else self.spilled
            self.spilled.add(number, full, full.counts())
            self.tables[number] = _native.WordTable(self.longest_word)
            self._current[thread], self._bytes[thread] = len(self.tables), 0
            self.tables.append(_native.WordTable(self.longest_word))

    def _take(self, read: _Read) -> int:
        """Append a block to those before it; a line may begin in one and end in the next."""
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
    """Return words as UTF-8 without separators, and the offsets where each begins and the last one ends.

    Example:
        >>> pack_words(["to", "be"])
        (b'tobe', array([0, 2, 4]))
    """
    joined, offsets = pack_strings(words)
    return joined.tobytes(), offsets


class _Submit(Protocol):
    def __call__(self, work: Callable[[TextBlock, int], _Read], block: TextBlock) -> "Future[_Read]": ...


@contextmanager
def _in_order(threads: int) -> Generator[_Submit, None, None]:
    """Let threads work on blocks, taken in the order in which they are submitted."""
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


class _Numbers(dict[str, int]):
    """Numbers of words in order of appearance; a word that is met for the first time is checked."""

    sentence = 0
    """The number of the sentence that is being read, for messages."""

    def __missing__(self, word: Any) -> int:
        if not isinstance(word, str):
            check_strings("source", [word])
        check_utf8_form("source", word, f" in sentence {self.sentence}")
        if is_too_long(word):
            return _TOO_LONG
        self[word] = number = len(self)
        return number


class ListScan:
    """A pass over sentences, each a list of words, and its results. A word may hold anything, also white space.

    Args:
        ids: where to write ids; None only counts.
        known: the number of each word to keep; None numbers all in order of appearance.
        memory: bytes for words, which are written to disk when they are more; None keeps all.

    Attributes:
        words: the words in order of appearance, or those known.
        counts: how often each occurs.
        spilled: words that were written to disk, which are all then; None if none were.
        pieces: what was written, in order.
        raw_words: words read.
        long_words: those left out because they are too long.
        num_lines: sentences with ids.

    Raises:
        ArgumentTypeError: a sentence is not a list of words, or a word not a string.
        ArgumentError: a word has no UTF-8 form.

    Example:
        >>> scan = ListScan(None)
        >>> for _ in scan.run([["New York", "is", "New York"], []]):
        ...     pass
        >>> scan.words, scan.counts.tolist()
        (['New York', 'is'], [2, 1])
    """

    def __init__(self, ids: IdFile | None, known: Mapping[str, int] | None = None, memory: int | None = None) -> None:
        self.spilled: SpilledWords | None = None
        self._memory, self._bytes = memory, 0
        self.words: list[str] = [] if known is None else list(known)
        self.counts: NDArray[np.int64] = np.zeros(len(self.words), np.int64)
        self.pieces: list[Piece] = []
        self.raw_words = 0
        self.num_lines = 0
        self.invalid_lines = 0  # there are no bytes in a list of words
        self.long_words = 0
        self._ids = ids
        self._known = known
        self._numbers = _Numbers()

    def run(self, sentences: Iterable[Any]) -> Generator[int, None, None]:
        """Read all sentences, and yield from time to time the number of words since the last time."""
        buffer, told = array("i"), 0
        number_of = self._numbers.__getitem__ if self._known is None else self._known.get
        for number, sentence in enumerate(sentences):
            words = check_sentence(sentence, number)
            before, self._numbers.sentence = len(buffer), number
            try:
                if self._known is None:
                    buffer.extend(cast("map[int]", map(number_of, words)))
                else:
                    buffer.extend(self._known_ids(words, cast("Callable[[str], int | None]", number_of)))
            except TypeError:
                check_strings("source", words)
                raise
            self.raw_words += len(words)
            if self._known is None and min(buffer[before:], default=0) == _TOO_LONG:
                kept = [each for each in buffer[before:] if each != _TOO_LONG]
                self.long_words += len(buffer) - before - len(kept)
                buffer[before:] = array("i", kept)
            if len(buffer) > before:
                buffer.append(END_OF_LINE)
                self.num_lines += 1
            if len(buffer) >= _BUFFER:
                self._flush(buffer)
                yield self.raw_words - told
                told = self.raw_words
        self._flush(buffer)
        if self.spilled is not None and self.words:
            self._spill(self.spilled)
        yield self.raw_words - told

    @staticmethod
    def _known_ids(words: list[str], number_of: Callable[[str], int | None]) -> list[int]:
        numbers = [number_of(word) for word in words]
        if None in numbers:
            check_strings("source", words)
        return [each for each in numbers if each is not None]

    def _flush(self, buffer: "array[int]") -> None:
        ids = np.array(buffer, np.int32)
        del buffer[:]
        before = len(self.words)
        if self._known is None:
            self.words += islice(self._numbers, before, None)
        counts = np.bincount(ids[ids != END_OF_LINE], minlength=len(self.words))
        counts[: len(self.counts)] += self.counts
        self.counts = counts.astype(np.int64)
        if self._ids is not None:
            self._ids.append(ids)
        self.pieces.append(Piece(0 if self.spilled is None else len(self.spilled), len(ids), len(self.words) - before))
        if self._memory is not None and self._known is None:
            self._bytes += sum(map(len, self.words[before:]))
            if self._bytes + _BYTES_OF_A_STRING * len(self.words) > self._memory:
                self.spilled = SpilledWords() if self.spilled is None else self.spilled
                self._spill(self.spilled)

    def _spill(self, spilled: SpilledWords) -> None:
        """Write the words so far to disk, and begin anew."""
        table = _native.WordTable()
        table.add(*pack_words(self.words))
        spilled.add(len(spilled), table, self.counts)
        self._numbers.clear()
        self.words, self.counts, self._bytes = [], np.zeros(0, np.int64), 0
