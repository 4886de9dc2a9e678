"""Selections, histories, and a log that is saved and loaded."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq._model_file import digest_of
from logq.logs import Features, Interactions


@pytest.fixture
def log():
    made = Interactions.from_arrays(
        ["ann", "bob", "ann", "cem", "bob", "ann", None],
        [10, 20, 20, 20, 10, 30, 5],
        [5, 4, 3, 2, 1, 9, 8],
        [1, 2, 3, 4, 5, 4, 3],
        columns={"city/town": ["Rome", "Oslo", None, "Rome", "Rome", "Oslo", "Kyiv"], "price": [1.5, 2, 3, 4, 5, 6, 7]},
        sessions=[1, 1, 1, 2, 2, 3, 3],
    )
    kinds = {"id": [10, 20], "kind": ["a", "b"], "tags": [["x", "y"], ["y"]], "price": [1.0, 9.0]}
    items = Features.from_frame(kinds, made.item_ids, buckets={"price": 2})
    return made.with_features(items=items)


def test_every_column_travels_with_its_event(log):
    rows = {
        (user, item): (time, label, city, price)
        for user, item, time, label, city, price in zip(
            log.user_ids.keys_of(log.users).tolist(),
            log.item_ids.keys_of(log.items).tolist(),
            log.timestamps.tolist(),
            log.labels.tolist(),
            log.columns["city/town"].tolist(),
            log.columns["price"].tolist(),
            strict=True,
        )
    }
    cities = ["", *log.column_ids["city/town"].keys.tolist()]
    assert rows["ann", 20] == (3, 3, 0, 3)
    assert [cities[rows[key][2]] for key in (("ann", 10), ("bob", 20), ("cem", 20))] == ["Rome", "Oslo", "Rome"]
    assert rows["bob", 10][3] == 5


@given(st.lists(st.integers(0, 5)))
def test_select_keeps_order_and_codes(rows):
    log = Interactions.from_arrays([1, 1, 2, 2, 3, 3], [5, 6, 7, 8, 9, 5], labels=[0, 1, 2, 3, 4, 5])
    part = log.select(rows)
    assert part.labels.tolist() == sorted(rows)
    assert part.items.tolist() == [log.items[row] for row in sorted(rows)]
    assert (part.num_users, part.num_items) == (3, 5)
    mask = np.isin(np.arange(6), rows)
    assert log.select(mask).labels.tolist() == sorted(set(rows))


def test_select_checks_what_it_gets(log):
    with pytest.raises(ValueError, match="rows: expected a mask of 6 rows"):
        log.select(np.ones(5, dtype=bool))
    with pytest.raises(IndexError, match=r"rows: expected indices in \[0, 6\), got -1"):
        log.select([0, -1])
    with pytest.raises(TypeError, match="rows: expected a mask or indices"):
        log.select([0.5])
    assert len(log.select([])) == 0


@given(st.lists(st.integers(-1, 2)))
def test_histories_are_slices(users):
    log = Interactions.from_arrays([1, 1, 2, 2, 2, 3], [5, 6, 7, 8, 5, 5]).select([0, 1, 2, 3, 4])
    items, offsets = log.histories(np.array(users, dtype=np.int64))
    found = [items[start:end].tolist() for start, end in itertools.pairwise(offsets)]
    names = [[5, 6], [7, 8, 5], []]
    expected = [[] if user < 0 else names[user] for user in users]
    assert [log.item_ids.keys_of(row).tolist() for row in found] == expected


def test_histories_of_users_that_are_not_there_are_refused(log):
    with pytest.raises(IndexError, match=r"user_codes: expected numbers in \[-1, 3\), got 3"):
        log.histories([3])


@pytest.mark.parametrize("mmap", [True, False])
def test_a_saved_log_is_the_same(tmp_path, log, mmap):
    log.save(tmp_path / "log")
    again = Interactions.load(tmp_path / "log", mmap=mmap)
    assert isinstance(again.items, np.memmap) == mmap
    for name in ("users", "items", "timestamps", "labels"):
        assert np.array_equal(getattr(again, name), getattr(log, name))
        assert getattr(again, name).dtype == getattr(log, name).dtype
    assert {name: column.tolist() for name, column in again.columns.items()} == {
        name: column.tolist() for name, column in log.columns.items()
    }
    assert again.column_ids["city/town"].keys.tolist() == log.column_ids["city/town"].keys.tolist()
    assert again.user_ids.keys.tolist() == log.user_ids.keys.tolist()
    assert again.dropped == {"no user": 1}
    assert again.fingerprint() == log.fingerprint()
    assert again.user_features is None
    row = {"kind": ["b"], "tags": [["y", "z"]], "price": [9.5]}
    assert str(again.item_features.encode(row)) == str(log.item_features.encode(row))
    for name, codes in log.item_features.values.items():
        assert again.item_features.values[name].tolist() == codes.tolist()


def test_a_log_without_events_times_or_labels_is_saved_too(tmp_path, log):
    log.select([]).save(tmp_path / "empty")
    assert len(Interactions.load(tmp_path / "empty")) == 0
    Interactions.from_arrays([1, 1], [5, 6]).save(tmp_path / "plain")
    assert Interactions.load(tmp_path / "plain").timestamps is None


def test_histories_take_no_fractions(log):
    with pytest.raises(TypeError, match="user_codes: expected integers, got values of float64"):
        log.histories([0.5])


def edit(folder, change):
    path = folder / "interactions.json"
    text = json.loads(path.read_text())
    change(text)
    path.write_text(json.dumps(text))


def put(folder, name, array):
    """Another array whose digest is right, so that what is wrong with it is all that can be noticed."""
    np.save(folder / f"{name}.npy", array, allow_pickle=True)
    if array.dtype.kind != "O":
        edit(folder, lambda text: text["digests"].update({name: digest_of(array)}))


def zipped(folder, name):
    np.savez(folder / f"{name}.npz", a=np.zeros(6))
    (folder / f"{name}.npz").rename(folder / f"{name}.npy")


def exchange(folder, name, array):
    """Another array, which the JSON file describes too."""
    put(folder, name, array)
    edit(folder, lambda text: text["arrays"].update({name: [array.dtype.str, list(array.shape)]}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: edit(f, lambda t: t.update(version=99)), "expected logq.interactions of version 1, got .* 99"),
        (lambda f: edit(f, lambda t: t.update(format="x")), "expected logq.interactions"),
        (lambda f: edit(f, lambda t: t.pop("arrays")), "is damaged"),
        (lambda f: edit(f, lambda t: t["facts"].pop("columns")), "is damaged"),
        (lambda f: edit(f, lambda t: t["arrays"].update({"../x": ["<i4", [1]]})), "expected names of arrays"),
        (lambda f: (f / "interactions.json").write_text("[1"), "is damaged"),
        (lambda f: (f / "interactions.json").write_text("[1]"), "is damaged"),
        (lambda f: (f / "items.npy").write_bytes(b"\x93NUMPY"), r"items\.npy: is not an array, or damaged"),
        (lambda f: (f / "items.npy").write_bytes((f / "items.npy").read_bytes()[:-3]), r"items\.npy: is not an array"),
        (lambda f: np.save(f / "items.npy", np.zeros(6, np.int32)), "items.npy: .* its digest differs"),
        (lambda f: put(f, "items", np.array([None] * 6)), r"items\.npy: is not an array, or damaged"),
        (lambda f: put(f, "items", np.zeros(5, np.int32)), r"items\.npy: expected int32 \(6,\)"),
        (lambda f: put(f, "items", np.full(6, 3, np.int32)), r"items: expected codes in \[0, 3\)"),
        (lambda f: put(f, "users", np.array([0, 1, 0, 0, 0, 0], np.int32)), "expected events sorted by user"),
        (lambda f: put(f, "item_ids.keys", np.full(3, 1)), "expected different ids"),
        (lambda f: zipped(f, "items"), r"items\.npy: is not an array, but a NpzFile"),
        (lambda f: exchange(f, "users", np.zeros((6, 1), np.int32)), "users: expected 6 numbers, got int32 .6, 1."),
        (lambda f: exchange(f, "timestamps", np.full(6, "x")), "timestamps: expected 6 numbers, got <U1"),
        (lambda f: exchange(f, "column_1", np.full(6, 9, np.int32)), r"city/town: expected codes in \[0, 4\)"),
        (lambda f: put(f, "item_features.0_values", np.full(3, 3, np.int32)), r"'kind': expected codes in \[0, 3\)"),
        (lambda f: put(f, "item_features.0_values", np.full(3, -1, np.int32)), r"'kind': expected codes in \[0, 3\)"),
        (lambda f: put(f, "item_features.1_values", np.full((3, 2), -2, np.int32)), r"'tags': expected codes in \[-1"),
        (lambda f: exchange(f, "item_features.0_values", np.zeros(3)), "'kind': expected codes of 32 bits"),
        (lambda f: edit(f, lambda t: t.update(facts=[1])), "is damaged"),
        (lambda f: edit(f, lambda t: t["facts"]["item_features"]["codings"][1].update(separator=5)), "a separator of"),
    ],
)
def test_a_folder_that_was_changed_is_refused(tmp_path, log, damage, message):
    log.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        Interactions.load(tmp_path, mmap=True)


def test_a_folder_without_a_log_is_named(tmp_path, log):
    with pytest.raises(FileNotFoundError, match=r"expected interactions\.json in it"):
        Interactions.load(tmp_path)
    log.save(tmp_path)
    (tmp_path / "items.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"items\.npy"):
        Interactions.load(tmp_path)


def test_a_mapped_log_survives_that_it_is_saved_again(tmp_path, log):
    log.save(tmp_path)
    mapped = Interactions.load(tmp_path)
    mapped.select([0, 1]).save(tmp_path)
    assert mapped.fingerprint() == log.fingerprint()
    assert len(Interactions.load(tmp_path)) == 2


def test_a_fingerprint_tells_events_and_ids_apart(log):
    other = Interactions.from_arrays([1, 1, 2], [5, 6, 6])
    assert other.fingerprint() != Interactions.from_arrays([1, 1, 2], [5, 7, 7]).fingerprint()
    assert other.fingerprint() != Interactions.from_arrays([1, 1, 2], [5, 6, 6], [1, 2, 3]).fingerprint()


def test_features_of_another_size_are_refused(log):
    with pytest.raises(ValueError, match="users: expected features of 3 users"):
        log.with_features(
            users=Features.from_frame({"id": [1], "a": [1]}, Interactions.from_arrays([1, 1], [5, 6]).user_ids)
        )


def test_a_column_cannot_take_the_name_of_the_sessions():
    with pytest.raises(ValueError, match=r"columns: expected names other than .* got 'session'"):
        Interactions.from_arrays([1, 1], [5, 6], sessions=[1, 2], columns={"session": [1, 2]})
    with pytest.raises(TypeError, match="users: expected a column of users or sessions"):
        Interactions.from_arrays(None, [5, 6])
    assert Interactions.from_arrays(None, [5, 6, 5], sessions=["b", "b", "a"]).user_ids.keys.tolist() == ["b", "a"]
