"""Pairs of users and items from a file, and their scores into one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from logq.cli.feature_files import is_parquet, named
from logq.cli.item_vector_files import typed_keys
from logq.cli.log_reading import LogColumns, check_log
from logq.cli.terminal.errors import BadInputError
from logq.folders.id_reading import typed_ids

if TYPE_CHECKING:
    from logq.recommenders.events.known_log import KnownLog

__all__ = ["UserItemPairs", "read_pairs", "write_scores"]


class UserItemPairs(NamedTuple):
    """Users and items, one pair after the other: ids of the types that the log has.

    Args:
        users: (n,).
        items: (n,).
    """

    users: Any
    items: Any


def read_pairs(path: Path, columns: LogColumns, known: "KnownLog") -> UserItemPairs:
    """Read a table with a column of users and one of items: Parquet by its ending, else text with any separator.

    Columns are called as those of the log were, or have usual names; of a file whose first line is a pair, and not
    names, they are the first two.

    Args:
        path: the file; - is standard input.
        columns: how the log was read.
        known: the users and items of the model.

    Raises:
        BadInputError: it cannot be read, or a row lacks a user or an item.
    """
    check_log(path)
    from logq._files import seekable

    path = Path("/dev/stdin") if str(path) == "-" else path
    with named(path), seekable(path) as name:
        users, items = _read(name, columns, known)
        for what, column in (("user", users), ("item", items)):
            if column.null_count():
                row = int(column.is_null().arg_max())
                raise BadInputError(f"{path}: expected a user and an item in each row, row {row + 1} has no {what}")
        return UserItemPairs(typed_keys(users, known.user_ids, path), typed_keys(items, known.item_ids, path))


def _read(name: Any, columns: LogColumns, known: "KnownLog") -> tuple[Any, Any]:
    from logq.logs.column_names import guess_columns
    from logq.logs.log_files import import_polars, read_csv
    from logq.logs.text_layout import detect_layout

    def asked(names: Any) -> dict[str, Any]:
        own = {"user": columns.user, "item": columns.item}
        found = {role: given if given in names else None for role, given in own.items()}
        return {**found, "time": False, "label": False, "session": False}

    if is_parquet(Path(name)):
        polars = import_polars("Parquet files")
        frame = polars.read_parquet(name)
        roles: Any = guess_columns(frame.columns, asked(frame.columns)).columns
    else:
        layout = detect_layout(name)
        # A first line of text alone looks like names, unless it begins with a user.
        (first,) = typed_ids(known.user_ids, layout.names[:1])
        is_id = isinstance(first, str) == (known.user_ids.kind == "str")
        header = layout.header and not (is_id and int(known.user_ids.codes([first])[0]) >= 0)
        frame, roles, *_ = read_csv(name, asked(layout.names if header else ()), (), None, header)
    return frame[roles["user"]], frame[roles["item"]]


def write_scores(path: Path, pairs: UserItemPairs, scores: Any) -> None:
    """Write a table of user, item and score, atomically: Parquet by its ending, else CSV.

    A score that is NaN is a missing value.

    Raises:
        ImportError: polars is not installed.
        OSError: the file cannot be written.
    """
    from logq._files import atomic_write
    from logq.logs.log_files import import_polars

    polars = import_polars("tables of scores")
    frame = polars.DataFrame({"user": pairs.users, "item": pairs.items, "score": scores}).with_columns(
        polars.col("score").fill_nan(None)
    )
    with atomic_write(path) as file:
        (frame.write_parquet if is_parquet(path) else frame.write_csv)(file)
