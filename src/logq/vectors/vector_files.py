"""Files of word vectors: safetensors with a summary in JSON. Those of other tools are in `exchange_formats`."""

import json
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq._files import atomic_write, parsing
from logq._model_file import FILE as MODEL_FILE
from logq._model_file import pack_strings, read_kind, read_metadata, read_tensors, write_tensors
from logq.text.character_ngrams import CharacterNgrams
from logq.text.words import check_utf8_forms
from logq.vectors.mapped_tensor import ScaledRows, map_tensor
from logq.vectors.nearest_words import norms
from logq.vectors.stored_words import StoredWords
from logq.vectors.subwords import Subwords
from logq.vectors.vector_arguments import Vectors, read_only
from logq.vectors.word_parts import WordParts

__all__ = [
    "FILE",
    "MODEL_FILE",
    "SUMMARY",
    "StoredVectors",
    "is_ours",
    "is_safetensors",
    "read_safetensors",
    "write_safetensors",
]

FILE = "vectors.safetensors"
SUMMARY = "vectors.json"

_FORMAT = "logq.keyed_vectors"
_VERSION = "1"
_ROWS = 1 << 14  # made int8 at a time

_NGRAMS = ("ngram_vectors", "ngram_kinds", "ngram_buckets")

_MODEL = "logq.word_vectors"  # what a whole Word2Vec says that it is, see logq.estimators.FORMATS
_OF_MODEL = {
    "learned/vectors": "vectors",
    "vocabulary.words": "words",
    "vocabulary.offsets": "word_offsets",
    "vocabulary.counts": "counts",
}
_NGRAMS_OF_MODEL = "learned/engine/ngrams"


class StoredVectors(NamedTuple):
    """What a file holds.

    Args:
        words: V; as they lie in the file if it is mapped.
        vectors: (V, D).
        counts: (V,), or None.
        subwords: the vectors of character n-grams, or None.
        lengths: (V,) of the vectors, as `norms` gives them; None for files of older versions and whole models.
    """

    words: Sequence[str]
    vectors: Vectors | ScaledRows
    counts: NDArray[np.int64] | None
    subwords: Subwords | None
    lengths: NDArray[np.float64] | None


