"""Paths, patterns and standard input become files, and what is none is named."""

import os
from pathlib import Path

import pytest

from logq.text.text_files import TextFile, find_text_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in ("b.txt", "a.txt", "c.gz", "in/a.txt", "in/deep/z.txt", "odd[1].txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(source):
    files = find_text_files(source)
    assert files is not None
    return [file.name.replace(os.sep, "/") for file in files]


def test_a_path_is_one_file_with_its_size_and_time(folder):
    os.utime("b.txt", ns=(5, 7_000_000_000))
    assert find_text_files("b.txt") == [TextFile("b.txt", 5, 7_000_000_000)]
    assert find_text_files(folder / "b.txt") == [TextFile(str(folder / "b.txt"), 5, 7_000_000_000)]
    assert find_text_files("-") == [TextFile("-", None, 0)]


def test_lists_keep_their_order_and_patterns_are_sorted():
    assert names(["b.txt", Path("a.txt"), "b.txt"]) == ["b.txt", "a.txt", "b.txt"]
    assert names("[ab].txt") == ["a.txt", "b.txt"]
    assert names(["c.*", "?.txt"]) == ["c.gz", "a.txt", "b.txt"]
    assert names("**/*.txt") == ["a.txt", "b.txt", "in/a.txt", "in/deep/z.txt", "odd[1].txt"]
    assert names("i*/**") == ["in/a.txt", "in/deep/z.txt"], "folders are no files"
    assert names(Path("*", "*.txt")) == ["in/a.txt"]


def test_a_file_with_the_name_of_a_pattern_is_that_file():
    assert names("odd[1].txt") == ["odd[1].txt"]


@pytest.mark.parametrize("source", [[["a"]], [], (), [["a.txt"], "a.txt"], iter(["a.txt"]), 5, None, {"a.txt"}, b"a"])
def test_other_sources_name_no_files(source):
    assert find_text_files(source) is None


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        ("nowhere.txt", FileNotFoundError, r"source: there is no file 'nowhere\.txt'$"),
        ("a.txt/below", FileNotFoundError, "there is no file"),
        ("no*where", FileNotFoundError, r"source: no file matches 'no\*where'$"),
        (["a.txt", "to be"], FileNotFoundError, "'to be'; a list of strings is a list of files, sentences are lists"),
        (["a\x00b"], FileNotFoundError, "cannot be the name of a file"),
        ("in", IsADirectoryError, "source: expected a file, 'in' is a folder"),
        (["a.txt", "in"], IsADirectoryError, "folder"),
        ("/dev/null", ValueError, "device"),
    ],
)
@pytest.mark.skipif(not Path("/dev/null").exists(), reason="other devices here")
def test_what_is_not_a_file_is_named(source, error, match):
    with pytest.raises(error, match=match):
        find_text_files(source)


def test_a_file_that_may_not_be_read_is_named_before_others_are(monkeypatch):
    def refused(name, *_, **__):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(PermissionError, match=r"a\.txt"):
        find_text_files("a.txt")
