"""Checkpoints that go on to the same bits, and files that answer as the model did."""

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import logq
from language_cases import OBJECTIVES, OTHER_TEXT, TEXT, make
from logq._model_file import FILE as MODEL_FILE
from logq.language_models import NNLM, RecurrentLM, load
from logq.samplers import Uniform, Unigram
from logq.training.checkpoint import FILE

RESUMED: list[tuple[str, dict[str, Any]]] = [
    ("gru", {"dropout": 0.3}),
    ("lstm", {"optimizer": "adagrad", "decay": "linear"}),
    ("gru", {"sparse": True, "objective": "nce", "sampler": "unigram"}),
    ("gru", {"tied": True, "dim": 16, "optimizer": "sgd", "objective": "full_softmax"}),
    ("nnlm", {"objective": "hierarchical_softmax", "sparse": True}),
    ("nnlm", {"objective": "adaptive_softmax", "dropout": 0.3}),
]


def interrupted_at(model: Any, step: int) -> Any:
    def stop(done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    model._on_batch = stop
    return model


@pytest.mark.parametrize(("kind", "options"), RESUMED)
def test_a_run_that_was_interrupted_ends_with_the_same_bits(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    text = TEXT[:80]
    whole = make(kind, epochs=2, **options).fit(text, validation=OTHER_TEXT, progress=False)
    for step in (4, 19):
        model = interrupted_at(make(kind, epochs=2, **options), step)
        with pytest.raises(KeyboardInterrupt):
            model.fit(text, validation=OTHER_TEXT, checkpoint=tmp_path, resume=True, progress=False)
    resumed = make(kind, epochs=2, **options)
    resumed.fit(text, validation=OTHER_TEXT, checkpoint=tmp_path, resume=True, progress=False)
    assert not (tmp_path / FILE).exists()
    for name, array in whole.state().items():
        assert np.array_equal(array, resumed.state()[name]), name
    for one, other in zip(whole.training_log, resumed.training_log, strict=True):
        assert {**one, "tokens_per_second": 0} == {**other, "tokens_per_second": 0}


def test_an_infinite_perplexity_keeps_no_model_from_being_saved(tmp_path: Path) -> None:
    def never_the_last(counts: Any) -> Unigram:
        return Unigram(np.where(np.arange(len(counts)) < len(counts) - 3, counts, 0), 8, seed=1)

    model = make(
        "gru", epochs=2, objective="negative_sampling", sampler=never_the_last
    )  # P / Q of what Q does not have
    model.fit(TEXT[:40], validation=TEXT, progress=False, checkpoint=tmp_path, checkpoint_minutes=0)
    assert model.perplexity(TEXT, progress=False) == math.inf
    assert [sorted(entry) for entry in model.training_log] == [["epoch", "loss", "tokens_per_second"]] * 2
    model.save(tmp_path)
    assert load(tmp_path).perplexity(TEXT, progress=False) == math.inf


def test_a_checkpoint_of_other_settings_or_another_text(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_at(make("gru"), 3).fit(TEXT, checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"lr: expected 0.02, as in the checkpoint .*, got 0.03"):
        make("gru", lr=0.03).fit(TEXT, checkpoint=tmp_path, resume=True, progress=False)
    with pytest.raises(ValueError, match=r"source: expected the data that the checkpoint .* was made from"):
        make("gru").fit(OTHER_TEXT, checkpoint=tmp_path, resume=True, progress=False)
    with pytest.raises(ValueError, match="resume: expected a checkpoint folder"):
        make("gru").fit(TEXT, resume=True, progress=False)


@pytest.mark.parametrize("kind", ["gru", "nnlm"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_file_answers_as_the_model_did(kind: str, objective: str, tmp_path: Path) -> None:
    sampler = "unigram" if objective in ("negative_sampling", "gbce") else None
    model = make(kind, objective=objective, sampler=sampler, epochs=1).fit(TEXT[:40], progress=False)
    model.save(tmp_path)
    again = load(tmp_path)
    assert type(again) is type(logq.load(tmp_path)) is type(model)
    assert again.settings() == model.settings()
    assert again.vocabulary.index_to_key == model.vocabulary.index_to_key
    assert again.evaluate(OTHER_TEXT, progress=False) == model.evaluate(OTHER_TEXT, progress=False)
    assert again.score("w1 w2") == model.score("w1 w2")
    assert again.training_log == model.training_log
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert copied.score("w1 w2") == model.score("w1 w2")
    again.save(tmp_path / "again")
    assert (tmp_path / "again" / MODEL_FILE).read_bytes() == (tmp_path / MODEL_FILE).read_bytes()


def test_a_shared_table_is_in_the_file_once(tmp_path: Path) -> None:
    model = make("gru", tied=True, dim=16, epochs=1).fit(TEXT[:40], progress=False)
    shared = [name for name, array in model.state().items() if array.shape == (len(model.vocabulary), 16)]
    assert shared == ["model.weights.words.weight"]
    model.save(tmp_path)
    again: Any = RecurrentLM.load(tmp_path)
    assert again._reader.weight is again.model.words.weight
    assert again.score("w1 w2") == model.score("w1 w2")


def test_a_loaded_model_can_be_fitted_anew_unless_its_sampler_was_a_function(tmp_path: Path) -> None:
    model = make("nnlm", epochs=1, sampler=lambda counts: Uniform(len(counts), 5, seed=1)).fit(TEXT, progress=False)
    model.save(tmp_path)
    again = NNLM.load(tmp_path)
    assert again.score("w1 w2") == model.score("w1 w2")
    with pytest.raises(ValueError, match=r"sampler: expected a name or a function, got .custom.; make a new model"):
        again.fit(TEXT, progress=False)
    make("nnlm", epochs=1).fit(TEXT, progress=False).save(tmp_path)
    again = NNLM.load(tmp_path).fit(TEXT, progress=False)
    assert np.isfinite(again.score("w1 w2"))


def test_a_file_of_another_class_or_with_other_weights(tmp_path: Path) -> None:
    model = make("nnlm", epochs=1).fit(TEXT[:40], progress=False)
    model.save(tmp_path)
    with pytest.raises(ValueError, match="expected a RecurrentLM, the file holds a NNLM"):
        RecurrentLM.load(tmp_path)
    with torch.no_grad():
        model.model.words.weight = torch.nn.Parameter(torch.zeros(3, 12))
    model.save(tmp_path)
    with pytest.raises(ValueError, match=r"the file was changed, .*weights.words.weight|expected float32 of shape"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["gru", "nnlm"])
def test_after_an_interruption_the_model_is_what_it_was(kind: str) -> None:
    model = interrupted_at(make(kind, dropout=0.5), 20)
    with pytest.raises(KeyboardInterrupt):
        model.fit(TEXT, progress=False)
    with pytest.raises(AttributeError, match="call fit first"):
        model.score("w1 w2")
    assert (model.metadata, model.training_log) == ({}, [])
    fitted = make(kind, dropout=0.5, epochs=1).fit(TEXT, progress=False)
    before = (fitted.score("w1 w2"), fitted.training_log, fitted.metadata, repr(fitted))
    with pytest.raises(KeyboardInterrupt):
        interrupted_at(fitted, 20).fit(OTHER_TEXT * 5, validation=TEXT, progress=False)
    assert not fitted.model.training
    assert (fitted.score("w1 w2"), fitted.training_log, fitted.metadata, repr(fitted)) == before


def test_a_fit_that_diverges_leaves_the_model_as_it_was() -> None:
    model = make("nnlm", epochs=1, clip=None, objective="full_softmax", optimizer="sgd").fit(TEXT, progress=False)
    before, lr = model.score("w1 w2"), model.lr
    model.lr = 1e30
    with pytest.raises(FloatingPointError, match="lr: training diverged"):
        model.fit(TEXT, progress=False)
    model.lr = lr
    assert model.score("w1 w2") == before
    assert model.fit(TEXT, progress=False).score("w1 w2") == before
