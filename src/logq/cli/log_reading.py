"""Interaction logs on the command line: the options that say how one is read, and reading it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from glob import has_magic
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from logq._arguments import BadArgumentError
from logq._project import check_installed, install_line
from logq.cli.feature_files import is_parquet, read_features
from logq.cli.input_output import READS
from logq.cli.item_vector_files import read_item_vectors
from logq.cli.terminal.errors import ONE_LOG, BadInputError
from logq.cli.text_reading import check_input_file

if TYPE_CHECKING:
    from logq.logs import Interactions
    from logq.recommenders.events.known_log import KnownLog
    from logq.training.config_fields import Option

__all__ = [
    "LogArgument",
    "LogColumns",
    "LogFormat",
    "LogReadingOptions",
    "LogRowOptions",
    "check_log",
    "check_tables",
    "log_roles",
    "named_columns",
    "read_log",
    "tell_notes",
]

LogArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="LOG",
        help="Interaction log: one event, or one session, per line; - is standard input. Or a prepared folder.",
    ),
    READS,
]

_LOG = "Log"
_ROLES = ("user", "item", "time", "label", "session")
_OF_TABLES = (*_ROLES, "separator", "time_format")


class LogFormat(str, Enum):
    """What kind of file a log is."""

    auto = "auto"
    table = "table"
    parquet = "parquet"
    sessions = "sessions"
    user_sessions = "user-sessions"


@dataclass(frozen=True)
class LogColumns:
    """Which column is which, and how the file is cut. What is None is guessed, and the guess is printed."""

    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of users: its name, or its number (0, 1, ...) if there is no header.",
            rich_help_panel=_LOG,
        ),
    ] = None
    item: Annotated[str | None, typer.Option(metavar="NAME", help="Column of items.", rich_help_panel=_LOG)] = None
    time: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of times, or none if rows are in order.", rich_help_panel=_LOG),
    ] = None
    time_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="How times are written: iso, compact (20260131), month-first, day-first, month-name, s, ms, us or "
            "ns since 1970, or as '%d.%m.%Y %H:%M'.",
            rich_help_panel=_LOG,
        ),
    ] = None
    label: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of ratings or the like, or none.", rich_help_panel=_LOG)
    ] = None
    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of sessions, or none.", rich_help_panel=_LOG)
    ] = None
    format: Annotated[
        LogFormat,
        typer.Option(
            metavar="NAME",
            help="table (CSV, TSV, ...), parquet, sessions (the items of one per line), or user-sessions (each line "
            "begins with its user); auto goes by the file's name.",
            rich_help_panel=_LOG,
        ),
    ] = LogFormat.auto
    separator: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Separator of columns, such as ',' or '::'.", rich_help_panel=_LOG),
    ] = None
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="What stands for a user or an item that is missing, beside an empty field. Repeatable.",
            show_default="NULL, nan, None, N/A and the like",
            rich_help_panel=_LOG,
        ),
    ] = None

    @property
    def missing_words(self) -> dict[str, Any]:
        """The argument of `Interactions` that says what stands for a missing id, if it is given."""
        return {} if self.missing is None else {"missing": tuple(self.missing)}


@dataclass(frozen=True)
class LogRowOptions(LogColumns):
    """How a log is read, and which of its rows are used."""

    min_label: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Leave out rows with a smaller label, such as ratings below 4.", rich_help_panel=_LOG
        ),
    ] = None
    min_user: Annotated[
        int, typer.Option(metavar="N", min=1, help="Leave out users with fewer events.", rich_help_panel=_LOG)
    ] = 1
    min_item: Annotated[
        int, typer.Option(metavar="N", min=1, help="Leave out items with fewer events.", rich_help_panel=_LOG)
    ] = 1

    @property
    def cleaning(self) -> dict[str, Any]:
        """The arguments of `Interactions` that leave rows out."""
        smallest = {} if self.min_label is None else {"min_label": self.min_label}
        return {"min_user": self.min_user, "min_item": self.min_item, **smallest, **self.missing_words}


@dataclass(frozen=True)
class LogReadingOptions(LogRowOptions):
    """How a log is read, which of its rows are used, and where features are."""

    item_features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Features of items: a table whose first column is the item, or JSON of {item: values}.",
            rich_help_panel=_LOG,
        ),
        READS,
    ] = None
    item_vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Vectors of items computed elsewhere, such as from texts or images: .npy with its ids beside it "
            "(.ids.txt), .npz or .safetensors of ids and vectors, Parquet, or word2vec's formats with ids as words.",
            rich_help_panel=_LOG,
        ),
        READS,
    ] = None
    user_features: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Features of users, in the same form.", rich_help_panel=_LOG),
        READS,
    ] = None
    buckets: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=2,
            help="Split features that are decimal numbers or dates into N buckets, at their quantiles.",
            rich_help_panel=_LOG,
        ),
    ] = 10
    numeric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Feature of items that stays a number, in units of its spread, such as a price. Repeatable.",
            rich_help_panel=_LOG,
        ),
    ] = None


def check_log(path: Path) -> None:
    """Check that a log is there and can be read; - is standard input, a folder one that `logq prepare` made.

    Raises:
        BadInputError: it is missing, another folder, or can't be read; or what reads it is not installed, which is said
            before torch is loaded.
    """
    if not path.is_dir() and find_spec("polars") is None:
        raise BadInputError(f"{path}: logs are read by polars, which is not installed: {install_line('logs')}")
    if path.is_dir() and not (path / "manifest.json").exists():
        raise BadInputError(f"{path}: expected a log, or a folder that `logq prepare` finished")
    if str(path) != "-" and not path.is_dir():
        if has_magic(str(path)) and not path.exists():
            raise BadInputError(f"{path}: expected one file, found a pattern; {ONE_LOG}")
        check_input_file(path, "a log")


def check_tables(*paths: Path | None) -> None:
    """Check, before a model is loaded, that what reads and writes tables is there, if one is named.

    Raises:
        ModuleNotFoundError: it is not; the message says how to install it.
    """
    if any(path is not None for path in paths):
        check_installed("a table", "logs", "polars")


def read_log(
    path: Path,
    options: LogColumns,
    tell: Callable[[str], None],
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    before: "KnownLog | None" = None,
    **cleaning: Any,
) -> "Interactions":
    """Read a log, with features where the options name files of them.

    Args:
        path: the file; - is standard input.
        options: how to read it.
        tell: gets a line for what was guessed, and one for what was left out.
        columns: further columns to keep, each with the option that named it.
        before: what a model knows that goes on with the log: features are read as those that it has learned from.
        cleaning: more arguments of Interactions, such as `item_ids`.

    Raises:
        BadInputError, ArgumentError: the file and the options do not go together.
    """
    path = Path("/dev/stdin") if str(path) == "-" else path
    with warnings.catch_warnings():
        from logq.logs.column_names import GuessedColumnWarning

        warnings.simplefilter("ignore", GuessedColumnWarning)  # a note says the same
        try:
            log = _read(path, options, columns, cleaning)
        except BadArgumentError as error:
            if error.name != "columns" or not isinstance(error.got, str) or error.got not in columns:
                raise
            raise BadInputError(error.message(columns[error.got])) from error
    if isinstance(options, LogReadingOptions):
        if options.numeric and options.item_features is None:
            raise BadInputError("--numeric: expected a table of --item-features beside it")
        of_users, of_items = (None, None) if before is None else (before.user_features, before.item_features)
        users = read_features(options.user_features, log.user_ids, options.buckets, tell, before=of_users)
        if users is not None and users.dense:
            names = ", ".join(users.dense)
            tell(f"{options.user_features}: {names} has vectors, which models learn from for items alone")
        numeric = options.numeric or ()
        items = read_features(
            options.item_features, log.item_ids, options.buckets, tell, numeric=numeric, before=of_items
        )
        vectors = read_item_vectors(options.item_vectors, log.item_ids, tell)
        if items is not None and vectors is not None:
            items = items.joined(vectors)
        log = log.with_features(items=vectors if items is None else items, users=users)
    tell_notes(log.notes, log.dropped, tell)
    return log


def tell_notes(notes: Sequence[str], dropped: Mapping[str, int], tell: Callable[[str], None]) -> None:
    """Say what was guessed, and what was left out.

    Example:
        >>> tell_notes(["item: took the column 'sku'"], {"no user": 2}, print)
        item: took the column 'sku'
        left out: 2 (no user)
    """
    of_time = [note for note in notes if note.startswith("time: ")]
    others = [note for note in notes if note not in of_time]
    for line in ("; ".join(others), *of_time):
        if line:
            tell(line)
    if dropped:
        tell("left out: " + ", ".join(f"{count:,} ({reason})" for reason, count in dropped.items()))


def named_columns(options: "Mapping[str, Option]", values: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a log that settings of a model name, each with the option that named it.

    Args:
        options: of the model.
        values: settings by name; one that is missing names none.
    """
    found: dict[str, str] = {}
    for name, option in options.items():
        value = values.get(name) if option.metavar == "COLUMN" else None
        for column in [value] if isinstance(value, str) else list(value or ()):
            found.setdefault(column, f"--{name.replace('_', '-')}")
    return found


