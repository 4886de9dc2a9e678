"""N-gram counts on disk, for texts and models that are larger than memory; the same numbers as in memory."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np
from numpy.typing import DTypeLike, NDArray

from logq._arguments import ArgumentError
from logq._files import DamagedFileError
from logq._progress import Progress
from logq.kernels import _native
from logq.language_models.ngram.ngram_counts import Counts, Ids64
from logq.language_models.ngram.sorted_runs import count_in_runs
from logq.text.disk_columns import MOST_BUCKETS, Column, DiskBuckets, DiskColumn, pieces
from logq.text.tokens import Tokens

__all__ = ["DiskCounts", "fits_in_memory"]

_BYTES = 256  # of arrays for each n-gram of a block
_BUCKET = 1 << 17  # n-grams: so many keys stay in the cache of a core while others are looked up among them
_MOST = 1 << 22  # n-grams in a block


def fits_in_memory(num_tokens: int, order: int, memory: int) -> bool:
    """Whether a text surely can be counted in memory: were all of its n-grams different, at 64 bytes for each.

    Example:
        >>> fits_in_memory(1_000_000, 3, 10**9), fits_in_memory(100_000_000, 3, 10**9)
        (True, False)
    """
    return 4 * num_tokens + 64 * num_tokens * (order - 1) <= memory


class _Links(NamedTuple):
    """Which n-gram of order n - 1 each n-gram of order n ends in, bucket by bucket of the former.

    Attributes:
        length: number of (n-1)-grams in a bucket.
        bounds: where the entries of each bucket begin and end.
        places: the positions of n-grams.
        suffixes: and of what each ends in.
    """

    length: int
    bounds: list[int]
    places: DiskColumn
    suffixes: DiskColumn


class DiskCounts(Counts):
    """Counts in temporary files, made in bounded memory. Use it in a `with` block, so that they are removed promptly.

    The n-grams of order N, or shorter at the end of a line, are counted in sorted runs; in their order, the n-grams of
    all orders come sorted too. What belongs to the n-gram without its first word is brought together by buckets: every
    n-gram is put into the bucket of what it ends in, the buckets are looked up one by one in a part of the lower order
    that fits into the cache, and what was found is put back by buckets of the n-grams.

    Args:
        tokens: the text.
        order: N, at least 2.
        memory: bytes for arrays.
        adjusted: whether adjusted counts and values of lower orders are needed, as for Kneser-Ney.
        progress: whether to show a bar.

    Raises:
        ArgumentError: a packed n-gram of that order has more than 512 bits.
        OSError: there is no space for the files.

    Example:
        >>> from logq.text import read_tokens
        >>> with read_tokens([["a", "rose"], ["a"]]) as tokens, DiskCounts(tokens, 2, 1 << 20) as counted:
        ...     counted.keys[0][:], counted.counts[1][:]  # a 0, </s> 1, rose 2, <unk> 3, <s> 4
        (array([ 1,  2, 11, 20]), array([1, 1, 1, 2], dtype=uint32))
    """

    def __init__(
        self, tokens: Tokens, order: int, memory: int, *, adjusted: bool = True, progress: bool | None = False
    ) -> None:
        self.vocab_size = len(tokens.vocabulary)
        self.block = max(1, min(_MOST, memory // _BYTES))
        count = np.uint32 if len(tokens) < 1 << 32 else np.int64
        self._columns: WeakSet[DiskColumn] = WeakSet()
        keys = self.keys = [self.column(np.int64, 0) for _ in range(order - 1)]
        unigrams = np.append(tokens.counts, tokens.counts[tokens.end])
        counts = [self.column(count, 0) for _ in keys]
        self.counts = [unigrams, *counts]
        self._written = list(zip(keys, counts, strict=True))
        self._adjusted: list[Column] = []
        self._links: list[_Links] = []
        self._mapped: list[Ids64] = []
        try:
            self._count(tokens, memory, progress)
            if adjusted:
                steps = sum(len(keys) for keys in self.keys)
                with Progress(steps, "n-grams", "linking", progress) as bar:
                    self._link(bar)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "DiskCounts":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files, except for those that a table needs."""
        for column in list(self._columns):
            column.close()

    def adjusted(self, n: int) -> Column:
        """See Counts."""
        return self._adjusted[n - 1]

    def below(self, n: int, values: Column) -> Column:
        """See Counts."""
        if n == 2:
            return _OfLastWord(values[:], self.keys[0], self.vocab_size + 1)
        links, size = self._links[n - 3], len(self.keys[n - 2])
        with closing(self._buckets([np.float64], size)) as found:
            for bucket, start in enumerate(range(0, len(values), links.length)):
                own = values[start : start + links.length]
                for part in _parts(links.bounds[bucket], links.bounds[bucket + 1], self.block):
                    found.add(links.places[part], own[links.suffixes[part] - start])
            return self._in_order(found, size, np.float64)

    def column(self, dtype: DTypeLike, size: int) -> DiskColumn:
        """See Counts."""
        column = DiskColumn(dtype)
        self._columns.add(column)
        return column

    def table_keys(self) -> list[Ids64]:
        """See Counts."""
        self._mapped = self._mapped or [keys.finish() for keys, _ in self._written]
        return self._mapped

    def _count(self, tokens: Tokens, memory: int, progress: bool | None) -> None:
        try:
            trie = _native.NGramTrie(self.order, self.vocab_size)
        except ValueError:
            hint = "or count in memory, without a limit"
            raise ArgumentError("order", "n-grams that fit into 512 bits when packed", self.order, hint) from None
        for rows in count_in_runs(tokens, self.order, memory, progress):
            try:
                parts = trie.add(rows)
            except ValueError as error:
                raise DamagedFileError(f"another program changed a temporary file of n-grams ({error})") from error
            self._append(parts)
        self._append(trie.finish())

    def _append(self, parts: list[tuple[Ids64, Ids64]]) -> None:
        for (keys, counts), (new_keys, new_counts) in zip(self._written, parts, strict=True):
            keys.append(new_keys)
            counts.append(new_counts)

    def _link(self, bar: Progress) -> None:
        """Find out what each n-gram ends in, and count how many different words stand before that."""
        size = self.vocab_size + 1
        before = np.zeros(size, np.int64)
        for part in pieces(len(self.keys[0]), self.block):
            words = self.keys[0][part] % size
            before += np.bincount(words, minlength=size)
            bar.advance(len(words))
        before[-1] = 0
        self._adjusted.append(before)
        suffixes: Column = _OfLastWord(np.arange(size), self.keys[0], size)
        for n in range(3, self.order + 1):
            suffixes = self._link_order(n, suffixes, bar)
        self._adjusted.append(self.counts[-1])

    def _link_order(self, n: int, shorter: Column, bar: Progress) -> Column:
        """Link order n, given the suffixes of order n - 1; return its own if the next order needs them."""
        keys, lower, size = self.keys[n - 2], self.keys[n - 3], self.vocab_size + 1
        length = self._length(len(lower))
        starts = range(0, len(lower), length)
        edges = np.array([int(lower[start : start + 1][0]) for start in starts], np.int64)
        first_at_start = self.first_at_line_start(n - 1)
        adjusted = self.column(self.counts[n - 2][:0].dtype, len(lower))
        self._adjusted.append(adjusted)
        types = _place_type(len(keys)), _place_type(len(lower))
        links = _Links(length, [0], *(self.column(each, len(keys)) for each in types))
        self._links.append(links)
        is_last = n == self.order
        with (
            closing(DiskBuckets([np.int64, types[0]], length=1, size=len(edges), block=self.block)) as sought,
            closing(self._buckets([types[1]], len(keys))) as found,
        ):
            for part in pieces(len(keys), self.block):
                contexts, words = np.divmod(keys[part], size)
                first = int(contexts[0])
                wanted = shorter[first : int(contexts[-1]) + 1][contexts - first].astype(np.int64) * size + words
                buckets = _native.last_not_above(edges, wanted)
                if buckets.min(initial=0) < 0:
                    raise _damaged()
                sought.add(buckets, wanted, np.arange(part.start, part.stop))
                bar.advance(len(words) / 2)
            for bucket, start in enumerate(starts):
                own = lower[start : start + length]
                before = np.zeros(len(own), np.int64)
                for _, wanted, places in sought.take(bucket):
                    at = _native.last_not_above(own, wanted)
                    if at.min(initial=0) < 0 or (own[at] != wanted).any():
                        raise _damaged()
                    before += np.bincount(at, minlength=len(own))
                    at += start
                    links.places.append(places)
                    links.suffixes.append(at)
                    if not is_last:
                        found.add(places, at)
                    bar.advance(len(places) / 2)
                links.bounds.append(len(links.places))
                at_start = max(0, first_at_start - start)
                if at_start < len(own):  # these have no other word before them
                    before[at_start:] = self.counts[n - 2][start + at_start : start + len(own)]
                adjusted.append(before)
            sought.close()
            return shorter if is_last else self._in_order(found, len(keys), types[1])

    def _length(self, size: int) -> int:
        """How many of `size` n-grams a bucket has."""
        return max(1, min(_BUCKET, self.block), -(-size // MOST_BUCKETS))

    def _buckets(self, dtypes: list[DTypeLike], size: int) -> DiskBuckets:
        return DiskBuckets(dtypes, length=self._length(size), size=size, block=self.block)

    def _in_order(self, found: DiskBuckets, size: int, dtype: DTypeLike) -> DiskColumn:
        """Put the records of all n-grams of an order back into its order."""
        column, length = self.column(dtype, size), self._length(size)
        for bucket, part in enumerate(pieces(size, length)):
            values = np.zeros(part.stop - part.start, dtype)
            for places, own in found.take(bucket):
                values[places - part.start] = own
            column.append(values)
        return column


@dataclass
class _OfLastWord:
    """The value of the last word of each bigram."""

    values: NDArray[Any]
    keys: Column
    num_words: int

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, part: Any) -> NDArray[Any]:
        return self.values[self.keys[part] % self.num_words]


def _parts(start: int, stop: int, block: int) -> Iterator[slice]:
    return (slice(start + part.start, start + part.stop) for part in pieces(stop - start, block))


def _place_type(size: int) -> DTypeLike:
    return np.uint32 if size <= 1 << 32 else np.int64


def _damaged() -> DamagedFileError:
    return DamagedFileError("another program changed a temporary file of n-grams: an n-gram ends in an unknown one")
