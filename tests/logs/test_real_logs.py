"""Logs that others publish figures on, read whole: each must have the users, items and events that they say it has."""

from pathlib import Path

import numpy as np
import pytest

from logq import YoutubeDNN
from logq.logs import (
    Features,
    Interactions,
    NextItems,
    Sequences,
    epoch_batches,
    leave_one_out,
    mapped_arrays,
    prepare,
    sessions,
)

LOGS = Path(__file__).parents[3] / "shared" / "data" / "logs"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not LOGS.exists(), reason="the logs are not here")]


def sizes(log):
    return len(log), log.num_users, log.num_items


def test_movielens_1m_in_time_order():
    path = LOGS / "ml-1m" / "ml-1m.txt"
    log = Interactions.from_csv(path)
    assert sizes(log) == (999_611, 6_040, 3_416)
    by_user = {}
    for line in path.read_text().splitlines():
        user, item = map(int, line.split())
        by_user.setdefault(user, []).append(item)
    assert log.item_ids.keys_of(log.items).tolist() == [item for items in by_user.values() for item in items]
    counts = log.item_counts()
    assert (np.diff(counts) <= 0).all()
    split = leave_one_out(log)
    assert sizes(split.test)[0] == sizes(split.validation)[0] == 6_040
    assert log.item_ids.keys_of(split.test.items).tolist() == [items[-1] for items in by_user.values()]
    examples = NextItems(split.train, 50)
    assert len(examples) == 999_611 - 3 * 6_040
    seen = np.zeros(log.num_items, dtype=np.int64)
    for batch in epoch_batches(examples, 4096, bucket=16):
        seen += np.bincount(batch["target"], minlength=log.num_items)
    assert seen.tolist() == np.bincount(examples.targets, minlength=log.num_items).tolist()
    windows = Sequences(split.train, 200)
    assert sum(int((windows.batch([place])["targets"] >= 0).sum()) for place in range(len(windows))) == len(examples)


def test_movielens_100k_with_features():
    log = Interactions.from_csv(LOGS / "ml-100k" / "ml-100k.inter", min_label=4)
    assert log.dropped == {"label below 4": 44_625}  # ratings of 1, 2 and 3, counted by awk
    log = Interactions.from_csv(LOGS / "ml-100k" / "ml-100k.inter")
    assert sizes(log) == (100_000, 943, 1_682)
    items = Features.from_csv(LOGS / "ml-100k" / "ml-100k.item", log.item_ids, columns=["class", "release_year"])
    assert items.sizes["class"] == 19 + 1  # GroupLens has 19 genres
    users = Features.from_csv(LOGS / "ml-100k" / "ml-100k.user", log.user_ids, key="user_id", buckets={"age": 5})
    assert users.sizes["gender"] == 3
    assert len(log.with_features(items=items, users=users).user_features) == 943


def test_genres_in_movielens_own_format():
    log = Interactions.from_csv(LOGS / "ml-1m" / "ml-1m.txt")
    movies = LOGS / "ml-1m" / "movies.dat"
    genres = Features.from_csv(movies, log.item_ids, names=["id", "title", "genres"], separator={"genres": "|"})
    assert genres.sizes["genres"] == 18 + 1


def test_beauty_and_its_attributes():
    assert sizes(Interactions.from_csv(LOGS / "beauty-bert4rec" / "beauty.txt")) == (353_962, 40_226, 54_542)
    log = Interactions.from_sessions(LOGS / "beauty-s3rec" / "Beauty.txt", leading_user=True)
    assert sizes(log) == (198_502, 22_363, 12_101)
    features = Features.from_json(LOGS / "beauty-s3rec" / "Beauty_item2attributes.json", log.item_ids)
    assert features.sizes == {"attributes": 637 + 1}


