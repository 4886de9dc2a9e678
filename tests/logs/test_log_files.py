"""Logs in text files of every shape, and in Parquet."""

import gzip
import sys
from pathlib import Path

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
        ("user,item\n1,2,3\n1,2\n", "expected 2 fields in each line, as in the first, got 3 in line 2"),
        (
            "name,price\nx,2\n",
            r"user: expected the name of a column, .* looks like users or items; user=NAME, item=NAME",
        ),
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
    with pytest.raises(ImportError, match=r"pip install 'logq\[logs\]'"):
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


def test_ids_with_and_without_a_fraction_of_zero_are_the_same_and_keep_their_digits(tmp_path):
    assert ids_of(tmp_path, "user,item\n1,1\n1.0,2\n2,1\n").keys.tolist() == [1, 2]
    large = "user,item\n9007199254740993.0,1\n9007199254740992.0,2\n"
    assert ids_of(tmp_path, large).keys.tolist() == [9007199254740993, 9007199254740992]


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
    with pytest.raises(ValueError, match=r"log\.csv\.gz: the gzip file ends too early, it is truncated"):
        Interactions.from_csv(path)


def log_of(tmp_path, text, name="log.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Interactions.from_csv(path, **options)


def note_on(log, role):
    """The only note on a role."""
    (note,) = [note for note in log.notes if note.startswith(f"{role}: ")]
    return note


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("last_watch_dt", ["2024-01-03", "2024-01-02", "2024-01-01"], "ISO dates"),
        ("t_dat", ["20240103", "20240102", "20240101"], "dates such as 20260131"),
        ("purchase_date", ["1/31/2024", "1/30/2024", "1/29/2024"], "dates with the month first"),
        ("order_date", ["31.1.2024 10:00", "30.1.2024 10:00", "29.1.2024 23:59:59"], "dates with the day first"),
        ("event_timestamp", ["30", "20", "10"], "numbers"),
        ("foo", ["1704200003", "1704200002", "1704200001"], "seconds since 1970"),
        (
            "InvoiceDate",
            ["2024-01-03 10:00:00 UTC", "2024-01-02 08:26:00 UTC", "2024-01-01 08:00:00.5 UTC"],
            "ISO dates",
        ),
        ("time", ["2014-12-06 02", "2014-12-05 23", "2014-12-05 22"], "ISO dates"),
        ("ts", ["1704200000003", "1704200000002", "1704200000001"], "milliseconds since 1970, so ages"),
        ("ts", ["1704200000000003", "1704200000000002", "1704200000000001"], "microseconds since 1970, so ages"),
        ("ts", ["1704200000000000003", "1704200000000000002", "1704200000000000001"], "nanoseconds since 1970, so"),
    ],
)
def test_a_shuffled_log_is_put_in_order_whatever_its_times_are_called(tmp_path, name, values, kind):
    lines = [f"1,{item},{value}" for item, value in zip((12, 11, 10), values, strict=True)]
    log = log_of(tmp_path, f"user,item,{name}\n" + "\n".join(lines) + "\n")
    assert log.item_ids.keys_of(log.items).tolist() == [10, 11, 12]
    assert note_on(log, "time").startswith(f"time: took the column {name!r}")
    assert f"({kind}" in note_on(log, "time")


