"""Going on from what a model learned, when users, items, and values of features were added."""

import copy
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from logq.distributed.sharded_embedding import ShardedEmbedding
from logq.logs.examples import Examples
from logq.logs.growing import GrownLog
from logq.logs.interactions import Interactions
from logq.processes import add_up, all_counts
from logq.recommenders.encoding.encoders import RetrievalModel
from logq.recommenders.encoding.feature_tables import FeatureTables, ItemCodes
from logq.recommenders.encoding.item_tables import IdTable
from logq.recommenders.neural.neural_config import NeuralConfig

__all__ = ["continued", "later_examples", "later_targets", "replayed_events", "take_over"]

REACH = 5
"""How many events before and behind one of a new item tell what it is like."""

ROWS = 1 << 15
"""Rows in parts that a process asks for at a time."""

WARMUP = 200
"""Steps until a model that goes on learns at the whole rate. Adam begins anew, and its first steps are as large as the
rate whatever the gradients: a day of few events would unsettle what was learned of all others."""


@runtime_checkable
class _SelectsTargets(Examples, Protocol):
    """Examples that can be made of some events of their log alone, with all others as histories."""

    def with_targets(self, rows: NDArray[np.bool_]) -> Self:
        """The examples whose targets are among some events (N,) of the log."""
        ...


def replayed_events(grown: GrownLog, share: float, seed: int) -> NDArray[np.bool_]:
    """Which old events (N,) are learned from again: all those of users chosen at random.

    Args:
        grown: a log, and what is new in it.
        share: how many, for each new event; the last user may have more.
        seed: of the choice.

    Example:
        >>> from logq.logs import Interactions, grow_log
        >>> log = Interactions.from_arrays([1, 1, 2, 2, 3, 3], [5, 7, 5, 7, 5, 7], range(6))
        >>> grown = grow_log(log, Interactions.from_arrays([1, 2], [9, 10], [7, 8]))
        >>> int(replayed_events(grown, 1.0, seed=1).sum()), int(replayed_events(grown, 0.0, seed=1).sum())
        (2, 0)
    """
    users = np.asarray(grown.log.users, dtype=np.int64)
    old = np.bincount(users[~grown.is_new], minlength=grown.log.num_users)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(old))
    before = np.cumsum(old[order]) - old[order]  # of those who are chosen earlier
    is_chosen = np.zeros(grown.log.num_users, dtype=np.bool_)
    is_chosen[order[before < share * np.count_nonzero(grown.is_new)]] = True
    return is_chosen[users] & ~grown.is_new


def later_examples(
    grown: GrownLog, make: Callable[[Interactions, int], Examples], replay: float, seed: int
) -> Examples:
    """What is learned from when a log grew: its new events, with all before them as histories, and some old ones.

    Args:
        grown: the log.
        make: examples of a log, with a seed. Where they cannot be made of some targets alone, as windows around each
            event cannot, they are those of a log that has these events alone.
        replay: how many old events there are for each new one; see `replayed_events`.
        seed: of the choice of old events, and of `make`.

    Example:
        >>> from logq.logs import Interactions, NextItems, grow_log
        >>> log = Interactions.from_arrays([1, 1], [5, 7], [1, 2])
        >>> grown = grow_log(log, Interactions.from_arrays([1, 2], [9, 10], [7, 8]))
        >>> later_examples(grown, lambda log, seed: NextItems(log, 3), 0.0, seed=1).batch([0])["history"].tolist()
        [[0, 1]]
    """
    rows = grown.is_new | replayed_events(grown, replay, seed)
    examples = make(grown.log, seed)
    return examples.with_targets(rows) if isinstance(examples, _SelectsTargets) else make(grown.log.select(rows), seed)


def later_targets(
    counts: NDArray[np.float64],  # (C,)
    everywhere: NDArray[np.int64],  # (C,)
) -> NDArray[np.float64]:
    """How often items are targets (C,), where those of which nothing is new now are as likely as they were.

    Args:
        counts: of the targets that are learned from.
        everywhere: of all events.

    Example:
        >>> later_targets(np.array([0.0, 3.0, 1.0]), np.array([4, 4, 0])).tolist()
        [2.0, 3.0, 1.0]
    """
    return np.maximum(counts, everywhere * (counts.sum() / max(1, everywhere.sum())))


C = TypeVar("C", bound=NeuralConfig)


def continued(config: C) -> C:
    """The arguments by which a model goes on.

    Example:
        >>> config = continued(NeuralConfig(epochs=40, lr=0.004, warm_epochs=2))
        >>> config.epochs, config.lr, config.warmup
        (2, 0.001, 200)
    """
    made = copy.copy(config)
    made.epochs = config.warm_epochs
    made.lr = config.lr / 4 if config.warm_lr is None else config.warm_lr
    made.warmup = WARMUP
    return made


