"""Plain text as words: lower case, without the punctuation around them, which a corpus leaves on."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from math import inf
from typing import Any

from logq._arguments import check_bool
from logq._compression import COMPRESSED_ENDINGS
from logq._files import atomic_write
from logq._progress import Progress
from logq.text.corpus import Corpus
from logq.text.phrase_joining import compressing
from logq.text.text_files import find_text_files
from logq.text.vocabulary import Vocabulary

__all__ = ["PlainText", "punctuation_note", "tokenize"]

# What stands between words without white space. Other marks are taken off the ends of words alone, so that don't, 3.14
# and well-known stay whole; a comma or a colon between digits belongs to the number.
_BETWEEN = re.compile(
    r"[\s\u2026\u2013\u2014/;!?\"\u201c\u201d\u201e\u00ab\u00bb()\[\]{}<>|=+*\u3001\u3002\uff0c\uff01\uff1f]+"
    r"|--+|\.{2,}|[,:](?!\d)"
)
_LOOKED_AT = 10_000  # words of a vocabulary, the most frequent ones
_MANY = 0.05  # share of a text from which on its punctuation and capitals are worth a word


def tokenize(text: str, *, keep_case: bool = False) -> list[str]:
    r"""Return the words of a text in lower case, without punctuation around them.

    Marks inside of words stay (don't, well-known, 3.14), those at their ends go, and what has neither a letter nor a
    digit is no word. White space divides words, so that languages that write none between words need a tokenizer of
    their own.

    Args:
        text: of any length, such as a line.
        keep_case: leave capitals as they are.

    Example:
        >>> tokenize('The king said: "Don\'t go to Well-Known St. (1,000 m)!"')
        ['the', 'king', 'said', "don't", 'go', 'to', 'well-known', 'st', '1,000', 'm']
    """
    parts = _BETWEEN.split((text if keep_case else text.lower()).replace("\u2019", "'"))
    return [word for part in parts if part and (word := part if part.isalnum() else _bare(part))]


def _bare(word: str) -> str:
    """A word without what is neither letter, digit nor a mark of one at its ends."""
    start, stop = 0, len(word)
    while start < stop and not word[start].isalnum():
        start += 1
    while stop > start and not (word[stop - 1].isalnum() or unicodedata.category(word[stop - 1])[0] == "M"):
        stop -= 1
    return word[start:stop]


class PlainText:
    """The sentences of a corpus as `tokenize` makes them, the same on every pass; each line is a sentence.

    A text as people write it has "king", "King" and "king." as three words; here they are one. `Word2Vec.fit`,
    `Phrases.fit` and `encode` take it like lists of words. `write` keeps the words in a file, which the compiled
    reader takes many times faster than Python can make them.

    Args:
        source: paths or sentences, as `Corpus` takes them.
        keep_case: leave capitals as they are.
        encoding: of the files; None recognizes it.

    Raises:
        ArgumentError, ArgumentTypeError, OSError: as `Corpus`.

    Example:
        >>> list(PlainText([["The", "King,"], ["--"], ["a", "king."]]))
        [['the', 'king'], ['a', 'king']]
    """

    def __init__(
        self, source: str | os.PathLike[str] | Iterable[Any], *, keep_case: bool = False, encoding: str | None = None
    ) -> None:
        self._files = find_text_files(source) or []
        self.corpus = Corpus([file.name for file in self._files] or source, encoding=encoding)
        self.keep_case = check_bool("keep_case", keep_case)

    def __iter__(self) -> Iterator[list[str]]:
        for sentence in self.corpus:
            if words := tokenize(" ".join(sentence), keep_case=self.keep_case):
                yield words

    def write(self, path: str | os.PathLike[str], *, progress: bool | None = None) -> int:
        """Write the words atomically, a sentence per line, with gzip if the name ends in .gz.

        Args:
            path: the file.
            progress: True shows a bar, False nothing, None a bar on a terminal and lines elsewhere.

        Returns:
            The number of words.

        Raises:
            OSError: the file cannot be written.
        """
        files = self._files
        is_known = files and not any(file.name.lower().endswith(COMPRESSED_ENDINGS) for file in files)
        written, begun = 0, False  # whether there are words of this line
        with (
            Progress(
                sum(file.size or 0 for file in files) if is_known else inf, "bytes", "tokenizing", progress
            ) as bar,
            atomic_write(path) as file,
            compressing(file, path) as write,
        ):
            for piece, is_last in self.corpus.pieces():  # a line of any length is one line
                text = " ".join(piece)
                if words := tokenize(text, keep_case=self.keep_case):
                    write(" " * begun + " ".join(words))
                    begun = True
                if begun and is_last:
                    write("\n")
                    begun = False
                written += len(words)
                bar.advance(len(text.encode()) + 1)
        return written


def punctuation_note(vocabulary: Vocabulary) -> str:
    """What to say of a text whose words have punctuation or capitals on them, so that one word is several; "" for none.

    Example:
        >>> punctuation_note(Vocabulary(["king", "King", "queen"], [8, 2, 5]))
        "13% of the text are words such as 'King', which differ from 'king' in capitals or punctuation alone and have \
vectors of their own; logq tokenize TEXT -o WORDS, or logq.text.PlainText, makes one word of them"
    """
    known, counts = vocabulary.key_to_index, vocabulary.counts
    found: list[tuple[int, str, str]] = []
    for word, count in zip(vocabulary.index_to_key[:_LOOKED_AT], counts[:_LOOKED_AT].tolist(), strict=True):
        if word.isalnum() and word.islower():
            continue
        plain = tokenize(word)
        if len(plain) == 1 and plain[0] != word and plain[0] in known:
            found.append((count, word, plain[0]))
    share = sum(count for count, _, _ in found) / max(1, int(counts.sum()))
    if share < _MANY:
        return ""
    _, word, plain_word = max(found)
    return (
        f"{share:.0%} of the text are words such as {word!r}, which differ from {plain_word!r} in capitals or "
        "punctuation alone and have vectors of their own; logq tokenize TEXT -o WORDS, or logq.text.PlainText, makes "
        "one word of them"
    )
