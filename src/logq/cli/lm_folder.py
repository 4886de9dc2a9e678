"""A language model as commands are given it: a folder of `logq train lm`, or an ARPA file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from logq.cli.errors import BadInputError

if TYPE_CHECKING:
    from logq.language_models import LanguageModel

__all__ = ["ModelArgument", "check_language_model", "open_language_model"]

ModelArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of `logq train lm`, or an ARPA file of any toolkit.")
]


def check_language_model(place: Path) -> None:
    """Check that there is something to load, before anything is loaded that does so.

    Raises:
        BadInputError: there is not.
    """
    if not place.exists():
        raise BadInputError(f"{place}: there is no such file or folder")
    if place.is_dir() and not (place / "model.safetensors").exists():
        made = ""
        if (place / "vectors.safetensors").exists():
            made = " (word vectors are there; try `logq neighbors`)"
        elif (place / "checkpoint.safetensors").exists():
            made = " (a checkpoint is there; the same command with --resume goes on from it)"
        raise BadInputError(f"{place}: there is no language model in this folder; `logq train lm` makes one{made}")


def open_language_model(place: Path, *, device: str = "cpu", progress: bool | None = False) -> "LanguageModel":
    """Load a language model; torch only where it is a neural one.

    Args:
        place: a folder, the model.safetensors in one, or an ARPA file.
        device: of neural models.
        progress: whether to show a bar for an ARPA file.

    Raises:
        BadInputError: there is none.
    """
    check_language_model(place)
    from logq._model_file import FILE, read_kind
    from logq.estimators import FORMATS
    from logq.language_models import NGram

    if place.is_file() and place.name != FILE:
        return NGram.from_arpa(place, progress=progress)
    folder = place.parent if place.is_file() else place
    try:
        kind = read_kind(folder / FILE, format=FORMATS["language model"])
    except ValueError as error:
        if _is_recommender(folder / FILE):
            raise BadInputError(
                f"{place}: expected a language model, found a recommender; try `logq recommend`"
            ) from error
        raise
    if kind == NGram.__name__:
        return NGram.load(folder)
    from logq.language_models import load

    return load(folder, device=device)


def _is_recommender(path: Path) -> bool:
    from logq._model_file import read_kind

    try:
        read_kind(path, format="logq.recommender")
    except ValueError:
        return False
    return True
