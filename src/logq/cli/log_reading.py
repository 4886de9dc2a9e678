"""Read an interaction log as the options say, and tell what was guessed and what was left out."""

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq.cli.errors import BadInputError
from logq.cli.log_options import LogColumns, LogFormat, LogOptions

if TYPE_CHECKING:
    from logq.logs import Features, Identifiers, Interactions

__all__ = ["check_log_file", "in_options", "read_features", "read_log"]

_ROLES = ("user", "item", "time", "label", "session")


def check_log_file(path: Path) -> None:
    """Check that a file is there and can be read, before anything slow is loaded.

    Raises:
        BadInputError: it is not, or is a folder.

    Example:
        >>> check_log_file(Path(__file__))
    """
    if not path.exists():
        raise BadInputError(f"{path}: there is no such file")
    if path.is_dir():
        raise BadInputError(f"{path}: expected a log, found a folder")
    if not os.access(path, os.R_OK):
        raise BadInputError(f"{path}: can't be read: {os.strerror(errno.EACCES)}")


def read_log(
    path: Path, options: LogColumns, tell: Callable[[str], None], *, columns: Sequence[str] = (), **cleaning: Any
) -> "Interactions":
    """Read a log, with features where the options name files of them.

    Args:
        path: the file.
        options: what is said of it.
        tell: gets a line for what was guessed, and one for what was left out.
        columns: further columns to keep.
        cleaning: more arguments of Interactions, such as `item_ids`.

    Raises:
        BadInputError: what the library refuses, in the spelling of the options.
    """
    from logq.logs import Interactions

    format = options.format
    if format is LogFormat.auto:
        format = LogFormat.parquet if path.suffix.lower() in (".parquet", ".pq") else LogFormat.table
    roles: dict[str, Any] = {name: getattr(options, name) for name in _ROLES}
    roles = {
        name: False if value == "none" and name not in ("user", "item") else value for name, value in roles.items()
    }
    if isinstance(options, LogOptions):
        cleaning |= {"min_label": options.min_label, "min_user": options.min_user, "min_item": options.min_item}
    try:
        if format in (LogFormat.sessions, LogFormat.user_sessions):
            said = [f"--{name}" for name in (*_ROLES, "separator") if getattr(options, name) is not None]
            if said or columns:
                raise BadInputError(f"{(said or ['--columns'])[0]}: expected none, {format.value} have no columns")
            log = Interactions.from_sessions(path, leading_user=format is LogFormat.user_sessions, **cleaning)
        elif format is LogFormat.parquet:
            if options.separator is not None:
                raise BadInputError("--separator: expected none, Parquet has no separators")
            log = Interactions.from_parquet(path, **roles, columns=list(columns), **cleaning)
        else:
            # Who names a column says that there are names, which a file of nothing but text does not show.
            named = any(isinstance(value, str) and not value.isdigit() for value in roles.values())
            log = Interactions.from_csv(
                path,
                **roles,
                columns=list(columns),
                separator=options.separator,
                header=True if named else None,
                **cleaning,
            )
        if isinstance(options, LogOptions):
            log = log.with_features(
                items=read_features(options.item_features, log.item_ids),
                users=read_features(options.user_features, log.user_ids),
            )
    except (ValueError, TypeError) as error:
        raise BadInputError(in_options(str(error), [*_ROLES, "separator", "min_label", "columns"])) from error
    if log.notes:
        tell("; ".join(log.notes))
    if log.dropped:
        tell("left out: " + ", ".join(f"{count:,} ({reason})" for reason, count in log.dropped.items()))
    return log


def read_features(path: Path | None, ids: "Identifiers") -> "Features | None":
    """Read what is known of items or users, without titles, which tell nothing about others; None if nothing is left.

    Raises:
        BadInputError: the file is not there, cannot be read, or has columns of fractions.
    """
    if path is None:
        return None
    check_log_file(path)
    from logq.cli.feature_table import read_feature_table
    from logq.cli.titles import is_title
    from logq.logs import Features

    try:
        if path.name.removesuffix(".gz").endswith(".json"):
            return Features.from_json(path, ids)
        table = read_feature_table(path, ids)
        kept = [name for name in table.names[1:] if not is_title(name)]
        if not kept:
            return None
        separators = {name: sign for name, sign in table.separators.items() if name in kept}
        return Features.from_frame(table.frame, ids, columns=kept, separator=separators)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def in_options(message: str, names: Iterable[str]) -> str:
    """Spell arguments of the library as the options that a user typed.

    Example:
        >>> in_options("min_label: expected a number, got nan", ["min_label"])
        '--min-label: expected a number, got nan'
        >>> in_options('user: name it, as in user="...", from: a, b', ["user"])
        'user: name it, as in --user NAME, from: a, b'
    """
    choice = "|".join(map(re.escape, names))
    message = re.sub(rf'\b({choice})="\.\.\."', lambda match: f"--{match[1].replace('_', '-')} NAME", message)
    if "--" in message:
        return message
    return re.sub(rf"^({choice})(?=:)", lambda match: "--" + match[1].replace("_", "-"), message)
