"""The text files that a source names: found, checked before the first is read, and decompressed."""

import codecs
import contextlib
import glob
import os
import stat
import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from logq._arguments import ArgumentError

__all__ = ["LISTED_HINT", "TextFile", "check_text", "find_text_files", "inspect_file", "unpack"]

LISTED_HINT = "a list of strings is a list of files, sentences are lists of words"
"""The hint for a user who may have given a list of words instead of a list of files."""


class TextFile(NamedTuple):
    """A file to be read.

    Attributes:
        name: its path; "-" is standard input.
        size: in bytes on disk; None for a pipe, which can be read only once.
        modified: when it was last changed, in nanoseconds since 1970; 0 for a pipe.
    """

    name: str
    size: int | None
    modified: int

    @contextlib.contextmanager
    def open(self) -> Generator[BinaryIO, None, None]:
        """Open it for reading its bytes, without decompressing them."""
        if self.name == "-":
            yield sys.stdin.buffer
            return
        with open(self.name, "rb", buffering=0) as file:
            yield cast("BinaryIO", file)


def find_text_files(source: object) -> list[TextFile] | None:
    """Return the files that a source names, or None if it does not name files.

    A path with `*`, `?` or `[` in it stands for all files that match, in the order of their names, and `**` for folders
    of any depth, unless a file has exactly that name.

    Args:
        source: a path, or a list of paths.

    Raises:
        FileNotFoundError: there is no such file, or none that matches.
        IsADirectoryError: a path is a folder.
        PermissionError: a file may not be read.
        ArgumentError: a path is a device.

    Example:
        >>> find_text_files([["to", "be"], ["or", "not"]]) is None
        True
        >>> find_text_files("nowhere-*.txt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: source: no file matches 'nowhere-*.txt'
    """
    if isinstance(source, str | os.PathLike):
        return _find(cast("str | os.PathLike[str]", source), "")
    if not isinstance(source, list | tuple) or not source:
        return None
    paths = cast("list[Any]", source)
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        return None
    return [file for path in cast("Iterable[str]", paths) for file in _find(path, LISTED_HINT)]


def _find(path: str | os.PathLike[str], hint: str) -> list[TextFile]:
    name = os.fspath(path)
    if name == "-":
        return [TextFile("-", None, 0)]
    if not glob.has_magic(name) or os.path.lexists(name):
        return [inspect_file(name, hint)]
    matches = [match for match in sorted(glob.glob(name, recursive=True)) if not os.path.isdir(match)]
    if not matches:
        raise FileNotFoundError(f"source: no file matches {name!r}{_then(hint)}")
    return [inspect_file(match, hint) for match in matches]


