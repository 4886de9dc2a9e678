"""What a text file may begin with, and what it is told when it is something else than UTF-8 text."""

import codecs

__all__ = ["check_text"]

_NOT_TEXT = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
_NOT_UTF8 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_text(name: str, start: bytes) -> None:
    r"""Check that a file can be UTF-8 text by how it begins; a few invalid bytes are no reason to refuse it.

    Args:
        name: the file, for the message.
        start: its first 64 kB at least, or all of it.

    Raises:
        ValueError: it begins like a compressed file or like UTF-16, or more than a tenth of it is no UTF-8.

    Example:
        >>> check_text("novel.txt", b"It was a dark and stormy night")
        >>> check_text("novel.txt", b"PK\x03\x04")
        Traceback (most recent call last):
        ...
        ValueError: novel.txt: expected plain text or gzip, it is compressed with zip; unpack it first
    """
    for magic, kind in _NOT_TEXT.items():
        if start.startswith(magic):
            raise ValueError(f"{name}: expected plain text or gzip, it is compressed with {kind}; unpack it first")
    if start.startswith(_NOT_UTF8):
        raise ValueError(f"{name}: expected UTF-8, it is UTF-16; convert it first")
    sample = start[: 1 << 16].decode("utf-8", "replace")
    if len(start) >= 4096 and sample.count("\ufffd") > len(sample) / 10:
        raise ValueError(f"{name}: expected UTF-8 text, more than a tenth of it is something else")
