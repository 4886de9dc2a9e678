"""N-grams and their buckets are those of fastText, for words of all planes of Unicode."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import logq
from logq.kernels import _native
from logq.text import CharacterNgrams, fnv1a, ngrams
from unicode_words import SOME, words

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "fasttext.json").read_text(encoding="utf-8"))["ngrams"]


def test_buckets_of_100_000_words_are_those_of_fasttext():
    made = words()
    for kind, (total, expected) in GOLDEN.items():
        offsets, found = CharacterNgrams(*map(int, kind.split())).of(made)
        digest = hashlib.sha256()
        for begin, end in pairwise(offsets.tolist()):
            digest.update((end - begin).to_bytes(4, "little") + found[begin:end].astype("<i4").tobytes())
        assert (len(found), digest.hexdigest()) == (total, expected), kind


@pytest.mark.parametrize("sizes", [(3, 6), (1, 4), (0, 2), (2, 2), (5, 5), (1, 100)])
def test_the_compiled_buckets_are_those_of_plain_python(sizes):
    some = [*SOME, *words()[100:700], "", "x" * 300]
    kinds = CharacterNgrams(*sizes, buckets=2**31 - 1)
    offsets, found = kinds.of(some)
    assert len(offsets) == len(some) + 1
    for word, (begin, end) in zip(some, pairwise(offsets.tolist()), strict=True):
        assert found[begin:end].tolist() == [fnv1a(ngram) % kinds.buckets for ngram in ngrams(word, *sizes)], word


def test_bytes_that_are_no_utf8_are_hashed_as_they_are():
    """By hand: bytes that continue a character belong to the one before, be it '<'."""
    offsets, found = CharacterNgrams(1, 2, 2**31 - 1).of_bytes(b"\x80a\xff", np.array([0, 3]))
    spans = [b"<\x80a", b"a", b"a\xff", b"\xff", b"\xff>"]

    def hashed(span):
        value = 2166136261
        for byte in span:
            value = (value ^ (byte - 256 * (byte > 127))) * 16777619 % 2**32
        return value % (2**31 - 1)

    assert found.tolist() == [hashed(span) for span in spans]
    assert offsets.tolist() == [0, 5]


def test_no_longest_n_gram_means_none():
    offsets, found = CharacterNgrams(0, 0, 0).of(["tea", "x"])
    assert offsets.tolist() == [0, 0, 0]
    assert len(found) == 0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((4, 3, 9), "minn"),
        ((-1, 3, 9), "minn"),
        ((1, 101, 9), "maxn"),
        ((1, 2, 0), "buckets"),
        ((1, 2, 2**31), "buckets"),
    ],
)
def test_bad_numbers_are_named(arguments, name):
    with pytest.raises(logq.ArgumentError, match=f"^{name}: "):
        CharacterNgrams(*arguments)


@pytest.mark.parametrize("offsets", [[], [0, 9], [2, 1], [-1, 2]])
def test_offsets_outside_of_the_bytes_are_refused(offsets):
    with pytest.raises(ValueError, match=r"^offsets: "):
        _native.character_ngrams(b"tea", np.array(offsets, np.int64), shortest=1, longest=2, buckets=5)
