"""Callbacks: what is called while an estimator is fitted, and how it ends the training."""

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from logq._arguments import ArgumentError, ArgumentTypeError, check_bool, check_int
from logq._warnings import warn
from logq.training.validations import Validations

__all__ = [
    "Callback",
    "CallbackRun",
    "Callbacks",
    "EarlyStopping",
    "Learned",
    "StopTraining",
    "TrainingEnd",
    "TrainingReport",
]


class StopTraining(Exception):  # noqa: N818 - an instruction, like KeyboardInterrupt
    """Raised by a callback: training ends, and `fit` returns with what was learned until then.

    Anything else that a callback raises ends the fit as an error, and the model is what it was before.

    Example:
        >>> from logq import Word2Vec
        >>> def until_good_enough(report):
        ...     if report.loss < 10:
        ...         raise StopTraining
        >>> model = Word2Vec(dim=2, min_count=1, sample=0, epochs=9, seed=1)
        >>> model.fit([["so", "far", "so", "good"]] * 9, progress=False, callbacks=until_good_enough).epochs_done
        1
    """


@dataclass(frozen=True)
class Learned:
    """What a model has learned after an epoch, for those who may want it back.

    Args:
        copy: returns copies of its weights by name.
        reached: the part of the schedule that is done.

    Example:
        >>> Learned(lambda: {"weight": [0.5]}).copy()
        {'weight': [0.5]}
    """

    copy: Callable[[], dict[str, Any]]
    reached: float = 0.0


@dataclass(frozen=True)
class TrainingReport:
    """What a callback is told.

    Args:
        model: the estimator that is being fitted. A Word2Vec answers, and can be saved, as it is then; others do when
            they are fitted.
        epoch: how many epochs are done.
        step: how many updates this fit has made; for Word2Vec how many words of the text are done, in all epochs.
        loss: the mean loss, over the epoch where one is done and of late within one; NaN if none was measured yet.
        metrics: what the training log has of the epoch: "epoch", "loss", what validation measured; empty within one.
        learned: what EarlyStopping keeps; None within an epoch, and where it cannot be given back.

    Example:
        >>> TrainingReport(model=None, epoch=1, step=500, loss=2.5, metrics={"ndcg@10": 0.1}).metrics["ndcg@10"]
        0.1
    """

    model: Any
    epoch: int
    step: int
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    learned: Learned | None = None


@dataclass(frozen=True)
class TrainingEnd:
    """What a callback is told when a fit ends.

    Args:
        model: the estimator: fitted, or what it was before where the fit was not completed.
        outcome: "finished"; "stopped", where a callback ended the training; "interrupted", by Ctrl-C; "failed", by
            an error.
        error: what was raised; None where the fit was completed.

    Example:
        >>> TrainingEnd(model=None, outcome="finished").error is None
        True
    """

    model: Any
    outcome: Literal["finished", "stopped", "interrupted", "failed"]
    error: BaseException | None = None


class Callback:
    """What `callbacks=` of every `fit` takes: a subclass overrides one method or several.

    Of several processes that train together each calls its own, and the first one decides whether training ends.

    Attributes:
        every: how many steps lie between two calls of `on_step`, words for Word2Vec; 0 calls it never. It comes after
            about as many: for Word2Vec at the end of a span of text, of 16,384 words or more.

    Example:
        >>> class Losses(Callback):
        ...     every = 20
        ...
        ...     def __init__(self):
        ...         self.seen = []
        ...
        ...     def on_step(self, report):
        ...         self.seen.append(round(report.loss, 1))
    """

    every: int = 0

    def on_epoch(self, report: TrainingReport) -> None:
        """Called after each epoch, with its validation done.

        Raises:
            StopTraining: it was the last one.
        """

    def on_step(self, report: TrainingReport) -> None:
        """Called after about each `every` steps.

        Raises:
            StopTraining: no further step is made. Where several processes train together, the epoch is ended first.
        """

    def on_end(self, end: TrainingEnd) -> None:
        """Called once for each fit, however it ends; of a fit inside of another, for the outer one only.

        What this raises comes out of `fit`, with the model fitted; where the fit was not completed it is a warning, so
        that the first error is what is seen.
        """


