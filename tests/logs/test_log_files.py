"""Logs in text files of every shape, and in Parquet."""

import gzip
import sys

import pandas as pd
import polars as pl
import pytest

from logq.logs import Interactions

ROWS = [("u1", "i7", 1_500_000_003, 4.0), ("u1", "i8", 1_500_000_001, 3.5), ("u2", "i7", 1_500_000_002, 5.0)]


def events(log):
    users, items = log.user_ids.keys_of(log.users).tolist(), log.item_ids.keys_of(log.items).tolist()
    times = [None] * len(log) if log.timestamps is None else log.timestamps.tolist()
    labels = [None] * len(log) if log.labels is None else log.labels.tolist()
    return list(zip(users, items, times, labels, strict=True))


IN_ORDER = [ROWS[1], ROWS[0], ROWS[2]]


def text_of(separator, header=None):
    lines = [separator.join(map(str, (user, item, label, time))) for user, item, time, label in ROWS]
    return "\n".join([separator.join(header), *lines] if header else lines) + "\n"


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", " ", "::"])
@pytest.mark.parametrize("header", [None, ("user_id", "item_id", "rating", "timestamp")])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_separator_with_and_without_a_header(tmp_path, separator, header, ending):
    path = tmp_path / "log.txt"
    path.write_bytes(text_of(separator, header).replace("\n", ending).encode())
    log = Interactions.from_csv(path)
    assert events(log) == IN_ORDER
    assert log.notes[0].startswith("separator: took ")
    assert "header: took the first line for " + ("names" if header else "an event") in log.notes[1]
    assert len([note for note in log.notes if ": took " in note and "colum" in note]) == 4


def test_compressed_and_byte_order_mark_and_latin(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text_of(",", ("user", "item", "rating", "ts")).encode()))
    assert events(Interactions.from_csv(path)) == IN_ORDER
    latin = tmp_path / "latin.dat"
    latin.write_bytes("u::caf\xe9\nu::tea\n".encode("latin-1"))
    assert Interactions.from_csv(latin).item_ids.keys.tolist() == ["caf\xe9", "tea"]


def test_typed_headers_side_columns_and_the_separator_by_argument(tmp_path):
    path = tmp_path / "log.inter"
    path.write_text("user_id:token/item_id:token/device:token/price:float\n1/5/phone/2.5\n1/6//3\n")
    log = Interactions.from_csv(path, separator="/", columns=["device", "price:float"])
    assert log.columns["device"].tolist() == [1, 0]
    assert log.columns["price:float"].tolist() == [2.5, 3]
    kinds = {"price": "category", "device": "category"}
    assert Interactions.from_csv(path, separator="/", columns={"device": "category"}).column_sizes() == {"device": 2}
    with pytest.raises(TypeError, match=r"price: expected integers or strings, got 2\.5"):
        Interactions.from_csv(path, separator="/", columns=kinds)


