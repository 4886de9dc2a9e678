"""Ids and codes against a dictionary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import Identifiers

KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True) | st.lists(
    st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=5), unique=True
)


@given(KEYS, st.data())
def test_codes_are_those_of_a_dictionary(keys, data):
    ids = Identifiers(keys)
    code = {key: place for place, key in enumerate(keys)}
    other = st.integers(0, 9) if not keys or isinstance(keys[0], int) else st.text("abc", min_size=1, max_size=2)
    asked = data.draw(st.lists(st.sampled_from(keys) | other if keys else other))
    assert ids.codes(asked).tolist() == [code.get(key, -1) for key in asked]
    assert ids.keys_of(np.arange(len(keys))).tolist() == keys


@given(KEYS)
def test_a_state_gives_the_same_ids(keys):
    ids = Identifiers(keys)
    again = Identifiers.from_state(ids.state())
    assert again.keys.tolist() == keys
    assert not keys or again.kind == ids.kind
    assert all(array.dtype.kind in "iu" for array in ids.state().values())


def test_one_id_and_missing_ones():
    ids = Identifiers(["a", "b"])
    assert ids.codes("b").tolist() == [1]
    assert ids.codes(["b", None, ""]).tolist() == [1, -1, -1]
    assert Identifiers([3]).codes(3).tolist() == [0]


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="keys: expected different ids, got 7 twice, at position 2"):
        Identifiers([7, 8, 7])
    with pytest.raises(ValueError, match="got a missing one, at position 1"):
        Identifiers(["a", None])
    with pytest.raises(TypeError, match="ids: expected integers, as the ids of this log are, got 'a'"):
        Identifiers([1]).codes(["a"])
    with pytest.raises(IndexError, match=r"codes: expected numbers in \[0, 1\), got -1"):
        Identifiers([1]).keys_of([0, -1])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "expected"),
        ({"text": np.zeros(3, np.uint8), "ends": np.array([2])}, "the length of the text"),
        ({"text": np.zeros(3, np.uint8), "ends": np.array([4, 3])}, "the length of the text"),
        ({"text": np.array([255, 97], np.uint8), "ends": np.array([1, 2])}, "UTF-8"),
        ({"keys": np.array([1, 1])}, "different ids"),
    ],
)
def test_a_damaged_state_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        Identifiers.from_state(state)


def test_they_show_their_number_and_kind():
    assert repr(Identifiers(["a", "b"])) == "Identifiers(2 strings)"
    assert repr(Identifiers([7])) == "Identifiers(1 integers)"


def test_ids_of_bytes_are_text():
    assert Identifiers(["tea", "cup"]).codes(np.array([b"cup", b"x"])).tolist() == [1, -1]


def test_lists_of_different_lengths_are_not_ids():
    with pytest.raises((TypeError, ValueError), match="keys: expected"):
        Identifiers([[1], [1, 2]])