def test_that_no_times_were_found_is_always_said(tmp_path):
    log = log_of(tmp_path, "user,item,price,size\n1,10,3,x\n1,11,2,y\n")
    assert log.timestamps is None
    assert note_on(log, "time") == (
        "time: no time column found among 'price', 'size': the order of rows counts as time; "
        "time=NAME (--time NAME) names one"
    )
    assert "the order of rows counts as time" in note_on(log_of(tmp_path, "1,10\n1,11\n"), "time")
    assert not [n for n in log_of(tmp_path, "user,item,price\n1,10,3\n1,11,2\n", time=False).notes if "time" in n]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09Z,214536500,0\n2,2014-04-07,214536500,S\n",
            [214536502, 214536500, 214536500],
        ),
        ("u,a,2024-01-02\nu,b,2024-01-01\nv,a,2024-01-04\n", ["b", "a", "a"]),
        ("2024-01-02;u;a\n2024-01-01;u;b\n2024-01-04;v;a\n", ["b", "a", "a"]),
        ("1396864269\tu\ta\n1396864268\tu\tb\n1396864267\tv\ta\n", ["b", "a", "a"]),
        ("1300000001 a 5 1396864269\n1300000001 b 4 1396864268\n1300000002 a 3 1396864267\n", ["b", "a", "a"]),
        ("u|1/31/2024|a\nu|1/30/2024|b\nv|1/31/2024|a\n", ["b", "a", "a"]),
        ("u,2024-01-02,2024-05-05,a\nu,2024-01-01,2024-05-05,b\nv,2024-01-02,2024-05-05,a\n", ["b", "a", "a"]),
        ("u,02-Jan-2024,a\nu,01-Jan-2024,b\nv,03-Feb-2024,a\n", ["b", "a", "a"]),
        ("u|Jan 2 2024 9:00 PM|a\nu|Jan 2 2024 9:00 AM|b\nv|Feb 3 2024 1:00 AM|a\n", ["b", "a", "a"]),
        (
            "Tue Jan  2 10:00:00 UTC 2024,u,a\nMon Jan  1 10:00:00 UTC 2024,u,b\nTue Jan  2 09:00:00 UTC 2024,v,a\n",
            ["b", "a", "a"],
        ),
    ],
)
def test_without_a_header_a_date_is_never_an_item(tmp_path, text, expected):
    log = log_of(tmp_path, text)
    assert log.item_ids.keys_of(log.items).tolist() == expected
    assert log.timestamps is not None
    assert "took column" in note_on(log, "time")


def test_without_a_header_a_time_of_day_is_neither_item_nor_time(tmp_path):
    log = log_of(tmp_path, "u,10:51:09,a\nu,9:51:08,b\nv,23:59,a\n")
    assert log.item_ids.keys.tolist() == ["a", "b"]
    assert log.timestamps is None
    assert "it could also be column 1" in note_on(log, "time")


def test_without_a_header_dates_with_two_digits_of_the_year_ask_for_a_format(tmp_path):
    text = "u,1/31/24,a\nu,1/30/24,b\nv,12/1/23,a\n"
    with pytest.raises(TypeError, match=r"time: expected .*got '1/31/24'; another format is given by time_format"):
        log_of(tmp_path, text)
    assert log_of(tmp_path, text, time_format="%m/%d/%y").item_ids.keys.tolist() == ["a", "b"]


def test_without_a_header_the_first_line_may_lack_its_time(tmp_path):
    log = log_of(tmp_path, "u,,a\nu,2024-01-02,b\nv,2024-01-01,a\n")
    assert log.item_ids.keys.tolist() == ["b", "a"]
    assert dict(log.dropped) == {"no time": 1}


def test_large_ids_that_repeat_are_no_times(tmp_path):
    log = log_of(tmp_path, "1200000001 5 4\n1200000001 6 3\n1200000001 7 3\n1200000002 5 1\n")
    assert log.user_ids.keys.tolist() == [1200000001, 1200000002]
    assert log.timestamps is None


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("2024-01-03", "1704200000", "time: expected .* dates .*all of one kind, got '1704200000' in row 2"),
        ("1704200000", "2024-01-03", "time: expected numbers, as the times before are, got '2024-01-03' in row 2"),
        ("2024-01-03", "01/03/2024", "got '01/03/2024' in row 2"),
        (
            "1704200000",
            "1704200000123",
            r"expected times in one unit, got 1704200000 \(seconds .*\(millisec.* in row 2",
        ),
        (
            "01/02/2024",
            "02/03/2024",
            "months and days can be told apart, got '01/02/2024'; .* month-first or day-first",
        ),
        ("07 avr 2014", "08 avr 2014", "got '07 avr 2014'; another format is given by time_format"),
        ("1/31/24", "1/30/24", r"got '1/31/24'; another format .* such as %m/%d/%y"),
        ("2024-02-30", "2024-02-28", "got '2024-02-30' in row 1"),
        ("01/31/2024", "13/13/2024", "expected dates whose months|got '13/13/2024'"),
    ],
)
def test_times_of_two_kinds_name_the_first_row_that_differs(tmp_path, first, second, message):
    with pytest.raises((TypeError, ValueError), match=message):
        log_of(tmp_path, f"user,item,time\n1,10,{first}\n1,11,{second}\n")