def log_roles(options: LogColumns) -> dict[str, Any]:
    """The columns of users, items, times, labels and sessions, as `Interactions.from_csv` takes them.

    Example:
        >>> log_roles(LogColumns(user="uid", time="none"))["time"]
        False
    """
    roles = {name: getattr(options, name) for name in _ROLES}
    return {name: False if value == "none" and name not in ("user", "item") else value for name, value in roles.items()}


def _open(path: Path, options: LogColumns, columns: Sequence[str], cleaning: Mapping[str, Any]) -> "Interactions":
    """Open a prepared log, which has its columns already."""
    from logq.logs.interactions import Interactions

    said = [
        name
        for name in (*_ROLES, "separator", "time_format", "missing", "min_label")
        if getattr(options, name, None) is not None
    ]
    said += [name for name in ("min_user", "min_item") if getattr(options, name, 1) != 1]
    if "user_ids" in cleaning or "item_ids" in cleaning:
        expected = "a log whose users and items can be those of the model, such as the files that it was prepared from"
        raise BadInputError(f"{path}: expected {expected}, it has its own, which `logq prepare` gave it")
    said += [name for name, value in cleaning.items() if value is not None]
    if said:
        option = said[0].replace("_", "-")
        raise BadInputError(f"--{option}: expected none with {path}, which `logq prepare` made; it takes that option")
    log = Interactions.open(path)
    for name in columns:
        if name not in log.columns and not (name == "label" and log.labels is not None):
            known = ", ".join(map(repr, log.columns)) or "none"
            raise BadInputError(
                f"{path}: expected the column {name!r}, it has {known}; logq prepare --columns keeps it"
            )
    return log


