"""Files are decompressed whole or named: plain, gzip, bzip2, xz, zstd and zip, in any pieces."""

import bz2
import contextlib
import gzip
import io
import lzma
import sys
import tarfile
import tracemalloc
import types
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq import _compression
from logq._compression import check_expansion, decompress, open_bytes
from logq.text import Corpus, encode

TEXT = b"to be or not to be\n" * 1000


def zstd(content):
    return pytest.importorskip("zstandard").ZstdCompressor().compress(content)


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/a.txt", content)
        archive.writestr("__MACOSX/folder/._a.txt", b"of a Mac")
    return file.getvalue()


STREAMS = [gzip.compress, bz2.compress, lzma.compress, zstd]
NAMES = dict(zip(STREAMS, ["gzip", "bzip2", "xz", "zstd"], strict=True))


class Dribble(io.BytesIO):
    """A file of which each read gives a few bytes, as a pipe may."""

    def __init__(self, content, size):
        super().__init__(content)
        self.step = size

    def read(self, size=-1):
        return super().read(size if self.step is None else min(self.step, size) if size >= 0 else self.step)


def unpacked(content, name="a", size=None):
    return b"".join(decompress(name, Dribble(content, size)))


@pytest.mark.parametrize("size", [1, 2, 3, 1000, None])
@pytest.mark.parametrize("pack", [bytes, *STREAMS])
@pytest.mark.parametrize("content", [b"", b"x", b"xyz", TEXT])
def test_all_kinds_in_all_pieces(pack, content, size):
    assert unpacked(pack(content), size=size) == content


def test_a_zip_file_is_its_only_file():
    for content in (b"", b"x", TEXT):
        assert unpacked(zipped(content)) == content


@pytest.mark.parametrize("size", [1, 7, None])
def test_files_put_one_after_the_other_are_one(size):
    assert unpacked(gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(b"x"), size=size) == TEXT + b"x"
    assert unpacked(gzip.compress(TEXT) + b"\x00" * 700, size=size) == TEXT
    for pack in STREAMS[1:]:
        assert unpacked(pack(TEXT) + pack(b"") + pack(b"x"), size=size) == TEXT + b"x"


@pytest.mark.parametrize("piece", [1, 2, 100, 1000])
@pytest.mark.parametrize("pack", STREAMS[:3])
def test_what_packs_well_comes_in_pieces(monkeypatch, piece, pack):
    monkeypatch.setattr(_compression, "PIECE", piece)
    pieces = list(decompress("a", io.BytesIO(pack(bytes(10_000)) + pack(b"end"))))
    assert b"".join(pieces) == bytes(10_000) + b"end"
    assert max(map(len, pieces[1:])) <= piece  # the first is as long as it takes to tell archives apart


@pytest.mark.parametrize("pack", [*STREAMS, zipped])
def test_a_file_made_to_fill_the_memory_comes_in_pieces(pack):
    bomb = pack(bytes(64 << 20))
    tracemalloc.start()
    try:
        assert sum(map(len, decompress("a", io.BytesIO(bomb)))) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_an_xz_file_that_asks_for_much_memory_is_refused():
    header = bytearray(lzma.compress(b"x", preset=0))
    place = header.index(b"\x21\x01") + 2  # the filter, the length of its properties, the size of the dictionary
    header[place] = 36
    block = header[12 : 12 + (header[12] + 1) * 4 - 4]
    header[12 + len(block) : 16 + len(block)] = zlib.crc32(block).to_bytes(4, "little")
    with pytest.raises(ValueError, match=r"a: the xz file is damaged .*[Mm]emory"):
        unpacked(bytes(header))


@given(st.integers(0, 60), st.sampled_from([1, None]))
def test_a_truncated_file_is_named(cut, size):
    for pack, name in NAMES.items():
        packed = pack(b"to be or not to be" * 9)
        cut = min(max(cut, 5), len(packed) - 1)
        with pytest.raises(ValueError, match=rf"some: the {name} file ends too early, it is truncated"):
            unpacked(packed[:cut], "some", size)


