"""Callbacks that tell other people's tools of a fit: TensorBoard, Weights & Biases, MLflow, and Optuna's pruning."""

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from logq._arguments import ArgumentError, check_int
from logq._launch import launched
from logq._project import load_optional
from logq.training.callbacks import Callback, TrainingEnd, TrainingReport

__all__ = ["MLflowTracker", "OptunaPruning", "TensorBoardTracker", "Tracker", "WandbTracker", "settings_of"]

CHOSEN = "chosen_by_fit"


def settings_of(model: Any) -> dict[str, Any]:
    """Return the settings of a model as JSON can hold them, and under "chosen_by_fit" those that were "auto", and why.

    Example:
        >>> from logq import Word2Vec
        >>> text = [["so", "far", "so", "good"]] * 9
        >>> model = Word2Vec(8, min_count=1, sample=0, seed=1).fit(text, progress=False)
        >>> settings_of(model)["num_sampled"], settings_of(model)["chosen_by_fit"]
        (5, {'num_sampled': '180 words in all epochs'})
    """
    chosen = {name: choice.reason for name, choice in getattr(model, "chosen", {}).items()}
    return {"estimator": type(model).__name__, **model.settings(), CHOSEN: chosen}


class Tracker(Callback, ABC):
    """A callback that opens a run of a tracker for each fit, writes into it, and closes it when the fit ends.

    The loss of late goes under "train/loss" by step, and what the training log has of an epoch under "epoch/..." by
    epoch. Of several processes that train together the first one writes.

    Args:
        every: how many steps lie between two losses, words for Word2Vec; 0 writes epochs only.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    Example:
        >>> class Printing(Tracker):
        ...     def _open(self, settings):
        ...         print("open", settings["estimator"])
        ...     def _write(self, group, values, number):
        ...         print(group, number, "loss" in values)
        ...     def _close(self, outcome, error):
        ...         print("close", outcome)
        >>> from logq import Word2Vec
        >>> model = Word2Vec(2, min_count=1, sample=0, epochs=1, seed=1)
        >>> _ = model.fit([["so", "far", "so", "good"]] * 9, progress=False, callbacks=Printing(every=0))
        open Word2Vec
        epoch 1 True
        close finished
    """

    def __init__(self, *, every: int = 100) -> None:
        self.every = check_int("every", every, 0)
        self._is_open = False

    @abstractmethod
    def _open(self, settings: Mapping[str, Any]) -> None:
        """Open a run; `settings` as `settings_of` has them."""

    @abstractmethod
    def _write(self, group: str, values: Mapping[str, float], number: int) -> None:
        """Write finite values of a step, where the group is "train", or of an epoch, where it is "epoch"."""

    @abstractmethod
    def _close(self, outcome: str, error: str) -> None:
        """Close the run, with the outcome of a TrainingEnd and the text of the error."""

    def on_step(self, report: TrainingReport) -> None:
        """Write the loss."""
        self._take(report, "train", {"loss": report.loss}, report.step)

    def on_epoch(self, report: TrainingReport) -> None:
        """Write the metrics."""
        values = {name: value for name, value in report.metrics.items() if name != "epoch"}
        self._take(report, "epoch", {"loss": report.loss, **values}, report.epoch)

    def on_end(self, end: TrainingEnd) -> None:
        """Write how it ended."""
        if launched().is_first:
            self._open_once(end.model)  # a model without epochs has settings too
            self._is_open = False
            self._close(end.outcome, "" if end.error is None else f"{type(end.error).__name__}: {end.error}")

    def _take(self, report: TrainingReport, group: str, values: Mapping[str, float], number: int) -> None:
        if launched().is_first:
            self._open_once(report.model)
            finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
            if finite:
                self._write(group, finite, number)

    def _open_once(self, model: Any) -> None:
        if not self._is_open:  # at the first call, when "auto" has been replaced
            self._is_open = True
            self._open(settings_of(model))


