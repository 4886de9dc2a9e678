"""Side information in codes against loops over rows."""

import dataclasses
import json
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq import ArgumentError
from logq.logs import Features, Identifiers, Interactions
from logq.logs.feature_values import needs_buckets
from logq.logs.storage import features_from_state, features_state
from logq.logs.vector_values import lists_in_text

IDS = Identifiers([10, 20, 30, 40])


@given(
    st.lists(st.tuples(st.sampled_from([10, 20, 30, 40, 99]), st.lists(st.sampled_from("abc"), max_size=4))).filter(
        lambda rows: not rows or {key for key, _ in rows} != {99}
    ),
    st.integers(1, 2),
    st.none() | st.integers(1, 3),
    st.booleans(),
)
def test_several_values_are_those_of_a_loop(rows, min_count, max_values, joined):
    first = {}
    for key, tags in rows:
        first.setdefault(key, tags)
    first.pop(99, None)
    in_order = [first[key] for key in (10, 20, 30, 40) if key in first]
    flat = [tag for tags in in_order for tag in tags]
    table = {
        "item": np.array([key for key, _ in rows], dtype=np.int64),
        "tags": ["|".join(tags) if tags else None for _, tags in rows] if joined else [tags for _, tags in rows],
    }
    if joined and not flat and not any(tags for _, tags in rows):
        return  # a column without a string says nothing about separators
    if not rows:
        return
    features = Features.from_frame(table, IDS, separator="|", min_count=min_count, max_values=max_values)
    coding = features.codings["tags"]
    known = coding.known.keys.tolist() if len(coding) else []
    assert sorted(known) == sorted(tag for tag in set(flat) if flat.count(tag) >= min_count)
    counts = [flat.count(tag) for tag in known]
    assert counts == sorted(counts, reverse=True)
    for place, key in enumerate((10, 20, 30, 40)):
        codes = [known.index(tag) + 1 for tag in first.get(key, []) if tag in known][: features.widths["tags"]]
        codes = codes or [0]
        row = features.values["tags"][place].tolist()
        assert row == codes + [-1] * (len(row) - len(codes))


@given(st.lists(st.none() | st.floats(-5, 5), min_size=4, max_size=4), st.integers(2, 4))
def test_buckets_are_cut_at_quantiles(numbers, count):
    known = [number for number in numbers if number is not None]
    table = {"item": [10, 20, 30, 40], "price": numbers}
    if not known:
        with pytest.raises(ValueError, match="buckets: expected numbers in the column 'price', got none"):
            Features.from_frame(table, IDS, buckets={"price": count})
        return
    features = Features.from_frame(table, IDS, buckets={"price": count})
    edges = features.codings["price"].edges
    assert set(edges) == {e for e in np.quantile(known, np.arange(1, count) / count) if e > min(known)}
    expected = [0 if number is None else 1 + sum(number >= edge for edge in edges) for number in numbers]
    assert features.values["price"].tolist() == expected
    assert features.sizes["price"] == len(edges) + 2
    assert features.encode({"price": [-99.0, 99.0, None]})["price"].tolist() == [1, len(edges) + 1, 0]


def test_many_numbers_fill_buckets_equally():
    ids = Identifiers(np.arange(1000))
    features = Features.from_frame(
        {"id": np.arange(1000), "x": np.random.default_rng(0).normal(size=1000)}, ids, buckets={"x": 10}
    )
    assert np.bincount(features.values["x"]).tolist() == [0] + [100] * 10


def test_encode_gives_new_rows_the_codes_of_old_ones():
    table = {"item": [10, 20, 30], "kind": ["a", "b", None], "tags": ["x|y", "y", ""], "year": [1995, 1996, 1995]}
    features = Features.from_frame(table, IDS, separator={"tags": "|"})
    again = features.encode({name: table[name] for name in features.names})
    for name, codes in features.rows([0, 1, 2]).items():
        assert again[name].tolist() == codes.tolist()
    assert again["tags"].dtype == np.int32
    new = features.encode({"kind": ["z", "b"], "tags": ["y|z|x|x", ["x"]][:1] * 2})
    assert new["kind"].tolist() == [0, 2]
    assert new["tags"].tolist() == [[1, 2], [1, 2]]  # z is unknown, and a third value does not fit
    assert new["year"].tolist() == [0, 0]  # was not given


