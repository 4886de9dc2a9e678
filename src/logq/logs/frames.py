"""Turning arrays and data frames into the rows of a log."""

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError
from logq._files import parsing
from logq.logs.arranging import Arranged, Cleaning, Rows, arrange
from logq.logs.column_names import guess_columns, plain_name, unknown_column
from logq.logs.data_frames import first_values, frame_columns
from logq.logs.identifiers import Factor, Identifiers, factorize
from logq.logs.log_files import LogFile
from logq.logs.plain_values import MISSING_WORDS, missing_note, plain_array, to_numbers
from logq.logs.session_files import read_sessions
from logq.logs.time_values import check_time_format, read_times

__all__ = [
    "ColumnKinds",
    "LogOptions",
    "arrange_arrays",
    "arrange_file",
    "arrange_frame",
    "arrange_sessions",
    "sorted_options",
]

ColumnKinds: TypeAlias = Mapping[str, Literal["category", "number"]]
Roles: TypeAlias = Mapping[str, "str | int | bool | None"]
Found: TypeAlias = tuple[Arranged, dict[str, Identifiers], list[str]]


class LogOptions(Cleaning, total=False):
    """Which column is which, and how rows are cleaned: the arguments of `Interactions.from_frame`."""

    user: str | int | None
    item: str | int | None
    time: str | int | bool | None
    label: str | int | bool | None
    session: str | int | bool | None
    time_format: str | None
    columns: Sequence[str] | ColumnKinds


def sorted_options(options: LogOptions) -> tuple[Roles, Sequence[str] | ColumnKinds, str | None, Cleaning]:
    """Split options into the columns of users, items, ..., further columns, the format of times, and cleaning.

    Raises:
        ArgumentTypeError: there is no such option.
    """
    rest: Any = dict(options)
    known = tuple(LogOptions.__annotations__)
    for name in rest:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else ""
            raise ArgumentTypeError("options", f"names among {', '.join(known)}", name, hint)
    roles = {role: rest.pop(role, None) for role in ("user", "item", "time", "label", "session")}
    time_format = check_time_format(rest.pop("time_format", None))
    return roles, rest.pop("columns", ()), time_format, rest


def is_category(values: object) -> bool:
    """Return whether a column has names, not numbers.

    Example:
        >>> is_category(["phone", "tablet"]), is_category([1, 2])
        (True, False)
    """
    if hasattr(values, "to_physical"):  # a series of polars: its type is cheaper than a conversion
        return str(values.dtype).split("(")[0] in ("String", "Categorical", "Enum")  # pyright: ignore
    kind = getattr(getattr(values, "dtype", None), "kind", None)
    array = plain_array(values) if kind is None or kind == "O" else None
    if array is None or array.dtype.kind != "O":
        return (kind if array is None else array.dtype.kind) in ("U", "S")
    first = next((value for value in array if value is not None and value == value), "")  # numbers among missing ones
    return isinstance(first, (str, bytes))


def arrange_frame(
    frame: object,
    asked: Roles,
    columns: Sequence[str] | ColumnKinds,
    cleaning: Cleaning,
    time_format: str | None = None,
    notes: Mapping[str, str] | None = None,
) -> Found:
    """Arrange the columns of a frame, guessing what was not given.

    Args:
        frame: a data frame or a dict of columns.
        asked: the columns of users, items, times, labels and sessions.
        columns: further columns.
        cleaning: how rows are cleaned.
        time_format: how times are written.
        notes: what is to be said of columns that were guessed before.
    """
    table = frame_columns(frame)
    roles, found_notes = guess_columns(list(table), asked, lambda name: first_values(table[name]))
    guesses = {**(notes or {}), **found_notes}
    sides: dict[str, Any] = {}
    for name in columns:
        found = name if name in table else next((key for key in table if plain_name(key) == name), None)
        if found is None:
            raise unknown_column("columns", name, table)
        sides[name] = table[found]
    user, item, time, label, session = (
        table[roles[role]] if role in roles else None for role in ("user", "item", "time", "label", "session")
    )
    if "label" in guesses and cleaning.get("min_label") is None:
        label, guesses["label"] = _guessed_label(label, roles["label"], guesses["label"])
    kinds = columns if isinstance(columns, Mapping) else {}
    return arrange_arrays(user, item, time, label, session, sides, cleaning, kinds, time_format, guesses)


def arrange_file(
    file: LogFile, columns: Sequence[str] | ColumnKinds, cleaning: Cleaning, time_format: str | None = None
) -> Found:
    """Arrange what was read from a file."""
    found, column_ids, notes = arrange_frame(file.frame, file.roles, columns, cleaning, time_format, file.guesses)
    return found, column_ids, [*file.notes, *notes]


