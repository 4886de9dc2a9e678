"""The compiled reading of text does what str.split and bytes.decode do, wherever it is cut."""

import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.kernels._native import WordTable, last_break, renumber

SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
ODD = [b"\xff", b"\xc2", b"\xe2\x80", b"\xe3\x80", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xc0\x80"]
TOKENS = st.one_of(
    st.sampled_from([space.encode() for space in SPACES] + [b"\n", b" "] * 9),
    st.sampled_from([*ODD, b"\x00", b"\x85", b"\xa0", b"\x80", b"\x1b", b"\xef\xbb\xbf"]),
    st.sampled_from([b"a", b"b", b"rose", b"exactlysixteen16", b"seventeen bytes17", b"x" * 40, b"x" * 39 + b"y"]),
    st.text(min_size=1, max_size=3).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=6),
)
TEXTS = st.lists(TOKENS, max_size=60).map(b"".join)


def lines_of(text):
    """The words of each line, as Python splits them, and whether it has invalid bytes."""
    lines = []
    for line in text.split(b"\n"):
        letters = line.decode("utf-8", "surrogateescape")
        clean = "".join("\ufffd" if "\udc80" <= letter <= "\udcff" else letter for letter in letters)
        lines.append((clean.split(), clean != letters))
    return lines


def words_of(table, ids=None):
    text, offsets = table.words(np.arange(len(table)) if ids is None else np.array(ids, np.int64))
    return [text[begin:end].decode() for begin, end in pairwise(offsets.tolist())]


def without_empty_lines(ids):
    return [value for before, value in pairwise([-1, *ids]) if (before, value) != (-1, -1)]


@given(TEXTS)
def test_words_ids_counts_and_invalid_lines_are_those_of_python(text):
    table = WordTable()
    block = table.encode(text)
    lines = lines_of(text)
    words = [word for line, _ in lines for word in line]
    order = list(dict.fromkeys(words))
    assert words_of(table) == order
    assert table.counts().tolist() == [words.count(word) for word in order]
    expected = [value for line, _ in lines for value in [*map(order.index, line), -1]][:-1]
    assert without_empty_lines(block.take_ids().tolist()) == without_empty_lines(expected)
    invalid = [invalid for _, invalid in lines]
    assert block.words == len(words)
    assert block.invalid_lines == sum(invalid)
    assert (block.first_line_invalid, block.last_line_invalid) == (invalid[0], invalid[-1])
    assert block.has_newline == (len(lines) > 1)
    assert block.long_words == block.unknown_words == 0


@given(TEXTS)
def test_last_break_is_the_end_of_the_last_white_space(text):
    letters = text.decode("utf-8", "surrogateescape")
    rest = letters
    while rest and not rest[-1].isspace():
        rest = rest[:-1]
    assert last_break(text) == len(rest.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"U+{ord(space):04X}")
@pytest.mark.parametrize("at", [0, 1, 30, 61, 62, 63, 64, 65, 126, 127, 128, 4093, 4094, 4095, 4096])
def test_all_white_space_at_all_borders_of_groups_and_sections(space, at):
    table = WordTable()
    text = "x" * at + space + "y" * 70
    assert table.encode(text.encode()).words == len(text.split())
    assert words_of(table) == text.split()


@pytest.mark.parametrize("code", [*range(0x2000, 0x2070), *range(0x1660, 0x16A0), *range(0x3000, 0x3010), *range(256)])
def test_what_only_looks_like_white_space_is_none(code):
    table = WordTable()
    table.encode(f"a{chr(code)}b".encode())
    assert words_of(table) == f"a{chr(code)}b".split()


@pytest.mark.parametrize("length", [*range(1, 40), 63, 64, 65, 4095, 4096, 4097, 10_000])
def test_words_of_every_length_are_told_apart_by_each_of_their_bytes(length):
    words = [bytes([120] * length)]
    words += [words[0][:place] + b"y" + words[0][place + 1 :] for place in {0, 7, 8, 15, 16, length // 2, length - 1}
              if place < length]  # fmt: skip
    words += [words[0] + b"\x00", words[0] + b"x"]
    words = list(dict.fromkeys(words))
    table = WordTable()
    ids = table.encode(b" ".join(words + words)).take_ids()
    assert ids.tolist() == [*range(len(words))] * 2


def test_a_table_grows_past_all_its_first_places():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 300_000, 500_000)
    table = WordTable()
    ids = table.encode(" ".join(map(str, numbers.tolist())).encode()).take_ids()
    _, first = np.unique(numbers, return_index=True)
    assert len(table) == len(first)
    assert words_of(table) == [str(number) for number in numbers[np.sort(first)]]
    assert (np.array(words_of(table), np.int64)[ids] == numbers).all()
    assert table.counts().sum() == len(numbers)