def _read(path: Path, options: LogColumns, named: Mapping[str, str], cleaning: dict[str, Any]) -> "Interactions":
    from logq.logs.interactions import Interactions
    from logq.logs.partitions import is_prepared

    columns = list(named)
    if is_prepared(path):
        return _open(path, options, columns, cleaning)
    format = options.format
    if format is LogFormat.auto:
        format = LogFormat.parquet if is_parquet(path) else LogFormat.table
    roles = log_roles(options)
    cleaning |= options.cleaning if isinstance(options, LogRowOptions) else options.missing_words
    if format in (LogFormat.sessions, LogFormat.user_sessions):
        said = [f"--{name.replace('_', '-')}" for name in _OF_TABLES if getattr(options, name) is not None]
        if said or columns:
            raise BadInputError(f"{(said or [*named.values()])[0]}: expected none, {format.value} have no columns")
        return Interactions.from_sessions(path, leading_user=format is LogFormat.user_sessions, **cleaning)
    if format is LogFormat.parquet:
        if options.separator is not None:
            raise BadInputError("--separator: expected none, Parquet files have no separators")
        return Interactions.from_parquet(
            path, **roles, time_format=options.time_format, columns=list(columns), **cleaning
        )
    return Interactions.from_csv(
        path,
        **roles,
        time_format=options.time_format,
        columns=list(columns),
        separator=options.separator,
        **cleaning,
    )
