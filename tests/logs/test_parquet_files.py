"""Logs from Parquet, read in pieces."""

import subprocess
import sys
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from logq.logs import Interactions, ordering, parquet_files

ROWS = 3_000


def table(seed=0, **columns):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user_id": rng.integers(0, 200, ROWS) * 7,
            "item_id": rng.integers(0, 50, ROWS) + 10**12,
            "timestamp": rng.integers(1_700_000_000, 1_700_000_500, ROWS),
            "rating": rng.integers(1, 6, ROWS).astype(np.float64),
            **columns,
        }
    )


def rows_of(log):
    columns = [log.user_ids.keys_of(log.users), log.item_ids.keys_of(log.items), log.timestamps, log.labels]
    columns += list(log.columns.values())
    return [tuple(row) for row in zip(*(column.tolist() for column in columns if column is not None), strict=True)]


FRAMES = {
    "integers": table(),
    "strings": table().with_columns(pl.col("user_id", "item_id").cast(pl.String)),
    "categories": table().with_columns(pl.col("item_id").cast(pl.String).cast(pl.Categorical)),
    "missing": table().with_columns(
        pl.when(pl.col("user_id") % 3 > 0).then("user_id"),
        pl.when(pl.col("item_id") % 7 > 0).then(pl.col("item_id").cast(pl.String)),
        pl.when(pl.col("timestamp") % 11 > 0).then("timestamp"),
    ),
    "dates": table().with_columns(pl.from_epoch("timestamp", "s").dt.replace_time_zone("Europe/Paris")),
    "fractions": table().with_columns(pl.from_epoch(pl.col("timestamp") * 1000 + 5, "ms")),
    "text": table().with_columns(pl.from_epoch("timestamp", "s").cast(pl.String)),
    "sorted": table().sort("user_id", "timestamp"),
    "sessions": table(session_id=np.arange(ROWS) // 9).drop("user_id").sample(fraction=1, shuffle=True, seed=1),
    "small": table().with_columns(pl.col("timestamp").cast(pl.UInt32), pl.col("user_id").cast(pl.Int16)),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("batches", [True, False])
def test_pieces_make_the_log_of_the_whole(tmp_path, monkeypatch, name, batches):
    frame = FRAMES[name]
    frame.write_parquet(tmp_path / "log.parquet", row_group_size=700)
    whole = Interactions.from_frame(frame)
    monkeypatch.setattr(parquet_files, "_ROWS", 256)
    monkeypatch.setattr(ordering, "_PIECE", 100)
    if not batches:  # as polars had it before
        monkeypatch.delattr(pl.LazyFrame, "collect_batches", raising=False)
    log = Interactions.from_parquet(tmp_path / "log.parquet")
    assert rows_of(log) == rows_of(whole)
    assert log.user_ids.keys.tolist() == whole.user_ids.keys.tolist()
    assert log.item_ids.keys.tolist() == whole.item_ids.keys.tolist()
    assert log.dropped == whole.dropped
    assert log.notes == whole.notes
    for attribute in ("users", "items", "timestamps", "labels"):
        assert getattr(log, attribute).dtype == getattr(whole, attribute).dtype


@pytest.mark.parametrize("cleaning", [{"min_label": 3}, {"min_user": 9, "min_item": 50}, {"deduplicate": "last"}])
def test_cleaning_in_pieces_is_that_of_the_whole(tmp_path, monkeypatch, cleaning):
    frame = table(price=np.arange(ROWS))
    frame.write_parquet(tmp_path / "log.parquet")
    whole = Interactions.from_frame(frame, columns=["price"], **cleaning)
    monkeypatch.setattr(parquet_files, "_ROWS", 256)
    monkeypatch.setattr(ordering, "_PIECE", 100)
    log = Interactions.from_parquet(tmp_path / "log.parquet", columns=["price"], **cleaning)
    assert rows_of(log) == rows_of(whole)
    assert log.dropped == whole.dropped
    assert log.dropped


def test_sorting_by_pieces_is_sorting_at_once(monkeypatch):
    rng = np.random.default_rng(3)
    users = np.append(rng.integers(0, 40, 2_000), np.zeros(900, np.int64)).astype(np.int32)
    for times in (None, rng.integers(0, 50, len(users)), rng.random(len(users))):
        expected = np.lexsort((np.zeros(len(users)) if times is None else times, users)).tolist()
        for piece in (1, 64, 10_000):
            monkeypatch.setattr(ordering, "_PIECE", piece)
            assert ordering.order_rows(users, times).tolist() == expected


def test_arrays_of_the_caller_are_not_written_to():
    users, items, times = np.array([2, 1, 2]), np.array([5, 6, 6]), np.array([3, 2, 1])
    Interactions.from_arrays(users, items, times, labels := np.array([3.0, 1.0, 4.0]), min_label=2)
    assert (users.tolist(), items.tolist(), times.tolist()) == ([2, 1, 2], [5, 6, 6], [3, 2, 1])
    assert labels.tolist() == [3, 1, 4]


def test_dates_are_called_dates(tmp_path):
    path = tmp_path / "log.parquet"
    pl.DataFrame({"u": [1, 1], "i": [2, 3], "t": [datetime(1970, 1, 2), datetime(1970, 1, 1)]}).write_parquet(path)
    log = Interactions.from_parquet(path)
    assert log.timestamps.tolist() == [0, 86400]
    assert "time: took the column 't' (dates)" in log.notes


# Not ru_maxrss, in which a process begins with what its parent has.
MEASURE = """
import re, sys
from logq.logs import Interactions
import polars

def most():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) * 1024

Interactions.from_parquet(sys.argv[2])
before = most()
print(len(Interactions.from_parquet(sys.argv[1])), most() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read as Linux has it")
@pytest.mark.parametrize("repeated", [False, True])
def test_a_log_of_parquet_takes_32_bytes_an_event(tmp_path, repeated):
    events = 6_000_000
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "user_id": rng.integers(0, 100_000, events) * 7,
            "item_id": rng.integers(0, 50_000, events) + 10**9,
            "timestamp": rng.integers(1_600_000_000, 1_700_000_000, events),
        }
    )
    if repeated:  # rows that are dropped
        frame = pl.concat([frame[: events - 100], frame[:100]])
    frame.write_parquet(tmp_path / "log.parquet")
    frame[:500_000].write_parquet(tmp_path / "small.parquet")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "log.parquet"), str(tmp_path / "small.parquet")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(said[0]) == events - 100 * repeated
    assert int(said[1]) <= 32 * events


def test_a_further_column_is_found_by_its_plain_name(tmp_path):
    columns = {"user:token": ["a", "b"], "item:token": ["x", "y"], "price:float": [1.5, 2.5]}
    pl.DataFrame(columns).write_parquet(tmp_path / "log.parquet")
    log = Interactions.from_parquet(tmp_path / "log.parquet", columns=["price"])
    assert log.columns["price"].tolist() == [1.5, 2.5]
