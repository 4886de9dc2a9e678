"""Logs and features from tables of other libraries."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from logq.logs import Features, Interactions
from logq.logs.data_frames import frame_columns

TABLE = {"user": ["a", "a", "b"], "item": [7, 8, 7], "ts": [3, 1, 2], "rating": [1.0, 2.0, 3.0]}


class OnlyArrow:
    """What has nothing but the PyCapsule interface, as tables of pyarrow, nanoarrow and ibis have."""

    def __init__(self, frame):
        self._frame = frame
        self.columns = ["of", "pyarrow", "these are arrays"]

    def __arrow_c_stream__(self, requested_schema=None):
        return self._frame.__arrow_c_stream__(requested_schema)


def relation():
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.register("events", pd.DataFrame(TABLE))
    return connection.sql("select * from events")


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: pl.DataFrame(TABLE),
        lambda: pl.LazyFrame(TABLE),
        lambda: pl.LazyFrame(TABLE).filter(pl.col("item") > 0),
        lambda: pd.DataFrame(TABLE),
        lambda: pd.DataFrame(TABLE).set_index("rating", drop=False),
        lambda: OnlyArrow(pl.DataFrame(TABLE)),
        lambda: pytest.importorskip("narwhals").from_native(pl.DataFrame(TABLE)),
        lambda: pytest.importorskip("narwhals").from_native(pl.LazyFrame(TABLE)),
        relation,
    ],
)
def test_every_table_is_the_same_log(make):
    log = Interactions.from_frame(make())
    assert log.user_ids.keys_of(log.users).tolist() == ["a", "a", "b"]
    assert log.item_ids.keys_of(log.items).tolist() == [8, 7, 7]
    assert log.timestamps.tolist() == [1, 3, 2]
    assert log.labels.tolist() == [2, 1, 3]
    features = Features.from_frame(make(), log.user_ids, columns=["item"])
    assert features.sizes == {"item": 1 + 1}


def test_other_things_are_refused_with_a_way_out():
    class Distributed:
        columns = None

    for wrong in (3, Distributed(), "path.csv"):
        with pytest.raises(TypeError, match=r"frame: expected a data frame or a dict .*got .*; convert it, such as by"):
            frame_columns(wrong)


def test_arrow_tables_need_polars_and_say_so(monkeypatch):
    table = OnlyArrow(pl.DataFrame(TABLE))
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"a OnlyArrow is read by polars.*pip install 'logq\[logs\]'"):
        frame_columns(table)


def test_rows_are_refused_with_another_way_out():
    for wrong in ([1, 2], [{"user": 1, "item": 2}], np.array([[1, 2], [3, 4]])):
        with pytest.raises(TypeError, match=r"got (list|ndarray); pandas\.DataFrame makes one of rows"):
            Interactions.from_frame(wrong)


def test_an_array_of_records_is_a_table():
    records = np.array([(1, 10, 5.0), (2, 11, 6.0)], dtype=[("user", "i8"), ("item", "i8"), ("ts", "f8")])
    log = Interactions.from_frame(records)
    assert (log.user_ids.keys.tolist(), log.timestamps.tolist()) == ([1, 2], [5.0, 6.0])


def test_the_index_of_pandas_counts_if_it_has_a_name():
    frame = pd.DataFrame({"user_id": [2, 1, 1], "item_id": [7, 8, 9], "ts": [3, 2, 1]})
    expected = Interactions.from_frame(frame)
    for columns in ("user_id", ["user_id", "item_id"], "ts"):
        log = Interactions.from_frame(frame.set_index(columns))
        assert log.item_ids.keys_of(log.items).tolist() == expected.item_ids.keys_of(expected.items).tolist()
        assert log.timestamps.tolist() == expected.timestamps.tolist()
    with pytest.raises(ValueError, match="user: expected the name of a column"):
        Interactions.from_frame(frame.drop(columns="user_id"))  # an index without a name is none


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame([[1, 2, 3], [3, 4, 5]], columns=["user", "item", "item"])
    with pytest.raises(ValueError, match="frame: expected columns with different names, got 'item' twice"):
        Interactions.from_frame(frame)


@pytest.mark.parametrize(
    "moments", [["2024-01-03", "2024-01-01", "2024-01-02"], [1_704_200_003, 1_704_200_001, 1_704_200_002]]
)
@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame, pl.LazyFrame, "parquet"])
def test_times_are_found_by_their_values_whatever_the_column_is_called(tmp_path, make, moments):
    columns = {"user_id": [1, 1, 1], "item_id": [7, 8, 9], "happened": moments, "price": [3, 2, 1]}
    if make == "parquet":
        pl.DataFrame(columns).write_parquet(tmp_path / "log.parquet")
        log = Interactions.from_parquet(tmp_path / "log.parquet")
    else:
        log = Interactions.from_frame(make(columns))
    assert log.item_ids.keys_of(log.items).tolist() == [8, 9, 7]
    assert any(note.startswith("time: took the column 'happened', the only one") for note in log.notes)
