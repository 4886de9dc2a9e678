"""`fit(log, warm=True)`: what is new is taken in, and what was known stays."""

import copy
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import logq
from logq import recommenders
from logq.logs import Features, Identifiers, Interactions, NextItems, Sequences
from logq.logs.growing import grow_log
from logq.recommenders import ItemKNN, NeuralRecommender, Popularity, Recommender, SASRec, TwoTower, YoutubeDNN
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.neural.neural_recommender import NeuralRecommender as Neural
from logq.recommenders.neural.warm_start import replayed_events
from recommender_cases import BASELINES, NEURAL, SKIP_GRAM, alone, make, planted_log

CUT = 0.8
NAMES = [*BASELINES, *SKIP_GRAM, *NEURAL]


@pytest.fixture(scope="module")
def parts() -> tuple[Interactions, Interactions]:
    """What was known, in which items 118 and 119 and some users are missing, and what came then."""
    log = planted_log()
    times = np.asarray(log.timestamps)
    old = (times < np.quantile(times, CUT)) & (np.asarray(log.item_ids.keys_of(log.items)) < 118)
    return alone(log, old), alone(log, ~old)


@pytest.fixture(scope="module", params=NAMES)
def grown(request, parts) -> tuple[Recommender, Recommender]:
    """A model of what was known, and a copy of it that went on."""
    old, new = parts
    changes: dict[str, Any] = {} if request.param in BASELINES else {"epochs": 1}
    changes |= {"warm_epochs": 1} if request.param not in (*BASELINES, "Item2Vec") else {}
    before = make(request.param, **changes).fit(old, progress=False)
    return before, copy.copy(before).fit(new, warm=True, progress=False)


def test_users_and_items_keep_their_codes_and_new_ones_follow(grown, parts):
    before, after = grown
    old, new = parts
    for one, other, later in (
        (before.known.user_ids, after.known.user_ids, new.user_ids),
        (before.known.item_ids, after.known.item_ids, new.item_ids),
    ):
        assert other.keys[: len(one)].tolist() == one.keys.tolist()
        assert {*other.keys.tolist()} == {*one.keys.tolist(), *later.keys.tolist()}
    assert len(after.known.item_ids) == len(before.known.item_ids) + 2
    assert len(before.known.items) == len(old), "the model that was copied stays as it was"


def test_histories_counts_and_answers_are_those_of_both_logs(grown):
    _, after = grown
    log = planted_log()
    for user in ("u0", "u31", "u59"):
        mine = log.items[log.users == log.user_ids.codes([user])[0]]
        wanted = log.item_ids.keys_of(mine).tolist()
        assert after.known.item_ids.keys_of(after.known.histories([user]).items).tolist() == wanted
        assert not {*after.recommend(user, k=5).items.tolist()} & {*wanted}
    counts = dict(zip(log.item_ids.keys.tolist(), log.item_counts().tolist(), strict=True))
    assert dict(zip(after.known.item_ids.keys.tolist(), after.known.item_counts().tolist(), strict=True)) == counts
    assert after.recommend(histories=[[118]], k=3).items.shape == (1, 3)


def test_a_model_that_went_on_is_saved_and_loaded(grown, tmp_path: Path):
    _, after = grown
    after.save(tmp_path)
    again = logq.load(tmp_path)
    one, other = (model.recommend(["u0", "u59"], k=5) for model in (after, again))
    assert one.items.tolist() == other.items.tolist()
    assert one.scores.tolist() == other.scores.tolist()


@pytest.mark.parametrize("name", [*BASELINES, "Item2Vec"])
def test_models_without_a_warm_start_are_those_of_the_whole_log(name, parts):
    old, new = parts
    whole = alone(planted_log(), np.ones(len(planted_log()), bool))
    anew = make(name).fit(whole, progress=False)
    model = make(name).fit(old, progress=False).fit(new, warm=True, progress=False)
    for user in ("u0", "u59"):
        found, wanted = model.recommend(user, k=4), anew.recommend(user, k=4)
        if name in BASELINES and name != "ALS":  # which begins at random, with another order of items
            assert found.items.tolist() == wanted.items.tolist()
            np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-6)
    assert model.known.item_counts().sum() == len(whole)


