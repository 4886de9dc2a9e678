"""Loop: epochs of batches, with a schedule, validation, early stopping and checkpoints."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from logq._arguments import ArgumentError
from logq._progress import Progress
from logq.optim import clip_grad_norm_
from logq.training.batch_feed import feed
from logq.training.checkpoint import Checkpoint, RunState, check_run_state
from logq.training.devices import Device
from logq.training.estimator import Seeds
from logq.training.interrupts import uninterrupted
from logq.training.optimizers import Optimizers
from logq.training.options import TrainingConfig
from logq.training.running_mean import DivergedError, Problems, RunningMean
from logq.training.schedule import Schedule, WeightAverage
from logq.training.step_graphs import StepGraphs, check_capturable, check_graphs
from logq.training.task import Task

__all__ = ["Loop"]

T = TypeVar("T")

_POSITION = ("epoch", "batch", "step", "loss_sum", "loss_count", "best_epoch", "waited", "log")
"""What a checkpoint keeps of a loop as it is."""


class Loop:
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

    Attributes:
        epoch, batch: what comes next, from 0.
        step: updates done.
        log: of each epoch its number, mean loss, examples per second, and the metrics where it was
            validated, if they are finite.

    Example:
        >>> class Constant:
        ...     "Learns the number 3."
        ...
        ...     unit, examples, num_batches = "looks", 1, 1
        ...
        ...     def __init__(self):
        ...         self.module = torch.nn.ParameterDict({"value": torch.nn.Parameter(torch.zeros(()))})
        ...
        ...     def batches(self, epoch, first):
        ...         yield from [({}, 1)][first:]
        ...
        ...     def loss(self, batch):
        ...         return (self.module["value"] - 3).square()
        ...
        ...     def sparse_parameters(self):
        ...         return []
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
    ) -> None:
        self.task, self.config, self.device, self.seeds = task, config, device, seeds
        self.monitor, self.smaller_is_better = monitor, smaller_is_better
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
        self._graphs = StepGraphs(self._step, device.torch_device) if config.cuda_graphs else None
        steps = config.epochs * task.num_batches
        self.schedule = Schedule(config.decay, warmup=config.warmup, steps=max(1, steps))
        self.average = None if config.ema is None else WeightAverage(task.module, config.ema)
        self.epoch = self.batch = self.step = 0
        self.loss_sum, self.loss_count = 0.0, 0
        self.best_value, self.best_epoch, self.waited = -math.inf, 0, 0
        self.best: dict[str, Tensor] = {}
        self.log: list[dict[str, float]] = []
        self.random_state: dict[str, Tensor] | None = None
        self.whole = True  # weights and position fit each other
        self._pending: list[tuple[Tensor, int]] = []
        # Reading a loss makes a GPU wait, so that it is done every 32 batches; the first ones are read sooner, where a
        # training diverges if it does, and where somebody looks at the line to see that all is well.
        self._every = 1 if device.torch_device.type == "cpu" else 32
        self._until_read = 1
        self._problems = Problems(config.lr)

    def run(
        self,
        label: str,
        progress: bool | None,
        *,
        measure: Callable[[], Mapping[str, float]] | None = None,
        inspect: Callable[[], str] | None = None,
        checkpoint: Checkpoint | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        """Train to the end, and leave the best weights in the model.

        Args:
            label: what the progress line says is being done.
            progress: as for `fit`.
            measure: metrics on the validation part, by name; None trains all epochs.
            inspect: what is wrong with the model after an epoch, as a phrase, or "".
            checkpoint: where the run is saved when it is due, and at Ctrl-C; the caller removes it.
            on_batch: called with the number of updates done.

        Warns:
            TrainingWarning: the mean loss of an epoch is ten times that of the first batch, or `inspect` found
                something; each once.

        Raises:
            FloatingPointError: the loss is not a number any more, or infinite.
            KeyboardInterrupt: Ctrl-C, after the checkpoint is saved.
        """
        running, task, epochs = RunningMean(), self.task, self.config.epochs
        with (
            Progress(epochs * task.examples, task.unit, label, progress) as bar,
            self.device.random(self.seeds.dropout),
        ):
            bar.advance(task.examples * (self.epoch + self.batch / max(1, task.num_batches)))
            if self.random_state is not None:
                self.device.set_random_state(self.random_state)
            try:
                while self.epoch < epochs and not self._is_over(measure):
                    self._run_epoch(bar, running, checkpoint, on_batch)
                    with uninterrupted():
                        self.whole = False
                        self._end_epoch(measure, bar, running.first, inspect)
                        self.whole = True
                    if checkpoint is not None and self.epoch < epochs:
                        checkpoint.save_if_due(self.state)
            except KeyboardInterrupt:
                if checkpoint is not None and self.whole:
                    checkpoint.save_if_due(self.state, force=True)
                raise
        self._finish(measure)

    def _run_epoch(
        self,
        bar: Progress,
        running: RunningMean,
        checkpoint: Checkpoint | None,
        on_batch: Callable[[int], None] | None,
    ) -> None:
        self.task.module.train()
        self._began, self._trained = time.perf_counter(), 0
        batches = self.task.batches(self.epoch, self.batch)
        with contextlib.closing(feed(batches, self.device.torch_device)) as fed:
            for batch, count in fed:
                with uninterrupted():
                    self.whole = False
                    self._pending.append((self._update(batch), count))
                    self.batch += 1
                    self.step += 1
                    self._trained += count
                    self.whole = True
                if len(self._pending) >= self._until_read:
                    self._take_losses(running)
                bar.advance(count, loss=running.recent)
                if checkpoint is not None and self.batch < self.task.num_batches:
                    checkpoint.save_if_due(self.state)
                if on_batch is not None:
                    on_batch(self.step)
        self._take_losses(running)

    def _update(self, batch: Mapping[str, Tensor]) -> Tensor:
        self.optimizers.set_rate(self.schedule.factor(self.step))
        loss = self._step(batch) if self._graphs is None else self._graphs.run(batch)
        if self.average is not None:
            self.average.update()
        return loss

    def _step(self, batch: Mapping[str, Tensor]) -> Tensor:
        loss = self.task.loss(batch)
        if loss.device.type == "cpu":
            self._check(float(loss.detach()), self.batch + 1)  # before it reaches the weights
        loss.backward()
        if self.device.world.size > 1:
            self._share_gradients()
        if self.config.clip is not None:
            clip_grad_norm_(self.optimizers.parameters, self.config.clip)
        self.optimizers.update()
        return loss.detach()

    def _share_gradients(self) -> None:
        """Every process gets the mean of all their gradients; tables are dense where there are several processes."""
        for parameter in self.optimizers.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= self.device.world.size

    def _take_losses(self, running: RunningMean) -> None:
        # All of them with one wait for a device.
        values = torch.stack([loss for loss, _ in self._pending]).tolist() if self._pending else []
        for behind, (value, (_, count)) in enumerate(zip(values, self._pending, strict=True), start=1 - len(values)):
            self._check(value, self.batch + behind)
            running.add(value * count, count)
            self.loss_sum += value * count
            self.loss_count += count
        self._pending.clear()
        self._until_read = min(self._every, 2 * self._until_read)

    def _check(self, loss: float, batch: int) -> None:
        if not math.isfinite(loss):
            raise DivergedError(
                "lr",
                f"training diverged in epoch {self.epoch + 1}, batch {batch}: the loss is {loss}; try "
                f"less than {self.config.lr:g}, or clip. A checkpoint stays as it was last saved",
            )

    def check_finite(self) -> None:
        """Check that all weights are finite.

        Raises:
            FloatingPointError: one is not finite: training diverged.
        """
        for name, parameter in self.task.module.named_parameters():
            if not bool(parameter.detach().sum().isfinite()) and not bool(parameter.detach().isfinite().all()):
                raise DivergedError(
                    "lr",
                    f"training diverged in epoch {self.epoch + 1}, {name} is not finite any more; try less than "
                    f"{self.config.lr:g}",
                )

    def _end_epoch(
        self,
        measure: Callable[[], Mapping[str, float]] | None,
        bar: Progress,
        first_loss: float,
        inspect: Callable[[], str] | None,
    ) -> None:
        seconds = time.perf_counter() - self._began
        entry: dict[str, float] = {
            "epoch": self.epoch + 1,
            "loss": self.loss_sum / max(1, self.loss_count),
            f"{self.task.unit}_per_second": self._trained / max(seconds, 1e-9),
        }
        self.epoch, self.batch, self.loss_sum, self.loss_count = self.epoch + 1, 0, 0.0, 0
        self._problems.check_loss(entry["loss"], first_loss, self.epoch, bar)
        if inspect is not None:
            self._problems.say("model", "collapsed", self._in_eval(inspect), self.epoch, bar)
        last = self.epoch == self.config.epochs
        if measure is not None and (last or self.epoch % self.config.validate_every == 0):
            self.check_finite()
            metrics = self._measured(measure)
            # One that is not finite, as of a text with an impossible word, is left out: files hold numbers only.
            entry.update({name: value for name, value in metrics.items() if math.isfinite(value)})
            value = self.device.agreed(metrics[self.monitor])  # so that all processes stop together
            bar.advance(0, **{self.monitor: value})
            value = -value if self.smaller_is_better else value
            if value > self.best_value:
                self.best_value, self.best_epoch, self.waited = value, self.epoch, 0
                self.best = self._answering_weights()
            else:
                self.waited += 1
        self.log.append(entry)

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

    def _measured(self, measure: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        found = dict(self._in_eval(measure))
        if self.monitor not in found:
            raise ArgumentError("monitor", f"one of {', '.join(found)}", self.monitor)
        return found

    def _answering_weights(self) -> dict[str, Tensor]:
        # States of samplers belong to them: what a learned Q adds to scores must be what was measured.
        weights = {name: value.detach().clone() for name, value in self.task.module.state_dict().items()}
        if self.average is not None:
            weights.update(zip(self.average.names, (value.clone() for value in self.average.values), strict=True))
        return weights

    def _is_over(self, measure: object) -> bool:
        patience = self.config.patience
        return measure is not None and patience is not None and self.waited >= patience

    @torch.no_grad()
    def _finish(self, measure: object) -> None:
        self.check_finite()
        if self.best:
            self.task.module.load_state_dict(self.best)
        elif self.average is not None:
            self.average.swap()
        self.task.module.eval()

    # ---------------------------------------------------------------------------------------------------- checkpoints

    def state(self) -> RunState:
        """The state of the run: all that `restore` needs.

        Raises:
            FloatingPointError: training has diverged.
        """
        self.check_finite()
        parts: dict[str, Mapping[str, Tensor]] = {
            "module": self.task.module.state_dict(),
            "optimizer": self.optimizers.tensors(),
            "random": self.device.random_state(),
            "best": self.best,
        }
        if self.average is not None:
            parts["average"] = dict(zip(self.average.names, self.average.values, strict=True))
        position: dict[str, Any] = {name: getattr(self, name) for name in _POSITION}
        position["best_value"] = self.best_value if self.best else None
        position["averaged"] = 0 if self.average is None else self.average.updates
        tensors = {
            f"{part}.{name}": value.detach().cpu().numpy()
            for part, values in parts.items()
            for name, value in values.items()
        }
        return RunState(self.seeds.run, position, tensors)

    def restore(self, state: RunState) -> None:
        """Bring the run to `state`.

        Raises:
            KeyError, RuntimeError, ValueError: it is the state of another run.
        """
        epochs = self.config.epochs
        assert epochs is not None
        limits = {"epoch": epochs, "batch": self.task.num_batches, "best_epoch": epochs}
        check_run_state(state, self.state(), limits)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, array in state.tensors.items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = torch.from_numpy(array.copy())
        self.task.module.load_state_dict(parts["module"])
        self.optimizers.load(parts.get("optimizer", {}))
        if self.average is not None:
            for name, value in zip(self.average.names, self.average.values, strict=True):
                value.copy_(parts["average"][name])
            self.average.updates = state.position["averaged"]
        self.best = {name: value.to(self.device.torch_device) for name, value in parts.get("best", {}).items()}
        self.random_state = parts["random"]
        for name in _POSITION:
            setattr(self, name, state.position[name])
        best = state.position["best_value"]
        self.best_value = -math.inf if best is None else best
