"""NextItemTask: an encoder, a loss and examples of what came next, as a training loop takes them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq.logs import Examples, epoch_batches, num_batches
from logq.recommenders.encoders import RetrievalModel, rows_of_targets
from logq.recommenders.item_loss import ItemLoss
from logq.recommenders.known_log import KnownLog
from logq.training.compiling import Compiled
from logq.training.devices import Device

__all__ = ["NextItemTask", "seen_before", "target_counts"]

NEVER = 2**31 - 1


def seen_before(ids: Tensor, history: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """Whether a sampled item is in the history up to a position.

    Args:
        ids: (S,) sampled items.
        history: (B, L) items, -1 pads.
        rows: (M,) the history that a query belongs to.
        places: (M,) the last position of it that the query knows.

    Returns:
        (M, S) bool. Time and memory do not depend on how many items there are.

    Example:
        >>> history = torch.tensor([[4, 9, 4], [7, -1, -1]])
        >>> seen_before(torch.tensor([9, 4, 9]), history, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])).tolist()
        [[False, True, False], [True, True, True], [False, False, False]]
    """
    length = history.shape[1]
    items = ids.sort().values  # of an item that was drawn twice, the first one counts
    which = torch.searchsorted(items, ids)
    at = torch.searchsorted(items, history).clamp(max=len(items) - 1)
    found = items[at] == history
    # For each history and each item of the sample its first position, and NEVER where it is not there.
    first = torch.full((len(history), len(items)), NEVER, dtype=torch.int32, device=ids.device)
    place = torch.arange(length, dtype=torch.int32, device=ids.device).expand_as(history).where(found, NEVER)
    first.scatter_reduce_(1, at, place, reduce="amin")
    return first[:, which][rows] <= places[:, None].int()


ROWS = 8192
"""Examples that are counted at a time."""


def target_counts(examples: Examples, num_items: int) -> NDArray[np.int64]:
    """(C,) how often each item is a target.

    Example:
        >>> from logq.logs import Interactions, NextItems
        >>> target_counts(NextItems(Interactions.from_arrays([1, 1, 1], [5, 7, 7]), 2), 2).tolist()
        [2, 0]
    """
    counts = np.zeros(num_items, dtype=np.int64)
    for start in range(0, len(examples), ROWS):
        batch = examples.batch(np.arange(start, min(len(examples), start + ROWS)))
        targets = batch["targets"] if "targets" in batch else batch["target"]
        counts += np.bincount(targets[targets >= 0], minlength=num_items)
    return counts


class NextItemTask:
    """The task of a loop: queries of a batch should find its targets.

    Args:
        model: from histories to queries.
        loss: from queries and targets to a number.
        examples: over the log.
        known: the users of the log, with their features.
        device: where it is trained.
        batch_size: examples of a batch.
        seed: of their order.
        num_targets: how many targets there are in all.
        bucket: see epoch_batches.
        unseen: whether what a history has already is left out of its negatives.

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
        device: Device,
        batch_size: int,
        seed: int,
        *,
        num_targets: int,
        bucket: int = 0,
        unseen: bool = False,
    ) -> None:
        self.model, self.item_loss = model, loss
        self.module: nn.Module = nn.ModuleDict({"model": model, "loss": loss})
        self._examples, self._device, self._batch_size, self._seed = examples, device, batch_size, seed
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
        found = epoch_batches(
            self._examples,
            self._batch_size,
            seed=self._seed,
            epoch=epoch,
            rank=world.rank,
            world_size=world.size,
            start=first,
            bucket=self._bucket,
        )
        for batch in found:
            for name, values in self._user_features.items():
                batch[f"user.{name}"] = values[batch["user"]]
            targets = batch.get("targets")
            yield batch, len(batch["user"]) if targets is None else int(np.count_nonzero(targets >= 0))

    def compile(self) -> None:
        """Let torch.compile make kernels of the model."""
        self._training_queries = Compiled(self.model.training_queries)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        with self._device.autocast():
            queries, targets = self._training_queries(batch)
        groups = batch.get("group")
        if groups is not None and "targets" in batch:
            groups = groups[rows_of_targets(batch["targets"])[0]]
        return self.item_loss(self.model, queries, targets, self._seen(batch) if self._unseen else None, groups)

    def _seen(self, batch: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """From sampled items to where a query's history has them already."""
        history = batch["history"]
        if "targets" in batch:
            rows, places = rows_of_targets(batch["targets"])
        else:
            rows = torch.arange(len(history), device=history.device)
            places = torch.full_like(rows, history.shape[1])
        return lambda ids: seen_before(ids, history, rows, places)

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Tables whose gradients are sparse."""
        return self.model.sparse_parameters()