def test_events_that_are_known_are_not_learned_twice(parts):
    old, new = parts
    log = planted_log()
    overlapping = alone(log, np.ones(len(log), bool))
    one, other = (
        make("SASRec", epochs=2).fit(old, progress=False).fit(later, warm=True, progress=False)
        for later in (new, overlapping)
    )
    assert (one.known.items == other.known.items).all() or len(one.known.items) == len(other.known.items) == len(log)
    assert len(other.known.items) == len(log)
    assert other.training_log[0]["loss"] == pytest.approx(one.training_log[0]["loss"], rel=0.05)
    with pytest.raises(
        ValueError, match=r"log: expected events that the model does not know, got .* all of them known"
    ):
        other.fit(overlapping, warm=True)
    with pytest.raises(ValueError, match="log: expected events that the model does not know"):
        make("Popularity").fit(old).fit(old, warm=True)


def test_a_model_that_is_not_fitted_cannot_go_on(parts):
    with pytest.raises(AttributeError, match="SASRec: it has learned nothing yet, call fit first"):
        make("SASRec").fit(parts[1], warm=True)
    with pytest.raises(TypeError, match="warm: expected True or False, got 1"):
        make("SASRec").fit(parts[1], warm=1)


def test_only_rows_that_new_events_touch_change_in_sparse_tables():
    rng = np.random.default_rng(3)
    old = Interactions.from_arrays(np.repeat(np.arange(30), 6), rng.integers(0, 60, 180), np.arange(180))
    settings = {"dim": 8, "sampler": "in_batch", "sparse": True, "replay": 0, "weight_decay": 0.0, "seed": 1}
    model = YoutubeDNN(max_length=3, epochs=2, tied=False, **settings).fit(old, progress=False)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    new = Interactions.from_arrays([0, 0, 99, 99], [777, 5, 7, 9], [500, 501, 502, 503])
    model.fit(new, warm=True, progress=False)
    # User 0 has three items before the new ones, and user 99 none before the first.
    mine = old.item_ids.keys_of(old.items[old.users == old.user_ids.codes([0])[0]])[-3:].tolist()
    touched = {"watched.weight": {*mine, 777, 7}, "items.weight": {777, 5, 9}}
    for name, rows in touched.items():
        after = model.model.state_dict()[name]
        changed = (after[: len(before[name])] != before[name]).any(dim=1).nonzero()[:, 0].numpy()
        assert {*model.known.item_ids.keys_of(changed).tolist()} == rows - {777}


def nothing_learned(model: NeuralRecommender, log: Interactions) -> NeuralRecommender:
    """The model with what it starts from when it goes on: steps are too small to be seen in float32."""
    again = copy.copy(model)
    again.warm_lr, again.warm_epochs, again.optimizer, again.weight_decay = 1e-30, 1, "sgd", 0.0
    return again.fit(log, warm=True, progress=False)


@pytest.mark.parametrize("name", NEURAL)
def test_with_steps_of_nothing_what_was_learned_stays_as_it_was(name, parts):
    old, new = parts
    model = make(name, epochs=1).fit(old, progress=False)
    after = nothing_learned(model, new)
    known = after.item_vectors[: len(model.known.item_ids)]
    np.testing.assert_array_equal(known, model.item_vectors)
    histories = [[101, 108], [115]]
    np.testing.assert_allclose(
        after.query_vectors(histories=histories), model.query_vectors(histories=histories), rtol=1e-5, atol=1e-6
    )


