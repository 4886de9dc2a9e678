import pytest

from logq import ArgumentError
from logq.logs import Features, Identifiers, Interactions, grow_log, later_features

IDS = Identifiers(["a", "b", "c", "d"])
TABLE = {
    "id": ["a", "b", "c", "d"],
    "price": [1.5, 2.5, 3.5, 4.5],
    "size": [10.0, 20.0, 30.0, 40.0],
    "tags": ["x|y", "y", "x", None],
    "hot": [True, False, True, False],
}


def features():
    return Features.from_frame(TABLE, IDS, separator={"tags": "|"}, buckets={"price": 4}, numeric=["size"])


def test_a_later_table_is_read_as_the_earlier_one_was():
    later = {
        "id": ["b", "e"],
        "price": [2.75, 99.0],
        "size": [20.0, 25.0],
        "tags": ["y", "z"],
        "hot": ["TRUE", "false"],
    }
    found = later_features(features(), later, Identifiers(["e", "b", "f"]))
    assert found.values["price"].tolist() == [4, 2, 0]  # by the edges of the earlier table
    assert found.codings["price"].edges.tolist() == features().codings["price"].edges.tolist()
    assert found.dense["size"].tolist() == [[0, 1], pytest.approx([-5 / 125**0.5, 1]), [0, 0]]
    known = found.codings["tags"].known.keys.tolist()
    assert known == [*features().codings["tags"].known.keys.tolist(), "z"]
    assert found.values["tags"].tolist() == [[3, -1], [1 + known.index("y"), -1], [0, -1]]
    assert set(found.codings["hot"].known.keys.tolist()) == {"true", "false"}


def test_the_log_grows_by_what_it_reads():
    log = Interactions.from_arrays(["u"] * 4, ["a", "b", "c", "d"], [1, 2, 3, 4])
    log = log.with_features(
        items=Features.from_frame(TABLE, log.item_ids, separator="|", buckets={"price": 4, "size": 2})
    )
    later = Interactions.from_arrays(["u", "u"], ["b", "e"], [5, 6])
    table = {"id": ["b", "e"], "price": [2.75, 99.0], "size": [35.0, 5.0], "tags": ["x", "z|x|y"], "hot": [True, False]}
    with pytest.raises(ArgumentError, match="later_features reads a later table as the earlier one was read"):
        grow_log(log, later.with_features(items=Features.from_frame(table, later.item_ids, separator="|", buckets=4)))
    read = later_features(log.item_features, table, later.item_ids)
    grown = grow_log(log, later.with_features(items=read)).log
    kept = grown.item_features
    assert grown.item_ids.keys.tolist() == ["a", "b", "c", "d", "e"]
    assert kept.values["price"].tolist() == [1, 2, 3, 4, 4]
    assert kept.values["size"].tolist() == [1, 2, 2, 2, 1]
    names = ["", *kept.codings["tags"].known.keys.tolist()]
    assert [[names[code] for code in row if code > 0] for row in kept.values["tags"].tolist()] == [
        ["x", "y"],
        ["x"],
        ["x"],
        [],
        ["z", "x", "y"],
    ]


def test_one_value_where_there_were_several_is_a_list_of_one():
    log = Interactions.from_arrays(["u"] * 2, ["a", "b"], [1, 2])
    log = log.with_features(items=Features.from_frame({"id": ["a"], "tags": [["x", "y"]]}, log.item_ids))
    later = Interactions.from_arrays(["u"] * 3, ["c", "b", "d"], [3, 4, 5])
    one = Features.from_frame({"id": ["d", "b"], "tags": ["z", "y"]}, later.item_ids)
    kept = grow_log(log, later.with_features(items=one)).log.item_features
    assert kept.values["tags"].tolist() == [[1, 2], [2, -1], [0, -1], [3, -1]]


def test_numbers_are_no_buckets_and_buckets_no_numbers():
    log = Interactions.from_arrays(["u"] * 2, ["a", "b"], [1, 2])
    table = {"id": ["a", "b"], "price": [1.5, 2.5]}
    cut = Features.from_frame(table, log.item_ids, buckets=2)
    numbers = Features.from_frame(table, log.item_ids, numeric=["price"])
    for one, other, said in ((cut, numbers, "buckets .* got numbers"), (numbers, cut, "numbers .* got buckets")):
        with pytest.raises(ArgumentError, match=f"log: expected {said}"):
            grow_log(log.with_features(items=one), log.with_features(items=other))


def test_what_cannot_be_read_as_before_is_refused():
    ids = Identifiers(["a"])
    with pytest.raises(ArgumentError, match=r"frame: expected some of the features price, .*, got \['color'\]"):
        later_features(features(), {"id": ["a"], "color": ["red"]}, ids)
    with pytest.raises(TypeError, match="tags: expected strings, as its values were before, got 7"):
        later_features(features(), {"id": ["a"], "tags": [7]}, ids)
    with pytest.raises(ArgumentError, match="key: expected some of 'a', got 'id'"):
        later_features(features(), {"a": ["a"]}, ids, key="id")
