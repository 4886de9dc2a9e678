"""Training from a prepared log in the order of large ones: two processes with a part each, and a stop halfway."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from logq.logs import Interactions, Sequences, epoch_batches, leave_one_out, mapped_arrays, prepare
from logq.logs.batches import own_batches
from logq.recommenders.neural import next_item_task
from logq.training.loop import Loop
from processes import doubles, together
from recommender_cases import make, planted_log

pytest.importorskip("duckdb")

BUFFER = 64
FITS: dict[str, tuple[str, dict[str, Any]]] = {
    "positions": ("SASRec", {"max_length": 3, "examples": "positions"}),
    "prefixes": ("SASRec", {"examples": "prefixes"}),
    "YoutubeDNN": ("YoutubeDNN", {}),
    "TwoTower": ("TwoTower", {"id_dropout": 0.0}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("log")
    log = planted_log(61)
    users, items = log.user_ids.keys_of(log.users).tolist(), log.item_ids.keys_of(log.items).tolist()
    rows = "".join(f"{user},{item},{time}\n" for time, (user, item) in enumerate(zip(users, items, strict=True)))
    (home / "log.csv").write_text("user,item,time\n" + rows)
    prepare(home / "log.csv", home / "parts", partitions=3, progress=False)
    return home / "parts"


def fit(name: str, folder: Path, size: int) -> dict[str, Any]:
    """The weights that one of `size` processes learns; the last step of an epoch has one example for all of them."""
    estimator, own = FITS[name]
    split = leave_one_out(Interactions.open(folder))
    count = len(Sequences(split.train, 3)) if name == "positions" else len(split.train) - split.train.num_users
    step = next(step for step in range(14, count, 2) if count % step == 1)
    options = {"seed": 3, "epochs": 2, "objective": "full_softmax", "sampler": None, "batch_size": step // size}
    model: Any = make(estimator, **{**options, **own}).fit(split, progress=False)
    return {key: value.numpy() for key, value in model.model.state_dict().items()}


def of_both(folder: Path) -> dict[str, Any]:
    next_item_task.BUFFER, mapped_arrays._FEW = BUFFER, 0  # pyright: ignore[reportPrivateUsage]
    torch.set_default_dtype(torch.float64)
    return {name: fit(name, folder, 2) for name in FITS}


def joined(
    examples: Any, batch_size: int, *, start: int, rank: int, world_size: int, buffer: int, **options: Any
) -> Iterator[dict[str, Any]]:
    """Of each step the examples of two processes, in the one that there is."""
    assert (rank, world_size, buffer) == (0, 1, BUFFER)
    size = batch_size // 2
    each = [
        epoch_batches(examples, size, start=start, rank=rank, world_size=2, buffer=buffer, **options) for rank in (0, 1)
    ]
    owns = [own_batches(len(examples), size, rank, 2, buffer=buffer) for rank in (0, 1)]
    for step, pair in enumerate(zip(*each, strict=True), start):
        batches = [batch for batch, own in zip(pair, owns, strict=True) if own(step)]
        yield {name: stacked([batch[name] for batch in batches]) for name in batches[0]}


def stacked(arrays: list[Any]) -> Any:
    if arrays[0].ndim == 1:
        return np.concatenate(arrays)
    width = max(array.shape[1] for array in arrays)
    return np.concatenate(
        [np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=-1) for array in arrays]
    )


@pytest.mark.slow
def test_two_processes_learn_from_their_parts_what_one_learns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zero, one = together(of_both, folder, seconds=400)
    monkeypatch.setattr(next_item_task, "BUFFER", BUFFER)
    monkeypatch.setattr(mapped_arrays, "_FEW", 0)
    monkeypatch.setattr(next_item_task, "epoch_batches", joined)
    with doubles():
        alone = {name: fit(name, folder, 1) for name in FITS}
    for name, weights in alone.items():
        for key, value in weights.items():
            np.testing.assert_array_equal(zero[name][key], one[name][key])
            np.testing.assert_allclose(zero[name][key], value, rtol=0, atol=1e-9, err_msg=f"{name}: {key}")


@pytest.mark.parametrize("name", ["positions", "YoutubeDNN"])
def test_goes_on_within_an_epoch_to_the_bit(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_item_task, "BUFFER", BUFFER)
    monkeypatch.setattr(mapped_arrays, "_FEW", 0)
    split = leave_one_out(Interactions.open(folder))
    estimator, own = FITS[name]
    of = {"seed": 3, "epochs": 2, "batch_size": 16, **own}
    whole = make(estimator, **of).fit(split, progress=False).model.state_dict()  # pyright: ignore
    update, stop = Loop._update, 5  # pyright: ignore[reportPrivateUsage]

    def stopped(self: Loop, batch: Any, count: int) -> Any:
        if self.step == stop:
            raise KeyboardInterrupt
        return update(self, batch, count)

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "_update", stopped)
        with pytest.raises(KeyboardInterrupt):
            make(estimator, **of).fit(split, checkpoint=tmp_path, checkpoint_minutes=0.0, progress=False)
    split = leave_one_out(Interactions.open(folder))
    assert split.train.mapped is not None
    again: Any = make(estimator, **of).fit(split, checkpoint=tmp_path, resume=True, progress=False)
    for key, value in again.model.state_dict().items():
        assert torch.equal(whole[key], value), key
