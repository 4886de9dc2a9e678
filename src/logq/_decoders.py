"""Decoders of compressed formats: how each begins, and what takes its bytes in pieces of limited size."""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

__all__ = ["FORMATS", "PIECE", "SKIPPABLE", "Decoder", "Format"]

PIECE = 1 << 20  # maximum number of bytes that a piece decompresses to
_ZSTD_READ = 1 << 8  # the only way to limit what a piece of zstd decompresses to: 8 MiB, if all of it is one byte
_XZ_MEMORY = 1 << 29  # bytes; xz -9 needs an eighth of it


class Decoder(Protocol):
    """What bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Format(NamedTuple):
    """How files of a kind of compression begin and are called, and what makes decoders and the errors they raise."""

    name: str
    ending: str
    start: bytes
    decoders: "Callable[[str], tuple[Callable[[], Decoder], tuple[type[Exception], ...]]]"


class _GzipDecoder:
    """zlib's decoder, for gzip with its header and checksum, with the methods of the others."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)


class _ZstdDecoder:
    """zstandard's decoder, which knows no limit of its output, fed in small pieces."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data + self._waiting

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        waiting = memoryview(self._waiting + data)
        pieces: list[bytes] = []
        length = place = 0
        while place < len(waiting) and length < max_length and not self._decoder.eof:
            pieces.append(self._decoder.decompress(waiting[place : place + _ZSTD_READ]))
            length += len(pieces[-1])
            place += _ZSTD_READ
        self._waiting = bytes(waiting[place:])
        return b"".join(pieces)


def _gzip(_: str) -> tuple[Callable[[], Decoder], tuple[type[Exception], ...]]:
    return _GzipDecoder, (zlib.error,)


def _bzip2(_: str) -> tuple[Callable[[], Decoder], tuple[type[Exception], ...]]:
    import bz2

    return bz2.BZ2Decompressor, (OSError, ValueError)


def _xz(_: str) -> tuple[Callable[[], Decoder], tuple[type[Exception], ...]]:
    import lzma

    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), (lzma.LZMAError,)


def _zstd(name: str) -> tuple[Callable[[], Decoder], tuple[type[Exception], ...]]:
    try:
        import zstandard

        return lambda: _ZstdDecoder(zstandard.ZstdDecompressor().decompressobj()), (zstandard.ZstdError,)
    except ImportError:
        pass
    try:
        from compression import zstd  # pyright: ignore  # of Python 3.14

        return zstd.ZstdDecompressor, (zstd.ZstdError,)  # pyright: ignore
    except ImportError:
        raise ImportError(f"{name}: to read zstd files, install zstandard: pip install 'logq[zstd]'") from None


SKIPPABLE = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))  # frames of zstd that pzstd begins with

FORMATS = (
    Format("gzip", ".gz", b"\x1f\x8b", _gzip),
    Format("bzip2", ".bz2", b"BZh", _bzip2),
    Format("xz", ".xz", b"\xfd7zXZ", _xz),
    Format("zstd", ".zst", b"\x28\xb5\x2f\xfd", _zstd),
)
