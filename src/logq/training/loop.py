"""Loop: epochs of batches, with a schedule, validation, early stopping and checkpoints."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq._progress import Progress
from logq.optim import clip_grad_norm_
from logq.training.devices import Computer
from logq.training.interrupts import uninterrupted
from logq.training.optimizers import Optimizers
from logq.training.running_mean import RunningMean
from logq.training.schedule import Schedule, WeightAverage

__all__ = ["Loop", "LoopSettings", "Task"]


class Task(Protocol):
    """What a loop trains."""

    module: nn.Module
    """Everything with parameters or states, samplers among it."""
    examples: int
    """How many examples there are in an epoch."""
    unit: str
    """What they are, for the progress line."""

    @property
    def num_batches(self) -> int:
        """How many batches there are in an epoch."""
        ...

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches of an epoch from number `first` on, and how many examples each has."""
        ...

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        ...

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Those that get sparse gradients."""
        ...


@dataclass(frozen=True)
class LoopSettings:
    """How a model is trained.

    Args:
        epochs: passes over the examples, at most.
        lr: learning rate.
        weight_decay: see Optimizers.
        clip: norm to which gradients are clipped; None for none.
        decay, warmup: see Schedule.
        ema: decay of the average of the weights; None for none.
        validate_every: epochs between two looks at the validation part.
        patience: looks without progress after which training stops; None never stops.
        monitor: the metric that is to grow, such as "ndcg@10".
        smaller_is_better: whether it is to fall instead, as perplexity is.
        optimizer, fading: see Optimizers.

    Example:
        >>> LoopSettings(epochs=3).lr
        0.001
    """

    epochs: int = 10
    lr: float = 1e-3
    weight_decay: float = 0.0
    clip: float | None = None
    decay: str = "constant"
    warmup: int = 0
    ema: float | None = None
    validate_every: int = 1
    patience: int | None = 3
    monitor: str = "ndcg@10"
    smaller_is_better: bool = False
    optimizer: str = "adam"
    fading: bool = False


class Loop:
    """Trains a task batch by batch, and can stop after any batch and go on from there.

    All randomness comes from generators that are seeded by (seed, rank) and saved with a checkpoint, so on a CPU a run
    that was interrupted ends with the bits of one that was not.

    Args:
        task: what is trained.
        settings: how.
        computer: where.
        seed: of the run; dropout follows from it and the rank.

    Attributes:
        epoch, batch: what comes next, from 0.
        step: updates done.
        log: of each epoch its number, mean loss, examples a second, and the metrics where it was
            validated, as far as they are finite.

    Example:
        See logq.recommenders.YoutubeDNN, whose `fit` makes one.
    """

    def __init__(self, task: Task, settings: LoopSettings, computer: Computer, seed: int) -> None:
        self.task, self.settings, self.computer, self.seed = task, settings, computer, seed
        self.optimizers = Optimizers(
            task.module,
            task.sparse_parameters(),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            kind=settings.optimizer,
            fading=settings.fading,
        )
        steps = settings.epochs * task.num_batches
        self.schedule = Schedule(settings.decay, warmup=settings.warmup, steps=max(1, steps))
        self.average = None if settings.ema is None else WeightAverage(task.module, settings.ema)
        self.epoch = self.batch = self.step = 0
        self.loss_sum, self.loss_count = 0.0, 0
        self.best_value, self.best_epoch, self.waited = -math.inf, 0, 0
        self.best: dict[str, Tensor] = {}
        self.log: list[dict[str, float]] = []
        self.random_state: dict[str, Tensor] | None = None
        self.whole = True  # weights and position fit each other
        self._pending: list[tuple[Tensor, int]] = []
        self._every = 1 if computer.device.type == "cpu" else 32  # to look at a loss makes a GPU wait

    def run(
        self,
        label: str,
        progress: bool | None,
        *,
        measure: Callable[[], Mapping[str, float]] | None = None,
        save: Callable[[bool], None] | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        """Train to the end, and leave the best weights in the model.

        Args:
            label: what the progress line says is being done.
            progress: as for `fit`.
            measure: metrics on the validation part, by name; None trains all epochs.
            save: called with False when something could be saved, and with True when it must be: at Ctrl-C.
            on_batch: called with the number of updates done.

        Raises:
            FloatingPointError: the loss is no number any more, or infinite.
            KeyboardInterrupt: Ctrl-C, after `save`.
        """
        running = RunningMean()
        settings, task = self.settings, self.task
        seed = int(np.random.SeedSequence([self.seed, self.computer.world.rank, 1]).generate_state(1)[0])
        with (
            Progress(settings.epochs * task.examples, task.unit, label, progress) as bar,
            self.computer.random(seed),
        ):
            bar.advance(task.examples * (self.epoch + self.batch / max(1, task.num_batches)))
            if self.random_state is not None:
                self.computer.set_random_state(self.random_state)
            try:
                while self.epoch < settings.epochs and not self._is_over(measure):
                    self._run_epoch(bar, running, save, on_batch)
                    with uninterrupted():
                        self.whole = False
                        self._end_epoch(measure, bar)
                        self.whole = True
                    if save is not None and self.epoch < settings.epochs:
                        save(False)
            except KeyboardInterrupt:
                if save is not None and self.whole:
                    save(True)
                raise
        self._finish(measure)

    def _run_epoch(
        self,
        bar: Progress,
        running: RunningMean,
        save: Callable[[bool], None] | None,
        on_batch: Callable[[int], None] | None,
    ) -> None:
        self.task.module.train()
        self._began, self._trained = time.perf_counter(), 0
        for arrays, count in self.task.batches(self.epoch, self.batch):
            with uninterrupted():
                self.whole = False
                self._pending.append((self._update(arrays), count))
                self.batch += 1
                self.step += 1
                self._trained += count
                self.whole = True
            if len(self._pending) >= self._every:
                self._look(running)
            bar.advance(count, loss=running.recent)
            if save is not None and self.batch < self.task.num_batches:
                save(False)
            if on_batch is not None:
                on_batch(self.step)
        self._look(running)

    def _update(self, arrays: Mapping[str, NDArray[Any]]) -> Tensor:
        batch = self.computer.put(arrays)
        loss = self.task.loss(batch)
        if loss.device.type == "cpu":
            self._check(float(loss.detach()))  # before it reaches the weights
        loss.backward()
        if self.computer.world.size > 1:
            self._share_gradients()
        if self.settings.clip is not None:
            clip_grad_norm_(self.optimizers.parameters, self.settings.clip)
        self.optimizers.step(self.schedule.factor(self.step))
        if self.average is not None:
            self.average.update()
        return loss.detach()

    def _share_gradients(self) -> None:
        """Every process gets the mean of all their gradients; tables are dense where there are several processes."""
        for parameter in self.optimizers.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= self.computer.world.size

    def _look(self, running: RunningMean) -> None:
        for loss, count in self._pending:
            value = float(loss)
            self._check(value)
            running.add(value * count, count)
            self.loss_sum += value * count
            self.loss_count += count
        self._pending.clear()

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"lr: training diverged in epoch {self.epoch + 1}, batch {self.batch + 1}: the loss is {loss}; try "
                f"less than {self.settings.lr:g}, or clip. A checkpoint stays as it was last saved"
            )

    def check_finite(self) -> None:
        """Look at all weights.

        Raises:
            FloatingPointError: one is not finite: training diverged.
        """
        for name, parameter in self.task.module.named_parameters():
            if not bool(parameter.detach().sum().isfinite()) and not bool(parameter.detach().isfinite().all()):
                raise FloatingPointError(
                    f"lr: training diverged in epoch {self.epoch + 1}, {name} is not finite any more; try less than "
                    f"{self.settings.lr:g}"
                )

    def _end_epoch(self, measure: Callable[[], Mapping[str, float]] | None, bar: Progress) -> None:
        seconds = time.perf_counter() - self._began
        entry: dict[str, float] = {
            "epoch": self.epoch + 1,
            "loss": self.loss_sum / max(1, self.loss_count),
            f"{self.task.unit}_per_second": self._trained / max(seconds, 1e-9),
        }
        self.epoch, self.batch, self.loss_sum, self.loss_count = self.epoch + 1, 0, 0.0, 0
        last = self.epoch == self.settings.epochs
        if measure is not None and (last or self.epoch % self.settings.validate_every == 0):
            self.check_finite()
            metrics = self._measured(measure)
            # One that is not finite, as of a text with an impossible word, is left out: files hold numbers only.
            entry.update({name: value for name, value in metrics.items() if math.isfinite(value)})
            value = self.computer.agreed(metrics[self.settings.monitor])  # so that all processes stop together
            bar.advance(0, **{self.settings.monitor: value})
            value = -value if self.settings.smaller_is_better else value
            if value > self.best_value:
                self.best_value, self.best_epoch, self.waited = value, self.epoch, 0
                self.best = self._answering_weights()
            else:
                self.waited += 1
        self.log.append(entry)

    def _measured(self, measure: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        self.task.module.eval()
        if self.average is not None:
            self.average.swap()
        try:
            found = dict(measure())
        finally:
            if self.average is not None:
                self.average.swap()
            self.task.module.train()
        if self.settings.monitor not in found:
            raise ValueError(f"monitor: expected one of {', '.join(found)}, got {self.settings.monitor!r}")
        return found

    def _answering_weights(self) -> dict[str, Tensor]:
        # States of samplers belong to them: what a learned Q adds to scores must be what was measured.
        weights = {name: value.detach().clone() for name, value in self.task.module.state_dict().items()}
        if self.average is not None:
            weights.update(zip(self.average.names, (value.clone() for value in self.average.values), strict=True))
        return weights

    def _is_over(self, measure: object) -> bool:
        patience = self.settings.patience
        return measure is not None and patience is not None and self.waited >= patience

    @torch.no_grad()
    def _finish(self, measure: object) -> None:
        self.check_finite()
        if self.best:
            self.task.module.load_state_dict(self.best)
        elif self.average is not None:
            self.average.swap()
        self.task.module.eval()
