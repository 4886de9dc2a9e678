"""A corpus gives every word of its source, in order, as often as it is asked."""

import gzip
import importlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.text import Corpus

corpus_module = importlib.import_module("logq.text.corpus")


def simple(content, max_sentence):
    """What a corpus is, read the slow way."""
    sentences = []
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        words = [
            "".join("\ufffd" if "\udc80" <= letter <= "\udcff" else letter for letter in word) for word in line.split()
        ]
        while words:
            sentences.append(words[:max_sentence])
            words = words[max_sentence:]
    return sentences


@pytest.fixture
def file(tmp_path):
    def write(content, name="corpus.txt"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_lines_are_sentences(file):
    path = file("to be or\nnot  to\tbe\n\n   \nthat is\n")
    assert list(Corpus(path)) == [["to", "be", "or"], ["not", "to", "be"], ["that", "is"]]


def test_the_last_line_needs_no_newline(file):
    assert list(Corpus(file("a b\nc d"))) == [["a", "b"], ["c", "d"]]


def test_carriage_returns_nul_bytes_and_unicode_space_are_fine(file):
    path = file("a b\r\nc\x00d e\r\n\u65e5\u672c\u3000\u8a9e x\u00a0y z\x85w\n")
    assert list(Corpus(path)) == [["a", "b"], ["c\x00d", "e"], ["\u65e5\u672c", "\u8a9e", "x", "y", "z", "w"]]


def test_a_byte_order_mark_is_not_part_of_the_first_word(file):
    assert list(Corpus(file(b"\xef\xbb\xbfa b\n\xef\xbb\xbfc\n"))) == [["a", "b"], ["\ufeffc"]]


@pytest.mark.parametrize("name", ["corpus.gz", "corpus.txt"])
def test_gzip_is_known_by_its_content(file, name):
    assert list(Corpus(file(gzip.compress(b"a b\nc\n"), name))) == [["a", "b"], ["c"]]


def test_several_files_come_one_after_the_other(file):
    paths = [file("a b", "1.txt"), str(file(gzip.compress(b"c\n"), "2.gz")), file("", "3.txt"), file("d\n", "4.txt")]
    assert list(Corpus(paths)) == list(Corpus(tuple(paths))) == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize("source", [[["a", "b"], ("c",), [], ["d"]], (["a", "b"], ["c"], ["d"])])
def test_lists_of_words_come_as_they_are_without_empty_ones(source):
    corpus = Corpus(source)
    assert list(corpus) == list(corpus) == [["a", "b"], ["c"], ["d"]]


def test_an_object_that_starts_anew_can_be_a_source():
    class Sentences:
        def __iter__(self):
            yield ["a", "b"]
            yield ["c"]

    corpus = Corpus(Sentences())
    assert list(corpus) == list(corpus) == [["a", "b"], ["c"]]


def test_a_corpus_can_be_the_source_of_another():
    assert list(Corpus(Corpus([["a", "b", "c"]]), max_sentence=2)) == [["a", "b"], ["c"]]


def test_an_empty_source_is_an_empty_corpus(file):
    assert list(Corpus([])) == list(Corpus(file(""))) == list(Corpus(file("\n \n"))) == []


def test_passes_at_the_same_time_do_not_disturb_each_other(file):
    corpus = Corpus(file("a\nb\nc\n"))
    assert [one + two for one, two in zip(corpus, corpus, strict=True)] == [["a", "a"], ["b", "b"], ["c", "c"]]


@given(
    content=st.lists(
        st.sampled_from(
            [b"a", b"bc", b" ", b"  ", b"\n", b"\r\n", b"\t", b"\xc3\xa9", b"\xe6\x97\xa5", b"\xe3\x80\x80"]
        )
        | st.sampled_from(
            [b"\xff", b"\xe6\x97", b"\xc3", b"\x00", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xef\xbf\xbd"]
        ),
        max_size=60,
    ).map(b"".join),
    block=st.integers(1, 9),
    max_sentence=st.integers(1, 7),
)
def test_blocks_do_not_show(tmp_path_factory, content, block, max_sentence):
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_bytes(b"x" + content)  # without a mark of another format at the start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "_BLOCK", block)
        corpus = Corpus(path, max_sentence=max_sentence)
        assert list(corpus) == simple(b"x" + content, max_sentence)
    invalid = sum(_is_invalid(line) for line in (b"x" + content).split(b"\n"))
    assert corpus.invalid_lines == invalid


def _is_invalid(line):
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def test_invalid_bytes_are_replaced_and_their_lines_counted_anew_in_each_pass(file):
    corpus = Corpus([file(b"caf\xe9 \xff\xfe x\nfine \xef\xbf\xbd\n\xe9", "1.txt"), file(b"\xc3", "2.txt")])
    for _ in range(2):
        assert list(corpus) == [["caf\ufffd", "\ufffd\ufffd", "x"], ["fine", "\ufffd"], ["\ufffd"], ["\ufffd"]]
        assert corpus.invalid_lines == 3


@pytest.mark.parametrize("block", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("content", "invalid"), [(b"\xff\n\xff\n", 2), (b"\xff a\xff\n", 1), (b"\xffab\ncd\n\xff\xff", 2), (b"ab\n\xff", 1)]
)
def test_each_invalid_line_counts_once_wherever_blocks_end(file, monkeypatch, content, invalid, block):
    monkeypatch.setattr(corpus_module, "_BLOCK", block)
    corpus = Corpus(file(b"x " + content))
    list(corpus)
    assert corpus.invalid_lines == invalid


def test_a_line_of_any_length_is_read_whole_in_little_memory(file, monkeypatch):
    monkeypatch.setattr(corpus_module, "_BLOCK", 1 << 16)
    words = 100_000
    path = file(b"".join(b"word%06d " % number for number in range(words)))  # 1.1 MB in a single line
    tracemalloc.start()
    try:
        number = 0
        for sentence in Corpus(path, max_sentence=1000):
            assert len(sentence) <= 1000
            assert sentence == [f"word{place:06d}" for place in range(number, number + len(sentence))]
            number += len(sentence)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number == words
    assert peak < 2.5e6  # all words at once would need 6 MB, and their list nearly one more


def test_a_word_of_many_blocks_is_one_word(file, monkeypatch):
    monkeypatch.setattr(corpus_module, "_BLOCK", 10)
    assert list(Corpus(file("a " + "x" * 1000 + " b"))) == [["a", "x" * 1000, "b"]]


@pytest.mark.parametrize("block", [7000, 1 << 20])
def test_words_of_files_that_are_too_long_are_left_out_and_counted(file, monkeypatch, block):
    monkeypatch.setattr(corpus_module, "_BLOCK", block)
    longest, too_long, wide = "a" * 65_536, "a" * 65_537, "é" * 32_769
    corpus = Corpus(file(f"to {too_long} be\n{too_long}\n{longest} {wide} be {too_long}\n{too_long}"))
    for _ in range(2):
        assert list(corpus) == [["to", "be"], [longest, "be"]]
        assert corpus.long_words == 5


def test_a_file_made_to_fill_the_memory_does_not(file):
    path = file(gzip.compress(b"to be\n" + b"x" * (100 << 20) + b" or\nnot", 1))
    tracemalloc.start()
    try:
        assert list(Corpus(path)) == [["to", "be"], ["or"], ["not"]]
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_long_sentences_come_in_pieces_and_lose_nothing(file):
    pieces = [["1", "2", "3"], ["4", "5", "6"], ["7"], ["8"]]
    assert list(Corpus(file("1 2 3 4 5 6 7\n8\n"), max_sentence=3)) == pieces
    assert list(Corpus([list("1234567"), ["8"]], max_sentence=3)) == pieces


@pytest.mark.parametrize(
    "source",
    [iter([["a"]]), (s for s in [["a"]]), map(list, ["a"]), Path().glob("*.nothing"), zip("a", "b", strict=True)],
)
def test_what_can_be_read_only_once_is_refused(source):
    with pytest.raises(TypeError, match=r"source.*several times"):
        Corpus(source)


def test_an_open_file_is_refused(file):
    with open(file("a b")) as opened, pytest.raises(TypeError, match="source"):
        Corpus(opened)


@pytest.mark.parametrize("source", [5, None, b"bytes", 1.5])
def test_other_types_are_refused(source):
    with pytest.raises(TypeError, match="source"):
        Corpus(source)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ([["a"], "hello world"], "'hello world' as sentence 1"),
        ([["a"], ["b"], 7], "7 as sentence 2"),
        ({"some": 1, "dict": 2}, "'some' as sentence 0"),
        ([b"a b"], "b'a b' as sentence 0"),
        ([["a"], iter(["b"])], "as sentence 1"),
    ],
)
def test_what_is_not_a_list_of_words_is_named(source, shown):
    with pytest.raises(TypeError, match=r"source.*list of words") as caught:
        list(Corpus(source))
    assert shown in str(caught.value)


