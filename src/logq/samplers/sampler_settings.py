"""SamplerSettings: what an estimator knows when it makes a sampler by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SamplerSettings"]


@dataclass(frozen=True)
class SamplerSettings:
    """What an estimator knows when it makes a sampler. Each sampler takes what it can use.

    Args:
        counts: (C,) of the classes in the data, most frequent first, which log_uniform relies on.
        num_sampled: S; in_batch and every_class have their own, and cross_batch has S beside those of the batch.
        unigram_power: of the counts, for unigram.
        replacement: whether a class may stand in a sample twice; without, S is the number of classes at most.
        per_row: whether each row of a batch has a sample of its own, or all share one.
        seed: of the draws.
        target_counts: (C,) how often each class is a target, for in_batch; None if that is `counts`.
        in_batch_share: the share of the S classes that are targets of other rows of the batch.
        negatives_of: whose targets in_batch takes where several processes train one model: "rank" for those of this
            process, "node" for those of its machine, "world" for those of all.

    Example:
        >>> import numpy as np
        >>> SamplerSettings(np.array([8, 1]), 3, replacement=False).num_distinct
        2
    """

    counts: NDArray[np.int64]
    num_sampled: int
    unigram_power: float = 1.0
    replacement: bool = True
    per_row: bool = False
    seed: int | None = None
    target_counts: NDArray[np.float64] | None = None
    in_batch_share: float = 0.0
    negatives_of: str = "rank"

    @property
    def of_targets(self) -> NDArray[Any]:
        """(C,) in proportion to how often each class is a target."""
        return self.counts if self.target_counts is None else self.target_counts

    @property
    def group(self) -> str | None:
        """`negatives_of` as samplers take it: None for this process alone."""
        return None if self.negatives_of == "rank" else self.negatives_of

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.counts)

    @property
    def num_distinct(self) -> int:
        """S, or C where draws are without replacement and C is less."""
        return self.num_sampled if self.replacement else min(self.num_sampled, self.num_classes)
