"""Numbers and times from everything that a log may hold them as."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pytest

from logq.logs import Interactions, NextItems, sessions
from logq.logs.plain_values import to_numbers
from logq.logs.time_values import epoch_unit, looks_like_time, to_times

NOON = datetime(2020, 5, 17, 12, 0, 1)
SECONDS = 1589716801  # date -u -d 2020-05-17T12:00:01 +%s


@pytest.mark.parametrize(
    "values",
    [
        [SECONDS],
        [NOON],
        [NOON.replace(tzinfo=timezone(timedelta(hours=2))) + timedelta(hours=2)],
        np.array(["2020-05-17T12:00:01"], dtype="datetime64[s]"),
        ["2020-05-17T12:00:01"],
        ["2020-05-17 12:00:01"],
        ["2020-05-17T12:00:01Z"],
        ["2020-05-17T14:00:01+02:00"],
        [str(SECONDS)],
        ["17-May-2020 12:00:01"],
        ["17/May/2020:14:00:01 +0200"],
        ["May 17, 2020 12:00:01 PM"],
        ["Sun, 17 May 2020 12:00:01 GMT"],
        ["Sun May 17 12:00:01 2020"],
        ["17 MAY 2020 12:00:01Z"],
        pl.Series([NOON]),
        pl.Series([NOON]).dt.replace_time_zone("UTC"),
        pl.Series(["2020-05-17T12:00:01"]),
        pd.Series([NOON]),
        pd.Series([NOON]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
    ],
)
def test_each_way_to_write_a_moment_is_the_same_second(values):
    assert to_times(values, "time").tolist() == [SECONDS]


def test_dates_without_a_time_begin_at_midnight():
    assert to_times([date(1970, 1, 3), None], "time")[0] == 2 * 86400


@pytest.mark.parametrize(
    "values",
    [[1, None], ["1970-01-01T00:00:01", ""], [datetime(1970, 1, 1, 0, 0, 1), None], pl.Series([1, None]), ["1", None]],
)
def test_missing_times_are_nan(values):
    found = to_times(values, "time")
    assert found[0] == 1
    assert np.isnan(found[1])


def test_fractions_of_seconds_stay():
    assert to_times(["1970-01-01T00:00:00.25"], "time").tolist() == [0.25]


def test_whole_numbers_and_switches_stay_whole():
    assert to_numbers([1, 2], "label").dtype.kind == "i"
    assert to_numbers([True, False], "label").tolist() == [1, 0]


@pytest.mark.parametrize("values", [["1", "x"], np.array([1, "x"], dtype=object)])
def test_the_first_value_that_is_not_a_number_is_named(values):
    with pytest.raises(TypeError, match="label: expected numbers, got 'x'"):
        to_numbers(values, "label")


def test_the_first_value_that_is_not_a_date_is_named():
    with pytest.raises(TypeError, match=r"time: expected numbers or dates .*got 'yesterday' in row 2"):
        to_times(["2020-05-17", "yesterday"], "time")
    with pytest.raises(ValueError, match="one value for each row"):
        to_numbers([[1]], "label")


def test_infinite_times_are_refused():
    with pytest.raises(ValueError, match="time: expected finite numbers, got inf"):
        to_times([1.0, float("inf")], "time")
    with pytest.raises(ValueError, match="time: expected signed integers of 64 bits, got 9223372036854775808"):
        to_times(np.array([1, 2**63], np.uint64), "time")


def test_times_far_apart_in_few_bits_are_sorted_and_have_ages():
    # The difference of these does not fit in their own 32 bits.
    times = np.array([2_000_000_000, -2_000_000_000, 0], np.int32)
    log = Interactions.from_arrays([1, 1, 1], [10, 11, 12], times)
    assert log.item_ids.keys_of(log.items).tolist() == [11, 12, 10]
    assert NextItems(log, 3).batch([0, 1])["age"].tolist() == [0.5, 0.0]
    assert sessions(log, gap=10).tolist() == [0, 1, 2, 3]
    small = Interactions.from_arrays([1, 1, 1, 2], [10, 11, 12, 10], np.array([100, -100, 0, -100], np.int8))
    assert small.item_ids.keys_of(small.items).tolist() == [11, 12, 10, 10]


def test_numbers_of_bytes_are_read_and_dates_are_not_numbers():
    assert to_numbers(np.array([b"1.5", b"2"]), "label").tolist() == [1.5, 2.0]
    with pytest.raises(TypeError, match=r"label: expected numbers, got values of datetime64\[s\]"):
        to_numbers(np.array(["2020-05-17"], dtype="datetime64[s]"), "label")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([date(2020, 1, 2), None], "dates"),
        ([True, False], ""),
        ([float("nan")], ""),
        ([SECONDS, None], "epochs"),
        (np.array([], dtype=np.int64), ""),
    ],
)
def test_what_looks_like_times(values, expected):
    assert looks_like_time(values) == expected
    assert epoch_unit(np.array([])) is None


def test_eight_digits_among_other_numbers_are_numbers():
    assert to_times(["20200517", "20200518"], "time").tolist() == [1589673600, 1589760000]
    assert to_times(["20200517", "7"], "time").tolist() == [20200517, 7]
    with pytest.raises(ValueError, match="time: expected signed integers of 64 bits, got '92233720368547758080'"):
        to_times(["1", "92233720368547758080"], "time")
