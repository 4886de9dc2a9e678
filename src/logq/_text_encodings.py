r"""Text files in whatever encoding they have, as UTF-8: the one place that recognizes encodings.

UTF-8       with or without the mark at its start that some programs write (a "BOM")
UTF-16      either order of bytes, by its mark or because every other byte of the text is 0
UTF-32      likewise, by its mark or because two of four bytes are 0
Latin-1     where there are bytes beyond ASCII and none of them is UTF-8; said by `encoding`, so that it can be told.
            Windows' letters and quotation marks, which Latin-1 lacks, are read as such (code page 1252)

Lines that end in a carriage return alone, as on Macs long ago, end in a newline here.
"""

import codecs
import contextlib
import os
import unicodedata
from collections.abc import Generator, Iterable, Iterator
from itertools import chain

from logq._arguments import ArgumentError, ArgumentTypeError
from logq._compression import InputFile, open_bytes
from logq._warnings import warn

__all__ = [
    "GuessedEncodingWarning",
    "Utf8Pieces",
    "check_encoding",
    "kind_of_file",
    "looks_like_utf16",
    "open_text",
    "text_lines",
    "warn_of_guess",
]

_SAMPLE = 1 << 16  # bytes from which an encoding is guessed
_FEW = 8  # stray bytes in a text that is read anyway are damage; more of them, and no UTF-8 at all, are an encoding

_MANY = 32  # stray bytes are more than damage, if they are a tenth of the text too
_CONVERT = "if it is text, convert it (iconv -f NAME -t UTF-8) or give encoding="

_PRINTABLE = bytes([0, *b"\t\n\v\f\r\x1a", *range(0x20, 0x7F)])  # of ASCII, with the zeros in question

_LOOKED_AT = 1 << 12  # characters whose kind is looked up

_LONGEST_LINE = 1 << 20  # bytes of a line that is read whole; no file shall fill the memory by one

_MARKS = (  # that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STARTS = {  # of files that are no text, for a message that helps
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"\x93NUMPY": "an array of numpy",
    b"\x89HDF": "HDF5",
    b"%PDF": "PDF",
    b"SQLite format 3\x00": "an SQLite database",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"]\x00\x00": "compressed with LZMA; decompress it first",
    b"7z\xbc\xaf": "compressed with 7-Zip; decompress it first",
    b"Rar!": "compressed with RAR; decompress it first",
    b"\x04\x22\x4d\x18": "compressed with LZ4; decompress it first",
    b"\x1f\x9d": "compressed with compress; decompress it first",
}


class GuessedEncodingWarning(UserWarning):
    """A text was read in an encoding that its bytes suggest but nothing says: Latin-1, or UTF-16 without a mark.

    Example:
        >>> issubclass(GuessedEncodingWarning, UserWarning)
        True
    """


GuessedEncodingWarning.__module__ = "logq"  # where users find it


def check_encoding(encoding: object) -> str | None:
    """Return Python's name of an encoding of text, or None where it is to be recognized.

    Raises:
        ArgumentTypeError: it is no string.
        ArgumentError: Python knows no such encoding of text.

    Example:
        >>> check_encoding("Latin1")
        'iso8859-1'
    """
    if encoding is None:
        return None
    if not isinstance(encoding, str):
        raise ArgumentTypeError("encoding", "the name of an encoding", encoding)
    try:
        name = codecs.lookup(encoding).name.removesuffix("-sig")
        "".encode(name)  # codecs are found that encode no text, such as base64
    except (LookupError, ValueError):
        raise ArgumentError("encoding", "an encoding that Python knows, such as utf-8 or latin-1", encoding) from None
    return name


