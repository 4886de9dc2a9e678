"""Times as a log has them: which of the usual ways to write them a column has, and the times as numbers.

    s, ms, us, ns                    seconds since 1970 in UTC, or parts of them
    iso                              2026-01-31, 2026/01/31 10:51, 2026-01-31T10:51:09.277Z, ... +02:00, ... UTC
    compact                          20260131, 202601311051, 20260131105109, 20260131T105109Z
    month-first, day-first           1/31/2026, 31.1.2026, 31-01-2026 22:51:09, 1/31/2026 10:51:09 PM
    month-name                       31-Jan-2026, January 31, 2026 10:51 PM, Sat, 31 Jan 2026 10:51:09 GMT, or as
                                     `date` and web servers write it
    %d %b %Y                         any other, in the letters of Python's strptime

Dates become seconds since 1970 in UTC, and without a time zone are taken for UTC. Numbers stay what they are unless
their unit is given: what unit they look like is said, and none is ever read as a year.
"""

import re
import warnings
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.logs.plain_values import MISSING_WORDS, plain_array, to_numbers
from logq.logs.written_dates import CLOCK, MONTH_NAME_DATE, ZONE, moment

__all__ = [
    "TIME_FORMATS",
    "UNITS_A_SECOND",
    "Times",
    "check_time_format",
    "epoch_unit",
    "format_of_kind",
    "looks_like_time",
    "read_times",
    "to_times",
]

UNITS_A_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_RECENT: Final = (6.3e8, 4.2e9)  # seconds since 1970 from 1990 to 2102

_DATES: Final = {
    "compact": re.compile(rf"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:T?\d{{4}}(?:\d\d)?{ZONE})?"),
    "iso": re.compile(rf"\d{{4}}([-/])\d{{1,2}}(?:\1\d{{1,2}}(?:[T ]{CLOCK}{ZONE})?)?"),
    "month-first": re.compile(rf"\d{{1,2}}([/.-])\d{{1,2}}\1\d{{4}}(?:[,T]? ?{CLOCK}(?: ?[AaPp]\.?[Mm]\.?)?{ZONE})?"),
}
_DATES["day-first"] = _DATES["month-first"]
_DATES["month-name"] = MONTH_NAME_DATE
_SHOWN: Final = {
    "iso": "ISO dates",
    "compact": "dates such as 20260131",
    "month-first": "dates with the month first",
    "day-first": "dates with the day first",
    "month-name": "dates with names of months",
}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_UNREAD = re.compile(rf"\d{{1,2}}([/.-])\d{{1,2}}\1\d\d(?:,? {CLOCK}.*)?")
"""Dates with two digits of the year, which only a format says how to read."""
_SAMPLE = 1000
_WAY_OUT = "another format is given by time_format (--time-format), such as %m/%d/%y %H:%M"

TIME_FORMATS: Final = (*UNITS_A_SECOND, *_SHOWN)
"""The formats that have a name; another one is given by the letters of strptime."""


class Times(NamedTuple):
    """Times (N,), int64 or float with NaN where one is missing, and what they were taken for, in words.

    Example:
        >>> read_times(["31.1.1970"], "time")
        Times(values=array([2592000]), kind='dates with the day first')
    """

    values: NDArray[Any]
    kind: str


def check_time_format(time_format: str | None) -> str | None:
    """Return a format of times.

    Raises:
        ArgumentError: it has no such name, and no letters of strptime.

    Example:
        >>> check_time_format("%d %b %Y")
        '%d %b %Y'
    """
    if time_format is None or time_format in TIME_FORMATS or (isinstance(time_format, str) and "%" in time_format):  # pyright: ignore[reportUnnecessaryIsInstance]
        return time_format
    hint = "such as '%d.%m.%Y %H:%M' for 31.01.2026 22:15"
    raise ArgumentError("time_format", f"one of {', '.join(TIME_FORMATS)}, or letters of strptime", time_format, hint)


def format_of_kind(kind: str) -> str | None:
    """The format that times of a kind have, of those that are written as dates; None for others.

    Example:
        >>> format_of_kind(read_times(["31.1.1970"], "time").kind)
        'day-first'
    """
    return next((name for name, shown in _SHOWN.items() if shown == kind), None)


