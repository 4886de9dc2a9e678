r"""Files of word vectors that other tools read and write: the formats of word2vec, GloVe and fastText.

    text      a line `V D`, or none in files of GloVe; then for each word a line of it and its D numbers in decimal,
              separated by blanks
    binary    a line `V D`; then for each word it, a space, its D numbers as float32 (little-endian), and a newline if
              word2vec.c wrote the file, nothing if gensim did

A file is text unless its bytes say otherwise. Files that end early or hold more than their first line says are errors
here, as are numbers that are not finite; the message names the line, or the word of a binary file, and the cause.
"""

import contextlib
import gzip
import os
import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, Literal, NamedTuple, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq._compression import InputFile, open_bytes
from logq._files import atomic_write
from logq._text_encodings import Utf8Pieces, check_encoding, kind_of_file, looks_like_utf16, warn_of_guess
from logq._warnings import warn
from logq.text.words import LONGEST_WORD, has_utf8_form
from logq.vectors.vector_lines import Header, Row, as_header, check_size, is_number, read_header, text_header, text_rows

__all__ = ["Duplicates", "Errors", "ReadingOptions", "check_dtype", "read_vectors", "write_word2vec_format"]

Errors: TypeAlias = Literal["strict", "replace", "ignore"]
Duplicates: TypeAlias = Literal["error", "first", "last"]
Vectors: TypeAlias = "NDArray[np.float32] | NDArray[np.float16]"

_SAMPLE = 1 << 18  # bytes that show the format, more than the longest word
_BLOCK = 1 << 20  # bytes read at a time
_LOOKED_AT = 64  # bytes of numbers, at least, that show whether they are binary
_FIRST_NUMBERS = 1 << 22  # numbers that there is room for at first; more are allocated as they come
_TOO_LARGE = 1e15  # for a number in a vector that was trained
_LARGEST_TENSOR_HEADER = 100 << 20  # bytes, in safetensors
_FASTTEXT = b"\xba\x16\x4f\x2f"


def write_word2vec_format(
    path: str | os.PathLike[str],
    words: Sequence[str],  # V
    vectors: Vectors,  # (V, D)
    *,
    binary: bool = False,
    newline: bool = True,
) -> None:
    """Write word vectors in a format of word2vec; the file is replaced atomically.

    Args:
        path: the file to write, with gzip if its name ends in .gz.
        words: the V words.
        vectors: their vectors. Text has nine digits of each number, which restore the same float32.
        binary: write the binary instead of the text format.
        newline: in the binary format, whether a newline follows each vector, as from word2vec.c.

    Raises:
        ArgumentError: a word is empty, holds white space, has no UTF-8 form or more than 65,536 bytes.
        OSError: the file cannot be written.
    """
    encoded = [word.encode("utf-8") if has_utf8_form(word) else b"" for word in words]
    for word, text in zip(words, encoded, strict=True):
        if text.split() != [text]:
            raise ArgumentError("words", "words without white space that have a UTF-8 form", word)
        if len(text) > LONGEST_WORD:
            raise ArgumentError("words", f"words of at most {LONGEST_WORD:,} bytes", word)
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    end = b"\n" if newline or not binary else b""
    numbers = " ".join(["%.9g"] * rows.shape[1])
    with contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(atomic_write(path))
        if os.fspath(path).lower().endswith(".gz"):
            compressed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            file = cast("BinaryIO", stack.enter_context(compressed))
        file.write(f"{len(encoded)} {rows.shape[1]}\n".encode())
        for word, row in zip(encoded, rows, strict=True):
            file.write(word + b" " + (row.tobytes() if binary else (numbers % tuple(row.tolist())).encode()) + end)


class ReadingOptions(NamedTuple):
    """How a file of word vectors is read; see `KeyedVectors.load`.

    Example:
        >>> ReadingOptions.checked(limit=10, dtype="float16").dtype
        dtype('float16')
    """

    limit: int | None = None
    dtype: "np.dtype[Any]" = np.dtype(np.float32)
    encoding: str | None = None
    errors: str = "strict"
    duplicates: str = "error"

    @classmethod
    def checked(
        cls,
        *,
        limit: int | None = None,
        dtype: DTypeLike = np.float32,
        encoding: str | None = None,
        errors: Errors = "strict",
        duplicates: Duplicates = "error",
    ) -> "ReadingOptions":
        """Check the options.

        Raises:
            ArgumentError, ArgumentTypeError: one is not as `KeyedVectors.load` describes it.
        """
        for name, value, choices in (
            ("errors", errors, get_args(Errors)),
            ("duplicates", duplicates, get_args(Duplicates)),
        ):
            if value not in choices:
                raise ArgumentError(name, f"one of {', '.join(choices)}", value)
        checked_limit = None if limit is None else check_int("limit", limit)
        return cls(checked_limit, check_dtype(dtype), check_encoding(encoding), errors, duplicates)