def test_vectors_of_new_items_start_at_the_mean_of_the_items_beside_them():
    old = Interactions.from_arrays([1, 1, 2, 2, 2], [10, 11, 12, 13, 10], np.arange(5))
    model = SASRec(dim=8, epochs=1, seed=1).fit(old, progress=False)
    new = Interactions.from_arrays([1, 1, 3, 3], [20, 12, 21, 22], [7, 8, 9, 10])
    after = nothing_learned(model, new)
    table = dict(zip(after.known.item_ids.keys.tolist(), after.item_vectors, strict=True))
    np.testing.assert_allclose(table[20], (table[10] + table[11] + table[12]) / 3, rtol=1e-5)
    np.testing.assert_allclose(table[21], model.item_vectors.mean(axis=0), rtol=1e-4, atol=1e-7)


def test_users_with_vectors_keep_them_and_new_ones_start_as_unknown_ones(parts):
    old, new = parts
    model = make("TwoTower", user_vectors=True, epochs=2).fit(old, progress=False)
    after = nothing_learned(model, new)
    before, now = (which.model.users.table.weight for which in (model, after))
    assert torch.equal(now[: len(model.known.user_ids)], before[:-1])
    assert torch.equal(now[len(model.known.user_ids) :], before[-1:].expand(len(now) - len(model.known.user_ids), -1))


def test_vocabularies_of_features_grow_and_their_tables_with_them(parts):
    old, new = parts
    table = {"user": new.user_ids.keys, "country": ["c9" for _ in new.user_ids.keys]}
    new = new.with_features(users=Features.from_frame(table, new.user_ids))
    model = make("YoutubeDNN", epochs=2).fit(old, progress=False)
    after = nothing_learned(model, new)
    kinds = after.known.user_features.codings["country"].known.keys.tolist()
    assert sorted(kinds[:2]) == ["c0", "c1"]
    assert kinds[2:] == ["c9"]
    before, now = (which.model.user_features.tables[0].weight for which in (model, after))
    assert torch.equal(now[:3], before)
    np.testing.assert_allclose(now[3].detach(), before.mean(dim=0).detach(), rtol=1e-5)
    assert after.known.features_of(after.known.user_ids.codes(new.user_ids.keys[:1]))["country"].tolist() == [3]


def test_counts_of_samplers_are_those_of_both_logs(parts, monkeypatch):
    old, new = parts
    seen = []
    make_loss = Neural._make_loss
    monkeypatch.setattr(Neural, "_make_loss", lambda self, *rest: seen.append(make_loss(self, *rest)) or seen[-1])
    make("YoutubeDNN", epochs=1, sampler="unigram", unigram_power=1.0).fit(old, progress=False).fit(
        new, warm=True, progress=False
    )
    log = planted_log()
    counts = grow_log(old, new).log.item_counts()
    assert counts.sum() == len(log)
    q = seen[1].sampler.all_log_expected_counts().double().exp().numpy()
    np.testing.assert_allclose(q / q.sum(), counts / counts.sum(), rtol=1e-4)


def test_in_batch_counts_are_those_of_the_targets_that_are_learned_from(parts, monkeypatch):
    old, new = parts
    seen = []
    make_loss = Neural._make_loss
    monkeypatch.setattr(Neural, "_make_loss", lambda self, *rest: seen.append(rest[0]) or make_loss(self, *rest))
    model = make("TwoTower", epochs=1, sampler="in_batch", replay=0)
    model.fit(old, progress=False).fit(new, warm=True, progress=False)
    grown = grow_log(old, new)
    targets = NextItems(grown.log, 2).with_targets(grown.is_new).targets
    counts = np.bincount(targets, minlength=grown.log.num_items)
    everywhere = grown.log.item_counts() * len(targets) / len(grown.log)
    np.testing.assert_allclose(seen[1], np.maximum(counts, everywhere))
    assert (seen[1] > 0).all(), "an item of which nothing is new has a probability too"


