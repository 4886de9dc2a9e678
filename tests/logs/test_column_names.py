"""What columns are taken for, and that it is said."""

import pytest

from logq.logs.column_names import guess_columns, plain_name


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("userId movieId rating timestamp", "userId movieId timestamp rating"),
        ("reviewerID asin overall unixReviewTime summary", "reviewerID asin unixReviewTime overall"),
        (
            "user_id:token item_id:token rating:float timestamp:float",
            "user_id:token item_id:token timestamp:float rating:float",
        ),
        ("uid iid ts", "uid iid ts"),
        ("User Item Time", "User Item Time"),
        ("visitorid itemid event timestamp", "visitorid itemid timestamp"),
        ("userid user item", "userid item"),
    ],
)  # fmt: skip
def test_usual_names_are_known(names, expected):
    found, notes = guess_columns(names.split(), {})
    assert list(found.values()) == expected.split()
    assert notes == [f"{role}: took the column {name!r}" for role, name in found.items()]


def test_what_was_asked_for_is_taken_without_a_note_and_not_twice():
    found, notes = guess_columns(["user", "item", "time", "when"], {"time": "when", "user": 0, "label": False})
    assert found == {"user": "user", "item": "item", "time": "when"}
    assert notes == ["item: took the column 'item'"]
    assert guess_columns(["user", "item"], {"item": "user", "user": "item"})[0] == {"user": "item", "item": "user"}


def test_false_takes_no_column():
    assert guess_columns(["user", "item", "time", "rating"], {"time": False, "label": False})[0].keys() == {
        "user",
        "item",
    }


def test_a_session_may_stand_for_a_user():
    assert guess_columns(["session_id", "item_id"], {})[0] == {"item": "item_id", "session": "session_id"}


def test_types_of_headers_may_be_left_out():
    assert guess_columns(["a:token", "b:token"], {"user": "a", "item": "b:token"})[0] == {
        "user": "a:token",
        "item": "b:token",
    }
    assert [plain_name(name) for name in ("class:token_seq", " x ", "a:b")] == ["class", "x", "a:b"]


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (
            ["a", "b"],
            {},
            "item: expected the name of a column, got None; none of the columns looks like items: 'a', 'b'",
        ),
        (["item", "b"], {}, "user: expected the name of a column, got None; none of the columns looks like users"),
        (["user", "item"], {"time": "ts"}, "time: expected one of the columns 'user', 'item', got 'ts'"),
        (["user", "item"], {"item": 2}, r"item: expected a column in \[0, 2\), got 2"),
    ],
)
def test_what_is_not_there_is_named(names, asked, message):
    with pytest.raises(ValueError, match=message):
        guess_columns(names, asked)
