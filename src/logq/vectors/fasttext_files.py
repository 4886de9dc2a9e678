"""Models of fastText, .bin: words, their counts, and two tables, of words with n-grams and of outputs.

    magic, version      int32 793712314, 12
    arguments           int32 dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate, double t
    dictionary          int32 entries, words, labels; int64 tokens, pruned n-grams (-1: not pruned); of each entry its
                        bytes and a 0, int64 count, int8 type (0: word)
    inputs              a byte, 1 if quantized; int64 rows (words + buckets), dim; float32
    outputs             the same, rows of words or labels

All little-endian. A vector is the mean of the row of the word and the rows of its n-grams.
"""

import mmap
import os
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq._compression import compression_of, open_bytes
from logq._files import DamagedFileError, atomic_write
from logq.text.character_ngrams import CharacterNgrams
from logq.text.words import check_utf8_forms
from logq.vectors.subwords import Subwords, mean_rows, with_own_rows
from logq.vectors.vector_arguments import Vectors, read_only

__all__ = ["FastTextModel", "is_fasttext", "read_fasttext", "write_fasttext"]

_MAGIC, _VERSION = 793712314, 12
_READABLE = (11, 12)
_DEFAULTS = {
    **{"dim": 0, "ws": 5, "epoch": 5, "minCount": 1, "neg": 5, "wordNgrams": 1},
    **{"loss": 2, "model": 2, "bucket": 0, "minn": 0, "maxn": 0, "lrUpdateRate": 100},
}
_ARGUMENTS = list(_DEFAULTS)
_LARGEST_DIM = 100_000
_ROWS = 1 << 12  # written at a time


class FastTextModel(NamedTuple):
    """What a file holds.

    Args:
        words: V, in its order.
        counts: (V,) int64.
        vectors: (V, D), the means of the rows of each word.
        subwords: its n-grams, mapped from the file where that is possible; None for a model without.
        arguments: of fastText, by its names.
    """

    words: list[str]
    counts: NDArray[np.int64]
    vectors: Vectors
    subwords: Subwords | None
    arguments: dict[str, float]


