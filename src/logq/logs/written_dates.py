"""Dates in text: how they are written, and the moments that they are; among them those with names of months."""

import re
from datetime import datetime, timedelta, timezone
from typing import Final

__all__ = ["CLOCK", "MONTH_NAME_DATE", "ZONE", "moment", "month_in_digits"]

CLOCK: Final = r"\d{1,2}(?::\d{2}(?::\d{2}(?:[.,]\d+)?)?)?"
"""A time of day, in an expression."""
ZONE: Final = r"(?: ?(?:Z|UTC|GMT)| ?[+-]\d{2}(?::?\d{2})?)?"
"""A time zone or none, in an expression."""

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    r"(?P<month>(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?))\.?"
)
_WEEKDAY: Final = r"(?:(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +)?"
_DAY, _YEAR = r"(?P<day>\d{1,2})", r"(?P<year>\d{4})"
_TIME: Final = rf"(?P<clock>{CLOCK})(?P<half> ?[AaPp]\.?[Mm]\.?)?(?P<zone>{ZONE})"
_REST: Final = rf"(?:(?:,? +(?:at )?|:|T){_TIME})?"
_FORMS: Final = (
    re.compile(rf"{_WEEKDAY}{_DAY}[ /-]{_MONTH},?[ /-]{_YEAR}{_REST}"),
    re.compile(rf"{_WEEKDAY}{_MONTH} +{_DAY},? {_YEAR}{_REST}"),
    re.compile(rf"{_WEEKDAY}{_MONTH} +{_DAY} {_TIME} {_YEAR}"),
)

_PARTS: Final = re.compile(rf"(?P<date>.*?)(?P<half> ?[AaPp]\.?[Mm]\.?)?(?P<zone>{ZONE})")

MONTH_NAME_DATE: Final = re.compile("|".join(re.sub(r"\?P<\w+>", "?:", form.pattern) for form in _FORMS))
"""What matches such a date as a whole."""


def month_in_digits(date: str) -> str:
    """Return a date that MONTH_NAME_DATE matches as it is written with the number of the month, day first.

    Example:
        >>> month_in_digits("Jan 31, 2026 10:51 PM"), month_in_digits("31-jan-2026")
        ('31.1.2026 10:51 PM', '31.1.2026')
    """
    found = next(found for form in _FORMS if (found := form.fullmatch(date)))
    month = _MONTHS.index(found["month"][:3].lower()) + 1
    clock, half, zone = (found[part] or "" for part in ("clock", "half", "zone"))
    return f"{found['day']}.{month}.{found['year']} {clock}{half}{zone}".rstrip()


def moment(value: str, order: str) -> float:
    """Return the seconds since 1970 of one date.

    Args:
        value: the date.
        order: "iso", "compact", "month-first", "day-first" or "month-name".

    Raises:
        ValueError: there is no such day or time of day, or the date is written in another way.

    Example:
        >>> moment("1.2.1970 01:00 +01:00", "day-first")
        2678400.0
    """
    if order == "month-name":
        return moment(month_in_digits(value), "day-first")
    # 2026-01-31 ends in what could be a zone, which only a time of day can have.
    clock = re.search(r"[:T ]", value) or (order == "compact" and len(value) > 8)
    parts = _PARTS.fullmatch(value) if clock else None
    date, half, zone = (parts["date"], parts["half"], parts["zone"].strip()) if parts else (value, None, "")
    fields = re.split(r"[^0-9]+", date.strip())
    if order == "compact":
        joined = "".join(fields)
        fields = [part for part in (joined[:4], *(joined[at : at + 2] for at in range(4, 14, 2))) if part]
    fraction = float(f"0.{fields.pop()}") if len(fields) == 7 else 0.0
    numbers = list(map(int, fields))
    if order == "day-first":
        numbers[:3] = numbers[2], numbers[1], numbers[0]
    elif order == "month-first":
        numbers[:3] = numbers[2], numbers[0], numbers[1]
    year, month, day, hour, minute, second = numbers + [1] * (3 - len(numbers)) + [0] * (6 - max(len(numbers), 3))
    if half:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half.strip()[0] in "Pp" else 0)
    found = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    return (found - _offset(zone)).timestamp() + fraction


def _offset(zone: str) -> timedelta:
    """How far a time zone such as +02:00 is before that of Greenwich."""
    if zone[:1] not in ("+", "-"):
        return timedelta(0)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if zone[0] == "-" else offset