def to_times(values: object, name: str, time_format: str | None = None) -> NDArray[Any]:
    """Return the values of `read_times`.

    Example:
        >>> to_times(["1970-01-02", "1970-01-01T00:00:01"], "time").tolist()
        [86400, 1]
    """
    return read_times(values, name, time_format).values


def read_times(values: object, name: str, time_format: str | None = None) -> Times:
    """Return times (N,), int64 or float: dates become seconds since 1970 in UTC, missing ones NaN.

    Args:
        values: numbers, strings, dates: a list, an array, or a series of pandas or polars; or times that were read.
        name: what the caller calls the argument.
        time_format: one of TIME_FORMATS, or letters of strptime; None recognizes the format.

    Raises:
        ArgumentTypeError: a value is neither a number nor a date, or of another kind than the others; the message has
            the first one and its row.
        ArgumentError: month and day, or units, cannot be told apart; a time is infinite, or does not fit into a signed
            integer of 64 bits.

    Example:
        >>> read_times(["2026-01-31 10:51:09 UTC", ""], "time").kind
        'ISO dates'
        >>> read_times([1769856669277, 1769856669278], "time", "ms").values.tolist()
        [1769856669.277, 1769856669.278]
    """
    check_time_format(time_format)
    if isinstance(values, Times):  # read already
        return values
    array = plain_array(values)
    if array.dtype.kind == "O" and len(array):
        first = next((value for value in array if value is not None and value == value), None)
        if hasattr(first, "isoformat"):  # dates of the standard library and of pandas, with their time zone
            array = _from_dates(array)
            if array.dtype.kind == "f":
                return Times(_whole(array), "dates")
    if array.dtype.kind == "M":
        return Times(_seconds(array), "dates")
    if array.dtype.kind in "UO":
        text = _text(array)
        if text is not None:
            return _from_text(text, name, time_format)
    return _from_numbers(_checked(to_numbers(array, name), name), name, time_format)


def looks_like_time(values: object) -> str:
    """Say what times some values of a column look like: "dates", "epochs" (numbers from 1990 to 2102), or "".

    Example:
        >>> looks_like_time(["2014-04-07T10:51:09.277Z", ""]), looks_like_time([1704200000]), looks_like_time(["tea"])
        ('dates', 'epochs', '')
    """
    array = plain_array(values)[:_SAMPLE]
    if array.dtype.kind == "M":
        return "dates"
    if array.dtype.kind == "O":
        present = [value for value in array.tolist() if value is not None and value == value]
        if present and all(hasattr(value, "isoformat") for value in present):
            return "dates"
        array = np.array([str(value) for value in present], dtype=np.str_)
    if array.dtype.kind == "U":
        text = [value for value in map(str.strip, array.tolist()) if value not in MISSING_WORDS]
        kinds = {_kind(value) for value in text}
        if len(kinds) == 1 and kinds <= {"iso", "month-first", "compact", "month-name"}:
            return "dates"
        if text and all(_UNREAD.fullmatch(value) for value in text):
            return "dates"
        if kinds != {"number"}:
            return ""
        array = np.array(list(map(float, text)))
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        return ""
    numbers = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return "epochs" if numbers.size and epoch_unit(numbers) else ""


def epoch_unit(times: NDArray[Any]) -> str | None:
    """Return the unit in which all numbers are times from 1990 to 2102: "s", "ms", "us" or "ns"; None if there is none.

    Example:
        >>> epoch_unit(np.array([1769856669277])), epoch_unit(np.array([1, 2]))
        ('ms', None)
    """
    if not times.size:
        return None
    low, high = float(times.min()), float(times.max())
    return next(
        (unit for unit, size in UNITS_A_SECOND.items() if low >= _RECENT[0] * size and high <= _RECENT[1] * size), None
    )


# ----------------------------------------------------------------------------------------------------------- numbers


