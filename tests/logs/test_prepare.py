"""Prepared logs are the logs that Interactions reads, whatever the file: compared with it, event for event."""

import datetime
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from logq.logs import Interactions, check_partitions, leave_one_out, prepare, split_by_time
from logq.logs.prepare_log import WORK

pytest.importorskip("duckdb")


def text_of(rows: int = 3000, users: int = 300, items: int = 80, seed: int = 3) -> str:
    rng = np.random.default_rng(seed)
    lines = ["user,item,time,stars,device"]
    for _ in range(rows):
        user, item = rng.integers(users), min(int(rng.pareto(1.0) * 5), items - 1)
        device = ["phone", "tv", "", "web"][rng.integers(4)]
        lines.append(f"u{user},i{item:03},{1_700_000_000 + rng.integers(1500)},{rng.integers(1, 6)},{device}")
    return "\n".join(lines) + "\n"


def events_of(log: Interactions) -> dict[Any, list[tuple[Any, ...]]]:
    """The events of each user in order, by ids."""
    columns = [log.item_ids.keys_of(log.items)]
    columns += [array for array in (log.timestamps, log.labels) if array is not None]
    for name, codes in log.columns.items():
        ids = log.column_ids.get(name)
        columns.append(codes if ids is None else np.append("", ids.keys)[codes])
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    keys = log.user_ids.keys.tolist()
    return {key: rows[log.offsets[code] : log.offsets[code + 1]] for code, key in enumerate(keys)}


def assert_same(ours: Interactions, theirs: Interactions, *, to_the_bit: bool = False) -> None:
    assert ours.item_ids.keys.tolist() == theirs.item_ids.keys.tolist()
    assert repr(sorted(events_of(ours).items())) == repr(sorted(events_of(theirs).items()))  # where nan is nan
    assert dict(ours.dropped) == dict(theirs.dropped)
    assert ours.column_sizes() == theirs.column_sizes()
    for name, ids in theirs.column_ids.items():
        assert ours.column_ids[name].keys.tolist() == ids.keys.tolist()
    if to_the_bit:
        assert ours.fingerprint() == theirs.fingerprint()
        assert ours.user_ids.keys.tolist() == theirs.user_ids.keys.tolist()
        assert list(ours.notes) == list(theirs.notes)
        pairs = [(ours.users, theirs.users), (ours.items, theirs.items), (ours.timestamps, theirs.timestamps)]
        pairs += [(ours.labels, theirs.labels), (ours.offsets, theirs.offsets)]
        pairs += [(ours.columns[name], column) for name, column in theirs.columns.items()]
        for one, other in pairs:
            if one is None or other is None:
                assert one is other
                continue
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def prepared(source: Any, folder: Path, **options: Any) -> Interactions:
    prepare(source, folder, progress=False, **options)
    return Interactions.open(folder)


@pytest.mark.parametrize("partitions", [1, 7])
def test_is_the_log_that_is_read_in_memory(tmp_path: Path, partitions: int) -> None:
    file = tmp_path / "log.csv"
    file.write_text(text_of())
    options: dict[str, Any] = {"columns": ["device"], "min_label": 2}
    ours = prepared(file, tmp_path / "parts", partitions=partitions, **options)
    assert_same(ours, Interactions.from_csv(file, **options), to_the_bit=partitions == 1)
    assert ours.mapped is not None
    assert len(ours.mapped.bounds) == partitions + 1
    assert ours.mapped.bounds[-1] == len(ours)