@pytest.mark.parametrize(
    ("written", "time_format", "expected"),
    [
        ("03/04/2024", "day-first", 1_712_102_400),
        ("03/04/2024", "month-first", 1_709_510_400),
        ("03 Apr 2024", "%d %b %Y", 1_712_102_400),
        ("1712102400500", "ms", 1_712_102_400.5),
        ("20240403", "compact", 1_712_102_400),
        ("2024-04-03 02:00:00 +0200", "iso", 1_712_102_400),
        ("4/3/2024 12:00:00 AM", "month-first", 1_712_102_400),
    ],
)
def test_the_format_of_times_can_be_given(tmp_path, written, time_format, expected):
    log = log_of(tmp_path, f"user,item,when\n1,10,{written}\n1,11,{written}\n", time_format=time_format)
    assert log.timestamps.tolist() == [expected, expected]  # date -u -d 2024-04-03 +%s and so on
    with pytest.raises(ValueError, match=r"time_format: expected one of s, ms, us, ns, iso, compact, .* got 'eu'"):
        Interactions.from_csv(tmp_path / "log.csv", time_format="eu")


def test_blanks_around_values_are_not_part_of_them(tmp_path):
    log = log_of(tmp_path, "user, item , ts\n1, 10, 5\n1,  11, 4\n")
    assert events(log) == [(1, 11, 4, None), (1, 10, 5, None)]
    assert log_of(tmp_path, 'ann, tea\nann, " salt "\nbob ,tea\n').item_ids.keys.tolist() == ["tea", "salt"]
    log = log_of(tmp_path, " 1   10  5\n 1   11  4\r\n22\t  10  3\n", separator=" ")
    assert log.user_ids.keys.tolist() == [1, 22]
    assert log.item_ids.keys.tolist() == [10, 11]


@pytest.mark.parametrize("word", ["NULL", "\\N", "nan", "None", "NA", "NaN", "N/A", "<NA>", "null"])
def test_words_for_a_missing_value_are_neither_users_nor_items_nor_times(tmp_path, word):
    log = log_of(tmp_path, f"user,item,ts\n{word},10,5\n1,11,4\n2,{word},3\n2,10,{word}\n3,10,7\n")
    assert log.dropped == {"no user": 1, "no item": 1, "no time": 1}
    assert log.user_ids.keys.tolist() == [1, 3]
    text = f"user,item\n{word},a\nu1,b\nu2,a\n"
    log = log_of(tmp_path, text)
    assert log.user_ids.keys.tolist() == ["u1", "u2"]
    assert (
        f"user: {word!r} counts as missing, in 1 rows; missing=[...] (--missing WORD) says which words do" in log.notes
    )
    assert log_of(tmp_path, text, missing=()).user_ids.keys.tolist() == [word, "u1", "u2"]
    assert log_of(tmp_path, text, missing=["u2"]).user_ids.keys.tolist() == [word, "u1"]
    assert Interactions.from_arrays(["a", word, "b"], ["x", "y", "z"]).dropped == {"no user": 1}


def test_a_rating_that_nobody_asked_for_costs_no_row(tmp_path):
    text = "user,item,rating\n1,10,\n1,11,4\n2,10,NULL\n"
    log = log_of(tmp_path, text)
    assert len(log) == 3
    assert log.labels is None
    assert "label: none, as 2 rows of the column 'rating' have no number; label (--label) names it" in log.notes
    assert log_of(
        tmp_path, text.replace("2,10", "2,11"), label="rating", min_item=1, item_ids=log.item_ids
    ).dropped == {"no label": 2}
    frame = pd.DataFrame({"user": [1, 2], "item": [5, 6], "rating": [None, 3.0]})
    assert len(Interactions.from_frame(frame)) == 2


@pytest.mark.parametrize("header", ["customer,sku", "member_id,thing_id", "Session,Product", "uid,isbn"])
def test_a_header_over_nothing_but_text_is_no_event(tmp_path, header):
    text = f"{header}\nann,tea\nann,salt\nbob,tea\n"
    item = None if "thing" not in header else "thing_id"
    log = log_of(tmp_path, text, item=item)
    assert len(log) == 3
    assert log.item_ids.keys.tolist() == ["tea", "salt"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "latin-1"])
