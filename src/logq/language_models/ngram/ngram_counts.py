"""Counts of each sequence of words in a text, order by order, in sorted arrays."""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from logq._progress import Progress
from logq.text.disk_columns import Column, DiskColumn, MemoryColumn
from logq.text.phrase_counts import PairCounter
from logq.text.tokens import Tokens

__all__ = ["Counts", "NGramCounts", "Siblings", "count_ngrams", "find"]

Ids64 = NDArray[np.int64]
Ranks = NDArray[np.integer[Any]]

_BLOCK = 1 << 20  # tokens


class Siblings(NamedTuple):
    """N-grams that follow one another, with all that share a context.

    Attributes:
        part: their positions.
        first: the position of the first context.
        contexts: (n,) how many positions after it the context of each is; these increase.
    """

    part: slice
    first: int
    contexts: Ids64


class Counts(ABC):
    """The n-grams of a text, n = 1 .. N, as a trie in columns: an n-gram is its context's position and its last word.

        key(w_1 ... w_n) = position of (w_1 ... w_{n-1}) among those of order n - 1, times (V + 1), plus w_n

    Keys of an order are sorted, and the next order refers to an n-gram by the position of its key. So a key has 63 bits
    whatever V and n are. The words are 0 .. V - 1, and V stands for <s>, with which lines begin: as it is the highest,
    all n-grams that begin with it come last.

    Attributes:
        vocab_size: V, including </s> and <unk>, without <s>.
        keys: for n = 2 .. N, (N_n,) int64, sorted.
        counts: for n = 1 .. N, (N_n,) integers, how often each occurs; of order 1 (V + 1,).
    """

    vocab_size: int
    keys: Sequence[Column] | Sequence[Ids64]
    counts: Sequence[Column] | Sequence[Ids64]
    block = 1 << 20
    """N-grams of which arrays are in memory at a time."""

    @property
    def order(self) -> int:
        """N."""
        return len(self.counts)

    def first_at_line_start(self, n: int) -> int:
        """The position of the first n-gram that begins with <s>; all that follow do too."""
        position = self.vocab_size
        for keys in self.keys[: n - 1]:
            wanted = position * (self.vocab_size + 1)
            position = bisect_left(range(len(keys)), wanted, key=lambda at: int(keys[at : at + 1][0]))
        return position

    def siblings(self, n: int, block: int) -> Iterator[Siblings]:
        """Yield the n-grams of an order in blocks of some `block`, cut where the context changes."""
        block = min(block, self.block)
        size = len(self.counts[n - 1])
        if n == 1:
            yield Siblings(slice(0, size), 0, np.zeros(size, np.int64))
            return
        start = 0
        while start < size:
            length = block
            while True:
                contexts = self.keys[n - 2][start : start + length] // (self.vocab_size + 1)
                at_end = start + len(contexts) == size
                cut = len(contexts) if at_end else int(np.searchsorted(contexts, contexts[-1]))
                if cut:
                    break
                length *= 2
            first = int(contexts[0])
            yield Siblings(slice(start, start + cut), first, contexts[:cut] - first)
            start += cut

    @abstractmethod
    def adjusted(self, n: int) -> Column:
        """Return the adjusted counts of Kneser-Ney for the n-grams of an order: (N_n,).

            c(w_1 ... w_n) = how often it occurs                                 if n = N, or w_1 = <s>
                           = number of different words (or <s>) before it        otherwise

        <s> itself, which nothing predicts, has 0.
        """

    @abstractmethod
    def below(self, n: int, values: Column) -> Column:
        """Return for each n-gram, n >= 2, the value of what it is without its first word: (N_n,) of (N_{n-1},)."""

    @abstractmethod
    def column(self, dtype: DTypeLike, size: int) -> MemoryColumn | DiskColumn:
        """Return an empty column for `size` entries, where those of the counts are: in memory, or on disk."""

    @abstractmethod
    def table_keys(self) -> list[Ids64]:
        """Return `keys` as arrays."""


