"""The checks for words name the argument and the first word that is wrong."""

import numpy as np
import pytest

from logq.text.words import check_strings, check_word_counts, index_words


def test_words_come_back_as_a_list():
    assert check_strings("words", ("a", np.str_("b"))) == ["a", "b"]
    assert check_strings("words", []) == []


@pytest.mark.parametrize(("words", "shown"), [("abc", "'abc'"), (["a", None, 3], "None"), (b"ab", "b'ab'")])
def test_what_is_not_a_list_of_strings_is_refused(words, shown):
    with pytest.raises(TypeError, match=f"things: .*{shown}"):
        check_strings("things", words)


def test_places_are_those_in_the_list():
    assert index_words("words", ["b", "a"]) == {"b": 0, "a": 1}


def test_the_first_word_that_comes_twice_is_named():
    with pytest.raises(ValueError, match=r"things: .*'b'"):
        index_words("things", ["a", "b", "c", "c", "b"])


def test_counts_become_int64():
    counts = check_word_counts(np.array([3, 0], dtype=np.uint8), ["a", "b"], minimum=0)
    assert counts.dtype == np.int64
    assert counts.tolist() == [3, 0]
    assert check_word_counts([], [], minimum=1).dtype == np.int64


def test_the_first_count_that_is_too_small_is_named():
    with pytest.raises(ValueError, match=r"counts: .*>= 1, got 0 for 'b'"):
        check_word_counts([1, 0, -1], ["a", "b", "c"], minimum=1)
