"""Files of GloVe, fastText and word2vec, in any compression and encoding; what is wrong with one is said by line."""

import bz2
import gzip
import io
import lzma
import struct
import threading
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

import logq
from logq.vectors import KeyedVectors
from logq.vectors.exchange_formats import ReadingOptions, read_vectors
from logq.vectors.vector_files import is_safetensors

GLOVE = "the 0.1 -0.2 3e-3\n. . . 1 2 3\nat name@domain.com 4 5 6\n2 7 8 9\ncafé 0 0 1\n"
GLOVE_WORDS = ["the", ". . .", "at name@domain.com", "2", "café"]
FASTTEXT = "3 2\n</s> 0.5 1.5 \nnew york -1 2 \n\u00a0 3 4 \n"


@pytest.fixture
def file(tmp_path):
    def write(content, name="vectors.txt"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def zipped(content):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glove.txt", content)
    return packed.getvalue()


def zstd(content):
    return pytest.importorskip("zstandard").ZstdCompressor().compress(content)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd, zipped])
def test_files_of_glove_have_no_first_line_and_words_with_blanks(file, pack):
    vectors = KeyedVectors.load(file(pack(GLOVE.encode())))
    assert vectors.index_to_key == GLOVE_WORDS
    assert vectors["the"].tolist() == np.float32([0.1, -0.2, 3e-3]).tolist()
    assert vectors["2"].tolist() == [7, 8, 9]
    assert vectors["at name@domain.com"].tolist() == [4, 5, 6]


def test_files_of_fasttext_have_a_first_line_and_blanks_at_the_ends(file):
    vectors = KeyedVectors.load(file(FASTTEXT, "wiki.vec"))
    assert vectors.index_to_key == ["</s>", "new york", "\u00a0"]
    assert vectors.vectors.tolist() == [[0.5, 1.5], [-1, 2], [3, 4]]


@pytest.mark.parametrize("first", [". . . 1 2 3", "- 1.5 1 2 3x 1 2 3", "0.5 1 2 3", "at a.b 1 2 3"])
def test_the_first_word_of_glove_may_look_like_anything(file, first):
    vectors = KeyedVectors.load(file(f"{first}\n" + "".join(f"w{i} {i} 0 1\n" for i in range(5))))
    assert vectors.index_to_key == [first.removesuffix(" 1 2 3"), *(f"w{i}" for i in range(5))]


@pytest.mark.parametrize("name", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("content", [GLOVE, FASTTEXT])
def test_text_is_read_in_any_encoding(file, name, content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", logq.GuessedEncodingWarning)
        vectors = KeyedVectors.load(file(content.encode(name)))
    assert vectors.index_to_key == KeyedVectors.load(file(content)).index_to_key


def test_latin_1_is_recognized_or_given(file):
    words = ["größe", "süß", "fähig", "könnte", "während", "mühe", "öl", "straße", "über"]
    content = "".join(f"{word} {index} 1\n" for index, word in enumerate(words)).encode("latin-1")
    with pytest.warns(logq.GuessedEncodingWarning, match=r"vectors\.txt: read as Latin-1"):
        assert KeyedVectors.load(file(content)).index_to_key == words
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert KeyedVectors.load(file(content), encoding="latin-1").index_to_key == words
        russian = "2 2\nязык 1 2\nлиния 3 4\n".encode("koi8-r")
        assert KeyedVectors.load(file(russian), encoding="koi8-r").index_to_key == ["язык", "линия"]


@pytest.mark.parametrize("binary", [True, False])
def test_words_that_are_cut_inside_of_characters(file, binary):
    words = ["größer".encode()[:3], "größer".encode(), "süß".encode()]
    content = b"3 2\n" + b"".join(
        word + b" " + (struct.pack("<2f", 1, 2) if binary else b"1 2") + b"\n" for word in words
    )
    unit = "word 1" if binary else "line 2"
    with pytest.raises(ValueError, match=rf"{unit}: expected UTF-8, got the word .*errors='replace'"):
        KeyedVectors.load(file(content))
    assert KeyedVectors.load(file(content), errors="replace").index_to_key == ["gr\ufffd", "größer", "süß"]
    assert KeyedVectors.load(file(content), errors="ignore").index_to_key == ["gr", "größer", "süß"]
    latin = KeyedVectors.load(file("1 2\ngrößer ".encode("latin-1") + struct.pack("<2f", 1, 2)), encoding="latin-1")
    assert latin.index_to_key == ["größer"]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("2 2\nnew york 1 2\nb 1 2 3\n", r"line 3: expected a word and 2 numbers, got 3 numbers for 'b'"),
        ("2 2\na 1 2 3\nb 1 2 3\n", r"line 2: expected a word and 2 numbers, got 3 numbers for 'a'"),
        ("2 3\na 1 2\nb 1 2\n", r"line 2: expected a word and 3 numbers, got 2 numbers for 'a'"),
        ("2 2\na 0,5 1,5\nb 1 2\n", r"line 2: expected a word and 2 numbers with a decimal point, got '1,5'"),
        ("2 2\na 0.5 1.5\nb -1,25e3 2\n", r"line 3: expected .* with a decimal point, got '-1,25e3'"),
        ("2 2\n 0.5 1.5\nb 1 2\n", r"line 2: expected .*, it begins with a blank where the word should be"),
        ("2 2\na 0.5 1.5\n\t1 2\n", r"line 3: expected .*, it begins with a blank where the word should be"),
        ("2 2\n0.5 1.5\nb 1 2\n", r"line 2: expected a word and 2 numbers, got 1 numbers for '0.5'"),
        ("2 2\na one two\nb 1 2\n", r"line 2: expected a word and 2 numbers, got 'two'"),
        ("a 1 2 3\nb 1 2 3\nc 1 2\n", r"line 3: expected a word and 3 numbers, got 2 numbers for 'c'"),
        ("a 1 2\nb 1 2\nc 3 1 2\n", r"line 3: expected a word and 2 numbers, got 3 numbers for 'c'"),
        ("a 1 2\nb 1 2\na 1 2\n", r"line 3: the word 'a' is there twice; duplicates='first' or 'last' keeps one"),
        ("a;1;2\nb;1;2\n", r"line 1: expected 'V D', .*, got b'a;1;2"),
        ("a,1,2\nb,1,2\n", r"line 1: .*it has commas, which have to become blanks"),
        ("999999999999999999999999 300\na 1\n", r"too short for the 999999999999999999999999 words"),
    ],
)
def test_the_cause_of_an_error_in_text_is_said_with_its_line(file, content, match):
    for load in (KeyedVectors.load, KeyedVectors.load_word2vec_format):
        with pytest.raises(ValueError, match=match) as caught:
            load(file(content))
        assert "vectors.txt" in str(caught.value)


