"""The folder that `logq train` makes of a log: the model, the log, which part was held out, and titles.

model.safetensors, model.json   the recommender
log/                            the log as arrays, and the split of it
titles.json                     what items are called, where that is known
training.json                   what was typed, to read the same log again, and to look up
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq.cli.errors import BadInputError
from logq.cli.log_options import LogColumns, LogFormat
from logq.cli.titles import load_titles, save_titles

if TYPE_CHECKING:
    from logq.logs import Identifiers, Interactions, Split
    from logq.recommenders import Recommender

__all__ = ["RecommenderFolder", "known_ids", "load_model", "open_folder", "save_log"]

_LOG, _TRAINING = "log", "training.json"


@dataclass(frozen=True)
class RecommenderFolder:
    """What `logq train` left in a folder.

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

    def title(self, item: Any) -> str:
        """What an item is called, "" where that is not known."""
        if self.titles is None or item is None:
            return ""
        code = int(self.model.seen.item_ids.codes([item])[0])
        return self.titles[code] if code >= 0 else ""

    def columns(self) -> LogColumns:
        """How the log was read."""
        said = dict(self.training.get("columns", {}))
        if "format" in said:
            said["format"] = LogFormat(said["format"])
        return LogColumns(**said)


def load_model(folder: Path, *, device: str = "cpu") -> "Recommender":
    """Load the recommender of a folder.

    Raises:
        BadInputError: there is none.
    """
    if not folder.exists():
        raise BadInputError(f"{folder}: there is no such folder")
    if not (folder / "model.safetensors").exists():
        made = " (word vectors are there; try `logq neighbors`)" if (folder / "vectors.safetensors").exists() else ""
        raise BadInputError(f"{folder}: there is no recommender in this folder; `logq train sasrec` makes one{made}")
    from logq.recommenders import Recommender

    return Recommender.load(folder, device=device)


def open_folder(folder: Path, *, device: str = "cpu") -> RecommenderFolder:
    """Load everything that is in a folder.

    Raises:
        BadInputError: there is no recommender, or what lies beside it belongs to another.
    """
    model = load_model(folder, device=device)
    from logq.logs import Interactions, Split

    training: dict[str, Any] = {}
    log = split = None
    if (folder / _TRAINING).exists():
        try:
            training = dict(json.loads((folder / _TRAINING).read_bytes()))
        except (ValueError, TypeError) as error:
            raise BadInputError(f"{folder / _TRAINING}: is damaged ({error})") from None
    if (folder / _LOG / "interactions.json").exists():
        log = Interactions.load(folder / _LOG)
        if log.num_items != model.seen.num_items or log.num_users != model.seen.num_users:
            raise BadInputError(f"{folder / _LOG}: this log belongs to another model than the one beside it")
        if (folder / _LOG / "split.json").exists():
            split = Split.load(folder / _LOG, log)
    return RecommenderFolder(model, log, split, load_titles(folder, model.seen.num_items), training)


def save_log(
    folder: Path, log: "Interactions", split: "Split | None", titles: list[str] | None, training: Mapping[str, Any]
) -> None:
    """Write what lies beside a model.

    Raises:
        OSError: a file cannot be written.
    """
    from logq._files import atomic_write

    log.save(folder / _LOG)
    if split is None:
        (folder / _LOG / "split.json").unlink(missing_ok=True)
        (folder / _LOG / "part.npy").unlink(missing_ok=True)
    else:
        split.save(folder / _LOG)
    save_titles(folder, titles)
    with atomic_write(folder / _TRAINING) as file:
        file.write((json.dumps(training, indent=1, ensure_ascii=False) + "\n").encode())


def known_ids(ids: "Identifiers", words: Sequence[str], what: str) -> list[Any]:
    """Read ids as they were typed.

    Args:
        ids: those that there are.
        words: what was typed.
        what: "user" or "item", for the message.

    Raises:
        BadInputError: an id is not known; the message has those that look like it.

    Example:
        >>> from logq.logs import Identifiers
        >>> known_ids(Identifiers([10, 20]), ["20"], "item")
        [20]
    """
    found: list[Any] = []
    for word in words:
        value: Any = word
        if ids.kind == "int":
            try:
                value = int(word)
            except ValueError:
                value = None
        if value is None or int(ids.codes([value])[0]) < 0:
            raise BadInputError(_unknown(ids, word, what))
        found.append(value)
    return found


def _unknown(ids: "Identifiers", word: str, what: str) -> str:
    keys = list(map(str, ids.keys[:50_000].tolist()))
    near = difflib.get_close_matches(word, keys, n=5, cutoff=0.7)
    near += [key for key in keys if len(word) > 3 and word.lower() in key.lower() and key not in near][: 5 - len(near)]
    there = f"{word!r} is not among the {len(ids):,} {what}s of the log"
    if near:
        return f"{there}; like it are {', '.join(near)}"
    return f"{there}; some of them are {', '.join(keys[:5])}"