def test_long_words_are_left_out_and_counted_but_their_invalid_bytes_are_not_missed():
    table = WordTable(5)
    block = table.encode(b"fiver sixsix\n\xff\xff\xff\xff\xff\xff a\n")
    assert block.take_ids().tolist() == [0, -1, 1, -1]
    assert (block.words, block.long_words, block.invalid_lines) == (4, 2, 1)
    assert words_of(table) == ["fiver", "a"]


def test_a_word_in_several_blocks_counts_once():
    table = WordTable(5)
    pieces = [(b"a ", False, False), (b"xxxx", False, True), (b"xx\xff", True, True), (b"xxx b", True, False)]
    blocks = [table.encode(text, starts_inside=starts, ends_inside=ends) for text, starts, ends in pieces]
    assert [block.words for block in blocks] == [1, 1, 0, 1]
    assert [block.long_words for block in blocks] == [0, 1, 0, 0]
    assert [block.invalid_lines for block in blocks] == [0, 0, 1, 0]
    assert words_of(table) == ["a", "b"]
    # The word ended where it was cut: what follows is whole.
    assert table.encode(b" c", starts_inside=True).words == 1


def test_a_frozen_table_takes_no_new_words():
    table = WordTable()
    table.add(b"tobe", np.array([0, 2, 4]))
    block = table.encode(b"to be or not\nto be", frozen=True)
    assert block.take_ids().tolist() == [0, 1, -1, 0, 1]
    assert (block.words, block.unknown_words) == (6, 2)
    assert table.counts().tolist() == [2, 2]


def test_one_table_absorbs_another():
    one, other = WordTable(), WordTable()
    one.encode(b"to be or " + b"z" * 30)
    other.encode(b"not to " + b"z" * 30 + b" not")
    assert one.absorb(other).tolist() == [4, 0, 3]
    assert words_of(one) == ["to", "be", "or", "z" * 30, "not"]
    assert one.counts().tolist() == [2, 1, 1, 2, 2]
    assert other.counts().tolist() == [2, 1, 1]
    with pytest.raises(ValueError, match="another table"):
        one.absorb(one)


@given(st.lists(st.integers(-1, 4), max_size=30), st.lists(st.integers(-1, 3), min_size=5, max_size=5), st.booleans())
def test_renumber(ids, numbers, after_end_of_line):
    expected = [-1] if after_end_of_line else [0]
    for value in ids:
        new = -1 if value == -1 else numbers[value]
        if value == -1 and expected[-1] == -1:
            continue
        if value == -1 or new >= 0:
            expected.append(new)
    values = np.array(ids, np.int32)
    kept, ends = renumber(values, np.array(numbers, np.int32), after_end_of_line=after_end_of_line)
    assert values[:kept].tolist() == expected[1:]
    assert ends == expected[1:].count(-1)


@pytest.mark.parametrize("wrong", [3, -2, 2**31 - 1, -(2**31)])
def test_renumber_refuses_ids_without_a_number(wrong):
    with pytest.raises(IndexError, match=rf"ids: expected numbers below 3, got {wrong}"):
        renumber(np.array([0, wrong], np.int32), np.zeros(3, np.int32), after_end_of_line=True)


def test_what_does_not_fit_is_refused():
    table = WordTable()
    table.encode(b"a b")
    with pytest.raises(IndexError, match=r"ids.*got 2"):
        table.words(np.array([0, 2]))
    with pytest.raises(IndexError, match=r"ids.*got -1"):
        table.words(np.array([-1]))
    for offsets in ([], [0, 5], [2, 1], [-1, 1]):
        with pytest.raises(ValueError, match="offsets"):
            table.add(b"abc", np.array(offsets, np.int64))
    with pytest.raises(TypeError):
        table.encode("text")  # pyright: ignore


def test_threads_that_share_a_table_take_turns():
    table = WordTable()
    text = b" ".join(b"%d" % number for number in range(20_000))
    threads = [threading.Thread(target=lambda: [table.encode(text) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(table) == 20_000
    assert (table.counts() == 20).all()
