r"""ARPA files: back-off models as text, which toolkits for language models share.

    \data\
    ngram 1=4
    ngram 2=3
                                    <- log10 P, the words, and log10 of the context's weight where there is one
    \1-grams:
    -0.6    <unk>   0
    ...
    \end\

References:
    https://www.speech.sri.com/projects/srilm/manpages/ngram-format.5.html
"""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq._files import atomic_write
from logq._mapped_file import release_mapped
from logq._progress import Progress
from logq._text_encodings import open_text
from logq.language_models.ngram.backoff import BackoffTable, Floats, Floats32
from logq.language_models.ngram.ngram_counts import Ids64, find
from logq.text.tokens import END, UNKNOWN

__all__ = ["read_arpa", "write_arpa"]

START = "<s>"
ZERO = -99.0
"""Written for log10 of 0."""

_LINES = 1 << 16  # at a time
_RELEASED = 16 * _LINES
_PREAMBLE = 1000  # lines
_LN10 = np.log(10.0)
_NOTHING = (np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32))


def write_arpa(
    path: str | os.PathLike[str], table: BackoffTable, words: Sequence[str], progress: bool | None = False
) -> None:
    """Write a table; see NGram.to_arpa.

    Raises:
        ArgumentError: a word is empty, has white space in it, is <s>, or cannot be UTF-8.
        OSError: the file cannot be written.
    """
    for word in words:
        if word.split() != [word] or word == START or word.encode("utf-8", "replace").decode() != word:
            raise ArgumentError("words", f"words without white space other than {START}, as ARPA files need", word)
    names = np.array([*words, START], dtype=object)
    with atomic_write(path) as file, Progress(sum(table.sizes), "n-grams", "writing", progress) as bar:
        lines = ["", "\\data\\", *(f"ngram {n}={size}" for n, size in enumerate(table.sizes, 1)), "", ""]
        file.write("\n".join(lines).encode())
        for n, size in enumerate(table.sizes, 1):
            file.write(f"\\{n}-grams:\n".encode())
            for start in range(0, size, _LINES):
                stop = min(start + _LINES, size)
                file.write(_lines(table, n, start, stop, names).encode())
                if start % _RELEASED == 0:
                    for array in (*table.keys, *table.log_probs, *table.weights):
                        release_mapped(array)
                bar.advance(stop - start)
            file.write(b"\n")
        file.write(b"\\end\\\n")


def _lines(table: BackoffTable, n: int, start: int, stop: int, names: NDArray[Any]) -> str:
    texts = [" ".join(row) for row in names[table.words(n, start, stop)].tolist()]
    log_probs = _to_log10(table.log_probs[n - 1][start:stop])
    if n == table.order:
        return "".join(f"{value:.8g}\t{text}\n" for value, text in zip(log_probs, texts, strict=True))
    weights = _to_log10(table.weights[n - 1][start:stop])
    return "".join(f"{a:.8g}\t{text}\t{b:.8g}\n" for a, text, b in zip(log_probs, texts, weights, strict=True))


def _to_log10(values: Floats32) -> list[float]:
    return np.maximum(values.astype(np.float64) / _LN10, ZERO).tolist()


def read_arpa(path: str | os.PathLike[str], progress: bool | None = False) -> tuple[BackoffTable, list[str]]:
    """Read a table and its words; see NGram.from_arpa.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an ARPA file, or is damaged; the message gives the line.
    """
    with open_text(path, kept=True) as (file, _):
        return _ArpaReader(os.fspath(path), file).read(progress)


