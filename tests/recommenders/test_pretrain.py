"""Models that start from the vectors of a skip-gram."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from logq.logs import Interactions
from logq.recommenders import TwoTowerEncoder, YoutubeDNNEncoder
from logq.recommenders.events.session_windows import first_vectors
from recommender_cases import ITEMS, make, planted_log, planted_split, successor

TABLES = ("watched.weight", "items.weight")


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", ["YoutubeDNN", "MIND", "SDM", "SASRec"])
def test_tables_begin_with_the_vectors(name: str, tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given = np.random.default_rng(0).normal(size=(ITEMS, 16)).astype(np.float32)
    asked: list[int] = []

    def vectors(log: Interactions, dim: int, *, epochs: int, seed: int, progress: bool | None) -> Any:
        asked.append(epochs)
        return given

    monkeypatch.setattr("logq.recommenders.neural.neural_recommender.first_vectors", vectors)
    model: Any = make(name, tied=tied, pretrain=7, epochs=1, lr=1e-12)  # so slow that nothing moves
    model.fit(planted_log(), progress=False)
    tables = {name: value for name, value in model.model.state_dict().items() if name in TABLES}
    assert asked == [7]
    assert set(tables) == set(TABLES)
    for table in tables.values():
        np.testing.assert_allclose(table.numpy(), given, atol=1e-8)
    assert (tables["watched.weight"].data_ptr() == tables["items.weight"].data_ptr()) == tied


def test_ids_of_two_towers_begin_with_vectors_of_their_width() -> None:
    model: Any = make("TwoTower", pretrain=3, epochs=1, lr=1e-12, id_dim=6)
    model.fit(planted_log(), progress=False)
    ids = model.model.ids.table.weight.detach()
    assert ids.shape == (ITEMS + 1, 6)
    assert float(ids[:-1].square().mean()) == pytest.approx(1 / 6, rel=1e-4)
    assert float(ids[-1].abs().max()) < 1e-8


def test_vectors_know_what_stands_together() -> None:
    vectors = first_vectors(planted_log(), 8, epochs=20, seed=1, progress=False)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-6)
    assert vectors.var() == pytest.approx(1 / 8, rel=1e-4)
    assert (vectors == first_vectors(planted_log(), 8, epochs=20, seed=1, progress=False)).all()
    assert (vectors != first_vectors(planted_log(), 8, epochs=20, seed=2, progress=False)).any()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = [100]
    while len(order) < ITEMS:
        order.append(100 + successor(order[-1] - 100))
    circle = unit[planted_log().item_ids.codes(order)]
    near, opposite = ((circle * np.roll(circle, steps, axis=0)).sum(axis=1).mean() for steps in (1, ITEMS // 2))
    assert near > opposite + 0.4


def test_items_without_an_event_begin_at_zero() -> None:
    log = Interactions.from_arrays([1, 1, 2, 2, 3], [5, 7, 5, 7, 9])
    vectors = first_vectors(log.select(log.users < 2), 4, epochs=2, seed=1, progress=False)
    assert (vectors[2] == 0).all()
    assert (vectors[:2] != 0).any()


def test_the_same_seed_gives_the_same_bits() -> None:
    one, other = (make("YoutubeDNN", pretrain=3, epochs=2).fit(planted_log(), progress=False) for _ in range(2))
    assert (one.item_vectors == other.item_vectors).all()
    without = make("YoutubeDNN", epochs=2).fit(planted_log(), progress=False)
    assert (one.item_vectors != without.item_vectors).any()


class BrokenOffError(Exception):
    pass


def test_a_run_that_is_resumed_is_the_run_that_was_not_broken_off(tmp_path: Path) -> None:
    def fit(model: Any, folder: Path | None, **options: Any) -> Any:
        return model.fit(planted_split(), checkpoint=folder, checkpoint_minutes=0.0, progress=False, **options)

    def stop(step: int) -> None:
        if step == 5:
            raise BrokenOffError

    whole = fit(make("YoutubeDNN", pretrain=3, epochs=2), None)
    cut: Any = make("YoutubeDNN", pretrain=3, epochs=2)
    cut._on_batch = stop
    with pytest.raises(BrokenOffError):
        fit(cut, tmp_path)
    resumed = fit(make("YoutubeDNN", pretrain=3, epochs=2), tmp_path, resume=True)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value), key


@pytest.mark.parametrize("name", ["EGES", "AirbnbEmbeddings"])
def test_models_without_a_table_refuse(name: str) -> None:
    with pytest.raises(ValueError, match=f"pretrain: expected 0, got 2; {name} has no table of items"):
        make(name, pretrain=2)


def test_vectors_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vectors: expected \(C, D\) = \(9, 4\), got \(9, 3\)"):
        YoutubeDNNEncoder(9, 4, hidden=[]).start_items_at(torch.zeros(9, 3))
    with pytest.raises(ValueError, match=r"vectors: expected \(C, D\) = \(9, 6\), got \(9, 4\)"):
        TwoTowerEncoder(9, 4, hidden=[], item_hidden=[], id_dim=6).start_items_at(torch.zeros(9, 4))
