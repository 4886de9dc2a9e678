"""Files are unpacked whole or named: plain, gzip, zstd, in any pieces."""

import gzip
import io
import sys
import types
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.text import Corpus, encode, text_files
from logq.text.text_files import unpack

TEXT = b"to be or not to be\n" * 1000


def zstd(content):
    return pytest.importorskip("zstandard").ZstdCompressor().compress(content)


def unpacked(content, name="a", size=None):
    file = io.BytesIO(content)
    return b"".join(unpack(name, lambda wanted: file.read(size or wanted)))


@pytest.mark.parametrize("size", [1, 2, 3, 1000, None])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
@pytest.mark.parametrize("content", [b"", b"x", b"xyz", TEXT])
def test_all_kinds_in_all_pieces(pack, content, size):
    assert unpacked(pack(content), size=size) == content


@pytest.mark.parametrize("size", [1, 7, None])
def test_files_put_one_after_the_other_are_one(size):
    assert unpacked(gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(b"x"), size=size) == TEXT + b"x"
    assert unpacked(gzip.compress(TEXT) + b"\x00" * 700, size=size) == TEXT
    assert unpacked(zstd(TEXT) + zstd(b"") + zstd(b"x"), size=size) == TEXT + b"x"


@pytest.mark.parametrize("piece", [1, 2, 100, 1000])
def test_what_packs_well_comes_in_pieces(monkeypatch, piece):
    monkeypatch.setattr(text_files, "_PIECE", piece)
    file = io.BytesIO(gzip.compress(bytes(10_000)) + gzip.compress(b"end"))
    pieces = list(unpack("a.gz", file.read))
    assert b"".join(pieces) == bytes(10_000) + b"end"
    assert max(map(len, pieces)) <= piece


@given(st.integers(0, 60), st.sampled_from([1, None]))
def test_a_truncated_file_is_named(cut, size):
    for pack, name in ((gzip.compress, "gzip"), (zstd, "zstd")):
        packed = pack(b"to be or not to be" * 9)
        cut = min(max(cut, 4), len(packed) - 1)
        with pytest.raises(ValueError, match=rf"some: the {name} file ends too early, it is truncated"):
            unpacked(packed[:cut], "some", size)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_damaged_file_is_named(pack):
    packed = bytearray(pack(TEXT))
    packed[4:-12] = bytes(len(packed) - 16)
    with pytest.raises(ValueError, match=r"some: the (gzip|zstd) file (is damaged|ends too early)"):
        unpacked(bytes(packed), "some")
    with pytest.raises(ValueError, match="damaged"):
        unpacked(pack(TEXT) + b"rubbish, no file", "some")


def test_a_wrong_checksum_is_damage():
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        unpacked(bytes(packed))


@pytest.mark.parametrize(("name", "kind"), [("a.gz", "gzip"), ("A.GZ", "gzip"), ("a.zst", "zstd")])
@pytest.mark.parametrize("content", [b"", b"text"])
def test_a_name_is_a_promise(name, kind, content):
    with pytest.raises(ValueError, match=f"{name}: expected a {kind} file, as its name says"):
        unpacked(content, name)


def test_zstd_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(ImportError, match=r"a: to read zstd files, install zstandard: pip install 'logq\[zstd\]'"):
        unpacked(b"\x28\xb5\x2f\xfd and more")


def test_zstd_of_newer_pythons_will_do(monkeypatch):
    # A stand-in with the interface of compression.zstd, on zlib.
    zstandard = types.SimpleNamespace(ZstdDecompressor=zlib.decompressobj, ZstdError=zlib.error)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", types.SimpleNamespace(zstd=zstandard))
    with pytest.raises(ValueError, match="zstd file is damaged"):
        unpacked(b"\x28\xb5\x2f\xfd and more")


def test_a_corpus_may_be_zstd(tmp_path):
    plain, packed = tmp_path / "a.txt", tmp_path / "a.zst"
    plain.write_bytes(TEXT)
    packed.write_bytes(zstd(TEXT))
    with encode(packed) as corpus:
        words = [[corpus.vocabulary.index_to_key[i] for i in ids] for ids in corpus.sentences()]
    assert words == list(Corpus(plain))


@pytest.mark.parametrize(
    ("content", "match"), [(b"BZh91AY&SY", "bzip2"), (b"PK\x03\x04", "zip"), (b"\xfd7zXZ\x00", "xz"),
                           ("a b".encode("utf-16"), "UTF-16"), (bytes(range(128, 256)) * 100, "more than a tenth")]
)  # fmt: skip
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_not_text_is_refused_as_a_corpus_refuses_it(tmp_path, content, match, pack):
    path = tmp_path / "some.file"
    path.write_bytes(pack(content))
    with pytest.raises(ValueError, match=match) as caught:
        encode(path)
    with pytest.raises(ValueError, match=match) as reference:
        list(Corpus(path))
    assert str(caught.value) == str(reference.value)