@pytest.mark.parametrize("pack", [*STREAMS, zipped])
def test_a_damaged_file_is_named(pack):
    packed = bytearray(pack(TEXT))
    packed[6:-12] = bytes(len(packed) - 18)
    with pytest.raises(ValueError, match=r"some: the \w+ file (is truncated or damaged|is damaged|ends too early)"):
        unpacked(bytes(packed), "some")


@pytest.mark.parametrize("pack", STREAMS)
def test_what_follows_a_compressed_file_is_damage(pack):
    for size in (None, 1):
        for rubbish in (b"rubbish, no file", b"x", bytes(9) + b"rub"):
            message = rf"some: the {NAMES[pack]} file is damaged \(something else follows its data\)"
            with pytest.raises(ValueError, match=message):
                unpacked(pack(TEXT) + rubbish, "some", size)


@pytest.mark.parametrize("inner", STREAMS)
@pytest.mark.parametrize("pack", [*STREAMS, zipped])
def test_what_is_compressed_twice_is_named_and_not_read_as_text(pack, inner):
    outer = "zip" if pack is zipped else NAMES[pack]
    message = f"some: expected a file that is compressed once, there is {NAMES[inner]} inside of its {outer}"
    with pytest.raises(ValueError, match=message):
        unpacked(pack(inner(TEXT)), "some")


@pytest.mark.parametrize("number", [0x50, 0x5D, 0x5F])
def test_zstd_files_may_begin_with_frames_to_skip(number):
    skipped = bytes([number]) + b"\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    assert unpacked(skipped + zstd(TEXT), "a.zst") == TEXT
    assert unpacked(zstd(TEXT) + skipped + zstd(TEXT), "a.zst") == TEXT * 2


def test_hidden_files_in_a_zip_file_do_not_count_and_other_libraries_are_named():
    def packed(*names):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, TEXT)
        return file.getvalue()

    assert unpacked(packed("a.txt", ".DS_Store", "x/._a.txt")) == TEXT
    for names, what in ((("m/data.pkl", "m/version"), "a file of torch.save"), (("a.npy", "b.npy"), "arrays of numpy")):
        with pytest.raises(ValueError, match=f"some: expected a zip file with one file in it, .*{what}"):
            unpacked(packed(*names), "some")


def test_every_truncation_of_a_zip_file_is_named():
    whole = zipped(b"some text " * 30)
    for length in range(5, len(whole)):
        with pytest.raises(ValueError, match="some: the zip file is truncated or damaged"):
            unpacked(whole[:length], "some")


def test_a_zip_file_that_points_before_its_beginning_is_named(tmp_path):
    whole = bytearray(zipped(b"some text"))
    end = whole.rindex(b"PK\x05\x06")
    whole[end + 16 : end + 20] = (2**31).to_bytes(4, "little")  # where the directory begins
    (tmp_path / "a.zip").write_bytes(whole)
    with (
        pytest.raises(ValueError, match=r"a\.zip: the zip file is (truncated or )?damaged"),
        open_bytes(tmp_path / "a.zip") as file,
    ):
        file.read()


def test_archives_of_several_files_are_refused_with_what_is_in_them():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(7):
            archive.writestr(f"{number}.txt", b"x")
    with pytest.raises(
        ValueError, match=r"a\.zip: expected a zip file with one file in it, it has 7: 0\.txt, 1\.txt.*unzip"
    ):
        unpacked(file.getvalue(), "a.zip")
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    with pytest.raises(ValueError, match="it has none"):
        unpacked(empty.getvalue())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    for content in (packed.getvalue(), gzip.decompress(packed.getvalue())):
        with pytest.raises(ValueError, match="a: expected a single file, it is a tar archive"):
            unpacked(content)


