r"""Compressed files, recognized by their first bytes and decompressed in pieces: the one place that reads them.

    gzip .gz      bzip2 .bz2      xz .xz      zstd .zst      zip .zip, with one file in it

However much a file decompresses to, memory is that of a few pieces: a file made to fill it (a "bomb") comes in pieces
like any other, and one that asks for a large dictionary is refused. What a reader keeps in memory is limited to 256 MiB
or 100 times the size of the file, whichever is more; logs, texts and vectors become 2 to 50 times as large.
"""

import contextlib
import errno
import io
import os
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO, cast

from logq._decoders import FORMATS, PIECE, SKIPPABLE, Format

__all__ = [
    "COMPRESSED_ENDINGS",
    "InputFile",
    "check_expansion",
    "compression_of",
    "decompress",
    "open_bytes",
    "read_bytes",
]

_READ = 1 << 18  # bytes read at a time
_ALWAYS_KEPT = 1 << 28  # bytes that a compressed file may decompress to if they are kept in memory, however small it is
_LARGEST_RATIO = 100  # and how many times its own size otherwise


_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, IndexError, UnicodeDecodeError)
_ZIP, _ZIP_ENDING = (b"PK\x03\x04", b"PK\x05\x06"), ".zip"  # the second is one without files
_LONGEST_START = 5

COMPRESSED_ENDINGS = (*(each.ending for each in FORMATS), _ZIP_ENDING)
"""How the names of compressed files end."""


def compression_of(start: bytes) -> str:
    """Return the kind of compression of a file that begins like this, "" if it is none.

    Example:
        >>> compression_of(b"BZh91AY&SY"), compression_of(b"It was a dark and stormy night")
        ('bzip2', '')
    """
    if start.startswith(_ZIP):
        return "zip"
    if start.startswith(SKIPPABLE):
        return "zstd"
    return next((each.name for each in FORMATS if start.startswith(each.start)), "")


