"""N-grams as packed rows: made, sorted and taken apart as dictionaries would."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.kernels._native import NGramTrie, last_not_above, ngram_columns, ngram_rows, sort_ngram_rows

END = 0


def unpacked(rows, order, highest):
    """{words: count}, in the order of the rows."""
    bits = int(highest + 1).bit_length()
    each = 64 // bits
    found = {}
    for row in rows.tolist():
        words = [row[n // each] >> 64 - bits * (n % each + 1) & (1 << bits) - 1 for n in range(order)]
        found[tuple(word - 1 for word in words if word)] = row[-1]
    return found


def expected(ids, order, begin):
    """All n-grams of N words, or up to the end of their line, of two words or more."""
    found, line = Counter(), [begin]
    for word in ids:
        line.append(word)
        if word == END:
            found.update(tuple(line[at : at + order]) for at in range(len(line) - 1))
            line = [begin]
    return found


def counted(ids, order, begin, cut):
    parts, start, at_line_start = [], 0, True
    ids = np.array(ids, np.int32)
    while start < len(ids):
        stop = min(start + cut, len(ids))
        rows = np.full((2 * (stop - start), ngram_columns(order, begin)), 77, np.uint64)
        size = ngram_rows(ids[start : stop + order - 1], stop - start, order, begin, END, at_line_start, rows)
        parts.append(rows[:size])
        at_line_start, start = bool(ids[stop - 1] == END), stop
    rows = np.concatenate(parts)
    return rows[: sort_ngram_rows(rows)]


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=20),
    st.integers(2, 9),
    st.integers(1, 30),
    st.sampled_from([5, 6, 7, 300, 2**20, 2**31 - 1]),
)
def test_rows_are_the_n_grams_of_the_text_in_their_order(lines, order, cut, begin):
    ids = [word for line in lines for word in [*line, END]]
    if ngram_columns(2, begin) > 2 or order * 32 > 512:
        return
    rows = counted(ids, order, begin, cut)
    found = unpacked(rows, order, begin)
    assert found == expected(ids, order, begin)
    assert list(found) == sorted(found)


@pytest.mark.parametrize("columns", range(2, 10))
@pytest.mark.parametrize("bits", [0, 2, 9, 64])
def test_sorting(columns, bits, seed):
    rng = np.random.default_rng(seed)
    highest = np.array(2**bits - 1, np.uint64)
    rows = rng.integers(0, highest, (5000, columns), np.uint64, endpoint=True)
    rows[:, 0] <<= np.uint64(64 - bits if 0 < bits < 64 else 0)
    rows[:, -1] = rng.integers(0, 2**40, 5000)
    keys, inverse = np.unique(rows[:, :-1], axis=0, return_inverse=True)
    totals = np.zeros(len(keys), np.uint64)
    np.add.at(totals, inverse.reshape(-1), rows[:, -1])
    kept = rows[: sort_ngram_rows(rows)]
    assert np.array_equal(kept[:, :-1], keys)
    assert np.array_equal(kept[:, -1], totals)


def test_a_trie_has_the_n_grams_of_all_orders():
    rng = np.random.default_rng(3)
    ids = [word for _ in range(60) for word in [*rng.integers(1, 5, rng.integers(1, 8)).tolist(), END]]
    begin = 5
    rows = counted(ids, 4, begin, 1000)
    whole = None
    for cut in (1, 7, 1000):
        trie = NGramTrie(4, begin)
        parts = [trie.add(np.ascontiguousarray(rows[at : at + cut])) for at in range(0, len(rows), cut)]
        parts.append(trie.finish())
        columns = [[np.concatenate(part) for part in zip(*order, strict=True)] for order in zip(*parts, strict=True)]
        whole = whole or columns
        for one, other in zip(whole, columns, strict=True):
            assert all(map(np.array_equal, one, other))
    assert whole is not None
    all_of = Counter()
    line = [begin]
    for word in ids:
        line.append(word)
        if word == END:
            all_of.update(tuple(line[at : at + n]) for n in (2, 3, 4) for at in range(len(line) - n + 1))
            line = [begin]
    before = [(word,) for word in range(begin + 1)]
    for n, (keys, counts) in enumerate(whole, 2):
        grams = [(*before[key // (begin + 1)], key % (begin + 1)) for key in keys.tolist()]
        assert grams == sorted(gram for gram in all_of if len(gram) == n)
        assert counts.tolist() == [all_of[gram] for gram in grams]
        before = grams


def test_positions_are_those_of_searchsorted():
    rng = np.random.default_rng(1)
    for size in (0, 1, 2, 3, 10, 1000):
        keys = np.sort(rng.integers(-50, 50, size)) if size < 100 else np.sort(rng.integers(-(2**60), 2**60, size))
        wanted = np.concatenate([keys, keys + 1, keys - 1, np.array([-(2**62), 2**62])])
        assert np.array_equal(last_not_above(keys, wanted), np.searchsorted(keys, wanted, side="right") - 1)


def test_what_is_refused():
    ids, rows = np.array([1, 0], np.int32), np.empty((4, 2), np.uint64)
    for change, message in (
        ({"starts": 3}, "starts: expected at most as many"),
        ({"rows": rows[:3]}, "rows: expected two for each start"),
        ({"rows": np.empty((4, 3), np.uint64)}, "rows: expected as many columns"),
        ({"end": 9}, "end: expected an id"),
        ({"ids": np.array([5, 0], np.int32)}, "ids: expected words"),
        ({"ids": np.array([-1, 0], np.int32)}, "ids: expected words"),
        ({"order": 0}, "order: expected n-grams that fit"),
    ):
        arguments = {"ids": ids, "starts": 2, "order": 2, "begin": 5, "end": 0, "at_line_start": True, "rows": rows}
        with pytest.raises(ValueError, match=message):
            ngram_rows(**{**arguments, **change})
    with pytest.raises(ValueError, match="2 to 9 columns"):
        sort_ngram_rows(np.empty((3, 1), np.uint64))
    good = counted([1, 2, 0], 2, 5, 9)
    for bad in (good[::-1].copy(), good[[0, 0]], np.full((1, 2), 2**63, np.uint64), np.zeros((1, 2), np.uint64)):
        with pytest.raises(ValueError, match="rows: expected"):
            NGramTrie(2, 5).add(bad)
    with pytest.raises(ValueError, match="rows: expected as many columns"):
        NGramTrie(2, 5).add(np.zeros((1, 3), np.uint64))
