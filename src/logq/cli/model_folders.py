"""How commands name the folder of a model, and how its log was read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from logq.cli.input_output import READS
from logq.cli.log_reading import LogColumns, LogFormat

if TYPE_CHECKING:
    from logq.folders.recommender_folders import RecommenderFolder

__all__ = ["LanguageModelArgument", "RecommenderArgument", "columns_of"]

LanguageModelArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="Folder written by `logq train lm`, or an ARPA file of any toolkit."),
    READS,
]
RecommenderArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder written by `logq train sasrec` or another recommender."), READS
]


def columns_of(found: "RecommenderFolder") -> LogColumns:
    """How the log beside a model was read."""
    said = dict(found.training.get("columns", {}))
    if "format" in said:
        said["format"] = LogFormat(said["format"])
    return LogColumns(**said)