def is_fasttext(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a model of fastText does, compressed or not; standard input is not looked at.

    Example:
        >>> is_fasttext("-")
        False
    """
    if os.fspath(path) == "-" or not stat.S_ISREG(os.stat(path).st_mode):
        return False
    with open_bytes(os.fspath(path)) as file:
        return file.read(4) == struct.pack("<i", _MAGIC)


class _Bytes:
    """The bytes of a file, taken from the front."""

    def __init__(self, name: str, data: "mmap.mmap | bytes") -> None:
        self.name, self.data, self.at = name, data, 0

    def take(self, layout: str, what: str) -> tuple[Any, ...]:
        end = self.skip(struct.calcsize("<" + layout), what)
        return struct.unpack_from("<" + layout, self.data, end - struct.calcsize("<" + layout))

    def skip(self, size: int, what: str) -> int:
        if self.at + size > len(self.data):
            raise DamagedFileError(
                f"{self.name}: the file is damaged or truncated, it ends at byte {len(self.data):,} inside of {what}"
            )
        self.at += size
        return self.at

    def word(self, number: int) -> bytes:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            self.skip(len(self.data) + 1, f"entry {number} of the dictionary")
        word = self.data[self.at : end]
        self.at = end + 1
        return word

    def wrong(self, what: str) -> DamagedFileError:
        return DamagedFileError(f"{self.name}: the file is damaged, {what}")


def read_fasttext(
    path: str | os.PathLike[str],
    *,
    limit: int | None = None,
    dtype: "np.dtype[Any] | type[np.floating]" = np.float32,
    encoding: str | None = None,
    errors: str = "strict",
    duplicates: str = "error",
) -> FastTextModel:
    """Read a model of fastText; the output vectors are passed over.

    A file that is not compressed is mapped: of its n-grams the parts are in memory that are asked for.

    Args:
        path: the file.
        limit: see `KeyedVectors.load`, like all others.
        dtype: float32 or float16.
        encoding: of the words.
        errors: of bytes that are invalid in it.
        duplicates: of words that come again.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, truncated, quantized or of another version; the message names it.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        start = file.read(8)
        if not start:
            raise DamagedFileError(f"{name}: expected a model of fastText, the file is empty")
        if compression_of(start):
            with open_bytes(name) as unpacked:
                data: mmap.mmap | bytes = unpacked.read()
        else:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return _parse(_Bytes(name, data), limit, np.dtype(dtype), encoding or "utf-8", errors, duplicates)


def _parse(
    source: _Bytes, limit: int | None, dtype: "np.dtype[Any]", encoding: str, errors: str, duplicates: str
) -> FastTextModel:
    arguments = _read_arguments(source)
    kinds = CharacterNgrams(
        *(int(arguments[key]) if arguments["maxn"] > 0 else 0 for key in ("minn", "maxn", "bucket"))
    )
    words, counts = _read_dictionary(source)
    if source.take("?", "the inputs")[0]:
        raise ValueError(
            f"{source.name}: this model of fastText is quantized (.ftz): of its vectors only codes are left; take the "
            "file .bin that it was made from"
        )
    table = _read_table(source, "the inputs", int(arguments["dim"]))
    if len(table) != len(words) + int(arguments["bucket"]):
        raise source.wrong(
            f"it has {len(table):,} rows for {len(words):,} words and {int(arguments['bucket']):,} buckets"
        )
    source.take("?", "the outputs")
    _read_table(source, "the outputs", int(arguments["dim"]))
    if source.at != len(source.data):
        raise source.wrong(f"{len(source.data) - source.at:,} bytes follow its last table")
    rows, decoded = _decode(source, words[:limit], encoding, errors, duplicates)
    chosen = words if len(rows) == len(words) else [words[row] for row in rows.tolist()]
    parts = _parts(kinds, chosen, rows, len(words))
    vectors = read_only(mean_rows(table, *parts, dtype=dtype))
    subwords = None
    if kinds.maxn > 0:
        ngram_rows = table[len(words) :]
        subwords = Subwords(kinds, ngram_rows if dtype == np.float32 else read_only(ngram_rows.astype(dtype)))
    return FastTextModel(decoded, counts[rows], vectors, subwords, arguments)


def _read_arguments(source: _Bytes) -> dict[str, float]:
    magic, version = source.take("ii", "its first line")
    if magic != _MAGIC:
        raise ValueError(f"{source.name}: expected a model of fastText, it does not begin as one")
    if version not in _READABLE:
        expected = " or ".join(map(str, _READABLE))
        raise ValueError(f"{source.name}: expected version {expected} of fastText's format, got {version}")
    *numbers, threshold = source.take(f"{len(_ARGUMENTS)}id", "the arguments")
    arguments: dict[str, float] = {**dict(zip(_ARGUMENTS, numbers, strict=True)), "t": threshold}
    if version == 11 and arguments["model"] == 3:  # as fastText has it: classifiers had no n-grams of characters
        arguments["maxn"] = 0
    dim, bucket, minn, maxn = (arguments[key] for key in ("dim", "bucket", "minn", "maxn"))
    if not 1 <= dim <= _LARGEST_DIM:
        raise source.wrong(f"its vectors have {dim:,} dimensions")
    if 0 < maxn < minn:  # which fastText takes for no n-grams
        arguments["maxn"] = maxn = 0
    if bucket < 0 or not 0 <= maxn <= 100 or (maxn > 0 and not (minn >= 0 and bucket > 0)):
        raise source.wrong(f"it has n-grams of {minn} to {maxn} characters in {bucket:,} buckets")
    return arguments


def _read_dictionary(source: _Bytes) -> tuple[list[bytes], NDArray[np.int64]]:
    size, num_words, num_labels, _, pruned = source.take("iiiqq", "the dictionary")
    if min(size, num_words, num_labels) < 0 or num_words + num_labels != size or pruned < -1:
        raise source.wrong(f"of {size:,} entries {num_words:,} are words and {num_labels:,} labels")
    if size * 10 > len(source.data):
        raise source.wrong(f"it is too short for {size:,} words")
    words: list[bytes] = []
    counts = np.zeros(num_words, np.int64)
    for number in range(size):
        word = source.word(number)
        count, kind = source.take("qb", f"entry {number} of the dictionary")
        if (kind == 0) != (number < num_words) or kind not in (0, 1) or count < 0:
            raise source.wrong(f"entry {number} of the dictionary, {word[:40]!r}, has type {kind} and count {count}")
        if kind == 0:
            counts[number] = count
            words.append(word)
    source.skip(8 * max(pruned, 0), "the pruned n-grams")
    return words, counts


def _read_table(source: _Bytes, what: str, dim: int) -> NDArray[np.float32]:
    rows, columns = source.take("qq", what)
    if columns != dim or rows < 0:
        raise source.wrong(f"{what} are a table of {rows:,} x {columns:,}, where vectors have {dim:,} dimensions")
    end = source.skip(4 * rows * columns, what)
    flat = np.frombuffer(source.data, "<f4", rows * columns, end - 4 * rows * columns)
    return flat.reshape(rows, columns)


def _decode(
    source: _Bytes, words: Sequence[bytes], encoding: str, errors: str, duplicates: str
) -> tuple[NDArray[np.int64], list[str]]:
    """The rows of the words that are taken, and what they are."""
    rows: dict[str, int] = {}
    for number, word in enumerate(words):
        try:
            text = word.decode(encoding, errors)
        except UnicodeDecodeError:
            hint = "give encoding=, or errors='replace'"
            raise ValueError(
                f"{source.name}, word {number + 1}: expected {encoding}, got {word[:40]!r}; {hint}"
            ) from None
        if not text:
            raise source.wrong(f"word {number + 1} of its dictionary is empty")
        if text in rows and duplicates == "error":
            hint = "duplicates='first' or 'last' keeps one"
            raise ValueError(f"{source.name}, word {number + 1}: the word {text!r} is there twice; {hint}")
        if text not in rows or duplicates == "last":
            rows[text] = number
    return np.fromiter(rows.values(), np.int64, len(rows)), list(rows)


def _parts(
    kinds: CharacterNgrams,
    words: Sequence[bytes],
    own: NDArray[np.int64],
    num_words: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets and rows of the table: of each word its own, then those of its n-grams, of the bytes in the file."""
    starts = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=starts[1:])
    offsets, buckets = kinds.of_bytes(b"".join(words), starts)
    return with_own_rows(offsets, buckets.astype(np.int64) + num_words, own)


def write_fasttext(
    path: str | os.PathLike[str],
    words: Sequence[str],  # V
    counts: NDArray[np.int64] | None,  # (V,)
    vectors: Vectors,  # (V, D)
    subwords: Subwords | None,
    *,
    outputs: NDArray[np.float32] | None = None,  # (V, D)
    arguments: Mapping[str, float] | None = None,
) -> None:
    """Write a model that fastText and gensim read, with the same vectors to 1e-6; the file is replaced atomically.

    All buckets of the n-grams have a row there, those without a vector zeros: 800 MB for the usual two million of 100
    dimensions.

    Args:
        path: the file to write.
        words: the words.
        counts: of each; 1 where they are not known.
        vectors: of each, of which the vectors of its n-grams are taken away for its own row.
        subwords: the n-grams; None writes a model without.
        outputs: the vectors that words are predicted by; zeros where they are not known.
        arguments: of fastText, by its names, such as epoch; nothing depends on them but a training that continues.

    Raises:
        ArgumentError: a word has a 0 in it or no UTF-8 form.
        OSError: the file cannot be written.
    """
    size, dim = vectors.shape
    kinds = CharacterNgrams(0, 0, 0) if subwords is None else subwords.ngrams
    check_utf8_forms("words", words)
    for word in words:
        if not word or "\0" in word:
            raise ArgumentError("words", "words that are not empty and have no character 0", word)
    encoded = [word.encode() for word in words]
    numbers = np.ones(size, np.int64) if counts is None else counts
    values = {**_DEFAULTS, **(arguments or {})}
    values.update(dim=dim, bucket=kinds.buckets, minn=kinds.minn, maxn=kinds.maxn)
    with atomic_write(path) as file:
        file.write(struct.pack("<ii", _MAGIC, _VERSION))
        settings = [int(values[name]) for name in _ARGUMENTS]
        file.write(struct.pack(f"<{len(_ARGUMENTS)}id", *settings, float(values.get("t", 1e-4))))
        file.write(struct.pack("<iiiqq", size, size, 0, int(numbers.sum()), -1))
        for word, count in zip(encoded, numbers.tolist(), strict=True):
            file.write(word + struct.pack("<xqb", count, 0))
        file.write(struct.pack("<?qq", False, size + kinds.buckets, dim))
        _write_rows(file, _own_rows(words, vectors, subwords))
        if subwords is not None:
            _write_rows(file, _bucket_rows(subwords))
        file.write(struct.pack("<?qq", False, size, dim))
        zeros = (np.zeros((min(_ROWS, size - at), dim)) for at in range(0, size, _ROWS))
        _write_rows(file, zeros if outputs is None else iter([outputs]))


def _write_rows(file: BinaryIO, parts: Iterator[NDArray[Any]]) -> None:
    for part in parts:
        for at in range(0, len(part), _ROWS):
            file.write(np.ascontiguousarray(part[at : at + _ROWS], "<f4").data)


def _own_rows(words: Sequence[str], vectors: Vectors, subwords: Subwords | None) -> Iterator[NDArray[Any]]:
    """What is left of each vector for the word itself: n times the mean, less the n - 1 n-grams."""
    for at in range(0, len(words), _ROWS):
        rows = vectors[at : at + _ROWS].astype(np.float64)
        if subwords is not None:
            offsets, found = subwords.ngrams.of(words[at : at + _ROWS])
            places = subwords.rows_of(found)
            rows *= (np.diff(offsets) + 1)[:, None]
            of_word = np.repeat(np.arange(len(rows)), np.diff(offsets))[places >= 0]
            np.subtract.at(rows, of_word, subwords.vectors[places[places >= 0]].astype(np.float64))
        yield rows


def _bucket_rows(subwords: Subwords) -> Iterator[NDArray[Any]]:
    if subwords.buckets is None:
        yield subwords.vectors
        return
    for at in range(0, subwords.ngrams.buckets, _ROWS):
        end = min(at + _ROWS, subwords.ngrams.buckets)
        rows = np.zeros((end - at, subwords.vectors.shape[1]), np.float32)
        first, last = np.searchsorted(subwords.buckets, [at, end])
        rows[subwords.buckets[first:last] - at] = subwords.vectors[first:last]
        yield rows