def write_safetensors(
    folder: str | os.PathLike[str],
    words: Sequence[str],  # V
    vectors: NDArray[np.float32] | NDArray[np.float16],  # (V, D)
    counts: NDArray[np.int64] | None,  # (V,)
    info: Mapping[str, Any] | None = None,
    *,
    dtype: str | None = None,
    subwords: Subwords | None = None,
) -> None:
    """Write word vectors and their summary into a folder, which is created if it is missing.

    Each file is replaced atomically, the summary last.

    Args:
        folder: the folder of `vectors.safetensors` and `vectors.json`.
        words: the V words.
        vectors: their vectors.
        counts: how often each occurred, or None.
        info: how the vectors were made, for the summary; must be JSON.
        dtype: of the file: "float32", "float16" or "int8"; None is that of the vectors.
        subwords: the vectors of character n-grams, if there are any.

    Raises:
        ArgumentTypeError: JSON cannot hold `info`.
        ArgumentError: a word has no UTF-8 form.
        OSError: a file cannot be written.
    """
    if dtype is not None:
        info = {**(info or {}), "stored_as": dtype}
    summary = {"format": _FORMAT, "version": _VERSION, "words": len(words), "dimensions": int(vectors.shape[1])}
    try:
        text = json.dumps({**summary, "info": dict(info or {})}, indent=2, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError("info", "what JSON can hold", Verbatim(error)) from None
    check_utf8_forms("words", words)
    joined, offsets = pack_strings(words)
    stored = _stored(vectors, dtype)
    tensors: dict[str, NDArray[Any]] = {
        **stored,
        "lengths": norms(ScaledRows(stored["vectors"], stored["scales"]) if "scales" in stored else stored["vectors"]),
        "words": joined,
        "word_offsets": offsets,
    }
    if counts is not None:
        tensors["counts"] = np.ascontiguousarray(counts, dtype=np.int64)
    if subwords is not None:
        kinds = subwords.ngrams
        if dtype == "int8":
            raise ArgumentError("dtype", "float32 or float16 for vectors with those of n-grams", dtype)
        tensors["ngram_vectors"] = _stored(subwords.vectors, dtype)["vectors"]
        tensors["ngram_kinds"] = np.array([kinds.minn, kinds.maxn, kinds.buckets])
        if subwords.buckets is not None:
            tensors["ngram_buckets"] = subwords.buckets
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with atomic_write(target / FILE) as file:
        write_tensors(file, tensors, {"format": f"{_FORMAT} {_VERSION}"})
    with atomic_write(target / SUMMARY) as file:
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")


def _stored(vectors: NDArray[np.float32] | NDArray[np.float16], dtype: str | None) -> dict[str, NDArray[Any]]:
    """The tensors that hold the vectors."""
    if dtype != "int8":
        with np.errstate(over="ignore"):
            stored = vectors if dtype is None else vectors.astype(dtype)
        if dtype == "float16" and not np.isfinite(stored).all():
            raise ArgumentError("dtype", "float32, as a number is too large for float16", Verbatim(dtype))
        return {"vectors": stored}
    largest = np.maximum(vectors.max(axis=1), -vectors.min(axis=1)).astype(np.float32)
    scales = np.maximum(largest / 127, np.finfo(np.float32).tiny)
    steps = np.empty(vectors.shape, np.int8)
    for start in range(0, len(vectors), _ROWS):
        part = slice(start, start + _ROWS)
        steps[part] = np.rint(vectors[part] / scales[part, None]).clip(-127, 127)
    return {"vectors": steps, "scales": scales}


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Whether `save` wrote what is there, a folder or a file, which can be mapped.

    Example:
        >>> is_ours("vectors.safetensors"), is_ours("-")
        (True, False)
    """
    return os.path.isdir(path) or is_safetensors(path)


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named .safetensors, or begins as such files do.

    Example:
        >>> is_safetensors("vectors.safetensors")
        True
    """
    if os.fspath(path).endswith(".safetensors"):
        return True
    if os.fspath(path) == "-":
        return False
    with open(path, "rb") as file:
        start = file.read(9) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
        # It begins with the length of its JSON header in 8 bytes, then the header.
        return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= os.path.getsize(path)


def read_safetensors(path: str | os.PathLike[str], *, check: bool = True, mmap: bool = False) -> StoredVectors:
    """Read what `write_safetensors` wrote, or the vectors out of a whole Word2Vec.

    Args:
        path: the file `vectors.safetensors`, or `model.safetensors`, under any name.
        check: compare the digests in the file, at about the speed of a copy.
        mmap: leave the vectors where they are, a read-only map of the file, and make no strings of the words.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged or truncated, or does not hold word vectors; the message names it.
    """
    name = os.fspath(path)
    # One entry for both: safetensors writes two in any order, and equal vectors would make different files.
    metadata = read_metadata(name)
    kind, _, version = metadata.get("format", "").partition(" ")
    if not kind and "logq" in metadata and read_kind(name, format=_MODEL):
        settings = json.loads(metadata["logq"])["info"]["settings"]
        mmap = mmap and not settings.get("subwords")  # words that consist of n-grams have no vectors in the file
        tensors = _read(name, [*_OF_MODEL, _NGRAMS_OF_MODEL], ("learned/vectors",), check=check, mmap=mmap)
        of_ngrams = tensors.pop(_NGRAMS_OF_MODEL, None)
        stored = _unpack(name, {_OF_MODEL[key]: tensor for key, tensor in tensors.items()}, mmap=mmap)
        return _composed(name, stored, settings, of_ngrams) if settings.get("subwords") else stored
    if kind != _FORMAT:
        raise ValueError(f"{name}: expected word vectors of logq, the file holds other tensors")
    if version != _VERSION:
        raise ValueError(
            f"{name}: expected version {_VERSION} of the format, got {version!r}; a newer logq can read it"
        )
    names = ("vectors", "scales", "lengths", "words", "word_offsets", "counts", *_NGRAMS)
    return _unpack(name, _read(name, names, ("vectors", "ngram_vectors"), check=check, mmap=mmap), mmap=mmap)


def _composed(
    name: str, own: StoredVectors, settings: Mapping[str, Any], of_ngrams: NDArray[Any] | None
) -> StoredVectors:
    """The vectors of words of a model, by their own rows and those of their n-grams."""
    with parsing(name):
        kinds = CharacterNgrams(*(settings[key] for key in ("minn", "maxn", "buckets")))
        parts = WordParts.of(own.words, kinds)
        expected = (len(parts.buckets), own.vectors.shape[1])
        if of_ngrams is None or of_ngrams.dtype != np.float32 or of_ngrams.shape != expected:
            raise ValueError(f"expected vectors of n-grams, float32 {expected}")
        vectors = parts.means(np.concatenate([own.vectors, of_ngrams]))
    return own._replace(vectors=vectors, subwords=Subwords(kinds, read_only(of_ngrams), parts.buckets))


def _read(
    name: str, names: Collection[str], tables: Sequence[str], *, check: bool, mmap: bool
) -> dict[str, NDArray[Any]]:
    """The tensors of these names, of which the tables may be mapped: the first, and others that there are."""
    if not mmap:
        return read_tensors(name, check=check, only=names)
    tensors = read_tensors(name, check=check, only=[each for each in names if each not in tables])
    mapped = [tables[0], *(tables[1:] if "ngram_kinds" in tensors else ())]
    return {**tensors, **{table: map_tensor(name, table) for table in mapped}}


def _unpack(name: str, tensors: dict[str, NDArray[Any]], *, mmap: bool) -> StoredVectors:
    half = "vectors" in tensors and tensors["vectors"].dtype == np.float16
    kind = np.int8 if "scales" in tensors else np.float16 if half else np.float32
    expected: dict[str, tuple[Any, int]] = {
        "vectors": (kind, 2),
        "words": (np.uint8, 1),
        "word_offsets": (np.int64, 1),
    }
    if "scales" in tensors:
        expected["scales"] = (np.float32, 1)
    if "counts" in tensors:
        expected["counts"] = (np.int64, 1)
    if "lengths" in tensors:
        expected["lengths"] = (np.float64, 1)
    for key, (dtype, dimensions) in expected.items():
        if key not in tensors or tensors[key].dtype != dtype or tensors[key].ndim != dimensions:
            raise ValueError(f"{name}: expected a tensor {key!r}, {np.dtype(dtype)} with {dimensions} dimension(s)")
    vectors, joined, offsets = tensors["vectors"], tensors["words"], tensors["word_offsets"]
    of_rows = [tensors[key] for key in ("scales", "counts", "lengths") if key in tensors]
    fits = len(offsets) == len(vectors) + 1 and offsets[0] == 0 and offsets[-1] == len(joined)
    if not fits or (np.diff(offsets) < 0).any() or any(len(each) != len(vectors) for each in of_rows):
        raise ValueError(f"{name}: the file is damaged, its tensors do not fit together")
    lengths, scales = tensors.get("lengths"), tensors.get("scales")
    if lengths is not None and not (np.isfinite(lengths) & (lengths >= 0)).all():
        raise ValueError(f"{name}: the file is damaged, a vector in it has no length")
    words: Sequence[str] = StoredWords(name, joined, offsets)
    table: Vectors | ScaledRows = vectors if scales is None else ScaledRows(vectors, scales)
    if not mmap:
        words, table = list(words), np.asarray(table)
    return StoredVectors(words, table, tensors.get("counts"), _unpack_subwords(name, tensors), lengths)


def _unpack_subwords(name: str, tensors: dict[str, NDArray[Any]]) -> Subwords | None:
    if "ngram_vectors" not in tensors:
        return None
    of_words, table = tensors["vectors"], tensors["ngram_vectors"]
    kinds, buckets = tensors.get("ngram_kinds"), tensors.get("ngram_buckets")
    fits = table.dtype == of_words.dtype and table.ndim == 2 and table.shape[1] == of_words.shape[1]
    fits = fits and kinds is not None and kinds.dtype == np.int64 and kinds.shape == (3,)
    if not fits or (buckets is not None and (buckets.dtype != np.int32 or buckets.ndim != 1)):
        raise ValueError(f"{name}: the file is damaged, its tensors of n-grams do not fit together")
    assert kinds is not None
    try:
        return Subwords(CharacterNgrams(*kinds.tolist()), table, buckets)
    except ArgumentError as error:
        raise ValueError(f"{name}: the file is damaged, {error}") from None