class _ArpaReader:
    """Reads a file from its beginning to its end, and keeps the number of the line for error messages."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        self._file = file
        self._line = 0
        self._keys: list[Ids64] = []
        self._log_probs: list[Floats32] = []
        self._weights: list[Floats32] = []

    def read(self, progress: bool | None) -> tuple[BackoffTable, list[str]]:
        sizes = self._header()
        words: list[str] = []
        ids: dict[bytes, int] = {}
        with Progress(sum(sizes), "n-grams", "reading", progress) as bar:
            for n, size in enumerate(sizes, 1):
                if n > 1:
                    self._expect(f"\\{n}-grams:")
                if n == 1:
                    words, ids = self._unigrams(size, highest=len(sizes) == 1)
                    bar.advance(size)
                else:
                    self._ngrams(n, size, ids, bar, highest=n == len(sizes))
        self._expect("\\end\\")
        return BackoffTable(len(words), self._keys, self._log_probs, self._weights), words

    def _header(self) -> list[int]:
        """Return the number of n-grams of each order, from what precedes the unigrams."""
        wanted = "\\data\\ among the first lines, as ARPA files have it"  # some have a preamble
        while (line := self._next(wanted)) != b"\\data\\":
            if self._line > _PREAMBLE:
                self._fail(f"expected {wanted}", line)
        sizes: list[int] = []
        while (line := self._next()) != b"\\1-grams:":
            match = re.fullmatch(rb"ngram\s+(\d+)\s*=\s*(\d{1,18})", line)  # of as many digits as 64 bits hold
            if match is None or int(match[1]) != len(sizes) + 1:
                self._fail(f"expected 'ngram {len(sizes) + 1}=NUMBER' or \\1-grams:", line)
            sizes.append(int(match[2]))
        if not sizes or sizes[0] == 0:
            self._fail("expected 'ngram 1=NUMBER' before it, with at least 1", line)
        return sizes

    def _unigrams(self, size: int, highest: bool) -> tuple[list[str], dict[bytes, int]]:
        """Return the words except <s>, and the id of each, <s> last; store their log-probabilities and weights."""
        names: list[bytes] = []
        parts: list[tuple[Floats, Floats]] = []
        for rows in self._rows(1, size):
            parts.append(self._numbers(rows, 1, highest))
            names += [row[1] for row in rows]
        log_probs, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        first = self._line - size + 1
        in_capitals = b"<UNK>" in names and b"<unk>" not in names  # which KenLM takes as the same
        if in_capitals:
            names[names.index(b"<UNK>")] = b"<unk>"
        words: list[str] = []
        seen: set[bytes] = set()
        for row, name in enumerate(names):
            if name in seen:
                self._fail("expected different words, this one occurs twice", name, first + row)
            seen.add(name)
            try:
                words.append(name.decode("utf-8"))
            except UnicodeDecodeError:
                self._fail("expected words in UTF-8", name, first + row)
        if END not in words:
            raise ValueError(f"{self._name}: expected {END} among its words")
        order = [row for row, word in enumerate(words) if word != START]
        start = [words.index(START)] if START in words else []
        kept = [words[row] for row in order]
        extra = [] if UNKNOWN in kept else [UNKNOWN]
        # A word that is missing from the file is impossible, and nothing predicts <s>.
        values = [log_probs[order], np.full(len(extra) + 1, -np.inf)]
        start_weight = weights[start] if start else np.zeros(1)
        self._log_probs.append(np.concatenate(values).astype(np.float32))
        if not highest:
            self._weights.append(
                np.concatenate([weights[order], np.zeros(len(extra)), start_weight]).astype(np.float32)
            )
        kept += extra
        ids = {word.encode("utf-8"): number for number, word in enumerate([*kept, START])}
        if in_capitals:
            ids[b"<UNK>"] = ids[b"<unk>"]
        return kept, ids

    def _ngrams(self, n: int, size: int, ids: dict[bytes, int], bar: Progress, highest: bool) -> None:
        """Store log-probabilities and weights of the n-grams of an order, sorted by their keys."""
        base = len(self._log_probs[0])
        parts: list[tuple[Ids64, Floats32, Floats32]] = []  # and not arrays of `size`, which may be damaged
        for rows in self._rows(n, size):
            first = self._line - len(rows) + 1
            log_probs, weights = self._numbers(rows, n, highest)
            get = ids.get
            flat = [get(word, -1) for row in rows for word in row[1 : n + 1]]
            words = np.array(flat, np.int64).reshape(-1, n)
            if (words < 0).any():
                row, column = divmod(int((words < 0).argmax()), n)
                self._fail("expected words that are among the 1-grams", rows[row][column + 1], first + row)
            if (words[:, 1:] == base - 1).any():
                row = int((words[:, 1:] == base - 1).any(1).argmax())
                self._fail(f"expected {START} only at the beginning", b" ".join(rows[row]), first + row)
            contexts = words[:, 0]
            for column in range(1, n - 1):
                # A negative position makes a key that does not exist.
                contexts = find(self._keys[column - 1], contexts * base + words[:, column])
            if (contexts < 0).any():
                row = int((contexts < 0).argmax())
                text = b" ".join(rows[row][1:n])
                self._fail(f"expected the first {n - 1} words among the {n - 1}-grams", text, first + row)
            keys = contexts * base + words[:, -1]
            parts.append((keys, log_probs.astype(np.float32), weights.astype(np.float32)))
            bar.advance(len(rows))
        keys, values, weights = (np.concatenate(columns) for columns in zip(_NOTHING, *parts, strict=True))
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        if (twice := np.flatnonzero(keys[1:] == keys[:-1])).size:
            row = int(order[twice[0] + 1])
            self._fail(f"expected different {n}-grams, this one occurs twice", b"", self._line - size + 1 + row)
        self._keys.append(keys)
        self._log_probs.append(values[order])
        if not highest:
            self._weights.append(weights[order])

    def _rows(self, n: int, size: int) -> Iterator[list[list[bytes]]]:
        """Yield `size` lines in blocks, split at white space; each has n + 1 or n + 2 parts."""
        for done in range(0, size, _LINES):
            wanted = min(_LINES, size - done)
            rows = [line.split() for line in islice(self._file, wanted)]
            first = self._line + 1
            for number, row in enumerate(rows):
                if not n + 1 <= len(row) <= n + 2:
                    entry = f"entry {done + number + 1} of {size}"
                    expected = f"expected log10 P, {n} word{'s' * (n > 1)} and perhaps a weight as {entry}"
                    self._fail(expected, b" ".join(row), first + number)
            self._line += len(rows)
            if len(rows) < wanted:
                self._fail(f"expected {size} {n}-grams, the file ends after {done + len(rows)}", b"")
            yield rows

    def _numbers(self, rows: list[list[bytes]], n: int, highest: bool) -> tuple[Floats, Floats]:
        """Return natural logarithms of P and of the weight (0 where there is none) of the lines read last."""
        try:
            log_probs = np.array([float(row[0]) for row in rows])
            weights = np.array([float(row[n + 1]) if len(row) > n + 1 else 0.0 for row in rows])
        except ValueError:
            log_probs, weights = (np.array(column) for column in zip(*(_floats(row, n) for row in rows), strict=True))
        bad = ~(log_probs <= 1e-4) | ~(np.abs(weights) < np.inf)  # rounding may leave P a little above 1
        if bad.any() or (highest and any(len(row) > n + 1 for row in rows)):
            row = int(bad.argmax()) if bad.any() else next(i for i, row in enumerate(rows) if len(row) > n + 1)
            expected = (
                "expected log10 P <= 0 and a finite weight" if bad.any() else "expected no weight in the highest order"
            )
            self._fail(expected, b" ".join(rows[row]), self._line - len(rows) + 1 + row)
        log_probs[log_probs <= ZERO] = -np.inf
        weights[weights <= ZERO] = -np.inf
        return np.minimum(log_probs * _LN10, 0.0), weights * _LN10

    def _expect(self, wanted: str) -> None:
        line = self._next()
        if line != wanted.encode():
            self._fail(f"expected {wanted}", line)

    def _next(self, wanted: str = "\\end\\ as its last line") -> bytes:
        """Return the next line that is not blank."""
        for line in self._file:
            self._line += 1
            if line := line.strip():
                return line
        self._fail(f"the file ends too early, expected {wanted}", b"")

    def _fail(self, expected: str, got: bytes, line: int | None = None) -> NoReturn:
        shown = f", got {got[:60].decode('utf-8', 'replace')!r}" if got else ""
        raise ValueError(f"{self._name}, line {line or self._line}: {expected}{shown}")


def _floats(row: list[bytes], n: int) -> tuple[float, float]:
    """The two numbers of a line, NaN if one is not a number."""
    try:
        return float(row[0]), float(row[n + 1]) if len(row) > n + 1 else 0.0
    except ValueError:
        return np.nan, np.nan