def test_rows_of_unknown_codes_are_unknown():
    features = Features.from_frame({"item": [10], "kind": ["a"], "tags": [["x", "y"]]}, IDS)
    rows = features.rows([-1, 0])
    assert rows["kind"].tolist() == [0, 1]
    assert rows["tags"].tolist() == [[0, -1], [1, 2]]
    with pytest.raises(IndexError, match=r"codes: expected numbers in \[-1, 4\), got 4"):
        features.rows([4])


def test_frames_of_all_kinds_give_the_same_table():
    table = {"item": [20, 10, 20, 99], "kind": ["a", "b", "c", "d"], "tags": [["x"], [], ["y"], ["z"]]}
    for frame in (table, pd.DataFrame(table), pl.DataFrame(table)):
        features = Features.from_frame(frame, IDS, key="item")
        assert features.values["kind"].tolist() == [2, 1, 0, 0]
        assert features.values["tags"].tolist() == [[0], [1], [0], [0]]
        assert features.dropped == {"unknown id": 1, "repeated id": 1}
        assert len(features) == 4


def test_files_with_typed_headers_and_without_any(tmp_path):
    path = tmp_path / "kinds.item"
    path.write_text("item_id:token\tclass:token_seq\tyear:token\n10\tblue green\t1995\n20\t\t\n")
    features = Features.from_csv(path, IDS)
    assert features.values["class"].tolist() == [[1, 2], [0, -1], [0, -1], [0, -1]]
    assert features.values["year"].tolist() == [1, 0, 0, 0]
    plain = tmp_path / "movies.dat"
    plain.write_bytes("10::caf\xe9 (1995)::Drama|War\n20::Tea::War\n".encode("latin-1"))
    features = Features.from_csv(
        plain, IDS, names=["id", "title", "genres"], separator={"genres": "|"}, columns=["genres"]
    )
    assert features.values["genres"].tolist() == [[2, 1], [1, -1], [0, -1], [0, -1]]
    with pytest.raises(ValueError, match="names: expected 3 names"):
        Features.from_csv(plain, IDS, names=["id"])


def test_json_of_attributes(tmp_path):
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps({"20": [7, 8], "10": 8, "99": [1]}))
    features = Features.from_json(path, IDS, name="brand")
    assert features.values["brand"].tolist() == [[1, -1], [2, 1], [0, -1], [0, -1]]
    assert features.dropped == {"unknown id": 1}
    for text, message in (("[1]", "got a list"), ("{", "expected JSON"), ('{"x": 1}', "integers as ids")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            Features.from_json(path, IDS)


def test_what_cannot_be_coded_is_named():
    with pytest.raises(TypeError, match=r"price: expected integers or strings, got 1\.5"):
        Features.from_frame({"item": [10], "price": [1.5]}, IDS)
    with pytest.raises(ValueError, match="columns: expected some of 'item', 'price', got 'kind'"):
        Features.from_frame({"item": [10], "price": [1.5]}, IDS, columns=["kind"])
    features = Features.from_frame({"item": [10], "kind": ["a"]}, IDS)
    with pytest.raises(ValueError, match=r"columns: expected some of kind, got \['sort'\]"):
        features.encode({"sort": ["a"]})
    with pytest.raises(TypeError, match="kind: expected strings"):
        features.encode({"kind": [3]})
    both = Features.from_frame({"item": [10], "kind": ["a"], "sort": ["b"]}, IDS)
    with pytest.raises(ValueError, match="the same number of rows"):
        both.encode({"kind": ["a"], "sort": ["a", "b"]})


def test_values_of_a_set_are_coded_alike_in_every_process():
    # Strings in a set stand in an order that differs from process to process; lists keep theirs.
    words = [f"tag{number}" for number in range(30)]
    ids = Identifiers([1, 2])
    table = {"item": [1, 2], "tags": [set(words), frozenset(words)]}
    features = Features.from_frame(table, ids)
    assert features.codings["tags"].known.keys.tolist() == sorted(words)
    assert features.values["tags"].tolist() == [list(range(1, 31))] * 2


MAKERS = [dict, pd.DataFrame, pl.DataFrame]


def table_of(make, *values):
    return make({"item": [10, 20, 30], "x": list(values)})


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("values", "what"),
    [
        ((0.5, 1.5, None), "fractions"),
        ((float("nan"), 2.0, 0.25), "fractions"),
        ((date(2024, 1, 31), date(2024, 2, 1), None), "dates"),
        ((datetime(2024, 1, 31, 12), datetime(2024, 2, 1), datetime(2024, 2, 1)), "dates"),
    ],
)
def test_what_cannot_be_a_category_is_cut_if_buckets_say_so(make, values, what):
    frame = table_of(make, *values)
    with pytest.raises(TypeError, match=rf"x: expected .*got .*; {what} are cut into buckets: buckets=.'x': 10."):
        Features.from_frame(frame, IDS)
    for buckets in ({"x": 2}, 2):
        features = Features.from_frame(frame, IDS, buckets=buckets)
        codes = features.encode({"x": list(values)})["x"].tolist()
        assert features.values["x"].tolist() == [*codes, 0]
        assert {1, 2} <= set(codes)


