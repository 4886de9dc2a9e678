"""N-grams of a text, counted in bounded memory: packed, sorted in runs, and merged."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from logq._progress import Progress
from logq.kernels import _native
from logq.text.disk_columns import DiskColumn, pieces
from logq.text.tokens import Tokens

__all__ = ["count_in_runs"]

Rows = NDArray[np.uint64]  # (n, columns): packed words, and the count

MOST_RUNS = 64
"""Runs that are merged at once: of more, each would be read in parts that are too small."""

_PART = 1 << 13  # rows of a run that are read at once, at least, where memory allows it
_BLOCK = 1 << 18  # tokens, and rows that are passed on
_SHARE = 0.7  # of the memory for rows


def count_in_runs(tokens: Tokens, order: int, memory: int, progress: bool | None) -> Iterator[Rows]:
    """Yield the different n-grams of a text, packed and counted, in increasing order, in blocks.

    An n-gram has N words, or as many as there are before the end of its line, at least two. Those that fill the memory
    are sorted and written as a run, and all runs are merged, in several rounds if there are many. A text that fits is
    sorted at once, and nothing is written.

    Args:
        tokens: the text.
        order: N.
        memory: bytes for rows.
        progress: whether to show a bar.

    Yields:
        (n, columns) packed words and count, valid until the next one.

    Raises:
        ValueError: n-grams of that order do not fit into a row.
        OSError: a run cannot be written.
    """
    columns = _native.ngram_columns(order, len(tokens.vocabulary))
    capacity = max(4, int(_SHARE * memory) // (8 * columns))
    runs: list[DiskColumn] = []
    rows: Rows | None = None
    try:
        for rows, is_last in _sorted(tokens, order, np.empty((capacity, columns), np.uint64), progress):
            if is_last and not runs:
                yield from (rows[part] for part in pieces(len(rows), _BLOCK))
                return
            run = DiskColumn(np.uint64, columns)
            runs.append(run)
            run.append(rows)
        rows = None  # a view of the memory that all were sorted in
        fan = min(MOST_RUNS, max(2, capacity // (2 * _PART)))
        with Progress(_rows_to_merge([len(run) for run in runs], fan), "n-grams", "merging", progress) as bar:
            while len(runs) > fan:
                longer = DiskColumn(np.uint64, columns)
                runs.append(longer)  # the shorter ones are merged first
                for rows in _merged(runs[:fan], capacity, bar):
                    longer.append(rows)
                for run in runs[:fan]:
                    run.close()
                del runs[:fan]
            yield from _merged(runs, capacity, bar)
    finally:
        for run in runs:
            run.close()


def _rows_to_merge(lengths: list[int], fan: int) -> int:
    """How many rows are read in all rounds, at most."""
    total = 0
    while len(lengths) > fan:
        merged = sum(lengths[:fan])
        total, lengths = total + merged, [*lengths[fan:], merged]
    return total + sum(lengths)


def _sorted(tokens: Tokens, order: int, memory: Rows, progress: bool | None) -> Iterator[tuple[Rows, bool]]:
    """Yield runs, each in the memory given, and whether it is the last one."""
    used, begins = 0, True  # rows, and whether a line begins
    block = max(1, min(_BLOCK, len(memory) // 4))
    with Progress(len(tokens), "tokens", "counting", progress) as bar:
        for start in range(0, len(tokens), block):
            stop = min(start + block, len(tokens))
            if len(memory) - used < 2 * (stop - start):
                yield memory[: _native.sort_ngram_rows(memory[:used])], False
                used = 0
            ids = tokens.read(start, min(stop + order - 1, len(tokens)))
            used += _native.ngram_rows(
                ids, stop - start, order, len(tokens.vocabulary), tokens.end, begins, memory[used:]
            )
            begins = bool(ids[stop - start - 1] == tokens.end)
            bar.advance(stop - start)
    yield memory[: _native.sort_ngram_rows(memory[:used])], True


def _merged(runs: Sequence[DiskColumn], capacity: int, bar: Progress) -> Iterator[Rows]:
    """Yield the rows of sorted runs in their order, equal ones added up; half of the capacity is for what was read."""
    share = max(1, capacity // (2 * len(runs)))
    places = [0] * len(runs)
    held = [run[:0] for run in runs]
    while True:
        limits: list[list[int]] = []  # what comes later in a run is above its limit
        for number, run in enumerate(runs):
            if not len(held[number]):
                held[number] = run[places[number] : places[number] + share]
                places[number] += len(held[number])
            if places[number] < len(run):
                limits.append(held[number][-1, :-1].tolist())
        limit = min(limits, default=None)
        parts: list[Rows] = []
        for number, rows in enumerate(held):
            cut = len(rows) if limit is None else _first_above(rows, limit)
            parts.append(rows[:cut])
            held[number] = rows[cut:]
        joined = np.concatenate(parts)
        del parts
        bar.advance(len(joined))
        joined = joined[: _native.sort_ngram_rows(joined)]
        yield from (joined[part] for part in pieces(len(joined), _BLOCK))
        if limit is None:
            return


def _first_above(rows: Rows, limit: list[int]) -> int:
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        if rows[middle, :-1].tolist() > limit:
            high = middle
        else:
            low = middle + 1
    return low
