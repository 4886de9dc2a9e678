"""What every recommender does: answers, filters, errors, files."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq._model_file import FILE, SUMMARY
from logq.logs import Interactions, leave_one_out
from logq.recommenders import Recommender, SASRec, YoutubeDNN
from recommender_cases import ALL, BASELINES, ITEMS, NEURAL, fitted, make, planted_log, planted_split, successor


@pytest.fixture(params=ALL)
def model(request: pytest.FixtureRequest) -> Recommender:
    return fitted(request.param)


def test_one_user_gives_one_row_and_several_give_several(model: Recommender) -> None:
    one, two = model.recommend("u3", k=4), model.recommend(["u3", "u5"], k=4)
    assert one.items.shape == one.scores.shape == (4,)
    assert two.items.shape == (2, 4)
    assert one.items.tolist() == two.items[0].tolist()
    np.testing.assert_allclose(one.scores, two.scores[0], rtol=1e-5)
    assert (np.diff(two.scores, axis=1) <= 0).all()
    assert two.scores.dtype == np.float32


def test_everybody_is_answered_by_default(model: Recommender) -> None:
    assert model.recommend(k=2).items.shape == (len(model.user_ids), 2)


def test_seen_items_are_left_out_or_not(model: Recommender) -> None:
    log = planted_split().train
    rows = model.recommend(k=ITEMS)
    for user, items in enumerate(rows.items):
        seen = set(log.item_ids.keys[log.items[log.users == user]].tolist())
        found = [item for item in items if item is not None]
        assert set(found).isdisjoint(seen)
        assert len(found) == len(set(found))
    assert np.isneginf(rows.scores[rows.items == None]).all()  # noqa: E711
    assert not {None} & set(model.recommend("u0", k=ITEMS, exclude_seen=False).items.tolist()) or "ItemKNN" in repr(
        model
    )


@pytest.mark.parametrize("as_mask", [False, True])
def test_only_allowed_items(model: Recommender, as_mask: bool) -> None:
    allowed = [103, 104, 117]
    given = np.isin(model.item_ids, allowed) if as_mask else allowed
    found = model.recommend(["u0", "u1"], k=3, allow=given, exclude_seen=False).items
    assert set(found.ravel().tolist()) <= {*allowed, None}
    if not as_mask:
        with pytest.raises(ValueError, match=r"allow: expected ids of the log, got 7 at position 1"):
            model.recommend("u0", allow=[103, 7])


def test_a_cold_user_is_answered_by_a_history(model: Recommender) -> None:
    one = model.recommend(histories=[100, 107], k=3)
    assert one.items.shape == (3,)
    several = model.recommend(histories=[[100, 107], [105]], k=3)
    assert several.items.shape == (2, 3)
    assert several.items[0].tolist() == one.items.tolist()
    with pytest.raises(ValueError, match="histories: expected ids of the log, got 999 at position 1"):
        model.recommend(histories=[[100, 999]])


def test_a_history_replaces_that_of_the_log(model: Recommender) -> None:
    given = model.recommend("u0", k=2, histories=[[112]], exclude_seen=True)
    assert given.items.shape == (2,)
    assert 112 not in given.items.tolist()
    with pytest.raises(ValueError, match="histories: expected one for each of 2 users, got 1"):
        model.recommend(["u0", "u1"], histories=[[112]])


@pytest.mark.parametrize("name", NEURAL)
def test_a_cold_user_gets_what_comes_next(name: str) -> None:
    right = 0
    for item in range(ITEMS):
        before = (item - 7) % ITEMS
        found = fitted(name).recommend(histories=[100 + before, 100 + item], k=3).items
        right += 100 + successor(item) in found.tolist()
    assert right > 0.7 * ITEMS


def test_what_is_not_a_log_cannot_be_measured(model: Recommender) -> None:
    with pytest.raises(TypeError, match="data: expected a Split or Interactions, got 5"):
        model.evaluate(5)  # pyright: ignore[reportArgumentType]
    assert model.evaluate(planted_split(), ks=5, progress=False).ks == (5,)  # pyright: ignore[reportArgumentType]


def test_unknown_users_and_items_are_named(model: Recommender) -> None:
    with pytest.raises(ValueError, match="users: expected ids of the log, got 'nobody' at position 1"):
        model.recommend(["u0", "nobody"])
    with pytest.raises(ValueError, match="items: expected ids of the log, got 7 at position 0"):
        model.similar_items(7)
    with pytest.raises(ValueError, match="k: expected an integer >= 1, got 0"):
        model.recommend("u0", k=0)


def test_an_empty_history_is_an_error_where_nothing_else_is_known() -> None:
    log = Interactions.from_arrays([1, 1, 2, 2, 3], [5, 7, 7, 5, 5])
    with pytest.raises(ValueError, match="expected at least one item for each user, got none for row 1"):
        make("ItemKNN").fit(log).recommend(histories=[[5], []])
    assert make("Popularity").fit(log).recommend(histories=[[]], k=1).items.tolist() == [[5]]


def test_similar_items_leave_out_the_item(model: Recommender) -> None:
    one, two = model.similar_items(103, k=ITEMS), model.similar_items([103, 104], k=3)
    assert 103 not in one.items.tolist()
    assert two.items.shape == (2, 3)
    assert one.items[:3].tolist() == two.items[0].tolist()


def test_similar_items_are_the_nearest_by_cosine() -> None:
    model = fitted("YoutubeDNN")
    vectors = model.item_vectors / np.linalg.norm(model.item_vectors, axis=1, keepdims=True)
    own = int(np.flatnonzero(model.item_ids == 103)[0])
    cosines = vectors @ vectors[own]
    cosines[own] = -2
    best = np.argsort(-cosines)[:4]
    found = model.similar_items(103, k=4)
    assert found.items.tolist() == model.item_ids[best].tolist()
    np.testing.assert_allclose(found.scores, cosines[best], rtol=1e-5)


def test_cold_items_are_answered_by_side_information() -> None:
    model = fitted("TwoTower")
    two = model.similar_items(item_features={"genre": ["g1", "g2"]}, k=3)
    assert two.items.shape == (2, 3)
    one = model.similar_items(item_features={"genre": "g1"}, k=3)
    assert one.items.tolist() == two.items[0].tolist()
    for name in ("SASRec", "Popularity"):
        with pytest.raises(
            ValueError, match=f"item_features: expected none, as {name} learns nothing from side information"
        ):
            fitted(name).similar_items(item_features={"genre": "g1"})


def test_features_of_a_user_can_be_given() -> None:
    model = fitted("YoutubeDNN")
    own = model.recommend(histories=[100], user_features={"country": "c1"}, k=ITEMS)
    other = model.recommend(histories=[100], user_features={"country": "c0"}, k=ITEMS)
    assert not np.allclose(own.scores, other.scores)


# ----------------------------------------------------------------------------------------------------------- measuring


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("name", [*BASELINES, "MIND", "SASRec"])
def test_evaluate_is_the_naive_loop(name: str, exclude_seen: bool) -> None:
    model, split = fitted(name), planted_split()
    history, hits, gains = split.history("test"), [], []
    for user, target in zip(split.test.users.tolist(), split.test.items.tolist(), strict=True):
        past = history.item_ids.keys[history.items[history.users == user]].tolist()
        user_id = model.user_ids[user]
        everything = model.recommend(user_id, k=ITEMS, histories=past, exclude_seen=False).items.tolist()
        ranked = [item for item in everything if not (exclude_seen and item in past)][:5]
        wanted = model.item_ids[target]
        hits.append(wanted in ranked)
        gains.append(1 / np.log2(2 + ranked.index(wanted)) if wanted in ranked else 0.0)
    scores = model.evaluate(split, ks=(5,), exclude_seen=exclude_seen, progress=False)
    assert scores.users == len(hits)
    assert scores["HR@5"] == pytest.approx(np.mean(hits))
    assert scores["NDCG@5"] == pytest.approx(np.mean(gains))


def test_evaluate_on_what_came_later_counts_whom_it_cannot_ask_about() -> None:
    model = fitted("YoutubeDNN")
    later = Interactions.from_arrays(["u0", "u1", "nobody", "u2"], [103, 104, 105, 999])
    scores = model.evaluate(later, ks=(3,), exclude_seen=False, progress=False)
    assert scores.about["unknown_users"] == 1
    assert scores.unknown_items == 1
    assert scores.users == 2
    with pytest.raises(ValueError, match="data: expected users and items that the model knows, got none"):
        model.evaluate(Interactions.from_arrays(["x", "y"], [1, 2]))


def test_other_codes_of_the_same_ids_are_translated() -> None:
    model = make("YoutubeDNN", epochs=1).fit(planted_split().train, progress=False)
    log = planted_log()
    turned = Interactions.from_arrays(
        log.user_ids.keys[log.users][::-1], log.item_ids.keys[log.items][::-1], log.timestamps[::-1]
    )
    assert turned.user_ids.keys.tolist() != log.user_ids.keys.tolist()
    one = model.evaluate(leave_one_out(log), ks=(ITEMS,), progress=False)
    other = model.evaluate(leave_one_out(turned), ks=(ITEMS,), progress=False)
    assert one[f"MRR@{ITEMS}"] == pytest.approx(other[f"MRR@{ITEMS}"])


# --------------------------------------------------------------------------------------------------------------- files


def test_saved_and_loaded_it_answers_the_same(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path)
    for kind in (type(model), Recommender):
        again = kind.load(tmp_path)
        assert type(again) is type(model)
        assert again.settings() == model.settings()
        assert again.recommend(k=5).items.tolist() == model.recommend(k=5).items.tolist()
        assert (again.recommend(k=5).scores == model.recommend(k=5).scores).all()
        one, other = (kind.recommend(histories=[[100, 107]], k=5) for kind in (again, model))
        assert one.items.tolist() == other.items.tolist()
    described = json.loads((tmp_path / SUMMARY).read_text())
    assert described["class"] == type(model).__name__
    assert sorted(path.name for path in tmp_path.iterdir()) == [SUMMARY, FILE]


def test_copies_answer_the_same(model: Recommender) -> None:
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert repr(again) == repr(model)
        assert again.settings() == model.settings()
        assert again.recommend(k=3).items.tolist() == model.recommend(k=3).items.tolist()


def test_saving_twice_gives_the_same_bytes(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "a")
    type(model).load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()


def test_another_class_is_named(tmp_path: Path) -> None:
    fitted("SASRec").save(tmp_path)
    with pytest.raises(ValueError, match="expected a YoutubeDNN, the file holds a SASRec"):
        YoutubeDNN.load(tmp_path)
    with pytest.raises(OSError, match="nowhere"):
        SASRec.load("nowhere")


def test_negative_sampling_keeps_its_log_q_in_the_file(tmp_path: Path) -> None:
    options: dict[str, Any] = {"objective": "negative_sampling", "sampler": "unigram", "epochs": 1}
    model = make("YoutubeDNN", **options).fit(planted_log(), progress=False)
    model.save(tmp_path)
    again = YoutubeDNN.load(tmp_path)
    assert (again.recommend(k=3).scores == model.recommend(k=3).scores).all()
    without = make("YoutubeDNN", log_q=False, **options).fit(planted_log(), progress=False)
    assert (without.item_vectors == model.item_vectors).all()
    assert (without.recommend(k=3).scores != model.recommend(k=3).scores).any()


def test_a_sampler_of_ones_own_is_not_in_the_file(tmp_path: Path) -> None:
    from logq.samplers import Uniform

    model = make("YoutubeDNN", epochs=1, sampler=lambda counts: Uniform(len(counts), 4, seed=1))
    model.fit(planted_log(), progress=False).save(tmp_path)
    assert YoutubeDNN.load(tmp_path).recommend(k=3).items.tolist() == model.recommend(k=3).items.tolist()


# -------------------------------------------------------------------------------------------------------------- errors


def test_what_is_not_fitted_says_so(tmp_path: Path) -> None:
    for name in ALL:
        model = make(name)
        for ask in (model.recommend, lambda model=model: model.save(tmp_path), lambda model=model: model.item_vectors):
            with pytest.raises(AttributeError, match=f"{name}: it has learned nothing yet, call fit first"):
                ask()


def test_logs_with_nothing_to_learn() -> None:
    log = planted_log()
    with pytest.raises(TypeError, match="log: expected Interactions or a Split of them, got 5"):
        make("SASRec").fit(5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="expected events of at least two items, got 0 events"):
        make("Popularity").fit(log.select(log.users < 0))
    ones = Interactions.from_arrays([1, 2, 3], [5, 7, 5])
    for name in NEURAL:
        with pytest.raises(ValueError, match="log: expected"):
            make(name).fit(ones, progress=False)
    with pytest.raises(ValueError, match="validation: expected none beside a Split"):
        make("Popularity").fit(planted_split(), validation=log)
    with pytest.raises(ValueError, match="resume: expected a checkpoint folder"):
        make("SASRec").fit(log, resume=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("YoutubeDNN", {"objective": "softmax"}, "objective: expected one of negative_sampling"),
        (
            "YoutubeDNN",
            {"objective": "full_softmax", "sampler": "uniform"},
            "sampler: expected None, as full_softmax draws no negatives, got 'uniform'",
        ),
        ("YoutubeDNN", {"sampler": "zipf"}, "sampler: expected one of unigram"),
        ("YoutubeDNN", {"monitor": "auc"}, "monitor: expected one of hr"),
        ("YoutubeDNN", {"decay": "steps"}, "decay: expected one of constant"),
        ("YoutubeDNN", {"precision": "fp8"}, "precision: expected one of float32"),
        ("YoutubeDNN", {"example_age": True}, None),
        ("SASRec", {"dim": 64, "heads": 3}, "heads: expected a divisor of dim"),
        ("SDM", {"heads": 3}, "heads: expected a divisor of dim"),
        ("TwoTower", {"cosine": True}, "cosine: expected False, as the towers end in unit vectors anyway, got True"),
        ("MIND", {"power": 0.5}, "power: expected 0 or a number >= 1, got 0.5"),
        ("MIND", {"lr": 0.0}, "lr: expected a finite number > 0"),
        ("ItemKNN", {"shrinkage": -1.0}, "shrinkage: expected"),
    ],
)
def test_wrong_arguments_are_named(name: str, options: dict[str, object], message: str | None) -> None:
    if message is None:
        untimed = Interactions.from_arrays([1, 1], [5, 7])
        with pytest.raises(ValueError, match="example_age: expected a log with times"):
            make(name, **options).fit(untimed, progress=False)
        return
    with pytest.raises(ValueError, match=message):
        make(name, **options)


def test_an_unknown_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match="unknown argument 'color'"):
        make("SASRec", color="red")


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
@pytest.mark.parametrize("name", ALL)
def test_a_fit_that_fails_at_its_end_changes_nothing(
    name: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {} if name in BASELINES else {"epochs": 1}
    model = make(name, **quick).fit(planted_split().train, progress=False)
    attributes, answers, cosines = dict(vars(model)), model.recommend(k=3), model.similar_items(103, k=3)
    learn = type(model)._fit

    def learn_and_fail(self: Recommender, *arguments: object) -> None:
        learn(self, *arguments)  # pyright: ignore[reportArgumentType]
        raise error

    monkeypatch.setattr(type(model), "_fit", learn_and_fail)
    other = Interactions.from_sessions([["a", "b", "c"], ["b", "c", "d"]] * 4)
    fresh = make(name, **quick)
    before = dict(vars(fresh))
    for one in (model, fresh):
        with pytest.raises(error):
            one.fit(other, progress=False)
    assert all(vars(model)[key] is value for key, value in attributes.items() if key != "_index")
    assert vars(model).keys() == attributes.keys()
    assert model.recommend(k=3).items.tolist() == answers.items.tolist()
    assert model.recommend(k=3).scores.tolist() == answers.scores.tolist()
    assert model.similar_items(103, k=3).items.tolist() == cosines.items.tolist()
    assert vars(fresh) == before
    with pytest.raises(AttributeError, match="call fit first"):
        fresh.recommend("a")


def test_a_diverged_fit_does_not_spoil_the_next_one() -> None:
    model = make("SASRec", epochs=2).fit(planted_split().train, progress=False)
    counts, vectors, lr = model.known.item_counts(), model.item_vectors, model.lr
    model.lr = 1e30  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FloatingPointError, match="lr: training diverged"):
        model.fit(planted_split().train, progress=False)
    assert (model.known.item_counts() == counts).all()
    assert (model.item_vectors == vectors).all()
    model.lr = lr  # pyright: ignore[reportAttributeAccessIssue]
    assert (model.fit(planted_split().train, progress=False).item_vectors == vectors).all()


def test_a_fit_that_fails_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = YoutubeDNN(dim=4, epochs=1, seed=1, num_sampled=4).fit(planted_log(), progress=False)
    before = model.recommend(model.user_ids[:4], k=3)
    other = Interactions.from_arrays(["x", "x", "y"], ["p", "q", "q"])
    monkeypatch.setattr(YoutubeDNN, "_on_batch", lambda self, step: (_ for _ in ()).throw(RuntimeError("stop")))
    with pytest.raises(RuntimeError, match="stop"):
        model.fit(other, progress=False)
    after = model.recommend(model.user_ids[:4], k=3)
    assert after.items.tolist() == before.items.tolist()
    assert after.scores.tolist() == before.scores.tolist()
    new = YoutubeDNN(dim=4, epochs=1, seed=1, num_sampled=4)
    with pytest.raises(RuntimeError, match="stop"):
        new.fit(other, progress=False)
    with pytest.raises(AttributeError, match="fit"):
        new.recommend("x")


def test_arguments_that_exclude_each_other_or_do_not_fit_are_named() -> None:
    model = fitted("YoutubeDNN")
    with pytest.raises(ValueError, match="items: expected either ids of items or item_features"):
        model.similar_items()
    with pytest.raises(ValueError, match=r"allow: expected a mask over 20 items, got shape \(3,\)"):
        model.recommend("u0", allow=[True, False, True])
    with pytest.raises(TypeError, match="histories: expected a list of item ids for each row, got 'abc'"):
        model.recommend(histories=["abc", [100]])
    with pytest.raises(ValueError, match="user_features: expected 2 values of 'country', got 1"):
        model.recommend(histories=[[100], [101]], user_features={"country": ["c1"]})
    with pytest.raises(ValueError, match="ks: expected at least one cut-off"):
        model.evaluate(planted_split(), ks=())
    plain = make("YoutubeDNN", epochs=1).fit(Interactions.from_arrays([1, 1, 2], [5, 6, 7]), progress=False)
    with pytest.raises(ValueError, match="user_features: expected none, as the model was trained without features of"):
        plain.recommend(histories=[[5]], user_features={"country": ["c1"]})
    with pytest.raises(TypeError, match="context: expected names of columns, got 5"):
        make("YoutubeDNN", context=[5])


def test_items_of_a_history_that_a_model_does_not_know_are_left_out_where_it_is_measured() -> None:
    model = make("YoutubeDNN", epochs=1).fit(planted_split().train, progress=False)
    log = planted_log()
    more = Interactions.from_arrays(
        ["u0", *log.user_ids.keys[log.users]], [999, *log.item_ids.keys[log.items]], [-1, *log.timestamps]
    )
    one, other = (model.evaluate(leave_one_out(each), ks=(5,), progress=False) for each in (log, more))
    assert other.values == one.values