def test_dates_as_text_are_categories_unless_buckets_cut_them():
    values = ["2024-01-31", "2024-02-01", ""]
    assert Features.from_frame(table_of(dict, *values), IDS).sizes == {"x": 3}
    cut = Features.from_frame(table_of(dict, *values), IDS, buckets=2)
    assert cut.values["x"].tolist() == [1, 2, 0, 0]
    assert cut.encode({"x": ["1999-12-31", "2026-12-31"]})["x"].tolist() == [1, 2]


@pytest.mark.parametrize("make", MAKERS)
def test_true_and_false_are_categories(make):
    features = Features.from_frame(table_of(make, True, None, False), IDS)
    assert features.values["x"].tolist() == [1, 0, 2, 0]
    assert features.encode({"x": [False, True, None]})["x"].tolist() == [2, 1, 0]
    assert features.encode({"x": ["false", "maybe"]})["x"].tolist() == [2, 0]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("values", "separator"),
    [
        (([0.5, 1.0], [2.0, 3.0], None), None),
        (([0.5, 1], [2, 3], None), None),
        (("[0.5, 1.0]", "[2, 3]", ""), None),
        (("[0.5 1. ]", "[2. 3.]", None), None),
        (("0.5 1.0", "2 3", None), " "),
        (("0.5|1", "2|3e0", ""), "|"),
    ],
)
def test_lists_of_floats_are_vectors(make, values, separator):
    features = Features.from_frame(table_of(make, *values), IDS, separator=separator)
    assert features.dense["x"].dtype == np.float32
    assert features.dense["x"].tolist() == [[0.5, 1], [2, 3], [0, 0], [0, 0]]
    assert (features.names, len(features)) == ([], 4)
    assert repr(features) == "Features(4 rows, x: vectors of 2)"


def test_arrays_of_two_dimensions_are_vectors_and_lists_of_integers_are_categories():
    vectors = np.arange(6, dtype=np.float64).reshape(3, 2) / 2
    features = Features.from_frame({"item": [30, 10, 99], "x": vectors, "tags": [[1, 2], [2], []]}, IDS)
    assert features.dense["x"].tolist() == [[1, 1.5], [0, 0], [0, 0.5], [0, 0]]
    assert features.widths == {"tags": 2}
    assert Features.from_frame(table_of(dict, "[1, 2]", "[2]", ""), IDS).widths == {"x": 2}
    assert Features.from_frame(table_of(dict, "[draft", "a]", "b"), IDS).sizes == {"x": 4}
    array = pl.DataFrame({"item": [10], "x": [[0.5, 1.5]]}, schema_overrides={"x": pl.Array(pl.Float32, 2)})
    assert Features.from_frame(array, IDS).dense["x"].tolist()[0] == [0.5, 1.5]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (([0.5, 1.0], [1.0], None), "x: expected 2 numbers in each vector, as in the first, got 1 in row 2"),
        (([0.5, 1.0], [1.0, float("inf")], None), "x: expected finite numbers in vectors, got .* in row 2"),
        (([0.5, 1.0], ["a", "b"], None), "x: expected vectors of numbers, got .* in row 2"),
    ],
)
def test_vectors_that_do_not_fit_together_name_the_row(values, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Features.from_frame(table_of(dict, *values), IDS)


def test_vectors_are_saved_with_the_log(tmp_path):
    log = Interactions.from_arrays([1, 1], [5, 6])
    features = Features.from_frame({"item": [6, 5], "x": [[0.5, 1.0], [2.0, 3.0]], "y": ["a", "b"]}, log.item_ids)
    log.with_features(items=features).save(tmp_path)
    again = Interactions.load(tmp_path).item_features
    assert again.dense["x"].tolist() == features.dense["x"].tolist() == [[2, 3], [0.5, 1]]
    assert again.sizes == {"y": 3}
    arrays, metadata = features_state(features)
    arrays["0_dense"] = np.full((2, 2), np.nan, np.float32)
    with pytest.raises(ValueError, match="'x': expected finite vectors of float32"):
        features_from_state(arrays, metadata)
    arrays["0_dense"] = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="features: expected the same number of rows in all"):
        features_from_state(arrays, metadata)


