"""Turning arrays and data frames into the rows of a log."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.logs.arranging import Arranged, Cleaning, Rows, arrange
from logq.logs.column_names import guess_columns, plain_name, unknown_column
from logq.logs.feature_values import plain_array, to_numbers, to_times
from logq.logs.identifiers import Factor, Identifiers, factorize
from logq.logs.log_files import LogFile

__all__ = [
    "ColumnKinds",
    "LogOptions",
    "arrange_arrays",
    "arrange_file",
    "arrange_frame",
    "frame_columns",
    "sorted_options",
]

ColumnKinds: TypeAlias = Mapping[str, Literal["category", "number"]]
Roles: TypeAlias = Mapping[str, "str | int | bool | None"]
Found: TypeAlias = tuple[Arranged, dict[str, Identifiers], list[str]]

_MILLISECONDS = 1e11  # seconds since 1970 reach this in the year 5138


class LogOptions(Cleaning, total=False):
    """Which column is which, and how rows are cleaned: the arguments of `Interactions.from_frame`."""

    user: str | int | None
    item: str | int | None
    time: str | int | bool | None
    label: str | int | bool | None
    session: str | int | bool | None
    columns: Sequence[str] | ColumnKinds


def sorted_options(options: LogOptions) -> tuple[Roles, Sequence[str] | ColumnKinds, Cleaning]:
    """Split options into the columns of users, items, ..., further columns, and cleaning."""
    rest: Any = dict(options)
    roles = {role: rest.pop(role, None) for role in ("user", "item", "time", "label", "session")}
    return roles, rest.pop("columns", ()), rest


def frame_columns(frame: object) -> dict[str, Any]:
    """Return the columns of a dict, or of a frame of pandas or polars, by name.

    Raises:
        ArgumentTypeError: it is none of these.
    """
    if isinstance(frame, Mapping):
        return {str(name): values for name, values in frame.items()}
    names = getattr(frame, "columns", None)
    if names is None or not hasattr(frame, "__getitem__"):
        raise ArgumentTypeError("frame", "a data frame or a dict of columns", Verbatim(type(frame).__name__))
    return {str(name): frame[name] for name in names}  # pyright: ignore[reportIndexIssue]


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
    asked: Mapping[str, "str | int | bool | None"],
    columns: Sequence[str] | ColumnKinds,
    cleaning: Cleaning,
) -> Found:
    """Arrange the columns of a frame, guessing what was not given."""
    table = frame_columns(frame)
    roles, notes = guess_columns(list(table), asked)
    sides: dict[str, Any] = {}
    for name in columns:
        found = name if name in table else next((key for key in table if plain_name(key) == name), None)
        if found is None:
            raise unknown_column("columns", name, table)
        sides[name] = table[found]
    user, item, time, label, session = (
        table[roles[role]] if role in roles else None for role in ("user", "item", "time", "label", "session")
    )
    kinds = columns if isinstance(columns, Mapping) else {}
    arranged, column_ids, more = arrange_arrays(user, item, time, label, session, sides, cleaning, kinds)
    return arranged, column_ids, [*notes, *more]


def arrange_file(file: LogFile, columns: Sequence[str] | ColumnKinds, cleaning: Cleaning) -> Found:
    """Arrange what was read from a file."""
    found, column_ids, notes = arrange_frame(file.frame, file.roles, columns, cleaning)
    return found, column_ids, [*file.notes, *notes]


def arrange_arrays(
    users: object,
    items: object,
    timestamps: object,
    labels: object,
    sessions: object,
    columns: Mapping[str, object],
    cleaning: Cleaning,
    kinds: ColumnKinds | None = None,
) -> Found:
    """Arrange columns with one value for each event."""
    notes: list[str] = []
    item_codes = factorize(items, "items")
    user_codes = None if users is None else factorize(users, "users")
    sides: dict[str, NDArray[Any]] = {}
    column_ids: dict[str, Identifiers] = {}
    if sessions is not None:
        found = factorize(sessions, "sessions")
        sides["session"] = found.codes
        if user_codes is None:
            user_codes = found
            notes.append("user: there is no such column, each session counts as a user")
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
    times = None if timestamps is None else to_times(timestamps, "timestamps")
    if times is not None and (times[:10_000] > _MILLISECONDS).any():
        notes.append("time: the numbers look like milliseconds, so ages and gaps are in milliseconds too")
    scores = None if labels is None else to_numbers(labels, "labels")
    return arrange(Rows(user_codes, item_codes, times, scores, sides), **cleaning), column_ids, notes


def _category(found: Factor) -> tuple[NDArray[Any], Identifiers]:
    return found.codes + 1, Identifiers(found.keys)
