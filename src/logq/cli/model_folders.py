"""How commands name the folder of a model, and how its log was read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from logq.cli.input_output import READS
from logq.cli.log_reading import LogColumns, LogFormat
from logq.folders.folder_contents import FolderError

if TYPE_CHECKING:
    from logq.folders.recommender_folders import RecommenderFolder

__all__ = ["IndexOption", "LanguageModelArgument", "ModelArgument", "RecommenderArgument", "columns_of", "open_model"]

LanguageModelArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="Folder written by `logq train lm`, or an ARPA file of any toolkit."),
    READS,
]
RecommenderArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder written by `logq train sasrec` or another recommender."), READS
]
ModelArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="Folder written by `logq train`, or a file of word vectors of any tool."),
    READS,
]
IndexOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--index", metavar="INDEX", help="Search in this index, a folder written by `logq index`."),
    READS,
]


def open_model(place: Path) -> tuple[Any, list[str] | None]:
    """Open a model of any family, or word vectors; with the titles of its items, if it has some.

    Raises:
        FolderError: something else is there.
    """
    if not place.is_dir():
        from logq.vectors import KeyedVectors

        return KeyedVectors.load(place), None
    from logq.estimators import load

    found = load(place)
    if not hasattr(found, "push_to_hub"):
        raise FolderError(f"{place}: expected a model or word vectors, found {type(found).__name__}")
    if not hasattr(found, "known"):
        return found, None
    from logq.folders.recommender_folders import load_titles

    return found, load_titles(place, found.known.num_items)


def columns_of(found: "RecommenderFolder") -> LogColumns:
    """How the log beside a model was read."""
    said = dict(found.training.get("columns", {}))
    if "format" in said:
        said["format"] = LogFormat(said["format"])
    return LogColumns(**said)