@pytest.mark.parametrize("duplicates", ["first", "last"])
@pytest.mark.parametrize("binary", [True, False])
def test_of_words_that_come_again_the_first_or_the_last_vector_is_kept(file, duplicates, binary):
    rows = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("a", 5)]
    content = b"5 1\n" + b"".join(
        word.encode() + b" " + (struct.pack("<f", value) if binary else f"{value}\n".encode()) for word, value in rows
    )
    with pytest.warns(UserWarning, match=rf"vectors\.txt: 2 words came again; the {duplicates} vector of each"):
        vectors = KeyedVectors.load(file(content), duplicates=duplicates)
    assert vectors.index_to_key == ["a", "b", "c"]
    assert vectors.vectors.tolist() == [[1 if duplicates == "first" else 5], [2], [4]]
    four, none = (struct.pack("<f", 4), struct.pack("<f", np.nan)) if binary else (b"4", b"nan")
    spoiled = content.replace(b"c " + four, b"c " + none)
    with pytest.raises(ValueError, match=f"{'word 4' if binary else 'line 5'}.*finite.*'c'"):
        KeyedVectors.load(file(spoiled), duplicates=duplicates)


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_only_the_first_words_are_read(file, tmp_path, limit, pack):
    words, table = [f"w{i}" for i in range(5)], np.arange(10, dtype=np.float32).reshape(5, 2)
    saved = KeyedVectors(words, table, range(5, 0, -1))
    saved.save_word2vec_format(tmp_path / "text")
    saved.save_word2vec_format(tmp_path / "binary", binary=True)
    saved.save(tmp_path / "folder")
    glove = "".join(f"{word} {a:g} {b:g}\n" for word, (a, b) in zip(words, table, strict=True))
    for path in (
        file(pack((tmp_path / "text").read_bytes())),
        file(pack((tmp_path / "binary").read_bytes()), "b"),
        file(pack(glove.encode()), "g"),
        tmp_path / "folder",
    ):
        vectors = KeyedVectors.load(path, limit=limit)
        assert vectors.index_to_key == words[:limit]
        assert vectors.vectors.tolist() == table[:limit].tolist()
    assert KeyedVectors.load(tmp_path / "folder", limit=limit).counts.tolist() == [5, 4, 3, 2, 1][:limit]
    broken = file("a 1 2\nb 3 4\nc what\n")
    assert KeyedVectors.load(broken, limit=2).index_to_key == ["a", "b"]


