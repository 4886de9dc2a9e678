"""Logs that others publish figures on, read whole: each must have the users, items and events that they say it has."""

from pathlib import Path

import numpy as np
import pytest

from logq.logs import Features, Interactions, NextItems, Sequences, epoch_batches, leave_one_out, sessions

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