def test_a_continuation_that_was_interrupted_ends_with_the_bits_of_one_that_was_not(parts, tmp_path: Path):
    old, new = parts
    settings = {"epochs": 2, "warm_epochs": 3, "dropout": 0.1, "max_length": 8}
    model = make("SASRec", **settings).fit(old, progress=False)
    whole = copy.copy(model).fit(new, warm=True, progress=False)

    class Stopped(SASRec):
        def _on_batch(self, step: int) -> None:
            if step == 7:
                raise KeyboardInterrupt

    stopped = copy.copy(model)
    stopped.__class__ = Stopped
    Stopped.__name__ = "SASRec"
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(new, warm=True, checkpoint=tmp_path, progress=False)
    assert len(stopped.known.items) == len(old), "a fit that fails leaves the model as it was"
    again = copy.copy(model).fit(new, warm=True, checkpoint=tmp_path, resume=True, progress=False)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    assert all(torch.equal(model.model.state_dict()[name], value) for name, value in before.items())
    assert not list(tmp_path.glob("checkpoint*"))


def test_the_checkpoint_of_a_continuation_belongs_to_its_model_and_log(parts, tmp_path: Path):
    old, new = parts

    class Stopped(SASRec):
        def _on_batch(self, step: int) -> None:
            raise KeyboardInterrupt

    Stopped.__name__ = "SASRec"
    settings = {"epochs": 1, "dim": 8, "num_sampled": 5, "warm_epochs": 2}
    models = [Stopped(seed=seed, **settings) for seed in (1, 1)]
    monkey = Stopped._on_batch
    Stopped._on_batch = lambda self, step: None
    for number, model in enumerate(models):
        model.fit(old, progress=False)
        model.model.norm.bias.data += 0.01 * number
    Stopped._on_batch = monkey
    with pytest.raises(KeyboardInterrupt):
        models[0].fit(new, warm=True, checkpoint=tmp_path, progress=False)
    for model, log in ((models[1], new), (models[0], new.select(np.arange(len(new)) > 2))):
        with pytest.raises(ValueError, match=r"log: expected the data that the checkpoint .* was made from"):
            model.fit(log, warm=True, checkpoint=tmp_path, resume=True, progress=False)
    with pytest.raises(ValueError, match="log: expected the data that the checkpoint"):
        models[0].fit(new, checkpoint=tmp_path, resume=True, progress=False)


def test_old_events_that_are_replayed_are_whole_users_chosen_by_the_seed(parts):
    grown = grow_log(*parts)
    new = int(grown.is_new.sum())
    found = [replayed_events(grown, share, seed) for share, seed in ((0.5, 1), (0.5, 1), (0.5, 2), (1e9, 1))]
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()
    assert 0.5 * new <= found[0].sum() < 0.5 * new + 10
    assert not (found[0] & grown.is_new).any()
    assert (found[3] == ~grown.is_new).all()
    users = np.asarray(grown.log.users)
    assert {*users[found[0]]}.isdisjoint({*users[~grown.is_new & ~found[0]]})


def test_targets_are_new_events_and_all_before_them_are_histories(parts):
    grown = grow_log(*parts)
    log, rows = grown.log, grown.is_new
    able = rows & (np.arange(len(log)) > log.offsets[log.users])
    batch = NextItems(log, 4).with_targets(rows)
    assert batch.targets.tolist() == log.items[able].tolist()
    windows = Sequences(log, 4, overlap=1).with_targets(rows)
    found = windows.batch(np.arange(len(windows)))
    assert sorted(found["targets"][found["targets"] >= 0].tolist()) == sorted(log.items[able].tolist())
    assert (found["targets"] >= 0).any(axis=1).all(), "a window without a target costs time"
    assert (found["history"] >= 0).sum() > (found["targets"] >= 0).sum()


