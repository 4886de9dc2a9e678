"""Files divided among processes: every byte is read once, in order, and lines stay whole."""

import gzip
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from logq.text.file_parts import divide_files
from logq.text.reading import WordChoice, scan_text
from logq.text.text_files import TextFile, inspect_file


def text_of(files: list[TextFile]) -> bytes:
    found = b""
    for file in files:
        begin, end = file.part or (0, file.size)
        found += Path(file.name).read_bytes()[begin:end]
    return found


@pytest.fixture
def files(tmp_path: Path) -> list[TextFile]:
    rng = np.random.default_rng(0)
    found = []
    for number, lines in enumerate((300, 0, 40, 700)):
        path = tmp_path / f"{number}.txt"
        path.write_text("".join("x" * rng.integers(0, 60) + "\n" for _ in range(lines)) + "no end" * (number == 2))
        found.append(inspect_file(str(path), ""))
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_every_byte_is_in_one_part_and_lines_are_whole(size: int, files: list[TextFile]) -> None:
    parts = divide_files(files, size)
    assert len(parts) == size
    assert text_of([*chain(*parts)]) == text_of(files)
    for part in parts:
        for file in part:
            begin, end = file.part or (0, file.size or 0)
            whole = Path(file.name).read_bytes()
            assert begin == 0 or whole[begin - 1 : begin] == b"\n"
            assert end == len(whole) or whole[end - 1 : end] == b"\n"
    total = sum(file.size or 0 for file in files)
    if size <= 7:
        assert max(len(text_of(part)) for part in parts) < total / size + 130


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"to be or not to be\n" * 1000),
        "to be or not\n".encode("utf-16") * 50,
        b"\xef\xbb\xbfto be\n" * 50,
        b"caf\xe9 \xe9t\xe9 \xe0 l\xe0\n" * 50,
        b"to be\ror not\r" * 50,
    ],
    ids=["gzip", "UTF-16", "mark", "Latin-1", "carriage returns"],
)
def test_what_means_something_else_in_its_middle_is_not_cut(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    parts = divide_files([inspect_file(str(path), "")], 3)
    assert sorted(map(len, parts)) == [0, 0, 1]
    assert parts[1][0].part is None


def test_only_parts_are_read(files: list[TextFile]) -> None:
    parts = divide_files(files, 3)
    words = [scan_text(part, None, WordChoice(1, None), 1, False).raw_words for part in parts]
    assert sum(words) == sum(len(Path(file.name).read_bytes().split()) for file in files)
    assert min(words) > 0.2 * sum(words)
