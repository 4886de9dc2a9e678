"""Sessions in files and lists against a loop over lines."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import Interactions
from logq.logs import session_files as module
from logq.logs.session_files import read_sessions

ID = st.integers(0, 10**18 - 1).map(str) | st.sampled_from(["7", "007", "x", "caf\xe9", "10000000000000000000"])
LINES = st.lists(st.lists(ID, max_size=4), min_size=1, max_size=6)


def by_loop(lines, leading_user):
    whole = all(
        token.isascii() and token.isdigit() and str(int(token)) == token and len(token) < 19
        for line in lines
        for token in line
    )
    found = []
    for number, line in enumerate(lines):
        tokens = [int(token) if whole else token for token in line]
        if tokens:
            owner = tokens.pop(0) if leading_user else number
            found += [(owner, item, number) for item in tokens]
    return found


@given(LINES, st.booleans(), st.sampled_from([" ", "\t", "  "]), st.sampled_from(["\n", "\r\n"]), st.integers(1, 9))
def test_a_file_is_what_a_loop_reads(tmp_path_factory, lines, leading_user, blank, ending, block):
    path = tmp_path_factory.mktemp("sessions") / "log.txt"
    path.write_bytes((ending.join(blank.join(line) for line in lines)).encode())
    expected = by_loop(lines, leading_user)
    saved, module._BLOCK = module._BLOCK, block
    try:
        if not expected:
            with pytest.raises(ValueError, match="no item"):
                read_sessions(path, leading_user)
            return
        found = read_sessions(path, leading_user)
    finally:
        module._BLOCK = saved
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_lists_files_and_compressed_files_are_the_same_log(tmp_path):
    lists = [[3, 4], [], [4, 5, 4]]
    plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    text = b"3 4\n\n4 5 4\n"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    prints = {Interactions.from_sessions(source).fingerprint() for source in (lists, plain, packed)}
    assert len(prints) == 1
    log = Interactions.from_sessions(plain)
    assert log.user_ids.keys.tolist() == [0, 2]  # the number of the line
    assert log.columns["session"].tolist() == [0, 0, 1, 1, 1]


def test_users_may_have_several_sessions():
    log = Interactions.from_sessions([["ann", "x"], ["bob", "y"], ["ann", "y"]], leading_user=True)
    assert log.user_ids.keys.tolist() == ["ann", "bob"]
    assert log.users.tolist() == [0, 0, 1]
    assert log.columns["session"].tolist() == [0, 2, 1]


def test_what_is_not_a_session_is_refused(tmp_path):
    with pytest.raises(TypeError, match="got a string instead of a list"):
        Interactions.from_sessions(["ab", "cd"])
    with pytest.raises(ValueError, match="no item"):
        Interactions.from_sessions([["ann"], ["bob"]], leading_user=True)
    path = tmp_path / "log.txt"
    path.write_text("a" * 2000)
    with pytest.raises(ValueError, match=r"log\.txt: expected ids of at most 1024 bytes, got one of 2000"):
        Interactions.from_sessions(path)
    path.write_bytes(b"\xff\xfe b\n")
    with pytest.raises(ValueError, match="expected text in UTF-8"):
        Interactions.from_sessions(path)


@pytest.mark.parametrize("mark", [",", ";", "|", "::"])
def test_lists_with_another_separator_are_not_one_item_a_line(tmp_path, mark):
    path = tmp_path / "sessions.csv"
    path.write_text(f"1{mark}2{mark}3\n4{mark}5\n")
    with pytest.raises(
        ValueError, match=r"sessions\.csv: expected items separated by white space, got lines such as '1"
    ):
        read_sessions(path)