def test_zip_files_that_cannot_be_read_in_pieces_are_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", b"x")
    with pytest.raises(ValueError, match=r"a\.txt in it is compressed in an unusual way"):
        unpacked(file.getvalue())
    encrypted = bytearray(zipped(b"x"))
    encrypted[encrypted.index(b"folder/a.txt", encrypted.index(b"PK\x01\x02")) - 46 + 8] |= 1
    with pytest.raises(ValueError, match=r"folder/a\.txt in it is encrypted"):
        unpacked(bytes(encrypted))
    pipe = io.BytesIO(zipped(b"x"))
    pipe.seekable = lambda: False
    with pytest.raises(ValueError, match="a: a zip file cannot be read from a pipe"):
        list(decompress("a", pipe))


def test_a_wrong_checksum_is_damage():
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        unpacked(bytes(packed))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.gz", "gzip"), ("A.GZ", "gzip"), ("a.zst", "zstd"), ("a.bz2", "bzip2"), ("a.xz", "xz"), ("a.zip", "zip")],
)
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
    # A stand-in with the face of compression.zstd, on zlib.
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


@pytest.mark.parametrize("pack", [*STREAMS, zipped])
def test_a_corpus_may_be_compressed_in_any_way(tmp_path, pack):
    path = tmp_path / "some.file"
    path.write_bytes(pack(TEXT))
    with encode(path) as corpus:
        assert corpus.num_words == 6000
    assert sum(map(len, Corpus(path))) == 6000


def read(path):
    with open_bytes(path) as file:
        return file.read()


def test_reads_plain_and_compressed_files_by_what_they_hold(tmp_path):
    for name, content in [("plain", b"text"), ("zipped", gzip.compress(b"text")), ("a.gz", gzip.compress(b"text"))]:
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name) == b"text"
    (tmp_path / "empty").write_bytes(b"")
    assert read(tmp_path / "empty") == b""


def test_reads_gzip_files_joined_to_one(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one ") + gzip.compress(b"two"))
    assert read(tmp_path / "a.gz") == b"one two"


def test_every_truncation_of_a_gzip_file_is_an_error_that_names_it(tmp_path):
    whole = gzip.compress(b"some text " * 30)
    for length in range(len(whole)):
        (tmp_path / "a.gz").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.gz"):
            read(tmp_path / "a.gz")


def test_damaged_gzip_files_are_named(tmp_path):
    whole = bytearray(gzip.compress(b"some text " * 30))
    whole[-6] ^= 1  # the checksum
    for content in (bytes(whole), gzip.compress(b"text")[:10] + b"\xff" * 40, gzip.compress(b"text") + b"rest"):
        (tmp_path / "a.gz").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.gz: the gzip file is damaged"):
            read(tmp_path / "a.gz")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")


def test_an_open_file_tells_its_size_and_its_compression(tmp_path):
    for pack, kind in [(bytes, ""), *NAMES.items(), (zipped, "zip")]:
        (tmp_path / "file").write_bytes(pack(TEXT))
        with open_bytes(tmp_path / "file") as file:
            assert (file.compression, file.size) == (kind, (tmp_path / "file").stat().st_size)
            assert file.readline() == b"to be or not to be\n"
            assert sum(1 for _ in file) == 999


def test_an_error_in_the_middle_of_a_file_names_it():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(10)

    with pytest.raises(OSError, match="some"):
        list(decompress("some", Broken(b"x" * 100)))


def test_what_is_kept_may_become_256_mebibytes_or_100_times_as_large():
    for packed, most in ((1, 256 << 20), (3 << 20, 300 << 20), (None, 1 << 30)):
        check_expansion("a.gz", packed, most)
        with pytest.raises(ValueError, match=rf"a\.gz: expected at most {most:,} bytes when decompressed"):
            check_expansion("a.gz", packed, most + 1)


def test_a_zip_file_whose_content_has_no_name_is_read_or_refused():
    with contextlib.suppress(ValueError):  # by Pythons whose zipfile takes names for not empty
        assert unpacked(zipped(b"x").replace(b"folder/a.txt", b"\0older/a.txt")) == b"x"
