"""A table of what is known of items or users, as text: its first column is whom it is about."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from logq.logs import Identifiers

__all__ = ["FeatureTable", "read_feature_table"]

_BETWEEN_VALUES = "|"


class FeatureTable(NamedTuple):
    """A table as read.

    Args:
        frame: its columns, of polars.
        names: what they are called; "1", "2" and so on without a header.
        separators: for columns with several values a row, what stands between them.
    """

    frame: Any
    names: list[str]
    separators: dict[str, str]


def read_feature_table(path: Path, ids: "Identifiers") -> FeatureTable:
    """Read a table; its first line has names, unless it begins with an id of the log.

    Columns that RecBole's headers call token_seq have values separated by blanks, those with a "|" in them by that.

    Raises:
        ImportError: polars is not installed.
        ValueError: it cannot be read as a table, or knows none of the ids.
    """
    from logq.logs.log_files import detect_layout, plain_headers, read_table

    layout = detect_layout(path, header=True)
    first = layout.names[0]
    if first in set(map(str, ids.keys.tolist())):
        layout = detect_layout(path, header=False)
    names, lists = plain_headers(layout.names)
    frame = read_table(path, layout, layout.names, {layout.names[0]})
    frame.columns = names
    wanted = "numbers" if ids.kind == "int" else "strings"
    key = frame[names[0]]
    if (str(key.dtype) == "String") != (ids.kind == "str"):
        raise ValueError(f"expected {wanted} in the first column {names[0]!r}, as the log has, got {key[0]!r}")
    separators = dict.fromkeys(lists, " ")
    for name in names[1:]:
        if (
            name not in separators
            and str(frame[name].dtype) == "String"
            and frame[name].str.contains("|", literal=True).any()
        ):
            separators[name] = _BETWEEN_VALUES
    return FeatureTable(frame, names, separators)
