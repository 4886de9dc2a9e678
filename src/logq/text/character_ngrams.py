"""CharacterNgrams: the n-grams of characters that a word consists of, numbered as fastText numbers them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.kernels import _native
from logq.text.scanning import pack_words

__all__ = ["CharacterNgrams", "fnv1a", "ngrams"]

LONGEST = 100
"""Characters of an n-gram."""

END_OF_SENTENCE = "</s>"
"""A word of fastText that has no n-grams."""


@dataclass(frozen=True)
class CharacterNgrams:
    """The n-grams of `minn` to `maxn` characters of <word>, each in one of `buckets` by its hash.

    Different n-grams may share a bucket, and so a vector.

    Equivalent to: Dictionary::computeSubwords of fastText 0.9.2, for any bytes.

    Args:
        minn: characters of the shortest.
        maxn: characters of the longest; 0 makes no n-grams.
        buckets: B, how many numbers there are.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Bojanowski et al., Enriching Word Vectors with Subword Information, TACL 2017, arXiv:1607.04606.

    Example:
        >>> offsets, found = CharacterNgrams(3, 6, buckets=2_000_000).of(["tea", "</s>"])
        >>> offsets.tolist(), found[:3].tolist()
        ([0, 6, 6], [1484008, 630059, 130191])
    """

    minn: int = 3
    maxn: int = 6
    buckets: int = 2_000_000

    def __post_init__(self) -> None:
        check_int("minn", self.minn, 0)
        check_int("maxn", self.maxn, 0)
        check_int("buckets", self.buckets, 0)
        if self.maxn > LONGEST:
            raise ArgumentError("maxn", f"at most {LONGEST}", self.maxn)
        if self.minn > max(self.maxn, 1) and self.maxn > 0:
            raise ArgumentError("minn", f"at most maxn, which is {self.maxn}", self.minn)
        if self.buckets >= 2**31:
            raise ArgumentError("buckets", "at most 2**31 - 1", Verbatim(f"{self.buckets:,}"))
        if self.buckets == 0 and self.maxn > 0:
            raise ArgumentError("buckets", "at least 1 for n-grams", self.buckets)

    def of(self, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the buckets of the n-grams of V words.

        Returns:
            offsets (V + 1,), and the buckets of word w at offsets[w] to offsets[w + 1], by where each n-gram begins,
            then by its length; one that is there twice comes twice.
        """
        return self.of_bytes(*pack_words(words))

    def of_bytes(
        self,
        joined: bytes,
        offsets: NDArray[np.int64],  # (V + 1,)
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The same for words as bytes one after the other, valid UTF-8 or not."""
        return _native.character_ngrams(
            joined, offsets, shortest=self.minn, longest=self.maxn, buckets=self.buckets if self.maxn else 0
        )


def ngrams(word: str, minn: int = 3, maxn: int = 6) -> Iterator[str]:
    """Yield the n-grams of characters of <word>, those without a hash; what `CharacterNgrams` counts, in plain Python.

    Example:
        >>> list(ngrams("tea", 3, 4))
        ['<te', '<tea', 'tea', 'tea>', 'ea>']
    """
    if word == END_OF_SENTENCE:
        return
    whole = f"<{word}>"
    for begin in range(len(whole)):
        for size in range(max(minn, 1), min(maxn, len(whole) - begin) + 1):
            end = begin + size
            if size > 1 or (begin > 0 and end < len(whole)):
                yield whole[begin:end]


def fnv1a(ngram: str) -> int:
    """The hash of an n-gram, 32 bits of FNV-1a over its bytes as signed numbers, which is what fastText computes.

    Its bucket is the hash modulo the number of buckets. Of ASCII it is FNV-1a.

    References:
        Fowler, Noll, Vo and Eastlake, The FNV Non-Cryptographic Hash Algorithm, RFC 9923.

    Example:
        >>> fnv1a("<te") % 2_000_000
        1484008
    """
    value = 2166136261
    for byte in ngram.encode("utf-8", "surrogatepass"):
        value = (value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 & 0xFFFFFFFF
    return value
