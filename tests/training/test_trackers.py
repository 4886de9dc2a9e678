"""TensorBoard, Weights & Biases, MLflow and Optuna are told of fits for real: each reads what was written for it."""

import json
import math
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import logq
from logq._arguments import ArgumentError
from logq.logs import leave_one_out
from logq.training import MLflowTracker, OptunaPruning, TensorBoardTracker, Tracker, WandbTracker
from logq.training.callbacks import Callback, CallbackRun, StopTraining

# Theirs, of their own.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOG = logq.Interactions.from_sessions([["tea", "milk", "cup", "nut"], ["milk", "cup", "nut", "tea"]] * 4)
SPLIT = leave_one_out(LOG)


def made(**changes: Any) -> logq.YoutubeDNN:
    settings: dict[str, Any] = {"dim": 4, "hidden": (4,), "epochs": 3, "batch_size": 4, "num_sampled": 2, "seed": 1}
    return logq.YoutubeDNN(**{**settings, "patience": None, "validate_every": 1, "monitor": "ndcg@2", **changes})


class StopAfter(Callback):
    def __init__(self, epoch: int, error: type[BaseException] = StopTraining) -> None:
        self.epoch, self.error = epoch, error

    def on_epoch(self, report: Any) -> None:
        if report.epoch == self.epoch:
            raise self.error("enough")


def needs(module: str) -> Any:
    return pytest.importorskip(module, reason=f"{module} is not installed (extra track)")


def expected_epochs(model: logq.YoutubeDNN, name: str) -> list[tuple[int, float]]:
    return [(int(entry["epoch"]), entry[name]) for entry in model.training_log]


def test_tensorboard_reads_curves_settings_and_the_end(tmp_path: Path) -> None:
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = made()
    model.fit(SPLIT, progress=False, callbacks=TensorBoardTracker(tmp_path / "first", every=1))
    found = EventAccumulator(str(tmp_path / "first"))
    found.Reload()
    for name in ("loss", "ndcg@2"):
        written = [(event.step, event.value) for event in found.Scalars(f"epoch/{name}")]
        assert written == [(epoch, pytest.approx(value, rel=1e-6)) for epoch, value in expected_epochs(model, name)]
    steps = [event.step for event in found.Scalars("train/loss")]
    assert steps == sorted(steps)
    assert len(steps) > 3
    texts = {tag: found.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in found.Tags()["tensors"]}
    settings = json.loads(texts["settings/text_summary"])
    assert settings["estimator"] == "YoutubeDNN"
    assert settings["dim"] == 4
    assert settings["dropout"] == model.dropout != "auto"
    assert settings["chosen_by_fit"] == {name: choice.reason for name, choice in model.chosen.items()} != {}
    assert texts["end/text_summary"] == "finished"
    tracker = TensorBoardTracker(tmp_path / "second", every=0)
    with pytest.raises(OSError, match="enough"):
        made().fit(SPLIT, progress=False, callbacks=[tracker, StopAfter(2, OSError)])
    found = EventAccumulator(str(tmp_path / "second"))
    found.Reload()
    assert found.Tags()["scalars"] == [name for name in found.Tags()["scalars"] if name.startswith("epoch/")] != []
    assert found.Tensors("end/text_summary")[0].tensor_proto.string_val == [b"failed: OSError: enough"]


def test_mlflow_has_params_metrics_and_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = needs("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    mlflow.set_experiment("items")
    client = mlflow.MlflowClient()

    def runs() -> dict[str, Any]:
        home = client.get_experiment_by_name("items").experiment_id
        return {run.info.run_name: run for run in client.search_runs([home])}

    model = made()
    model.fit(SPLIT, progress=False, callbacks=MLflowTracker(every=1, run_name="first"))
    run = runs()["first"]
    assert run.info.status == "FINISHED"
    assert run.data.params["estimator"] == "YoutubeDNN"
    assert run.data.params["dim"] == "4"
    assert run.data.params["dropout"] == str(model.dropout)
    assert json.loads(run.data.tags["chosen_by_fit"]) == {name: one.reason for name, one in model.chosen.items()}
    history = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "epoch/ndcg_at_2")]
    assert history == [(epoch, pytest.approx(value)) for epoch, value in expected_epochs(model, "ndcg@2")]
    assert client.get_metric_history(run.info.run_id, "train/loss")
    for name, error, status, outcome in (
        ("stopped", StopTraining, "FINISHED", "stopped"),
        ("killed", KeyboardInterrupt, "KILLED", "interrupted"),
        ("failed", OSError, "FAILED", "failed"),
    ):
        callbacks = [MLflowTracker(every=0, run_name=name), StopAfter(1, error)]
        if error is StopTraining:
            made().fit(SPLIT, progress=False, callbacks=callbacks)
        else:
            with pytest.raises(error):
                made().fit(SPLIT, progress=False, callbacks=callbacks)
        run = runs()[name]
        assert (run.info.status, run.data.tags["outcome"]) == (status, outcome)
    with mlflow.start_run(run_name="ours"):
        logq.Popularity().fit(LOG, callbacks=MLflowTracker())
        assert mlflow.active_run() is not None
    assert runs()["ours"].data.tags["outcome"] == "finished"  # of a model without epochs too


