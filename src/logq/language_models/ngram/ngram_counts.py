"""How often each sequence of words occurs in a text, order by order, in sorted arrays."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._progress import Progress
from logq.text.phrase_counts import PairCounter
from logq.text.tokens import Tokens

__all__ = ["NGramCounts", "count_ngrams", "find"]

Ids64 = NDArray[np.int64]
Ranks = NDArray[np.integer[Any]]

_BLOCK = 1 << 20  # tokens


class NGramCounts(NamedTuple):
    """The n-grams of a text, n = 1 .. N, as a trie in arrays: an n-gram is its context's place and its last word.

        key(w_1 ... w_n) = place of (w_1 ... w_{n-1}) among those of order n - 1, times (V + 1), plus w_n

    Keys of an order are sorted, and the place of a key is the number by which the next order knows it. So a key has 63
    bits whatever V and n are. The words are 0 .. V - 1, and V stands for <s>, with which lines begin: as the highest
    word, it puts all n-grams that begin with it last.

    Attributes:
        vocab_size: V, </s> and <unk> among them, <s> not.
        keys: for n = 2 .. N, (N_n,) int64, sorted.
        counts: for n = 1 .. N, (N_n,) int64, how often each occurs; of order 1 (V + 1,).
        suffixes: for n = 2 .. N, (N_n,) where (w_2 ... w_n) is among those of order n - 1.

    Example:
        >>> from logq.text import read_tokens
        >>> with read_tokens([["a", "rose"], ["a"]]) as tokens:  # a 0, </s> 1, rose 2, <unk> 3, <s> 4
        ...     counted = count_ngrams(tokens, 2)
        >>> [divmod(key, 5) for key in counted.keys[0].tolist()], counted.counts[1].tolist()
        ([(0, 1), (0, 2), (2, 1), (4, 0)], [1, 1, 1, 2])
    """

    vocab_size: int
    keys: list[Ids64]
    counts: list[Ids64]
    suffixes: list[Ranks]

    @property
    def order(self) -> int:
        """N."""
        return len(self.counts)

    def contexts(self, n: int) -> Ids64:
        """(N_n,) the place of each n-gram's first n - 1 words, n >= 2; sorted."""
        return self.keys[n - 2] // (self.vocab_size + 1)

    def first_at_line_start(self, n: int) -> int:
        """The place of the first n-gram that begins with <s>; all that follow do too."""
        place = self.vocab_size
        for keys in self.keys[: n - 1]:
            place = int(np.searchsorted(keys, place * (self.vocab_size + 1)))
        return place


def count_ngrams(tokens: Tokens, order: int, progress: bool | None = False) -> NGramCounts:
    """Count the n-grams of a text up to an order, in two passes an order.

    It takes 4 bytes a token, and of each n-gram 20 bytes, of those of the order being counted twice as much.

    Args:
        tokens: the text.
        order: N.
        progress: whether to show a bar.
    """
    size = len(tokens.vocabulary)
    counts = [np.append(tokens.counts, tokens.counts[tokens.end])]
    keys: list[Ids64] = []
    suffixes: list[Ranks] = []
    # Where the (n-1)-gram that ends at each token is among those of its order; -1 where it would begin before its line.
    places = np.empty(len(tokens) if order > 1 else 0, np.int32 if len(tokens) < 1 << 31 else np.int64)
    with Progress((order - 1) * 2 * len(tokens), "tokens", "counting", progress) as bar:
        for n in range(2, order + 1):
            counter = PairCounter()
            for _, found, _ in _keys(tokens, places, n, bar):
                counter.add(found)
            counter.finish()
            suffix = np.empty(len(counter.keys), places.dtype)
            for start, found, within in _keys(tokens, places, n, bar):
                at = find(counter.keys, found)
                block = places[start : start + len(within)]
                suffix[at] = block[within]
                block[:] = -1
                block[within] = at
            keys.append(counter.keys)
            counts.append(counter.counts)
            suffixes.append(suffix)
    return NGramCounts(size, keys, counts, suffixes)


def _keys(tokens: Tokens, places: Ranks, n: int, bar: Progress) -> Iterator[tuple[int, Ids64, NDArray[np.bool_]]]:
    """Yield the keys of order n: where a block begins, its keys, and for each token of the block whether it has one.

    `places` has those of order n - 1; what is yielded may be overwritten in it. For n = 2 it is filled with the words.
    """
    size = len(tokens.vocabulary) + 1
    last, ended = np.int64(-1), True  # the place before the block, and whether a line ended there
    for start in range(0, len(tokens), _BLOCK):
        ids = tokens.read(start, min(start + _BLOCK, len(tokens)))
        if n == 2:
            places[start : start + len(ids)] = ids
        before = np.empty(len(ids), np.int64)
        before[0] = last
        before[1:] = places[start : start + len(ids) - 1]
        last = places[start + len(ids) - 1]
        begins = np.empty(len(ids), np.bool_)
        begins[0] = ended
        np.equal(ids[:-1], tokens.end, out=begins[1:])
        ended = bool(ids[-1] == tokens.end)
        before[begins] = size - 1 if n == 2 else -1
        within = before >= 0
        yield start, before[within] * size + ids[within], within
        bar.advance(len(ids))


def find(keys: Ids64, wanted: Ids64) -> Ids64:
    """Return the place of each wanted key among sorted ones, -1 for those that are not there.

    Example:
        >>> find(np.array([2, 5, 7]), np.array([7, 3, 2]))
        array([ 2, -1,  0])
    """
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    # One after the other in order, the steps of a search are in the cache: four times as quick for millions of keys.
    order = np.argsort(wanted)
    ascending = wanted[order]
    at = np.searchsorted(keys, ascending)
    at[at == len(keys)] = 0
    at[keys[at] != ascending] = -1
    places = np.empty(len(wanted), np.int64)
    places[order] = at
    return places
