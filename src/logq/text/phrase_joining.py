"""Joining the phrases of a text of ids from left to right, as a corpus to train on or to write as text."""

import contextlib
import gzip
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq._files import atomic_write
from logq._progress import Progress
from logq.text.encoding import EncodedCorpus, encode, split_sentences
from logq.text.id_file import Ids32
from logq.text.phrase_counts import ConnectorRuns, find_pairs
from logq.text.scanning import END_OF_LINE
from logq.text.words import is_writable_word

__all__ = ["JoinedText", "Joiner", "WordList", "compressing", "connector_flags", "id_parts", "join_words", "opened"]

PhraseTable: TypeAlias = Sequence[tuple[str, ...]]
"""The words of each phrase of one pass."""

_PART = 1 << 19  # ids at a time


class WordList:
    """Words and their numbers, to which phrases are added.

    Example:
        >>> words = WordList(["new", "york"])
        >>> words.add("new_york"), words.add("new"), len(words)
        (2, 0, 3)
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = list(words)
        self.numbers = {word: number for number, word in enumerate(self.words)}

    def add(self, word: str) -> int:
        """Return the number of a word, a new one if it has none."""
        number = self.numbers.setdefault(word, len(self.words))
        if number == len(self.words):
            self.words.append(word)
        return number

    def __len__(self) -> int:
        return len(self.words)


def connector_flags(words: WordList, connectors: Iterable[str]) -> NDArray[np.bool_] | None:
    """Return for each word, and last for the -1 after a sentence, whether it is a connector word; None if none is.

    Example:
        >>> connector_flags(WordList(["bank", "of"]), ["of", "the"])
        array([False,  True, False])
    """
    numbers = [words.numbers[word] for word in connectors if word in words.numbers]
    if not numbers:
        return None
    flags = np.zeros(len(words) + 1, np.bool_)
    flags[numbers] = True
    return flags


class Joiner:
    """Joins the phrases of one table in a text that comes in parts.

    From left to right, a word and the next are joined if they are a phrase, and the search continues after them. Words
    at the end of a part that may belong to a phrase wait for the next part.

    Args:
        phrases: the words of each; the inner ones are connector words.
        words: the numbers of the words of the text; the joined phrases are added.
        connectors: words that may stand inside phrases.
        delimiter: what separates the words of a joined phrase.

    Example:
        >>> words = WordList(["new", "york", "is"])
        >>> joiner = Joiner([("new", "york")], words, [], "_")
        >>> parts = joiner.run([np.array([2, 0], np.int32), np.array([1, -1], np.int32)])
        >>> np.concatenate(list(parts)), words.words[3]
        (array([ 2,  3, -1], dtype=int32), 'new_york')
    """

    def __init__(self, phrases: PhraseTable, words: WordList, connectors: Iterable[str], delimiter: str) -> None:
        self._is_connector = connector_flags(words, connectors)
        self._runs = ConnectorRuns(len(words))
        self._longest = 1
        found: dict[int, int] = {}
        known, size = words.numbers, len(words)
        for phrase in phrases:
            numbers = [known.get(word, size) for word in phrase]
            if max(numbers) >= size:
                continue  # one of its words is not in this text, or only as a phrase that is not joined yet
            run = self._runs.add(numbers[1:-1])
            if run >= 0:
                self._longest = max(self._longest, len(phrase) - 1)
                found[(run * size + numbers[0]) * size + numbers[-1]] = words.add(delimiter.join(phrase))
        self._keys = np.array(sorted(found), np.int64)
        self._joined = np.array([found[key] for key in self._keys.tolist()], np.int32)
        # A pair whose first word begins no phrase, or whose second ends none, need not be looked up.
        self._begins, self._ends = np.zeros((2, size + 1), np.bool_)
        self._begins[self._keys // size % size] = self._ends[self._keys % size] = True

    def run(self, parts: Iterable[Ids32]) -> Iterator[Ids32]:
        """Yield the parts of a text with its phrases joined."""
        rest = np.empty(0, np.int32)
        for part in parts:
            joined, rest = self._join(np.concatenate([rest, part]))
            yield joined
        yield rest

    def _join(self, ids: Ids32) -> tuple[Ids32, Ids32]:
        """Return the joined text, and the rest that waits for the next part."""
        positions, keys = find_pairs(ids, self._is_connector, self._runs)
        if not len(positions):
            return ids, ids[:0]
        found = np.flatnonzero(keys >= 0)
        found = found[self._begins[ids[positions[found]]] & self._ends[ids[positions[found + 1]]]]
        number = np.minimum(np.searchsorted(self._keys, keys[found]), max(len(self._keys) - 1, 0))
        hit = self._keys[number] == keys[found] if len(self._keys) else np.zeros(0, np.bool_)
        found, number = found[hit], number[hit]
        taken = _every_other(found)
        found, number = found[taken], number[taken]
        out = ids.copy()
        out[positions[found]] = self._joined[number]
        kept = np.ones(len(ids), np.bool_)
        begin, end = positions[found], positions[found + 1]
        for step in range(1, self._longest + 1):
            inner = begin + step
            kept[inner[inner <= end]] = False
        last = int(positions[-1])
        is_free = ids[last] != END_OF_LINE and not (len(found) and found[-1] == len(positions) - 2)
        stop = last if is_free and len(ids) - last <= self._longest else len(ids)
        return out[:stop][kept[:stop]], ids[stop:]


def _every_other(positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose the first, third, ... of positions that follow directly on one another: no word is in two phrases."""
    if not len(positions):
        return np.zeros(0, np.bool_)
    begins = np.diff(positions, prepend=positions[0] - 2) != 1
    return (positions - positions[begins][np.cumsum(begins) - 1]) % 2 == 0


