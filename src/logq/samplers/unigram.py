"""Unigram: classes in proportion to a power of their counts, by Walker's alias method."""

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from torch import Tensor
from typing_extensions import Unpack

from logq._arguments import ArgumentError, Verbatim, check_float, check_int
from logq._files import parsing
from logq.kernels.distributions import AliasDistribution
from logq.kernels.expected_counts import TableCounts
from logq.samplers.alias_table import AliasTable
from logq.samplers.class_counts import check_counts, read_counts
from logq.samplers.kept_tensors import Kept
from logq.samplers.proposal import Proposal, ProposalOptions, options_of
from logq.samplers.sampler_settings import SamplerSettings

__all__ = ["Unigram"]


class Unigram(Proposal):
    """Draws classes in proportion to a power of their counts.

        q(y) = counts_y^power / sum_c counts_c^power,     0 for the reserved ids

    Cost: the table O(C) once and 8 bytes per class, log q another 4 (8 in double); O(1) per draw.

    Equivalent to: tf.random.fixed_unigram_candidate_sampler(distortion=power), up to the exact expected counts of
    distinct draws (logq.samplers.distinct_draws); with power = 0.75 word2vec's noise distribution.

    Args:
        counts: (C,) counts or weights, not negative; or see `from_file`.
        num_sampled: S.
        power: 1 for the frequencies themselves, 0.75 as in word2vec, 0 for uniform over what occurs, below 0 for more
            of what is rare, as Caselles-Dupre et al. (RecSys 2018, arXiv:1804.04212) found best for some logs of items.
        num_reserved_ids: this many leading ids (padding, unknown) are never drawn, whatever their counts.
        **options: as for Proposal: replacement, per_row, seed, device, dtype.

    Raises:
        ValueError: a count is negative or not finite, none is positive, there are 2^31 and more, or more distinct
            classes are asked for than can be drawn.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546, Sec. 2.2.

    Example:
        >>> sampler = Unigram([1, 1, 2, 4], num_sampled=8, seed=1)
        >>> sampler.draw(torch.tensor([3])).true_log_expected_count.exp()
        tensor([4.])
    """

    log_q = Kept()  # (C,)

    def __init__(
        self,
        counts: Sequence[float] | np.ndarray[Any, Any] | Tensor,
        num_sampled: int,
        *,
        power: float = 1.0,
        num_reserved_ids: int = 0,
        **options: Unpack[ProposalOptions],
    ) -> None:
        weights = noise_weights(counts, power, num_reserved_ids)
        super().__init__(len(weights), num_sampled, **options)
        self.power = float(power)
        self.num_reserved_ids = int(num_reserved_ids)
        probabilities = weights / weights.sum()
        self.log_q = probabilities.log().to(self.home, self.dtype)
        self.table = AliasTable(probabilities).to(self.device)
        self._prepare()

    @classmethod
    def from_settings(cls, settings: SamplerSettings) -> "Unigram":
        """Make the sampler from what an estimator knows; see Sampler."""
        power = settings.unigram_power
        return cls(settings.counts, settings.num_distinct, power=power, **options_of(settings))

    @classmethod
    def from_file(cls, path: str | PathLike[str], num_sampled: int, **arguments: Any) -> "Unigram":
        """From a vocabulary file, one class per line in order of ids, its count the last field.

        Args:
            path: text, compressed or not and in any encoding; fields are separated by commas, tabs or spaces: `count`,
                `word count`, `word,count`.
            num_sampled: S.
            **arguments: as for Unigram.

        Raises:
            OSError: the file cannot be read.
            ValueError: a line does not end in a number, or it is none >= 0; the message gives the line or class.
        """
        counts = read_counts(path)
        with parsing(path, by_arguments=True):
            return cls(counts, num_sampled, **arguments)

    def log_prob(self, ids: Tensor) -> Tensor:
        """The log of q for classes: int64 of any shape -> the same shape; -inf where q = 0."""
        return TableCounts(self.log_q)(ids)

    def _log_counts(self, factor: int) -> TableCounts:
        return TableCounts(self.log_q, math.log(factor))

    def _distribution(self) -> AliasDistribution:
        return self.table.distribution


def noise_weights(
    counts: Sequence[float] | np.ndarray[Any, Any] | Tensor, power: float, num_reserved_ids: int
) -> Tensor:
    """counts^power in float64, zero for the reserved ids and for what never occurs."""
    power = check_float("power", power)
    reserved = check_int("num_reserved_ids", num_reserved_ids, 0)
    values = check_counts(counts)
    # Relative to the heaviest class, no power overflows. 0^0 is 1, yet what never occurs is not to be drawn.
    heaviest = values.max() if power >= 0 else values[values > 0].min()
    weights = (values / heaviest).pow(power).where(values > 0, 0.0)
    tiny = (weights < 1e-300) & (values > 0)
    if bool(tiny.any()):
        where = int(tiny.nonzero()[0])
        raise ArgumentError(
            "counts",
            "counts^power within 300 orders of magnitude",
            Verbatim(f"{values[where].item():g} for class {where} beside {heaviest.item():g}"),
            "use 0 for a class that is not to be drawn",
        )
    weights[:reserved] = 0
    if not bool(weights.sum() > 0):
        raise ArgumentError("counts", f"a positive count beyond the {reserved} reserved ids, all are 0")
    return weights
