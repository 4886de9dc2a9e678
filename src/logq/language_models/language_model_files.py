"""Language models to files and back: what they learned, their vocabulary, and how they were made."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._model_file import FILE, SUMMARY, Stored, pack_strings, read_stored, unpack_strings, write_stored
from logq.text import Vocabulary
from logq.text.tokens import END, UNKNOWN

if TYPE_CHECKING:
    from logq.language_models.language_model import LanguageModel

__all__ = ["FORMAT", "load_language_model", "save_language_model"]

FORMAT = "logq.language_model"

_LEARNED = "learned/"


def save_language_model(model: "LanguageModel", folder: str | os.PathLike[str]) -> None:
    """Write a fitted language model into a folder.

    Raises:
        AttributeError: it is not fitted.
        OSError: a file cannot be written.
    """
    words, offsets = pack_strings(model.vocabulary.index_to_key)
    tensors = {"vocabulary.words": words, "vocabulary.offsets": offsets, "vocabulary.counts": model.vocabulary.counts}
    tensors |= {f"{_LEARNED}{name}": array for name, array in model.state().items()}
    info = {"settings": model.settings(), "metadata": model.facts, "words": len(model.vocabulary)}
    home = Path(folder)
    write_stored(home / FILE, Stored(type(model).__name__, info, tensors), format=FORMAT, summary=home / SUMMARY)


def load_language_model(
    wanted: "type[LanguageModel]", folder: str | os.PathLike[str], options: Mapping[str, Any]
) -> "LanguageModel":
    """Read what `save_language_model` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, changed, or of another version or class.
    """
    path = Path(folder) / FILE
    stored = read_stored(path, format=FORMAT)
    kinds = {kind.__name__: kind for kind in _kinds(wanted)}
    if stored.kind not in kinds:
        expected = "one of those that are imported" if len(kinds) > 1 else f"a {wanted.__name__}"
        raise ValueError(f"{path}: expected a language model, {expected}, the file holds a {stored.kind}")
    try:
        model = kinds[stored.kind](**{**stored.info["settings"], **options})
        model.facts.update(stored.info["metadata"] if "metadata" in stored.info else stored.info["facts"])
        tensors = stored.tensors
        words = unpack_strings(tensors["vocabulary.words"], tensors["vocabulary.offsets"])
        vocabulary = Vocabulary(words, tensors["vocabulary.counts"])
        for token in (END, UNKNOWN):
            if token not in vocabulary:
                raise ValueError(f"expected {token} in the vocabulary")
        model._vocabulary = vocabulary  # pyright: ignore[reportPrivateUsage]
        model.restore({name[len(_LEARNED) :]: a for name, a in tensors.items() if name.startswith(_LEARNED)})
    except KeyError as error:
        raise ValueError(f"{path}: the file was changed, it lacks {error}") from None
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: the file was changed, {error}") from None
    return model


def _kinds(wanted: "type[LanguageModel]") -> "list[type[LanguageModel]]":
    return [wanted, *(kind for inner in wanted.__subclasses__() for kind in _kinds(inner))]