class Utf8Pieces:
    r"""The bytes of a text as UTF-8, without the mark at its start, in pieces.

    Text that is UTF-8 already passes as it is, invalid bytes included: what to do about them is up to its reader. Of
    other encodings, what is invalid becomes bytes that are invalid as UTF-8, for the same reason.

    Args:
        name: the file, for messages.
        pieces: its bytes, not compressed.
        encoding: the encoding that it has; None to recognize it.
        lenient: the reader reads on where bytes are invalid, so that a few of them are no reason to take Latin-1.

    Attributes:
        encoding: the one found: "utf-8", "utf-16-le" and so on, or "latin-1"; complete once all was read.
        guessed: whether nothing but the bytes themselves speaks for it.
        returns_alone: whether its lines ended in carriage returns alone, which are line feeds here.

    Raises:
        ValueError: the text is none, or not UTF-8 and more than a tenth of it would be invalid.

    Example:
        >>> text = Utf8Pieces("a.txt", ["caf\u00e9".encode("utf-16")])
        >>> b"".join(text).decode(), text.encoding
        ('café', 'utf-16-le')
    """

    def __init__(
        self, name: str, pieces: Iterable[bytes], encoding: str | None = None, *, lenient: bool = False
    ) -> None:
        self.name = name
        self.encoding = "utf-8" if encoding is None else encoding
        self.guessed = self.returns_alone = False
        self._given = encoding
        self._few = _FEW if lenient else 1
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._utf8()
        held = [piece for piece in [next(pieces, None)] if piece is not None]
        self.returns_alone = bool(held) and b"\r" in held[0].rstrip(b"\r") and b"\n" not in held[0]
        for piece in chain(held, pieces):
            yield piece.replace(b"\r", b"\n") if self.returns_alone else piece

    def _utf8(self) -> Iterator[bytes]:
        held: list[bytes] = []  # pieces that were read to see what they are
        start = self._sample(held)
        if kind := kind_of_file(start):
            raise ValueError(f"{self.name}: expected text, it is {kind}")
        mark = self._recognize_start(start)
        if self._given is None and self.encoding == "utf-8" and start.count(0) > max(_FEW, len(start) / 10):
            raise ValueError(f"{self.name}: expected text, more than a tenth of its bytes are zero; {_CONVERT}")
        while mark > 0:  # it may be cut
            mark, held[0] = mark - len(held[0]), held[0][mark:]
            held = held if held[0] else held[1:]
        if self.encoding != "utf-8":
            yield from self._converted(held)
        elif self._given is None:
            yield from self._utf8_or_latin(held)
        else:
            yield from held
            yield from self._pieces

    def _sample(self, held: list[bytes]) -> bytes:
        """Hold further pieces until those held are enough to guess from, and return them joined."""
        size = sum(map(len, held))
        while size < _SAMPLE and (piece := next(self._pieces, None)) is not None:
            held.append(piece)
            size += len(piece)
        return b"".join(held)

    def _recognize_start(self, start: bytes) -> int:
        """Recognize UTF by the beginning of the text, and return the length of its mark."""
        mark, encoding = next((each for each in _MARKS if start.startswith(each[0])), (b"", ""))
        if self._given is None and not encoding:
            encoding = _utf_without_mark(start)
            self.guessed = bool(encoding)
        if self._given is not None:
            return len(mark) if encoding == self._given else 0
        self.encoding = encoding or "utf-8"
        return len(mark)

    def _utf8_or_latin(self, held: list[bytes]) -> Iterator[bytes]:
        """Take the text for UTF-8 until the first bytes beyond ASCII, and then see whether they are."""
        while all(piece.isascii() for piece in held):
            yield from held
            held = [piece for piece in [next(self._pieces, None)] if piece is not None]
            if not held:
                return
        sample = self._sample(held)[:_SAMPLE]
        valid, invalid = _sequences(sample)
        if valid == 0 and invalid >= self._few and _reads_as_latin(sample):
            self.encoding, self.guessed = "latin-1", True
            yield from self._converted(held)
            return
        # In a short text some of the bytes may happen to be UTF-8, or be text from elsewhere that is.
        share = 0.1 if valid == 0 or len(sample) >= 4096 else 0.4
        if invalid >= _MANY and invalid > len(sample.decode("utf-8", "replace")) * share:
            raise ValueError(f"{self.name}: expected UTF-8 text, more than a tenth of it is not; {_CONVERT}")
        yield from held
        yield from self._pieces

    def _converted(self, held: list[bytes]) -> Iterator[bytes]:
        codec = "cp1252" if self.encoding == "latin-1" and self._given is None else self.encoding
        errors = "surrogatepass" if codec.startswith(("utf-16", "utf-32")) else "surrogateescape"
        decoder = codecs.getincrementaldecoder(codec)(errors)
        try:
            for piece in chain(held, self._pieces):
                yield decoder.decode(piece).encode("utf-8", errors)
            yield decoder.decode(b"", True).encode("utf-8", errors)
        except UnicodeError as error:  # half a character of UTF-16 at the end, or more than 0x10ffff in UTF-32
            reason = getattr(error, "reason", error)
            raise ValueError(f"{self.name}: expected {self.encoding} text, it is damaged ({reason})") from None


def kind_of_file(start: bytes) -> str:
    r"""Return what a file that begins like this is, if that is known and not text; "" otherwise.

    Example:
        >>> kind_of_file(b"PAR1\x15\x04"), kind_of_file(b"It was a dark and stormy night")
        ('Parquet', '')
    """
    return next((kind for magic, kind in _STARTS.items() if start.startswith(magic)), "")


def looks_like_utf16(start: bytes) -> bool:
    """Whether a text that begins like this is UTF-16 or UTF-32, with a mark or without.

    Example:
        >>> looks_like_utf16("4 2".encode("utf-16")), looks_like_utf16(b"4 2")
        (True, False)
    """
    return start.startswith(tuple(mark for mark, name in _MARKS if name != "utf-8")) or bool(_utf_without_mark(start))


