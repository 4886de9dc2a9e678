"""Both formats of word2vec, as word2vec.c and as gensim write them."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from logq.vectors import KeyedVectors
from logq.vectors.exchange_formats import read_vectors, write_word2vec_format

GOLDEN = Path(__file__).parents[1] / "golden"
WORDS = ["the", "日本", "caf\u00e9", "non\u00a0breaking", "-1.5", "x"]
FLAVOURS = [{"binary": False}, {"binary": True}, {"binary": True, "newline": False}]
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)

table = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
table[2] = [0.0, 0.0, 0.0]
table[3] = [1e-45, -3.4e38, 1e-20]


@pytest.fixture
def file(tmp_path):
    def write(content, name="vectors"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def binary_row(word, numbers, end=b""):
    return word + b" " + struct.pack(f"<{len(numbers)}f", *numbers) + end


def test_files_of_gensim_are_read():
    text, binary = (KeyedVectors.load(GOLDEN / f"gensim_word2vec{suffix}") for suffix in (".txt", ".bin"))
    assert (
        text.index_to_key == binary.index_to_key == ["the", "of", "a", "on", "cat", "dog", "sat", "mat", "rug", "xyl"]
    )
    np.testing.assert_array_equal(text.vectors, binary.vectors)
    assert text["the"].tolist() == np.float32([0.15575224, -0.20717543, -0.16027966, -0.13159475]).tolist()
    assert text.counts is None


def test_the_writer_without_newlines_writes_what_gensim_writes(tmp_path):
    kv = KeyedVectors.load(GOLDEN / "gensim_word2vec.txt")
    kv.save_word2vec_format(tmp_path / "v.bin", binary=True, newline=False)
    assert (tmp_path / "v.bin").read_bytes() == (GOLDEN / "gensim_word2vec.bin").read_bytes()


def test_the_formats_byte_by_byte(tmp_path):
    path, words, rows = tmp_path / "v", ["a", "bc"], np.array([[0.1, -2], [0, 1e30]], dtype=np.float32)
    write_word2vec_format(path, words, rows)
    assert path.read_bytes() == b"2 2\na 0.100000001 -2\nbc 0 1.00000002e+30\n"
    write_word2vec_format(path, words, rows, binary=True)
    assert path.read_bytes() == b"2 2\n" + binary_row(b"a", [0.1, -2], b"\n") + binary_row(b"bc", [0, 1e30], b"\n")


@pytest.mark.parametrize("options", FLAVOURS)
@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_saved_is_loaded(file, tmp_path, options, zipped):
    path = tmp_path / "v"
    KeyedVectors(WORDS, table).save_word2vec_format(path, **options)
    if zipped:
        path = file(gzip.compress(path.read_bytes()), "v.gz")
    for known in (options["binary"], None):
        kv = KeyedVectors.load_word2vec_format(path, binary=known)
        assert kv.index_to_key == WORDS
        np.testing.assert_array_equal(kv.vectors, table)
    assert KeyedVectors.load(path).index_to_key == WORDS


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=finite),
    st.sampled_from(FLAVOURS),
    st.data(),
)
def test_every_float32_comes_back(tmp_path_factory, rows, options, data):
    word = st.text(min_size=1, max_size=3).filter(lambda w: w.encode().split() == [w.encode()])
    words = data.draw(st.lists(word, min_size=len(rows), max_size=len(rows), unique=True))
    path = tmp_path_factory.mktemp("vectors") / "v"
    write_word2vec_format(path, words, rows, **options)
    again, vectors = read_vectors(path, binary=options["binary"])
    assert again == words
    assert vectors.tobytes() == rows.tobytes()  # even the sign of a zero


@pytest.mark.parametrize("options", FLAVOURS)
@pytest.mark.parametrize("block", [1, 7, 40])
def test_blocks_do_not_show(tmp_path, monkeypatch, options, block):
    monkeypatch.setattr("logq.vectors.exchange_formats._BLOCK", block)
    write_word2vec_format(tmp_path / "v", WORDS, table, **options)
    words, vectors = read_vectors(tmp_path / "v", binary=options["binary"])
    assert words == WORDS
    np.testing.assert_array_equal(vectors, table)


def test_no_words_at_all(tmp_path):
    for options in FLAVOURS:
        write_word2vec_format(tmp_path / "v", [], np.zeros((0, 3), np.float32), **options)
        words, vectors = read_vectors(tmp_path / "v")
        assert words == []
        assert vectors.shape == (0, 3)


def test_text_of_other_writers_is_read(file):
    for content in (
        b"2 2\na 1 2 \nb 3 4 \n",
        b"2 2\r\na 1 2\r\nb 3 4\r\n",
        b"2 2\na\t1\t2\nb 3 4\n\n",
        b"2 2\na 1 2\nb 3 4",
    ):
        words, vectors = read_vectors(file(content))
        assert words == ["a", "b"]
        assert vectors.tolist() == [[1, 2], [3, 4]]


def test_the_caller_has_the_last_word_on_the_format(file):
    # Two float32 whose bytes happen to spell two decimal numbers.
    content = b"1 2\na " + b"1.0 2.00" + b"\n"
    assert read_vectors(file(content))[1].tolist() == [[1, 2]]
    assert read_vectors(file(content), binary=True)[1].tolist() == [list(struct.unpack("<2f", b"1.0 2.00"))]


@pytest.mark.parametrize("options", FLAVOURS)
@pytest.mark.parametrize("known", [True, False])
def test_every_truncation_is_an_error_that_names_the_file(tmp_path, options, known):
    path = tmp_path / "vectors.w2v"
    write_word2vec_format(path, WORDS, table, **options)
    whole = path.read_bytes()
    complete = len(whole.rstrip(b"\n")) if options["binary"] else len(whole)
    # A number in text may lose its last digits unseen, so text is cut only between numbers.
    cuts = range(complete) if options["binary"] else [i for i in range(complete - 1) if whole[i : i + 1] in b" \n"]
    for length in cuts:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"vectors\.w2v"):
            read_vectors(path, binary=options["binary"] if known else None)


@pytest.mark.parametrize("binary", [False, None])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "line 1"),
        (b"\n", "line 1"),
        (b"a\n", "line 1"),
        (b"a,0.5,0.5\n", "line 1.*commas"),
        (b"2\n", "line 1"),
        (b"x y\n", "line 1"),
        (b"-1 2\n", "line 1"),
        (b"1 0\na\n", "line 1"),
        (b"1 2", "line 1"),
        (b"1" * 200, "line 1"),
        (b"1 2\na 1 2\nb 3 4\n", "line 3"),
        (b"3 1\na 1\nb 2\n\n", "line"),
        (b"2 2\na 1 2\nb 3\n", "line 3"),
        (b"2 2\na 1 2\nb 3 4 5\n", "line 3"),
        (b"2 2\na 1 2\nb 3 x\n", "line 3.*'x'"),
        (b"2 2\na 1 2\nb 3 nan\n", "line 3.*finite.*'b'"),
        (b"2 2\na 1 2\nb 3 1e39\n", "line 3.*finite.*'b'"),
        (b"2 2\na 1 2\nb 3 inf\n", "line 3.*finite.*'b'"),
        (b"2 2\na 1 2\na 3 4\n", "line 3.*'a'"),
        (b"2 2\na 1 2\n\xff 3 4\n", "line 3.*UTF-8"),
        (b"2 2\na 1 2\n\nb 3 4\n", "line 3"),
        (b"99999999999999 300\na 1\n", "too short"),
        (b"2 99999999999999\na 1\n", "too short"),
    ],
)
def test_damaged_text_is_named_with_its_line(file, content, match, binary):
    with pytest.raises(ValueError, match=match) as caught:
        read_vectors(file(content, "v.txt"), binary=binary)
    assert "v.txt" in str(caught.value)


@pytest.mark.parametrize("binary", [True, None])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"2 2\n" + binary_row(b"a", [1, 2]), "too short"),
        (b"2 1\n" + binary_row(b"a", [1]) + b"b " + b"x", "word 2.*ends here"),
        (b"2 2\n" + binary_row(b"a", [1, 2]) + binary_row(b"a", [3, 4]), "word 2.*'a'"),
        (b"2 2\n" + binary_row(b"a", [1, 2]) + binary_row(b"\xff", [3, 4]), "word 2.*UTF-8"),
        (b"2 2\n" + binary_row(b"a", [1, 2]) + binary_row(b"b", [3, np.nan]), "word 2.*finite.*'b'"),
        (b"2 2\n" + binary_row(b"a", [1, 2]) + binary_row(b"", [3, 4], b"\n\n"), "word 2.*none"),
        (b"1 2\n" + binary_row(b"a", [1, 2]) + binary_row(b"b", [3, 4]), "expected the end"),
        (b"1 2\n" + b"\x01" * 200_000, "word 1.*space"),
        (b"99999999999999 300\n" + binary_row(b"a", [1, 2]), "too short"),
    ],
)
def test_damaged_binary_files_are_named_with_the_word(file, content, match, binary):
    with pytest.raises(ValueError, match=match) as caught:
        read_vectors(file(content, "v.bin"), binary=binary)
    assert "v.bin" in str(caught.value)


@pytest.mark.parametrize("binary", [True, False, None])
def test_a_first_line_that_lies_in_a_gzip_file_costs_no_memory(file, binary):
    with pytest.raises(ValueError, match=r"v\.gz"):
        read_vectors(file(gzip.compress(b"99999999999999 300\na 1 2\n"), "v.gz"), binary=binary)


def test_truncated_gzip_files_are_named(tmp_path, file):
    write_word2vec_format(tmp_path / "v", WORDS, table)
    with pytest.raises(ValueError, match=r"v\.gz.*truncated"):
        read_vectors(file(gzip.compress((tmp_path / "v").read_bytes())[:-12], "v.gz"))


@pytest.mark.parametrize("options", FLAVOURS)
@pytest.mark.parametrize("word", ["New York", "", " a", "a\n", "tab\tbed", "\ud800"])
def test_words_that_the_formats_cannot_hold_are_named(tmp_path, options, word):
    with pytest.raises(ValueError, match="words") as caught:
        KeyedVectors(["fine", word], [[1.0], [2.0]]).save_word2vec_format(tmp_path / "v", **options)
    assert repr(word) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_vectors(tmp_path / "nowhere")


@pytest.mark.parametrize("binary", [True, False])
def test_names_in_gz_are_compressed(tmp_path, binary):
    vectors = KeyedVectors(["a", "b"], np.eye(2))
    path = tmp_path / "vectors.gz"
    vectors.save_word2vec_format(path, binary=binary)
    assert path.read_bytes()[:2] == b"\x1f\x8b"
    again = KeyedVectors.load_word2vec_format(path)
    assert again.index_to_key == ["a", "b"]
    assert np.array_equal(again.vectors, vectors.vectors)


def test_pickles_are_named_and_not_opened(tmp_path):
    path = tmp_path / "model.kv"
    path.write_bytes(pickle.dumps({"vectors": [1.0]}))
    with pytest.raises(ValueError, match=r"model\.kv: .*this is a pickle, .* save_word2vec_format"):
        KeyedVectors.load(path)
