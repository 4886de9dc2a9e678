"""Texts are read in whatever encoding they have, as UTF-8; what is not text is named."""

import codecs
import gzip
import pickle
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

import logq
from logq import _text_encodings
from logq._text_encodings import Utf8Pieces, check_encoding, open_text, text_lines
from logq.text import Corpus, encode

GERMAN = "Größe und Übermut tun selten gut; „Äpfel“ — süß\n"
GREEK = "ἐν ἀρχῇ ἦν ὁ λόγος 3 μῆνες\n"
CHINESE = "道可道,非常道。 名可名 5\n"


def converted(content, encoding=None, size=1 << 20, lenient=False):
    text = Utf8Pieces("some", [content[i : i + size] for i in range(0, len(content), size)], encoding, lenient=lenient)
    return b"".join(text), text


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("text", ["", "x", GERMAN * 9, GREEK * 99, CHINESE * 9, "😀 tea\n" * 50])
@pytest.mark.parametrize(
    ("mark", "name"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_mark_at_the_start_says_the_encoding(text, mark, name, size):
    got, found = converted(mark + text.encode(name), size=size)
    assert got.decode() == text
    assert (found.encoding, found.guessed) == (name, False)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [GERMAN, GREEK * 3, CHINESE * 99, "1\t2\n" * 5])
def test_utf16_without_a_mark_is_recognized_by_its_zeros(text, name, size):
    got, found = converted(text.encode(name), size=size)
    assert got.decode() == text
    assert (found.encoding, found.guessed) == (name, True)


@pytest.mark.parametrize("content", [b"a\x00b", b"\x00" * 8, b"words " * 50 + b"\x00" * 9, bytes(range(128)), b"\x00a"])
def test_zeros_alone_do_not_make_a_text_utf16(content):
    assert converted(content)[0] == content


@pytest.mark.parametrize("sentence", [b"a bc d e \x00 f g h ij\n", b"\x00a bcdefghi jk lm nopqr\n"])
def test_zeros_among_ascii_are_no_utf16_even_where_all_are_at_even_places(sentence):
    assert {at % 2 for at, byte in enumerate(sentence * 50) if byte == 0} == {sentence.index(0) % 2}
    got, found = converted(sentence * 50)
    assert (got, found.encoding) == (sentence * 50, "utf-8")


@pytest.mark.parametrize(
    "content", [b"\x00" * 100, b"a\x00\x00b" * 50, "ab".encode("utf-16-le") * 2 + b"a" * 9 + b"\x00" * 9]
)
def test_many_zeros_are_no_text_unless_an_encoding_is_given(content):
    with pytest.raises(ValueError, match=r"some: expected text, more than a tenth of its bytes are zero; .*encoding="):
        converted(content)
    assert converted(content, "utf-8")[0] == content


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("name", ["utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [GERMAN, GREEK * 3, CHINESE * 99, "😀 tea\n", "1\t2\n" * 5, "ab\n"])
def test_utf32_without_a_mark_is_recognized_by_its_zeros(text, name, size):
    got, found = converted(text.encode(name), size=size)
    assert got.decode() == text
    assert (found.encoding, found.guessed) == (name, True)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["utf-8", "utf-16", "cp1252"])
def test_a_carriage_return_alone_ends_a_line(tmp_path, name, pack):
    path = tmp_path / "mac.txt"
    path.write_bytes(pack(("süß und\rgut für\rÄpfel" * 3).encode(name)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", logq.GuessedEncodingWarning)
        assert [line for _, line in text_lines(path)][:3] == ["süß und", "gut für", "Äpfelsüß und"]
        with encode(path, min_count=1, progress=False) as corpus:
            assert corpus.num_sentences == 7
    for text in ("a\r\nb\r", "a\rb\n", "a\r"):  # these mean something else
        assert converted(text.encode())[0] == text.encode()


@pytest.mark.parametrize("name", ["cp1251", "koi8-r", "iso8859-5"])
def test_a_short_text_of_another_alphabet_is_no_utf8_text(name):
    with pytest.raises(ValueError, match=r"some: expected UTF-8 text, more than a tenth of it is not; .*encoding="):
        converted(("кот сидел на ковре\n" * 5).encode(name), lenient=True)
    assert converted("кот сидел\n".encode(name), name)[0].decode() == "кот сидел\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_latin_1_is_read_as_windows_writes_it(size):
    got, found = converted(GERMAN.encode("cp1252"), size=size)
    assert got.decode() == GERMAN
    assert (found.encoding, found.guessed) == ("latin-1", True)
    assert converted("naïve café".encode("latin-1"), "latin-1", size)[0].decode() == "naïve café"


def test_the_encoding_is_seen_where_the_first_letters_beyond_ascii_are():
    plain = b"plain words of ascii\n" * 10_000
    for letters, name in [("für", "latin-1"), ("für", "utf-8")]:
        content = plain + (letters + "\n").encode(name) * 9
        got, found = converted(content, size=5000, lenient=True)
        assert got.decode() == plain.decode() + (letters + "\n") * 9
        assert found.encoding == name


def test_a_few_stray_bytes_in_a_text_that_is_read_anyway_are_not_an_encoding():
    for content in (b"caf\xe9 x\xff", "größer\n".encode() + "größer\n".encode("latin-1") * 50, b"cut \xc3\n" * 5):
        got, found = converted(content, lenient=True)
        assert got == content
        assert found.encoding == "utf-8"


@given(st.text(max_size=99), st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-8-sig"]), st.integers(1, 9))
def test_any_text_in_an_encoding_that_is_given(text, name, size):
    text = text.removeprefix("\ufeff")
    encoded = text.encode(name)
    if not encoded.startswith(tuple(_text_encodings._STARTS)):
        assert converted(encoded, check_encoding(name), size)[0].decode() == text


def test_what_is_invalid_stays_invalid_for_the_reader_to_see():
    assert converted("a\ud83db".encode("utf-16-le", "surrogatepass"), "utf-16-le")[0] == b"a\xed\xa0\xbdb"
    assert converted(b"a\x81b\xe9", "cp1252")[0] == b"a\x81b\xc3\xa9"
    with pytest.raises(ValueError, match="some: expected utf-16-le text, it is damaged"):
        converted(codecs.BOM_UTF16_LE + b"a\x00b")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (pickle.dumps([1]), "a pickle"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x89PNG\r\n", "an image"),
        (b"%PDF-1.7", "PDF"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_not_text_is_named(tmp_path, content, kind, pack):
    path = tmp_path / "some.file"
    path.write_bytes(pack(content))
    for read in (lambda: list(Corpus(path)), lambda: encode(path), lambda: list(text_lines(path))):
        with pytest.raises(ValueError, match=rf"some\.file: expected text, it is .*{kind}"):
            read()


def test_corpus_and_encode_say_the_same_of_what_they_refuse(tmp_path):
    path = tmp_path / "some.file"
    path.write_bytes("道可道".encode("gb18030") * 2000)
    with pytest.raises(ValueError, match=r"more than a tenth of it is not; .* encoding=") as caught:
        encode(path)
    with pytest.raises(ValueError, match="tenth") as reference:
        list(Corpus(path))
    assert str(caught.value) == str(reference.value)
    with encode(path, encoding="gb18030", min_count=1) as corpus:
        assert corpus.vocabulary.index_to_key == ["道可道" * 2000]
    assert list(Corpus(path, encoding="gb18030")) == [["道可道" * 2000]]


@pytest.mark.parametrize("name", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_corpora_are_read_in_any_encoding(tmp_path, name, pack):
    path = tmp_path / "a.txt"
    path.write_bytes(pack((GERMAN * 5).encode(name)))
    expected = [GERMAN.split()] * 5
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with encode(path, min_count=1) as corpus:
            words = [[corpus.vocabulary.index_to_key[i] for i in ids] for ids in corpus.sentences()]
        assert words == list(Corpus(path)) == expected
        assert corpus.invalid_lines == 0
    guesses = [str(each.message) for each in caught if each.category is logq.GuessedEncodingWarning]
    assert len(guesses) == 2 * (name in ("utf-16-le", "utf-16-be", "cp1252"))
    assert all("a.txt: read as " in guess for guess in guesses)


def test_lines_keep_their_numbers_in_any_encoding(tmp_path):
    path = tmp_path / "file"
    for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        path.write_bytes("eins zwei\r\n\r\n  größer\u00a0\r\nletzte".encode(name))
        assert list(text_lines(path)) == [
            (f"{path}, line 1", "eins zwei"),
            (f"{path}, line 3", "größer"),
            (f"{path}, line 4", "letzte"),
        ]


def test_lines_that_are_neither_utf8_nor_latin_1_are_named(tmp_path):
    path = tmp_path / "file"
    path.write_bytes("größer\n".encode() + "größer\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"file, line 2: expected utf-8 text"):
        list(text_lines(path))
    path.write_bytes("größer\n".encode("latin-1"))
    with pytest.warns(logq.GuessedEncodingWarning, match="file: read as Latin-1, as it is not UTF-8"):
        assert list(text_lines(path)) == [(f"{path}, line 1", "größer")]
    assert list(text_lines(path, "latin-1")) == [(f"{path}, line 1", "größer")]


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"one\n" + b"x" * (5 << 20)))
    with pytest.raises(ValueError, match=r"file, line 2: expected at most 1,048,576 bytes"):
        list(text_lines(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(text_lines(tmp_path / "nowhere"))


@pytest.mark.parametrize(("value", "error"), [("klingon", ValueError), ("base64", ValueError), (8, TypeError)])
def test_an_unknown_encoding_is_refused_before_anything_is_read(value, error):
    for read in (
        lambda: Corpus([], encoding=value),
        lambda: encode([["a"]], encoding=value),
        lambda: open_text("nowhere", value).__enter__(),
    ):
        with pytest.raises((error, FileNotFoundError), match=r"encoding: expected|nowhere"):
            read()
