"""Logs with awkward values, and what it means that two prepared logs are the same."""

import datetime
from typing import Any

import numpy as np
import polars

from logq.logs import Interactions


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
