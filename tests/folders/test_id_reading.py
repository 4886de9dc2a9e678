"""Ids as people type them: read as the log has them, or refused with what is near."""

import pytest

from logq.folders import UnknownIdError, known_ids, typed_ids
from logq.logs import Identifiers


def test_numbers_are_read_where_the_log_has_numbers():
    assert typed_ids(Identifiers([10, 20]), ["20", "x", str(1 << 70)]) == [20, "x", str(1 << 70)]
    assert typed_ids(Identifiers(["10"]), ["20", "x"]) == ["20", "x"]
    assert known_ids(Identifiers([10, 20]), ["20", "10"], "item") == [20, 10]


def test_an_unknown_id_is_told_with_those_like_it():
    with pytest.raises(UnknownIdError, match="'annie' is not among the 2 users of the log; like it are ann") as raised:
        known_ids(Identifiers(["ann", "bob"]), ["bob", "annie"], "user")
    assert (raised.value.word, raised.value.what) == ("annie", "user")
    assert raised.value.some == "like it are ann"
    with pytest.raises(UnknownIdError, match="some of them are 10, 20"):
        known_ids(Identifiers([10, 20]), ["x"], "item")
    with pytest.raises(UnknownIdError, match="saved without its users"):
        known_ids(Identifiers([]), ["x"], "user")


def test_a_title_is_no_id_but_tells_which_one_is_meant():
    ids, titles = Identifiers(["B3", "B1", "B2", "B4"]), ["Star Wars: Return", "", "Star Wars", "Heat"]
    with pytest.raises(UnknownIdError) as raised:
        known_ids(ids, ["star wars"], "item", titles)
    assert str(raised.value) == (
        "'star wars' is not among the 4 items of the log, which are known by id; "
        "like it are B2 (Star Wars), B3 (Star Wars: Return)"
    )
    with pytest.raises(UnknownIdError, match=r"of the log; some of them are B3, B1, B2, B4$"):
        known_ids(ids, ["Alien"], "item", titles)
