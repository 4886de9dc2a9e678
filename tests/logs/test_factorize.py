"""Codes by first appearance against a dictionary."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import identifiers as module
from logq.logs.identifiers import factorize, first_seen

# Letters that need more than a byte, and numbers far apart, so that no table over their range is made.
TEXT = st.lists(st.none() | st.text("aé\U0001f600 ", max_size=4))
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3))


def by_dictionary(values):
    codes = {}
    for value in values:
        if value is not None and value != "":
            codes.setdefault(value, len(codes))
    return [codes.get(value, -1) for value in values], list(codes)


def check(found, values):
    codes, keys = by_dictionary(values)
    assert found.codes.tolist() == codes
    assert found.keys.tolist() == keys
    assert found.codes.dtype == np.int32


@given(NUMBERS)
def test_numbers_get_the_codes_of_a_dictionary(values):
    check(factorize(np.array(values, dtype=np.int64)), values)


@given(TEXT)
def test_strings_get_the_codes_of_a_dictionary(values):
    check(factorize(values), values)
    check(factorize(pl.Series(values, dtype=pl.String)), values)
    check(factorize(pd.Series(values, dtype="str")), values)
    if None not in values:
        check(factorize(np.array(values, dtype=np.str_)), values)


def test_strings_with_the_same_hash_stay_apart(monkeypatch):
    monkeypatch.setattr(module, "_hashes", lambda array: np.zeros(len(array), dtype=np.int64))
    values = ["b", "a", "b", "c"]
    check(factorize(values), values)


@pytest.mark.parametrize(
    "values",
    [
        [3.0, float("nan"), 7.0],
        np.array([3, None, 7], dtype=object),
        pd.Series([3, None, 7]),
        pd.Series([3, None, 7], dtype="Int64"),
        pl.Series([3, None, 7]),
    ],
)
def test_whole_numbers_with_gaps_are_whole_numbers(values):
    found = factorize(values)
    assert (found.codes.tolist(), found.keys.tolist(), found.keys.dtype.kind) == ([0, -1, 1], [3, 7], "i")


def test_categories_of_frames_are_strings():
    for values in (pl.Series(["b", None, "b"], dtype=pl.Categorical), pd.Series(["b", None, "b"], dtype="category")):
        assert factorize(values).codes.tolist() == [0, -1, 0]


def test_nothing_but_missing_values_has_no_keys():
    for values in ([None, None], [float("nan")] * 2, pl.Series([None, None]), ["", ""]):
        found = factorize(values)
        assert found.codes.tolist() == [-1, -1]
        assert len(found.keys) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.5], r"items: expected integers or strings, got .*2\.5"),
        ([1, "a"], r"items: expected all integers or all strings, got 1 and 'a'"),
        ([True, False], "items: expected integers or strings, got values of bool"),
        ([float("inf")], "got .*inf"),
    ],
)
def test_other_types_are_refused(values, message):
    with pytest.raises(TypeError, match=message):
        factorize(values, "items")


def test_shapes_lengths_and_sizes_are_checked():
    with pytest.raises(ValueError, match=r"items: expected one value for each row, got shape \(1, 2\)"):
        factorize([[1, 2]], "items")
    with pytest.raises(ValueError, match="at most 1024 characters, got one of 2000"):
        factorize(["a" * 2000], "items")
    with pytest.raises(ValueError, match="signed integers of 64 bits"):
        factorize(np.array([2**64 - 1], dtype=np.uint64), "items")


@given(st.lists(st.integers(0, 5)))
def test_first_seen_is_index(values):
    expected = [values.index(code) if code in values else len(values) for code in range(6)]
    assert first_seen(np.array(values, dtype=np.int64), 6).tolist() == expected


@pytest.mark.parametrize("make", [pl.Series, lambda values: pd.Series(values, dtype="Int64"), list])
def test_large_numbers_beside_a_missing_one_stay_apart(make):
    large = 2**60 + 1
    check(factorize(make([large, None, large + 1, large])), [large, None, large + 1, large])


def test_floats_too_large_to_be_told_apart_are_refused():
    with pytest.raises(ValueError, match=r"ids: expected integers below 2\*\*53, .* as floats cannot tell them apart"):
        factorize([2.0**60, float("nan")], "ids")
    check(factorize([2.0**53, 3.0]), [2**53, 3])


@pytest.mark.parametrize("values", [[2**70, 1], pl.Series([2**70, 1], dtype=pl.Int128)])
def test_numbers_of_more_than_64_bits_are_refused(values):
    with pytest.raises(ValueError, match="ids: expected signed integers of 64 bits"):
        factorize(values, "ids")