@pytest.mark.parametrize("given", [[[0.5, 1.5], None], ["[0.5, 1.5]", ""], [np.array([0.5, 1.5]), float("nan")]])
def test_vectors_of_new_rows_are_encoded(given):
    features = Features.from_frame(
        {"item": [5, 7], "image": [[1.0, 2.0], [3.0, 4.5]], "kind": ["a", "b"]}, Identifiers([5, 7])
    )
    found = features.encode({"image": given, "kind": ["b", "c"]})
    assert found["image"].tolist() == [[0.5, 1.5], [0.0, 0.0]]
    assert found["image"].dtype == np.float32
    assert found["kind"].tolist() == [2, 0]
    assert features.encode({"kind": ["a"]})["image"].tolist() == [[0.0, 0.0]]
    assert features.encode({"image": [[1, 2]]})["kind"].tolist() == [0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1.0, 2.0], [1.0]], "image: expected 2 numbers in each vector, as before, got 1 in row 2"),
        ([[1.0, float("nan")]], "image: expected finite numbers in vectors, got .* in row 1"),
        (["red"], "image: expected vectors of 2 numbers, got 'red' in row 1"),
        ([0.5], "image: expected vectors of 2 numbers, got 0.5 in row 1"),
        ([["a", "b"]], "image: expected vectors of numbers, got .* in row 1"),
    ],
)
def test_new_vectors_are_like_those_before(given, message):
    features = Features.from_frame({"item": [5], "image": [[1.0, 2.0]]}, Identifiers([5]))
    with pytest.raises((TypeError, ValueError), match=message):
        features.encode({"image": given})


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame])
def test_durations_are_cut_as_seconds(make):
    hours = [timedelta(hours=1), timedelta(hours=2), None]
    table, ids = make({"item": [5, 6, 7], "length": hours}), Identifiers([5, 6, 7])
    with pytest.raises(TypeError, match=r"length: expected integers or strings, .* durations are cut into buckets"):
        Features.from_frame(table, ids)
    features = Features.from_frame(table, ids, buckets=2)
    assert features.values["length"].tolist() == [1, 2, 0]
    assert features.codings["length"].edges.tolist() == [5400.0]  # the median of 3,600 s and 7,200 s


@pytest.mark.parametrize("written", [["True", "False", "True"], ["TRUE", "false", "true"], [True, False, True]])
def test_switches_are_the_same_however_they_are_written(written):
    features = Features.from_frame({"item": [5, 6, 7], "new": written}, Identifiers([5, 6, 7]))
    assert features.values["new"].tolist() == [1, 2, 1]
    for asked in ([True, False], ["True", "False"], ["true", "FALSE"], np.array([True, False])):
        assert features.encode({"new": asked})["new"].tolist() == [1, 2]
    with pytest.raises(TypeError, match="new: expected strings, as its values were before, got 1"):
        features.encode({"new": [1, 0]})


def test_a_word_that_is_called_true_among_others_stays_as_it_is():
    features = Features.from_frame({"item": [5, 6, 7], "said": ["True", "Maybe", "True"]}, Identifiers([5, 6, 7]))
    assert features.encode({"said": ["True", "true", "Maybe"]})["said"].tolist() == [1, 0, 2]


def test_lists_need_no_buckets_and_bad_lists_are_no_vectors():
    assert needs_buckets([[0.5], [1.5]]) == ""
    assert lists_in_text(["[1, 2]", "[x y]"]) is None
    assert lists_in_text(["[1, 2]", "[0.5"]) is None


def test_features_that_are_not_given_are_unknown():
    table = {"item": [10, 20], "kind": ["tea", "salt"], "tags": ["hot|green", "white"]}
    features = Features.from_frame(table, IDS, separator={"tags": "|"})
    found = features.encode({"kind": ["salt", "gold"]})
    assert found["kind"].tolist() == features.encode({"kind": ["salt", "gold"], "tags": ["", ""]})["kind"].tolist()
    assert found["tags"].tolist() == [[0, -1], [0, -1]]


def test_a_log_with_features_of_other_items_is_not_loaded(tmp_path):
    log = Interactions.from_arrays([1, 1, 2], [10, 20, 10])
    few = Features.from_frame({"item": [10], "kind": ["tea"]}, Identifiers([10]))
    dataclasses.replace(log, item_features=few).save(tmp_path)
    with pytest.raises(ValueError, match="item_features: expected 2 rows, got 1"):
        Interactions.load(tmp_path)