def check_dtype(dtype: DTypeLike) -> "np.dtype[Any]":
    """Return a dtype that vectors can be kept in: float32 or float16.

    Raises:
        ArgumentError: it is another.

    Example:
        >>> check_dtype("float16")
        dtype('float16')
    """
    try:
        checked = np.dtype(dtype)
    except TypeError:
        raise ArgumentTypeError("dtype", "float32 or float16", dtype) from None
    if checked not in (np.dtype(np.float32), np.dtype(np.float16)):
        raise ArgumentError("dtype", "float32 or float16", Verbatim(checked))
    return checked


def read_vectors(
    path: str | os.PathLike[str], options: ReadingOptions | None = None, *, binary: bool | None = None
) -> tuple[list[str], Vectors]:
    """Read word vectors in a format of word2vec, GloVe or fastText, compressed or not.

    Args:
        path: the file to read.
        options: see `KeyedVectors.load`.
        binary: whether the format is the binary one of word2vec; None goes by the bytes.

    Returns:
        words in the order of the file, and vectors (V, D).

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is truncated, its first line is wrong, a word comes twice, or a number is not
            finite; the message names the file and the line or word.
    """
    name = os.fspath(path)
    options = options or ReadingOptions()
    with open_bytes(name, kept=True) as file:
        start = file.read(_SAMPLE)
        _check_kind(name, start)
        pieces = chain([start], iter(lambda: file.read1(_BLOCK), b""))
        size = None if file.compression else file.size
        if _looks_binary(start) if binary is None else binary:
            with InputFile.of(pieces) as content:
                header = read_header(name, content)
                check_size(name, header, 2 + 4 * header.dim, size)
                return _Table(name, "word", header.dim, options).read(_binary_rows(name, content, header), header)
        text = Utf8Pieces(name, pieces, options.encoding, lenient=True)
        with InputFile.of(iter(text)) as content:
            header, lines = text_header(name, content, size)
            found = _Table(name, "line", header.dim, options).read(text_rows(name, lines, header), header)
        warn_of_guess(text)
        return found


def _check_kind(name: str, start: bytes) -> None:
    """Refuse files that are not what they are taken for, with the way to vectors that can be read."""
    if start.startswith(_FASTTEXT):
        raise ValueError(
            f"{name}: expected word vectors in text or of word2vec, this is a model of fastText (.bin), which "
            "KeyedVectors.load reads from a file"
        )
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < _LARGEST_TENSOR_HEADER:
        raise ValueError(
            f"{name}: expected vectors in text, or those of word2vec; safetensors are read from a file only"
        )
    kind = kind_of_file(start)
    if kind == "a pickle":
        raise ValueError(
            f"{name}: expected word vectors, this is a pickle, which can hold code and is not opened; if gensim "
            "made it, let gensim write it with save_word2vec_format"
        )
    if kind:
        raise ValueError(f"{name}: expected word vectors, it is {kind}")


def _looks_binary(start: bytes) -> bool:
    """Whether D numbers in binary follow the first word, and not text."""
    if looks_like_utf16(start):
        return False
    line, newline, rest = start.partition(b"\n")
    header = as_header(line)
    if header is None or not newline or header.dim < 1:
        return False
    first, _, _ = rest.partition(b"\n")
    if len(first.split()) == header.dim + 1 and all(map(is_number, first.split()[1:])):
        return False
    looked_at = bytearray()
    while rest and len(looked_at) < _LOOKED_AT:  # the numbers of several words, where each has few
        _, blank, numbers = rest.partition(b" ")
        numbers = numbers if blank else rest
        looked_at += numbers[: 4 * header.dim]
        rest = numbers[4 * header.dim :]
    odd = sum(1 for byte in looked_at if byte > 0x7E or (byte < 0x20 and byte not in b"\t\n\v\f\r"))
    if odd <= len(looked_at) / 5:  # random floats have three times as many
        return False
    try:
        looked_at.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(looked_at) - 3:
            return True
    return any(byte < 0x20 and byte not in b"\t\n\v\f\r" for byte in looked_at)