def test_float16_is_read_kept_and_saved(file, tmp_path):
    vectors = KeyedVectors.load(file(GLOVE), dtype="float16")
    assert vectors.vectors.dtype == np.float16
    vectors.save(tmp_path / "half")
    again = KeyedVectors.load(tmp_path / "half")
    assert again.vectors.dtype == np.float16
    assert again.vectors.tolist() == vectors.vectors.tolist()
    assert KeyedVectors.load(tmp_path / "half", dtype=np.float32).vectors.dtype == np.float32
    KeyedVectors(["a"], [[0.1]]).save(tmp_path / "single")
    assert KeyedVectors.load(tmp_path / "single", dtype=np.float16)["a"].tolist() == [np.float16(0.1)]
    with pytest.raises(ValueError, match=r"line 1: expected finite numbers of float16 for 'a'"):
        KeyedVectors.load(file("a 1e5 1\nb 1 2\n"), dtype=np.float16)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"limit": 0}, ValueError, "limit"),
        ({"dtype": "float64"}, ValueError, "dtype: expected float32 or float16"),
        ({"encoding": "klingon"}, ValueError, "encoding"),
        ({"errors": "drop"}, ValueError, "errors: expected one of strict, replace, ignore"),
        ({"duplicates": "keep"}, ValueError, "duplicates: expected one of error, first, last"),
    ],
)
def test_options_are_checked_before_anything_is_read(options, error, match):
    for load in (KeyedVectors.load, KeyedVectors.load_word2vec_format):
        with pytest.raises(error, match=match):
            load("nowhere", **options)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\xba\x16\x4f\x2f" + bytes(100), "expected version 11 or 12 of fastText"),
        (b"PAR1" + bytes(100), "expected word vectors, it is Parquet"),
        (b"\x93NUMPY\x01\x00", "expected word vectors, it is an array of numpy"),
        (b"\x80\x04\x95", "this is a pickle"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_of_other_kinds_are_named(file, content, match, pack):
    with pytest.raises(ValueError, match=match):
        KeyedVectors.load(file(pack(content), "model.bin"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zipped])
@pytest.mark.parametrize("header", ["99999999999999 300", "2 99999999999999", "9999999999 1", "9" * 40 + " 9"])
@pytest.mark.parametrize("binary", [True, False, None])
def test_numbers_in_a_first_line_allocate_nothing(file, pack, header, binary):
    path = file(pack(f"{header}\na 1 2\n".encode() + b"b " + bytes(4000)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"vectors\.txt"):
            KeyedVectors.load_word2vec_format(path, binary=binary)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_a_file_made_to_fill_the_memory_does_not(file):
    for bomb in (b"1 2\n" + b"a" * (100 << 20), b"a 1\n" + b"b" * (100 << 20), b"5 2\n" + bytes(100 << 20)):
        path = file(gzip.compress(bomb, 1), "v.gz")
        for binary in (True, False, None):
            tracemalloc.start()
            try:
                with pytest.raises(ValueError, match=r"v\.gz"):
                    KeyedVectors.load_word2vec_format(path, binary=binary)
                assert tracemalloc.get_traced_memory()[1] < 64 << 20
            finally:
                tracemalloc.stop()


def test_the_table_grows_with_the_words(file, monkeypatch):
    monkeypatch.setattr("logq.vectors.exchange_formats._FIRST_NUMBERS", 1)
    content = "".join(f"w{i} {i} 1\n" for i in range(500))
    words, vectors = read_vectors(file(content), ReadingOptions())
    assert words == [f"w{i}" for i in range(500)]
    assert vectors[:, 0].tolist() == list(range(500))


@pytest.mark.skipif(not hasattr(__import__("os"), "mkfifo"), reason="no named pipes here")
def test_vectors_may_come_through_a_pipe(tmp_path):
    import os

    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(GLOVE.encode()))
    writer.start()
    vectors = KeyedVectors.load_word2vec_format(path)
    writer.join()
    assert vectors.index_to_key == GLOVE_WORDS


def test_words_too_long_to_be_read_are_not_written(tmp_path):
    fits, too_long = "a" * 65_536, "a" * 65_537
    for binary in (True, False):
        KeyedVectors([fits], [[1.0]]).save_word2vec_format(tmp_path / "v", binary=binary)
        assert KeyedVectors.load(tmp_path / "v").index_to_key == [fits]
        with pytest.raises(ValueError, match="words: expected words of at most 65,536 bytes"):
            KeyedVectors([too_long], [[1.0]]).save_word2vec_format(tmp_path / "v", binary=binary)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("unicode_errors", "it is called errors here"),
        ("datatype", "it is called dtype here"),
        ("no_header", "are told apart"),
        ("fvocab", "give the counts to KeyedVectors"),
        ("nonsense", "^nonsense: expected an argument of load_word2vec_format$"),
    ],
)
def test_arguments_of_gensim_are_answered_with_what_to_write(file, name, match):
    with pytest.raises(TypeError, match=match):
        KeyedVectors.load_word2vec_format(file(GLOVE), **{name: None})