def test_numbers_stay_numbers_in_units_of_their_spread():
    table = {"item": [10, 20, 30, 40, 99], "price": [1.0, 3.0, None, 5.0, 1e9], "since": ["2024-01-01"] * 5}
    features = Features.from_frame(table, Identifiers([10, 20, 30, 40]), numeric=["price", "since"])
    spread = np.std([1, 3, 5])
    expected = [[-2 / spread, 1], [0, 1], [0, 0], [2 / spread, 1]]
    np.testing.assert_allclose(features.dense["price"], expected, rtol=1e-6)
    assert features.dense["since"].tolist() == [[0, 1]] * 4, "what has no spread is 0"
    assert features.names == []
    new = features.encode({"price": [3 + spread, 1e12, None], "since": ["2024-01-01", None, "2024-01-01"]})
    np.testing.assert_allclose(new["price"], [[1, 1], [10, 1], [0, 0]], rtol=1e-6)
    arrays, metadata = features_state(features)
    again = features_from_state(arrays, metadata)
    assert again.scales == features.scales
    assert again.encode({"price": [4.0]})["price"].tolist() == features.encode({"price": [4.0]})["price"].tolist()
    metadata["scales"]["price"] = [3.0, 0.0]
    with pytest.raises(ValueError, match="feature 'price': expected numbers with a mean and a spread > 0"):
        features_from_state(arrays, metadata)
    with pytest.raises(ValueError, match="numeric: expected numbers in the column 'price', got none"):
        Features.from_frame({"item": [10], "price": [None]}, Identifiers([10]), numeric=["price"])
    with pytest.raises(ValueError, match="prize"):
        Features.from_frame(table, Identifiers([10]), numeric=["prize"])


def test_vectors_made_elsewhere_are_found_by_id():
    ids = Identifiers(["a", "b", "c"])
    features = Features.from_vectors(["c", "x", "a", "a"], np.arange(8.0).reshape(4, 2), ids, name="look")
    assert features.dense["look"].tolist() == [[4, 5], [0, 0], [0, 1]]
    assert features.dense["look"].dtype == np.float32
    assert features.dropped == {"unknown id": 1, "repeated id": 1}
    kinds = Features.from_frame({"item": ["a"], "kind": ["tea"]}, ids)
    both = kinds.joined(features)
    assert (both.names, list(both.dense), len(both)) == (["kind"], ["look"], 3)
    with pytest.raises(ValueError, match="other: expected other names of features, got 'look'"):
        both.joined(features)
    with pytest.raises(ValueError, match="other: expected features of 3 rows, got 1"):
        kinds.joined(Features.from_vectors([1], [[0.5]], Identifiers([1])))
    more = both.extended(both.encode({"kind": ["tea", "gold"], "look": [[8, 9], None]}))
    assert (more.values["kind"].tolist(), more.dense["look"][3:].tolist()) == ([1, 0, 0, 1, 0], [[8, 9], [0, 0]])
    assert len(more.first(2)) == 2
    for wrong, problem in (
        (np.zeros((3, 2)), r"vectors: expected numbers of shape \(m, width\) with m = 1, got float64 \(3, 2\)"),
        ([[1.0, np.inf]], "look: expected finite numbers in vectors, got inf in row 1"),
        ([["x", "y"]], "vectors: expected numbers"),
    ):
        with pytest.raises(ValueError, match=problem):
            Features.from_vectors(["a"], wrong, ids, name="look")


def test_columns_of_different_lengths_and_ids_of_another_log_are_refused():
    with pytest.raises(
        ArgumentError, match=r"^frame: expected the same number of rows in all columns, got \{'item': 2, "
    ):
        Features.from_frame({"item": [10, 20], "kind": ["tea"]}, IDS)
    with pytest.raises(ArgumentError, match=r"^frame: expected some ids of the log, got none in 2 rows, .* of 98"):
        Features.from_frame({"item": [98, 99], "kind": ["tea", "cup"]}, IDS)
    with pytest.raises(ArgumentError, match=r"^keys: expected some ids of the log, got none in 1 rows, .* of 99"):
        Features.from_vectors([99], [[1.0]], IDS)
    some = Features.from_frame({"item": [99, 20, 20], "kind": ["tea", "cup", "nut"]}, IDS)
    assert repr(some) == "Features(4 rows, kind: 2, dropped 1 (unknown id), dropped 1 (repeated id))"