@dataclass
class NGramCounts(Counts):
    """Counts in memory, in arrays.

    Attributes:
        suffixes: for n = 2 .. N, (N_n,) the position of (w_2 ... w_n) among those of order n - 1.

    Example:
        >>> from logq.text import read_tokens
        >>> with read_tokens([["a", "rose"], ["a"]]) as tokens:  # a 0, </s> 1, rose 2, <unk> 3, <s> 4
        ...     counted = count_ngrams(tokens, 2)
        >>> [divmod(key, 5) for key in counted.keys[0].tolist()], counted.counts[1].tolist()
        ([(0, 1), (0, 2), (2, 1), (4, 0)], [1, 1, 1, 2])
    """

    vocab_size: int
    keys: list[Ids64]  # pyright: ignore[reportIncompatibleVariableOverride]
    counts: list[Ids64]  # pyright: ignore[reportIncompatibleVariableOverride]
    suffixes: list[Ranks]

    def adjusted(self, n: int) -> Ids64:
        """See Counts."""
        own = self.counts[n - 1]
        if n < self.order:
            before = np.bincount(self.suffixes[n - 1], minlength=len(own))
            first = self.first_at_line_start(n)
            own = np.concatenate([before[:first], own[first:]])
        elif n == 1:
            own = own.copy()
        if n == 1:
            own[self.vocab_size] = 0
        return own

    def below(self, n: int, values: Column) -> Column:
        """See Counts."""
        return _Chosen(values[:], self.suffixes[n - 2])

    def column(self, dtype: DTypeLike, size: int) -> MemoryColumn:
        """See Counts."""
        return MemoryColumn(dtype, size)

    def table_keys(self) -> list[Ids64]:
        """See Counts."""
        return self.keys


@dataclass
class _Chosen:
    """values[places], of which only parts are made."""

    values: NDArray[Any]
    places: Ranks

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: Any) -> NDArray[Any]:
        return self.values[self.places[part]]


def count_ngrams(tokens: Tokens, order: int, progress: bool | None = False) -> NGramCounts:
    """Count the n-grams of a text up to an order, in two passes for each order.

    Takes 4 bytes for each token and 20 for each n-gram, twice as much for those of the order being counted.

    Args:
        tokens: the text.
        order: N.
        progress: whether to show a bar.
    """
    size = len(tokens.vocabulary)
    counts = [np.append(tokens.counts, tokens.counts[tokens.end])]
    keys: list[Ids64] = []
    suffixes: list[Ranks] = []
    # The position among its order of the (n-1)-gram that ends at each token; -1 where it would begin before its line.
    ends = np.empty(len(tokens) if order > 1 else 0, np.int32 if len(tokens) < 1 << 31 else np.int64)
    with Progress((order - 1) * 2 * len(tokens), "tokens", "counting", progress) as bar:
        for n in range(2, order + 1):
            counter = PairCounter()
            for _, found, _ in _keys(tokens, ends, n, bar):
                counter.add(found)
            counter.finish()
            suffix = np.empty(len(counter.keys), ends.dtype)
            for start, found, within in _keys(tokens, ends, n, bar):
                at = find(counter.keys, found)
                block = ends[start : start + len(within)]
                suffix[at] = block[within]
                block[:] = -1
                block[within] = at
            keys.append(counter.keys)
            counts.append(counter.counts)
            suffixes.append(suffix)
    return NGramCounts(size, keys, counts, suffixes)


def _keys(tokens: Tokens, ends: Ranks, n: int, bar: Progress) -> Iterator[tuple[int, Ids64, NDArray[np.bool_]]]:
    """Yield the keys of order n: where a block begins, its keys, and for each token of the block whether it has one.

    `ends` is of order n - 1; the caller may overwrite the yielded block. For n = 2 it is filled with the words.
    """
    size = len(tokens.vocabulary) + 1
    last, ended = np.int64(-1), True  # the position before the block, and whether a line ended there
    for start in range(0, len(tokens), _BLOCK):
        ids = tokens.read(start, min(start + _BLOCK, len(tokens)))
        if n == 2:
            ends[start : start + len(ids)] = ids
        before = np.empty(len(ids), np.int64)
        before[0] = last
        before[1:] = ends[start : start + len(ids) - 1]
        last = ends[start + len(ids) - 1]
        begins = np.empty(len(ids), np.bool_)
        begins[0] = ended
        np.equal(ids[:-1], tokens.end, out=begins[1:])
        ended = bool(ids[-1] == tokens.end)
        before[begins] = size - 1 if n == 2 else -1
        within = before >= 0
        yield start, before[within] * size + ids[within], within
        bar.advance(len(ids))


def find(keys: Ids64, wanted: Ids64) -> Ids64:
    """Return the position of each wanted key among sorted ones, -1 for those that are missing.

    Example:
        >>> find(np.array([2, 5, 7]), np.array([7, 3, 2]))
        array([ 2, -1,  0])
    """
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    # In sorted order, consecutive searches share cache lines: four times as fast for millions of keys.
    order = np.argsort(wanted)
    ascending = wanted[order]
    at = np.searchsorted(keys, ascending)
    at[at == len(keys)] = 0
    at[keys[at] != ascending] = -1
    positions = np.empty(len(wanted), np.int64)
    positions[order] = at
    return positions
