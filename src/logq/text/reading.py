"""From a source to a vocabulary and ids: the passes that `encode` and `count_words` share."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, check_size
from logq._compression import decompress
from logq._progress import Progress, format_quantity
from logq._text_encodings import Utf8Pieces, warn_of_guess
from logq.text.encoding_cache import Encoding
from logq.text.id_file import IdFile
from logq.text.scanning import ListScan, TextScan, cut_blocks, join_texts
from logq.text.text_files import TextFile
from logq.text.vocabulary import Vocabulary
from logq.text.word_ranking import Ranking, rank, rank_list, renumber
from logq.text.words import check_sentences

__all__ = [
    "MEMORY",
    "WordChoice",
    "check_memory",
    "count_lists",
    "count_text",
    "read_lists",
    "read_text",
    "scan_text",
]

MEMORY = "2GB"
"""For the different words of a text while they are counted, some 16 million, unless more or less is given."""

_LEAST_MEMORY = 64_000_000
_PIECE = 1 << 18  # bytes of a plain file read at a time


class WordChoice(NamedTuple):
    """How text is decoded, and which words to keep: those of `vocabulary`, or the most frequent within these limits.

    What is more than `memory`, in bytes, is counted on disk; None counts in memory.
    """

    min_count: int
    max_vocab: int | None
    vocabulary: Vocabulary | None = None
    encoding: str | None = None
    memory: int | None = None


def read_text(
    files: Sequence[TextFile], ids: IdFile, words: WordChoice, threads: int, progress: bool | None
) -> Encoding:
    """Write the ids of text files, and describe them."""
    scan = scan_text(files, ids, words, threads, progress)
    if words.vocabulary is None:
        return _ranked(rank(scan, words.min_count, words.max_vocab), scan, ids, progress)
    counts = np.sum([table.counts() for table in scan.tables], axis=0)
    return _known(words.vocabulary, counts, scan)


def read_lists(sentences: Iterable[Any], ids: IdFile, words: WordChoice, progress: bool | None) -> Encoding:
    """Write the ids of lists of words, and describe them."""
    scan = _scan_lists(sentences, ids, words, progress)
    if words.vocabulary is None:
        return _ranked(rank_list(scan, words.min_count, words.max_vocab), scan, ids, progress)
    return _known(words.vocabulary, scan.counts, scan)


def count_text(files: Sequence[TextFile], words: WordChoice, threads: int, progress: bool | None) -> Encoding:
    """Count the words of text files without writing ids."""
    scan = scan_text(files, None, words, threads, progress)
    return _ranked(rank(scan, words.min_count, words.max_vocab), scan, None, progress)


def count_lists(sentences: Iterable[Any], words: WordChoice, progress: bool | None) -> Encoding:
    """Count the words of lists without writing ids."""
    scan = _scan_lists(sentences, None, words, progress)
    return _ranked(rank_list(scan, words.min_count, words.max_vocab), scan, None, progress)


def check_memory(memory: str | None) -> int | None:
    """Return the bytes for words that are counted; None for all that they take.

    Raises:
        ArgumentError: it is not a size, or less than 64MB.

    Example:
        >>> check_memory("1GB")
        1000000000
    """
    if memory is None:
        return None
    checked = check_size("memory", memory)
    if checked < _LEAST_MEMORY:
        raise ArgumentError("memory", f"at least {_LEAST_MEMORY // 10**6}MB", memory)
    return checked


class _CountedFiles:
    """Reads files as texts, and counts the bytes that are read, as they are on disk."""

    def __init__(self, encoding: str | None) -> None:
        self.num_bytes = 0
        self._encoding = encoding

    def texts(self, files: Iterable[TextFile]) -> Iterator[Iterator[bytes]]:
        for file in files:
            yield self._text(file)

    def _text(self, file: TextFile) -> Iterator[bytes]:
        name = "standard input" if file.name == "-" else file.name
        with file.open() as raw:
            if file.part is not None:
                yield from _lines(cast("BinaryIO", _CountedFile(raw, self)), *file.part)
                return
            pieces = decompress(name, cast("BinaryIO", _CountedFile(raw, self)))
            text = Utf8Pieces(name, pieces, self._encoding, lenient=True)
            yield from text
        warn_of_guess(text)


class _CountedFile:
    """As much of a file as `decompress` needs."""

    def __init__(self, raw: BinaryIO, counter: _CountedFiles) -> None:
        self._raw, self._counter = raw, counter
        self.seek, self.tell, self.seekable = raw.seek, raw.tell, raw.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._counter.num_bytes += len(data)
        return data


def _lines(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """The bytes [begin, end) of a file in pieces."""
    file.seek(begin)
    while begin < end and (piece := file.read(min(_PIECE, end - begin))):
        begin += len(piece)
        yield piece


def scan_text(
    files: Sequence[TextFile],
    ids: IdFile | None,
    words: WordChoice,
    threads: int,
    progress: bool | None,
    after_each: Callable[[], None] | None = None,
) -> TextScan:
    """Number the words of text files, and write these numbers as ids.

    Args:
        files: to read, one after the other.
        ids: where ids go; None only counts.
        words: how text is decoded, and the words to keep, if they are known.
        threads: number of threads that split text into words.
        progress: as for `encode`.
        after_each: called after each block of text.

    Example:
        See `read_text`.
    """
    known = None if words.vocabulary is None else words.vocabulary.index_to_key
    scan, counter, told = TextScan(ids, threads, known, memory=words.memory), _CountedFiles(words.encoding), 0
    sizes = [file.size if file.part is None else file.part[1] - file.part[0] for file in files]
    total = math.inf if None in sizes else float(sum(size for size in sizes if size is not None))
    blocks = cut_blocks(join_texts(counter.texts(files)))
    with Progress(total, "bytes", "reading words", enabled=progress) as bar, closing(scan.run(blocks)) as steps:
        for _ in steps:
            _advance(bar, counter.num_bytes - told, scan.raw_words)
            told = counter.num_bytes
            if after_each is not None:
                after_each()
    return scan


def _scan_lists(sentences: Iterable[Any], ids: IdFile | None, words: WordChoice, progress: bool | None) -> ListScan:
    sentences = check_sentences(sentences)
    known = None if words.vocabulary is None else words.vocabulary.key_to_index
    scan = ListScan(ids, known, words.memory)
    with Progress(math.inf, "words", "reading words", enabled=progress) as bar, closing(scan.run(sentences)) as steps:
        for num_words in steps:
            bar.advance(num_words)
    return scan


def _advance(bar: Progress, amount: int, words: int) -> None:
    speed = format_quantity(words / max(bar.elapsed, 1e-9))
    bar.advance(amount, read=f"{format_quantity(words)} words, {speed} words/s")


def _ranked(ranking: Ranking, scan: TextScan | ListScan, ids: IdFile | None, progress: bool | None) -> Encoding:
    num_ids = num_lines = 0
    if ids is not None:
        num_ids, num_lines = renumber(ids, scan.pieces, ranking.numbers, progress)
    vocabulary = ranking.vocabulary
    return _encoding(vocabulary, vocabulary.counts, scan, num_ids, num_lines, ranking.num_types)


def _known(vocabulary: Vocabulary, counts: NDArray[np.int64], scan: TextScan | ListScan) -> Encoding:
    return _encoding(vocabulary, counts, scan, sum(piece.num_ids for piece in scan.pieces), scan.num_lines, None)


def _encoding(
    vocabulary: Vocabulary,
    counts: NDArray[np.int64],
    scan: TextScan | ListScan,
    num_ids: int,
    num_lines: int,
    num_types: int | None,
) -> Encoding:
    return Encoding(
        vocabulary, counts, num_ids, num_lines, scan.raw_words, num_types, scan.invalid_lines, scan.long_words
    )
