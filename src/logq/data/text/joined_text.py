"""A corpus with its phrases joined: read as lists of words, as often as somebody likes, or written as text."""

import contextlib
import gzip
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_int
from logq.data.text.encoding import EncodedCorpus, encode, split_sentences
from logq.data.text.phrase_joining import Joiner, WordList
from logq.data.text.text_scan import END_OF_LINE
from logq.files import atomic_write
from logq.progress import Progress

__all__ = ["JoinedText", "PhraseTable", "id_parts", "opened"]

_PART = 1 << 19  # ids at a time

PhraseTable = list[tuple[str, ...]]
"""The words of each phrase of one pass."""


class JoinedText:
    """Sentences of a corpus with phrases joined, made by `Phrases.transform`; the same on every pass.

    `encode` and `Word2Vec.fit` take it as they take any lists of words. A sentence of more than `max_sentence` words
    comes in several pieces; phrases are joined before it is cut, so none is lost at a border. Each pass encodes the
    source anew, if it is none that is encoded already, and needs the memory of its different words, not of the text.

    Example:
        >>> from logq.data import Phrases
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
            raise TypeError(
                f"source: expected something that can be read several times, got a one-shot {type(source).__name__}; "
                "pass a list, an object whose __iter__ starts anew, or what encode(source, min_count=1) returns"
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
        """Write the text, a sentence of any length a line, at once; with gzip if the name ends in .gz.

        Args:
            path: the file.
            progress: True shows a bar, False nothing, None a bar on a terminal and lines elsewhere.

        Returns:
            How many words there are now, a joined phrase being one.

        Raises:
            ValueError: a word is empty, holds white space or cannot be UTF-8.
            OSError: the file cannot be written.
        """
        written = 0
        with self._ids(progress) as (words, parts), atomic_write(path) as file, _packed(file, path) as write:
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
    """Encode a source with all of its words, or take one that is encoded already, which stays open."""
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
def _packed(file: BinaryIO, path: str | os.PathLike[str]) -> Generator[Callable[[str], object], None, None]:
    if not os.fspath(path).lower().endswith(".gz"):
        yield lambda text: file.write(text.encode())
        return
    # Level 4 is fast. Without the time of writing, the same text makes the same file.
    with gzip.GzipFile("", "wb", 4, cast("Any", file), mtime=0) as packed:
        yield lambda text: packed.write(text.encode())


def _check_writable(words: Iterable[str]) -> None:
    for word in words:
        if word.split() != [word] or (not word.isascii() and any("\ud800" <= letter <= "\udfff" for letter in word)):
            raise ValueError(f"words: text takes no empty words, no white space in them and only UTF-8, got {word!r}")
