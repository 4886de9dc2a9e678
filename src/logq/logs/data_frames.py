"""Columns of data frames of any library: pandas, polars, and whatever hands out Arrow data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq._project import install_line

__all__ = ["first_values", "frame_columns"]

_FIRST = 1000


def frame_columns(frame: object) -> dict[str, Any]:
    """Return the columns of a table by name.

    Args:
        frame: a dict of columns; an array of records; a frame of pandas, whose index counts as columns if it has
            names, or of polars, a lazy one too; or what has the PyCapsule interface of
            Arrow: its tables, relations of DuckDB, frames of narwhals and ibis. That one is read by polars.

    Raises:
        ArgumentTypeError: it is none of these.
        ArgumentError: two columns have the same name.
        ImportError: it is of the last kind, and polars is not installed.

    Example:
        >>> frame_columns({"user": [1, 2]})
        {'user': [1, 2]}
    """
    if isinstance(frame, Mapping):
        return {str(name): values for name, values in frame.items()}
    if isinstance(frame, np.ndarray) and frame.dtype.names:  # an array of records
        return {name: frame[name] for name in frame.dtype.names}
    if hasattr(frame, "collect") and hasattr(frame, "collect_schema"):  # lazy: of polars or narwhals
        frame = frame.collect()  # pyright: ignore[reportAttributeAccessIssue]
    table: Any = frame
    known = hasattr(frame, "iloc") or hasattr(frame, "get_columns")
    if not known and hasattr(frame, "__arrow_c_stream__"):
        try:
            import polars
        except ImportError:
            name = type(frame).__name__
            raise ImportError(f"a {name} is read by polars, which is not installed: {install_line('logs')}") from None
        frame = polars.DataFrame(table)
    names: Any = getattr(frame, "columns", None)
    if names is None or not hasattr(frame, "__getitem__") or callable(names):
        hint = "convert it, such as by .compute(), .toPandas() or .to_pandas()"
        if isinstance(frame, (list, tuple, np.ndarray)):
            hint = "pandas.DataFrame makes one of rows; Interactions.from_arrays takes columns"
        raise ArgumentTypeError("frame", "a data frame or a dict of columns", Verbatim(type(frame).__name__), hint)
    keys = list(map(str, names))
    twice = next((name for number, name in enumerate(keys) if name in keys[:number]), None)
    if twice is not None:
        raise ArgumentError("frame", "columns with different names", Verbatim(f"{twice!r} twice"))
    return {**_index_levels(table, keys), **{str(name): frame[name] for name in names}}  # pyright: ignore[reportIndexIssue]


def _index_levels(frame: Any, names: Sequence[str]) -> dict[str, Any]:
    """The levels of the index of a frame of pandas that have names, as `set_index` and `groupby` make them."""
    index = getattr(frame, "index", None)
    if not hasattr(frame, "iloc") or index is None:
        return {}
    levels = {name: index.get_level_values(name) for name in index.names if name is not None}
    return {str(name): level.to_series(index=index) for name, level in levels.items() if str(name) not in names}


def first_values(values: Any) -> Any:
    """Return the first values of a column, from which it is seen what they are.

    Example:
        >>> first_values(range(10_000))[-1]
        999
    """
    return values.iloc[:_FIRST] if hasattr(values, "iloc") else values[:_FIRST]