def binary(words, vectors, *, newline=True):
    rows = (word.encode() + b" " + row.tobytes() + b"\n" * newline for word, row in zip(words, vectors, strict=True))
    return b"%d %d\n" % vectors.shape + b"".join(rows)


@pytest.mark.parametrize("newline", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3, 8])
def test_binary_files_of_few_dimensions_are_told_from_text(file, dim, newline):
    vectors = np.random.default_rng(dim).standard_normal((40, dim)).astype("<f4")
    vectors[0] = np.frombuffer(b"Aab?" * dim, "<f4")  # letters, where the others show what they are
    words = [f"{letter}{number}" for number in range(20) for letter in ("w", "中")]
    loaded = KeyedVectors.load(file(binary(words, vectors, newline=newline)))
    assert loaded.index_to_key == words
    assert np.array_equal(loaded.vectors, vectors)


@pytest.mark.parametrize("errors", ["strict", "replace", "ignore"])
@pytest.mark.parametrize("newline", [True, False])
@pytest.mark.parametrize("blank", ["new york", "salt of", ". . .", "a b c d"])
def test_blanks_in_words_of_a_binary_file_are_noticed(file, blank, newline, errors):
    vectors = np.random.default_rng(1).standard_normal((30, 16)).astype("<f4")
    words = [f"w{i}" for i in range(10)] + [blank, f"{blank} 2"] + [f"v{i}" for i in range(18)]
    with pytest.raises(ValueError, match=r"vectors.txt, word 1[1-4]: expected"):
        KeyedVectors.load(file(binary(words, vectors, newline=newline)), errors=errors)


@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_a_wrong_number_of_dimensions_in_a_binary_file_is_said(file, errors):
    content = binary(["a", "bb", "c"], np.random.default_rng(2).standard_normal((3, 5)).astype("<f4"))
    with pytest.raises(
        ValueError, match=r"vectors.txt, word 2: expected a word, .*D in the first line is not the number of"
    ):
        KeyedVectors.load(file(content.replace(b"3 5", b"3 4", 1)), errors=errors)


def test_words_with_control_characters_come_back_from_a_binary_file(tmp_path):
    words = ["a\x00b", "\x1b[31m", "\x01", "plain"]
    kv = KeyedVectors(words, np.random.default_rng(3).standard_normal((4, 9)))
    kv.save_word2vec_format(tmp_path / "v.bin", binary=True)
    assert KeyedVectors.load(tmp_path / "v.bin").index_to_key == words


@pytest.mark.parametrize(
    "content", [b"2 3\na 1 2\x00 3\nb 4 5 6\n", b"2 2\nca\xe9 t\xe9 1 2\nb 1 2\n", b"2 3\na\x01 b 1 2\nb 4 5 6\n"]
)
def test_an_odd_byte_does_not_make_a_text_binary(file, content):
    with pytest.raises(ValueError, match=r"vectors.txt, line 2: expected"):
        KeyedVectors.load(file(content))


@pytest.mark.parametrize("first", [b"2 3\n", b""])
def test_an_underscore_is_no_part_of_a_number(file, first):
    rows = b"b_5 4 5 6\n1_000 7 8 9\n"
    assert KeyedVectors.load(file(first + rows)).index_to_key == ["b_5", "1_000"]
    with pytest.raises(
        ValueError, match=f"vectors.txt, line {1 + bool(first)}: expected a word and 3 numbers, got '1_000'"
    ):
        KeyedVectors.load(file(first + b"a 1_000 2 3\n" + rows[:10] + b"c 1 2 3\n" * (not first)))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a 1,5 2,1 3,0\nb 4,1 5,3 6,2\n", r"vectors.txt, line 1: .*decimal comma, which has to become a point"),
        (b"", r"vectors.txt, line 1: expected words with their vectors, the file is empty"),
        ((90).to_bytes(8, "little") + b'{"vectors":' + b" " * 99, "safetensors are read from a file only"),
    ],
)
def test_what_is_wrong_with_a_file_without_a_first_line_is_said(file, content, match, monkeypatch):
    monkeypatch.setattr("logq.vectors.vector_files.is_safetensors", lambda path: False)
    with pytest.raises(ValueError, match=match):
        KeyedVectors.load(file(content))


def test_blank_lines_are_skipped_and_a_word_of_nothing_is_refused(file):
    words, vectors = read_vectors(file("the 1 2\n\n  \ncup 3 4\n"))
    assert (list(words), vectors.tolist()) == (["the", "cup"], [[1, 2], [3, 4]])
    path = file(b"the 1 2\n\xff 3 4\n", "odd.txt")
    with pytest.raises(ValueError, match=r"odd\.txt, line 2: expected a word, nothing of b'\\xff' is left"):
        read_vectors(path, ReadingOptions(errors="ignore"))


def test_standard_input_is_not_looked_at_for_tensors():
    assert not is_safetensors("-")
