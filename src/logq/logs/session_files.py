"""Reading sessions, from a file with one per line or from lists, into one flat array of items."""

import os
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq._compression import open_bytes

__all__ = ["read_sessions"]

_BLOCK = 1 << 24  # bytes
_LONGEST = 1024  # bytes of an id
_WIDEST = 64  # bytes of ids that are kept in a table; a single long one must not widen it for millions of others
_DIGITS = 18  # numbers of that many digits fit in 64 bits


def read_sessions(
    source: str | os.PathLike[str] | Sequence[Sequence[Any]], leading_user: bool = False
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Return the user, the item and the number of the session of each event.

    Raises:
        ArgumentError: the lists have no event.
        ValueError: the file has no event, or an id of more than 1,024 bytes.
        OSError: the file cannot be opened.

    Example:
        >>> users, items, sessions = read_sessions([["ann", "tea", "salt"], ["bob", "tea"]], leading_user=True)
        >>> users.tolist(), items.tolist(), sessions.tolist()
        (['ann', 'ann', 'bob'], ['tea', 'salt', 'tea'], [0, 0, 1])
    """
    from_file = isinstance(source, (str, os.PathLike))
    tokens, lengths = _tokens_of_file(source) if from_file else _tokens_of_lists(source)
    if not len(tokens):
        raise _no_items(source, "sessions with items")
    if from_file:
        _check_separated(source, tokens, lengths)
    sessions = np.repeat(np.arange(len(lengths)), lengths)
    if not leading_user:
        return sessions, tokens, sessions
    starts = np.cumsum(lengths) - lengths
    leads = np.zeros(len(tokens), dtype=np.bool_)
    leads[starts[lengths > 0]] = True
    users = tokens[starts[lengths > 0]]
    events = lengths[lengths > 0] - 1
    if leads.all():
        raise _no_items(source, "sessions with a user and items")
    return np.repeat(users, events), tokens[~leads], sessions[~leads]


def _check_separated(source: Any, tokens: NDArray[Any], lengths: NDArray[np.int64]) -> None:
    """Check that lines are not lists with another separator, of which each would be one item."""
    if lengths.max() > 1 or tokens.dtype.kind != "U":
        return
    mark = next((mark for mark in (",", ";", "|", "::") if (np.char.find(tokens, mark) > 0).all()), None)
    if mark is not None:
        got = f"lines such as {tokens[0].item()!r:.80}"
        raise ValueError(f"{os.fspath(source)}: expected items separated by white space, got {got}")


def _no_items(source: str | os.PathLike[str] | Sequence[Sequence[Any]], expected: str) -> ValueError:
    if isinstance(source, (str, os.PathLike)):
        return ValueError(f"{os.fspath(source)}: expected {expected}, found no item")
    return ArgumentError("source", expected, Verbatim("no item"))


def _tokens_of_lists(source: Sequence[Sequence[Any]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if any(isinstance(session, (str, bytes)) for session in source):
        raise ArgumentTypeError("source", "lists of items", Verbatim("a string instead of a list"))
    lengths = np.fromiter(map(len, source), dtype=np.int64, count=len(source))
    flat = list(chain.from_iterable(source))
    text = not set(map(type, flat)).isdisjoint({str, np.str_})
    return np.array(flat, dtype=object if text else None), lengths


def _tokens_of_file(path: "str | os.PathLike[str]") -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return what is separated by white space, and the number of tokens of each line."""
    blocks: list[NDArray[Any]] = []
    lengths: list[NDArray[np.int64]] = []
    rest = b""
    with open_bytes(path, kept=True) as file:
        while data := file.read(_BLOCK):
            end = data.rfind(b"\n") + 1
            if end:
                _add(rest + data[:end], blocks, lengths, path)
                rest = b""
            rest += data[end:]
    if rest:
        _add(rest + b"\n", blocks, lengths, path)
    if not blocks:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if any(block.dtype.kind != "i" for block in blocks):
        # Numbers of other blocks become the text that they were.
        blocks = [block.astype("S") if block.dtype.kind == "i" else block for block in blocks]
    joined = np.concatenate(blocks)
    try:
        if joined.dtype.kind == "O":
            joined[:] = [token.decode("utf-8") for token in joined]
        return (np.char.decode(joined, "utf-8") if joined.dtype.kind == "S" else joined), np.concatenate(lengths)
    except UnicodeDecodeError as error:
        raise ValueError(f"{os.fspath(path)}: expected text in UTF-8 ({error})") from None


def _add(
    data: bytes, blocks: list[NDArray[Any]], lengths: list[NDArray[np.int64]], path: "str | os.PathLike[str]"
) -> None:
    letters = np.frombuffer(data, dtype=np.uint8)
    space = letters <= 32
    edges = np.flatnonzero(np.diff(space.view(np.int8), prepend=1, append=1))
    starts, ends = edges[::2], edges[1::2]
    lines = np.flatnonzero(letters == 10)
    lengths.append(np.diff(np.searchsorted(starts, lines), prepend=0))
    if not len(starts):
        return
    widths = ends - starts
    longest = int(widths.max())
    if longest > _LONGEST:
        raise ValueError(f"{os.fspath(path)}: expected ids of at most {_LONGEST} bytes, got one of {longest}")
    number = _numbers(letters, starts, widths, longest)
    if number is not None:
        blocks.append(number)
        return
    if longest > _WIDEST:
        tokens = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        blocks.append(np.array(tokens, dtype=object))
        return
    table = np.zeros((len(starts), longest), dtype=np.uint8)
    for column in range(longest):
        inside = widths > column
        table[inside, column] = letters[starts[inside] + column]
    blocks.append(table.reshape(-1).view(f"S{longest}"))


def _numbers(
    letters: NDArray[np.uint8], starts: NDArray[np.int64], widths: NDArray[np.int64], longest: int
) -> NDArray[np.int64] | None:
    """Return tokens as integers, or None unless all are integers without signs and leading zeros."""
    if longest > _DIGITS or ((letters[starts] == ord("0")) & (widths > 1)).any():
        return None
    value = np.zeros(len(starts), dtype=np.int64)
    for column in range(longest):
        inside = widths > column
        digits = letters[starts[inside] + column].astype(np.int64) - ord("0")
        if ((digits < 0) | (digits > 9)).any():
            return None
        value[inside] = value[inside] * 10 + digits
    return value
