"""Requests that cannot be answered as they were asked: what happens to each row, and what a model can answer by."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logq
from logq.logs import Features, Interactions
from logq.recommenders import Popularity, Recommendations, Recommender, TwoTower, YoutubeDNN
from logq.retrieval import ExactIndex
from recommender_cases import ALL, ITEMS, NEURAL, SKIP_GRAM, WITHOUT_VECTORS, fitted, make, planted_log, planted_split


@pytest.fixture(params=ALL)
def model(request: pytest.FixtureRequest) -> Recommender:
    return fitted(request.param)


def test_one_bad_user_leaves_the_answers_of_others(model: Recommender) -> None:
    good = model.recommend(["u0", "u5"], k=3)
    found = model.recommend(["u0", "nobody", None, 5, "u5"], k=3, unknown="ignore")
    assert found.items[[0, 4]].tolist() == good.items.tolist()
    assert found.scores[[0, 4]].tolist() == good.scores.tolist()
    assert found.status[[0, 4]].tolist() == ["", ""]
    assert all(text.startswith("unknown user") for text in found.status[1:4])
    if not isinstance(model, Popularity):
        assert found.status[1] == "unknown user; nothing recommended"
        assert set(found.items[1:4].ravel().tolist()) == {None}
        assert np.isneginf(found.scores[1:4]).all()


def test_a_new_item_in_a_history_is_left_out_and_said(model: Recommender) -> None:
    found = model.recommend(histories=[[100, 999, "x", 107], [107]], k=3, unknown="ignore")
    assert found.items[0].tolist() == model.recommend(histories=[[100, 107]], k=3).items[0].tolist()
    assert found.status.tolist() == ["2 unknown items left out", ""]
    one = model.recommend(histories=[100, 999], k=3, unknown="ignore")
    assert one.items.shape == (3,)
    assert one.status == "1 unknown item left out"


def test_rows_with_nothing_to_rank_by_get_what_is_popular() -> None:
    counts = planted_split().train.item_counts()
    model = fitted("SASRec")
    found = model.recommend(histories=[[100], [], [999], None], k=4, unknown="popular", exclude_seen=True)
    assert found.items[0].tolist() == model.recommend(histories=[[100]], k=4).items[0].tolist()
    popular = [counts[model.known.item_ids.codes([item])[0]] for item in found.items[1]]
    assert popular == sorted(counts, reverse=True)[:4]
    assert found.scores[1].tolist() == popular
    assert found.items[1].tolist() == found.items[2].tolist() == found.items[3].tolist()
    assert found.status.tolist() == [
        "",
        "nothing to rank by; popular items instead",
        "1 unknown item left out; popular items instead",
        "nothing to rank by; popular items instead",
    ]
    only = model.recommend(["nobody"], k=3, allow=[103, 117], unknown="popular")
    assert set(only.items[0].tolist()) == {103, 117, None}
    index = model.index()
    index.remove(np.arange(ITEMS - 2))
    left = model.recommend("nobody", k=3, index=index, unknown="popular")
    assert set(left.items.tolist()) == {*model.item_ids[-2:].tolist(), None}


def test_the_first_bad_row_is_an_error_by_default(model: Recommender) -> None:
    with pytest.raises(ValueError, match="unknown: expected one of 'raise', 'ignore', 'popular', got 'skip'"):
        model.recommend("u0", unknown="skip")  # pyright: ignore[reportArgumentType]
    if not isinstance(model, Popularity):
        with pytest.raises(ValueError, match=r"got none for row 1; .*unknown='popular'"):
            model.recommend(histories=[[100], []])


def test_an_answer_unpacks_into_items_and_scores_and_is_copied_whole(model: Recommender) -> None:
    found = model.recommend(["u0", "nobody"], k=3, unknown="ignore")
    items, scores = found
    assert items is found.items
    assert scores is found.scores
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, Recommendations)
    assert again.status.tolist() == found.status.tolist()
    assert Recommendations(items, scores).status.tolist() == ["", ""]


def test_unknown_items_among_several_that_are_asked_about(model: Recommender) -> None:
    found = model.similar_items([103, 7, 104], k=3, unknown="ignore")
    assert found.items[[0, 2]].tolist() == model.similar_items([103, 104], k=3).items.tolist()
    assert found.items[1].tolist() == [None] * 3
    assert found.status.tolist() == ["", "unknown item; nothing found", ""]


# ------------------------------------------------------------------------------------ what a model knows users by


@pytest.mark.parametrize("name", ["SASRec", "SDM", "ALS", *WITHOUT_VECTORS, *SKIP_GRAM])
def test_models_that_do_not_read_features_need_a_history_whatever_the_log_has(name: str) -> None:
    model = fitted(name)
    assert model.known.user_features is not None
    with pytest.raises(ValueError, match="histories: expected at least one item for each user, got none for row 0"):
        model.recommend(histories=[[]])
    if name == "SDM":  # reads them, but only to weigh what a history has
        with pytest.raises(ValueError, match="got none for row 0"):
            model.recommend(histories=[[]], user_features={"country": ["c1"]})
    else:
        with pytest.raises(ValueError, match=f"user_features: expected none, as {name} reads no features of users"):
            model.recommend(histories=[[100]], user_features={"country": ["c1"]})


@pytest.mark.parametrize("name", ["YoutubeDNN", "MIND", "TwoTower"])
def test_models_that_read_features_answer_by_those_that_are_known(name: str) -> None:
    model = fitted(name)
    one, other = (model.recommend(histories=[[]], user_features={"country": [code]}, k=9) for code in ("c0", "c1"))
    assert one.scores.tolist() != other.scores.tolist()
    for nothing in ({}, {"user_features": {"country": [None]}}, {"user_features": {"country": ["nowhere"]}}):
        with pytest.raises(ValueError, match="got none for row 0"):
            model.recommend(histories=[[]], **nothing)
    told = model.recommend(histories=[[100]], user_features={"country": ["nowhere"]}, k=2)
    assert told.status.tolist() == ["'nowhere' is unknown as 'country'"]
    with pytest.raises(ValueError, match="user_features: expected country, got 'county'"):
        model.recommend(histories=[[100]], user_features={"country": ["c1"], "county": ["c1"]})


@pytest.mark.parametrize("name", [*NEURAL, "EGES", "AirbnbEmbeddings"])
def test_queries_of_empty_histories_depend_on_what_the_model_says(name: str) -> None:
    """The rule is read from the encoder; here it is held to what the encoder does."""
    model: Any = fitted(name)
    answers = []
    for code in ("c0", "c1"):
        table = model.known.user_features.encode({"country": [code]})
        request = model.known.given([[]], None)
        features = {key: np.asarray(values, dtype=np.int64) for key, values in table.items()}
        request = type(request)(request.items, request.offsets, request.users, features)
        answers.append(model._queries(request))
    differs = not np.allclose(*(answer.numpy() for answer in answers))
    if model.model.answers_without_history:
        assert differs == bool(model.model.inputs)


def test_users_without_a_history_are_not_scored_by_models_that_need_one() -> None:
    log = Interactions.from_arrays(["a", "a", "b", "b", "c"], [1, 2, 2, 1, 1], [1, 2, 3, 4, 5])
    log = log.with_features(users=Features.from_frame({"user": ["a", "b", "c"], "sex": ["M", "F", "M"]}, log.user_ids))
    known = log.select(log.user_ids.keys[log.users] != "c")  # the features tell of c, the events do not
    later = Interactions.from_arrays(["a", "c"], [1, 2], [9, 9])
    for name, without in (("SASRec", 1), ("SDM", 1), ("YoutubeDNN", 0), ("MIND", 0)):
        model = make(name, epochs=1, dim=4).fit(known, progress=False)
        scores = model.evaluate(later, ks=(1,), exclude_seen=False, progress=False)
        assert (scores.users, scores.about.get("no_history", 0)) == (2 - without, without)


# --------------------------------------------------------------------------------------------------- side information


@pytest.mark.parametrize("name", ["TwoTower", "EGES"])
def test_a_value_that_no_item_has_is_said(name: str) -> None:
    model = fitted(name)
    with pytest.raises(ValueError, match=r"item_features: .*got 'zzz' for 'genre' at position 1; no item of the log"):
        model.similar_items(item_features={"genre": ["g1", "zzz"]})
    with pytest.raises(ValueError, match="item_features: expected genre, got 'gender'"):
        model.similar_items(item_features={"genre": "g1", "gender": "x"})
    found = model.similar_items(item_features={"genre": ["g1", "zzz", None]}, k=2, unknown="ignore")
    assert found.status.tolist() == ["", "'zzz' is unknown as 'genre'", ""]
    assert found.items[0].tolist() == model.similar_items(item_features={"genre": "g1"}, k=2).items.tolist()


# ------------------------------------------------------------------------------------------------------------ indexes


@pytest.mark.parametrize("name", [name for name in ALL if name not in (*WITHOUT_VECTORS, "Popularity")])
def test_similar_items_of_an_index_and_of_allowed_items(name: str) -> None:
    model = fitted(name)
    index = model.index(metric="cosine")
    own, found = model.similar_items([103, 104], k=5), model.similar_items([103, 104], k=5, index=index)
    assert found.items.tolist() == own.items.tolist()
    some = model.similar_items(103, k=5, allow=[103, 104, 117])
    assert set(some.items.tolist()) == {104, 117, None}
    assert [item for item in model.similar_items(103, k=ITEMS).items.tolist() if item in (104, 117)] == [
        item for item in some.items.tolist() if item is not None
    ]
    with pytest.raises(ValueError, match="index: expected one that this model made, of 16 numbers for each of 20"):
        model.similar_items(103, index=ExactIndex(np.ones((ITEMS, 3), dtype=np.float32), metric="cosine"))


def test_similar_items_make_their_index_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from logq.recommenders.ranking import item_ranker

    model = make("YoutubeDNN", epochs=1).fit(planted_log(), progress=False)
    made: list[object] = []

    class Counted(item_ranker.UntiedIndex):
        def __init__(self, *arguments: Any) -> None:
            made.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(item_ranker, "UntiedIndex", Counted)
    for item in (103, 104, 105):
        model.similar_items(item)
        model.recommend("u0")
    assert len(made) == 2
    model.fit(planted_split().train.select(np.arange(30)), progress=False)
    model.similar_items(103)
    assert len(made) == 3, "a fit forgets the index of the one before it"


@pytest.mark.parametrize("name", [*WITHOUT_VECTORS, "Popularity"])
def test_baselines_find_similar_items_among_those_that_are_allowed(name: str) -> None:
    model = fitted(name)
    whole, some = model.similar_items(103, k=ITEMS), model.similar_items(103, k=3, allow=[103, 104, 117])
    assert [item for item in some.items.tolist() if item is not None] == [
        item for item in whole.items.tolist() if item in (104, 117)
    ]
    with pytest.raises(ValueError, match="vectors"):
        model.similar_items(103, index=ExactIndex(np.eye(ITEMS, dtype=np.float32), metric="cosine"))


def test_items_that_were_added_to_an_index_are_recommended_by_their_ids() -> None:
    model = fitted("TwoTower")
    index, rows = model.index(), model.search_vectors
    best = model.query_vectors("u0")
    index.add([ITEMS, ITEMS + 5], np.concatenate([100 * best, -100 * best]))
    with pytest.raises(ValueError, match=r"index: expected codes of 20 items, got 20; added=\{20: its id\} names"):
        model.recommend("u0", index=index)
    added = {ITEMS: "new", ITEMS + 5: "other"}
    found = model.recommend("u0", k=3, index=index, added=added)
    assert found.items.tolist() == ["new", *model.recommend("u0", k=2).items.tolist()]
    assert len(model.recommend("u0", k=50, index=index, added=added, exclude_seen=False).items) == len(rows) + 2
    only = model.recommend("u0", k=3, index=index, added=added, allow=["other", 103, 117], exclude_seen=False)
    assert set(only.items.tolist()) == {"other", 103, 117}
    mask = model.recommend("u0", k=ITEMS, index=index, added=added, allow=np.ones(ITEMS, bool)).items.tolist()
    assert "new" not in mask
    with pytest.raises(ValueError, match="added: expected codes from 20 on, which come after those of the log, got 3"):
        model.recommend("u0", index=index, added={3: "x", **added})
    with pytest.raises(ValueError, match="added: expected an index= beside it"):
        model.recommend("u0", added=added)


# -------------------------------------------------------------------------------------------------------------- files


def test_a_model_can_be_saved_without_its_users(model: Recommender, tmp_path: Path) -> None:
    if model.needs_users:
        with pytest.raises(ValueError, match="users: expected True, as SessionKNN answers from what users did"):
            model.save(tmp_path, users=False)
        assert not list(tmp_path.iterdir())
        return
    model.save(tmp_path, users=False)
    again: Recommender = logq.load(tmp_path)
    assert len(again.user_ids) == 0
    assert b"u17" not in (tmp_path / "model.safetensors").read_bytes()
    assert (again.known.item_counts() == model.known.item_counts()).all()
    one, other = (which.recommend(histories=[[100, 107]], k=5) for which in (model, again))
    assert one.items.tolist() == other.items.tolist()
    assert one.scores.tolist() == other.scores.tolist()
    assert again.similar_items(103, k=3).items.tolist() == model.similar_items(103, k=3).items.tolist()
    scores = [which.evaluate(planted_split(), ks=(3,), progress=False)["NDCG@3"] for which in (model, again)]
    if not {"MIND", "TwoTower", "YoutubeDNN", "SDM"} & {type(model).__name__}:  # which read features of users
        assert scores[0] == scores[1]
    with pytest.raises(ValueError, match=r"users: .*'u0' at position 0; the model was saved without its users"):
        again.recommend("u0")
    assert len(model.user_ids) == 60, "the model itself keeps them"
    again.save(tmp_path / "b", users=False)
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_a_model_with_vectors_of_users_cannot_be_saved_without_them(tmp_path: Path) -> None:
    model = TwoTower(dim=4, epochs=1, user_vectors=True, seed=1).fit(planted_log(), progress=False)
    with pytest.raises(ValueError, match="users: expected True, as the model has a vector of each user"):
        model.save(tmp_path, users=False)
    assert not list(tmp_path.iterdir())


def test_the_last_context_of_users_is_not_saved_without_them(tmp_path: Path) -> None:
    log = Interactions.from_arrays(
        [1, 1, 2, 2], [5, 7, 7, 5], [1, 2, 3, 4], columns={"device": ["phone", "tv", "tv", "phone"]}
    )
    model = YoutubeDNN(dim=4, epochs=1, seed=1, context=["device"]).fit(log, progress=False)
    model.save(tmp_path, users=False)
    again = logq.load(tmp_path)
    asked = {"histories": [[5]], "k": 2, "context": {"device": ["tv"]}}
    assert again.recommend(**asked).scores.tolist() == model.recommend(**asked).scores.tolist()
    assert again._context.last["device"].tolist() == []


def test_what_a_training_logged_is_loaded_with_the_model(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = Recommender.load(tmp_path)
    assert getattr(again, "training_log", None) == getattr(model, "training_log", None)
    assert getattr(again, "mean_loss", None) == getattr(model, "mean_loss", None)
