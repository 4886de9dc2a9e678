"""The text every tool reads: plain, in lines short enough for all of them.

gensim drops what stands beyond 10,000 words in a line; word2vec.c and pWord2Vec cut lines after 1,000 words they keep,
fastText at 1,024. Lines that are longer are cut at 1,000 words beforehand, so that all see the same sentences.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

LONGEST_LINE = 1000
CHUNK = 1 << 22


class Corpus(NamedTuple):
    """The file as given, the file the tools read, and how many words are in it."""

    source: Path
    path: Path
    words: int


def prepare(source: Path, folder: Path) -> Corpus:
    """Write the text in lines of at most 1,000 words into the folder, and count the words."""
    path = folder / "corpus.txt"
    words = 0
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rb") as text, open(path, "wb") as file:
        for line in cut(text):
            file.write(b" ".join(line) + b"\n")
            words += len(line)
    if not words:
        raise SystemExit(f"{source}: no words in it")
    return Corpus(source, path, words)


def cut(text: BinaryIO) -> Iterator[list[bytes]]:
    """Lines as lists of words, the longer ones in pieces, so that a line may be as long as it likes."""
    words: list[bytes] = []
    rest = b""
    while chunk := text.read(CHUNK):
        *lines, last = (rest + chunk).split(b"\n")
        for line in lines:
            words += line.split()
            yield from pieces(words)
            words = []
        # The last word of a chunk may go on in the next one.
        complete, space, rest = last.rpartition(b" ")
        if space:
            words += complete.split()
            full = len(words) - len(words) % LONGEST_LINE
            yield from pieces(words[:full])
            words = words[full:]
    yield from pieces(words + rest.split())


def pieces(words: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(words), LONGEST_LINE):
        yield words[start : start + LONGEST_LINE]