def _from_numbers(times: NDArray[Any], name: str, time_format: str | None) -> Times:
    if time_format in UNITS_A_SECOND:
        return Times(_whole(times / UNITS_A_SECOND[time_format]), f"{_UNIT_NAMES[time_format]} since 1970")
    if time_format is not None:
        return _from_text(_digits(times), name, time_format)
    missing = np.isnan(times) if times.dtype.kind == "f" else np.zeros(len(times), dtype=np.bool_)
    present = times[~missing] if missing.any() else times
    if not present.size:
        return Times(times, "numbers")
    if _are_compact(present):
        return _from_text(_digits(times), name, "compact")
    unit = epoch_unit(present)
    if unit is not None:
        return Times(times, f"{_UNIT_NAMES[unit]} since 1970")
    units = np.zeros(len(times), dtype=np.int8)  # 1 for seconds from 1990 to 2102, and so on
    for number, size in enumerate(UNITS_A_SECOND.values(), 1):
        units[(times >= _RECENT[0] * size) & (times <= _RECENT[1] * size)] = number
    if (units[~missing] > 0).all():  # numbers that count something else would also lie between these ranges
        first = int((units > 0).argmax())
        other = int(((units > 0) & (units != units[first])).argmax())
        names = list(_UNIT_NAMES.values())
        both = [f"{times[row].item()} ({names[units[row] - 1]} since 1970)" for row in (first, other)]
        raise ArgumentError(name, "times in one unit", Verbatim(f"{both[0]}, and {both[1]} in row {other + 1}"))
    return Times(times, "numbers")


def _digits(times: NDArray[Any]) -> NDArray[np.str_]:
    return np.array(["" if value != value else f"{value:.0f}" for value in times.tolist()], dtype=np.str_)