def join_words(
    words: Iterable[str], phrases: dict[tuple[str, ...], str], connectors: frozenset[str], longest: int
) -> list[str]:
    """Return one sentence with its phrases joined, as `Joiner` does.

    Args:
        words: the sentence.
        phrases: what to replace the words of each by.
        connectors: words that may stand inside phrases.
        longest: maximum number of words of a phrase.

    Example:
        >>> join_words(["bank", "of", "china"], {("bank", "of", "china"): "bank_of_china"}, frozenset(["of"]), 3)
        ['bank_of_china']
    """
    out: list[str] = []
    begun: list[str] = []  # a word that may begin a phrase, and the connector words after it
    for word in words:
        if word in connectors:
            (begun if begun else out).append(word)
            if len(begun) >= longest:
                out += begun
                begun = []
            continue
        if begun and (phrase := phrases.get((*begun, word))) is not None:
            out.append(phrase)
            begun = []
        else:
            out += begun
            begun = [word]
    return out + begun


class JoinedText:
    """The sentences of a corpus with phrases joined, returned by `Phrases.transform`; the same on every pass.

    `encode` and `Word2Vec.fit` take it like any lists of words. A sentence of more than `max_sentence` words comes in
    several pieces; phrases are joined before it is cut, so none is lost at a border. Each pass encodes the source
    again, unless it is encoded already, and needs the memory of its different words, not of the text.

    Example:
        >>> from logq.text import Phrases
        >>> sentences = [["new", "york", name] for name in "abcdef"]
        >>> joined = Phrases(threshold=0.4).fit(sentences).transform(sentences)
        >>> next(iter(joined))
        ['new_york', 'a']
    """

    def __init__(
        self,
        source: Any,
        tables: Iterable[PhraseTable],
        connectors: frozenset[str],
        delimiter: str,
        *,
        max_sentence: int = 10_000,
        options: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(source, Iterator):
            raise ArgumentTypeError(
                "source",
                "something that can be read several times",
                Verbatim(f"a one-shot {type(source).__name__}"),
                "pass a list, an object whose __iter__ starts from the beginning, or what encode(source, min_count=1) "
                "returns",
            )
        self._source = source
        self._tables = list(tables)
        self._connectors = connectors
        self._delimiter = delimiter
        self._max_sentence = check_int("max_sentence", max_sentence)
        self._options = options or {}

    def __iter__(self) -> Iterator[list[str]]:
        with self._ids(False) as (words, parts):
            names = np.array(words.words, np.object_)
            for ids in split_sentences(parts, self._max_sentence):
                yield names[ids].tolist()

    def write(self, path: str | os.PathLike[str], *, progress: bool | None = None) -> int:
        """Write the text atomically, one sentence per line, with gzip if the name ends in .gz.

        Args:
            path: the file.
            progress: True shows a bar, False nothing, None a bar on a terminal and lines elsewhere.

        Returns:
            The number of words, where a joined phrase is one.

        Raises:
            ArgumentError: a word is empty, holds white space or has no UTF-8 form.
            OSError: the file cannot be written.
        """
        written = 0
        with self._ids(progress) as (words, parts), atomic_write(path) as file, compressing(file, path) as write:
            _check_writable(words.words)
            names = np.array([*words.words, "\n"], np.object_)  # the last is that of -1
            in_line = False
            for ids in parts:
                if not len(ids):
                    continue
                text = " ".join(names[ids].tolist()).replace(" \n ", "\n").replace(" \n", "\n").replace("\n ", "\n")
                write((" " if in_line and ids[0] != END_OF_LINE else "") + text)
                in_line = bool(ids[-1] != END_OF_LINE)
                written += int(np.count_nonzero(ids != END_OF_LINE))
        return written

    @contextlib.contextmanager
    def _ids(self, progress: bool | None) -> "Generator[_Text, None, None]":
        with opened(self._source, progress=progress, **self._options) as corpus:
            words = WordList(corpus.vocabulary.index_to_key)
            joiners = [Joiner(table, words, self._connectors, self._delimiter) for table in self._tables]
            with Progress(corpus.num_ids, "words", "joining", enabled=progress) as bar:
                yield _Text(words, id_parts(corpus, joiners, bar))


class _Text(NamedTuple):
    words: WordList
    parts: Iterator[NDArray[np.int32]]


@contextlib.contextmanager
def opened(source: Any, **options: Any) -> Generator[EncodedCorpus, None, None]:
    """Encode a source with all its words, or yield one that is encoded already, which stays open."""
    if isinstance(source, EncodedCorpus):
        yield source
        return
    with encode(source, min_count=1, **options) as corpus:
        yield corpus


def id_parts(corpus: EncodedCorpus, joiners: Iterable[Joiner], bar: Progress) -> Iterator[NDArray[np.int32]]:
    """Yield the ids of a corpus in parts, cut anywhere, with the phrases of one table after the other joined.

    Example:
        >>> with encode([["new", "york"]], min_count=1) as corpus, Progress(3, "words", "", enabled=False) as bar:
        ...     joiner = Joiner([("new", "york")], WordList(corpus.vocabulary.index_to_key), [], "_")
        ...     np.concatenate(list(id_parts(corpus, [joiner], bar)))
        array([ 2, -1], dtype=int32)
    """

    def read() -> Iterator[NDArray[np.int32]]:
        for start in range(0, corpus.num_ids, _PART):
            ids = corpus.read(start, min(start + _PART, corpus.num_ids))
            yield ids
            bar.advance(len(ids))

    parts = read()
    for joiner in joiners:
        parts = joiner.run(parts)
    return parts


@contextlib.contextmanager
def compressing(file: BinaryIO, path: str | os.PathLike[str]) -> Generator[Callable[[str], object], None, None]:
    """What writes text to an open file, with gzip if the name ends in .gz.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> with compressing(file, "words.txt") as write:
        ...     write("a rose")
        6
    """
    if not os.fspath(path).lower().endswith(".gz"):
        yield lambda text: file.write(text.encode())
        return
    # Level 4 is fast. Without a modification time, the same text makes the same file.
    with gzip.GzipFile("", "wb", 4, cast("Any", file), mtime=0) as packed:
        yield lambda text: packed.write(text.encode())


def _check_writable(words: Iterable[str]) -> None:
    for word in words:
        if not is_writable_word(word):
            raise ArgumentError("source", "words without white space that have a UTF-8 form, to write them", word)
