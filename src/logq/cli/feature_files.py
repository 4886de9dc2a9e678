"""Features of items and users, and titles of items: the files that hold them."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._arguments import ArgumentError, BadArgumentError
from logq._files import parsing
from logq.cli.terminal.errors import BadInputError
from logq.cli.text_reading import check_input_file

if TYPE_CHECKING:
    from logq.logs import Features, Identifiers

__all__ = ["FeatureTable", "is_json", "is_parquet", "is_title", "named", "read_features", "read_titles"]

_BETWEEN_VALUES = "|"


class FeatureTable:
    """A table of features of items or users, as text: its first column is whom it is about.

    Its first line has names, unless it begins with an id of the log. Columns that RecBole's headers call token_seq have
    values separated by blanks, those with a "|" in them by that.

    Args:
        path: the file.
        ids: of the items or users.
        before: what was learned from an earlier table; what was text there is text here, even where it is a number.

    Attributes:
        names: of the columns; "0", "1" and so on without a header.
        frame: the columns, of polars.
        keys: the first of them.
        separators: for columns with several values per row, what stands between them.

    Raises:
        ImportError: polars is not installed.
        ValueError: it cannot be read as a table, or its ids are of another kind than those of the log.
    """

    def __init__(self, path: Path, ids: "Identifiers", before: "Features | None" = None) -> None:
        from logq.logs.feature_values import Categories
        from logq.logs.log_files import plain_headers, read_table
        from logq.logs.text_layout import detect_layout

        layout = detect_layout(path, header=True)
        if layout.names[0] in set(map(str, ids.keys.tolist())):
            layout = detect_layout(path, header=False)
        self.names, lists = plain_headers(layout.names)
        codings = {} if before is None else before.codings
        categories = {name: coding for name, coding in codings.items() if isinstance(coding, Categories)}
        text = {name for name, coding in categories.items() if coding.known.kind == "str"}
        words = [full for full, name in zip(layout.names, self.names, strict=True) if name in text]
        self.frame: Any = read_table(path, layout, layout.names, {layout.names[0]}, text=words)
        self.frame.columns = self.names
        self.keys: Any = self.frame[self.names[0]]
        if (str(self.keys.dtype) == "String") != (ids.kind == "str"):
            wanted = "numbers" if ids.kind == "int" else "strings"
            first = self.names[0]
            got = repr(self.keys[0]) if len(self.keys) else "no row"
            raise ValueError(f"{path}: expected {wanted} in the first column {first!r}, as the log has, got {got}")
        self.separators = dict.fromkeys(lists, " ")
        for name in self.names[1:]:
            several = str(self.frame[name].dtype) == "String" and self.frame[name].str.contains("|", literal=True).any()
            if name not in self.separators and several:
                self.separators[name] = _BETWEEN_VALUES


def read_features(
    path: Path | None,
    ids: "Identifiers",
    buckets: int = 10,
    tell: Callable[[str], None] | None = None,
    *,
    numeric: Sequence[str] = (),
    before: "Features | None" = None,
) -> "Features | None":
    """Read the features of items or users, without titles, which no model learns from; None if nothing is left.

    Args:
        path: a table, or {id: values} in JSON; None for nothing.
        ids: of the items or users.
        buckets: number of buckets into which fractions and dates are cut.
        tell: gets a line for what is missing, and for the columns that are cut.
        numeric: columns that stay numbers.
        before: what a model learned from an earlier table: this one is read in the same way.

    Raises:
        BadInputError: the file is not there, or cannot be read.
    """
    if path is None:
        return None
    check_input_file(path, "a table of features")
    from logq.logs.column_names import unknown_column
    from logq.logs.feature_growth import later_features
    from logq.logs.features import Features

    with named(path):
        if is_json(path):
            if numeric:
                raise ValueError(f"{path}: expected a table of columns for --numeric, got JSON")
            return _told(Features.from_json(path, ids), path, buckets, tell)
        table = FeatureTable(path, ids, before)
        wrong = next((name for name in numeric if name not in table.names[1:]), None)
        if wrong is not None and before is None:
            raise unknown_column("--numeric", wrong, table.names[1:])
        kept = [name for name in table.names[1:] if not is_title(name)]
        if not kept:
            return None
        if before is not None:
            return _told(later_features(before, table.frame.select([table.names[0], *kept]), ids), path, None, tell)
        separators = {name: sign for name, sign in table.separators.items() if name in kept}
        found = Features.from_frame(
            table.frame, ids, columns=kept, separator=separators, buckets=buckets, numeric=numeric
        )
        return _told(found, path, buckets, tell)


@contextlib.contextmanager
def named(path: Path) -> Generator[None, None, None]:
    """A block that reads a file, whose errors name it.

    Example:
        >>> with named(Path("items.csv")):
        ...     raise ValueError("no ids")
        Traceback (most recent call last):
        ...
        logq.cli.terminal.errors.BadInputError: items.csv: the file is damaged: no ids
    """
    try:
        with parsing(path, by_arguments=True):
            try:
                yield
            except BadInputError as error:  # which names the file already
                raise ValueError(str(error)) from error
    except BadArgumentError as error:
        if error.name not in ("frame", "keys"):  # the table itself, of which a user of the command sees the file
            raise BadInputError(str(error)) from error
        said = ArgumentError("", error.expected, error.got).message(str(path))
        raise BadInputError(f"{said}; ids are in the first column of a table") from error
    except (TypeError, ValueError) as error:
        raise BadInputError(str(error)) from error


def _told(found: "Features", path: Path, buckets: int | None, tell: Callable[[str], None] | None) -> "Features":
    from logq.logs.feature_values import Buckets

    known = _with_values(found)
    if not known:
        raise BadInputError(f"{path}: expected features of what the log has, found no row with a value")
    if tell is not None and (found.dropped or known < len(found)):
        lost = "".join(f", left out {count:,} ({reason})" for reason, count in found.dropped.items())
        tell(f"{path}: has values for {known:,} of {len(found):,} in the log{lost}")
    cut = [name for name, coding in found.codings.items() if isinstance(coding, Buckets)]
    if cut and tell is not None and buckets is not None:
        tell(f"{path}: {', '.join(cut)} cut into {buckets} buckets (--buckets)")
    return found


def _with_values(found: "Features") -> int:
    """How many items or users have at least one value."""
    import numpy as np

    known = np.zeros(len(found), dtype=np.bool_)
    for table in found.values.values():
        known |= table > 0 if table.ndim == 1 else table[:, 0] > 0
    for table in found.dense.values():
        known |= table.any(axis=1)
    return int(known.sum())


def is_title(name: str) -> bool:
    """Whether a column of this name holds the titles of items.

    Example:
        >>> [is_title(name) for name in ("movie_title", "Name", "genre", "username")]
        [True, True, False, False]
    """
    return name.lower().replace("-", "_").split("_")[-1] in ("title", "name")


def is_json(path: Path) -> bool:
    """Whether a file of features is JSON by its name.

    Example:
        >>> is_json(Path("attributes.json.gz"))
        True
    """
    return path.name.removesuffix(".gz").endswith(".json")


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet by its name.

    Example:
        >>> is_parquet(Path("items.PARQUET"))
        True
    """
    return path.suffix.lower() in (".parquet", ".pq")


def read_titles(path: Path, ids: "Identifiers") -> list[str] | None:
    """Read the titles of items by code, "" where there is none; None where the table has no such column.

    Args:
        path: a table whose first column is the item.
        ids: the items.

    Raises:
        BadInputError: it cannot be read.
    """
    if is_json(path):
        return None
    with named(path):
        table = FeatureTable(path, ids)
        column = next((name for name in table.names[1:] if is_title(name)), None)
        if column is None:
            return None
        titles = [""] * len(ids)
        for code, name in zip(ids.codes(table.keys).tolist(), table.frame[column].to_list(), strict=True):
            if code >= 0 and name is not None:
                titles[code] = str(name)
        return titles
