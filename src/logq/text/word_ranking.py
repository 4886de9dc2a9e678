"""Ranking the words of a scan by frequency into a vocabulary, and renumbering the ids that were written."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._progress import Progress
from logq.kernels import _native
from logq.text.id_file import IdFile
from logq.text.scanning import ListScan, Piece, TextScan
from logq.text.spilled_words import SpilledWords, choose
from logq.text.vocabulary import Vocabulary, too_few, too_rare

__all__ = ["Ranking", "merge_tables", "rank", "rank_list", "renumber", "words_of"]


class Ranking(NamedTuple):
    """The vocabulary of a scan.

    Attributes:
        vocabulary: the words kept, most frequent first, those of equal count in the order of first appearance.
        num_types: how many different words there were.
        numbers: for the number of a table of the scan the id of each of its words, -1 for those that are left out.
    """

    vocabulary: Vocabulary
    num_types: int
    numbers: Callable[[int], NDArray[np.int32]]


def rank(scan: TextScan, min_count: int, max_vocab: int | None) -> Ranking:
    """Return the vocabulary of a scan, which does not depend on the number of its threads.

    Raises:
        ArgumentError: there are no words, or none occurs `min_count` times.

    Example:
        >>> from logq.text.scanning import TextBlock
        >>> scan = TextScan(None)
        >>> _ = list(scan.run([TextBlock(b"is a rose a rose", False, False)]))
        >>> rank(scan, min_count=1, max_vocab=2).vocabulary.index_to_key
        ['a', 'rose']
    """
    if scan.spilled is not None:
        return _rank_spilled(scan, scan.spilled, min_count, max_vocab)
    table, places, order = merge_tables(scan)
    counts = table.counts()
    if not len(counts):
        raise too_few("source", scan.longest_word if scan.long_words else None)
    kept = choose(counts, order, min_count, max_vocab)
    if not len(kept):
        most = choose(counts, order, 1, 1)
        raise too_rare(min_count, _strings(table, most)[0], int(counts[most[0]]))
    number = _numbers(len(counts), kept)
    vocabulary = Vocabulary(_strings(table, kept), counts[kept], raw_words=scan.raw_words)
    numbers = [number[place] for place in places]
    return Ranking(vocabulary, len(counts), numbers.__getitem__)


def _rank_spilled(scan: TextScan | ListScan, spilled: SpilledWords, min_count: int, max_vocab: int | None) -> Ranking:
    counted = spilled.count([(piece.table, piece.new_words) for piece in scan.pieces], min_count, max_vocab)
    if not counted.words:
        raise too_rare(min_count, *counted.most)
    vocabulary = Vocabulary(counted.words, counted.counts, raw_words=scan.raw_words)
    return Ranking(vocabulary, counted.num_types, spilled.numbers)


def rank_list(scan: ListScan, min_count: int, max_vocab: int | None) -> Ranking:
    """Return the vocabulary of lists of words.

    Raises:
        ArgumentError: there are no words, or none occurs `min_count` times.

    Example:
        >>> scan = ListScan(None)
        >>> _ = list(scan.run([["is", "a", "rose", "a", "rose"]]))
        >>> rank_list(scan, min_count=1, max_vocab=2).vocabulary.index_to_key
        ['a', 'rose']
    """
    if scan.spilled is not None:
        return _rank_spilled(scan, scan.spilled, min_count, max_vocab)
    if not scan.words:
        raise too_few("source")
    order = np.arange(len(scan.words))
    kept = choose(scan.counts, order, min_count, max_vocab)
    if not len(kept):
        most = int(choose(scan.counts, order, 1, 1)[0])
        raise too_rare(min_count, scan.words[most], int(scan.counts[most]))
    vocabulary = Vocabulary([scan.words[i] for i in kept], scan.counts[kept], raw_words=scan.raw_words)
    return Ranking(vocabulary, len(order), [_numbers(len(order), kept)].__getitem__)


def renumber(
    ids: IdFile, pieces: list[Piece], numbers: Callable[[int], NDArray[np.int32]], progress: bool | None
) -> tuple[int, int]:
    """Replace the ids of a file by their final ones, in place, closing the gaps of words that are left out.

    Returns:
        The number of ids that remain, and the number of lines.
    """
    begin = end = lines = 0
    open_line = False
    total = sum(piece.num_ids for piece in pieces)
    with Progress(total, "words", "numbering", enabled=progress) as bar:
        for piece in pieces:
            part = ids.read(begin, begin + piece.num_ids)
            begin += piece.num_ids
            kept, ended = _native.renumber(part, numbers(piece.table), after_end_of_line=not open_line)
            if kept:
                open_line = bool(part[kept - 1] >= 0)
                ids.replace(end, part[:kept])
            end += kept
            lines += ended
            bar.advance(piece.num_ids)
    return end, lines


def merge_tables(scan: TextScan) -> tuple[_native.WordTable, list[NDArray[np.int64]], NDArray[np.int64]]:
    """Return one table of all words, the places in it of each table's words, and their order of first appearance.

    Example:
        See `rank`.
    """
    appeared: list[NDArray[np.int64]] = []
    for number in range(len(scan.tables)):
        blocks = [(block, piece.new_words) for block, piece in enumerate(scan.pieces) if piece.table == number]
        block, new_words = np.array(blocks, np.int64).reshape(-1, 2).T
        appeared.append((np.repeat(block, new_words) << 32) + np.arange(new_words.sum()))
    largest = max(range(len(scan.tables)), key=lambda number: len(scan.tables[number]))
    table = scan.tables[largest]
    places = [np.arange(len(each), dtype=np.int64) for each in scan.tables]
    order = appeared[largest]
    for number, other in enumerate(scan.tables):
        if number == largest:
            continue
        places[number] = table.absorb(other).astype(np.int64)
        order = np.concatenate([order, np.full(len(table) - len(order), np.iinfo(np.int64).max)])
        order[places[number]] = np.minimum(order[places[number]], appeared[number])
    return table, places, order


def _numbers(num_types: int, kept: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the id of each word, -1 for those that are not kept."""
    number = np.full(num_types, -1, np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    return number


def _strings(table: _native.WordTable, ids: NDArray[np.int64]) -> list[str]:
    return words_of(*table.words(ids))


def words_of(text: bytes, offsets: NDArray[np.int64]) -> list[str]:
    """Return the words of UTF-8 without separators, by the offsets where each begins and the last one ends.

    Example:
        >>> words_of(b"tobe", np.array([0, 2, 4]))
        ['to', 'be']
    """
    places = offsets.tolist()
    return [text[begin:end].decode("utf-8") for begin, end in pairwise(places)]
