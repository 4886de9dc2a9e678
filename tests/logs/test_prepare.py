"""Prepared logs are the logs that Interactions reads, whatever the file: compared with it, event for event."""

import datetime
import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from logq.logs import Interactions, check_partitions, leave_one_out, prepare, split_by_time, work_database
from logq.logs.prepare_log import WORK
from prepared_logs import FILES, ISO, TABLES, assert_same

pytest.importorskip("duckdb")


def text_of(rows: int = 3000, users: int = 300, items: int = 80, seed: int = 3) -> str:
    rng = np.random.default_rng(seed)
    lines = ["user,item,time,stars,device"]
    for _ in range(rows):
        user, item = rng.integers(users), min(int(rng.pareto(1.0) * 5), items - 1)
        device = ["phone", "tv", "", "web"][rng.integers(4)]
        lines.append(f"u{user},i{item:03},{1_700_000_000 + rng.integers(1500)},{rng.integers(1, 6)},{device}")
    return "\n".join(lines) + "\n"


def prepared(source: Any, folder: Path, **options: Any) -> Interactions:
    prepare(source, folder, progress=False, **options)
    return Interactions.open(folder)


@pytest.mark.parametrize(
    ("free", "tasks", "expected"),
    [(1 << 30, 1, "512MiB"), (6 << 30, 4, "768MiB"), (1, 1, "256MiB"), (math.inf, 1, "4096MiB")],
)
def test_takes_a_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch, free: float, tasks: int, expected: str) -> None:
    monkeypatch.setattr(work_database, "available_memory", lambda: free)  # a container may have less than its machine
    assert work_database.half_of_memory(tasks) == expected


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
