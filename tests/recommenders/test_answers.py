"""What a fitted model answers, beside loops over single users and items."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from logq._arguments import ArgumentError
from logq.logs import Interactions, leave_one_out
from logq.recommenders import ItemKNN, Recommender, SASRec
from logq.recommenders.events.known_log import KnownLog
from recommender_cases import ALL, ITEMS, WITHOUT_VECTORS, fitted, make, planted_log, planted_split

USERS = ["u0", "u3", "u7", "u8", "u21"]
VECTORS = [name for name in ALL if name not in (*WITHOUT_VECTORS, "Popularity", "ALS")]


@cache
def two_interests() -> Recommender:
    """MIND whose users all have two different interests; those of the planted log are too short for that."""
    return make("MIND", adaptive=False, epochs=2).fit(planted_split().train, progress=False)


def model_of(name: str) -> Recommender:
    return two_interests() if name == "two interests" else fitted(name)


@pytest.fixture(params=ALL)
def model(request: pytest.FixtureRequest) -> Recommender:
    return fitted(request.param)


# -------------------------------------------------------------------------------------------------------------- scores


def test_scores_are_those_that_recommend_ranks_by(model: Recommender) -> None:
    found = model.recommend(USERS, k=ITEMS, exclude_seen=False)
    assert model.score(USERS, found.items).shape == (len(USERS), ITEMS)
    np.testing.assert_allclose(model.score(USERS, found.items), found.scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.score(USERS, found.items[:, 4]), found.scores[:, 4], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.score("u7", found.items[2]), found.scores[2], rtol=1e-5, atol=1e-6)
    assert model.score("u7", found.items[2, 3]).shape == ()


@pytest.mark.parametrize("name", ["YoutubeDNN", "two interests", "TwoTower", "Item2Vec"])
@pytest.mark.parametrize("numbers", [1, 1 << 22])
def test_a_score_is_the_product_with_the_best_query(name: str, numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logq.recommenders.ranking.item_search.NUMBERS", numbers)  # single products, or one of matrices
    model = model_of(name)
    queries = model.query_vectors(USERS)
    lists: list[list[int]] = [[100, 119, 103], [104], [], [105, 104], [100]]
    found = model.score(USERS, lists)
    assert found.shape == (5, 3)
    for row, items in enumerate(lists):
        for place in range(3):
            if place >= len(items):
                assert np.isnan(found[row, place])
                continue
            code = model.known.item_ids.codes([items[place]])[0]
            best = max(float(query @ model.search_vectors[code]) for query in np.atleast_2d(queries[row]))
            assert found[row, place] == pytest.approx(best, rel=1e-5, abs=1e-6)


def test_one_item_or_one_list_for_all_users() -> None:
    model = fitted("SASRec")
    table = model.score(USERS, [[103, 117, 110]])
    assert table.tolist() == model.score(USERS, [[103, 117, 110]] * 5).tolist()
    assert model.score(USERS, 117).tolist() == pytest.approx(table[:, 1].tolist(), abs=1e-6)
    everybody = model.score(None, [[103]])
    assert everybody.shape == (planted_log().num_users, 1)
    assert model.score(None, [103, 110], histories=[100, 107]).shape == (2,)
    assert model.score(None, [103, 110], histories=[[100], [107]]).shape == (2,)


def test_what_has_no_score_is_not_a_number(model: Recommender) -> None:
    found = model.score(["u0", "nobody", "u3"], [[103, 7], [103], ["x", 104]], unknown="ignore")
    assert np.isnan(found[0, 1])
    assert np.isnan(found[2, 0])
    assert found[0, 0] == pytest.approx(model.score("u0", 103), rel=1e-6, abs=1e-6)
    assert found[2, 1] == pytest.approx(model.score("u3", 104), rel=1e-6, abs=1e-6)
    if model.answerable(model.known.given([[]], None))[0]:
        assert np.isfinite(found[1, 0])
    else:
        assert np.isnan(found[1, 0])
        count = planted_split().train.item_counts()[model.known.item_ids.codes([103])[0]]
        assert model.score(["u0", "nobody"], 103, unknown="popular")[1] == count


def test_bad_items_are_named() -> None:
    model = fitted("SASRec")
    with pytest.raises(ValueError, match=r"items: expected ids of the log, got 7 at position 1"):
        model.score("u0", [103, 7])
    with pytest.raises(ValueError, match=r"items: expected one for each of 2 users, got 3; a list of ids for each"):
        model.score(["u0", "u3"], [103, 104, 105])
    with pytest.raises(ValueError, match=r"items: expected a list of ids for each of 2 users, got 3 lists"):
        model.score(["u0", "u3"], [[103], [104], [105]])
    with pytest.raises(ValueError, match=r"items: expected a list of ids for each user, got 104"):
        model.score(["u0", "u3"], [[103], 104])
    with pytest.raises(ValueError, match=r"items: expected ids in an order, got \{103\}"):
        model.score("u0", {103})
    with pytest.raises(ValueError, match=r"users: expected ids of the log, got 'nobody' at position 0"):
        model.score("nobody", 103)


# ----------------------------------------------------------------------------- candidates and what is left out by user


def test_candidates_of_each_user_are_ranked_as_if_asked_for_alone(model: Recommender) -> None:
    rng = np.random.default_rng(3)
    lists = [(100 + rng.choice(ITEMS, size, replace=False)).tolist() for size in (6, 1, 0, 12, 20)]
    lists[0].append(lists[0][0])  # a candidate that is named twice is one
    for seen in (True, False):
        found = model.recommend(USERS, k=5, allow=lists, exclude_seen=seen)
        for row, user in enumerate(USERS):
            alone = model.recommend(user, k=5, allow=set(lists[row]), exclude_seen=seen)
            assert found.items[row].tolist() == alone.items.tolist()
            np.testing.assert_allclose(found.scores[row], alone.scores, rtol=1e-5, atol=1e-6)


def test_equal_candidates_are_in_the_order_of_all_rankings() -> None:
    log = planted_log()
    one = Interactions.from_arrays(["a"] * 2 + ["b"] * 2, [100, 101, 102, 103], [1, 2, 3, 4])
    model = ItemKNN().fit(log)
    everything = model.recommend(histories=[[100, 107]], k=ITEMS)
    same = model.recommend(histories=[[100, 107]], k=ITEMS, allow=[sorted(model.item_ids.tolist())])
    assert same.items.tolist() == everything.items.tolist()
    index = make("YoutubeDNN", dim=4, hidden=(), epochs=1).fit(one, progress=False)
    index.model.items.weight.data.zero_()  # type: ignore[union-attr]
    alike = index.recommend("a", k=4, exclude_seen=False)
    listed = index.recommend("a", k=4, exclude_seen=False, allow=[[103, 101, 100, 102]])
    assert listed.items.tolist() == alike.items.tolist()


@pytest.mark.parametrize("kind", [None, "exact"])
def test_what_is_left_out_leaves_the_order_of_the_rest(model: Recommender, kind: str | None) -> None:
    index = model.index(kind) if kind and model.has_vectors else None
    whole = model.recommend(USERS, k=ITEMS, index=index)
    out: list[Any] = [
        whole.items[0, :4].tolist(),
        None,
        [],
        [item for item in whole.items[3].tolist() if item],
        whole.items[4, 1:3].tolist(),
    ]
    found = model.recommend(USERS, k=6, exclude=out, index=index)
    for row in range(len(USERS)):
        left = [item for item in whole.items[row] if item is not None and item not in (out[row] or [])]
        assert found.items[row].tolist() == [*left, *[None] * 6][:6]
    for everybody in ([100, 108], {100, 108}, np.array([100, 108])):
        same = model.recommend(USERS, k=6, exclude=everybody, index=index)
        assert same.items.tolist() == model.recommend(USERS, k=6, exclude=[[100, 108]] * 5, index=index).items.tolist()
        assert not {100, 108} & set(same.items.ravel().tolist())
    both = model.recommend(USERS, k=4, allow=[[100, 103, 108, 109]] * 5, exclude=[[100]] * 5, exclude_seen=False)
    assert all({*row[:3], row[3]} == {103, 108, 109, None} for row in both.items.tolist())
    assert (
        model.recommend("u0", k=2, exclude=100).items.tolist()
        == model.recommend("u0", k=2, exclude=[100]).items.tolist()
    )


def test_lists_of_rows_that_are_answered_by_what_is_popular() -> None:
    model = fitted("SASRec")
    best = model.recommend("nobody", k=ITEMS, unknown="popular").items.tolist()
    found = model.recommend(["nobody", "u0"], k=3, exclude=[best[:2], None], unknown="popular")
    assert found.items[0].tolist() == best[2:5]
    assert found.items[1].tolist() == model.recommend("u0", k=3).items.tolist()
    listed = model.recommend(["u0", "nobody"], k=3, allow=[[103], best[5:]], unknown="popular")
    assert listed.items[1].tolist() == best[5:8]
    counts = planted_split().train.item_counts()
    assert listed.scores[1].tolist() == counts[model.known.item_ids.codes(best[5:8])].tolist()


def test_an_item_that_was_added_to_an_index_can_be_left_out() -> None:
    model = fitted("SASRec")
    index = model.index()
    index.add([ITEMS], 10 * model.query_vectors("u0"))
    added = {ITEMS: "new"}
    assert model.recommend("u0", k=1, index=index, added=added).items.tolist() == ["new"]
    rest = model.recommend("u0", k=2).items.tolist()
    for exclude in (["new"], "new", [["new"]]):
        assert model.recommend("u0", k=2, index=index, added=added, exclude=exclude).items.tolist() == rest


def test_bad_lists_are_named() -> None:
    model = fitted("SASRec")
    with pytest.raises(ValueError, match=r"allow: expected a list of ids for each of 2 users, got 1 lists"):
        model.recommend(["u0", "u3"], allow=[[100]])
    with pytest.raises(ValueError, match=r"exclude: expected ids of the log, got 7 at position 1"):
        model.recommend(["u0", "u3"], exclude=[[100], [7]])
    assert model.recommend("u0", k=3, exclude=[7], unknown="ignore").items.tolist() == (
        model.recommend("u0", k=3).items.tolist()
    )
    with pytest.raises(ValueError, match=r"index: expected none where allow has a list for each user"):
        model.recommend(["u0"], allow=[[100]], index=model.index())


# ----------------------------------------------------------------------------------------------------------- diversity


def by_hand(scores: Sequence[float], items: Sequence[int], k: int, diversity: float, cosine: Any) -> list[int]:
    """Maximal marginal relevance as the paper has it, on scores that were scaled to 0 to 1."""
    low, high = min(scores), max(scores)
    relevance = {item: (score - low) / (high - low) for item, score in zip(items, scores, strict=True)}
    chosen: list[int] = []
    while len(chosen) < min(k, len(items)):
        left = [item for item in items if item not in chosen]
        value = [
            (1 - diversity) * relevance[item] - diversity * max((cosine(item, other) for other in chosen), default=0)
            for item in left
        ]
        chosen.append(left[int(np.argmax(value))])
    return chosen


@pytest.mark.parametrize("name", [name for name in ALL if name != "Popularity"])
@pytest.mark.parametrize("diversity", [0.05, 0.5, 1.0])
def test_diversity_is_maximal_marginal_relevance(name: str, diversity: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logq.recommenders.ranking.item_ranker.NUMBERS", 400)  # several parts
    model = fitted(name)
    pool = model.recommend(USERS, k=ITEMS)
    found = model.recommend(USERS, k=5, diversity=diversity)
    if not model.has_vectors:
        near = model.similar_items(model.item_ids, k=ITEMS - 1)
        table = {
            (int(item), other): float(score)
            for item, others, scores in zip(model.item_ids, near.items, near.scores, strict=True)
            for other, score in zip(others, scores, strict=True)
            if other is not None
        }
    else:
        unit = model.item_vectors / np.linalg.norm(model.item_vectors, axis=1, keepdims=True)
        table = {
            (int(one), int(other)): float(unit[i] @ unit[j])
            for i, one in enumerate(model.item_ids)
            for j, other in enumerate(model.item_ids)
        }
    for row in range(len(USERS)):
        items = [item for item in pool.items[row].tolist() if item is not None]
        scores = dict(zip(pool.items[row].tolist(), pool.scores[row].tolist(), strict=True))
        wanted = by_hand(
            [scores[item] for item in items], items, 5, diversity, lambda item, other: table.get((other, item), 0.0)
        )
        assert found.items[row].tolist() == wanted
        assert found.scores[row].tolist() == pytest.approx([scores[item] for item in wanted], abs=1e-6)


def test_diversity_chooses_among_ten_times_as_many() -> None:
    rng = np.random.default_rng(0)
    log = Interactions.from_arrays(rng.integers(40, size=3000), rng.integers(100, size=3000))
    model = make("Item2Vec", dim=8, epochs=1, window=2).fit(log, progress=False)
    pool = model.recommend([1, 2], k=30)
    found = model.recommend([1, 2], k=3, diversity=1.0)
    assert all(set(few) < set(many) for few, many in zip(found.items, pool.items, strict=True))
    unit = model.item_vectors / np.linalg.norm(model.item_vectors, axis=1, keepdims=True)

    def nearest(items: Any) -> float:
        codes = model.known.item_ids.codes(items)
        return float((unit[codes] @ unit[codes].T - 2 * np.eye(len(codes))).max())

    assert nearest(found.items[0]) < nearest(pool.items[0, :3])
    one = model.recommend(1, k=1, diversity=0.7)
    assert one.items.tolist() == pool.items[0, :1].tolist()
    assert model.recommend([1, 2], k=3, diversity=0).items.tolist() == pool.items[:, :3].tolist()
    same = model.recommend([1, 2], k=3, diversity=0.4, index=model.index()).items
    assert same.tolist() == model.recommend([1, 2], k=3, diversity=0.4).items.tolist()
    listed = model.recommend([1, 2], k=3, diversity=0.4, allow=[model.item_ids.tolist()] * 2).items
    assert listed.tolist() == same.tolist()


def test_diversity_says_what_it_cannot_do() -> None:
    with pytest.raises(
        ValueError, match="Popularity does not compare items: diversity and reasons need a model that does"
    ):
        fitted("Popularity").recommend("u0", diversity=0.5)
    model = fitted("SASRec")
    with pytest.raises(ValueError, match=r"diversity: expected .* got 1.5"):
        model.recommend("u0", diversity=1.5)
    index = model.index()
    index.add([ITEMS], model.query_vectors("u0"))
    with pytest.raises(ValueError, match=r"diversity: expected 0 with added items"):
        model.recommend("u0", diversity=0.5, index=index, added={ITEMS: 5})


# ------------------------------------------------------------------------------------------------------------- reasons


@pytest.mark.parametrize("name", VECTORS)
def test_reasons_are_the_nearest_items_of_the_history(name: str) -> None:
    model = fitted(name)
    unit = model.item_vectors / np.linalg.norm(model.item_vectors, axis=1, keepdims=True)
    found = model.recommend(USERS, k=3, explain=2)
    assert found.reasons is not None
    assert found.reasons.items.shape == found.reasons.scores.shape == (5, 3, 2)
    assert found.reasons.measure == "cosine"
    log = planted_split().train
    for row, user in enumerate(USERS):
        items, _ = log.histories(log.user_ids.codes([user]))
        history = np.unique(items[-getattr(model, "max_length", len(items)) :])
        for place in range(3):
            own = model.known.item_ids.codes([found.items[row, place]])[0]
            cosines = unit[history] @ unit[own]
            best = np.argsort(-cosines)[:2]
            wanted = [*log.item_ids.keys_of(history[best]).tolist(), None][:2]
            assert found.reasons.items[row, place].tolist() == wanted
            assert found.reasons.scores[row, place, : len(best)].tolist() == pytest.approx(
                cosines[best].tolist(), abs=1e-6
            )
    again = model.explain(USERS, found.items, n=2)
    assert again.items.tolist() == found.reasons.items.tolist()
    assert model.explain("u3", found.items[1, 2], n=2).items.tolist() == again.items[1, 2].tolist()
    alone = model.recommend("u3", k=3, explain=True)
    assert alone.reasons is not None
    assert alone.reasons.items.shape == (3, 3)


def test_contributions_add_up_to_the_score() -> None:
    log = planted_log()
    model = ItemKNN(neighbors=10, shrinkage=2.0).fit(log)
    history = [100, 107, 100, 114, 101]
    items = [item for item in model.item_ids.tolist() if item not in history]
    scores = model.score(None, items, histories=history)
    reasons = model.explain(None, items, n=10, histories=history)
    assert reasons.measure == "contribution"
    near = model.similar_items(model.item_ids, k=10)
    alike = {
        (int(one), other): float(score)
        for one, others, values in zip(model.item_ids, near.items, near.scores, strict=True)
        for other, score in zip(others, values, strict=True)
    }
    for row, item in enumerate(items):
        wanted = {j: history.count(j) * alike.get((j, item), 0.0) for j in history}
        there = reasons.items[row] != None  # noqa: E711
        found = dict(zip(reasons.items[row][there].tolist(), reasons.scores[row][there].tolist(), strict=True))
        assert found == pytest.approx({j: value for j, value in wanted.items() if value}, abs=1e-6)
        assert sum(found.values()) == pytest.approx(scores[row], abs=2e-6)  # but for the order of ties
        assert sorted(found.values(), reverse=True) == list(found.values())
    assert model.explain(None, items[:2], histories=[100, 999], unknown="ignore").items.shape == (2, 3)


@pytest.mark.parametrize("name", ["EASE", "ALS"])
def test_contributions_of_linear_models_add_up_to_the_score(name: str) -> None:
    model, history = fitted(name), [100, 107, 100, 114, 101]
    scores = model.score(None, model.item_ids, histories=history)
    reasons = model.explain(None, model.item_ids, n=5, histories=history)
    assert reasons.measure == "contribution"
    assert set(reasons.items.ravel().tolist()) <= {*history, None}
    found = np.where(np.isfinite(reasons.scores), reasons.scores, 0).sum(axis=1)
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)
    assert np.abs(scores).max() > 0.1


def test_rows_that_are_not_answered_have_no_reasons() -> None:
    model = fitted("SASRec")
    found = model.recommend(["nobody", "u0"], k=2, unknown="popular", explain=True)
    assert found.reasons is not None
    assert set(found.reasons.items[0].ravel().tolist()) == {None}
    assert found.reasons.items[1, 0, 0] is not None
    assert model.recommend("u0", explain=0).reasons is None
    with pytest.raises(ValueError, match="Popularity does not compare items"):
        fitted("Popularity").explain("u0", 103)
    with pytest.raises(ValueError, match=r"expected at least one item for each user, got none for row 1"):
        model.explain(None, 103, histories=[[100], []])


# --------------------------------------------------------------------------------------------------------------- users


@pytest.mark.parametrize("name", [*VECTORS, "ALS", "two interests", *WITHOUT_VECTORS])
def test_similar_users_are_those_with_the_highest_cosine(name: str) -> None:
    model = model_of(name)
    log = planted_split().train
    ids = model.user_ids.tolist()
    if not model.has_vectors:
        sets = [set(log.histories([user])[0].tolist()) for user in range(len(ids))]
        cosines = np.array([[len(a & b) / np.sqrt(len(a) * len(b)) for b in sets] for a in sets])
    else:
        queries = model.query_vectors()[..., : model.item_vectors.shape[1]]
        queries = queries.reshape(len(ids), -1, queries.shape[-1])
        unit = queries / np.linalg.norm(queries, axis=-1, keepdims=True)
        cosines = np.einsum("aid,bjd->abij", unit, unit).max(axis=(2, 3))
    found = model.similar_users(USERS, k=7)
    for row, user in enumerate(USERS):
        own = cosines[ids.index(user)].copy()
        own[ids.index(user)] = -np.inf
        best = np.sort(own)[::-1][:7]
        np.testing.assert_allclose(found.scores[row], best[: np.isfinite(best).sum()], atol=1e-5)
        assert user not in found.items[row]
        assert len(set(found.items[row].tolist())) == 7
        np.testing.assert_allclose([own[ids.index(name)] for name in found.items[row]], best, atol=1e-5)
    alike, scores = model.similar_users("u3", k=7)
    assert alike.tolist() == found.items[1].tolist()
    np.testing.assert_allclose(scores, found.scores[1], atol=1e-6)


def test_users_alike_to_a_history_and_to_everybody() -> None:
    for name in ("SASRec", "MIND", "ItemKNN"):
        model = fitted(name)
        log = planted_split().train
        items, _ = log.histories(log.user_ids.codes(["u3"]))
        twin, cosine = model.similar_users(histories=log.item_ids.keys_of(items).tolist(), k=1)
        own, _ = log.histories(log.user_ids.codes(twin))
        if name != "MIND":  # which reads the country, that of a new user is unknown
            assert cosine[0] == pytest.approx(1, abs=1e-5)
            assert set(own.tolist()) == set(items.tolist())
        assert model.similar_users(k=2).items.shape == (log.num_users, 2)
        assert model.similar_users("u0", k=1000).items.shape == (log.num_users,)
        found = model.similar_users(["nobody", "u3"], k=2, unknown="ignore")
        assert found.status.tolist() == ["unknown user; nothing found", ""]
        assert found.items[0].tolist() == [None, None]
    with pytest.raises(ValueError, match="Popularity answers all users alike"):
        fitted("Popularity").similar_users("u0")
    with pytest.raises(ValueError, match="users: expected ids of the log, got 'nobody' at position 0"):
        fitted("ItemKNN").similar_users("nobody")


def test_users_with_equal_cosines_are_in_an_order_that_knows_nothing_of_the_log() -> None:
    who = [f"x{n}" for n in range(9)]
    log = Interactions.from_arrays([*who, *who], [1] * 9 + [2] * 9, np.arange(18))
    turned = Interactions.from_arrays([*who[::-1], *who[::-1]], [1] * 9 + [2] * 9, np.arange(18))
    for make_one in (ItemKNN, lambda: make("Item2Vec", dim=4, epochs=1)):
        one, other = (make_one().fit(of, progress=False).similar_users("x4", k=8) for of in (log, turned))
        assert one.items.tolist() == other.items.tolist()
        assert one.items.tolist() != sorted(one.items.tolist())


def test_a_model_saved_without_users_says_so(tmp_path: Path) -> None:
    fitted("ItemKNN").save(tmp_path / "model", users=False)
    model = Recommender.load(tmp_path / "model")
    with pytest.raises(ValueError, match="the model was saved without its users"):
        model.similar_users(histories=[100])
    with pytest.raises(ValueError, match="log: expected what users did, as the model was saved without its users"):
        model.recommend_all(tmp_path / "all.parquet")
    done = model.recommend_all(tmp_path / "all.parquet", k=2, log=planted_log(), progress=False)
    assert done.users == planted_log().num_users


# ----------------------------------------------------------------------------------------------------------- everybody


@pytest.mark.parametrize("name", ["MIND", "ItemKNN", "EASE", "Popularity"])
def test_the_file_for_everybody_has_what_recommend_gives(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logq.recommenders.ranking.recommending_ranker.ROWS", 7)
    monkeypatch.setattr("logq.recommenders.ranking.recommendation_files.ROWS", 50)  # several parts
    model, path = fitted(name), tmp_path / "all.parquet"
    done = model.recommend_all(path, k=13, exclude=[103], progress=False)
    wanted = model.recommend(k=13, exclude=[103])
    rows = [
        (user, place + 1, item, pytest.approx(score, abs=1e-6))
        for user, items, scores in zip(model.user_ids.tolist(), wanted.items, wanted.scores, strict=True)
        for place, (item, score) in enumerate(zip(items.tolist(), scores.tolist(), strict=True))
        if item is not None
    ]
    frame = polars.read_parquet(path)
    assert frame.columns == ["user", "rank", "item", "score"]
    assert [str(kind) for kind in frame.dtypes] == ["String", "Int32", "Int64", "Float32"]
    assert frame.rows() == rows
    assert done == (model.known.num_users, len(rows), 0)
    assert [file.name for file in tmp_path.iterdir()] == ["all.parquet"]


def test_everybody_with_all_that_they_did(tmp_path: Path) -> None:
    log, path = planted_log(), tmp_path / "all.parquet"
    model = fitted("SASRec")
    model.recommend_all(path, k=2, log=log, progress=False, diversity=0.2)
    histories = [log.item_ids.keys_of(log.histories([user])[0]).tolist() for user in range(log.num_users)]
    wanted = model.recommend(histories=histories, k=2, diversity=0.2)
    frame = polars.read_parquet(path)
    assert frame["user"].unique(maintain_order=True).to_list() == log.user_ids.keys.tolist()
    assert frame["item"].to_list() == wanted.items.ravel().tolist()
    stranger = Interactions.from_arrays(["eve", "eve", "zoe"], [100, 555, 555], [1, 2, 3])
    found = model.recommend_all(path, k=1, log=stranger, unknown="ignore", progress=False)
    assert found == (2, 1, 1)
    assert polars.read_parquet(path)["item"].to_list() == model.recommend(histories=[100], k=1).items.tolist()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="log: expected something to rank by for each user, got none for 'zoe'"):
        model.recommend_all(path, log=stranger, progress=False)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["all.parquet"]


def test_everybody_from_an_index_with_an_item_that_was_added(tmp_path: Path) -> None:
    model, path = fitted("SASRec"), tmp_path / "all.parquet"
    index = model.index()
    index.add([ITEMS + 3], 10 * model.query_vectors("u0"))
    model.recommend_all(path, k=2, index=index, added={ITEMS + 3: 999}, progress=False)
    wanted = model.recommend(k=2, index=index, added={ITEMS + 3: 999}).items
    assert polars.read_parquet(path)["item"].to_list() == wanted.ravel().tolist()
    assert 999 in wanted
    with pytest.raises(ValueError, match="added: expected ids of the type of those of the log"):
        model.recommend_all(path, index=index, added={ITEMS + 3: "new"}, progress=False)
    with pytest.raises(ValueError, match="allow: expected ids of items for everybody, got a list for each user"):
        model.recommend_all(path, allow=[[100]])
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "nowhere"))):
        model.recommend_all(tmp_path / "nowhere" / "all.parquet", progress=False)


def test_a_folder_is_refused_before_everybody_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted("Popularity")
    monkeypatch.setattr(model, "_rank", lambda *_: pytest.fail("it was answered"))
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        model.recommend_all(tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_ids_that_can_be_gone_through_only_once() -> None:
    model = fitted("ItemKNN")
    first, second = model.recommend("u0", k=2).items.tolist()
    assert first not in model.recommend("u0", k=5, exclude=(item for item in [first])).items
    for only in (iter([second]), {second: 1}.keys(), second):
        assert model.recommend("u0", k=1, allow=only).items.tolist() == [second]
    assert model.recommend(["u0", "u1"], k=1, allow=iter([[second], [second]])).items[0].tolist() == [second]
    asked = model.score("u0", iter([first, second]))
    assert asked.tolist() == model.score("u0", [first, second]).tolist()


def test_users_as_a_log_has_them_with_its_times() -> None:
    full = Interactions.from_arrays(
        [user for user in range(30) for _ in range(6)],
        [(user + step) % 12 for user in range(30) for step in range(6)],
        [100 * user + [0, 1, 2, 40, 41, 90][step] for user in range(30) for step in range(6)],
    )
    split = leave_one_out(full)
    model = SASRec(dim=8, layer="hstu", time_buckets=8, epochs=3, seed=1, lr=0.05).fit(split.train, progress=False)
    found = model.recommend([3, 0], k=5, log=full, exclude_seen=False)
    model.known = KnownLog.of(full)  # codes are the same, as the parts of a split keep them
    wanted = model.recommend([3, 0], k=5, exclude_seen=False)
    assert found.items.tolist() == wanted.items.tolist()
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5)
    untimed = model.recommend(histories=[full.item_ids.keys_of(full.histories([3])[0]).tolist()], exclude_seen=False)
    assert not np.allclose(untimed.scores[0, :5], found.scores[0], rtol=1e-4)  # times make a difference
    with pytest.raises(ArgumentError, match="log: expected none beside histories, got both"):
        model.recommend(3, histories=[1, 2], log=full)
