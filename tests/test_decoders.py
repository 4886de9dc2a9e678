"""Decoders of compressed formats, one by one; tests/test_compression.py has what reads files by them."""

import bz2
import gzip
import lzma

import pytest
import zstandard

from logq._decoders import FORMATS, PIECE

PACKED = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_what_is_packed_comes_back_in_pieces(each) -> None:
    data = bytes(3 * PIECE) + b"the end"
    packed = PACKED[each.name](data)
    assert packed.startswith(each.start)
    make, errors = each.decoders("a")
    decoder, found, rest = make(), [], packed + b"behind it"
    while not decoder.eof:
        found.append(decoder.decompress(rest, PIECE))
        rest = b""
    assert b"".join(found) == data
    assert decoder.unused_data == b"behind it"
    assert all(issubclass(error, Exception) for error in errors)


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_damage_is_one_of_the_errors_that_are_told(each) -> None:
    make, errors = each.decoders("a")
    packed = bytearray(PACKED[each.name](bytes(range(256)) * 40))
    packed[8:40] = b"\xff" * 32
    decoder = make()
    with pytest.raises(errors):
        decoder.decompress(bytes(packed), PIECE)
