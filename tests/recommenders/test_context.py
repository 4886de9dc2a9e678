"""Models that are told of the moment: what comes next follows from a column of the event."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq.logs import Interactions, Split, leave_one_out
from logq.recommenders import Recommender
from logq.recommenders.neural.query_context import Context
from recommender_cases import make

WORDS = ("sofa", "lamp", "tent", "boot")
MODELS: dict[str, dict[str, Any]] = {
    "YoutubeDNN": {},
    "TwoTower": {"id_dropout": 0.0},
}


@cache
def searched_log() -> Interactions:
    """Each event is one of five items that its search word names, whatever came before."""
    rng = np.random.default_rng(3)
    words = rng.integers(len(WORDS), size=600)
    items = 100 * words + rng.integers(5, size=600)
    query = [WORDS[word] for word in words]
    return Interactions.from_arrays(
        np.arange(600) // 10, items, np.arange(600), columns={"query": query, "price": rng.random(600)}
    )


@cache
def searched_split() -> Split:
    return leave_one_out(searched_log())


@cache
def fitted(name: str) -> Recommender:
    return make(name, context=["query"], **MODELS[name]).fit(searched_split().train, progress=False)


def of_word(items: Any) -> list[str]:
    return [WORDS[item // 100] for item in np.asarray(items).ravel().tolist()]


@pytest.mark.parametrize("name", MODELS)
def test_answers_follow_what_was_searched_for(name: str) -> None:
    model = fitted(name)
    for place, word in enumerate(WORDS):
        found = model.recommend(7, k=3, exclude_seen=False, context={"query": word})
        assert of_word(found.items) == [word] * 3
        new = model.recommend(histories=[[100 * ((place + 1) % 4)]], k=3, context={"query": [word]})
        assert of_word(new.items) == [word] * 3
    several = model.recommend([1, 2], k=2, exclude_seen=False, context={"query": ["tent", "sofa"]})
    assert of_word(several.items) == ["tent", "tent", "sofa", "sofa"]
    without = model.recommend(histories=[[]], k=3, context={"query": ["boot"]})
    assert of_word(without.items) == ["boot"] * 3


@pytest.mark.parametrize("name", MODELS)
def test_without_one_the_last_of_the_user_counts(name: str) -> None:
    model, log = fitted(name), searched_split().train
    last = log.offsets[1:] - 1
    words = log.column_ids["query"].keys[log.columns["query"][last] - 1].tolist()
    own = model.recommend(k=3, exclude_seen=False)
    assert (own.scores == model.recommend(k=3, exclude_seen=False, context={"query": words}).scores).all()
    assert (own.scores != model.recommend(k=3, exclude_seen=False, context={"query": words[::-1]}).scores).any()


@pytest.mark.parametrize("name", MODELS)
def test_unknown_values_are_missing_ones(name: str) -> None:
    model = fitted(name)
    one, other, none = (
        model.recommend(3, context={"query": value}).scores.tolist() for value in ("fridge", "", [None])
    )
    assert one == other == none
    assert one != model.recommend(3, context={"query": "sofa"}).scores.tolist()
    new = model.recommend(histories=[[100]]).scores.tolist()
    assert new == model.recommend(histories=[[100]], context={"query": ["fridge"]}).scores.tolist()


@pytest.mark.parametrize("name", MODELS)
def test_evaluate_is_told_of_the_moment_of_the_test(name: str) -> None:
    model, split = fitted(name), searched_split()
    scores = model.evaluate(split, ks=(5,), exclude_seen=False, progress=False)
    history = split.history("test")
    hits = []
    for user, item, code in zip(split.test.users, split.test.items, split.test.columns["query"], strict=True):
        past = history.item_ids.keys[history.items[history.users == user]].tolist()
        word = split.log.column_ids["query"].keys[code - 1]
        found = model.recommend(
            model.user_ids[user], 5, histories=past, exclude_seen=False, context={"query": word}
        ).items
        hits.append(model.item_ids[item] in found.tolist())
    assert scores["HR@5"] == pytest.approx(np.mean(hits))
    assert scores["HR@5"] > 0.8
    blind = make(name, **MODELS[name]).fit(split.train, progress=False)
    assert blind.evaluate(split, ks=(5,), exclude_seen=False, progress=False)["HR@5"] < 0.6


def test_other_codes_of_the_same_values_are_translated() -> None:
    log, model = searched_log(), fitted("YoutubeDNN")
    rows = np.flatnonzero(searched_split().rows("test"))
    words = log.column_ids["query"].keys[log.columns["query"][rows] - 1]
    later = Interactions.from_arrays(
        log.user_ids.keys[log.users[rows]][::-1],
        log.item_ids.keys[log.items[rows]][::-1],
        columns={"query": words[::-1].tolist()},
    )
    assert later.column_ids["query"].keys.tolist() != log.column_ids["query"].keys.tolist()
    one = model.evaluate(searched_split().test, ks=(5,), exclude_seen=False, progress=False)
    other = model.evaluate(later, ks=(5,), exclude_seen=False, progress=False)
    assert one["MRR@5"] == pytest.approx(other["MRR@5"])


def test_values_without_an_event_count_as_missing() -> None:
    log = Interactions.from_arrays([1, 1, 2], [5, 7, 7], columns={"device": ["phone", "tv", "phone"]})
    context = Context.of(log.select([0, 2]), ["device"])
    assert context.encode({"device": ["phone", "tv"]}, 2)[0]["device"].tolist() == [1, 0]
    assert context.at(log, np.array([1, 0]))["device"].tolist() == [0, 1]
    assert context.of_users(np.array([1, -1, 0]))["device"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_answers_the_same(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    model.save(tmp_path)
    again = Recommender.load(tmp_path)
    assert again.settings() == model.settings()
    assert (again.recommend(k=3).scores == model.recommend(k=3).scores).all()
    asked = {"users": 3, "k": 3, "context": {"query": "lamp"}}
    assert (again.recommend(**asked).scores == model.recommend(**asked).scores).all()


def test_what_is_wrong_is_named() -> None:
    log, model = searched_log(), fitted("YoutubeDNN")
    with pytest.raises(ValueError, match=r"context: expected columns of categories .*'price'; numbers have to be"):
        make("YoutubeDNN", context=["price"]).fit(log)
    with pytest.raises(ValueError, match=r"context: expected columns of categories \('query'\), got 'market'"):
        make("TwoTower", context=["market"]).fit(log)
    with pytest.raises(TypeError, match="context: expected a sequence of names of columns, got 'query'"):
        make("TwoTower", context="query")
    with pytest.raises(ValueError, match="context: expected 'query', got 'market'"):
        model.recommend(3, context={"market": "x"})
    with pytest.raises(ValueError, match="context: expected 2 values of 'query', got 1"):
        model.recommend([3, 4], context={"query": ["sofa"]})
    with pytest.raises(TypeError, match="context: expected for 'query' strings, as the ids of this log are, got 5"):
        model.recommend(3, context={"query": 5})
    for other in (make("SASRec", epochs=1), make("Popularity"), make("YoutubeDNN", epochs=1)):
        other.fit(log, progress=False)
        with pytest.raises(
            ValueError,
            match=f"context: expected none, as the {type(other).__name__} was trained without context columns",
        ):
            other.recommend(3, context={"query": "sofa"})


def test_context_of_another_file_is_refused() -> None:
    context = Context.of(searched_log(), ["query"])
    state = context.state()
    for name, array in (("known", np.array([0, 9, 1, 2, 3])), ("last", np.zeros(3, np.int64))):
        changed = state | {f"context/query/{name}": array}
        with pytest.raises(ValueError, match=rf"int64 codes below 5 for 'context/query/{name}'"):
            Context.from_state(changed, ["query"], 60)