def test_wandb_writes_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = needs("wandb")
    for name in ("WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    kept: dict[str, Any] = {}

    class Look(WandbTracker):
        def _close(self, outcome: str, error: str) -> None:
            super()._close(outcome, error)
            kept.update(config=dict(self._run.config), folder=self._run.dir)

    model = made()
    model.fit(SPLIT, progress=False, callbacks=Look(every=1, project="items", mode="offline", dir=str(tmp_path)))
    assert wandb.run is None
    assert kept["config"]["estimator"] == "YoutubeDNN"
    assert kept["config"]["dropout"] == model.dropout
    assert kept["config"]["chosen_by_fit"] == {name: one.reason for name, one in model.chosen.items()}
    file = next(Path(kept["folder"]).parent.glob("*.wandb"))
    until = time.monotonic() + 30  # its own process writes the end
    while (found := written(file))[2] < 0 and time.monotonic() < until:
        time.sleep(0.1)
    rows, summary, code = found
    assert summary["outcome"] == "finished"
    assert code == 0
    for name in ("loss", "ndcg@2"):
        epochs = [(int(row["epoch"]), row[f"epoch/{name}"]) for row in rows if f"epoch/{name}" in row]
        assert epochs == [(epoch, pytest.approx(value)) for epoch, value in expected_epochs(model, name)]
    assert len([row for row in rows if "train/loss" in row]) > 3


def written(file: Path) -> tuple[list[dict[str, Any]], dict[str, Any], int]:
    """The rows that an offline run has logged, its summary and its exit code, from the file that `wandb sync` sends."""
    from wandb.proto.wandb_internal_pb2 import Record

    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    code = -1

    def values(items: Any) -> dict[str, Any]:
        return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}

    for message in messages(file.read_bytes()):
        record = Record()
        record.ParseFromString(message)
        rows += [values(record.history.item)] if record.HasField("history") else []
        summary |= values(record.summary.update) if record.HasField("summary") else {}
        code = record.exit.exit_code if record.HasField("exit") else code
    return rows, summary, code


def messages(data: bytes) -> Iterator[bytes]:
    """Of a file in the format of LevelDB's log: blocks of 32 KB with parts of messages, behind 7 bytes."""
    place, message = 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        message += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield message
            message = b""


def test_optuna_prunes_a_fit() -> None:
    optuna = needs("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> float:
        model = made(lr=(0.02, 1e-9)[trial.number])
        model.fit(SPLIT, progress=False, callbacks=OptunaPruning(trial, "ndcg@2"))
        return model.training_log[-1]["ndcg@2"]

    class After(optuna.pruners.BasePruner):
        def prune(self, study: Any, trial: Any) -> bool:
            return trial.number == 1 and trial.last_step == 2

    study = optuna.create_study(direction="maximize", pruner=After())
    study.optimize(objective, n_trials=2)
    assert [one.state.name for one in study.trials] == ["COMPLETE", "PRUNED"]
    assert [len(one.intermediate_values) for one in study.trials] == [3, 2]
    with pytest.raises(ArgumentError, match=r"monitor: expected one of .*loss.*, got 'ndcg@7'"):
        made().fit(SPLIT, progress=False, callbacks=OptunaPruning(study.ask(), "ndcg@7"))


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [
        (lambda: TensorBoardTracker("x"), "tensorboard", "track"),
        (WandbTracker, "wandb", "track"),
        (MLflowTracker, "mlflow", "track"),
        (lambda: OptunaPruning(None, "loss"), "optuna", "tune"),
    ],
)
def test_what_is_missing_is_named(
    make: Callable[[], Callback], module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {module}: pip install 'logq\[{extra}\]'"):
        make()


def test_only_the_first_process_writes_and_numbers_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept(Tracker):
        def __init__(self, every: int = 1) -> None:
            super().__init__(every=every)
            self.rows: list[Any] = []

        def _open(self, settings: Any) -> None:
            self.rows.append(settings["estimator"])

        def _write(self, group: str, values: Any, number: int) -> None:
            self.rows.append((group, dict(values), number))

        def _close(self, outcome: str, error: str) -> None:
            self.rows.append(outcome)

    def told() -> list[Any]:
        kept = Kept()
        run = CallbackRun(kept, logq.Popularity())
        with run.ending():
            run.steps_done(0, 1, math.nan)
            run.steps_done(0, 2, 2.0)
            run.epoch_done(1, 2, {"epoch": 1, "loss": 1.5, "recall@5": math.inf})
        return kept.rows

    assert told() == ["Popularity", ("train", {"loss": 2.0}, 2), ("epoch", {"loss": 1.5}, 1), "finished"]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert told() == []
    with pytest.raises(ArgumentError, match="every: expected an integer >= 0, got -1"):
        Kept(every=-1)