class TensorBoardTracker(Tracker):
    """Writes events that `tensorboard --logdir` shows: curves, the settings and the end as texts.

    Args:
        folder: where the file of events goes.
        every: see Tracker.

    Raises:
        ModuleNotFoundError: tensorboard is not installed.

    Example:
        >>> from logq import ALS
        >>> tracker = TensorBoardTracker("runs/als")  # doctest: +SKIP
        >>> ALS().fit(log, callbacks=tracker)  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: int = 100) -> None:
        super().__init__(every=every)
        load_optional("TensorBoardTracker", "track", "tensorboard")
        self._folder = os.fspath(folder)
        self._writer: Any = None

    def _open(self, settings: Mapping[str, Any]) -> None:
        self._writer = load_optional("TensorBoardTracker", "track", "torch.utils.tensorboard").SummaryWriter(
            self._folder
        )
        # Indented, so that it is shown as it is.
        self._writer.add_text("settings", "    " + json.dumps(settings, indent=2).replace("\n", "\n    "))

    def _write(self, group: str, values: Mapping[str, float], number: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, number)

    def _close(self, outcome: str, error: str) -> None:
        self._writer.add_text("end", f"{outcome}: {error}" if error else outcome)
        self._writer.close()


class WandbTracker(Tracker):
    """Logs to Weights & Biases; a run that is there already is used, and left open.

    Args:
        every: see Tracker.
        **init: arguments of wandb.init, such as `project`, or `mode="offline"` for a folder that `wandb sync` sends.

    Raises:
        ModuleNotFoundError: wandb is not installed.

    Example:
        >>> from logq import ALS
        >>> ALS().fit(log, callbacks=WandbTracker(project="songs", mode="offline"))  # doctest: +SKIP
    """

    def __init__(self, *, every: int = 100, **init: Any) -> None:
        super().__init__(every=every)
        self._wandb, self._init = load_optional("WandbTracker", "track", "wandb"), init
        self._run: Any = None
        self._is_ours = True

    def _open(self, settings: Mapping[str, Any]) -> None:
        self._is_ours = self._wandb.run is None
        self._run = self._wandb.init(**self._init) if self._is_ours else self._wandb.run
        self._run.config.update(dict(settings), allow_val_change=True)
        for group, axis in (("train", "step"), ("epoch", "epoch")):
            self._run.define_metric(f"{group}/*", step_metric=axis)

    def _write(self, group: str, values: Mapping[str, float], number: int) -> None:
        axis = "step" if group == "train" else "epoch"
        self._run.log({**{f"{group}/{name}": value for name, value in values.items()}, axis: number})

    def _close(self, outcome: str, error: str) -> None:
        self._run.summary.update({"outcome": outcome, **({"error": error} if error else {})})
        if self._is_ours:
            self._run.finish(exit_code=1 if error else 0)


class MLflowTracker(Tracker):
    """Logs to MLflow, where mlflow.set_tracking_uri says; an active run is used, and left open.

    Names have "_at_" instead of "@", which MLflow does not take: "epoch/ndcg_at_10".

    Args:
        every: see Tracker.
        **start: arguments of mlflow.start_run, such as `run_name`.

    Raises:
        ModuleNotFoundError: mlflow is not installed.

    Example:
        >>> from logq import ALS
        >>> ALS().fit(log, callbacks=MLflowTracker(run_name="first try"))  # doctest: +SKIP
    """

    STATUS: ClassVar = {"finished": "FINISHED", "stopped": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}

    def __init__(self, *, every: int = 100, **start: Any) -> None:
        super().__init__(every=every)
        self._mlflow, self._start = load_optional("MLflowTracker", "track", "mlflow"), start
        self._is_ours = True

    def _open(self, settings: Mapping[str, Any]) -> None:
        self._is_ours = self._mlflow.active_run() is None
        if self._is_ours:
            self._mlflow.start_run(**self._start)
        plain = dict(settings)
        self._mlflow.set_tag(CHOSEN, json.dumps(plain.pop(CHOSEN)))
        self._mlflow.log_params({name: json.dumps(value).strip('"') for name, value in plain.items()})

    def _write(self, group: str, values: Mapping[str, float], number: int) -> None:
        named = {f"{group}/{name}".replace("@", "_at_"): value for name, value in values.items()}
        self._mlflow.log_metrics(named, step=number)

    def _close(self, outcome: str, error: str) -> None:
        self._mlflow.set_tags({"outcome": outcome, **({"error": error} if error else {})})
        if self._is_ours:
            self._mlflow.end_run(self.STATUS[outcome])


class OptunaPruning(Callback):
    """Reports a metric to a trial of Optuna after each epoch that has it, and ends the fit where it is to be pruned.

    The fit then raises optuna.TrialPruned, which Optuna waits for. `logq.tune` does all this by itself.

    Args:
        trial: of the objective function.
        monitor: the metric, such as "ndcg@10".

    Raises:
        ModuleNotFoundError: optuna is not installed; fit raises ArgumentError at its end where no epoch had the metric.

    Example:
        >>> from logq import SASRec
        >>> def objective(trial):
        ...     model = SASRec(lr=trial.suggest_float("lr", 1e-4, 1e-2, log=True))
        ...     model.fit(split, callbacks=OptunaPruning(trial, "ndcg@10"))
        ...     return max(entry.get("ndcg@10", 0.0) for entry in model.training_log)
    """

    def __init__(self, trial: Any, monitor: str) -> None:
        self._trial, self._monitor = trial, monitor
        self._pruned = load_optional("OptunaPruning", "tune", "optuna").TrialPruned
        self._seen: set[str] = set()
        self._has_reported = False

    def on_epoch(self, report: TrainingReport) -> None:
        """Report the metric.

        Raises:
            TrialPruned: the trial is not worth going on with.
        """
        self._seen |= set(report.metrics)
        if self._monitor in report.metrics:
            self._has_reported = True
            self._trial.report(report.metrics[self._monitor], report.epoch)
            if self._trial.should_prune():
                raise self._pruned(f"{self._monitor} {report.metrics[self._monitor]:.4g} in epoch {report.epoch}")

    def on_end(self, end: TrainingEnd) -> None:
        """Check that the metric was there at all.

        Raises:
            ArgumentError: it was not.
        """
        if end.error is None and not self._has_reported:
            raise ArgumentError("monitor", f"one of {', '.join(sorted(self._seen)) or 'the metrics'}", self._monitor)
