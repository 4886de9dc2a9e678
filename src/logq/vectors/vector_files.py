r"""Files of word vectors: safetensors with a summary in JSON, and the two formats of the C program word2vec.

Most tools for word vectors read and write the formats of word2vec. Both begin with a line `V D`. Then comes, for each
word:

    text      the word and its D numbers in decimal, separated by spaces, and a newline
    binary    the word, a space, its D numbers as float32 (little-endian); then a newline if word2vec.c wrote the file,
              nothing if gensim did

Words are UTF-8 without white space. Files that end early or hold more than their first line says are errors here, as
are words that come twice.
"""

import contextlib
import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq._compression import open_bytes
from logq._files import atomic_write
from logq._model_file import write_tensors

__all__ = ["FILE", "SUMMARY", "read_safetensors", "read_word2vec_format", "write_safetensors", "write_word2vec_format"]

FILE = "vectors.safetensors"
SUMMARY = "vectors.json"

_FORMAT = "logq.keyed_vectors"
_VERSION = "1"

_BLOCK = 1 << 20  # bytes read at a time
_LONGEST_WORD = 1 << 16  # bytes; a file in which no word ends within that many is not in these formats
_GZIP_AT_BEST = 1100  # gzip compresses at most by a factor of 1032


def write_safetensors(
    folder: str | os.PathLike[str],
    words: Sequence[str],  # V
    vectors: NDArray[np.float32],  # (V, D)
    counts: NDArray[np.int64] | None,  # (V,)
    info: Mapping[str, Any] | None = None,
) -> None:
    """Write word vectors and their summary into a folder, which is created if it is missing.

    Each file is replaced atomically, the summary last.

    Args:
        folder: the folder of `vectors.safetensors` and `vectors.json`.
        words: the V words.
        vectors: their vectors.
        counts: how often each occurred, or None.
        info: how the vectors were made, for the summary; must be JSON.

    Raises:
        ArgumentTypeError: JSON cannot hold `info`.
        ArgumentError: a word has no UTF-8 form.
        OSError: a file cannot be written.
    """
    summary = {"format": _FORMAT, "version": _VERSION, "words": len(words), "dimensions": int(vectors.shape[1])}
    try:
        text = json.dumps({**summary, "info": dict(info or {})}, indent=2, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError("info", "what JSON can hold", Verbatim(error)) from None
    encoded = [_encode(word) for word in words]
    offsets = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum([len(word) for word in encoded], out=offsets[1:])
    tensors: dict[str, NDArray[Any]] = {
        "vectors": vectors.astype(np.float32, copy=False),
        "words": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        "word_offsets": offsets,
    }
    if counts is not None:
        tensors["counts"] = np.ascontiguousarray(counts, dtype=np.int64)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with atomic_write(target / FILE) as file:
        write_tensors(file, tensors, {"format": f"{_FORMAT} {_VERSION}"})
    with atomic_write(target / SUMMARY) as file:
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[list[str], NDArray[np.float32], NDArray[np.int64] | None]:
    """Read what `write_safetensors` wrote.

    Args:
        path: the file `vectors.safetensors`, under any name.

    Returns:
        words, vectors (V, D) and counts (V,) or None.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged or truncated, or does not hold word vectors; the message names it.
    """
    name = os.fspath(path)
    with open(name, "rb"):
        pass  # for Python's own error, which names the file, where it cannot be read
    try:
        with safe_open(name, framework="numpy") as file:
            # One entry for both: safetensors writes two in any order, and equal vectors would make different files.
            kind, _, version = (file.metadata() or {}).get("format", "").partition(" ")
            if kind != _FORMAT:
                raise ValueError(f"{name}: expected word vectors of logq, the file holds other tensors")
            if version != _VERSION:
                raise ValueError(
                    f"{name}: expected version {_VERSION} of the format, got {version!r}; a newer logq can read it"
                )
            tensors: dict[str, NDArray[Any]] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{name}: the file is damaged or truncated ({error})") from None
    return _unpack(name, tensors)


def _unpack(
    name: str, tensors: dict[str, NDArray[Any]]
) -> tuple[list[str], NDArray[np.float32], NDArray[np.int64] | None]:
    expected = {"vectors": (np.float32, 2), "words": (np.uint8, 1), "word_offsets": (np.int64, 1)}
    if "counts" in tensors:
        expected["counts"] = (np.int64, 1)
    for key, (dtype, dimensions) in expected.items():
        if key not in tensors or tensors[key].dtype != dtype or tensors[key].ndim != dimensions:
            raise ValueError(f"{name}: expected a tensor {key!r}, {np.dtype(dtype)} with {dimensions} dimension(s)")
    vectors, joined, offsets = tensors["vectors"], tensors["words"].tobytes(), tensors["word_offsets"]
    counts = tensors.get("counts")
    fits = len(offsets) == len(vectors) + 1 and offsets[0] == 0 and offsets[-1] == len(joined)
    if not fits or (np.diff(offsets) < 0).any() or (counts is not None and len(counts) != len(vectors)):
        raise ValueError(f"{name}: the file is damaged, its tensors do not fit together")
    bounds: list[int] = offsets.tolist()
    try:
        words = [joined[start:end].decode("utf-8") for start, end in pairwise(bounds)]
    except UnicodeDecodeError:
        raise ValueError(f"{name}: the file is damaged, a word in it is not UTF-8") from None
    return words, vectors, counts


def _encode(word: str) -> bytes:
    try:
        return word.encode("utf-8")
    except UnicodeEncodeError:
        raise ArgumentError("words", "words that have a UTF-8 form", word) from None


def write_word2vec_format(
    path: str | os.PathLike[str],
    words: Sequence[str],  # V
    vectors: NDArray[np.float32],  # (V, D)
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
        ArgumentError: a word is empty, holds white space or has no UTF-8 form.
        OSError: the file cannot be written.
    """
    encoded = [_encode(word) for word in words]
    for word, text in zip(words, encoded, strict=True):
        if text.split() != [text]:
            raise ArgumentError("words", "words without white space, for the formats of word2vec", word)
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


def read_word2vec_format(
    path: str | os.PathLike[str], *, binary: bool | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Read word vectors in a format of word2vec, also through gzip.

    Args:
        path: the file to read.
        binary: which format it is; None detects it from the first word.

    Returns:
        words in the order of the file, and vectors (V, D).

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is truncated, its first line is wrong, a word comes twice, or a number is not
            finite; the message names the file and the line or word.
    """
    name = os.fspath(path)
    if binary is None:
        binary = _looks_binary(name)
    unit = "word" if binary else "line"
    first = 1 if binary else 2  # the first line of a text file is V D
    words: dict[str, int] = {}
    with open_bytes(name) as file:
        num_words, dim = _read_header(name, file)
        _check_size(name, num_words, 2 + dim * (4 if binary else 2), compressed=isinstance(file, gzip.GzipFile))
        vectors = np.empty((num_words, dim), dtype=np.float32)
        rows = _binary_rows(name, file, num_words, dim) if binary else _text_rows(name, file, num_words, dim)
        with np.errstate(over="ignore"):  # numbers too large for float32 are found below
            for index, (word, row) in enumerate(rows):
                try:
                    decoded = word.decode("utf-8")
                except UnicodeDecodeError:
                    raise ValueError(f"{name}, {unit} {index + first}: expected UTF-8, got {word[:40]!r}") from None
                if words.setdefault(decoded, index) != index:
                    raise ValueError(f"{name}, {unit} {index + first}: the word {decoded!r} is there twice")
                vectors[index] = row
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        index = int(finite.argmin())
        raise ValueError(f"{name}, {unit} {index + first}: expected finite numbers for {list(words)[index]!r}")
    return list(words), vectors


def _read_header(name: str, file: BinaryIO) -> tuple[int, int]:
    line = file.readline(100)
    if line[:1] == b"\x80":
        raise ValueError(
            f"{name}: expected the word2vec format, this is a pickle, which can hold code and is not opened; if gensim "
            "made it, let gensim write it with save_word2vec_format"
        )
    try:
        num_words, dim = (int(number) for number in line.split())
    except ValueError:
        raise ValueError(
            f"{name}, line 1: expected the numbers of words and dimensions, 'V D', got {line[:40]!r}"
        ) from None
    if num_words < 0 or dim < 1 or not line.endswith(b"\n"):
        raise ValueError(f"{name}, line 1: expected V >= 0 words and D >= 1 dimensions, got {line[:40]!r}")
    return num_words, dim


def _check_size(name: str, num_words: int, smallest: int, *, compressed: bool) -> None:
    # Before memory is allocated: a wrong first line may promise more than any machine has. The last row may lack its
    # newline, and a gzip file can hold many times its size.
    available = os.path.getsize(name) * (_GZIP_AT_BEST if compressed else 1)
    if num_words * smallest > available + 1:
        raise ValueError(f"{name}: the file is too short for the {num_words} words that its first line promises")


def _looks_binary(name: str) -> bool:
    """Return whether the first word is followed by something other than D decimal numbers and a newline."""
    with open_bytes(name) as file:
        num_words, dim = _read_header(name, file)
        _, *numbers = file.readline(_LONGEST_WORD + 64 * dim).split() or [b""]
    try:
        return num_words > 0 and len([float(number) for number in numbers]) != dim
    except ValueError:
        return True


def _text_rows(name: str, file: BinaryIO, num_words: int, dim: int) -> Iterator[tuple[bytes, list[float]]]:
    number = 1
    for number, line in enumerate(file, 2):
        if number > num_words + 1:
            if line.strip():
                raise ValueError(f"{name}, line {number}: expected the end after the {num_words} words of line 1")
            continue
        word, *numbers = line.split() or [b""]
        if len(numbers) != dim:
            raise ValueError(f"{name}, line {number}: expected a word and {dim} numbers, got {len(numbers)} numbers")
        try:
            yield word, [float(value) for value in numbers]
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: expected a word and {dim} numbers, {error}") from None
    if number < num_words + 1:
        raise ValueError(f"{name}, line {number}: the file ends here, line 1 promises {num_words} words")


def _binary_rows(name: str, file: BinaryIO, num_words: int, dim: int) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
    buffer, at = b"", 0
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
            if (space if space >= 0 else len(buffer)) > _LONGEST_WORD:
                raise ValueError(f"{name}, word {number}: expected a word and a space, found none; is the file binary?")
        word = buffer[at:space].lstrip(b"\n")  # the newline after the vector before, if there is one
        if not word:
            raise ValueError(f"{name}, word {number}: expected a word, got none")
        yield word, np.frombuffer(buffer, dtype="<f4", count=dim, offset=space + 1)
        at = space + 1 + 4 * dim
    if (buffer[at:] + file.read(_BLOCK)).strip(b"\n"):
        raise ValueError(f"{name}: expected the end after the {num_words} words that the first line promises")
