"""Augmentation: histories that are cropped and masked at random while a model is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray

from logq.kernels.distributions import random_bits, shifted
from logq.training.config import AtLeast, AtMost, Below, Config, Help, configclass

__all__ = ["Augmentation", "AugmentationConfig"]


@configclass(group="Training")
class AugmentationConfig(Config):
    """How histories are changed at random in training, and only there.

    Example:
        >>> AugmentationConfig(crop=0.3).mask
        0.0
    """

    crop: Annotated[
        float,
        AtLeast(0),
        AtMost(1),
        Help(
            "Share of training histories that are cropped: they begin at one of their items, chosen at random.",
            more="The end stays, and so does what comes next. Chosen anew in each epoch.",
        ),
    ] = 0.0
    mask: Annotated[
        float,
        AtLeast(0),
        Below(1),
        Help(
            "Share of the items of training histories that are left out, as if they had not happened.",
            more="At least one item of a history stays. Chosen anew in each epoch.",
        ),
    ] = 0.0


@dataclass(frozen=True)
class Augmentation:
    """Crops and masks the histories of a batch. What there is to find stays.

        crop:  with probability `crop` the items before a start are left out, the start uniform among all items
        mask:  each item is left out with probability `mask`; where none would be left, the last one stays

    The others move together, so that encoders see shorter histories and need know nothing of it. In a window, whose
    items each have a target, an item that is left out takes its own target along: the others keep theirs, the items
    that came next in the log, which may be masked themselves. One target after a history stays always.

    The draws are a function of (seed, epoch, event to find, position). They do not depend on how examples are put
    into batches, on the number of processes, or on where an epoch is resumed.

    Differs from the paper, where crops may end early and masked items are replaced by a learned vector, as its two
    views of a history are compared with each other and not with what comes next.

    Args:
        crop: share of histories.
        mask: share of items.
        seed: of the draws.

    References:
        Xie et al., Contrastive learning for sequential recommendation, ICDE 2022, arXiv:2010.14395, section III-C.

    Example:
        >>> from logq.logs import Interactions, Sequences
        >>> batch = Sequences(Interactions.from_arrays([1] * 5, [5, 6, 7, 8, 9]), max_length=9).batch([0])
        >>> changed = Augmentation(mask=0.5, seed=3).of(batch, epoch=0)
        >>> batch["history"].tolist(), batch["targets"].tolist()
        ([[0, 1, 2, 3]], [[1, 2, 3, 4]])
        >>> changed["history"].tolist(), changed["targets"].tolist()
        ([[0, 3, -1, -1]], [[1, 4, -1, -1]])
    """

    crop: float = 0.0
    mask: float = 0.0
    seed: int = 0

    def of(self, batch: Mapping[str, NDArray[Any]], epoch: int) -> Mapping[str, NDArray[Any]]:
        """A batch with other histories.

        Args:
            batch: "history" (B, L), -1 behind; "event" (B,), or "events" and "targets" (B, L); whatever else it has
                for each item of a history is called "history.<name>", (B, L).
            epoch: its number.

        Returns:
            The same of the same shapes, padded where items are left out. "history.time" is relative to the last item
            that is left.

        Raises:
            ValueError: the batch does not say which events are to be found.
        """
        if not (self.crop or self.mask):
            return batch
        if "event" not in batch and "events" not in batch:
            raise ValueError('crop and mask need examples whose batches have "event" or "events"')
        history = batch["history"]
        # The last target of a window is a target of no other window.
        found = batch["events"].max(axis=1) if "events" in batch else batch["event"]
        kept = self._kept((history >= 0).sum(axis=1), history.shape[1], found, epoch)
        order = np.argsort(~kept, axis=1, kind="stable")
        number = kept.sum(axis=1)
        is_padding = np.arange(history.shape[1]) >= number[:, None]
        changed = dict(batch)
        for name, values in batch.items():
            if name in ("history", "targets", "events") or name.startswith("history."):
                moved = np.take_along_axis(values, order, axis=1)
                if name == "history.time" and len(moved):  # ages are counted from the last item
                    moved = moved - np.take_along_axis(moved, np.maximum(number - 1, 0)[:, None], axis=1)
                moved[is_padding] = -1
                changed[name] = moved
        return changed

    def target_chances(self, batch: Mapping[str, NDArray[Any]]) -> NDArray[np.float64] | None:
        """How likely each target of a window stays, (B, L) or (B, L, 1); None where all targets stay.

        Item l of n stays if the window begins before it and it is not masked, or if it is the last one and all others
        are left out:

            (1 - mask) (1 - crop + crop (l + 1) / n)
                + [l = n - 1] ((1 - crop) mask^n + crop / n (mask + mask^2 + ... + mask^n))

        Example:
            >>> batch = {"history": np.array([[4, 7, -1]]), "targets": np.array([[7, 9, -1]])}
            >>> Augmentation(crop=1.0).target_chances(batch).tolist()
            [[0.5, 1.0, 0.0]]
        """
        if "targets" not in batch or not (self.crop or self.mask):
            return None
        history = batch["history"]
        lengths = (history >= 0).sum(axis=1, keepdims=True)
        n, position = np.maximum(lengths, 1), np.arange(history.shape[1])
        chances = (1 - self.mask) * (1 - self.crop + self.crop * (position + 1) / n)
        powers = np.cumsum(self.mask ** np.arange(1, history.shape[1] + 1))[n - 1]
        alone = (1 - self.crop) * self.mask**n + self.crop / n * powers
        return np.where(position < lengths, chances + np.where(position == lengths - 1, alone, 0), 0)

    def _kept(self, lengths: NDArray[np.int64], width: int, events: NDArray[np.int64], epoch: int) -> NDArray[np.bool_]:
        """Which items (B, L) of histories stay."""
        seed = np.random.SeedSequence((self.seed, epoch), spawn_key=(1,)).generate_state(1, np.uint64).view(np.int64)
        of_rows = random_bits(int(seed[0]), torch.from_numpy(np.ascontiguousarray(events, dtype=np.int64)))
        bits = random_bits(of_rows[:, None], torch.arange(2 + width))
        draws = (shifted(bits, 11).double() * 2.0**-53).numpy()
        position = np.arange(width)
        start = np.where(draws[:, 0] < self.crop, np.floor(draws[:, 1] * lengths), 0)
        kept = (position >= start[:, None]) & (position < lengths[:, None]) & (draws[:, 2:] >= self.mask)
        none = ~kept.any(axis=1) & (lengths > 0)
        kept[none, lengths[none] - 1] = True
        return kept