def test_context_columns_grow_and_the_last_of_a_user_is_the_newest():
    log = Interactions.from_arrays(
        [1, 1, 2, 2], [5, 7, 7, 5], [1, 2, 3, 4], columns={"device": ["phone", "tv", "tv", "phone"]}
    )
    model = YoutubeDNN(dim=4, epochs=1, seed=1, context=["device"]).fit(log, progress=False)
    new = Interactions.from_arrays(
        [2, 2, 3, 3], [9, 7, 5, 9], [7, 8, 7, 9], columns={"device": ["car", None, "tv", "car"]}
    )
    after = copy.copy(model).fit(new, warm=True, progress=False)
    values = ["", *after._context.ids["device"].keys.tolist()]
    assert values[1:] == [*model._context.ids["device"].keys.tolist(), "car"]
    last = dict(zip(after.known.user_ids.keys.tolist(), after._context.last["device"].tolist(), strict=True))
    assert {user: values[code] for user, code in last.items()} == {1: "tv", 2: "", 3: "car"}
    assert after._context.known["device"].tolist() == [0, 1, 2, 3]
    assert after.recommend(histories=[[5]], k=2, context={"device": ["car"]}).items.shape == (1, 2)


def test_validation_asks_with_all_that_is_remembered(parts):
    old, _ = parts
    log = planted_log()
    last = np.asarray(log.offsets[1:]) - 1
    held = np.zeros(len(log), bool)
    held[last] = True
    times = np.asarray(log.timestamps)
    train, validation = alone(log, ~held & (times >= np.quantile(times, CUT))), alone(log, held)
    before = np.isin(times, np.asarray(old.timestamps)) & ~held
    model = make("SASRec", epochs=2).fit(alone(log, before), progress=False)
    model.fit(train, warm=True, validation=validation, progress=False)
    measured = [entry for entry in model.training_log if "ndcg@10" in entry]
    assert len(measured) == model.warm_epochs
    scores = model.evaluate(validation, ks=(10,), progress=False)
    assert max(entry["ndcg@10"] for entry in measured) == pytest.approx(scores["NDCG@10"])


# --------------------------------------------------------------------------------------------------- without users


@pytest.mark.parametrize("name", [name for name in NAMES if not getattr(recommenders, name).needs_users])
def test_no_user_is_in_the_file_of_a_model_that_is_saved_without_them(name, tmp_path: Path):
    log = planted_log()
    names = [f"customer-{user}" for user in range(log.num_users)]
    model = make(name, **{"epochs": 1} if name not in BASELINES else {})
    model.fit(dataclasses.replace(log, user_ids=Identifiers(names)), progress=False)
    if model.needs_users:
        with pytest.raises(ValueError, match="users: expected True, as SessionKNN answers from what users did"):
            model.save(tmp_path, users=False)
        return
    model.save(tmp_path, users=False)
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for written in ("customer".encode(coding) for coding in ("utf-8", "utf-16-le", "utf-32-le")):
        assert written not in content


def test_integers_that_are_users_are_not_in_the_file_either(tmp_path: Path):
    ids = 7_000_000_000_000 + np.arange(40) * 1_000_003
    log = Interactions.from_arrays(np.repeat(ids, 3), np.tile([1, 2, 3], 40))
    model = SASRec(dim=4, epochs=1, seed=1).fit(log, progress=False)
    model.save(tmp_path / "all")
    model.save(tmp_path / "none", users=False)
    contents = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("all", "none")]
    for user in ids.tolist():
        written = [user.to_bytes(8, "little"), str(user).encode()]
        assert written[0] in contents[0]
        assert not any(text in contents[1] for text in written)


def test_a_model_without_its_users_goes_on_with_new_ones(parts, tmp_path: Path):
    old, new = parts
    make("SASRec", epochs=2).fit(old, progress=False).save(tmp_path, users=False)
    model = logq.load(tmp_path).fit(new, warm=True, progress=False)
    assert {*model.known.user_ids.keys.tolist()} == {*new.user_ids.keys.tolist()}
    assert model.known.item_counts().sum() == len(old) + len(new)
    model.save(tmp_path, users=False)
    assert len(logq.load(tmp_path).user_ids) == 0
    Popularity().fit(old).save(tmp_path, users=False)
    with pytest.raises(ValueError, match="warm: expected False, got True; Popularity learns from all events anew, and"):
        logq.load(tmp_path).fit(new, warm=True)
    ItemKNN().fit(old).save(tmp_path, histories=False)
    with pytest.raises(ValueError, match="ItemKNN learns from all events anew"):
        logq.load(tmp_path).fit(new, warm=True)


