"""What every estimator has: a fit that succeeds or changes nothing, seeds, a repr, files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import logq
from logq._arguments import ArgumentError
from logq._model_file import FILE, Stored, write_stored
from logq.estimators import Family
from logq.training.checkpoint import RunCheckpoint, RunState, fingerprint
from logq.training.config import AtLeast, Help, configclass
from logq.training.estimator import FitOptions, SavedEstimator
from logq.training.options import TrainingConfig
from logq.training.seeds import Seeds, fresh_seed


@configclass
class MeanConfig(TrainingConfig):
    """Arguments."""

    digits: Annotated[int, AtLeast(0), Help("Decimals.")] = 3


class Mean(MeanConfig, SavedEstimator):
    """Learns the mean of some numbers."""

    family: ClassVar[Family] = "language model"
    mean: NDArray[np.float64]

    @property
    def is_fitted(self) -> bool:
        return hasattr(self, "mean")

    def _fitted_on(self) -> str:
        return f"{self.metadata['count']} numbers"

    def fit(
        self,
        numbers: list[float],
        *,
        on_epoch: Callable[["Mean", int], None] = lambda model, epoch: None,
        **options: Any,
    ) -> "Mean":
        chosen = FitOptions(**options)
        with self._fitting():
            self.mean, self.metadata = np.zeros(1), {"count": len(numbers)}
            checkpoint = self._checkpoint(chosen, fingerprint([], np.array(numbers)), "numbers")
            first = 0
            if chosen.resume and checkpoint.exists():
                state = checkpoint.load()
                with checkpoint.restoring():
                    first, self.mean = state.position["epoch"], state.tensors["mean"].copy()
            for epoch in range(first, self.epochs):
                self.mean = self.mean + sum(numbers) / len(numbers) / self.epochs
                on_epoch(self, epoch)
                mean = self.mean
                checkpoint.save_if_due(lambda epoch=epoch, mean=mean: RunState(5, {"epoch": epoch + 1}, {"mean": mean}))
            checkpoint.remove()
        return self

    def _free_settings(self) -> tuple[str, ...]:
        return ("digits",)

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {}, {}

    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        pass

    def state(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        if state["mean"].shape != (1,):
            raise ValueError("expected one number in 'mean'")
        self.mean = state["mean"]


# --------------------------------------------------------------------------------------------------------- rollback


class StopError(Exception):
    pass


@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt, FloatingPointError])
def test_a_fit_that_fails_changes_nothing(error: type[BaseException]) -> None:
    def stop(model: Mean, epoch: int) -> None:
        assert model.is_fitted  # callbacks see the new state
        assert model.metadata == {"count": 1}
        if epoch == 1:
            raise error

    model = Mean(epochs=3)
    with pytest.raises(error):
        model.fit([1.0], on_epoch=stop)
    assert not model.is_fitted
    assert model.metadata == {}
    with pytest.raises(AttributeError, match="Mean: it has learned nothing yet, call fit first"):
        model.save("nowhere")
    model.fit([1.0, 3.0])
    before = dict(vars(model))
    with pytest.raises(error):
        model.fit([7.0], on_epoch=stop)
    assert vars(model) == before
    assert float(model.mean[0]) == pytest.approx(2.0)


def test_repr_tells_what_differs_and_what_it_was_fitted_on() -> None:
    assert repr(Mean()) == "Mean()"
    assert repr(Mean(epochs=2, device="cpu").fit([1.0, 2.0])) == "Mean(epochs=2, fitted on 2 numbers)"


# ----------------------------------------------------------------------------------------------------------- options


def test_resume_needs_a_folder_and_minutes_are_checked() -> None:
    with pytest.raises(ArgumentError, match="resume: expected a checkpoint folder to resume from, got none"):
        Mean().fit([1.0], resume=True)
    with pytest.raises(ArgumentError, match="checkpoint_minutes: expected a finite number >= 0, got -1"):
        Mean().fit([1.0], checkpoint_minutes=-1)
    with pytest.raises(TypeError, match="resume: expected True or False"):
        Mean().fit([1.0], resume="yes")


def test_seeds_follow_from_one_and_the_rank_is_in_what_happens_while_training() -> None:
    run = fresh_seed(3)
    assert fresh_seed(3) == run != fresh_seed(4)
    assert fresh_seed(None) != fresh_seed(None)
    one, other = Seeds.of(run), Seeds.of(run, 1)
    assert (one.weights, one.batches, one.sampler) == (other.weights, other.batches, other.sampler)
    assert len({one.weights, one.batches, one.sampler, one.dropout, other.dropout}) == 5
    assert all(0 <= seed < 2**63 for seed in (*one, *other))


# -------------------------------------------------------------------------------------------------------- checkpoints


def broken_off(folder: Path, numbers: list[float], **arguments: Any) -> Mean:
    def stop(model: Mean, epoch: int) -> None:
        if epoch == 2:
            raise StopError

    model = Mean(epochs=4, **arguments)
    with pytest.raises(StopError):
        model.fit(numbers, on_epoch=stop, checkpoint=folder, checkpoint_minutes=0.0)
    return model


def test_resumed_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    broken_off(tmp_path, [1.0, 2.0])
    epochs: list[int] = []
    model = Mean(epochs=4, digits=1)
    model.fit([1.0, 2.0], on_epoch=lambda _, epoch: epochs.append(epoch), checkpoint=tmp_path, resume=True)
    assert epochs == [2, 3]
    assert model.mean == Mean(epochs=4).fit([1.0, 2.0]).mean
    assert list(tmp_path.iterdir()) == []


def test_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    broken_off(tmp_path, [1.0, 2.0])
    resumed: dict[str, Any] = {"checkpoint": tmp_path, "resume": True}
    with pytest.raises(ValueError, match=r"lr: expected 0.001, as in the checkpoint .*, got 0.5; resume with the same"):
        Mean(epochs=4, lr=0.5).fit([1.0, 2.0], **resumed)
    with pytest.raises(ValueError, match=r"numbers: expected the data that the checkpoint .* was made from, got other"):
        Mean(epochs=4).fit([1.0, 3.0], **resumed)
    checkpoint = RunCheckpoint(tmp_path, "Median", {}, "")
    with pytest.raises(ValueError, match=r"class: expected 'Mean', as in the checkpoint .*, got 'Median'"):
        checkpoint.load()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    broken_off(tmp_path, [1.0])
    path = tmp_path / "checkpoint.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    with pytest.raises(ValueError, match=r"checkpoint.safetensors: the file is damaged or truncated .*; remove it to"):
        Mean(epochs=4).fit([1.0], checkpoint=tmp_path, resume=True)
    settings = Mean(epochs=4).settings()
    state = RunState(1, {"epoch": 2}, {"other": np.zeros(1)})
    RunCheckpoint(tmp_path, "Mean", settings, fingerprint([], np.array([1.0]))).save(state)
    with pytest.raises(ValueError, match=r"checkpoint.safetensors: the checkpoint is damaged \('mean'\); remove it"):
        Mean(epochs=4).fit([1.0], checkpoint=tmp_path, resume=True)
    write_stored(path, Stored("SASRec", {"place": {}}, {}), format="logq.training_run")  # as 0.1 wrote it
    with pytest.raises(ValueError, match=r"logq 0.1 wrote this checkpoint, .*, or remove it to start afresh"):
        Mean(epochs=4).fit([1.0], checkpoint=tmp_path, resume=True)


def test_a_checkpoint_without_a_folder_does_nothing() -> None:
    checkpoint = RunCheckpoint(None, "Mean", {}, "")
    checkpoint.save_if_due(lambda: pytest.fail("a state was made"), force=True)
    checkpoint.save(RunState(1))
    checkpoint.remove()
    assert not checkpoint.exists()


def test_a_state_that_fails_leaves_the_file(tmp_path: Path) -> None:
    def diverged() -> RunState:
        raise FloatingPointError

    checkpoint = RunCheckpoint(tmp_path, "Mean", {}, "")
    checkpoint.save(RunState(1, {"epoch": 1}))
    with pytest.raises(FloatingPointError):
        checkpoint.save_if_due(diverged, force=True)
    assert checkpoint.load().position == {"epoch": 1}


def test_fingerprints_tell_data_apart() -> None:
    given = [
        fingerprint(["a", "b"]),
        fingerprint(["ab"]),
        fingerprint(["b", "a"]),
        fingerprint(["a", "b"], np.arange(3)),
        fingerprint(["a", "b"], np.arange(3, dtype=np.int32)),
        fingerprint(["a", "b"], np.arange(3), numbers=(2,)),
        fingerprint(["\ud800"]),
    ]
    assert len(set(given)) == len(given)
    assert fingerprint(["a"], np.arange(6)[::2]) == fingerprint(["a"], np.array([0, 2, 4]))


# --------------------------------------------------------------------------------------------------------------- files


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = Mean(epochs=2, digits=1).fit([1.0, 2.0])
    model.save(tmp_path)
    again = Mean.load(tmp_path, device="meta")
    assert (again.settings(), again.metadata, again.device) == (model.settings(), {"count": 2}, "meta")
    assert again.mean == model.mean


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    Mean().fit([1.0]).save(tmp_path)
    with pytest.raises(ValueError, match="expected a SASRec, the file holds a Mean"):
        logq.SASRec.load(tmp_path)
    with pytest.raises(ValueError, match="expected a recommender, the file holds a Mean"):
        logq.recommenders.Recommender.load(tmp_path)
    with pytest.raises(TypeError, match="Mean: unknown argument 'color'"):
        Mean.load(tmp_path, color="red")
    with pytest.raises(ValueError, match="holds a Mean, which logq does not have"):
        logq.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Mean.load(tmp_path / "nowhere")


def test_the_frame_loads_without_torch() -> None:
    import subprocess
    import sys

    names = "logq.estimators logq.training.estimator logq.training.options logq.training.checkpoint"
    code = (
        f"import sys, importlib; [importlib.import_module(n) for n in {names.split()}]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_files_are_not_confused(tmp_path: Path) -> None:
    write_stored(tmp_path / FILE, Stored("Mean", {}, {}), format="something else")
    with pytest.raises(ValueError, match=r"expected a file of the format 'logq.recommender' or 'logq.language_model'"):
        Mean.load(tmp_path)