def _are_compact(numbers: NDArray[Any]) -> bool:
    """Whether all numbers are written as 20260131: no counter and no clock would hit only days of the calendar."""
    if not (numbers.min() >= 19000101 and numbers.max() <= 21001231) or (
        numbers.dtype.kind == "f" and (numbers % 1).any()
    ):
        return False
    whole = np.unique(numbers.astype(np.int64))
    month, day = whole // 100 % 100, whole % 100
    return bool(((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def _checked(times: NDArray[Any], name: str) -> NDArray[Any]:
    if times.dtype.kind == "f":
        if np.isinf(times).any():
            raise ArgumentError(name, "finite numbers", times[np.isinf(times)][0].item())
        return times
    if times.size and int(times.max()) > np.iinfo(np.int64).max:
        raise ArgumentError(name, "signed integers of 64 bits", int(times.max()))
    return times.astype(np.int64, copy=False)  # differences of narrower ones may not fit


def _whole(times: NDArray[Any]) -> NDArray[Any]:
    """Times as integers where all are."""
    return times if np.isnan(times).any() or (times % 1).any() else times.astype(np.int64)


# ------------------------------------------------------------------------------------------------------------- dates


def _seconds(dates: NDArray[Any]) -> NDArray[Any]:
    fine = dates.astype("datetime64[us]")
    missing = np.isnat(fine)
    micros = fine.astype(np.int64)
    if missing.any() or (micros % 1_000_000).any():
        return np.where(missing, np.nan, micros / 1e6)
    return micros // 1_000_000


def _from_dates(array: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.array([np.nan if value is None or value != value else _stamp(value) for value in array.tolist()])
    except AttributeError:  # a date without a time of day
        return np.array([None if value is None else value.isoformat() for value in array.tolist()], dtype=object)


def _stamp(date: Any) -> float:
    # A date without a time zone is local time for the standard library, and UTC for numpy and data frames.
    return (date.replace(tzinfo=timezone.utc) if date.tzinfo is None else date).timestamp()


# -------------------------------------------------------------------------------------------------------------- text


def _text(array: NDArray[Any]) -> NDArray[np.str_] | None:
    """The values as strings without blanks around them, "" where one is missing; None if they are numbers."""
    if array.dtype.kind == "O":
        present = [value for value in array.tolist() if value is not None and value == value]
        if not any(isinstance(value, str) for value in present):
            return None
        array = np.array(["" if value is None or value != value else str(value) for value in array.tolist()])
    text = np.char.strip(array)
    return np.where(np.isin(text, list(MISSING_WORDS)), "", text)


def _kind(value: str) -> str:
    """The name of the format that a value has; "number", or "" for none."""
    return next(
        (name for name, pattern in _DATES.items() if pattern.fullmatch(value)),
        "number" if _NUMBER.fullmatch(value) else "",
    )


def _from_text(text: NDArray[np.str_], name: str, time_format: str | None) -> Times:
    present = text[text != ""]
    if time_format is None:
        first = present[0].item() if present.size else "0"
        time_format = _kind(first)
        if not time_format:
            raise ArgumentTypeError(name, "numbers or dates such as 2026-11-21T22:25:00", first, _WAY_OUT)
        if time_format == "compact" and not all(_kind(value) == "compact" for value in present.tolist()):
            time_format = "number"  # 20260131 may be a number as well, if others are
        if time_format == "month-first":
            _check_all(text, name, time_format)
            time_format = _which_first(present, name)
    if time_format == "number" or time_format in UNITS_A_SECOND:
        unit = time_format if time_format in UNITS_A_SECOND else None
        return _from_numbers(_checked(_numbers(text, name), name), name, unit)
    if time_format in _DATES:
        _check_all(text, name, time_format)
    if time_format == "iso":
        return Times(_read_iso(text, name), _SHOWN["iso"])
    return Times(_read_each(text, name, time_format), _SHOWN.get(time_format, f"dates written {time_format}"))


def _numbers(text: NDArray[np.str_], name: str) -> NDArray[Any]:
    """Integers if all are, which keeps the digits of nanoseconds."""
    if np.char.isdigit(text).all():
        try:
            return text.astype(np.int64)
        except (OverflowError, ValueError):
            raise ArgumentError(name, "signed integers of 64 bits", max(text.tolist(), key=len)) from None
    for row, value in enumerate(text.tolist(), 1):
        if value and not _NUMBER.fullmatch(value) and value.lower() not in ("inf", "-inf"):
            got = Verbatim(f"{value!r} in row {row}")
            raise ArgumentTypeError(name, "numbers, as the times before are", got, _WAY_OUT)
    return to_numbers(text, name)


def _check_all(text: NDArray[np.str_], name: str, time_format: str) -> None:
    """Raise an error for the first value of another kind."""
    pattern = _DATES[time_format]
    shown = "numbers or dates such as 2026-11-21T22:25:00" if time_format == "iso" else _SHOWN[time_format]
    for row, value in enumerate(text.tolist(), 1):
        if value and not pattern.fullmatch(value):
            got = Verbatim(f"{value!r} in row {row}")
            one = "" if row == 1 else ", all of one kind"
            raise ArgumentTypeError(name, f"{shown}{one}", got, _WAY_OUT)


def _which_first(text: NDArray[np.str_], name: str) -> str:
    """Tell 31/1/2026 from 1/31/2026 by a number above 12."""
    day_first = month_first = False
    for value in np.unique(text).tolist():
        one, two = re.split(r"[/.-]", value, maxsplit=2)[:2]
        # 1.2.2026 is never written with the month first.
        day_first |= int(one) > 12 or "." in value[:3]
        month_first |= int(two) > 12
    if day_first == month_first:
        hint = "say which comes first by time_format: month-first or day-first"
        raise ArgumentError(name, "dates whose months and days can be told apart", text[0].item(), hint)
    return "day-first" if day_first else "month-first"


def _read_iso(text: NDArray[np.str_], name: str) -> NDArray[Any]:
    plain = np.char.replace(text, "/", "-")
    for ending in (" UTC", "UTC", " GMT", "GMT", "Z"):
        plain = np.char.replace(plain, ending, "")
    plain = np.char.replace(plain, ",", ".")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy understands time zones, and warns that it does not keep them
            return _seconds(np.where(plain == "", "NaT", plain).astype("datetime64[us]"))
    except ValueError:  # 2026-1-5 is beyond numpy, and so are days that the calendar lacks
        return _read_each(text, name, "iso")


def _read_each(text: NDArray[np.str_], name: str, time_format: str) -> NDArray[Any]:
    """Read the different values one by one."""
    keys, inverse = np.unique(text, return_inverse=True)
    stamps = np.empty(len(keys))
    for number, value in enumerate(keys.tolist()):
        try:
            stamps[number] = _stamp_of(value, time_format) if value else np.nan
        except ValueError:  # noqa: PERF203 - of the different values only
            row = int((text == value).argmax()) + 1
            expected = _SHOWN.get(time_format, f"dates written {time_format}")
            raise ArgumentTypeError(name, expected, Verbatim(f"{value!r} in row {row}")) from None
    return _whole(stamps[inverse])


def _stamp_of(value: str, time_format: str) -> float:
    return moment(value, time_format) if time_format in _SHOWN else _stamp(datetime.strptime(value, time_format))
