"""Bytes out of files that are plain, gzip or zstd, known by how they begin; in pieces, whatever they unpack to."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["unpack"]

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_READ = 1 << 18  # bytes read at a time
_PIECE = 1 << 20  # the most that a piece of a gzip file unpacks to
_ZSTD_READ = 1 << 13  # what a zstd file unpacks to cannot be limited otherwise


def unpack(name: str, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces, unpacked if it begins as a gzip or a zstd file does.

    A gzip or zstd file may consist of several that were put one after the other.

    Args:
        name: the file, for messages; what is named .gz or .zst must be that.
        read: returns at most so many bytes, and none only at the end.

    Raises:
        ValueError: a compressed file is truncated or damaged, or is not what its name says.
        ImportError: the file is zstd, and there is nothing here to unpack it.

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
            raise ValueError(f"{name}: expected a {kind} file, as its name says, but it does not begin like one")
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
    """What makes decoders, and what these raise."""
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