@torch.no_grad()
def take_over(model: RetrievalModel, before: RetrievalModel, grown: GrownLog) -> None:
    """Give a model the weights of one of fewer users, items and values of features, whose codes are the first ones.

    A new item starts at the mean of the vectors of the known items at most 5 events away from it in the log, or of all
    where there is none; a new user as an unknown one; a new value of a feature at the mean of the others.

    Either model may have tables of which each process has a part; then all call it at once. Which process owns a row
    follows from the number of rows, so that those of a table that grew move to their new owners, as they are.

    Args:
        model: as it is made for the log that grew.
        before: what was fitted.
        grown: the log.

    Raises:
        ValueError: the models differ in more than the number of rows of their tables.

    Example:
        See NeuralRecommender, whose `fit(log, warm=True)` does it.
    """
    modules = dict(before.named_modules())
    like_known = _MeansOfKnown(grown, before.num_items)
    tables = [part for part in model.modules() if isinstance(part, FeatureTables)]
    of_features = {id(part) for table in tables for part in table.modules()}
    ids = {id(part.table): part for part in model.modules() if isinstance(part, IdTable)}
    users = getattr(model, "users", None)
    parts, old_parts = ({id(part.weight): part for part in of.parts()} for of in (model, before))
    for name, module in model.named_modules():
        if isinstance(module, ItemCodes):
            continue  # follow from the features of the log
        own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        for key, value in own.items():
            there: Tensor = getattr(modules[name], key)
            rows = _RowsById(value, parts.get(id(value)))
            learned = _RowsById(there, old_parts.get(id(there)))
            if rows.shape == learned.shape and (rows.part is None) == (learned.part is None):
                value.copy_(there)
                continue
            if rows.shape[1:] != learned.shape[1:] or rows.number < learned.number:
                raise ValueError(f"{name}.{key}: expected {rows.shape} or fewer rows, got {learned.shape}")
            table = ids.get(id(module))
            last = learned.number - 1  # the row of the unknown, of such a table
            known = learned.number if table is None else last
            wanted = rows.ids
            is_unknown = (wanted == rows.number - 1) & (table is not None)
            is_new = (wanted >= known) & ~is_unknown
            found = learned.of(wanted.masked_fill(is_unknown, last).masked_fill(is_new, 0), rows.most)
            if rows.number > learned.number:
                new = wanted[is_new]
                if table is not None and table is users:
                    start = learned.of(new.new_full((1,), last), 1)
                elif id(module) in of_features or known != before.num_items:
                    start = learned.mean(known)
                else:
                    start = like_known(learned, new, in_parts=rows.part is not None)
                found[is_new] = start.expand(len(new), *found.shape[1:])
            value.copy_(found)


class _RowsById:
    """The rows of a table, whole or in parts, by their ids.

    Args:
        values: the rows that this process has.
        part: of the table in parts that they are of; None where they are all.
    """

    def __init__(self, values: Tensor, part: ShardedEmbedding | None) -> None:
        self.values, self.part = values.detach(), part
        self.shape = tuple(values.shape) if part is None else (part.num_rows, *part.row_shape)

    @property
    def number(self) -> int:
        """How many rows there are in all."""
        return self.shape[0]

    @property
    def ids(self) -> Tensor:
        """(n,) of the rows that this process has."""
        ids = torch.arange(self.number) if self.part is None else self.part.own_ids()
        return ids.to(self.values.device)

    @property
    def most(self) -> int:
        """How many rows a process has at the most."""
        return self.number if self.part is None else self.part.part.placing.per_process

    def of(self, ids: Tensor, most: int) -> Tensor:
        """The rows of ids (n,); those in parts are asked for by all processes, some at a time.

        Args:
            ids: what this process needs.
            most: the largest n of a process.
        """
        if self.part is None:
            return self.values[ids.to(self.values.device)].to(ids.device)
        found = [self.part(ids[first : first + ROWS]) for first in range(0, most, ROWS)]
        return torch.cat([self.values.new_zeros(0, *self.shape[1:]), *found])

    def mean(self, known: int) -> Tensor:
        """The mean (1, ...) of the first rows."""
        total = self.values[self.ids < known].sum(dim=0, keepdim=True)
        if self.part is not None:
            add_up(total, "add up known rows", self.part.part.group)
        return total / known


class _MeansOfKnown:
    """Means of the rows of a table of known items that are beside each new item in a log."""

    def __init__(self, grown: GrownLog, known: int) -> None:
        codes, users = np.asarray(grown.log.items, dtype=np.int64), np.asarray(grown.log.users)
        at = np.flatnonzero(codes >= known)
        new: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        old = list(new)
        for step in (*range(-REACH, 0), *range(1, REACH + 1)):
            there = at[(at + step >= 0) & (at + step < len(codes))]
            there = there[(users[there + step] == users[there]) & (codes[there + step] < known)]
            new.append(codes[there])
            old.append(codes[there + step])
        self.known, self.items = known, grown.log.num_items
        self.new, self.old = torch.from_numpy(np.concatenate(new)), torch.from_numpy(np.concatenate(old))

    def __call__(self, learned: _RowsById, codes: Tensor, *, in_parts: bool) -> Tensor:
        """The means (n, ...) for new items.

        Args:
            learned: the table of known items.
            codes: (n,) of the new ones.
            in_parts: whether each process asks for other new ones.
        """
        place = torch.full((self.items,), -1, device=codes.device).index_copy_(
            0, codes, torch.arange(len(codes), device=codes.device)
        )
        places = place[self.new.to(codes.device)]
        new, old = places[places >= 0], self.old.to(codes.device)[places >= 0]
        most = max(all_counts(len(new), codes.device)) if in_parts else len(new)
        rows = learned.of(old, most)
        sums = rows.new_zeros(len(codes), *rows.shape[1:]).index_add_(0, new, rows)
        counts = torch.bincount(new, minlength=len(codes)).view(-1, *[1] * (rows.dim() - 1))
        return torch.where(counts > 0, sums / counts.clamp(min=1), learned.mean(self.known))
