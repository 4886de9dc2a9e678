"""A corpus: sentences, each a list of words, that can be read as often as training needs them."""

import codecs
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq._text_encodings import check_encoding, open_text, warn_of_guess
from logq.text.text_files import LISTED_HINT, inspect_file
from logq.text.words import LONGEST_WORD, check_sentence, check_sentences, is_too_long

__all__ = ["Corpus", "Sentences"]

Sentences = Iterable[Sequence[str]]

_BLOCK = 1 << 20  # bytes read at a time
_INVALID = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of bytes that are not UTF-8


class Corpus:
    r"""Sentences from text files or from Python, the same on every pass.

    In a file each line is a sentence, and words are separated by white space of any kind. Compressed files are
    decompressed, and UTF-8, UTF-16 and Latin-1 told apart, the last with a warning; invalid bytes become U+FFFD and
    their lines are counted. Files are read in blocks, so neither their size nor the length of
    their lines matters. A sentence of more than `max_sentence` words comes in several pieces: no word is lost, but
    windows do not reach from one piece into the next. Sentences without words are left out.

    Args:
        source: a path to a text file, plain or compressed (.gz, .bz2, .xz, .zst, .zip); a list of such paths, read one
            after the other; or anything that yields lists of words each time it is iterated, such as a list of lists.
        max_sentence: maximum number of words that are yielded as one sentence.
        encoding: of the files, such as "latin-1"; None recognizes it.

    Attributes:
        invalid_lines: lines with bytes that are not UTF-8, in the latest complete pass.
        long_words: words of more than 65,536 bytes, which are left out of files, in that pass.

    Raises:
        FileNotFoundError: a file is missing.
        IsADirectoryError: a path is a folder.
        ArgumentTypeError: the source can be read only once, or does not consist of lists of words.
        ArgumentError: a path is a pipe or a device, or Python does not know the encoding.
        ValueError: a compressed file is damaged, or a file is something other than text.

    Example:
        >>> corpus = Corpus([["to", "be", "or", "not"], ["to", "be"]], max_sentence=3)
        >>> list(corpus)
        [['to', 'be', 'or'], ['not'], ['to', 'be']]
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[Any],
        *,
        max_sentence: int = 10_000,
        encoding: str | None = None,
    ) -> None:
        self.max_sentence = check_int("max_sentence", max_sentence)
        self.encoding = check_encoding(encoding)
        self.invalid_lines = self.long_words = 0
        self.paths: tuple[str, ...] | None = None
        self._sentences: Iterable[Any] = ()
        if isinstance(source, str | os.PathLike):
            self.paths = (_check_path(source),)
        elif isinstance(source, Iterator):
            raise ArgumentTypeError(
                "source",
                "something that can be read several times, once to count words, and once per epoch",
                Verbatim(f"a one-shot {type(source).__name__}"),
                "pass a list, or an object whose __iter__ starts from the beginning",
            )
        elif isinstance(source, list | tuple) and source and all(isinstance(s, str | os.PathLike) for s in source):
            self.paths = tuple(_check_path(path, LISTED_HINT) for path in cast("Iterable[str]", source))
        else:
            self._sentences = check_sentences(source)

    def __iter__(self) -> Iterator[list[str]]:
        for words, _ in self.pieces():
            yield words

    def pieces(self) -> Iterator[tuple[list[str], bool]]:
        """Yield the sentences as iteration does, each piece with whether its sentence ends there.

        Example:
            >>> list(Corpus([["to", "be", "or"], ["not"]], max_sentence=2).pieces())
            [(['to', 'be'], False), (['or'], True), (['not'], True)]
        """
        if self.paths is None:
            yield from self._pieces_of_sentences()
            return
        invalid_lines = long_words = 0
        for path in self.paths:
            reader = _Reader(path, self.max_sentence, self.encoding)
            yield from reader
            invalid_lines += reader.invalid_lines
            long_words += reader.long_words
        self.invalid_lines, self.long_words = invalid_lines, long_words

    def _pieces_of_sentences(self) -> Iterator[tuple[list[str], bool]]:
        for number, sentence in enumerate(self._sentences):
            yield from _cut(check_sentence(sentence, number), self.max_sentence)


def _check_path(path: str | os.PathLike[str], hint: str = "") -> str:
    file = inspect_file(os.fspath(path), hint)
    if file.size is None:
        raise ArgumentError("source", "a file that can be read several times", file.name, "it is a pipe")
    return file.name


def _cut(words: list[str], longest: int) -> Iterator[tuple[list[str], bool]]:
    """Yield the words of a sentence in pieces of at most `longest`, and whether each is the last."""
    for start in range(0, len(words), longest):
        yield words[start : start + longest], start + longest >= len(words)


class _Reader:
    """One pass through one file: sentences of at most `max_sentence` words."""

    def __init__(self, path: str, max_sentence: int, encoding: str | None) -> None:
        self.path = path
        self.encoding = encoding
        self.max_sentence = max_sentence
        self.invalid_lines = self.long_words = 0
        self._line_is_invalid = False

    def __iter__(self) -> Iterator[tuple[list[str], bool]]:
        words: list[str] = []  # of the line being read
        cut_word: list[str] = []  # parts of a word that goes on in the next block
        for text in self._blocks():
            if text.split(None, 1) == [text]:  # no white space in it
                # Not joined yet, as a word of many blocks would be copied once a block; of one that is too long already
                # nothing more is kept.
                if sum(map(len, cut_word)) <= LONGEST_WORD:
                    cut_word.append(text)
                continue
            *lines, last = ("".join(cut_word) + text).split("\n")
            for line in lines:
                words += self._split(line)
                yield from _cut(words, self.max_sentence)
                words = []
            cut_word = []
            if last and not last[-1].isspace():
                cut_word = [last.split()[-1]]
                last = last.removesuffix(cut_word[0])
            words += self._split(last)
            while len(words) > self.max_sentence:
                yield words[: self.max_sentence], False
                words = words[self.max_sentence :]
        words += self._split("".join(cut_word))
        yield from _cut(words, self.max_sentence)

    def _split(self, text: str) -> list[str]:
        """Split text without a new line into words, and leave out those that are too long."""
        words = text.split()
        if len(text) > LONGEST_WORD // 4 and any(map(is_too_long, words)):
            kept = [word for word in words if not is_too_long(word)]
            self.long_words += len(words) - len(kept)
            return kept
        return words

    def _blocks(self) -> Iterator[str]:
        decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        with open_text(self.path, self.encoding, lenient=True) as (file, found):
            while block := file.read(_BLOCK):
                if text := decode(block):
                    yield self._cleaned(text)
            if text := decode(b"", True):
                yield self._cleaned(text)
            warn_of_guess(found)

    def _cleaned(self, text: str) -> str:
        """Return the text with U+FFFD for invalid bytes, counting each line that has some once."""
        if text.isascii() or not _INVALID.search(text):
            self._line_is_invalid &= "\n" not in text
            return text
        first, *others = [_INVALID.search(line) is not None for line in text.split("\n")]
        self.invalid_lines += (first and not self._line_is_invalid) + sum(others)
        self._line_is_invalid = others[-1] if others else True
        return _INVALID.sub("\ufffd", text)