def arrange_sessions(
    source: str | os.PathLike[str] | Sequence[Sequence[Any]], leading_user: bool, cleaning: Cleaning
) -> Found:
    """Arrange sessions of a file or of lists; errors of a file name it."""
    from_file = isinstance(source, str | os.PathLike)
    with parsing(source, by_arguments=True) if from_file else contextlib.nullcontext():
        users, items, sessions = read_sessions(source, leading_user)
        return arrange_arrays(users, items, None, None, sessions, {}, cleaning)


def arrange_arrays(
    users: object,
    items: object,
    timestamps: object,
    labels: object,
    sessions: object,
    columns: Mapping[str, object],
    cleaning: Cleaning,
    kinds: ColumnKinds | None = None,
    time_format: str | None = None,
    guesses: Mapping[str, str] | None = None,
) -> Found:
    """Arrange columns with one value for each event."""
    further: list[str] = []
    said_of: dict[str, str] = dict(guesses or {})
    rest: Any = dict(cleaning)
    missing = rest.pop("missing", None)
    missing = MISSING_WORDS if missing is None else missing
    item_codes = _ids(items, "item", missing, further)
    user_codes = None if users is None else _ids(users, "user", missing, further)
    sides: dict[str, NDArray[Any]] = {}
    column_ids: dict[str, Identifiers] = {}
    if sessions is not None:
        found = _ids(sessions, "session", missing, further)
        sides["session"] = found.codes
        if user_codes is None:
            user_codes = found
            further.append("user: there is no such column, each session counts as a user")
    if user_codes is None:
        raise ArgumentTypeError("users", "a column of users or sessions", None)
    for name, values in columns.items():
        if name in sides:
            raise ArgumentError("columns", "names other than that of the column of sessions", name)
        kind = (kinds or {}).get(name) or ("category" if is_category(values) else "number")
        if kind == "category":
            sides[name], column_ids[name] = _category(factorize(values, name))
        elif kind == "number":
            sides[name] = to_numbers(values, name)
        else:
            raise ArgumentError("columns", f'"category" or "number" for {name!r}', kind)
    times = None
    if timestamps is not None:
        times, kind = read_times(timestamps, "timestamps" if guesses is None else "time", time_format)
        unit = kind.partition(" since 1970")[0]
        kept = kind != unit and unit != "seconds" and time_format is None
        said = f"{kind}, so ages and gaps are in {unit} too" if kept else kind
        if "time" in said_of:
            said_of["time"] += f" ({said})"
        elif kept or "first" in kind:  # such as the month, which only a number above 12 told from the day
            said_of["time"] = f"read as {said}"
    scores = None if labels is None else to_numbers(labels, "labels")
    notes = [f"{role}: {note}" for role, note in said_of.items()] + further
    arrays = [user_codes.codes, item_codes.codes, times, scores, *sides.values()]
    different = len({id(array) for array in arrays if array is not None}) == sum(array is not None for array in arrays)
    # What was read in pieces belongs to nobody else; but a column may have two roles, as one of sessions has.
    rows = Rows(user_codes, item_codes, times, scores, sides, owned=isinstance(items, Factor) and different)
    return arrange(rows, **rest), column_ids, notes


def _ids(values: object, role: str, missing: Collection[str], notes: list[str]) -> Factor:
    """The ids of a column, among which the words for a missing value do not count."""
    found = values if isinstance(values, Factor) else factorize(values, f"{role}s")
    if found.keys.dtype.kind != "U":
        return found
    absent = np.isin(found.keys, list(missing))
    if not absent.any():
        return found
    table = np.append(np.where(absent, -1, np.cumsum(~absent) - 1), -1)  # the last is that of -1
    codes = table[found.codes].astype(found.codes.dtype)
    count = int(np.count_nonzero((codes < 0) & (found.codes >= 0)))
    notes.append(f"{role}: {missing_note(found.keys[absent].tolist(), count)}")
    return Factor(codes, found.keys[~absent])


def _guessed_label(values: Any, name: str, note: str) -> tuple[Any, str]:
    """Labels that nobody asked for must not cost a row."""
    try:
        without = int(np.count_nonzero(np.isnan(to_numbers(values, "labels"))))
    except TypeError:
        if not name.isdigit():  # what is called a rating, and is none, is worth an error
            raise
        return None, f"none, as the column {name} does not only have numbers"
    if without:
        return None, f"none, as {without:,} rows of the column {name!r} have no number; label (--label) names it"
    return values, note


def _category(found: Factor) -> tuple[NDArray[Any], Identifiers]:
    return found.codes + 1, Identifiers(found.keys)