def test_other_encodings_are_recognized(tmp_path, encoding):
    text = "user,item,ts\n1,caf\xe9,5\n1,b,4\n2,b,3\n"
    log = log_of(tmp_path, text.encode(encoding))
    assert log.item_ids.keys.tolist() == ["b", "caf\xe9"]
    assert log.timestamps.tolist() == [4, 5, 3]
    assert ("encoding: took Latin-1, as the text is not UTF-8" in log.notes) == (encoding == "latin-1")


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("it was the best of times it was the worst of times\n" * 30, "is it running text, its lines have 12 fields"),
        ("a rose is a rose\nis\na rose by any other name\n" * 9, "is it running text, its lines have 1 to 6 fields"),
        ("in 1984 he wrote of it\nand in 1985 she read it\n" * 9, "is it running text, its lines have 6 fields"),
        ("It was late, and dark\nHe came, he saw, he went\nNo, not me\n", "is it running text, its lines have 2 to 3"),
        ("It was the best of times, it was the worst of times\n" * 9, "is it running text, its lines have 2 fields"),
        ("der Hund beißt\ndie Katze kratzt den Hund\n" * 9, "is it running text, its lines have 3 to 5 fields"),
        ("1 2\n3 4 5\n6 7\n", "is each line a list of items, they have 2 to 3 fields"),
        ("one\ntwo\nthree\n", "expected columns of users and items, found one column"),
    ],
)
def test_running_text_and_lists_are_refused_with_a_question(tmp_path, text, question):
    with pytest.raises(ValueError, match=rf"log\.txt: {question}"):
        log_of(tmp_path, text, "log.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,10\n2,11,5\n3,12,4,7\n", r"expected 2 fields in each line, .* got 3 in line 2 \(2 such lines\).*quotation"),
        ("1,10\n2,11,5\n3\n", r"expected 2 fields in each line, as in the first, got 3 in line 2;"),
        ("1,10,5\n2,11,\n3,12\n", r"expected 3 fields in each line, as in the first, got 2 in line 3;"),
        ("1::10::5::978300760\n2::11::5\n", r"expected 4 .*got 3 in line 2; lists of items are .* .--user 0 --item 1"),
        ("ann\ttea\nbob\tcup\tbig\n", r"expected 2 fields in each line, as in the first, got 3 in line 2;"),
        ("".join(f"{row},{row % 7}\n" for row in range(9000)) + "5,6,7\n", r"expected 2 .* got 3 in line 9001;"),
        ("user,title,item\n1,Fear and Loathing,7\n2,Good, the Bad,8\n", r"expected 3 .* got 4 in line 3; a field with"),
        ('user,item,note\n1,7,"a\nb, c"\n2,8,d, e\n', r"expected 3 fields .* got 4 in line 4;"),
    ],
)
def test_lines_with_more_or_fewer_fields_are_not_cut_in_silence(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"log\.csv: {message}"):
        log_of(tmp_path, text)


def test_lines_that_are_shorter_are_said_and_empty_fields_behind_the_last_do_not_matter(tmp_path):
    log = log_of(tmp_path, "user,item,ts\n1,10,3,\n2,11,4,,\n(2 rows)\n\n3,10,5\n")
    assert log.user_ids.keys.tolist() == ["1", "2", "3"]
    assert dict(log.dropped) == {"no item": 1}  # the footer; the empty line is no row
    assert [note for note in log.notes if note.startswith("lines")] == [
        "lines: expected 3 fields in each line, as in the first, got 1 in line 4; what is missing does not count"
    ]


def test_who_names_the_columns_reads_lines_of_different_length(tmp_path):
    log = log_of(tmp_path, "1,10\n2,11,5\n3,12,4,7\n", user=0, item=1)
    assert log.item_ids.keys.tolist() == [10, 11, 12]
    assert "got 3 in line 2 (2 such lines); what is more does not count" in " ".join(log.notes)


