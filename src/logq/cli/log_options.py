"""The options that say how an interaction log is read; every command that reads one has them."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["LogColumns", "LogFormat", "LogOptions"]

_LOG = "Log"


class LogFormat(str, Enum):
    """What kind of file a log is."""

    auto = "auto"
    table = "table"
    parquet = "parquet"
    sessions = "sessions"
    user_sessions = "user-sessions"


@dataclass(frozen=True)
class LogColumns:
    """Which column is which, and how the file is cut. What is None is guessed, and the guess is said."""

    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Column of users; a place (0, 1, ...) if there is no header.", rich_help_panel=_LOG
        ),
    ] = None
    item: Annotated[str | None, typer.Option(metavar="NAME", help="Column of items.", rich_help_panel=_LOG)] = None
    time: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of times, or none: rows are in order.", rich_help_panel=_LOG),
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
            help="table (csv, tsv, ...), parquet, sessions (items of one a line), user-sessions (a user before them).",
            rich_help_panel=_LOG,
        ),
    ] = LogFormat.auto
    separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Between columns, such as ',' or '::'.", rich_help_panel=_LOG)
    ] = None


@dataclass(frozen=True)
class LogOptions(LogColumns):
    """How a log is read, which of its rows are used, and what is known besides."""

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
    item_features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What is known of items: a table whose first column is the item, or {item: values} in JSON.",
            rich_help_panel=_LOG,
        ),
    ] = None
    user_features: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same for users.", rich_help_panel=_LOG)
    ] = None
