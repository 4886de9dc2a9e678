"""Loop: epochs of batches, with a schedule, validation, early stopping and checkpoints."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from logq._progress import Progress
from logq.processes import LostProcessError
from logq.tables.notebook_html import TrainingLog
from logq.training.batch_feed import feed
from logq.training.callbacks import CallbackRun, Learned
from logq.training.checkpoint import RunCheckpoint
from logq.training.devices import Device
from logq.training.interrupts import uninterrupted
from logq.training.optimizers import Optimizers
from logq.training.options import TrainingConfig
from logq.training.phases import Chosen, Phase, TimeBudget
from logq.training.running_mean import Problems, RunningMean
from logq.training.saved_loop import SavedLoop
from logq.training.schedule import Schedule, WeightAverage
from logq.training.seeds import Seeds
from logq.training.step_graphs import StepGraphs, check_capturable, check_graphs
from logq.training.task import Task
from logq.training.together import Alone, Together
from logq.training.validations import Validations

__all__ = ["Loop"]

T = TypeVar("T")


class Loop(SavedLoop):
    """Trains a task batch by batch, and can stop after any batch and continue from there.

    All randomness comes from generators that are seeded and saved with a checkpoint, so on a CPU a run that was
    interrupted ends with the bits of one that was not; "learned_unigram" goes on from the same distribution with other
    draws.

    Args:
        task: what is trained.
        config: how.
        device: where.
        seeds: of the run.
        monitor: the metric of validations that is to grow, such as "ndcg@10".
        smaller_is_better: whether it is to fall instead, as perplexity is.
        fading: see Optimizers.
        phase: of a fit, with its time budget; None for a single one, whose `config.minutes` begin now.

    Attributes:
        epoch, batch: what comes next, from 0.
        step, num_steps: updates done, and the most there can be.
        log: of each epoch its number, mean loss, examples per second, and the metrics where it was
            validated, if they are finite; of one that the budget cut short also how many `batches` it had, and of a
            fit in phases the `phase`.

    Example:
        >>> class Constant:
        ...     "Learns the number 3."
        ...
        ...     unit, examples, num_batches, sparse_parameters = "looks", 1, 1, list
        ...     module = torch.nn.ParameterDict({"value": torch.nn.Parameter(torch.zeros(()))})
        ...
        ...     def batches(self, epoch, first):
        ...         yield from [({}, 1)][first:]
        ...
        ...     def loss(self, batch):
        ...         return (self.module["value"] - 3).square()
        >>> loop = Loop(Constant(), TrainingConfig(epochs=300, lr=0.1), Device("cpu"), Seeds.of(1))
        >>> loop.run("constant", progress=False)
        >>> round(loop.task.module["value"].item(), 2), loop.step, len(loop.log)
        (3.0, 300, 300)
    """

    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        device: Device,
        seeds: Seeds,
        *,
        monitor: str = "ndcg@10",
        smaller_is_better: bool = False,
        fading: bool = False,
        phase: Phase | None = None,
    ) -> None:
        self.task, self.config, self.device, self.seeds = task, config, device, seeds
        self.validations = Validations(monitor, config.patience, smaller_is_better=smaller_is_better)
        self._measured = self.validations  # by the validation part; those of a callback may choose instead
        self.phase = phase or Phase(TimeBudget(config.minutes))
        self.budget = self.phase.budget
        if config.cuda_graphs:
            check_graphs(device.torch_device, optimizer=config.optimizer, processes=device.world.size)
            check_capturable(task.module, sparse=bool(task.sparse_parameters()))
        self.optimizers = Optimizers(
            task.module,
            task.sparse_parameters(),
            lr=config.lr,
            weight_decay=config.weight_decay,
            kind=config.optimizer,
            fading=fading,
            capturable=config.cuda_graphs,
        )
        self._steps = Together(task, device, self.optimizers) if device.world.size > 1 else Alone()
        self._graphs = StepGraphs(self._step, device.torch_device) if config.cuda_graphs else None
        whole = self.phase.chosen or Chosen(config.epochs, 1.0)
        self.num_steps = whole.steps(task.num_batches)
        steps = whole.schedule_steps(task.num_batches)
        self.schedule = Schedule(config.decay, warmup=config.warmup, steps=steps)
        self.schedule.cooling = whole.cooling_steps(task.num_batches)
        self.average = None
        if config.ema is not None:
            self.average = WeightAverage(task.module, config.ema, task.sparse_parameters())
        self.epoch = self.batch = self.step = 0
        self.loss_sum, self.loss_count = 0.0, 0
        self.log = TrainingLog(dict(entry) for entry in self.phase.log)
        self.random_state: dict[str, Tensor] | None = None
        self.whole = True  # weights and position fit each other
        self._pending: list[tuple[Tensor, int]] = []  # losses, or what processes shared, and numbers of examples
        # Reading a loss makes a GPU wait, so that it is done every 32 batches; the first ones are read sooner, where a
        # training diverges if it does, and where somebody looks at the line to see that all is well.
        self._every = 1 if device.torch_device.type == "cpu" else 32
        self._until_read = 1
        self._saves = False  # whether it is time for a checkpoint of several processes
        self._share, self._is_late = 0.0, False  # of the schedule, by the clock; whether no further batch fits
        self._problems = Problems(config.lr)
        self._stopped = False  # by a callback

    def run(
        self,
        label: str,
        progress: bool | None,
        *,
        measure: Callable[[], Mapping[str, float]] | None = None,
        inspect: Callable[[], str] | None = None,
        checkpoint: RunCheckpoint | None = None,
        on_batch: Callable[[int], None] | None = None,
        callbacks: CallbackRun | None = None,
    ) -> None:
        """Train to the end, and leave the best weights in the model.

        Args:
            label: what the progress line says is being done.
            progress: as for `fit`.
            measure: metrics on the validation part, by name; None trains all epochs.
            inspect: what is wrong with the model after an epoch, as a phrase, or "".
            checkpoint: where the run is saved when it is due, and at Ctrl-C; the caller removes it.
            on_batch: called with the number of updates done.
            callbacks: called after epochs and steps; they may end the training.

        Warns:
            TrainingWarning: the mean loss of an epoch is ten times that of the first batch, or `inspect` found
                something; each once.

        Raises:
            FloatingPointError: the loss is not a number any more, or infinite.
            KeyboardInterrupt: Ctrl-C, after the checkpoint is saved; SIGTERM is one where several processes train
                together, and all of them stop after the same step.
            LostProcessError: another process has ended or does not answer; the message names it, and the step.
            ArgumentError: processes do not train the same.
        """
        running, task = RunningMean(), self.task
        self._callbacks = callbacks or CallbackRun()
        self._callbacks.begin(self.step)
        restorable = self.phase.chosen is None and self.device.world.size == 1
        if self.phase.chosen is None:
            refused = "" if restorable else "several processes"
            self.validations = self._callbacks.best_of(self.epoch, self.validations, refused) or self.validations
        if checkpoint is not None and self.device.world.size > 1:
            self._steps.is_due = checkpoint.is_due
        of_step = task.examples / max(1, task.num_batches)
        with (
            Progress(self.num_steps * of_step, task.unit, label, progress, limit=self.budget) as bar,
            self.device.random(self.seeds.dropout),
            self._steps.running(resumed=self.random_state is not None),
        ):
            bar.advance(self.step * of_step)
            if self.random_state is not None:
                self.device.set_random_state(self.random_state)
            try:
                while self.step < self.num_steps and not self._is_late and not self._is_over and not self._stopped:
                    self._run_epoch(bar, running, measure, checkpoint, on_batch)
                    with uninterrupted():
                        self.whole = False
                        self._end_epoch(measure, bar, running.first, inspect)
                        self.whole = True
                    if not self._stopped:
                        learned = Learned(self._answering_weights, self._reached) if restorable else None
                        asked = self._callbacks.epoch_done(self.epoch, self.step, self.log[-1], learned)
                        self._stopped = bool(self.device.agreed(int(asked)))
                    self._steps.stop_if_asked()
                    if checkpoint is not None and self.step < self.num_steps:
                        checkpoint.save_if_due(self.state)
                        self._saves = False
            except KeyboardInterrupt:
                if checkpoint is not None and self.whole and self._steps.may_save:
                    checkpoint.save_if_due(self.state, force=True)
                raise
            except LostProcessError as error:
                raise error.during(f"after step {self.step}") from error
        self._finish()
        self._callbacks.let_go()

    def _run_epoch(
        self,
        bar: Progress,
        running: RunningMean,
        measure: Callable[[], Mapping[str, float]] | None,
        checkpoint: RunCheckpoint | None,
        on_batch: Callable[[int], None] | None,
    ) -> None:
        self.task.module.train()
        self.budget.mark()
        self._began, self._trained, epochs = time.perf_counter(), 0, -(-self.num_steps // self.task.num_batches)
        batches = self.task.batches(self.epoch, self.batch)
        with contextlib.closing(feed(batches, self.device.torch_device)) as fed:
            for batch, count in fed:
                with uninterrupted():
                    self.whole = False
                    self._pending.append((self._update(batch, count), count))
                    self.batch += 1
                    self.step += 1
                    self._trained += count
                    self.whole = True
                if len(self._pending) >= self._until_read:
                    self._take_losses(running)
                    self._look_at_clock(measure)
                bar.advance(count, epoch=f"{self.epoch + 1}/{epochs}", loss=running.recent)
                if checkpoint is not None and self.batch < self.task.num_batches:
                    self._save_if_due(checkpoint)
                if on_batch is not None:
                    on_batch(self.step)
                asked = self._callbacks.steps_done(self.epoch, self.step, running.recent)
                self._stopped = asked and self.device.world.size == 1  # all processes end the epoch together
                if self._is_late or self._stopped or self.step == self.num_steps:
                    break
        self._take_losses(running)
        self._look_at_clock(None)

    def _save_if_due(self, checkpoint: RunCheckpoint) -> None:
        if self._steps.is_due is None or checkpoint.minutes == 0:
            checkpoint.save_if_due(self.state)
        elif self._saves:  # as all processes were told in a step
            self._saves = False
            checkpoint.save_if_due(self.state, force=True)

    def _update(self, batch: Mapping[str, Tensor], count: int) -> Tensor:
        self.optimizers.set_rate(self.schedule.factor(self.step, self._share))
        loss = self._step(batch, count) if self._graphs is None else self._graphs.run(batch)
        if self.average is not None:
            self.average.update()
        return loss

    def _step(self, batch: Mapping[str, Tensor], count: int = 0) -> Tensor:
        loss, found = self._steps.scaled(self.task.loss(batch), batch, count)
        if loss.device.type == "cpu":  # before it reaches the weights
            self._problems.check_step(self._steps.read([(found, count)])[0].loss, self.epoch + 1, self.batch + 1)
        loss.backward()
        self._steps.share_gradients()
        if self.config.clip is not None:
            self._steps.clip(self.optimizers.parameters, self.config.clip)
        self.optimizers.update()
        return found

    def _take_losses(self, running: RunningMean) -> None:
        steps = self._steps.read(self._pending)
        for behind, (loss, count, *_) in enumerate(steps, start=1 - len(steps)):
            self._problems.check_step(loss, self.epoch + 1, self.batch + behind)
            running.add(loss * count, count)
            self.loss_sum += loss * count
            self.loss_count += count
        self._saves = self._saves or any(step.saves for step in steps)
        if self._pending:
            self.budget.batches_done(len(self._pending))
        self._pending.clear()
        self._until_read = min(self._every, 2 * self._until_read)
        if any(step.stops for step in steps):
            self._steps.stop()

    def _look_at_clock(self, measure: Callable[[], Mapping[str, float]] | None) -> None:
        """See whether another batch fits into the budget; the first process decides for all of them."""
        if math.isinf(self.budget.seconds):
            return
        ahead = self.task.num_batches - self.batch
        if measure is not None and self.device.agreed(int(self.budget.wants_validation_time(ahead))):
            self.budget.mark()
            self._in_eval(measure)
            self.budget.validation_done()
        self._share, room = self.device.agreed(self._share_now), self.device.agreed(self.budget.room)
        self._is_late = room < 1
        if self._may_cool and self._ends_cooled and self._share * (1 + self.config.cooldown) >= 1:
            self._cool_down(max(1, round(self.config.cooldown * self.step)))
        self._until_read = max(1, min(self._until_read, int(room)))

    def _end_epoch(
        self,
        measure: Callable[[], Mapping[str, float]] | None,
        bar: Progress,
        first_loss: float,
        inspect: Callable[[], str] | None,
    ) -> None:
        seconds = time.perf_counter() - self._began
        is_last = self._is_late or self._stopped or self.step == self.num_steps
        entry: dict[str, float] = {
            "epoch": self.epoch + 1,
            "loss": self.loss_sum / max(1, self.loss_count),
            f"{self.task.unit}_per_second": self.device.world.size * self._trained / max(seconds, 1e-9),
        }
        if self.phase.number:
            entry["phase"] = self.phase.number
        if self.batch < self.task.num_batches:
            entry["batches"] = self.batch
        self.epoch, self.batch, self.loss_sum, self.loss_count = self.epoch + 1, 0, 0.0, 0
        self._problems.check_loss(entry["loss"], first_loss, self.epoch, bar)
        if inspect is not None:
            self._problems.say("model", "collapsed", self._in_eval(inspect), self.epoch, bar)
        if measure is not None and (is_last or self.epoch % self.config.validate_every == 0):
            self._check_weights()
            metrics = dict(self._in_eval(measure))
            # One that is not finite, as of a text with an impossible word, is left out: files hold numbers only.
            entry.update({name: value for name, value in metrics.items() if math.isfinite(value)})
            monitor = self._measured.monitor
            metrics[monitor] = self.device.agreed(self._measured.of(metrics))  # so that all processes stop together
            bar.advance(0, **{monitor: metrics[monitor]})
            if self._measured is self.validations:
                self.validations.take(metrics, self.epoch, self.step, self._reached, self._answering_weights)
            self.budget.validation_done()
            self._look_at_clock(None)
        epochs = min(max(1, round(self.config.cooldown * self.epoch)), self.config.epochs - self.epoch)
        is_time = self._ends_cooled and self.epoch + epochs == self.config.epochs
        if epochs and self._may_cool and (self.validations.is_over or is_time):
            self._cool_down(epochs * self.task.num_batches)
        bar.total = self.num_steps * self.task.examples / self.task.num_batches
        self.log.append(entry)

    def _cool_down(self, steps: int) -> None:
        """Let the learning rate fall to 0 in the steps that follow, the last ones."""
        self.schedule.cooling = (self.step, steps)
        self.num_steps = sum(self.schedule.cooling)

    @property
    def _may_cool(self) -> bool:
        """Whether there is a cooldown that may begin; that of a second phase is as validation chose it."""
        return self.config.cooldown > 0 and self.phase.chosen is None and not self._is_cooling

    @property
    def _ends_cooled(self) -> bool:
        """Whether a cooldown ends a training that nothing else ends before; a rate that decays is low by then."""
        return self.config.decay == "constant"

    @property
    def _is_cooling(self) -> bool:
        return self.schedule.cooling[1] > 0

    @property
    def _is_over(self) -> bool:
        return self.validations.is_over and not self._is_cooling

    def _in_eval(self, function: Callable[[], T]) -> T:
        """What a function finds of the model that would answer now."""
        self.task.module.eval()
        if self.average is not None:
            self.average.swap()
        try:
            return function()
        finally:
            if self.average is not None:
                self.average.swap()
            self.task.module.train()

    @property
    def _share_now(self) -> float:
        """How far the schedule is by the clock: in the time that this phase has it gets to where validation chose."""
        chosen = self.phase.chosen
        return self.budget.share if chosen is None else chosen.reached * self.budget.share_after(chosen.seconds)

    @property
    def _reached(self) -> float:
        """How far the schedule is."""
        return max(min(1.0, self.step / self.schedule.steps), self._share)

    @property
    def chosen(self) -> Chosen:
        """How long validation chose to train; as long as it was, where there was none."""
        validations = self.validations
        step, reached = self.step, self._reached
        if validations.best:
            step, reached = validations.best_step, validations.best_reached
        batches = max(1, self.task.num_batches)
        cooling = [steps / batches for steps in self.schedule.cooling]
        return Chosen(step / batches, reached, self.budget.used, cooling)

    def _answering_weights(self) -> dict[str, Tensor]:
        # States of samplers belong to them: what a learned Q adds to scores must be what was measured.
        # A table that is shared has several names, all of which are those of its average.
        with contextlib.nullcontext() if self.average is None else self.average.lent():
            return {name: value.detach().clone() for name, value in self.task.module.state_dict().items()}

    @torch.no_grad()
    def _finish(self) -> None:
        self._steps.agreed(self._check_weights)
        if self.validations.best:
            self.task.module.load_state_dict(self.validations.best)
        elif self.average is not None:
            self.average.swap()
        self.task.module.eval()
