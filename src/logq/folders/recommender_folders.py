"""The folders that `logq train` writes: models, and what is saved of their logs.

model.safetensors, model.json   the model
log/                            the log as arrays, or where a prepared one is; and the split of it
titles.json                     what items are called, where that is known
training.json                   what was typed, to read the same log again, and to look up
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._files import atomic_write
from logq.folders.folder_contents import MODEL_FILE, Doing, FolderError, check_folder

if TYPE_CHECKING:
    from logq.language_models import LanguageModel
    from logq.logs import Interactions, Split
    from logq.recommenders import Recommender

__all__ = [
    "RecommenderFolder",
    "load_language_model",
    "load_recommender",
    "load_titles",
    "open_folder",
    "save_log",
    "save_titles",
]

_LOG, _TRAINING, _PREPARED, _TITLES = "log", "training.json", "prepared.json", "titles.json"


@dataclass(frozen=True)
class RecommenderFolder:
    """A folder that `logq train` wrote.

    Args:
        model: the recommender.
        log: all events of the log that it was trained with, held out or not; None if only the model is there.
        split: which of them were held out; None where none were.
        titles: by code of the item, or None.
        training: what `training.json` has.
    """

    model: "Recommender"
    log: "Interactions | None"
    split: "Split | None"
    titles: list[str] | None
    training: Mapping[str, Any]

    def __repr__(self) -> str:
        parts = {"log": self.log, "split": self.split, "titles": self.titles}
        there = [name for name, part in parts.items() if part is not None]
        return f"RecommenderFolder({', '.join([repr(self.model), *there])})"

    def title(self, item: Any) -> str:
        """The title of an item, "" where it is unknown."""
        if self.titles is None or item is None:
            return ""
        code = int(self.model.known.item_ids.codes([item])[0])
        return self.titles[code] if code >= 0 else ""


def load_recommender(folder: Path, *, device: str = "cpu", doing: Doing = "ask") -> "Recommender":
    """Load the recommender of a folder.

    Args:
        folder: where `logq train` wrote it.
        device: to compute on.
        doing: what for; see check_folder.

    Raises:
        FolderError: there is none.
    """
    check_folder(folder, "recommender", doing=doing)
    from logq.recommenders.ranking.recommender import Recommender

    return Recommender.load(folder, device=device)


def load_language_model(
    place: Path, *, device: str = "cpu", progress: bool | None = False, doing: Doing = "ask"
) -> "LanguageModel":
    """Load a language model; torch only where it is a neural one.

    Args:
        place: a folder, the model.safetensors in one, or an ARPA file.
        device: of neural models.
        progress: whether to show a bar for an ARPA file.
        doing: what for; see check_folder.

    Raises:
        FolderError: there is none.
    """
    folder = place.parent if place.name == MODEL_FILE and place.is_file() else place
    found = check_folder(folder, "language model", doing=doing)
    from logq.language_models.ngram.ngram import NGram

    if found is None:
        return NGram.from_arpa(place, progress=progress)
    if found.entry is not None and found.entry.class_name == NGram.__name__:
        return NGram.load(folder)
    from logq.language_models.language_model import LanguageModel

    return LanguageModel.load(folder, device=device)


def open_folder(folder: Path, *, device: str = "cpu", doing: Doing = "ask") -> RecommenderFolder:
    """Load everything that is in a folder.

    Args:
        folder: where `logq train` wrote it.
        device: to compute on.
        doing: what for; see check_folder.

    Raises:
        FolderError: there is no recommender, or what lies beside it belongs to another.
    """
    model = load_recommender(folder, device=device, doing=doing)
    from logq.logs.splits import Split

    training: dict[str, Any] = {}
    split = None
    if (folder / _TRAINING).exists():
        try:
            training = dict(json.loads((folder / _TRAINING).read_bytes()))
        except (ValueError, TypeError, RecursionError) as error:
            raise FolderError(f"{folder / _TRAINING}: is damaged ({error})") from None
    log = _saved_log(folder / _LOG, model)
    if log is not None:
        if log.num_items != model.known.num_items or log.num_users != model.known.num_users:
            raise FolderError(f"{folder / _LOG}: this log belongs to another model than the one beside it")
        if (folder / _LOG / "split.json").exists():
            split = Split.load(folder / _LOG, log)
    return RecommenderFolder(model, log, split, load_titles(folder, model.known.num_items), training)


def _saved_log(folder: Path, model: "Recommender") -> "Interactions | None":
    """The log in a folder: itself, or the place of a prepared one, which is not copied."""
    from logq.logs.interactions import Interactions

    if (folder / "interactions.json").exists():
        return Interactions.load(folder)
    if not (folder / _PREPARED).exists():
        return None
    try:
        said = json.loads((folder / _PREPARED).read_bytes())
        place, fingerprint = str(said["folder"]), str(said["fingerprint"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FolderError(f"{folder / _PREPARED}: is damaged ({error})") from None
    log = Interactions.open(place, check=False)
    if log.fingerprint() != fingerprint:
        raise FolderError(f"{place}: the log was prepared anew after the model in {folder.parent} was trained from it")
    return log.with_features(items=model.known.item_features, users=model.known.user_features)


def save_log(
    folder: Path,
    log: "Interactions | None",
    split: "Split | None",
    titles: list[str] | None,
    training: Mapping[str, Any],
) -> None:
    """Write what lies beside a model, without the log where that is None: an earlier one is removed.

    Raises:
        OSError: a file cannot be written.
    """
    if log is None:
        shutil.rmtree(folder / _LOG, ignore_errors=True)
    elif log.mapped is not None and log.mapped.folder is not None:
        shutil.rmtree(folder / _LOG, ignore_errors=True)
        (folder / _LOG).mkdir(parents=True)
        with atomic_write(folder / _LOG / _PREPARED) as file:
            place = {"folder": str(log.mapped.folder), "fingerprint": log.fingerprint()}
            file.write(json.dumps(place, ensure_ascii=False).encode())
    else:
        log.save(folder / _LOG)
        (folder / _LOG / _PREPARED).unlink(missing_ok=True)
    if log is None or split is None:
        (folder / _LOG / "split.json").unlink(missing_ok=True)
        (folder / _LOG / "part.npy").unlink(missing_ok=True)
    else:
        split.save(folder / _LOG)
    save_titles(folder, titles)
    with atomic_write(folder / _TRAINING) as file:
        file.write((json.dumps(training, indent=1, ensure_ascii=False) + "\n").encode())


def save_titles(folder: Path, titles: list[str] | None) -> None:
    """Write titles beside a model, or remove those of an earlier one.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_titles(Path(folder), ["Tea", ""])
        ...     load_titles(Path(folder), 2)
        ['Tea', '']
    """
    if titles is None:
        (folder / _TITLES).unlink(missing_ok=True)
        return
    with atomic_write(folder / _TITLES) as file:
        file.write(json.dumps(titles, ensure_ascii=False, indent=0).encode())


def load_titles(folder: Path, items: int) -> list[str] | None:
    """Read titles of `items` items, or None if there are none.

    Raises:
        FolderError: the file is damaged, or of another model.
    """
    path = folder / _TITLES
    if not path.exists():
        return None
    try:
        titles = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{path}: is damaged ({error}); remove it to go without titles") from None
    if not isinstance(titles, list) or len(titles) != items or not all(isinstance(title, str) for title in titles):
        raise FolderError(f"{path}: expected titles of {items:,} items; remove it to go without")
    return titles
