"""From a folder, a file or a model in memory to what answers for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentTypeError
from logq.folders.folder_contents import FolderError, find_contents
from logq.folders.index_folders import check_index_folder, load_index_of, load_index_of_words
from logq.serving.model_answers import ModelAnswers
from logq.serving.word_answers import WordAnswers
from logq.vectors.keyed_vectors import KeyedVectors

__all__ = ["answers_of", "open_answers", "open_model"]

_SERVED = "a recommender, word vectors or a language model"


def open_model(place: Path, *, device: str = "cpu") -> Any:
    """Open a model, with what lies beside it.

    Args:
        place: a folder of `logq train` or `save`; a file of word vectors of any tool; or a model in ARPA format, whose
            name has ".arpa" in it.
        device: of neural models.

    Returns:
        KeyedVectors, a RecommenderFolder or a language model.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: something else is there, or it is damaged.
    """
    if not place.exists():
        raise FileNotFoundError(f"{place}: there is no such file or folder")
    if not place.is_dir():
        if ".arpa" in place.name:
            from logq.language_models.ngram.ngram import NGram

            return NGram.from_arpa(place, progress=False)
        return KeyedVectors.load(place)
    there = find_contents(place)
    if there is None or there.family not in ("recommender", "word vectors", "language model"):
        raise FolderError(f"{place}: expected {_SERVED}, found {'none' if there is None else there.name}")
    if there.family == "word vectors":
        return KeyedVectors.load(place)
    from logq.folders.recommender_folders import load_language_model, open_folder

    return (open_folder if there.family == "recommender" else load_language_model)(place, device=device)


def open_answers(place: Path, indexes: Sequence[Path] = (), *, device: str = "cpu") -> ModelAnswers:
    """Open a model, with the indexes that were made from it.

    Args:
        place: as for `open_model`.
        indexes: folders of indexes.
        device: of neural models.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: something else is there, it is damaged, or an index is of another model.
    """
    for index in indexes:
        check_index_folder(index)
    model = open_model(place, device=device)
    if isinstance(model, KeyedVectors):
        return answers_of(model, [load_index_of_words(model, index) for index in indexes])
    if hasattr(model, "titles"):
        return answers_of(model, [load_index_of(model, index) for index in indexes])
    return answers_of(model, indexes)


def answers_of(model: Any, indexes: Sequence[Any] = ()) -> ModelAnswers:
    """What answers for a model in memory.

    Args:
        model: a recommender, alone or with what lies beside it; KeyedVectors or a Word2Vec; a language model.
        indexes: of its items or words.

    Raises:
        ArgumentTypeError: the model is none of these.
        ArgumentError: an index is not one of the model's.

    Example:
        >>> answers_of(KeyedVectors(["tea"], [[1.0]])).about["words"]
        1
    """
    if isinstance(model, KeyedVectors):
        return _of_words(model, indexes)
    family = getattr(model, "family", "")
    if family == "word vectors":
        return _of_words(model.vectors, indexes)
    if family == "language model":
        from logq.serving.text_answers import TextAnswers

        if indexes:
            raise ArgumentTypeError("index", "none with a language model, which searches nothing", list(indexes))
        return TextAnswers(model)
    if family == "recommender" or hasattr(model, "titles"):
        from logq.folders.recommender_folders import RecommenderFolder
        from logq.serving.recommender_answers import RecommenderAnswers

        found = model if isinstance(model, RecommenderFolder) else RecommenderFolder(model, None, None, None, {})
        return RecommenderAnswers(found, indexes)
    raise ArgumentTypeError("model", _SERVED, model)


def _of_words(vectors: KeyedVectors, indexes: Sequence[Any]) -> ModelAnswers:
    if len(indexes) > 1:
        raise ArgumentTypeError("index", "at most one with word vectors", list(indexes))
    return WordAnswers(vectors, *indexes)