def test_columns_by_place_and_none_at_all(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text(text_of(" "))
    log = Interactions.from_csv(path, user=1, item=0, time=False, label=False)
    assert events(log) == [("i7", "u1", None, None), ("i7", "u2", None, None), ("i8", "u1", None, None)]


def test_ids_with_leading_zeros_are_strings(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,007\n1,7\n")
    log = Interactions.from_csv(path)
    assert log.item_ids.keys.tolist() == ["007", "7"]
    assert log.user_ids.keys.tolist() == [1]


def test_a_letter_far_down_makes_ids_of_that_column_strings(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,ts\n" + "".join(f"{n},{n % 9},{n}\n" for n in range(12_000)) + "3,X,5\n")
    log = Interactions.from_csv(path)
    assert log.item_ids.kind == "str"
    assert log.user_ids.kind == "int"
    assert len(log) == 12_001
    assert log.timestamps.max() == 11_999


def test_missing_fields_are_counted(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,ts\n1,a,5\n,b,6\n1,,7\n1,b,\n1,c,8\n")
    log = Interactions.from_csv(path)
    assert log.dropped == {"no user": 1, "no item": 1, "no time": 1}
    assert len(log) == 2


def test_quoted_fields_may_hold_the_separator(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('user,item\n1,"tea, green"\n1,salt\n')
    assert Interactions.from_csv(path).item_ids.keys.tolist() == ["tea, green", "salt"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("user,item\n", "expected at least two events, got none"),
        ("user,item\n1,2,3\n1,2\n", "cannot be read as a table"),
        ("name,price\nx,2\n", "item: expected the name of a column"),
    ],
)
def test_a_file_that_is_not_a_log_says_why(tmp_path, text, message):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Interactions.from_csv(path)


def test_a_label_that_is_not_a_number_is_named(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,rating\n1,2,good\n1,3,4\n")
    with pytest.raises(TypeError, match="labels: expected numbers, got 'good'"):
        Interactions.from_csv(path)


def test_parquet_and_frames_are_the_same_log(tmp_path):
    table = {name: [row[place] for row in ROWS] for place, name in enumerate(("user", "item", "ts", "rating"))}
    path = tmp_path / "log.parquet"
    pl.DataFrame({**table, "unused": [1, 2, 3]}).write_parquet(path)
    for log in (
        Interactions.from_parquet(path),
        Interactions.from_frame(pl.DataFrame(table)),
        Interactions.from_frame(pd.DataFrame(table)),
        Interactions.from_frame(table),
    ):
        assert events(log) == IN_ORDER
        assert len(log.notes) == 5
    with pytest.raises(FileNotFoundError):
        Interactions.from_parquet(tmp_path / "none.parquet")
    (tmp_path / "no.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"no\.parquet: cannot be read as Parquet"):
        Interactions.from_parquet(tmp_path / "no.parquet")
    with pytest.raises(TypeError, match="frame: expected a data frame or a dict of columns, got int"):
        Interactions.from_frame(3)


def test_without_polars_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,2\n1,3\n")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r'pip install "logq\[logs\]"'):
        Interactions.from_csv(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Interactions.from_csv(tmp_path / "nowhere.csv")


def ids_of(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Interactions.from_csv(path).user_ids


LARGE = 2**60 + 1  # of 19 digits, as ids of posts are; no float


def test_large_ids_keep_their_digits_beside_a_missing_one(tmp_path):
    assert ids_of(tmp_path, f"user,item\n{LARGE},1\n{LARGE + 1},2\n,3\n").keys.tolist() == [LARGE, LARGE + 1]


def test_ids_of_more_than_64_bits_are_text(tmp_path):
    assert ids_of(tmp_path, f"user,item\n{'9' * 20},1\n7,2\n").keys.tolist() == ["9" * 20, "7"]


def test_leading_zeros_far_down_make_text(tmp_path):
    # Beyond the lines that the layout is guessed from, and beyond those that polars looks at.
    text = "user,item\n" + "12,13\n" * 20_000 + "0012,7\n"
    assert ids_of(tmp_path, text).keys.tolist() == ["12", "0012"]


@pytest.mark.parametrize("other", ["+5", "05", "x"])
def test_ids_that_are_written_differently_stay_apart(tmp_path, other):
    assert ids_of(tmp_path, f"user,item\n5,1\n{other},2\n").keys.tolist() == ["5", other]


def test_whole_numbers_with_a_fraction_of_zero_are_ids(tmp_path):
    assert ids_of(tmp_path, "user,item\n5.0,1\n,2\n7.0,2\n").keys.tolist() == [5, 7]
    with pytest.raises(TypeError, match=r"users: expected integers or strings, got 4\.5"):
        ids_of(tmp_path, "user,item\n5.0,1\n4.5,2\n")


def test_a_late_letter_that_is_not_utf8_makes_the_file_latin_1(tmp_path):
    assert ids_of(tmp_path, b"user,item\n" + b"aaaa,bbbb\n" * 20_000 + b"caf\xe9,x\n").keys.tolist() == ["aaaa", "café"]


def test_another_encoding_is_announced(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"user,item\naa,bb\ncaf\xe9,x\n")
    assert "encoding: took Latin-1, as the text is not UTF-8" in Interactions.from_csv(path).notes


def test_a_name_that_two_columns_have_is_an_error(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,item\n1,2,3\n1,3,4\n")
    with pytest.raises(ValueError, match=r"log\.csv: expected columns with different names, got 'item' twice"):
        Interactions.from_csv(path)


def test_a_compressed_file_that_ends_too_early_is_named(tmp_path):
    path = tmp_path / "log.csv.gz"
    whole = gzip.compress(b"user,item\n" + b"".join(b"%d,%d\n" % (i, i * 7 % 1000) for i in range(50_000)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"log\.csv\.gz: the compressed file is truncated or damaged"):
        Interactions.from_csv(path)
