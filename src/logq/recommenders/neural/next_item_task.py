"""NextItemTask: an encoder, a loss and examples of what came next, as a training loop takes them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq.candidates import IGNORED
from logq.logs import Examples, epoch_batches, num_batches
from logq.logs.batches import BUFFER, own_batches
from logq.recommenders.encoding.encoders import RetrievalModel, rows_of_targets
from logq.recommenders.events.augmentation import Augmentation
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.events.target_events import TargetEvents, targets_of
from logq.recommenders.neural.item_loss import ItemLoss
from logq.recommenders.neural.left_out import seen_before
from logq.tracing import keeps_sizes
from logq.training.compiling import Compiled
from logq.training.devices import Device

__all__ = ["NextItemTask"]


OF_TARGETS = ("group", "weight", "extra", "future")
"""Columns of a batch by which a loss treats its targets differently."""


class NextItemTask:
    """The task of a loop: queries of a batch should find its targets.

    Args:
        model: from histories to queries.
        loss: from queries and targets to a number.
        examples: over the log.
        known: the users of the log, with their features.
        events: what the log says about the events that are targets.
        device: where it is trained.
        batch_size: examples of a batch.
        seed: of their order.
        num_targets: how many targets there are in all.
        bucket: see epoch_batches.
        unseen: whether what a history has already is left out of its negatives.
        augmentation: how histories are changed at random.

    Example:
        See logq.recommenders.YoutubeDNN, whose `fit` makes one.
    """

    unit = "samples"

    def __init__(
        self,
        model: RetrievalModel,
        loss: ItemLoss,
        examples: Examples,
        known: KnownLog,
        events: TargetEvents,
        device: Device,
        batch_size: int,
        seed: int,
        *,
        num_targets: int,
        bucket: int = 0,
        unseen: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.model, self.item_loss = model, loss
        self.module: nn.Module = nn.ModuleDict({"model": model, "loss": loss})
        self._examples, self._device, self._batch_size, self._seed = examples, device, batch_size, seed
        self._events, self._augmentation = events, augmentation or Augmentation()
        self._training_queries = model.training_queries
        self._bucket, self._unseen = bucket, unseen
        self.examples = -(-num_targets // device.world.size)
        self._user_features: dict[str, NDArray[np.int64]] = {}
        if known.user_features is not None:
            self._user_features = known.features_of(np.arange(known.num_users))

    @property
    def num_batches(self) -> int:
        """How many batches this process has in an epoch."""
        return num_batches(len(self._examples), self._batch_size, self._device.world.size)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches of an epoch from number `first` on, and how many targets each has."""
        world = self._device.world
        mapped = getattr(getattr(self._examples, "log", None), "mapped", None) is not None
        buffer = BUFFER if mapped else 0
        has_own = own_batches(len(self._examples), self._batch_size, world.rank, world.size, buffer=buffer)
        found = epoch_batches(
            self._examples,
            self._batch_size,
            seed=self._seed,
            epoch=epoch,
            rank=world.rank,
            world_size=world.size,
            start=first,
            bucket=self._bucket,
            buffer=buffer,
        )
        for step, examples in enumerate(found, start=first):
            batch = self._events.of(self._augmentation.of(examples, epoch))
            # Where there are fewer examples than processes, some get one that another has too.
            if not has_own(step):
                name = "targets" if "targets" in batch else "target"
                batch[name] = np.full_like(batch[name], -1)
            for name, values in self._user_features.items():
                batch[f"user.{name}"] = values[batch["user"]]
            number = int(np.count_nonzero(targets_of(batch) >= 0))
            if "future" in batch and self.model.queries_know_targets:
                batch = _repeated(batch)
            yield batch, number

    def compile(self) -> None:
        """Let torch.compile make kernels of the model."""
        self._training_queries = Compiled(self.model.training_queries)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        with self._device.autocast():
            queries, targets = self._training_queries(batch)
        if self._device.world.size > 1 and "targets" not in batch:
            targets = targets.where(targets >= 0, IGNORED)
        if not self._unseen and batch.keys().isdisjoint(OF_TARGETS):  # nothing needs to know where a target stands
            return self.item_loss(self.model, queries, targets)
        history = batch["history"]
        if "targets" in batch:
            rows, places = rows_of_targets(batch["targets"])
        else:
            rows = torch.arange(len(history), device=history.device)
            places = torch.full_like(rows, history.shape[1])
        at = (rows, places) if "targets" in batch else (rows,)
        weights, extra = (batch[name][at] if name in batch else None for name in ("weight", "extra"))
        if "future" in batch:
            there, targets = _each_target(targets, batch["future"][at])
            owners = there // (1 + batch["future"].shape[-1])
            queries, rows, places = queries.index_select(0, owners), rows[owners], places[owners]
            weights, extra = (None if each is None else each.flatten(0, 1)[there] for each in (weights, extra))
        else:
            weights, extra = (None if each is None else each[:, 0] for each in (weights, extra))
        seen = partial(seen_before, history=history, rows=rows, places=places) if self._unseen else None
        groups = None if "group" not in batch else batch["group"][rows]
        return self.item_loss(self.model, queries, targets, seen, groups, weights, extra)

    def mass(self, batch: Mapping[str, Tensor], count: int) -> Tensor | float:
        """The number of targets, or the sum of their weights."""
        if "weight" not in batch:
            return count
        targets = batch["targets" if "targets" in batch else "target"][..., None]
        if "future" in batch:
            targets = torch.cat([targets, batch["future"].where(targets >= 0, IGNORED)], dim=-1)
        return batch["weight"].where(targets >= 0, 0).sum()

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Tables whose gradients are sparse."""
        return self.model.sparse_parameters()


def _each_target(targets: Tensor, future: Tensor) -> tuple[Tensor, Tensor]:
    """The places (N,) of all targets of all queries in (M, K), query after query, and these targets (N,).

    Args:
        targets: (M,) the first target of each query.
        future: (M, K-1) the others, -1 where there is none.
    """
    every = torch.cat([targets[:, None], future], dim=1)
    there = (every >= 0) & (targets >= 0)[:, None]
    if keeps_sizes(targets):
        return torch.arange(every.numel(), device=targets.device), every.where(there, IGNORED).reshape(-1)
    return there.reshape(-1).nonzero()[:, 0], every[there]


def _repeated(batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A row for each target of the batch, for a model whose queries depend on what they are to find.

    Example:
        >>> batch = {"target": np.array([3]), "future": np.array([[4, -1]]), "weight": np.array([[1.0, 0.5, 0.25]])}
        >>> repeated = _repeated(batch | {"history": np.array([[1, 2]])})
        >>> repeated["target"].tolist(), repeated["weight"].tolist(), repeated["history"].tolist()
        ([3, 4], [[1.0], [0.5]], [[1, 2], [1, 2]])
    """
    every = targets_of(batch)
    rows, columns = (every >= 0).nonzero()
    found = {name: values[rows] for name, values in batch.items() if name != "future"}
    of_each = {name: batch[name][rows, columns, None] for name in ("weight", "extra") if name in batch}
    return {**found, "target": every[rows, columns], **of_each}
