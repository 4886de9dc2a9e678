import numpy as np
import pytest

from logq.evaluation.word_questions import KnownWords
from logq.vectors import KeyedVectors

WORDS = ["rose", "Rose", "tea", "straße", "STRASSE", "TEA"]
KV = KeyedVectors(WORDS, np.eye(6))


def test_the_first_of_equal_words_stands_for_all():
    known = KnownWords(KV)
    assert known.first.tolist() == [0, 0, 2, 3, 3, 2]
    assert [known.find(word) for word in ["ROSE", "Tea", "strasse", "coffee"]] == [0, 2, 3, None]


def test_with_regard_to_case_all_are_different():
    known = KnownWords(KV, case_insensitive=False)
    assert known.first.tolist() == list(range(6))
    assert [known.find(word) for word in ["Rose", "ROSE", "TEA"]] == [1, None, 5]


def test_only_the_first_words_take_part():
    known = KnownWords(KV, restrict_vocab=2)
    assert (known.size, known.find("rose"), known.find("tea")) == (2, 0, None)
    assert KnownWords(KV, restrict_vocab=100).size == 6


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"restrict_vocab": 0}, ValueError, "restrict_vocab"),
        ({"restrict_vocab": 2.5}, TypeError, "restrict_vocab"),
        ({"case_insensitive": "no"}, TypeError, "case_insensitive"),
    ],
)
def test_arguments_are_checked(arguments, error, match):
    with pytest.raises(error, match=match):
        KnownWords(KV, **arguments)
