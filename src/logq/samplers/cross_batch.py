"""CrossBatch: the targets of the batch and of those before it are the negatives of a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.candidates import IGNORED
from logq.process_groups import GroupChoice
from logq.samplers.in_batch import InBatch
from logq.samplers.kept_tensors import Kept
from logq.samplers.sampler import Draw
from logq.samplers.sampler_settings import SamplerSettings
from logq.samplers.streams import Source
from logq.shapes import can_look_at
from logq.tracing import is_fake

__all__ = ["CrossBatch"]


class CrossBatch(InBatch):
    """Takes the targets of the batch, and the last M targets of earlier batches from a memory, first in, first out.

        Q(y) = (n - T + m) q(y)       m <= M targets in the memory; n, T and q(y) as in InBatch

    So a small batch has many negatives. Q supposes that batches are independent of each other. It is exact where
    `counts` of all targets are known; otherwise q(y) is the estimate of InBatch, from all batches up to this one.

    Where class weights are a table, rows of the memory's classes are looked up as they are now, and have gradients.
    Where vectors are computed, those of the memory are as they were when their batch came, and are constants: no tower
    is run for them. `keep_vectors` takes the vectors of a batch in, and `kept_vectors` gives those of the memory.
    logq.recommenders.ItemLoss does both, and takes the vector of today for an item that the batch has as well; hits are
    told by ids. Stale vectors lag behind by M / n batches, which a high learning rate makes matter.

    The memory fills by draws in `train()`, and is not touched in `eval()`, whose draws have it too. It is part of
    `state_dict`, and takes 8 bytes a place and those of a vector.

    Args:
        num_classes: C.
        memory: M.
        counts, rate, group: as in InBatch; the memory of a group has the targets of all its processes.
        seed, device, dtype: as in Sampler; nothing is random.

    Raises:
        ValueError: as InBatch, or memory is not an integer >= 1.

    References:
        Wang et al., Cross-Batch Negative Sampling for Training Two-Tower Recommenders, SIGIR 2021, arXiv:2110.15154.
        He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020: a queue, whose vectors
        a slow copy of the encoder makes; there is none here.

    Example:
        >>> sampler = CrossBatch(5, memory=3, counts=[10, 10, 20, 30, 30])
        >>> sampler.draw(torch.tensor([4, 1])).ids
        tensor([4, 1])
        >>> candidates = sampler.draw(torch.tensor([2, 3]))
        >>> candidates.ids, candidates.log_expected_count.exp()
        (tensor([2, 3, 4, 1]), tensor([0.6000, 0.9000, 0.9000, 0.3000]))
        >>> candidates.excluded
        tensor([[ True, False, False, False],
                [False,  True, False, False]])
    """

    LEARNED = (*InBatch.LEARNED, "queue", "pushed", "vectors")

    queue = Kept()  # (M + 1,) int64, whose last place takes what is not kept
    pushed = Kept()  # () int64, how many targets came so far: the next one goes to place `pushed` modulo M
    vectors = Kept()  # (M + 1, D), once there are some

    def __init__(
        self,
        num_classes: int,
        memory: int,
        *,
        counts: Sequence[float] | np.ndarray[Any, Any] | Tensor | None = None,
        rate: float = 0.01,
        group: GroupChoice | None = None,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_classes, counts=counts, rate=rate, group=group, seed=seed, device=device, dtype=dtype)
        self.memory = check_int("memory", memory)
        self.queue = torch.zeros(self.memory + 1, dtype=torch.int64, device=self.home)
        self.pushed = torch.zeros((), dtype=torch.int64, device=self.home)
        self._drawn = (0, 0)  # how many ids of the last draw are the batch's, and how many the memory's
        self._places: Tensor | None = None  # where the targets of the last batch went

    @classmethod
    def from_settings(cls, settings: SamplerSettings) -> "CrossBatch":
        """Make the sampler from what an estimator knows; see Sampler. `num_sampled` is M."""
        return cls(
            settings.num_classes,
            settings.num_sampled,
            counts=settings.of_targets,
            group=settings.group,
            seed=settings.seed,
        )

    def _num_kept(self) -> Tensor:
        return self.pushed.clamp(max=self.memory)

    def _with_kept(self, counts: Tensor) -> Tensor:
        return counts + self._num_kept()

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        draw = super()._draw(targets, generator)
        assert draw.excluded is not None
        size = int(self._num_kept()) if can_look_at(targets) else self.memory
        self._drawn = (len(draw.ids), size)
        is_empty = torch.arange(size, device=targets.device) >= self.pushed
        return draw._replace(
            ids=torch.cat([draw.ids, self.queue[:size]]),
            excluded=torch.cat([draw.excluded, is_empty.expand(len(targets), -1)], dim=1),
        )

    def _learn(self, targets: Tensor, *, before: bool) -> None:
        if self.training and not before:  # a target is no negative of its own batch twice
            self._push(targets)
        super()._learn(targets, before=before)

    def _push(self, targets: Tensor) -> None:
        if is_fake(targets):
            return
        ids = self._of_group(targets)[0].reshape(-1)
        if can_look_at(ids):
            ids = ids[ids != IGNORED]
        is_class = ids != IGNORED
        number, total = is_class.cumsum(0) - 1, is_class.sum()
        # Of a batch that is larger than the memory the last targets stay.
        is_kept = is_class & (number >= total - self.memory)
        self._places = ((self.pushed + number) % self.memory).where(is_kept, self.memory)
        self.queue[self._places] = ids.where(is_kept, 0)
        self.pushed += total

    def kept_vectors(self) -> Tensor | None:
        """(m, D), the vectors of the last m ids of the last draw, which are the memory's; None if it took none.

        Raises:
            RuntimeError: some of these targets were never given a vector.
        """
        size = self._drawn[1]
        if size and not hasattr(self, "vectors"):
            if can_look_at(self.queue):
                raise RuntimeError(
                    "the memory has targets without vectors: call keep_vectors after each draw in train()"
                )
            return None  # all of them are excluded, if it was
        return self.vectors[:size] if size else None

    @torch.no_grad()
    def keep_vectors(self, vectors: Tensor) -> None:
        """Take in the vectors of a batch, after `draw` and `kept_vectors`; in `eval()` nothing happens.

        Args:
            vectors: (n, D), of the first n ids of the last draw, which are the batch's.

        Raises:
            ValueError: they are not as many.
        """
        if not self.training or self._places is None:
            return
        if vectors.dim() != 2 or len(vectors) != self._drawn[0]:
            raise ArgumentError("vectors", f"shape (n, D) with n = {self._drawn[0]}", Verbatim(tuple(vectors.shape)))
        if not hasattr(self, "vectors"):
            with torch.inference_mode(False):
                self.vectors = vectors.new_zeros(self.memory + 1, vectors.shape[1])
        self.vectors[self._places] = vectors.detach()

    def _load_learned(self, learned: Mapping[str, Tensor]) -> None:
        vars(self).pop("_kept_vectors", None)
        if "vectors" in learned:
            rows = learned["vectors"]
            if rows.dim() != 2 or len(rows) != self.memory + 1:
                raise ArgumentError("vectors", f"shape (M + 1, D) with M = {self.memory}", tuple(rows.shape))
            self.vectors = rows.to(self.home, copy=True)
        super()._load_learned(learned)

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"memory={self.memory}, {super().extra_repr()}"
