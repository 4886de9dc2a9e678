"""What columns are taken for, and that it is said."""

import pytest

from logq import GuessedColumnWarning
from logq.logs.column_names import guess_columns, names_columns, plain_name


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
        ("customer_id article_id t_dat price sales_channel_id", "customer_id article_id t_dat"),
        ("user_id item_id last_watch_dt total_dur", "user_id item_id last_watch_dt"),
        ("customer,sku,purchase_date".replace(",", " "), "customer sku purchase_date"),
        ("order_date StockCode CustomerID", "CustomerID StockCode order_date"),
        ("masked_user_id catalog_item_id event_timestamp", "masked_user_id catalog_item_id event_timestamp"),
        ("Customer_No Product.Code clickTs", "Customer_No Product.Code clickTs"),
        ("viewer video watched_at release_date", "viewer video watched_at"),
        ("user item release_date order_date updated_at", "user item order_date"),
        ("user item created_at timestamp", "user item timestamp"),
        ("session_id aid ts", "aid ts session_id"),
        ("user_id business_id stars date", "user_id business_id date stars"),
        ("user item candidate watch_time", "user item"),
    ],
)  # fmt: skip
def test_usual_names_are_known(names, expected):
    found, notes = guess_columns(names.split(), {})
    assert list(found.values()) == expected.split()
    notes = dict(notes)
    if "time" not in found:
        assert "the order of rows counts as time" in notes.pop("time")
    assert {role: note.partition(";")[0] for role, note in notes.items()} == {
        role: f"took the column {name!r}" for role, name in found.items()
    }


def test_what_was_asked_for_is_taken_without_a_note_and_not_twice():
    found, notes = guess_columns(["user", "item", "time", "when"], {"time": "when", "user": 0, "label": False})
    assert found == {"user": "user", "item": "item", "time": "when"}
    assert notes == {"item": "took the column 'item'"}
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
            "user: expected the name of a column, got none; none of the columns 'a', 'b' looks like users or items; "
            r"user=NAME, item=NAME \(--user NAME --item NAME\) name them",
        ),
        (["item", "b"], {}, r"none of the columns 'item', 'b' looks like users; user=NAME \(--user NAME\) names one"),
        (["user", "item"], {"time": "ts"}, "time: expected one of the columns 'user', 'item', got 'ts'"),
        (["user", "item"], {"item": 2}, r"item: expected a column in \[0, 2\), got 2"),
    ],
)
def test_what_is_not_there_is_named(names, asked, message):
    with pytest.raises(ValueError, match=message):
        guess_columns(names, asked)


TABLE = {
    "user": [1, 1, 2],
    "item": [5, 6, 5],
    "dates": ["2024-01-03", "2024-01-02", "2024-01-01"],
    "epochs": [1_704_200_000_123, 1_704_200_000_122, 1_704_200_000_121],
    "phones": [4_905_551_234, 4_305_551_235, 4_905_551_234],
    "watch_time": [30, 20, 10],
    "release_date": ["1995-01-01", "1996-01-01", "1994-01-01"],
    "signup_ts": [1_504_200_000, 1_504_200_001, 1_504_200_002],
    "price": [3.5, 4.5, 2.0],
    "kind": ["a", "b", "a"],
}


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("user item dates price", "dates"),
        ("user item epochs price", "epochs"),
        ("user item dates epochs", "dates"),
        ("user item release_date dates", "dates"),
        ("user item signup_ts epochs", "epochs"),
        ("user item watch_time dates", "dates"),
        ("user item phones price kind watch_time", None),
        ("user item", None),
    ],
)
def test_a_column_of_times_is_found_by_its_values(names, taken):
    found, notes = guess_columns(names.split(), {}, TABLE.__getitem__)
    assert found.get("time") == taken
    if taken is None:
        assert "the order of rows counts as time" in notes["time"]
        assert all(repr(name) in notes["time"] for name in names.split()[2:])
    else:
        assert notes["time"].startswith(f"took the column {taken!r}, the only one")


def test_a_name_that_may_be_a_duration_is_settled_by_the_values():
    names = ["user", "item", "session_time"]
    assert "time" not in guess_columns(names, {}, lambda _: [12, 30]).columns
    assert guess_columns(names, {}, lambda _: [1_704_200_000]).columns["time"] == "session_time"
    assert "time" not in guess_columns(["user", "item", "overtime"], {}, lambda _: [1, 2]).columns
    assert guess_columns(["user", "item", "clickdate"], {}, lambda _: ["2024-01-02"]).columns["time"] == "clickdate"


def test_when_an_item_came_out_is_not_when_it_was_taken():
    with pytest.warns(
        GuessedColumnWarning, match="among 'release_date'; 'release_date' looks like times: the order of"
    ):
        found, _ = guess_columns(["user", "item", "release_date"], {}, TABLE.__getitem__)
    assert "time" not in found


def test_several_columns_that_look_like_times_are_a_warning_that_names_them():
    table = {"user": [1], "item": [5], "x": ["2024-01-03"], "y": ["2024-01-03"]}
    with pytest.warns(GuessedColumnWarning, match="no time column found among 'x', 'y'; 'x', 'y' look like times"):
        assert "time" not in guess_columns(list(table), {}, table.__getitem__).columns


def test_other_columns_of_times_are_named_beside_the_one_that_was_taken():
    _, notes = guess_columns(["user", "item", "created_at", "updated_at"], {})
    assert notes["time"] == "took the column 'created_at'; it could also be 'updated_at'"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("customer sku", True),
        ("member_id thing", True),
        ("a:token b:token", True),
        ("Session Product", True),
        ("ann tea", False),
        ("bob book", False),
        ("reader tea", False),
    ],
)
def test_names_of_columns_are_told_from_values(names, expected):
    assert names_columns(names.split()) == expected