def test_a_list_of_texts_is_not_a_list_of_files():
    with pytest.raises(FileNotFoundError, match=r"source.*'hello world'.*sentences are lists of words"):
        Corpus(["hello world"])
    with pytest.raises(FileNotFoundError, match=r"source.*sentences are lists of words"):
        Corpus(["a\x00b"])


def test_missing_files_and_folders_are_named_before_reading(file, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Corpus(tmp_path / "nowhere.txt")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Corpus([file("a"), tmp_path / "nowhere.txt"])
    with pytest.raises(FileNotFoundError, match="below"):
        Corpus(file("a") / "below")
    with pytest.raises(IsADirectoryError, match="source"):
        Corpus(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"source.*several times.*pipe"):
        Corpus(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (gzip.compress(b"some words " * 99, mtime=0)[:-9], "truncated"),
        (b"plain text", "gzip"),
        (b"", "gzip"),
        (b"BZh91AY&SY", "bzip2 file ends too early"),
        (b"PK\x03\x04", "zip file is truncated or damaged"),
    ],
)
def test_files_that_are_not_what_they_say_are_named(file, content, match):
    with pytest.raises(ValueError, match=match) as caught:
        list(Corpus(file(content, "corpus.bz2" if content[:2] in (b"BZ", b"PK") else "corpus.gz")))
    assert "corpus." in str(caught.value)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError), (None, TypeError)])
def test_max_sentence_is_checked(value, error):
    with pytest.raises(error, match="max_sentence"):
        Corpus([], max_sentence=value)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "photo.dat"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    with pytest.raises(ValueError, match=r"photo\.dat: expected UTF-8 text, more than a tenth"):
        list(Corpus(path))
    mixed = tmp_path / "mixed.txt"  # every line with an invalid byte is still text
    mixed.write_bytes("größer\n".encode() + "einige W\u00f6rter in jeder Zeile\n".encode("latin-1") * 1000)
    corpus = Corpus(mixed)
    assert sum(map(len, corpus)) == 5001
    assert corpus.invalid_lines == 1000
