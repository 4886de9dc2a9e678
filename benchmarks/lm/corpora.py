"""The texts: the Penn Treebank as language models know it, and the first words of a Wikipedia extract."""

import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path

PARTS = ("train", "valid", "test")

LINE = 1000
"""Words of a line that a text without lines is cut into."""


def ptb(data: Path, folder: Path) -> dict[str, Path]:
    """The three files of text/ptb.zip, unpacked into a folder."""
    found = {}
    with zipfile.ZipFile(data / "text" / "ptb.zip") as archive:
        for part in PARTS:
            name = next(
                name for name in archive.namelist() if name.endswith(f"ptb.{part}.txt") and "MACOSX" not in name
            )
            found[part] = folder / f"{part}.txt"
            found[part].write_bytes(archive.read(name))
    return found


def first_lines(path: Path, lines: int, target: Path) -> Path:
    """The beginning of a text."""
    with open(path, encoding="utf-8") as source:
        target.write_text("".join(line for _, line in zip(range(lines), source, strict=False)), encoding="utf-8")
    return target


def wiki(data: Path, folder: Path, train_words: int, test_words: int, test_at: int) -> dict[str, Path]:
    """The first words of text/enwiki-17m.txt.gz in lines of LINE; the test follows `test_at` of them, left out."""
    parts = (("train", min(train_words, test_at)), ("test", test_words), ("train", max(0, train_words - test_at)))
    found = {part: folder / f"{part}.txt" for part, _ in parts}
    with gzip.open(data / "text" / "enwiki-17m.txt.gz", "rt", encoding="utf-8") as source:
        words = _words(source.read((train_words + test_words) * 10))
        for part, count in parts:
            with open(found[part], "a", encoding="utf-8") as target:
                for at in range(0, count, LINE):
                    target.write(" ".join(next(words) for _ in range(min(LINE, count - at))) + "\n")
    return found


def _words(text: str) -> Iterator[str]:
    return iter(text.split())
