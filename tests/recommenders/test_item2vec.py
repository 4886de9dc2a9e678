"""Item2Vec: the engine's words are the log's items, scores are the formula, what is together is near."""

import numpy as np
import pytest

from frequencies import SEED
from logq import Word2Vec
from logq.logs import Interactions, leave_one_out
from logq.recommenders import AirbnbEmbeddings, Item2Vec, Recommender
from logq.recommenders.events.log_statistics import LogStatistics
from recommender_cases import fitted, planted_split


def two_shelves(sessions=200, seed=0):
    """Sessions of items of one of two shelves, 0-5 and 6-11, in any order and more than once."""
    rng = np.random.default_rng(seed)
    return Interactions.from_sessions(
        [(rng.integers(6, size=4) + 6 * rng.integers(2)).tolist() for _ in range(sessions)]
    )


def test_it_is_word2vec_over_the_items_as_words():
    log = two_shelves()
    options = {"dim": 8, "window": 2, "epochs": 3, "seed": SEED + 1}
    model = Item2Vec(**options).fit(log, progress=False)
    words = [
        [str(log.item_ids.keys[item]) for item in log.items[begin:end]]
        for begin, end in zip(log.offsets[:-1], log.offsets[1:], strict=True)
    ]
    engine = Word2Vec(**options, sample=0, min_count=1).fit(words, progress=False)
    for item in range(12):
        np.testing.assert_array_equal(model.item_vectors[log.item_ids.codes([item])[0]], engine.vectors[str(item)])


def test_scores_are_the_formula():
    log = two_shelves()
    model = Item2Vec(dim=8, epochs=2, recency=0.5, popularity=0.3, max_length=3, seed=SEED + 1).fit(log, progress=False)
    history = [0, 5, 3, 5]
    codes = log.item_ids.codes(history)[1:]
    counts = log.item_counts()
    found = model.recommend(histories=[history], k=12, exclude_seen=False)
    for item, score in zip(found.items[0], found.scores[0], strict=True):
        code = log.item_ids.codes([item])[0]
        products = [float(model.inputs[j].astype(float) @ model.outputs[code]) for j in codes]
        expected = np.average(products, weights=[0.25, 0.5, 1]) + 0.3 * np.log(counts[code])
        assert score == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("changes", [{}, {"ordered": False, "window": 9}, {"unigram_power": -0.25, "popularity": 0.0}])
def test_what_is_together_is_near(changes):
    model = Item2Vec(dim=8, epochs=10, lr=0.1, seed=SEED + 1, **changes).fit(two_shelves(), progress=False)
    for item in range(12):
        assert {other // 6 for other in model.similar_items(item, k=4).items} == {item // 6}
    assert {item // 6 for item in model.recommend(histories=[7, 9], k=4).items} == {1}


def test_plain_pytorch_takes_other_objectives():
    model = Item2Vec(dim=8, epochs=3, lr=0.2, objective="sampled_softmax", sampler="uniform", seed=SEED + 1)
    model.fit(two_shelves(30), progress=False)
    assert {item // 6 for item in model.similar_items(2, k=4).items} == {0}


def test_items_without_an_event_have_no_vector():
    log = two_shelves()
    part = log.select(np.flatnonzero(log.items != 3))
    model = Item2Vec(dim=8, epochs=2, seed=SEED + 1).fit(part, progress=False)
    assert not model.item_vectors[3].any()
    assert model.item_vectors.any(axis=1).sum() == 11


def test_neighbors_of_the_planted_log_come_first():
    scores = fitted("Item2Vec").evaluate(planted_split(), ks=(3,), exclude_seen=False)
    assert scores["HR@3"] > 0.5  # chance is 0.15; what came before is as near as what comes next


def test_it_is_saved_and_loaded(tmp_path):
    model = fitted("Item2Vec")
    model.save(tmp_path)
    again = Recommender.load(tmp_path)
    assert isinstance(again, Item2Vec)
    assert again.settings() == model.settings()
    assert again.recommend("u1", k=5).items.tolist() == model.recommend("u1", k=5).items.tolist()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"window": 0}, "window"),
        ({"recency": 0}, "recency"),
        ({"recency": 1.5}, "recency"),
        ({"popularity": float("nan")}, "popularity"),
        ({"unigram_power": float("inf")}, "unigram_power"),
        ({"max_length": 0}, "max_length"),
        ({"objective": "softmax"}, "objective"),
        ({"gap": -1}, "gap"),
    ],
)
def test_bad_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=f"^{match}"):
        Item2Vec(**arguments)


def test_a_log_without_sessions_is_an_error():
    with pytest.raises(ValueError, match="log: expected a session of two events"):
        Item2Vec(seed=SEED + 1).fit(Interactions.from_arrays([1, 2, 3], [5, 7, 5]), progress=False)


def test_items_that_only_the_test_has_rank_last():
    rows = [(np.random.default_rng(user).permutation(6) + 6 * (user % 2)).tolist() for user in range(100)]
    rows[0].append(99)
    split = leave_one_out(Interactions.from_sessions(rows), validation=False, min_train=6)
    assert 99 not in split.train.item_ids.keys_of(split.train.items)
    model = Item2Vec(dim=8, epochs=10, seed=SEED + 1).fit(split, progress=False)
    assert set(model.recommend(k=13, exclude_seen=False).items[:, -1].tolist()) == {99}


def test_words_are_trained_where_the_model_is() -> None:
    assert str(Item2Vec(dim=8, device="meta").word2vec().device) == "meta"


@pytest.mark.parametrize("kind", [Item2Vec, AirbnbEmbeddings])
def test_items_with_few_events_are_learned(kind):
    """400 items in pairs that go together, two events of each: with a few epochs no vector would leave its start."""
    log = Interactions.from_sessions([[f"a{pair}", f"b{pair}"] for pair in range(200) for _ in range(2)])
    model = kind(dim=32, seed=SEED).fit(log, progress=False)
    assert model.chosen["epochs"] == (250, "an item has 2 events")
    found = model.recommend(histories=[[f"a{pair}"] for pair in range(200)], k=1).items[:, 0].tolist()
    assert found == [f"b{pair}" for pair in range(200)]


@pytest.mark.parametrize(
    ("events", "items", "least", "expected"),
    [
        (10_000, 100, 20, 20),
        (10_000, 100, 3, 5),
        (1_000, 1_000, 5, 500),
        (10**9, 10**8, 5, 5),
        (3 * 10**7, 10**7, 5, 10),
    ],
)
def test_epochs_follow_from_the_events_of_an_item(events, items, least, expected):
    log = LogStatistics(events, num_users=1, num_items=items, lengths=np.array([events]))
    assert log.skip_gram_epochs(least).value == expected
