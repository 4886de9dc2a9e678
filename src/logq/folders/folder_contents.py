"""What a folder holds, looked up before it is loaded: who meets something else is told the command that fits."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from logq.estimators import EstimatorEntry, Family

__all__ = [
    "MODEL_FILE",
    "Contents",
    "Doing",
    "FolderError",
    "check_folder",
    "find_contents",
    "find_entry",
    "is_shards",
]

Doing: TypeAlias = Literal["ask", "neighbors", "evaluate"]

MODEL_FILE = "model.safetensors"

# What does the same with each family: what is written here follows `logq`, with the folder put in.
_COMMANDS: dict[Doing, dict[str, str]] = {
    "ask": {
        "recommender": "recommend {} --user ID",
        "language model": "generate {}",
        "word vectors": "neighbors {} WORD",
        "index": "recommend MODEL --user ID --index {}",
    },
    "neighbors": {"recommender": "similar {} ITEM"},
    "evaluate": {
        "recommender": "evaluate ranking {}",
        "language model": "evaluate lm {} FILE",
        "word vectors": "evaluate words {} --similarity FILE",
    },
}
_MAKING = {"recommender": "sasrec", "language model": "lm", "word vectors": "word2vec"}
_ONE = {"recommender": "a recommender", "language model": "a language model", "word vectors": "word vectors"}
# Files that tell what else a folder holds: (file, what it is for the tables above, what it is called).
_OTHERS = (
    ("vectors.safetensors", "word vectors", "word vectors"),
    ("index.safetensors", "index", "an index of items"),
    ("checkpoint.safetensors", "checkpoint", "a checkpoint"),
    ("interactions.json", "log", "the log of a model"),
)
_ADVICE = {
    "checkpoint": "the same command with --resume continues from it",
    "log": "the model is in the folder above",
    "shards": "`logq index` makes an index of them",
}


class FolderError(ValueError):
    """A folder does not hold what it should; the message says what is there, and what to do.

    Example:
        >>> raise FolderError("model: expected a recommender in this folder, found none")
        Traceback (most recent call last):
        ...
        logq.folders.folder_contents.FolderError: model: expected a recommender in this folder, found none
    """


class Contents(NamedTuple):
    """What a folder holds.

    Args:
        family: of its estimator, or "index", "checkpoint", "log".
        name: what it is called in a message.
        entry: of its estimator, where the table has it.

    Example:
        >>> Contents("index", "an index of items").entry is None
        True
    """

    family: str
    name: str
    entry: "EstimatorEntry | None" = None


def find_entry(folder: Path) -> "EstimatorEntry | None":
    """Look up in the table of estimators what a folder holds; None where the table does not have it.

    Raises:
        OSError, ValueError: the file cannot be read, or is damaged.
    """
    from logq._model_file import read_kind
    from logq.estimators import ESTIMATORS, FORMATS

    name = read_kind(folder / MODEL_FILE, format=tuple(FORMATS.values()))
    return next((entry for entry in ESTIMATORS if entry.class_name == name), None)


def find_contents(folder: Path) -> Contents | None:
    """Look at what a folder holds; None if that is nothing of logq's.

    Raises:
        OSError, ValueError: the model in it cannot be read, or is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(find_contents(Path(folder)))
        None
    """
    if (folder / MODEL_FILE).exists():
        entry = find_entry(folder)
        if entry is None:  # a class of somebody's own, which its own loader knows
            return Contents("", "a model")
        return Contents(entry.family, f"{entry.class_name}, {_ONE[entry.family]}", entry)
    found = next((Contents(family, name) for file, family, name in _OTHERS if (folder / file).exists()), None)
    return Contents("shards", "vectors in shards") if found is None and is_shards(folder) else found


def is_shards(folder: Path) -> bool:
    """Whether a folder has vectors in shards, as write_vector_shards writes them; prepared logs have a manifest too.

    Example:
        >>> is_shards(Path("nowhere"))
        False
    """
    try:
        return json.loads((folder / "manifest.json").read_bytes())["format"] == "logq.distributed.vectors"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def check_folder(place: Path, *families: "Family", doing: Doing = "ask") -> Contents | None:
    """Check that a folder holds what a command works on, before the slow imports that load it.

    Args:
        place: a folder; for language models and word vectors also a file.
        families: what it may hold.
        doing: what the command does with it: of those that do so, the one is named that takes what is there.

    Returns:
        What is there; None for a file.

    Raises:
        FolderError: something else is there, or nothing; the message says which, and what to type.
        ValueError: the model in it is damaged.
    """
    files = families != ("recommender",)
    if files and str(place) == "-":
        return None
    if not place.exists():
        raise FolderError(f"{place}: there is no such {'file or ' if files else ''}folder{_kind_hint(str(place))}")
    if not place.is_dir():
        if files:
            return None
        raise FolderError(f"{place}: expected a folder with {_ONE[families[0]]}, found a file")
    if "word vectors" in families and (place / "vectors.safetensors").exists():
        return Contents("word vectors", "word vectors")
    found = find_contents(place)
    if found is None or found.family not in ("", *families):
        expected = " or ".join(_ONE[family] for family in families)
        raise FolderError(f"{place}: expected {expected} in this folder, {_instead(place, found, families[0], doing)}")
    return found


def _instead(place: Path, found: Contents | None, family: "Family", doing: Doing) -> str:
    """What is there instead, and what to type."""
    make = f"`logq train {_MAKING[family]}` makes {'them' if family == 'word vectors' else 'one'}"
    if found is None:
        above = find_contents(place.absolute().parent)
        lies = f"; {place.absolute().parent} has {above.name}" if above is not None else ""
        return f"found none; {make}{lies}"
    command = _COMMANDS[doing].get(found.family, _COMMANDS["ask"].get(found.family))
    if command is None:
        return f"found {found.name}; {_ADVICE.get(found.family, make)}"
    return f"found {found.name}; try `logq {command.format(shlex.quote(str(place)))}`"


def _kind_hint(typed: str) -> str:
    """For who types the kind of a model before its folder, as after `logq train`."""
    from logq.estimators import ESTIMATORS

    kinds = {"lm", "words", "ranking", *(entry.command for entry in ESTIMATORS)}
    return "; the first argument is the model itself, its kind is not named" if typed in kinds else ""
