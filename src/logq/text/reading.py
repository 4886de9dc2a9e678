"""From a source to a vocabulary and ids: the passes that `encode` and `count_words` have in common."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._progress import Progress, format_quantity
from logq.text.encoding_cache import Encoding
from logq.text.id_file import IdFile
from logq.text.scanning import ListScan, Piece, TextScan, cut_blocks, join_files
from logq.text.text_files import TextFile, unpack
from logq.text.vocabulary import Vocabulary
from logq.text.word_ranking import Ranking, rank, rank_list, renumber

__all__ = ["Wanted", "count_lists", "count_text", "read_lists", "read_text"]


class Wanted(NamedTuple):
    """Which words to keep: those of a vocabulary, or else as many as the counts allow."""

    min_count: int
    max_vocab: int | None
    vocabulary: Vocabulary | None = None


def read_text(files: Sequence[TextFile], ids: IdFile, wanted: Wanted, threads: int, progress: bool | None) -> Encoding:
    """Write the ids of files of text, and return what is known of them."""
    scan = _scan_text(files, ids, wanted, threads, progress)
    if wanted.vocabulary is None:
        return _ranked(rank(scan, wanted.min_count, wanted.max_vocab), scan, ids, progress)
    counts = np.sum([table.counts() for table in scan.tables], axis=0)
    return _known(wanted.vocabulary, counts, scan)


def read_lists(sentences: Iterable[Any], ids: IdFile, wanted: Wanted, progress: bool | None) -> Encoding:
    """Write the ids of lists of words, and return what is known of them."""
    scan = _scan_lists(sentences, ids, wanted, progress)
    if wanted.vocabulary is None:
        return _ranked(rank_list(scan, wanted.min_count, wanted.max_vocab), scan, ids, progress)
    return _known(wanted.vocabulary, scan.counts, scan)


def count_text(files: Sequence[TextFile], wanted: Wanted, threads: int, progress: bool | None) -> Encoding:
    """Count the words of files of text without writing ids."""
    scan = _scan_text(files, None, wanted, threads, progress)
    return _ranked(rank(scan, wanted.min_count, wanted.max_vocab), scan, None, progress)


def count_lists(sentences: Iterable[Any], wanted: Wanted, progress: bool | None) -> Encoding:
    """Count the words of lists without writing ids."""
    scan = _scan_lists(sentences, None, wanted, progress)
    return _ranked(rank_list(scan, wanted.min_count, wanted.max_vocab), scan, None, progress)


class _Meter:
    """The bytes that were read of files, as they lie on disk."""

    def __init__(self) -> None:
        self.read = 0

    def texts(self, files: Iterable[TextFile]) -> Iterator[tuple[str, Iterator[bytes]]]:
        for file in files:
            name = "standard input" if file.name == "-" else file.name
            yield name, self._text(name, file)

    def _text(self, name: str, file: TextFile) -> Iterator[bytes]:
        with file.open() as raw:

            def read(size: int) -> bytes:
                try:
                    data = raw.read(size)
                except OSError as error:  # one that happens while a file is read does not know its name
                    raise OSError(error.errno, os.strerror(error.errno or 0), name) from error
                self.read += len(data)
                return data

            yield from unpack(name, read)


def _scan_text(
    files: Sequence[TextFile], ids: IdFile | None, wanted: Wanted, threads: int, progress: bool | None
) -> TextScan:
    known = None if wanted.vocabulary is None else wanted.vocabulary.index_to_key
    scan, meter, told = TextScan(ids, threads, known), _Meter(), 0
    sizes = [file.size for file in files]
    total = math.inf if None in sizes else float(sum(size for size in sizes if size is not None))
    blocks = cut_blocks(join_files(meter.texts(files)))
    with Progress(total, "bytes", "reading words", enabled=progress) as bar, closing(scan.run(blocks)) as steps:
        for _ in steps:
            _advance(bar, meter.read - told, scan.raw_words)
            told = meter.read
    return scan


def _scan_lists(sentences: Iterable[Any], ids: IdFile | None, wanted: Wanted, progress: bool | None) -> ListScan:
    if isinstance(sentences, str | bytes | bytearray) or not isinstance(sentences, Iterable):
        raise TypeError(f"source: expected a path, a list of paths or lists of words, got {type(sentences).__name__}")
    scan = ListScan(ids, None if wanted.vocabulary is None else wanted.vocabulary.key_to_index)
    with Progress(math.inf, "words", "reading words", enabled=progress) as bar, closing(scan.run(sentences)) as steps:
        for words in steps:
            bar.advance(words)
    return scan


def _advance(bar: Progress, amount: int, words: int) -> None:
    bar.advance(amount, words=format_quantity(words), **{"words/s": format_quantity(words / max(bar.elapsed, 1e-9))})


def _ranked(ranking: Ranking, scan: TextScan | ListScan, ids: IdFile | None, progress: bool | None) -> Encoding:
    num_ids = num_lines = 0
    if ids is not None:
        num_ids, num_lines = renumber(ids, scan.pieces, ranking.numbers, progress)
    vocabulary = ranking.vocabulary
    return _encoding(vocabulary, vocabulary.counts, scan, num_ids, num_lines, ranking.num_types)


def _known(vocabulary: Vocabulary, counts: NDArray[np.int64], scan: TextScan | ListScan) -> Encoding:
    return _encoding(vocabulary, counts, scan, _ids_of(scan.pieces), scan.num_lines, None)


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


def _ids_of(pieces: Iterable[Piece]) -> int:
    return sum(piece.num_ids for piece in pieces)