ISO = datetime.datetime(2026, 1, 31, 10, 51, 9, tzinfo=datetime.timezone.utc)
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "integers": ("user,item,ts\n5,7,3\n5,9,1\n6,7,2\n5,7,3\n", {}),
    "no header": ("1\t10\t5\t880000000\n1\t11\t3\t880000009\n2\t11\t4\t880000001\n", {}),
    "colons": ("1::10::5::880000000\n1::11::3::880000009\n2::11::4::880000001\n", {}),
    "blanks": ("1 10\n1  11\n2 11\n", {}),
    "semicolons": ("user;item;price\nann;tea;3,5\nbob;cup;2\nann;cup;1,25\n", {"columns": ["price"]}),
    "zeros": ("user,item\n007,1\n7,2\n007,2\n", {}),
    "missing": ("user,item,time\nann,tea,5\nNULL,cup,6\nbob,,7\nbob,cup,\nann,cup,9\nann,nut,1\n", {}),
    "missing number": ("user,item\n1.0,5\n,6\n2.0,6\n1.0,6\n", {}),
    "iso": ("user,item,time\na,x,2026-01-31T10:51:09Z\na,y,2026-01-30 10:51:09\nb,y,2026/01/31\n", {}),
    "iso fractions": (
        "user,item,time\na,x,2026-01-31T10:51:09.5Z\na,y,2026-01-31T10:51:09+02:00\nb,y,2026-01-31\n",
        {},
    ),
    "compact": ("user,item,time\na,x,20260131\na,y,20260130\nb,y,20260201\n", {}),
    "day first": ("user,item,time\na,x,1/2/2026\na,y,31/1/2026\nb,y,3/4/2026 10:00\n", {}),
    "month names": ("user,item,time\na,x,31-Jan-2026\na,y,1-Feb-2025\nb,y,5-May-2026\n", {}),
    "milliseconds": ("user,item,time\na,x,1769856669277\na,y,1769856669278\nb,y,1769856669279\n", {}),
    "as milliseconds": (
        "user,item,time\na,x,1769856669000\na,y,1769856668000\nb,y,1769856667000\n",
        {"time_format": "ms"},
    ),
    "strptime": ("user,item,time\na,x,31.01.26\na,y,30.01.26\nb,y,29.01.26\n", {"time_format": "%d.%m.%y"}),
    "fractions": ("user,item,time\na,x,1.5\na,y,0.5\nb,y,2.25\n", {}),
    "no time": ("user,item,time\na,x,1.5\na,y,0.5\nb,y,2.25\n", {"time": False}),
    "sessions": ("session,item\ns1,x\ns1,y\ns2,y\n", {}),
    "both": ("user,session,item\na,s1,x\na,s1,y\nb,s2,y\na,,y\n", {}),
    "quotes": ('user,item,time\n"a, b",x,1\n"a, b",y,2\nc,"y",3\n', {}),
    "core": ("user,item\na,x\na,y\nb,y\nb,x\nc,z\nc,x\nd,w\n", {"min_user": 2, "min_item": 2}),
    "first": ("user,item,time\na,x,2\na,x,1\nb,y,3\nb,y,4\na,y,1\n", {"deduplicate": "first"}),
    "last": ("user,item,time\na,x,2\na,x,1\nb,y,3\nb,y,4\na,y,1\n", {"deduplicate": "last"}),
    "all": ("user,item,time\na,x,2\na,x,2\nb,y,3\n", {"deduplicate": None}),
    "guessed label": ("user,item,rating\na,x,2\na,y,\nb,y,3\n", {}),
    "weights": ("user,item,w\na,x,2.5\na,y,\nb,y,3\n", {"columns": ["w"]}),
    "kinds": ("user,item,w\na,x,2\na,y,1\nb,y,2\n", {"columns": {"w": "category"}}),
    "repeated header": ("user,item\na,x\na,y\nuser,item\nb,y\n", {}),
    "recbole": ("user_id:token\titem_id:token\ttimestamp:float\n1\t5\t8.5\n1\t6\t8.0\n2\t6\t1\n", {}),
    "latin": ("user,item\nJosé,x\nJosé,y\nAnn,y\n", {}),
    "line feeds": ('user,item,time\n"a\nb",x,1\nc,y,2\n', {}),
    "missing numbers": ("user,item\n1,5\n2,6\n3,5\n", {"missing": ["3"]}),
    "lines without anything": ("user,item,time\n\na,x,1\n\nb,y,2\n\n", {}),
    "commas in times": ("user;item;time\na;x;1,5\na;y;2,5\nb;z;3\n", {}),
    "no days": ("user,item,time\na,x,20260131\na,y,20261301\nb,z,20260228\n", {}),
    "plus": ("user,item,time\na,x,+5\na,y,2\nb,z,3\n", {}),
    "zeros of categories": ("user,item,w\na,x,1\na,y,01\nb,x,7\nb,y,\n", {"columns": {"w": "category"}}),
    "true": ("user,item,w\na,x,true\na,y,false\nb,x,true\n", {"columns": ["w"]}),
    "true or missing": ("user,item,w\na,x,true\na,y,\nb,x,false\n", {"columns": ["w"]}),
    "empty column": ("user,item,w\na,x,\na,y,\nb,x,\n", {"columns": ["w"]}),
    "other blanks": ("user,item\n\u00a0a,x\na,y\na\u3000,y\n", {}),
    "zero bytes": ("user,item,time\na\0,x,1\nb\0c,y,2\na,x,3\n", {}),
    "words of SQL": (
        "user,item,row,rowid,code,time\na,x,7,9,1,3\na,y,8,5,2,1\nb,x,9,7,3,2\n",
        {"columns": ["row", "rowid", "code"]},
    ),
    "late fraction": (
        "user,item,w\n" + "".join(f"u{n},i{n % 5},{n}\n" for n in range(10_001)) + "v,i1,1.5\n",
        {"columns": ["w"]},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_follows_the_rules_of_text_files(tmp_path: Path, name: str) -> None:
    text, options = FILES[name]
    file = tmp_path / "log.csv"
    file.write_bytes(text.encode("latin-1" if name == "latin" else "utf-8"))
    theirs = Interactions.from_csv(file, **options)
    assert_same(prepared(file, tmp_path / "parts", **options), theirs, to_the_bit=True)


@pytest.mark.parametrize("ending", ["gz", "bz2"])
def test_reads_compressed_files(tmp_path: Path, ending: str) -> None:
    import bz2

    pack: Callable[[bytes], bytes] = {"gz": gzip.compress, "bz2": bz2.compress}[ending]
    file = tmp_path / f"log.csv.{ending}"
    file.write_bytes(pack(text_of(500).encode()))
    assert_same(prepared(file, tmp_path / "parts"), Interactions.from_csv(file), to_the_bit=True)


TABLES: dict[str, tuple[dict[str, Any], Any]] = {
    "numbers as text": ({"user": ["1", "2", "3", "1"]}, ()),
    "fractions as text": ({"user": ["1.0", "2", "3", "1"]}, ()),
    "zero bytes": ({"user": ["a\0", "a", "b\0c", "b"]}, ()),
    "large": ({"w": polars.Series([1, 2, 3, 2**64 - 1], dtype=polars.UInt64)}, ["w"]),
    "small": ({"w": polars.Series([1, 2, 3, 4], dtype=polars.Int8)}, ["w"]),
    "true or missing": ({"w": [True, None, True, False]}, ["w"]),
    "nothing": ({"w": [None] * 4}, ["w"]),
    "numbers as categories": ({"w": [7, 5, None, 7]}, {"w": "category"}),
    "decimals": ({"rating": polars.Series(["1.5", "2", "3", "1"]).cast(polars.Decimal(10, 2))}, ()),
    "zones": ({"time": polars.Series([ISO] * 4).cast(polars.Datetime("ns", "UTC"))}, ()),
}


@pytest.mark.parametrize("name", TABLES)
def test_follows_the_rules_of_parquet_files(tmp_path: Path, name: str) -> None:
    changes, columns = TABLES[name]
    file = tmp_path / "log.parquet"
    polars.DataFrame({"user": ["a", "b", "a", "c"], "item": [1, 2, 2, 3], **changes}).write_parquet(file)
    options: dict[str, Any] = {"columns": columns} if columns else {}
    theirs = Interactions.from_parquet(file, **options)
    assert_same(prepared(file, tmp_path / "parts", **options), theirs, to_the_bit=True)


def test_files_may_have_other_orders_of_columns_and_types(tmp_path: Path) -> None:
    one = {"user": [1, 2], "item": ["x", "y"], "time": [1, 2], "rating": [4, 5]}
    other = {"rating": [4.5, 2.5], "item": ["x", "z"], "time": [1.5, 2], "user": [3.0, None]}
    whole = tmp_path / "whole.parquet"
    polars.concat([polars.DataFrame(one), polars.DataFrame(other)], how="diagonal_relaxed").write_parquet(whole)
    for number, table in enumerate((one, other)):
        polars.DataFrame(table).write_parquet(tmp_path / f"{number}.parquet")
        text = polars.DataFrame(table).with_columns(polars.col("user").cast(polars.Int64)).write_csv()
        (tmp_path / f"{number}.csv").write_text(text)
    theirs = Interactions.from_parquet(whole)
    assert theirs.labels is not None
    assert 4.5 in theirs.labels
    for ending in ("parquet", "csv"):
        ours = prepared(str(tmp_path / f"[01].{ending}"), tmp_path / f"parts-{ending}")
        assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"user": ["3", "q"], "item": ["x", "z"]}, "b.parquet: expected numbers in the column 'user'.*got text"),
        ({"who": [3, 4], "item": ["x", "z"]}, "b.parquet: expected a column 'user', as .*a.parquet has"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path: Path, other: dict[str, Any], said: str) -> None:
    for name, table in (("a", {"user": [1, 2], "item": ["x", "y"]}), ("b", other)):
        polars.DataFrame(table).write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(ValueError, match=said):
        prepare([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "parts", progress=False)


def test_a_comma_in_the_second_file_is_a_decimal_sign_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user;item;rating\na;x;3\nb;y;4\n")
    (tmp_path / "b.csv").write_text("user;item;rating\nc;x;3,5\nd;y;4\n")
    log = prepared([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "parts")
    assert log.labels is not None
    assert log.labels.tolist() == [3, 4, 3.5, 4]


def test_a_name_that_looks_like_a_pattern_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "log[1].csv").write_text("user,item\na,x\nb,y\n")
    (tmp_path / "log1.csv").write_text("user,item\nother,x\nother,y\n")
    (tmp_path / "out[1]").mkdir()
    log = prepared(str(tmp_path / "log[1].csv"), tmp_path / "out[1]" / "parts*")
    assert log.user_ids.keys.tolist() == ["a", "b"]
    check_partitions(tmp_path / "out[1]" / "parts*", progress=False)


def test_an_encoding_that_shows_late_is_read(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes(b"user,item\n" + b"ann,x\n" * 20_000 + b"Jos\xe9,y\n")
    log = prepared(file, tmp_path / "parts")
    assert log.user_ids.keys.tolist() == Interactions.from_csv(file).user_ids.keys.tolist()


def test_reads_parquet(tmp_path: Path) -> None:
    file = tmp_path / "log.parquet"
    rng = np.random.default_rng(0)
    times = [ISO + datetime.timedelta(seconds=int(second)) for second in rng.integers(1000, size=400)]
    table = {"user": rng.integers(50, size=400), "item": [f"i{n}" for n in rng.integers(9, size=400)], "when": times}
    table |= {"w": rng.random(400).astype(np.float32), "device": ["tv" if n % 3 else None for n in range(400)]}
    polars.DataFrame(table).write_parquet(file)
    options: dict[str, Any] = {"columns": ["w", "device"]}
    assert_same(
        prepared(file, tmp_path / "parts", **options), Interactions.from_parquet(file, **options), to_the_bit=True
    )


def test_files_follow_each_other(tmp_path: Path) -> None:
    lines = text_of(2000).splitlines(keepends=True)
    whole = tmp_path / "whole.csv"
    whole.write_text("".join(lines))
    for number in range(4):
        rows = lines[1 + 500 * number : 501 + 500 * number]
        (tmp_path / f"part-{number}.csv").write_text(lines[0] + "".join(rows))
    ours = prepared(str(tmp_path / "part-*.csv"), tmp_path / "parts", threads=2)
    assert_same(ours, Interactions.from_csv(whole), to_the_bit=True)


def test_splits_are_those_of_the_log_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(text_of())
    theirs, ours = Interactions.from_csv(file), prepared(file, tmp_path / "parts", partitions=1)
    for split in (leave_one_out, lambda log: split_by_time(log, 0.8, 0.7), lambda log: split_by_time(log, 0.9)):
        one, other = split(ours), split(theirs)
        assert one.how == other.how
        np.testing.assert_array_equal(one.part, other.part)


def test_ids_are_found_without_reading_all(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(text_of())
    log = prepared(file, tmp_path / "parts", partitions=3)
    keys = log.user_ids.keys
    fresh = Interactions.open(tmp_path / "parts").user_ids
    assert fresh.codes(["nobody", *keys.tolist()]).tolist() == [-1, *range(len(keys))]
    assert "keys" not in vars(fresh)


def test_checks_what_it_wrote(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(text_of(200))
    prepare(file, tmp_path / "parts", progress=False)
    check_partitions(tmp_path / "parts", progress=False)
    assert not (tmp_path / "parts" / WORK).exists()