class _Table:
    """Words and vectors as they are read; memory is allocated as they come, whatever the first line promises."""

    def __init__(self, name: str, unit: str, dim: int, options: ReadingOptions) -> None:
        self._name, self._unit, self._options = name, unit, options
        self._words: dict[str, int] = {}
        self._places = array("q")
        self._vectors = np.empty((max(1, _FIRST_NUMBERS // dim), dim), options.dtype)
        self._repeated = 0

    def read(self, rows: Iterator[Row], header: Header) -> tuple[list[str], Vectors]:
        limit = self._options.limit
        with np.errstate(over="ignore"):  # numbers too large for the dtype are found below
            for number, row in enumerate(rows, 1):
                self._add(row)
                if number == limit:
                    break
        self._vectors.resize((len(self._words), header.dim), refcheck=False)
        self._check_finite()
        if self._repeated:
            kept = self._options.duplicates
            words = "word" if self._repeated == 1 else "words"
            text = f"{self._name}: {self._repeated:,} {words} came again; the {kept} vector of each was kept"
            warn(text)
        return list(self._words), self._vectors

    def _add(self, row: Row) -> None:
        where = f"{self._name}, {self._unit} {row.place}"
        try:
            word = row.word.decode(self._word_encoding, self._options.errors)
        except UnicodeDecodeError:
            hint = "give encoding=, or errors='replace' if characters are cut"
            expected = self._word_encoding.upper()
            raise ValueError(f"{where}: expected {expected}, got the word {row.word[:40]!r}; {hint}") from None
        if not word:
            raise ValueError(f"{where}: expected a word, nothing of {row.word[:40]!r} is left; take errors='replace'")
        index = len(self._words)
        known = self._words.setdefault(word, index)
        if known != index:
            if self._options.duplicates == "error":
                hint = "duplicates='first' or 'last' keeps one"
                raise ValueError(f"{where}: the word {word!r} is there twice; {hint}")
            self._repeated += 1
            if self._options.duplicates == "last":
                self._vectors[known] = row.numbers
            return
        if index == len(self._vectors):
            self._vectors.resize((index + max(index // 2, 1), self._vectors.shape[1]), refcheck=False)
        self._vectors[index] = row.numbers
        self._places.append(row.place)

    @property
    def _word_encoding(self) -> str:
        return self._options.encoding or "utf-8" if self._unit == "word" else "utf-8"  # text is UTF-8 by now

    def _check_finite(self) -> None:
        rows = max(1, (1 << 20) // self._vectors.shape[1])  # at a time, so that no second table is allocated
        for start in range(0, len(self._vectors), rows):
            finite = np.isfinite(self._vectors[start : start + rows]).all(axis=1)
            if not finite.all():
                index = start + int(finite.argmin())
                of = "" if self._options.dtype == np.float32 else f" of {self._options.dtype}"
                where = f"{self._name}, {self._unit} {self._places[index]}"
                raise ValueError(f"{where}: expected finite numbers{of} for {list(self._words)[index]!r}")


def _binary_rows(name: str, file: BinaryIO, header: Header) -> Iterator[Row]:
    num_words, dim = header.num_words or 0, header.dim
    buffer, at = b"", 0
    before = np.empty(0, np.float32)
    for number in range(1, num_words + 1):
        space = buffer.find(b" ", at)
        while space < 0 or len(buffer) < space + 1 + 4 * dim:
            block = file.read(_BLOCK)
            if not block:
                raise ValueError(
                    f"{name}, word {number}: the file ends here, its first line promises {num_words} words"
                )
            buffer, at = buffer[at:] + block, 0
            space = buffer.find(b" ", at)
            if (space if space >= 0 else len(buffer)) > LONGEST_WORD + 1:
                raise ValueError(f"{name}, word {number}: expected a word and a space, found none; is the file binary?")
        word = buffer[at:space].lstrip(b"\n")  # the newline after the vector before, if there is one
        if not word:
            raise ValueError(f"{name}, word {number}: expected a word, got none")
        numbers = np.frombuffer(buffer, dtype="<f4", count=dim, offset=space + 1)
        if _is_shifted(word, before):
            raise ValueError(
                f"{name}, word {number}: expected a word, got {word[:40]!r}; either D in the first line is not the "
                "number of dimensions, or the word before has a blank in it, which this format cannot tell"
            )
        yield Row(number, word, numbers)
        before = numbers
        at = space + 1 + 4 * dim
    if (buffer[at:] + file.read(_BLOCK)).strip(b"\n"):
        raise ValueError(f"{name}: expected the end after the {num_words} words that the first line promises")


def _is_shifted(word: bytes, before: NDArray[np.float32]) -> bool:
    """Whether bytes that should be a word have those of numbers in them: the row before ended elsewhere."""
    if any(blank in word for blank in b"\n\r\t"):
        return True
    # The rest of the word and its blank, read as numbers, are out of all proportion.
    cut = re.match(rb"[^\x00-\x20]+ ", before.tobytes()[:LONGEST_WORD])
    odd = any(byte < 0x20 for byte in word) or not _is_utf8(word)
    return cut is not None and odd and not bool((np.abs(before) < _TOO_LARGE).all())


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
