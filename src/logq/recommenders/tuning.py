"""`tune`: a search over the settings of a recommender, by validation alone, with Optuna."""

import contextlib
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentError, ArgumentTypeError, BadArgumentError, Verbatim, check_int
from logq._files import atomic_write
from logq._progress import Progress
from logq._project import load_optional
from logq.estimators import class_of
from logq.logs.splits import Split
from logq.recommenders.ranking.ranker import EvaluationWarning
from logq.recommenders.ranking.recommender import Recommender
from logq.recommenders.ranking.validation_test import validation_test
from logq.recommenders.search_space import search_space, suggest
from logq.tables.notebook_html import result_html
from logq.tables.short_texts import result_text
from logq.training.checkpoint import fingerprint
from logq.training.config_fields import Option, TriedValues
from logq.training.phases import TimeBudget
from logq.training.running_mean import TrainingWarning

__all__ = ["Trial", "Tuning", "tune"]

BEST, TRIALS = "best.toml", "trials.jsonl"
"""Files of a search: the best settings, as `logq train --recipe` reads them, and all trials."""

WHOLE_TRIALS, WHOLE_EPOCHS = 4, 2
"""The first trials are never stopped early, and no other before so many epochs."""

CUT = 0.9
"""A trial that took this share of the time that was left was ended by the time, not by its own rules."""


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Args:
        number: from 0, which is that of the settings as they were given.
        value: of the metric: its best on validation; None where there is none.
        state: "complete", "pruned" where it was stopped early or went wrong, or "fail" where the search ended
            in the midst of it.
        settings: that the search chose.
        epochs: how many were trained; 0 for models without epochs.
        seconds: that it took.
        error: what was wrong with the settings, or "".

    Example:
        >>> Trial(1, 0.2, "complete", {"lr": 0.01}).value
        0.2
    """

    number: int
    value: float | None
    state: str
    settings: Mapping[str, Any]
    epochs: int = 0
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes:
        estimator: the name of the class.
        monitor: the metric of validation.
        given: the settings that were given, the same for all trials.
        trials: all of them, in order.

    Example:
        >>> trials = [Trial(0, 0.1, "complete", {}), Trial(1, 0.2, "complete", {"lr": 0.01})]
        >>> tuning = Tuning("SASRec", "ndcg@10", {"dim": 32}, trials)
        >>> tuning.best.number, tuning.settings
        (1, {'dim': 32, 'lr': 0.01})
    """

    estimator: str
    monitor: str
    given: Mapping[str, Any]
    trials: Sequence[Trial]

    @property
    def best(self) -> Trial:
        """The best of those that are complete.

        Raises:
            ValueError: none is.
        """
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        if not complete:
            raise ValueError("trials: none is complete, so that there are no best settings")
        return max(complete, key=lambda trial: trial.value or 0.0)

    @property
    def settings(self) -> dict[str, Any]:
        """The best settings: arguments of the estimator."""
        return {**self.given, **self.best.settings}

    def to_columns(self) -> dict[str, list[Any]]:
        """Return the columns that `logq.to_frame` makes a table of: a row for each trial, with its settings."""
        settings = dict.fromkeys(name for trial in self.trials for name in trial.settings)
        before, after = ("number", "state", "value"), ("epochs", "seconds", "error")
        return {
            **{name: [getattr(trial, name) for trial in self.trials] for name in before},
            **{name: [trial.settings.get(name) for trial in self.trials] for name in settings},
            **{name: [getattr(trial, name) for trial in self.trials] for name in after},
        }

    def __repr__(self) -> str:
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        best = f"best {self.monitor} {self.best.value:.4f}" if complete else f"no {self.monitor} yet"
        return result_text(self, self.estimator, f"{len(self.trials)} trials", best)

    _repr_html_ = result_html

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the best settings as a TOML file, which `logq train --recipe` reads.

        Raises:
            ValueError: no trial is complete.
            OSError: the file cannot be written.
        """
        best = self.best
        about = f"the best of {len(self.trials)} trials: {self.monitor} {best.value:.4f} on validation"
        lines = [f"estimator = {json.dumps(self.estimator)}", f"about = {json.dumps(about)}", "", "[settings]"]
        kind = class_of(self.estimator)
        options: Mapping[str, Option] = {} if kind is None else kind.options()
        for name, value in self.settings.items():
            # TOML has no None: the number that is typed for it, or nothing where that is not needed.
            none = options[name].help.none if name in options else ""
            text = none if value is None else json.dumps(_plain(value))
            lines += [f"{name} = {text}"] if text else []
        with atomic_write(path) as file:
            file.write("\n".join([*lines, ""]).encode())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# --------------------------------------------------------------------------------------------------------- the search


def tune(
    estimator: type[Recommender],
    split: Split,
    *,
    trials: int = 20,
    minutes: float | None = None,
    trial_minutes: float | None = None,
    settings: Mapping[str, Any] | None = None,
    search: Mapping[str, Any] | None = None,
    seed: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Tuning:
    """Search for good settings of a recommender: train it with some, see what validation says, and choose others.

    The first trial has the settings as they are; the next ones are drawn at random, and later ones by a
    tree-structured Parzen estimator, which prefers what was better. A trial whose validations are below the median of
    those before it after as many epochs is stopped. Nothing reads the test part of the split.

    Args:
        estimator: the class, such as SASRec.
        split: what to train on and to measure by; of its parts only `train` and `validation` are used.
        trials: how many there are in all, with those of a search that is continued.
        minutes: time budget of the whole search, which is kept; None for no limit.
        trial_minutes: time budget of each trial, for models that train in epochs; None for no limit.
        settings: that stay as they are in all trials, such as {"epochs": 50}.
        search: what to try besides or instead of what the estimator names itself; see `search_space`.
        seed: of the search and of each trial; None takes one from the operating system.
        folder: where all trials are kept, in `trials.jsonl`, and the best settings so far, in `best.toml`.
        resume: go on with the search in the folder.
        progress: as for `fit`.

    Returns:
        Tuning: `settings` are the best ones.

    Raises:
        ModuleNotFoundError: the extra `tune` is not installed.
        ArgumentError, ArgumentTypeError: an argument is not as described, or the folder has a search already, or one
            over other data or settings.

    References:
        Akiba et al., Optuna, KDD 2019, arXiv:1907.10902. Bergstra et al., Algorithms for Hyper-Parameter Optimization,
        NeurIPS 2011.

    Example:
        >>> from logq import Interactions, ItemKNN
        >>> from logq.logs import leave_one_out
        >>> split = leave_one_out(Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8))
        >>> tune(ItemKNN, split, trials=2, seed=1, progress=False).settings  # doctest: +SKIP
        {'neighbors': 68, 'shrinkage': 144.06}
    """
    optuna = load_optional("tune", "tune", "optuna")
    budget = TimeBudget(minutes)
    if not isinstance(split, Split):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError("split", "a Split", split)
    if split.validation is None:
        hint = "leave_one_out and split_by_time make one"
        raise ArgumentError("split", "a validation part to choose settings by", Verbatim("none"), hint)
    check_int("trials", trials)
    given = dict(settings or {})
    space = search_space(estimator, given, search)
    asked = _Question(estimator, split, given, space, trial_minutes, seed, budget)
    plan = {
        "estimator": estimator.__name__,
        "settings": given,
        "search": {name: str(one) for name, one in space.items()},
        "data": fingerprint([split.log.fingerprint()], split.part),
    }
    with _quiet(optuna):
        study = _study(optuna, folder, resume, seed, plan)
        if not any(one.user_attrs.get("as_given") and one.state.name != "FAIL" for one in study.trials):
            study.enqueue_trial({}, user_attrs={"as_given": True})
        home = None if folder is None else Path(folder)

        def found() -> Tuning:
            listed = [_trial_of(one) for one in study.trials if one.state.name != "WAITING"]
            return Tuning(estimator.__name__, asked.monitor, given, listed)

        def keep(*_: object) -> None:
            with contextlib.suppress(ValueError):  # nothing is complete yet
                if home is not None:
                    found().write(home / BEST)

        done = sum(one.state.is_finished() for one in study.trials)
        with Progress(trials, "trials", f"tuning {estimator.__name__}", progress, limit=budget) as bar:
            bar.advance(done)
            for _ in range(trials - done):
                if budget.left <= 0:
                    break
                study.optimize(lambda trial: asked.answer(optuna, trial, bar), n_trials=1, callbacks=[keep])
                bar.advance(1)
        return found()


class _Question:
    """What a trial asks: how good are these settings?"""

    def __init__(
        self,
        estimator: type[Recommender],
        split: Split,
        given: Mapping[str, Any],
        space: Mapping[str, TriedValues],
        trial_minutes: float | None,
        seed: int | None,
        budget: TimeBudget,
    ) -> None:
        self._estimator, self._split, self._given, self._space = estimator, split, given, space
        self._options, self._budget = estimator.options(), budget
        self._trial_minutes, self._seed = trial_minutes, seed
        self.monitor = str(getattr(estimator.from_settings(given), "monitor", "ndcg@10"))

    def answer(self, optuna: Any, trial: Any, bar: Progress) -> float:
        """Train with what is suggested, and return what validation says."""
        as_given = bool(trial.user_attrs.get("as_given"))
        space = {} if as_given else self._space
        chosen = {name: suggest(trial, name, self._options[name], values) for name, values in space.items()}
        left, began = self._budget.left, time.monotonic()
        seen: list[float] = []

        def on_epoch(entry: Mapping[str, float]) -> None:
            trial.set_user_attr("epochs", int(entry["epoch"]))
            if self.monitor not in entry:
                return
            seen.append(entry[self.monitor])
            trial.report(seen[-1], int(entry["epoch"]))
            bar.advance(0, trial=trial.number, epoch=int(entry["epoch"]), **{self.monitor: seen[-1]})
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            model = self._model(chosen, left)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TrainingWarning)
                warnings.simplefilter("ignore", EvaluationWarning)
                model.fit(self._split, progress=False, on_epoch=on_epoch)
                value = max(seen) if seen else self._measured(model)
        except (BadArgumentError, FloatingPointError) as error:
            if as_given and not isinstance(error, FloatingPointError):
                raise
            trial.set_user_attr("error", str(error))
            raise optuna.TrialPruned from error
        if not as_given and time.monotonic() - began >= CUT * left:
            trial.set_user_attr("error", "the time was up")
            raise optuna.TrialPruned
        bar.advance(0, best=max([value, *_values(trial.study)]))
        return value

    def _model(self, chosen: Mapping[str, Any], left: float) -> Recommender:
        settings = {**self._given, **chosen}
        limits = [one for one in (self._trial_minutes, settings.get("minutes"), left / 60) if one is not None]
        if "minutes" in self._options and math.isfinite(min(limits)):
            settings["minutes"] = max(min(limits), 1e-6)
        if "refit" in self._options:
            settings["refit"] = False  # whose second training has nothing to be measured by
        if "seed" in self._options and self._seed is not None:
            settings.setdefault("seed", self._seed)
        return self._estimator.from_settings(settings)

    def _measured(self, model: Recommender) -> float:
        metric, _, k = self.monitor.partition("@")
        assert self._split.validation is not None
        seen = bool(getattr(model, "exclude_seen", True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EvaluationWarning)
            history = self._split.history("validation")
            test = validation_test(model, self._split.validation, history, exclude_seen=seen)
        return test.measure(model, int(k), resamples=0)[f"{metric.upper()}@{k}"]


def _values(study: Any) -> list[float]:
    return [one.value for one in study.trials if one.state.name == "COMPLETE"]


def _trial_of(one: Any) -> Trial:
    reported = one.intermediate_values.values()
    value = one.value if one.state.name == "COMPLETE" else max(reported, default=None)
    return Trial(
        one.number,
        value,
        one.state.name.lower(),
        dict(one.params),
        int(one.user_attrs.get("epochs", 0)),
        0.0 if one.duration is None else one.duration.total_seconds(),
        str(one.user_attrs.get("error", "")),
    )


@contextlib.contextmanager
def _quiet(optuna: Any) -> Generator[None, None, None]:
    """A block in which Optuna logs warnings only."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _study(
    optuna: Any, folder: str | os.PathLike[str] | None, resume: bool, seed: int | None, plan: Mapping[str, Any]
) -> Any:
    """The study, of a folder the one that it has."""
    make: Callable[..., Any] = optuna.create_study
    pruner = optuna.pruners.MedianPruner(n_startup_trials=WHOLE_TRIALS, n_warmup_steps=WHOLE_EPOCHS)
    if folder is None:
        if resume:
            raise ArgumentError("resume", "a folder with a search to continue", Verbatim("none"))
        return make(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner, direction="maximize")
    path = Path(folder) / TRIALS
    if path.exists() and not resume:
        hint = "resume=True (--resume) continues it"
        raise ArgumentError("folder", "one without a search", Verbatim(f"{path}"), hint)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = optuna.storages.journal
    backend = journal.JournalFileBackend(str(path), lock_obj=journal.JournalFileOpenLock(str(path)))
    storage = optuna.storages.JournalStorage(backend)
    study = make(storage=storage, study_name="logq", load_if_exists=True, pruner=pruner, direction="maximize")
    # Trials after an interruption are not to be those before it again.
    study.sampler = optuna.samplers.TPESampler(seed=None if seed is None else seed + len(study.trials))
    plain = json.loads(json.dumps(plan, default=str))
    before = study.user_attrs.get("plan")
    if before is None:
        study.set_user_attr("plan", plain)
    elif before != plain:
        name = next(name for name in plain if before.get(name) != plain[name])
        expected = "the same as in the search that is continued"
        raise ArgumentError("split" if name == "data" else name, expected, Verbatim("another"))
    for one in study.trials:
        if one.state.name == "RUNNING":  # when the search was killed
            study.tell(one.number, state=optuna.trial.TrialState.FAIL)
    return study