def test_vectors_of_users_cannot_be_left_out(parts, tmp_path: Path):
    model = TwoTower(dim=4, epochs=1, user_vectors=True, seed=1).fit(parts[0], progress=False)
    for how in ({"users": False}, {"histories": False}):
        with pytest.raises(ValueError, match="users: expected True, as the model has a vector of each user"):
            model.save(tmp_path, **how)


def test_what_is_remembered_of_a_log_is_that_log(parts):
    known = KnownLog.of(parts[0])
    again = KnownLog.of(known.log())
    assert (again.items == known.items).all()
    assert (again.offsets == known.offsets).all()
    assert (again.times == known.times).all()


@pytest.mark.parametrize("timed", [True, False])
def test_layers_that_know_times_go_on_with_logs_that_have_them_or_not_as_before(timed, tmp_path: Path):
    def a_log(first: int, *, times: bool) -> Interactions:
        order = np.arange(40)
        return Interactions.from_arrays(order % 8, (order * 3) % 11, first + order if times else None)

    model = SASRec(dim=8, layer="hstu", num_sampled=4, epochs=1, seed=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="layer 'hstu' knows positions alone")
        model.fit(a_log(0, times=timed), progress=False).save(tmp_path / "model", users=False)
        loaded = SASRec.load(tmp_path / "model")  # which remembers no event, so that any log would go with it
        with pytest.raises(ValueError, match=r"log: expected a log with (no )?times, as layer 'hstu' was trained on"):
            loaded.fit(a_log(50, times=not timed), warm=True, progress=False)
        loaded.fit(a_log(50, times=timed), warm=True, progress=False)
    assert loaded.metadata["times"] is timed


@pytest.mark.parametrize("columns", [{"weights": "w"}, {"extra_negatives": "shown"}])
def test_old_events_whose_columns_are_forgotten_are_not_learned_from_again(columns):
    def a_log(first: int) -> Interactions:
        order, items = np.arange(40), (np.arange(40) * 3) % 11
        return Interactions.from_arrays(order % 8, items, first + order, columns={"w": 1.0 + items, "shown": items})

    model = SASRec(examples="positions", max_length=9, **columns)
    grown = grow_log(a_log(0), a_log(50))
    rows = int(grown.is_new.sum())
    assert int((model._later_examples(grown, seed=1).batch(range(8))["targets"] >= 0).sum()) == rows


@pytest.mark.parametrize("columns", [{"weights": "w"}, {"weights": "label"}, {"extra_negatives": "shown"}])
def test_a_checkpoint_belongs_to_the_columns_that_are_read(columns, tmp_path: Path):
    def a_log(*, changed: bool) -> Interactions:
        order, items = np.arange(40), (np.arange(40) * 3) % 11
        worth = 1.0 + (items + changed) % 11
        of_events = {"w": worth, "shown": [str((item + changed) % 11) for item in items], "other": worth}
        return Interactions.from_arrays(order % 8, items, order, worth, columns=of_events)

    class Stopped(SASRec):
        def _on_batch(self, step: int) -> None:
            raise KeyboardInterrupt

    Stopped.__name__ = "SASRec"
    settings: dict[str, Any] = {"dim": 8, "num_sampled": 4, "epochs": 2, "seed": 1, **columns}
    with pytest.raises(KeyboardInterrupt):
        Stopped(**settings).fit(a_log(changed=False), checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match="log: expected the data that the checkpoint"):
        SASRec(**settings).fit(a_log(changed=True), checkpoint=tmp_path, resume=True, progress=False)
    SASRec(**settings).fit(a_log(changed=False), checkpoint=tmp_path, resume=True, progress=False)