def test_shop_and_hotel_sessions():
    log = Interactions.from_sessions(LOGS / "diginetica" / "all_train_seq.txt")
    assert sizes(log)[1:] == (186_670, 43_097)
    path = LOGS / "trivago" / "trivago_val_100k.csv.gz"
    hotels = Interactions.from_csv(path, item="reference", columns=["city", "action_type", "step"])
    assert len(hotels) == 100_003
    assert len(sessions(hotels)) - 1 == 7_612
    assert hotels.column_sizes()["city"] == 3_178 + 1


TABLES = {
    "ml-1m": ("ml-1m/ml-1m.txt", {}),
    "ml-100k": ("ml-100k/ml-100k.inter", {}),
    "beauty-bert4rec": ("beauty-bert4rec/beauty.txt", {}),
    "trivago": (
        "trivago/trivago_val_100k.csv.gz",
        {"item": "reference", "session": "session_id", "columns": ["city", "action_type", "step"]},
    ),
}
SESSIONS = {"beauty-s3rec": ("beauty-s3rec/Beauty.txt", True), "diginetica": ("diginetica/all_train_seq.txt", False)}


def source_of(name, folder):
    """The file of a log, one of sessions as a table, and the log as it is read in memory."""
    if name in TABLES:
        path, options = TABLES[name]
        return LOGS / path, options, Interactions.from_csv(LOGS / path, **options)
    path, leading_user = SESSIONS[name]
    log = Interactions.from_sessions(LOGS / path, leading_user=leading_user)
    rows = (line.split() for line in (LOGS / path).read_text().splitlines())
    users = ((row[0], row[1:]) if leading_user else (number, row) for number, row in enumerate(rows))
    table = folder / "sessions.csv"
    table.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, row in users for item in row))
    return table, {}, log


@pytest.mark.parametrize("name", [*TABLES, *SESSIONS])
def test_a_prepared_log_is_the_log_in_memory(name, tmp_path, monkeypatch):
    pytest.importorskip("duckdb", reason="prepares logs")
    monkeypatch.setattr(mapped_arrays, "_FEW", 0)  # selections are mapped, too
    source, options, theirs = source_of(name, tmp_path)
    prepare(source, tmp_path / "parts", memory="500MB", threads=1, progress=False, **options)
    ours = Interactions.open(tmp_path / "parts")
    assert ours.fingerprint() == theirs.fingerprint() == ours.select(np.ones(len(ours), dtype=bool)).fingerprint()
    for column in ("users", "items", "timestamps", "labels", "offsets"):
        one, other = getattr(ours, column), getattr(theirs, column)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    for column, values in theirs.columns.items():
        if column != "session" or name in TABLES:  # what a session is, the table does not say
            np.testing.assert_array_equal(ours.columns[column], values)
    assert {column: ids.keys.tolist() for column, ids in ours.column_ids.items()} == {
        column: ids.keys.tolist() for column, ids in theirs.column_ids.items()
    }
    assert ours.user_ids.keys.tolist() == theirs.user_ids.keys.tolist()
    assert ours.item_ids.keys.tolist() == theirs.item_ids.keys.tolist()
    assert dict(ours.dropped) == dict(theirs.dropped)
    users = np.random.default_rng(1).integers(theirs.num_users, size=1000)
    for one, other in zip(ours.histories(users), theirs.histories(users), strict=True):
        np.testing.assert_array_equal(one, other)
    splits = [leave_one_out(log) for log in (ours, theirs)]
    assert splits[0].how == splits[1].how
    np.testing.assert_array_equal(splits[0].part, splits[1].part)
    trained = []
    for split in splits:
        some = leave_one_out(split.train.select(np.arange(len(split.train)) < 5000))
        sizes = {"dim": 8, "hidden": (8,), "num_sampled": 32, "max_length": 10}
        model = YoutubeDNN(**sizes, epochs=2, batch_size=64, seed=3, exclude_seen=False)
        trained.append(model.fit(some, progress=False))
    one, other = (model.state() for model in trained)
    assert one.keys() == other.keys()
    assert all(np.array_equal(array, other[key]) for key, array in one.items())
    losses = [[entry["loss"] for entry in model.training_log] for model in trained]
    assert losses[0] == losses[1]
