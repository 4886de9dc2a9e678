"""get_params, set_params and scikit-learn's clone, of every estimator."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

import logq
from logq._arguments import ArgumentError
from logq.estimators import ESTIMATORS
from logq.samplers import Uniform
from logq.training.config import UnknownArgumentError

LOG = logq.Interactions.from_sessions([["tea", "milk", "cup", "spoon"], ["milk", "cup", "tea"], ["cup", "tea"]] * 4)
TEXT = [["so", "far", "so", "good"]] * 9

CHANGES: dict[str, dict[str, Any]] = {
    "Word2Vec": {"dim": 8, "window": 3, "hs": True},
    "NGram": {"order": 2, "smoothing": "add_k"},
    "NNLM": {"dim": 8, "objective": "full_softmax"},
    "RecurrentLM": {"hidden": 16, "cell": "gru"},
    "Item2Vec": {"dim": 8},
    "EASE": {"regularization": 3.0},
    "ALS": {"dim": 8, "seed": 5},
    "SessionKNN": {"neighbors": 7},
    "ItemKNN": {"neighbors": 7},
    "Popularity": {},
    "TwoTower": {"hidden": [8, 4], "item_hidden": (), "objective": "full_softmax"},
    "SASRec": {"layer": "gru4rec", "objective": "gbce"},
}


def made(name: str) -> Any:
    return getattr(logq, name)(**CHANGES.get(name, {"dim": 8, "objective": "nce", "batch_size": 9}))


@pytest.mark.parametrize("name", [entry.class_name for entry in ESTIMATORS])
def test_every_estimator_is_cloned(name: str) -> None:
    for model in (made(name), getattr(logq, name)()):
        params = model.get_params()
        assert list(params) == list(model.options())
        other = clone(model)
        assert type(other) is type(model)
        assert other is not model
        assert other.get_params() == params == model.get_params(deep=False)
        assert repr(other) == repr(model)
        assert other.settings() == model.settings()
        # What was left open is open again, so that other arguments may change what follows.
        assert type(model)(**params).auto == model.auto
        assert model.set_params() is model


def test_a_clone_of_what_was_fitted_chooses_again(tmp_path: Path) -> None:
    words = logq.Word2Vec(8, min_count=1, sample=0, epochs=1, seed=1)
    assert words.get_params()["num_sampled"] == words.num_sampled == "auto"
    words.fit(TEXT, progress=False)
    assert words.num_sampled == 5
    words.save(tmp_path / "words")
    items = logq.SASRec(dim=4, epochs=1, seed=1).fit(LOG, progress=False)
    assert items.layer != "auto" != items.dropout
    items.save(tmp_path / "items")
    for fitted, folder in ((words, "words"), (items, "items")):
        for one in (fitted, logq.load(tmp_path / folder), copy.copy(fitted)):
            copied = clone(one)
            assert not copied.is_fitted
            assert copied.auto == fitted.auto != frozenset()
            assert {copied.get_params()[name] for name in fitted.auto} == {"auto"}
            assert {getattr(copied, name) for name in fitted.auto} == {"auto"}
            assert one.is_fitted
    # None, which a layer replaced that the fit chose, is None again.
    assert clone(items).get_params() == logq.SASRec(dim=4, epochs=1, seed=1).get_params()
    assert clone(items).fit(LOG, progress=False).settings() == items.settings()


def test_what_follows_from_other_arguments_follows_again() -> None:
    assert logq.Word2Vec(sg=True).set_params(sg=False).lr == 0.065
    assert logq.Word2Vec(sg=True, lr=0.1).set_params(sg=False).lr == 0.1
    assert logq.Word2Vec(hs=True).set_params(hs=False).objective == "negative_sampling"
    model = logq.YoutubeDNN(objective="sampled_softmax")
    assert (model.sampler, model.get_params()["sampler"]) == (model.default_sampler, None)
    objectives = [
        model.set_params(**params).objective
        for params in ParameterGrid({"objective": ["full_softmax", "nce"], "lr": [0.1, 0.2]})
    ]
    assert sorted(objectives) == ["full_softmax", "full_softmax", "nce", "nce"]
    assert model.sampler == model.default_sampler
    assert logq.YoutubeDNN(objective="full_softmax").set_params(objective="nce", sampler="uniform").sampler == "uniform"


def test_another_argument_forgets_what_was_learned_and_a_wrong_one_does_nothing() -> None:
    model = logq.EASE(regularization=2.0).fit(LOG)
    for wrong in ({"regularization": -1}, {"regularisation": 1.0}, {"dims": 3, "regularization": 1.0}):
        with pytest.raises((ArgumentError, UnknownArgumentError)):
            model.set_params(**wrong)
        assert model.is_fitted
        assert model.get_params()["regularization"] == 2.0
    with pytest.raises(UnknownArgumentError, match="EASE: unknown argument 'regularisation'; did you mean"):
        model.set_params(regularisation=1.0)
    assert model.set_params(regularization=3) is model
    assert not model.is_fitted
    assert model.get_params()["regularization"] == 3.0
    assert model.fit(LOG).is_fitted


def test_aliases_functions_and_lists_are_arguments_too() -> None:
    model = logq.Word2Vec(negatives=7)
    assert model.get_params()["num_sampled"] == 7
    assert model.set_params(negatives=3).get_params()["num_sampled"] == 3
    given = [8, 4]

    def sampler(counts: Any) -> Uniform:
        return Uniform(len(counts), 2)

    towers = logq.TwoTower(hidden=given, sampler=sampler)
    given.append(2)
    assert clone(towers).get_params()["hidden"] == (8, 4)
    assert clone(towers).sampler is sampler
    assert pickle.loads(pickle.dumps(logq.EASE(regularization=2))).get_params()["regularization"] == 2.0


def test_a_clone_does_not_forget_that_a_sampler_was_not_saved() -> None:
    model = logq.NNLM.from_settings({"sampler": "custom"})
    assert clone(model).sampler == model.sampler == "custom"  # so that fit can say so
