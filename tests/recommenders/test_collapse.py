"""Trainings whose models are of no use say so after the epoch."""

import warnings
from typing import Any

import pytest
import torch

from logq.logs import Interactions
from logq.training.running_mean import TrainingWarning
from recommender_cases import NEURAL, SKIP_GRAM, make, planted_split


def told(name: str, **arguments: Any) -> list[str]:
    """What is said of a training, warnings and errors alike."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            make(name, **arguments).fit(planted_split(), progress=False)
        except FloatingPointError as error:
            return [str(error)]
    return [str(one.message) for one in caught if issubclass(one.category, TrainingWarning)]


@pytest.mark.parametrize("lr", [100.0, 1e4, 1e6])
@pytest.mark.parametrize("name", [*(name for name in NEURAL if name != "TwoTower"), "EGES", "AirbnbEmbeddings"])
def test_a_training_that_diverges_says_so(name: str, lr: float) -> None:
    found = told(name, lr=lr, epochs=2)
    assert found
    assert any("diverge" in text or "collapsed" in text for text in found)
    assert f"less than lr = {lr:g}" in found[0] or f"less than {lr:g}" in found[0]


@pytest.mark.parametrize("name", [*NEURAL, *(name for name in SKIP_GRAM if name != "Item2Vec")])
def test_a_training_that_learns_says_nothing(name: str) -> None:
    assert told(name) == []


def test_a_tower_without_life_is_said_to_have_collapsed() -> None:
    found = told("TwoTower", lr=1e5, temperature=1e-6, epochs=2, hidden=(256,), item_hidden=(256,))
    assert any("collapsed" in text or "diverge" in text for text in found)


@pytest.mark.parametrize(("part", "said"), [("watched", "all histories get the same ranking"), ("items", "all items")])
def test_it_is_said_once_what_is_alike(part: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = make("YoutubeDNN", epochs=3, hidden=())

    def flatten(step: int) -> None:
        with torch.no_grad():
            getattr(model.model, part).weight.zero_()
            for table in model.model.user_features.tables:
                table.weight.zero_()

    monkeypatch.setattr(model, "_on_batch", flatten)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(planted_split(), progress=False)
    assert len(caught) == 1
    assert str(caught[0].message).startswith(f"after epoch 1 {said}")


def test_the_progress_line_says_so_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    log = Interactions.from_sessions([["a", "b", "c"], ["b", "c", "a"]] * 20)
    with pytest.warns(TrainingWarning):
        make("YoutubeDNN", lr=100.0, epochs=2).fit(log, progress=True)
    assert "training diverging" in capsys.readouterr().err.replace("\n", " ")
