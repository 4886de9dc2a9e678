"""A run that is broken off and resumed ends with the bits of one that was not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.training.checkpoint import FILE, RunCheckpoint, RunState
from recommender_cases import make, planted_log, planted_split


class BrokenOffError(Exception):
    pass


def break_after(model: Any, steps: int) -> None:
    def stop(step: int) -> None:
        if step == steps:
            raise BrokenOffError

    model._on_batch = stop


def fit(model: Any, folder: Path | None = None, **options: Any) -> Any:
    return model.fit(planted_split(), checkpoint=folder, checkpoint_minutes=0.0, progress=False, **options)


def weights(model: Any) -> dict[str, Any]:
    return {name: value.numpy() for name, value in model.model.state_dict().items()}


OPTIONS: dict[str, dict[str, Any]] = {
    "YoutubeDNN": {"ema": 0.9, "clip": 1.0, "patience": 2, "dropout": 0.2},
    "SASRec": {"dropout": 0.3, "decay": "cosine", "warmup": 3, "crop": 0.5, "mask": 0.2},
    # Nothing is learned, so that patience ends after the second epoch: the third one is the cooldown.
    "MIND": {"objective": "gbce", "sampler": "uniform", "patience": 1, "cooldown": 0.5, "monitor": "hr@1", "lr": 1e-9},
    "SDM": {"objective": "full_softmax", "user_vectors": True},
    "TwoTower": {"sampler": "in_batch", "id_dropout": 0.3, "sparse": True},
}


@pytest.mark.parametrize("steps", [1, 8, 11, 20])
@pytest.mark.parametrize("name", OPTIONS)
def test_goes_on_to_the_same_bits(name: str, steps: int, tmp_path: Path) -> None:
    options = {**OPTIONS[name], "epochs": 3, "batch_size": 6 if name == "SASRec" else 32}
    whole = fit(make(name, **options))
    cut = make(name, **options)
    break_after(cut, steps)
    with pytest.raises(BrokenOffError):
        fit(cut, tmp_path)
    assert (tmp_path / FILE).exists()
    resumed = fit(make(name, **options), tmp_path, resume=True)
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(weights(resumed)[key], value, err_msg=key)
    timeless = [{k: v for k, v in entry.items() if k != "samples_per_second"} for entry in whole.training_log]
    again = [{k: v for k, v in entry.items() if k != "samples_per_second"} for entry in resumed.training_log]
    assert again == timeless
    assert not (tmp_path / FILE).exists()


def test_a_memory_of_earlier_batches_goes_on(tmp_path: Path) -> None:
    """With the vectors that it has, which are older than the weights."""
    options = {"sampler": "cross_batch", "num_sampled": 48, "epochs": 2, "batch_size": 32, "id_dropout": 0.3}
    whole = fit(make("TwoTower", **options))
    cut = make("TwoTower", **options)
    break_after(cut, 5)
    with pytest.raises(BrokenOffError):
        fit(cut, tmp_path)
    assert (fit(make("TwoTower", **options), tmp_path, resume=True).item_vectors == whole.item_vectors).all()
    assert (fit(make("TwoTower", **options | {"sampler": "in_batch"})).item_vectors != whole.item_vectors).any()


def test_a_seed_from_the_system_is_resumed_too(tmp_path: Path) -> None:
    cut = make("YoutubeDNN", epochs=2, seed=None)
    break_after(cut, 12)
    with pytest.raises(BrokenOffError):
        fit(cut, tmp_path)
    kept = (tmp_path / FILE).read_bytes()
    one = fit(make("YoutubeDNN", epochs=2, seed=None), tmp_path, resume=True)
    (tmp_path / FILE).write_bytes(kept)
    other = fit(make("YoutubeDNN", epochs=2, seed=None), tmp_path, resume=True)
    assert (one.item_vectors == other.item_vectors).all()


def test_ctrl_c_saves(tmp_path: Path) -> None:
    model = make("YoutubeDNN", epochs=2)

    def stop(step: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    model._on_batch = stop  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(KeyboardInterrupt):
        model.fit(planted_split(), checkpoint=tmp_path, checkpoint_minutes=1e6, progress=False)
    resumed = fit(make("YoutubeDNN", epochs=2), tmp_path, resume=True)
    assert (resumed.item_vectors == fit(make("YoutubeDNN", epochs=2)).item_vectors).all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = make("YoutubeDNN", epochs=2)
    break_after(model, 3)
    with pytest.raises(BrokenOffError):
        fit(model, tmp_path)
    return tmp_path


def test_other_settings_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"lr: expected 0.02, as in the checkpoint .*, got 0.01; resume with"):
        fit(make("YoutubeDNN", epochs=2, lr=0.01), folder, resume=True)
    with pytest.raises(ValueError, match=r"class: expected 'YoutubeDNN', as in the checkpoint .*, got 'SASRec'"):
        fit(make("SASRec"), folder, resume=True)


def test_more_epochs_are_allowed_while_the_rate_is_constant(folder: Path) -> None:
    assert len(fit(make("YoutubeDNN", epochs=3), folder, resume=True).training_log) == 3


def test_another_log_is_refused(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"log: expected the data that the checkpoint .* was made from, got other data"
    ):
        make("YoutubeDNN", epochs=2).fit(planted_log(), checkpoint=folder, resume=True, progress=False)


def test_a_damaged_one_is_refused(folder: Path) -> None:
    file = folder / FILE
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match="damaged or truncated"):
        fit(make("YoutubeDNN", epochs=2), folder, resume=True)


def test_without_a_checkpoint_resume_starts(tmp_path: Path) -> None:
    started = fit(make("YoutubeDNN", epochs=1), tmp_path, resume=True)
    assert isinstance(started, NeuralRecommender)


def test_starts_of_torchrun_are_told_apart_though_all_are_called_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = RunCheckpoint(tmp_path, "Mean", {}, "")

    def started(folder: str, attempt: int, run: str = "none") -> None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run)
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", f"/tmp/torchelastic_x/{folder}/attempt_{attempt}/0/error.json")

    started("none_one", 0)
    checkpoint.save(RunState(7, {"epoch": 2}))
    started("none_one", 1)
    assert checkpoint.resumed(False, restarted=True) is not None
    started("none_two", 1)
    assert checkpoint.resumed(False, restarted=True) is None
    started("job_one", 0, "job")
    checkpoint.save(RunState(7, {"epoch": 2}))
    started("job_two", 1, "job")  # another machine may have become the first
    assert checkpoint.resumed(False, restarted=True) is not None
