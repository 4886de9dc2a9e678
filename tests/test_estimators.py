"""The table of estimators is true, and `logq.load` opens whatever a folder holds."""

from pathlib import Path

import numpy as np
import pytest

import logq
from logq.estimators import ESTIMATORS, EstimatorEntry, class_of
from logq.training.checkpoint import RunCheckpoint, RunState


def test_load_opens_whatever_there_is(tmp_path: Path) -> None:
    from logq.retrieval import ExactIndex

    log = logq.Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "tea", "cup"])
    logq.Popularity().fit(log).save(tmp_path / "items")
    logq.NGram(order=2, smoothing="add_k").fit([["a", "b"]] * 3, progress=False).save(tmp_path / "text")
    logq.KeyedVectors(["a"], np.ones((1, 2), np.float32)).save(tmp_path / "words")
    ExactIndex([[1.0, 0.0]]).save(tmp_path / "index")
    kinds = {name: type(logq.load(tmp_path / name)).__name__ for name in ("items", "text", "words", "index")}
    assert kinds == {"items": "Popularity", "text": "NGram", "words": "KeyedVectors", "index": "ExactIndex"}
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        logq.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"expected a folder with model\.safetensors, vectors\.safetensors or"):
        logq.load(tmp_path / "empty")
    RunCheckpoint(tmp_path / "empty", "Mean", {}, "").save(RunState(1))
    with pytest.raises(FileNotFoundError, match="a checkpoint is there"):
        logq.load(tmp_path / "empty")


@pytest.mark.parametrize("entry", ESTIMATORS, ids=lambda entry: entry.command)
def test_the_table_of_estimators_is_true(entry: EstimatorEntry) -> None:
    found = entry.load_class()
    assert found.__name__ == entry.class_name
    assert found.__module__ == entry.module
    assert found is getattr(logq, entry.class_name)
    assert getattr(found, "family", entry.family) == entry.family
    assert entry.summary.endswith(".")


def test_names_are_different_and_classes_are_found_by_them() -> None:
    assert len({entry.command for entry in ESTIMATORS}) == len({entry.class_name for entry in ESTIMATORS})
    assert class_of("SASRec") is class_of("SASRec", "recommender") is logq.SASRec
    assert class_of("SASRec", "language model") is None
    assert class_of("Median") is None
