"""The table of formats that models are exported to, known by name without loading what writes them."""

import json
import os
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from logq._arguments import ArgumentError, Verbatim
from logq._files import atomic_write
from logq._project import version
from logq.estimators import Family

__all__ = ["EXPORTED", "FORMATS", "ExportFormat", "chosen_format", "export_model", "formats_for"]

EXPORTED = "export.json"
"""The file that tells what a folder is an export of, beside the files of the format."""


class ExportFormat(NamedTuple):
    """A line of the table.

    Args:
        name: what is typed.
        families: of models that have it.
        location: "module:function" of what writes it: of the model, a folder and titles of items or None.
        summary: a sentence for --help.
        needs: the name of an attribute that is true of the recommenders and language models that have it; "" for all.
        check: "module:function" of what raises where the libraries that write it are missing; "" where there are none.

    Example:
        >>> next(one.families for one in FORMATS if one.name == "arpa")
        ('language model',)
    """

    name: str
    families: tuple[Family, ...]
    location: str
    summary: str
    needs: str = ""
    check: str = ""

    def check_installed(self) -> None:
        """Check that what writes it is there.

        Raises:
            ModuleNotFoundError: it is not; the message says how to install it.
        """
        if self.check:
            pkgutil.resolve_name(self.check)()

    def fits(self, model: Any) -> bool:
        """Whether a model has this format."""
        family = family_of(model)
        has_it = not self.needs or bool(getattr(model, self.needs, family == "word vectors"))
        return family in self.families and has_it


FORMATS = (
    ExportFormat(
        "onnx",
        ("recommender",),
        "logq.exports.query_service:write_query_service",
        "The query tower for onnxruntime, with vectors, ids and titles of the items beside it.",
        needs="export",
        check="logq.recommenders.neural.query_export:check_onnx",
    ),
    ExportFormat(
        "static-embedding",
        ("word vectors",),
        "logq.exports.word_exports:write_static",
        "StaticEmbedding of sentence-transformers: means of word vectors.",
    ),
    ExportFormat(
        "arpa", ("language model",), "logq.exports.word_exports:write_arpa", "N-grams as KenLM reads them.", "to_arpa"
    ),
    ExportFormat(
        "arrays",
        ("recommender", "word vectors"),
        "logq.exports.vector_arrays:write_arrays",
        "Vectors as .npy, with ids, words, counts and titles.",
        needs="has_vectors",
    ),
    ExportFormat(
        "projector",
        ("recommender", "word vectors"),
        "logq.exports.vector_arrays:write_projector",
        "Tables for TensorFlow's Embedding Projector.",
        needs="has_vectors",
    ),
    ExportFormat("word2vec", ("word vectors",), "logq.exports.word_exports:write_text", "The text format of word2vec."),
    ExportFormat(
        "word2vec-binary", ("word vectors",), "logq.exports.word_exports:write_binary", "The binary format of word2vec."
    ),
    ExportFormat(
        "fasttext", ("word vectors",), "logq.exports.word_exports:write_fasttext_model", "A model of fastText, .bin."
    ),
)
"""All formats. The first one that fits a model is its default; a new one is a function, and a line here."""


def family_of(model: Any) -> Family:
    """The family of a model; KeyedVectors are word vectors.

    Example:
        >>> from logq import EASE
        >>> family_of(EASE())
        'recommender'
    """
    return getattr(model, "family", "word vectors")


def formats_for(model: Any) -> list[ExportFormat]:
    """The formats that a model has.

    Example:
        >>> from logq import KeyedVectors
        >>> [one.name for one in formats_for(KeyedVectors(["a"], [[1.0]]))][:2]
        ['static-embedding', 'arrays']
    """
    return [one for one in FORMATS if one.fits(model)]


def chosen_format(model: Any, format: str | None = None) -> ExportFormat:
    """The format that a model is exported to, of which all is there that it needs.

    Args:
        model: a model, or its class, where it is not loaded yet.
        format: its name; None takes the first one that fits the model.

    Raises:
        ArgumentError: the model does not have the format.
        ModuleNotFoundError: a library that writes it is not installed.

    Example:
        >>> from logq import YoutubeDNN
        >>> chosen_format(YoutubeDNN).name
        'onnx'
    """
    called = (model if isinstance(model, type) else type(model)).__name__
    fitting = formats_for(model)
    names = ", ".join(one.name for one in fitting)
    if format is not None and format not in {one.name for one in FORMATS}:
        raise ArgumentError("format", f"one of {', '.join(one.name for one in FORMATS)}", format)
    chosen = next((one for one in fitting if format in (None, one.name)), None)
    if chosen is None:
        if names:
            raise ArgumentError("format", f"one of those that {called} has: {names}", Verbatim(format))
        hint = (
            "it is neither a network nor vectors; `logq serve` answers from it, `logq recommend --all` writes answers"
        )
        raise ArgumentError("model", "one that another program can read", Verbatim(called), hint)
    chosen.check_installed()
    return chosen


def export_model(
    model: Any, folder: str | os.PathLike[str], format: str | None = None, *, titles: Sequence[str] | None = None
) -> str:
    """Write a fitted model into a folder, in the format of another program.

    Args:
        model: an estimator or KeyedVectors.
        folder: empty, or with an earlier export in it, which is replaced; made if it is missing.
        format: the name of one of FORMATS; None takes the first one that fits the model.
        titles: of the items of a recommender, in the order of `item_ids`.

    Returns:
        The name of the format.

    Raises:
        ArgumentError: the model does not have the format, or the folder has something else in it.
        AttributeError: the model is not fitted.
        ModuleNotFoundError: a library that writes the format is not installed.
        OSError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from logq import KeyedVectors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_model(KeyedVectors(["tea"], [[1.0, 2.0]]), folder, "word2vec")
        ...     print(Path(folder, "vectors.txt").read_text(), end="")
        'word2vec'
        1 2
        tea 1 2
    """
    if not getattr(model, "is_fitted", True):
        raise AttributeError(f"{type(model).__name__}: it has learned nothing yet, call fit first")
    chosen = chosen_format(model, format)
    home = Path(folder)
    if home.is_dir() and any(home.iterdir()) and not (home / EXPORTED).exists():
        raise ArgumentError("folder", "an empty folder, or one with an earlier export", os.fspath(folder))
    home.mkdir(parents=True, exist_ok=True)
    before, replaced = _stamps(home), _exported(home)
    pkgutil.resolve_name(chosen.location)(model, home, titles)
    written = [name for name, stamp in _stamps(home).items() if before.get(name) != stamp]
    about = {"format": chosen.name, "model": type(model).__name__, "logq": version(), "files": sorted(written)}
    with atomic_write(home / EXPORTED) as file:
        file.write((json.dumps(about, indent=1) + "\n").encode())
    for name in before.keys() & replaced - {*written, EXPORTED}:
        (home / name).unlink(missing_ok=True)
    return chosen.name


def _stamps(home: Path) -> dict[str, tuple[int, int]]:
    """The files in a folder, with what tells that one was written anew."""
    found = {file.name: file.stat() for file in home.iterdir() if file.is_file()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def _exported(home: Path) -> set[str]:
    """The names of the files of an earlier export, whose ids, titles or users a service must not read."""
    try:
        return set(json.loads((home / EXPORTED).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