class EarlyStopping(Callback):
    """Ends training when an evaluation does not improve any more, and gives the model back what it was at its best.

    Where it restores the best epoch it decides instead of a validation part, whose `patience` and best weights are
    those of another metric, perhaps. The weights of the best epoch are kept in memory, one copy of all, and in
    checkpoints: a run that is resumed knows its best epoch before, if it has the same callback.

    Args:
        evaluate: a function of the model, where that answers while it is trained; or the name of a metric.
        patience: epochs without improvement after which training ends.
        smaller_is_better: whether the value is to fall, as losses are.
        restore_best: whether the model has the weights of the best epoch in the end, of all those that were trained.
            False keeps those of the last one. Several processes that train together keep the last one, too, and so do
            tables in partitions, with a warning.

    Attributes:
        values: of each epoch of the latest fit.
        best_value, best_epoch: the best of them, and the number of its epoch; NaN and 0 before the first one.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described; the fit raises ArgumentError where the
            training log has no such metric.

    Example:
        >>> from logq import Word2Vec
        >>> stopping = EarlyStopping(lambda model: model.vectors.similarity("far", "good"), patience=1)
        >>> model = Word2Vec(dim=2, min_count=1, sample=0, epochs=3, seed=1)
        >>> _ = model.fit([["so", "far", "so", "good"]] * 9, progress=False, callbacks=stopping)
        >>> len(stopping.values) == model.epochs_done
        True
        >>> model.vectors.similarity("far", "good") == stopping.best_value
        True
    """

    def __init__(
        self,
        evaluate: Callable[[Any], float] | str,
        *,
        patience: int = 2,
        smaller_is_better: bool = False,
        restore_best: bool = True,
    ) -> None:
        if not isinstance(evaluate, str) and not callable(evaluate):
            raise ArgumentTypeError("evaluate", "a function of the model, or the name of a metric", evaluate)
        self.evaluate = evaluate
        self.patience = check_int("patience", patience)
        self.smaller_is_better = check_bool("smaller_is_better", smaller_is_better)
        self.restore_best = check_bool("restore_best", restore_best)
        self._begin_anew(0)

    def _begin_anew(self, epoch: int) -> None:
        self.values: list[float] = []
        self._best = Validations("value", None, smaller_is_better=self.smaller_is_better)
        self._latest = epoch

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch; 0 before there is one."""
        return self._best.best_epoch

    @property
    def best_value(self) -> float:
        """The value of the best epoch; NaN before there is one."""
        if not self.best_epoch:
            return math.nan
        return -self._best.best_value if self.smaller_is_better else self._best.best_value

    def begin(self, epoch: int, before: Validations | None = None) -> Validations:
        """Return the record of the best epoch for a fit that begins, or goes on.

        Args:
            epoch: how many are done.
            before: what a checkpoint had, whose best epoch is to be surpassed; None where there was none.
        """
        self._begin_anew(epoch)
        if before is not None and before.best:
            self._best.restore(before.position(), before.best)
        return self._best

    def end(self) -> None:
        """Let go of the weights of the best epoch, when the model has them."""
        self._best = copy(self._best)
        self._best.best = {}

    def on_epoch(self, report: TrainingReport) -> None:
        """Evaluate, and raise StopTraining if that did not improve for as long as `patience` lasts."""
        if isinstance(self.evaluate, str):
            if self.evaluate not in report.metrics:
                raise ArgumentError("evaluate", f"one of {', '.join(report.metrics)}", self.evaluate)
            value = report.metrics[self.evaluate]
        else:
            value = float(self.evaluate(report.model))
        if report.epoch <= self._latest:  # another fit, or the second phase of one
            self._begin_anew(0)
        self._latest = report.epoch
        self.values.append(value)
        learned = (report.learned if self.restore_best else None) or Learned(dict)
        self._best.take({"value": value}, report.epoch, report.step, learned.reached, learned.copy)
        if report.epoch - self.best_epoch >= self.patience:
            raise StopTraining


Callbacks: TypeAlias = Callback | Callable[[TrainingReport], object] | Iterable[Any]
"""One or several: each a Callback, or a function that is called after each epoch."""


class _AfterEpochs(Callback):
    """A function as a callback."""

    def __init__(self, function: Callable[[TrainingReport], object]) -> None:
        self.function = function

    def on_epoch(self, report: TrainingReport) -> None:
        self.function(report)


class CallbackRun(Callback):
    """The callbacks of a fit, which are called in their order; where one fit contains another, a callback of that.

    Args:
        callbacks: of `fit`.
        model: the estimator.
        on_epoch: of `fit`, which is called with the metrics of each epoch before all others.

    Attributes:
        every: the fewest steps between two calls of `on_step`; 0 where none is wanted.
        stopped: whether one of them has ended the training.

    Raises:
        ArgumentTypeError: a callback is none.

    Example:
        >>> def at_once(report):
        ...     raise StopTraining
        >>> run = CallbackRun([at_once, lambda report: print(report.metrics)], model=None)
        >>> run.epoch_done(1, 500, {"epoch": 1, "loss": 2.5})
        {'epoch': 1, 'loss': 2.5}
        True
    """

    def __init__(
        self,
        callbacks: Callbacks = (),
        model: Any = None,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ) -> None:
        given = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
        for one in given:
            if isinstance(one, type) or not (isinstance(one, Callback) or callable(one)):
                expected = "objects of logq.training.Callback, or functions of a report"
                raise ArgumentTypeError("callbacks", expected, one)
        first = [] if on_epoch is None else [_AfterEpochs(lambda report: on_epoch(report.metrics))]
        self._all: Sequence[Callback] = [
            *first,
            *(one if isinstance(one, Callback) else _AfterEpochs(one) for one in given),
        ]
        self._of_steps = [one for one in self._all if check_int("every", one.every, 0)]
        self._model, self._step = model, 0
        self.every = min((one.every for one in self._of_steps), default=0)
        self.stopped = False

    def begin(self, step: int) -> None:
        """Called before training, which goes on from a step: a fit may have several phases."""
        self._step, self.stopped = step, False

    @property
    def chooser(self) -> EarlyStopping | None:
        """The first one that restores the best epoch, those of a fit that contains this one among them."""
        for one in self._all:
            found = one.chooser if isinstance(one, CallbackRun) else one
            if isinstance(found, EarlyStopping) and found.restore_best:
                return found
        return None

    def best_of(self, epoch: int, before: Validations | None = None, refused: str = "") -> Validations | None:
        """Return the record of the best epoch, with weights, for a fit that begins; None where none is to be restored.

        Args:
            epoch: how many are done.
            before: what a checkpoint had.
            refused: what cannot restore it, which is said; "" where it can be.
        """
        chooser = self.chooser
        if chooser is not None and refused:
            hint = "restore_best=False says that this is known"
            warn(f"EarlyStopping: {refused} keep the last epoch, not the best one; {hint}")
            return None
        return None if chooser is None else chooser.begin(epoch, before)

    def let_go(self) -> None:
        """Called when the best epoch is restored."""
        if self.chooser is not None:
            self.chooser.end()

    def epoch_done(self, epoch: int, step: int, metrics: Mapping[str, float], learned: Learned | None = None) -> bool:
        """Call them after an epoch; return whether training is to end."""
        if self._all:
            report = TrainingReport(self._model, epoch, step, metrics.get("loss", math.nan), metrics, learned)
            self._call(self._all, "on_epoch", report)
        return self.stopped

    def steps_done(self, epoch: int, step: int, loss: float) -> bool:
        """Call those that are due since the latest call of this; return whether training is to end."""
        due = [one for one in self._of_steps if step // one.every > self._step // one.every]
        self._step = step
        if due:
            self._call(due, "on_step", TrainingReport(self._model, epoch, step, loss))
        return self.stopped

    def on_epoch(self, report: TrainingReport) -> None:
        """Call them as `epoch_done` does."""
        if self.epoch_done(report.epoch, report.step, report.metrics, report.learned):
            raise StopTraining

    def on_step(self, report: TrainingReport) -> None:
        """Call them as `steps_done` does."""
        if self.steps_done(report.epoch, report.step, report.loss):
            raise StopTraining

    @contextlib.contextmanager
    def ending(self) -> Generator[None, None, None]:
        """The block of a fit, after which they are told how it ended.

        Example:
            >>> class Ends(Callback):
            ...     def on_end(self, end):
            ...         print(end.outcome)
            >>> with CallbackRun(Ends()).ending():
            ...     pass
            finished
        """
        try:
            yield
        except BaseException as error:
            outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            for one in self._all:
                try:
                    one.on_end(TrainingEnd(self._model, outcome, error))
                except Exception as other:  # noqa: PERF203 - each is told, whatever happened in the others
                    warn(f"callbacks: {type(one).__name__}.on_end: {other!r}", RuntimeWarning)
            raise
        for one in self._all:
            one.on_end(TrainingEnd(self._model, "stopped" if self.stopped else "finished"))

    def on_end(self, end: TrainingEnd) -> None:
        """Do nothing: the fit that contains this one tells them."""

    def _call(self, callbacks: Iterable[Callback], method: str, report: TrainingReport) -> None:
        for one in callbacks:
            self.stopped |= _asks_to_stop(getattr(one, method), report)


def _asks_to_stop(call: Callable[[TrainingReport], None], report: TrainingReport) -> bool:
    try:
        call(report)
    except StopTraining:
        return True
    return False
