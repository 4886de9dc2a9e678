"""EGES: walks over a planted graph, and items that nobody has seen, found by side information."""

import numpy as np
import pytest

from frequencies import SEED
from logq.logs import Features, Interactions
from logq.recommenders import EGES
from recommender_cases import fitted, planted_split


def shelves(features=True, sessions=150, seed=0):
    """Sessions go along one of three shelves of five items; each shelf has a brand, and sizes mean nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(sessions):
        shelf = int(rng.integers(3))
        rows.append([f"{shelf}{item}" for item in rng.integers(5, size=4)])
    log = Interactions.from_sessions(rows)
    if not features:
        return log
    keys = log.item_ids.keys.tolist()
    table = {"item": keys, "brand": [f"b{key[0]}" for key in keys], "tags": [[key[1], f"t{key[0]}"] for key in keys]}
    return log.with_features(items=Features.from_frame(table, log.item_ids))


@pytest.fixture(scope="module")
def model():
    return EGES(dim=16, epochs=6, lr=0.02, batch_size=64, seed=SEED + 1).fit(shelves(), progress=False)


def test_items_of_a_shelf_are_neighbors(model):
    for item in ("00", "12", "24"):
        assert {other[0] for other in model.similar_items(item, k=4).items} == {item[0]}


def test_users_get_items_of_their_shelf(model):
    assert {item[0] for item in model.recommend(histories=["11", "13"], k=3).items} == {"1"}


def test_a_cold_item_is_found_by_side_information_alone(model):
    for shelf in "012":
        found = model.similar_items(item_features={"brand": f"b{shelf}"}, k=5).items
        assert {item[0] for item in found} == {shelf}
    two = model.similar_items(item_features={"brand": ["b0", "b2"], "tags": [["t0"], ["t2", "1"]]}, k=3)
    assert [{item[0] for item in row} for row in two.items] == [{"0"}, {"2"}]


def test_side_information_that_is_not_there_is_named(model):
    with pytest.raises(ValueError, match="item_features: expected brand, tags, got 'color'"):
        model.similar_items(item_features={"color": "red"})
    plain = EGES(dim=8, epochs=1, seed=SEED + 1).fit(shelves(features=False), progress=False)
    with pytest.raises(ValueError, match="item_features: expected none, as the model was trained without"):
        plain.similar_items(item_features={"brand": "b0"})


def test_it_is_saved_and_loaded(model, tmp_path):
    model.save(tmp_path)
    again = EGES.load(tmp_path)
    np.testing.assert_array_equal(again.item_vectors, model.item_vectors)
    assert again.similar_items(item_features={"brand": "b1"}, k=5).items.tolist() == (
        model.similar_items(item_features={"brand": "b1"}, k=5).items.tolist()
    )


def test_other_objectives_learn_it_too():
    model = EGES(dim=16, epochs=6, lr=0.02, batch_size=64, objective="sampled_softmax", seed=SEED + 1)
    model.fit(shelves(), progress=False)
    assert {other[0] for other in model.similar_items("12", k=4).items} == {"1"}


def test_walks_of_the_planted_log_find_what_is_near():
    assert fitted("EGES").evaluate(planted_split(), ks=(3,), exclude_seen=False)["HR@3"] > 0.5


def test_a_log_in_which_nothing_follows_is_an_error():
    with pytest.raises(ValueError, match="log: expected sessions in which an item follows another"):
        EGES(seed=SEED + 1).fit(Interactions.from_arrays([1, 2, 3], [5, 7, 5]), progress=False)
    with pytest.raises(ValueError, match="walk_length"):
        EGES(walk_length=1)
