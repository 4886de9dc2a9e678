"""One pass through a text: its words numbered as they come, by one thread or several, and written as ids."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from logq.data.text.id_file import IdFile
from logq.data.text.text_blocks import LONGEST_WORD, TextBlock
from logq.kernels import _native

__all__ = ["END_OF_LINE", "Piece", "TextScan", "pack_words"]

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
