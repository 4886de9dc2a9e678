"""Files of text divided among processes: about as many bytes for each, cut at the ends of lines where that is safe."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import BinaryIO

from logq._compression import COMPRESSED_ENDINGS, compression_of
from logq._text_encodings import Utf8Pieces
from logq.text.text_files import TextFile

__all__ = ["divide_files"]

_START = 1 << 18  # bytes of a file by which it is told whether it can be cut
_MARK = b"\xef\xbb\xbf"


def divide_files(
    files: Sequence[TextFile], size: int, encoding: str | None = None, *, cut: bool = True
) -> list[list[TextFile]]:
    r"""Return what each of several processes is to read, in the order of the text: they find the same by themselves.

    Of the bytes of all files each gets a part of equal length, whose ends move on to the next end of a line. Compressed
    files, and those that do not begin as UTF-8 with line feeds, are not cut: the process reads them in whose part their
    middle lies.

    Args:
        files: none of them a pipe.
        size: the number of processes.
        encoding: of the files; None recognizes it.
        cut: whether files may be cut at all.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not text.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from logq.text.text_files import inspect_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.txt").write_text("to be\nor not\nto be\n")
        ...     [[one.part for one in files] for files in divide_files([inspect_file(f"{folder}/a.txt", "")], 2)]
        [[(0, 13)], [(13, 19)]]
    """
    sizes = [file.size or 0 for file in files]
    ends = list(accumulate(sizes))
    total = ends[-1]
    found: list[list[TextFile]] = [[] for _ in range(size)]
    for file, length, end in zip(files, sizes, ends, strict=True):
        begin = end - length
        inside = [rank for rank in range(1, size) if begin < total * rank // size < end]
        if not (inside and cut and _can_be_cut(file, encoding)):
            middle = begin + length // 2
            found[min(size - 1, middle * size // total if total else 0)].append(file)
            continue
        with file.open() as opened:
            cuts = [0, *(_next_line(opened, total * rank // size - begin, length) for rank in inside), length]
        for rank, (first, last) in zip(range(inside[0] - 1, size), pairwise(cuts), strict=False):
            if first < last:
                found[rank].append(file._replace(part=(first, last)))
    return found


def _can_be_cut(file: TextFile, encoding: str | None) -> bool:
    """Whether the lines of a file mean the same wherever one begins to read."""
    if encoding not in (None, "utf-8") or file.name.lower().endswith(COMPRESSED_ENDINGS):
        return False
    with file.open() as opened:
        start = opened.read(_START) or b""
    if compression_of(start) or start.startswith(_MARK):
        return False
    text = Utf8Pieces(file.name, [start], encoding, lenient=True)
    for _ in text:
        pass
    return text.encoding == "utf-8" and not text.returns_alone


def _next_line(file: BinaryIO, position: int, length: int) -> int:
    """Where the first line begins at `position` or behind it; `length` if there is none."""
    at = position - 1
    file.seek(at)
    while at < length and (piece := file.read(_START)):
        end = piece.find(b"\n")
        if end >= 0:
            return at + end + 1
        at += len(piece)
    return length