def test_a_header_that_comes_again_is_no_event(tmp_path):
    text = "user_id,item_id,ts\n1,10,3\nuser_id,item_id,ts\n2,11,2\n user_id,item_id,ts\n1,11,1\n"
    log = log_of(tmp_path, text)
    assert log.user_ids.keys.tolist() == [1, 2]
    assert log.item_ids.keys_of(log.items).tolist() == [11, 10, 11]
    assert "header: 2 lines repeat the first one and are left out" in log.notes
    assert log_of(tmp_path, "user,item\nann,tea\nuser,item\nbob,rum\n").user_ids.keys.tolist() == ["ann", "bob"]


@pytest.mark.parametrize(
    "text", ['{"user": 1, "item": 10}\n{"user": 2, "item": 11}\n', '[{"user": 1, "item": 10}]', "{\n"]
)
def test_json_is_refused_with_a_command_that_converts_it(tmp_path, text):
    with pytest.raises(
        ValueError, match=r"log\.csv: expected a table, it is JSON; python -c 'import polars; .* makes one"
    ):
        log_of(tmp_path, text)


def test_the_decimal_comma_of_tables_with_semicolons(tmp_path):
    log = log_of(tmp_path, "user;item;rating\n1;10;3,5\n2;11;4,0\n")
    assert log.labels.tolist() == [3.5, 4.0]
    assert "numbers: took ',' for the decimal sign" in log.notes


def test_line_ends_of_old_macs(tmp_path):
    assert log_of(tmp_path, b"user,item,ts\r1,10,3\r2,11,4\r").timestamps.tolist() == [3, 4]


def test_running_text_is_read_as_a_log_if_its_columns_are_named(tmp_path):
    text = "".join(f"{word} likes {item} very much indeed\n" for word, item in (("ann", "tea"), ("bob", "rum")))
    assert log_of(tmp_path, text, user=0, item=2).item_ids.keys.tolist() == ["tea", "rum"]


def test_an_encoding_that_is_not_recognized_says_how_to_convert(tmp_path):
    with pytest.raises(ValueError, match=r"log\.csv: expected UTF-8 text, .* convert it: iconv -f ENCODING -t UTF-8"):
        log_of(tmp_path, "user,item\n日本,tea\nbob,cup\n".encode("shift_jis"))


def test_an_option_that_there_is_not_is_named(tmp_path: Path) -> None:
    """And not taken for a damaged file."""
    (tmp_path / "log.csv").write_text("user,item\na,1\nb,2\n")
    with pytest.raises(
        TypeError, match=r"^options: expected names among .*, time, .*, got 'labels'; did you mean label\?"
    ):
        Interactions.from_csv(tmp_path / "log.csv", labels="rating")  # pyright: ignore[reportCallIssue]


def test_an_empty_separator_and_an_hour_that_a_clock_of_twelve_has_not(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("u,Jan 2 2024 9:00 PM,a\nv,Jan 2 2024 13:00 PM,b\n")
    with pytest.raises(ValueError, match="separator: expected at least one character, got ''"):
        Interactions.from_csv(path, separator="")
    with pytest.raises(TypeError, match=r"time: expected dates .*, got 'Jan 2 2024 13:00 PM' in row 2"):
        Interactions.from_csv(path)


def test_a_further_column_that_there_is_not_is_named(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,price\n1,2,3\n1,3,4\n")
    frame = pd.read_csv(path)
    pl.DataFrame(frame.to_dict("list")).write_parquet(tmp_path / "log.parquet")
    for read in (
        lambda: Interactions.from_csv(path, columns=["prize"]),
        lambda: Interactions.from_frame(frame, columns=["prize"]),
        lambda: Interactions.from_parquet(tmp_path / "log.parquet", columns=["prize"]),
    ):
        with pytest.raises(ValueError, match="columns: expected some of 'user', 'item', 'price', got 'prize'"):
            read()
    with pytest.raises(ValueError, match=r"""columns: expected "category" or "number" for 'price', got 'money'"""):
        Interactions.from_csv(path, columns={"price": "money"})


def test_without_times_the_first_columns_are_users_and_items(tmp_path):
    log = log_of(tmp_path, "1\t7\t5\n2\t8\t3\n1\t9\t5\n", time=False)
    assert (log.user_ids.keys.tolist(), log.item_ids.keys.tolist(), log.timestamps) == ([1, 2], [7, 8, 9], None)