def inspect_file(name: str, hint: str) -> TextFile:
    """Return the metadata of a file before it is read, and check that it may be read.

    Args:
        name: its path.
        hint: ends the message where there is no such file.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        PermissionError: it may not be read.
        ArgumentError: it is a device.

    Example:
        >>> inspect_file("nowhere.txt", "")
        Traceback (most recent call last):
        ...
        FileNotFoundError: source: there is no file 'nowhere.txt'
    """
    try:
        status = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"source: there is no file {name!r}{_then(hint)}") from None
    except ValueError:  # a path cannot hold a NUL, a text may
        raise FileNotFoundError(f"source: {name!r} cannot be the name of a file{_then(hint)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"source: expected a file, {name!r} is a folder")
    if stat.S_ISFIFO(status.st_mode):
        return TextFile(name, None, 0)
    if not stat.S_ISREG(status.st_mode):
        raise ArgumentError("source", "a file or a pipe", name, "it is a device")
    file = TextFile(name, status.st_size, status.st_mtime_ns)
    with file.open():  # that a file may not be read is better said now than after an hour of reading others
        pass
    return file


def _then(hint: str) -> str:
    return f"; {hint}" if hint else ""


_NOT_TEXT = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
_NOT_UTF8 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_text(name: str, start: bytes) -> None:
    r"""Check by its beginning that a file can be UTF-8 text; a few invalid bytes are allowed.

    Args:
        name: the file, for the message.
        start: its first 64 kB at least, or all of it.

    Raises:
        ValueError: it begins like a compressed file or like UTF-16, or more than a tenth of it is not UTF-8.

    Example:
        >>> check_text("novel.txt", b"It was a dark and stormy night")
        >>> check_text("novel.txt", b"PK\x03\x04")
        Traceback (most recent call last):
        ...
        ValueError: novel.txt: expected plain text or gzip, it is compressed with zip; decompress it first
    """
    for magic, kind in _NOT_TEXT.items():
        if start.startswith(magic):
            raise ValueError(f"{name}: expected plain text or gzip, it is compressed with {kind}; decompress it first")
    if start.startswith(_NOT_UTF8):
        raise ValueError(f"{name}: expected UTF-8, it is UTF-16; convert it first")
    sample = start[: 1 << 16].decode("utf-8", "replace")
    if len(start) >= 4096 and sample.count("\ufffd") > len(sample) / 10:
        raise ValueError(f"{name}: expected UTF-8 text, more than a tenth of it is not")


_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_READ = 1 << 18  # bytes read at a time
_PIECE = 1 << 20  # maximum number of bytes that a piece of a gzip file decompresses to
_ZSTD_READ = 1 << 13  # the only way to limit what a piece of a zstd file decompresses to


def unpack(name: str, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces, decompressed if it begins like a gzip or a zstd file.

    A gzip or zstd file may consist of several, one after the other.

    Args:
        name: the file, for messages; what is named .gz or .zst must be that.
        read: takes a number n and returns at most n bytes, and none only at the end.

    Raises:
        ValueError: a compressed file is truncated or damaged, or is not what its name says.
        ImportError: the file is zstd, and no package that decompresses it is installed.

    Example:
        >>> import gzip, io
        >>> b"".join(unpack("a.gz", io.BytesIO(gzip.compress(b"to be ") + gzip.compress(b"or not")).read))
        b'to be or not'
    """
    start = b""
    while len(start) < 4 and (more := read(_READ)):  # a pipe may give single bytes
        start += more
    if start.startswith(_GZIP):
        return _gunzip(name, start, read)
    if start.startswith(_ZSTD):
        return _unzstd(name, start, read)
    for ending, kind in ((".gz", "gzip"), (".zst", "zstd")):
        if name.lower().endswith(ending):
            raise ValueError(
                f"{name}: expected a {kind} file, as its name says, but its first bytes are not those of one"
            )
    return _plain(start, read)


def _plain(data: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    while data:
        yield data
        data = read(_READ)


def _gunzip(name: str, data: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    while data:
        decoder = zlib.decompressobj(wbits=31)  # with the header and the checksum of gzip
        while not decoder.eof:
            try:
                piece = decoder.decompress(data, _PIECE)
            except zlib.error as error:
                raise ValueError(f"{name}: the gzip file is damaged ({error})") from None
            data = decoder.unconsumed_tail
            if piece:
                yield piece
            if not data and not decoder.eof and not (data := read(_READ)):
                raise ValueError(f"{name}: the gzip file ends too early, it is truncated")
        # Zeros may follow, as those that fill the last block of a tape, and then another gzip file.
        data = decoder.unused_data.lstrip(b"\x00")
        while not data and (more := read(_READ)):
            data = more.lstrip(b"\x00")


def _unzstd(name: str, data: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    new_decoder, damaged = _zstd(name)
    while data:
        decoder = new_decoder()
        while not decoder.eof:
            now, data = data[:_ZSTD_READ], data[_ZSTD_READ:]
            try:
                piece = decoder.decompress(now)
            except damaged as error:
                raise ValueError(f"{name}: the zstd file is damaged ({error})") from None
            if piece:
                yield piece
            if not data and not decoder.eof and not (data := read(_READ)):
                raise ValueError(f"{name}: the zstd file ends too early, it is truncated")
        data = decoder.unused_data + data or read(_READ)


def _zstd(name: str) -> tuple[Callable[[], Any], type[Exception]]:
    """Return what makes decoders, and the error that they raise."""
    try:
        import zstandard  # pyright: ignore[reportMissingImports]

        return lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError
    except ImportError:
        pass
    try:
        from compression import zstd  # pyright: ignore  # of Python 3.14

        return zstd.ZstdDecompressor, zstd.ZstdError  # pyright: ignore
    except ImportError:
        raise ImportError(f"{name}: to read zstd files, install zstandard: pip install 'logq[zstd]'") from None
