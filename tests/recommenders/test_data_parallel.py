"""Several processes train one model: each with its part of every batch and its own negatives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import spawn

import language_cases
from logq.processes import World
from logq.samplers.streams import rank_of_process
from logq.training.devices import Device
from logq.training.loop import Loop
from logq.training.optimizers import Optimizers
from recommender_cases import make, planted_split

WORLD = 2

CASES: dict[str, dict[str, Any]] = {
    "YoutubeDNN": {"seed": None, "sparse": True, "batch_size": 16},
    "SASRec": {"dropout": 0.2, "pretrain": 2, "batch_size": 3},
    "TwoTower": {"id_dropout": 0.2, "batch_size": 16},
}


def train(rank: int, folder: str) -> None:
    """What each process does: fit every case, and write what it learned and drew."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    try:
        for name, options in CASES.items():
            torch.save(one_case(name, options), f"{folder}/{name}.{rank}")
    finally:
        torch.distributed.destroy_process_group()


def one_case(name: str, options: dict[str, Any]) -> dict[str, Any]:
    model: Any = make(name, **options)
    drawn: list[torch.Tensor] = []
    users: list[torch.Tensor] = []
    make_loss, update = model._make_loss, Loop._update

    def watched(*arguments: Any) -> Any:
        loss = make_loss(*arguments)
        draw = loss.sampler.draw

        def recorded(*given: Any, **how: Any) -> Any:
            found = draw(*given, **how)
            drawn.append(found.ids.clone())
            return found

        loss.sampler.draw = recorded
        return loss

    def noted(self: Loop, arrays: Any) -> torch.Tensor:
        users.append(arrays["user"].clone())
        return update(self, arrays)

    model._make_loss = watched
    Loop._update = noted  # pyright: ignore[reportPrivateUsage]
    try:
        model.fit(planted_split(), progress=False)
    finally:
        Loop._update = update  # pyright: ignore[reportPrivateUsage]
    return {
        "weights": model.model.state_dict(),
        "drawn": drawn,
        "users": users,
        "losses": [entry["loss"] for entry in model.training_log],
        "hit_rate": model.evaluate(planted_split(), ks=(3,), exclude_seen=False, progress=False)["HR@3"],
    }


@pytest.mark.slow
def test_two_processes_learn_one_model(tmp_path: Path) -> None:
    spawn(train, args=(str(tmp_path),), nprocs=WORLD)
    for name in CASES:
        one, other = (torch.load(tmp_path / f"{name}.{rank}", weights_only=True) for rank in range(WORLD))
        assert one["weights"].keys() == other["weights"].keys()
        for key, value in one["weights"].items():
            assert torch.equal(value, other["weights"][key]), (name, key)
        assert len(one["drawn"]) == len(other["drawn"]) == len(one["users"])
        alike = [torch.equal(a, b) for a, b in zip(one["drawn"], other["drawn"], strict=True)]
        assert np.mean(alike) < 0.05
        if name == "YoutubeDNN":  # an example is an event with one before it; the processes share them
            log = planted_split().train
            epochs = len(one["losses"])
            seen = torch.cat([*one["users"], *other["users"]]).bincount()
            assert (seen == epochs * (np.bincount(log.users) - 1)).all()
        for found in (one, other):
            assert found["losses"][-1] < 0.7 * found["losses"][0]
            assert found["hit_rate"] > 0.7


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[torch.Tensor], object]]:
    """This process as the first of two; the last function of the list makes of its tensor the sum over both."""
    sums: list[Callable[[torch.Tensor], object]] = [lambda gradient: gradient.mul_(2)]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: WORLD)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, source: tensor.add_(source))
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: sums[-1](tensor))
    return sums


def test_a_sum_over_processes_with_the_same_gradients_changes_nothing(
    two_processes: list[Callable[[torch.Tensor], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[torch.Size] = []
    two_processes.append(lambda gradient: (shared.append(gradient.shape), gradient.mul_(2)))
    split = planted_split()
    model: Any = make("YoutubeDNN", epochs=1, sparse=True).fit(split, progress=False)
    assert model.item_vectors.shape in shared, "gradients of tables are dense, and shared"
    monkeypatch.setattr(Optimizers, "average_gradients", lambda self, *_: None)
    monkeypatch.setattr(type(model), "_is_sparse", lambda self, device: False)
    alone: Any = make("YoutubeDNN", epochs=1).fit(split, progress=False)
    np.testing.assert_array_equal(model.item_vectors, alone.item_vectors)


@pytest.mark.usefixtures("two_processes")
def test_what_several_processes_cannot_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint: expected none where there are several processes"):
        make("YoutubeDNN").fit(planted_split(), checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match="fit: expected one process, got 2"):
        language_cases.make("gru").fit(language_cases.TEXT, progress=False)


@pytest.mark.parametrize(("own", "first"), [(3, 7), (0.25, 0.5)])
@pytest.mark.usefixtures("two_processes")
def test_all_take_the_number_of_the_first(own: float, first: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, source: tensor.fill_(first))
    device = Device("cpu")
    assert device.world == World(1, 2, 0)
    agreed = device.agreed(own)
    assert (agreed, type(agreed)) == (first, type(own))
    assert rank_of_process() == 1
