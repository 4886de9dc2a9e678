"""The words that several processes have counted, each in its part of a text, as one vocabulary for all of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.kernels import _native
from logq.processes import all_counts, all_rows, exchange, received_counts, world
from logq.text.scanning import TextScan, pack_words
from logq.text.spilled_words import choose
from logq.text.vocabulary import Vocabulary, too_few, too_rare
from logq.text.word_ranking import Ranking, merge_tables, words_of

__all__ = ["rank_together"]

PIECE = 1 << 18
"""Words that a process sends at a time: what travels is a few megabytes, however many different words there are."""


class _Owned:
    """The words of which this process adds up the counts, by a hash; where each appeared first is kept."""

    def __init__(self) -> None:
        self.table = _native.WordTable()
        self.counts = np.zeros(0, np.int64)
        self.first = np.zeros(0, np.int64)  # by `_appearance`

    def add(self, rank: int, text: bytes, offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Add words of one process with their counts and orders of appearance, rows (n, 3) behind their lengths."""
        table = _native.WordTable()
        table.add(text, offsets)
        places = self.table.absorb(table)
        new = len(self.table) - len(self.counts)
        self.counts = np.concatenate([self.counts, np.zeros(new, np.int64)])
        self.first = np.concatenate([self.first, np.full(new, np.iinfo(np.int64).max)])
        self.counts[places] += rows[:, 1]
        self.first[places] = np.minimum(self.first[places], _appearance(rank, rows[:, 2]))


def rank_together(scan: TextScan, min_count: int, max_vocab: int | None) -> Ranking:
    """Return the vocabulary of the scans of all processes, and the numbers that the words of this one have in it.

    It is the vocabulary, in all of them, that one process would find in all parts, read in the order of ranks. Each
    word has an owner, by its hash, that adds up its counts; the words that are kept then go to all.

    Args:
        scan: of the part of this process.
        min_count: minimum count of a word, in all parts.
        max_vocab: maximum number of words.

    Raises:
        ArgumentError: there are no words, or none occurs `min_count` times.

    Example:
        >>> from logq.text.scanning import TextBlock
        >>> scan = TextScan(None)
        >>> _ = list(scan.run([TextBlock(b"is a rose a rose", False, False)]))
        >>> rank_together(scan, min_count=1, max_vocab=2).vocabulary.index_to_key
        ['a', 'rose']
    """
    table, places, order = merge_tables(scan)
    owned = _Owned()
    counts = table.counts()
    for begin in range(0, max(all_counts(len(counts))), PIECE):
        ids = np.arange(min(begin, len(counts)), min(begin + PIECE, len(counts)))
        _send_to_owners(owned, table, np.column_stack([ids, counts[ids], order[ids]]))
    raw_words, num_types = sum(all_counts(scan.raw_words)), sum(all_counts(len(owned.counts)))
    if num_types == 0:
        raise too_few("source", scan.longest_word if sum(all_counts(scan.long_words)) else None)
    words, of_words = _best_of_all(owned, min_count, max_vocab)
    if not words:
        (most, *_), of_most = _best_of_all(owned, 1, 1)
        raise too_rare(min_count, most, int(of_most[0]))
    vocabulary = Vocabulary(words, of_words, raw_words=raw_words)
    final = _native.WordTable()
    final.add(*pack_words(words))
    number = final.absorb(table).astype(np.int32)
    number[number >= len(words)] = -1
    numbers = [number[place] for place in places]
    return Ranking(vocabulary, num_types, numbers.__getitem__)


def _appearance(rank: int, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers in the order of first appearance, in the parts of lower ranks before those of higher ones."""
    return order + (rank << 40)


def _send_to_owners(owned: _Owned, table: _native.WordTable, rows: NDArray[np.int64]) -> None:
    """Send words, by rows of their ids, counts and orders of appearance, each to its owner."""
    size = world().size
    owners = _owners(*table.words(rows[:, 0].copy()), size)
    rows = rows[np.argsort(owners, kind="stable")]
    text, offsets = table.words(rows[:, 0].copy())
    rows[:, 0] = np.diff(offsets)  # lengths travel instead of ids, which mean nothing elsewhere
    sent = np.bincount(owners, minlength=size)
    ends = offsets[np.cumsum(sent)]  # of the bytes for each rank
    received = received_counts(sent.tolist())
    got = exchange(torch.from_numpy(rows), sent.tolist(), received).numpy()
    blocks = np.split(got, np.cumsum(received)[:-1])
    letters = [int(block[:, 0].sum()) for block in blocks]
    texts = exchange(_as_tensor(text), np.diff(ends, prepend=0).tolist(), letters).numpy().tobytes()
    begin = 0
    for rank, (block, length) in enumerate(zip(blocks, letters, strict=True)):
        owned.add(rank, texts[begin : begin + length], _offsets(block[:, 0]), block)
        begin += length


def _best_of_all(owned: _Owned, min_count: int, most: int | None) -> tuple[list[str], NDArray[np.int64]]:
    """The words that are kept, in all processes the same, and their counts."""
    own = choose(owned.counts, owned.first, min_count, most)
    text, offsets = owned.table.words(own)
    rows = np.column_stack([np.diff(offsets), owned.counts[own], owned.first[own]])
    rows = all_rows(torch.from_numpy(rows), doing="merge vocabularies").numpy()
    texts = all_rows(_as_tensor(text), doing="merge vocabularies").numpy().tobytes()
    order = choose(rows[:, 1], rows[:, 2], min_count, most)
    words = words_of(texts, _offsets(rows[:, 0]))
    return [words[number] for number in order.tolist()], rows[order, 1]


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _as_tensor(text: bytes) -> Tensor:
    return torch.frombuffer(bytearray(text or b" "), dtype=torch.uint8)[: len(text)]


def _owners(text: bytes, offsets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The rank that adds up each word, by a hash of its bytes."""
    lengths = np.diff(offsets)
    if not len(lengths):
        return np.zeros(0, np.int64)
    # The sum of bytes times powers of an odd number, modulo 2**64, whose upper bits are well mixed.
    places = np.arange(len(text)) - np.repeat(offsets[:-1], lengths)
    powers = np.cumprod(np.full(int(lengths.max()) + 1, 0x9E3779B97F4A7C15, dtype=np.uint64))
    letters = (np.frombuffer(text, np.uint8).astype(np.uint64) + np.uint64(1)) * powers[places]
    hashes = np.add.reduceat(letters, offsets[:-1]) * np.uint64(0xD6E8FEB86659FD93)
    return ((hashes >> np.uint64(33)) % np.uint64(size)).astype(np.int64)