def decompress(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces, decompressed if its first bytes say so.

    A compressed file may consist of several, one after the other, and zeros may follow.

    Args:
        name: the file, for messages; what is named .gz, .bz2, .xz, .zst or .zip must be that.
        file: it, from its start; of a pipe, which cannot be read anywhere, a zip file is refused.

    Raises:
        ValueError: a compressed file is truncated or damaged, is not what its name says, or is an archive of several.
        ImportError: the file is zstd, and no package that decompresses it is installed.
        OSError: the file cannot be read; the message names it.

    Example:
        >>> import gzip
        >>> b"".join(decompress("a.gz", io.BytesIO(gzip.compress(b"to be ") + gzip.compress(b"or not"))))
        b'to be or not'
    """
    return _recognize(name, file)[1]


def _recognize(name: str, file: BinaryIO) -> tuple[str, Iterator[bytes]]:
    start = b""
    while len(start) < _LONGEST_START and (more := _read(name, file, _READ)):  # a pipe may give single bytes
        start += more
    kind = compression_of(start)
    if not kind:
        for ending, promised in [*((each.ending, each.name) for each in FORMATS), (_ZIP_ENDING, "zip")]:
            if name.lower().endswith(ending):
                raise ValueError(
                    f"{name}: expected a {promised} file, as its name says, but its first bytes are not those of one"
                )
        pieces = _plain(name, start, file)
    elif kind == "zip":
        pieces = _unzip(name, file)
    else:
        pieces = _decode(name, next(each for each in FORMATS if each.name == kind), start, file)
    return kind, _no_archive(name, kind, pieces)


def _read(name: str, file: BinaryIO, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:  # an error in the middle of a file does not know its name
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), name) from error


def _no_archive(name: str, kind: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    while 0 < len(first) < 262 and (more := next(pieces, b"")):
        first += more
    if kind and (inner := compression_of(first)):
        raise ValueError(f"{name}: expected a file that is compressed once, there is {inner} inside of its {kind}")
    if first[257:262] == b"ustar":
        raise ValueError(f"{name}: expected a single file, it is a tar archive; unpack it with tar -xf first")
    if first:
        yield first
    yield from pieces


def check_expansion(name: str, packed: int | None, size: int) -> None:
    """Refuse to keep what a compressed file of `packed` bytes (None for a pipe) becomes, as no data grows as much.

    Example:
        >>> check_expansion("log.csv.gz", 1 << 20, 500 << 20)
        Traceback (most recent call last):
        ...
        ValueError: log.csv.gz: expected at most 268,435,456 bytes when decompressed, it has more; if it is no bomb, ...
    """
    most = 4 * _ALWAYS_KEPT if packed is None else max(_ALWAYS_KEPT, _LARGEST_RATIO * packed)
    if size > most:
        hint = "if it is no bomb, decompress it first"
        raise ValueError(f"{name}: expected at most {most:,} bytes when decompressed, it has more; {hint}")


def _limited(name: str, packed: int | None, pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        check_expansion(name, packed, size)
        yield piece


def _plain(name: str, data: bytes, file: BinaryIO) -> Iterator[bytes]:
    while data:
        yield data
        data = _read(name, file, _READ)


def _decode(name: str, kind: Format, data: bytes, file: BinaryIO) -> Iterator[bytes]:
    new_decoder, errors = kind.decoders(name)
    while data:
        decoder = new_decoder()
        while not decoder.eof:
            try:
                piece = decoder.decompress(data, PIECE)
            except errors as error:
                raise ValueError(f"{name}: the {kind.name} file is damaged ({error})") from None
            data = b""
            if piece:
                yield piece
            if not decoder.eof and decoder.needs_input and not (data := _read(name, file, _READ)):
                raise ValueError(f"{name}: the {kind.name} file ends too early, it is truncated")
        # Zeros may follow, as those that fill the last block of a tape, and then another compressed file.
        data = decoder.unused_data.lstrip(b"\x00")
        while not data and (more := _read(name, file, _READ)):
            data = more.lstrip(b"\x00")
        while 0 < len(data) < _LONGEST_START and (more := _read(name, file, _READ)):
            data += more
        if data and compression_of(data) != kind.name:
            raise ValueError(f"{name}: the {kind.name} file is damaged (something else follows its data)")


def _unzip(name: str, file: BinaryIO) -> Iterator[bytes]:
    if not file.seekable():
        raise ValueError(f"{name}: a zip file cannot be read from a pipe; unpack it there with funzip or unzip -p")
    try:
        with zipfile.ZipFile(file) as archive:
            member = _only_member(name, archive)
            with archive.open(member) as content:
                while piece := content.read(_READ):
                    yield piece
    except _ZIP_ERRORS as error:
        raise ValueError(f"{name}: the zip file is truncated or damaged ({error or 'it ends too early'})") from None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ValueError(f"{name}: the zip file is damaged (it points before its beginning)") from None


def _only_member(name: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [
        member
        for member in archive.infolist()
        # Macs add a folder and files of their own.
        if not member.is_dir() and not member.filename.startswith("__MACOSX/") and not _is_hidden(member)
    ]
    if len(members) > 1 and any(member.filename.endswith("data.pkl") for member in members):
        raise ValueError(f"{name}: expected a zip file with one file in it, it is a file of torch.save")
    if len(members) > 1 and all(member.filename.endswith(".npy") for member in members):
        raise ValueError(f"{name}: expected a zip file with one file in it, it has several arrays of numpy")
    if len(members) != 1:
        first = ", ".join(member.filename for member in members[:5]) + (", ..." if len(members) > 5 else "")
        there = f"{len(members):,}: {first}; unzip it and give one of them, or a pattern" if members else "none"
        raise ValueError(f"{name}: expected a zip file with one file in it, it has {there}")
    member = members[0]
    if member.flag_bits & 1:
        raise ValueError(f"{name}: {member.filename} in it is encrypted; unzip it first")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others know no limit of a piece
        raise ValueError(f"{name}: {member.filename} in it is compressed in an unusual way; unzip it first")
    return member


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    return member.filename.rpartition("/")[2].startswith(".")


class _Pieces(io.RawIOBase):
    """A file whose bytes come from an iterator."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        space = memoryview(buffer).cast("B")
        length = min(len(space), len(self._rest))
        space[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length


class InputFile(io.BufferedReader):
    """A file open for reading, decompressed while it is read.

    Attributes:
        size: of the file on disk, in bytes; None for a pipe.
        compression: "gzip", "bzip2", "xz", "zstd", "zip", or "" if there is none.
    """

    size: int | None = None
    compression: str = ""

    @classmethod
    def of(cls, pieces: Iterator[bytes]) -> "InputFile":
        """Make a file of bytes that come in pieces."""
        return cls(cast("Any", _Pieces(pieces)), _READ)


@contextlib.contextmanager
def open_bytes(path: str | os.PathLike[str], *, kept: bool = False) -> Generator[InputFile, None, None]:
    """Open a file for reading bytes, decompressed if its first bytes say so.

    Args:
        path: the file to read; "-" is standard input.
        kept: the reader keeps what is in the file, which then has the limit of check_expansion.

    Yields:
        The binary file to read from.

    Raises:
        OSError: the file cannot be opened; the message names it.
        ValueError: a compressed file is truncated or damaged, or is not what its name says.
        ImportError: the file is zstd, and no package that decompresses it is installed.

    Example:
        >>> import bz2, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.bz2")
        ...     _ = path.write_bytes(bz2.compress(b"hello"))
        ...     with open_bytes(path) as file:
        ...         file.compression, file.read()
        ('bzip2', b'hello')
    """
    name = os.fspath(path)
    with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as plain:
        kind, pieces = _recognize(name, plain)
        size = _size(plain)
        with InputFile.of(_limited(name, size, pieces) if kept and kind else pieces) as file:
            file.size, file.compression = size, kind
            yield file


def _size(file: BinaryIO) -> int | None:
    try:
        status = os.fstat(file.fileno())
    except OSError:  # what stands for standard input may be no file
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) and file is not sys.stdin.buffer else None


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a file whole, decompressed if its first bytes say so.

    Raises:
        OSError, ValueError, ImportError: as `open_bytes`.

    Example:
        >>> import gzip, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.gz")
        ...     path.write_bytes(gzip.compress(b"hello")) and read_bytes(path)
        b'hello'
    """
    with open_bytes(path, kept=True) as file:
        return file.read()
