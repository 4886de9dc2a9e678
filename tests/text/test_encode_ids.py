"""A corpus of numbers is the one that words would have made."""

import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.text import Vocabulary, encode, encode_ids, encoding
from logq.text.id_file import IdFile

WORDS = Vocabulary(["a", "b", "c"], [1, 1, 1])


@given(st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=1, max_size=8).filter(any), st.integers(1, 9))
def test_ids_are_those_of_the_words(sentences, at_a_time):
    flat = np.array([number for sentence in sentences for number in sentence])
    offsets = np.cumsum([0, *map(len, sentences)])
    words = [[WORDS.index_to_key[number] for number in sentence] for sentence in sentences]
    with pytest.MonkeyPatch.context() as patch, encode(words, vocabulary=WORDS) as expected:
        patch.setattr(encoding, "_READ", at_a_time)
        with encode_ids(flat, offsets, WORDS) as made:
            assert made.read(0, made.num_ids).tolist() == expected.read(0, expected.num_ids).tolist()
            assert made.counts.tolist() == expected.counts.tolist()
            assert (made.num_words, made.num_sentences) == (expected.num_words, expected.num_sentences)
            path = made.path
    assert not path.exists()


@pytest.mark.parametrize(
    ("ids", "offsets", "match"),
    [([], [0], "ids: expected at least one"), ([0, 3], [0, 2], "got 3 at position 1"), ([0, 1], [0, 1], "offsets")],
)
def test_bad_numbers_are_named(ids, offsets, match):
    with pytest.raises(ValueError, match=match):
        encode_ids(np.array(ids), np.array(offsets), WORDS)


def test_an_interrupt_leaves_no_file_of_ids(monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for method in ("append", "create"):
        with monkeypatch.context() as patch:
            patch.setattr(IdFile, method, interrupted)
            with pytest.raises(KeyboardInterrupt):
                encode_ids(np.array([0, 1]), np.array([0, 2]), WORDS)
        assert not list(tmp_path.iterdir())


def test_what_is_encoded_shows_its_size():
    with encode_ids(np.array([0, 1, 2]), np.array([0, 2, 3]), WORDS) as made:
        assert repr(made) == f"EncodedCorpus(3 words in 2 sentences, {made.path})"