def _utf_without_mark(sample: bytes) -> str:
    """The encoding of a text in which every other byte is mostly 0, or two of four are; "" for others.

    UTF-8 text has no zeros in it, but for one that some program left there: the rest is printable ASCII then, which
    UTF-16 is where all its high bytes are 0, and of other alphabets only by chance.
    """
    sample = sample[: len(sample) // 4 * 4] if len(sample) >= _SAMPLE else sample
    zeros = [sample[first::4].count(0) for first in range(4)]
    quarter = len(sample) / 4
    if len(sample) % 4 == 0 and sum(zeros) >= max(4, len(sample) / 4):
        for encoding, high in (("utf-32-le", zeros[3]), ("utf-32-be", zeros[0])):
            if high == quarter and _reads_as(sample, encoding):
                return encoding
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    # A hundredth: blanks and digits between the letters of other alphabets.
    if max(even, odd) < max(4, len(sample) / 200) or min(even, odd) > max(even, odd) / 4:
        return ""
    if max(even, odd) < 0.9 * len(sample) / 2 and not sample.translate(None, _PRINTABLE):
        return ""
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    return encoding if _reads_as(sample, encoding) else ""


def _reads_as(sample: bytes, encoding: str) -> bool:
    """Whether nearly all characters of a text in this encoding are ones that texts have."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)[:_LOOKED_AT]
    odd = sum(1 for letter in text if letter == "\ufffd" or unicodedata.category(letter) in ("Cn", "Co", "Cs"))
    odd += sum(1 for letter in text if letter < " " and not letter.isspace())
    return odd <= len(text) / 1000


def _sequences(sample: bytes) -> tuple[int, int]:
    """How many characters beyond ASCII are valid UTF-8, and how many are not."""
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(sample)  # its last character may be cut
    invalid = sum(1 for letter in text if "\udc80" <= letter <= "\udcff")
    return sum(1 for letter in text if letter > "\x7f") - invalid, invalid


def _reads_as_latin(sample: bytes) -> bool:
    """Whether a text that is not UTF-8 can be Latin-1: most of it ASCII, and its letters beyond that beside others."""
    beyond = sum(1 for byte in sample if byte > 0x7F)
    controls = sum(1 for byte in sample if byte < 0x20 and byte not in b"\t\n\v\f\r\x1a")
    letters = sum(1 for byte in sample if 0xC0 <= byte < 0xFF)  # the last one is rare as a letter, and common elsewhere
    return controls == 0 and beyond <= 0.4 * len(sample) + 4 and letters >= beyond / 2


@contextlib.contextmanager
def open_text(
    path: str | os.PathLike[str], encoding: str | None = None, *, lenient: bool = False, kept: bool = False
) -> Generator[tuple[InputFile, Utf8Pieces], None, None]:
    """Open a text file, compressed or not and in any encoding, for reading it as UTF-8.

    Args:
        path: the file to read.
        encoding: the encoding that it has; None to recognize it.
        lenient: see Utf8Pieces.
        kept: see open_bytes.

    Yields:
        The file of UTF-8 bytes, and what knows the encoding that was found.

    Raises:
        OSError, ValueError, ImportError: as open_bytes and Utf8Pieces.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.txt")
        ...     _ = path.write_text("hello", encoding="utf-16")
        ...     with open_text(path) as (file, text):
        ...         file.read(), text.encoding
        (b'hello', 'utf-16-le')
    """
    with open_bytes(path, kept=kept) as file:
        pieces = iter(lambda: file.read1(_SAMPLE), b"")
        text = Utf8Pieces(os.fspath(path), pieces, check_encoding(encoding), lenient=lenient)
        with InputFile.of(iter(text)) as converted:
            converted.size, converted.compression = file.size, file.compression
            yield converted, text


def text_lines(path: str | os.PathLike[str], encoding: str | None = None) -> Iterator[tuple[str, str]]:
    r"""Yield the lines of a text file, compressed or not and in any encoding, that are not empty.

    Args:
        path: the file, whose lines the caller keeps in memory; see `kept` of open_bytes.
        encoding: the encoding that it has; None to recognize it.

    Yields:
        (the file and number of the line, its text without white space at the ends).

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not valid text or has more than a megabyte, or a compressed file is damaged.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "q.txt")
        ...     _ = path.write_text("one\n\n two \n")
        ...     [(place.removeprefix(str(path)), text) for place, text in text_lines(path)]
        [(', line 1', 'one'), (', line 3', 'two')]
    """
    with open_text(path, encoding, kept=True) as (file, text):
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=1):
            place = f"{os.fspath(path)}, line {number}"
            if len(line) == _LONGEST_LINE:
                raise ValueError(f"{place}: expected at most {_LONGEST_LINE:,} bytes, the line has more")
            try:
                read = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise ValueError(f"{place}: expected {text.encoding} text ({error.reason})") from None
            if read:
                yield place, read
        warn_of_guess(text)


def warn_of_guess(text: Utf8Pieces) -> None:
    """Warn that a text was read in an encoding that was only guessed.

    Example:
        >>> warn_of_guess(Utf8Pieces("a.txt", []))
    """
    if text.guessed:
        shown = "Latin-1, as it is not UTF-8" if text.encoding == "latin-1" else text.encoding.upper()
        hint = "if that is wrong, convert it (iconv -f NAME -t UTF-8) or give encoding="
        warn(f"{text.name}: read as {shown}; {hint}", GuessedEncodingWarning)
