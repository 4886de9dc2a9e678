"""Columns of numbers and of times, from whatever a log holds them as; NaN where one is missing."""

import warnings
from datetime import timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.arguments import shown

__all__ = ["plain_array", "to_numbers", "to_times"]

_NONE: Any = None


def plain_array(values: object) -> NDArray[Any]:
    """An array of numpy from a list, an array, or a series of pandas or polars.

    Example:
        >>> plain_array([1, 2]).dtype.kind
        'i'
    """
    if isinstance(values, np.ndarray):
        return values
    convert = getattr(values, "to_numpy", None)
    return np.asarray(values if convert is None else convert())


def to_numbers(values: object, name: str) -> NDArray[Any]:
    """Numbers (N,): whole ones stay whole numbers; None becomes NaN, and strings are read as numbers.

    Raises:
        TypeError: a value is no number; the message has the first one.

    Example:
        >>> to_numbers(["4", "", "3.5"], "label").tolist()
        [4.0, nan, 3.5]
    """
    array = plain_array(values)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one value a row, got the shape {array.shape}")
    if array.dtype.kind == "b":
        return array.astype(np.int8)
    if array.dtype.kind in "iuf":
        return array
    return _read(array, name)


def to_times(values: object, name: str) -> NDArray[Any]:
    """Times (N,), int64 or float: numbers stay, dates become seconds since 1970 in UTC; NaN where one is missing.

    Strings are read as numbers or else as dates such as 2026-11-21 or 2026-11-21T22:25:00.

    Raises:
        TypeError: a value is neither a number nor a date; the message has the first one.
        ValueError: a time is infinite, or does not fit in 64 bits with a sign.

    Example:
        >>> to_times(["1970-01-02", "1970-01-01T00:00:01"], "time").tolist()
        [86400, 1]
    """
    array = plain_array(values)
    if array.dtype.kind == "O" and len(array):
        first = next((value for value in array if value is not None and value == value), None)
        if hasattr(first, "isoformat"):  # dates of the standard library and of pandas, with their zone
            array = _from_dates(array, name)
    if array.dtype.kind in "UO":
        try:
            return _checked(to_numbers(array, name), name)
        except TypeError:
            array = _read_dates(array, name)
    if array.dtype.kind == "M":
        return _seconds(array)
    return _checked(to_numbers(array, name), name)


def _checked(times: NDArray[Any], name: str) -> NDArray[Any]:
    if times.dtype.kind == "f":
        if np.isinf(times).any():
            raise ValueError(f"{name}: expected finite numbers, got {times[np.isinf(times)][0]}")
        return times
    if times.size and int(times.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: expected whole numbers of 64 bits with a sign, got {times.max()}")
    return times.astype(np.int64, copy=False)  # differences of narrower ones may not fit


def _seconds(dates: NDArray[Any]) -> NDArray[Any]:
    fine = dates.astype("datetime64[us]")
    missing = np.isnat(fine)
    micros = fine.astype(np.int64)
    if missing.any() or (micros % 1_000_000).any():
        return np.where(missing, np.nan, micros / 1e6)
    return micros // 1_000_000


def _from_dates(array: NDArray[Any], name: str) -> NDArray[Any]:
    try:
        stamps = [np.nan if value is None or value != value else _stamp(value) for value in array.tolist()]
    except AttributeError:
        return np.array([None if value is None else value.isoformat() for value in array.tolist()], dtype=object)
    return np.array(stamps)


def _stamp(date: Any) -> float:
    # The standard library takes a date without a zone for local time, numpy and the frames for UTC.
    return (date.replace(tzinfo=timezone.utc) if date.tzinfo is None else date).timestamp()


def _read_dates(array: NDArray[Any], name: str) -> NDArray[Any]:
    text = np.where(np.equal(array, _NONE), "", array).astype(np.str_) if array.dtype.kind == "O" else array
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy understands zones, and warns that it will not keep them
            return np.where(text == "", "NaT", text).astype("datetime64[us]")
    except ValueError:
        wrong = next(value for value in text.tolist() if value and not _is_date(value))
        raise TypeError(f"{name}: expected numbers or dates such as 2026-11-21T22:25:00, got {shown(wrong)}") from None


def _is_date(value: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.datetime64(value)
    except ValueError:
        return False
    return True


def _read(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    try:
        if array.dtype.kind == "O":
            missing = np.equal(array, _NONE) | np.equal(array, "")
            return np.where(missing, np.nan, array).astype(np.float64)
        if array.dtype.kind in "US":
            return np.where(array == array.dtype.type(), array.dtype.type("nan"), array).astype(np.float64)
    except (TypeError, ValueError):
        wrong = next(value for value in array.tolist() if not _is_number(value))
        raise TypeError(f"{name}: expected numbers, got {shown(wrong)}") from None
    raise TypeError(f"{name}: expected numbers, got values of {array.dtype}")


def _is_number(value: Any) -> bool:
    try:
        float("nan" if value is None or value == "" else value)
    except (TypeError, ValueError):
        return False
    return True
