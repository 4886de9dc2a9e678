"""Candidates: what a sampler hands to a loss, and the only thing that passes between the two.

Can be imported without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IGNORED", "Candidates", "as_columns", "without_log_q"]

IGNORED = -100
"""The target that is not a class: its entry takes part in nothing, as `ignore_index` of torch's losses."""


def as_columns(targets: Tensor) -> Tensor:
    """(B,) or (B, T) -> (B, T).

    Example:
        >>> as_columns(torch.tensor([1, 2])).shape
        torch.Size([2, 1])
    """
    return targets[:, None] if targets.dim() == 1 else targets


class Candidates(NamedTuple):
    """Sampled classes and true classes, each with the natural logarithm of its expected count in the sample.

    The expected count of a class is how often it stands in the sampled set on average: k * q(y) for k draws with
    replacement, the probability of being included for draws without. It is Q(y|x) of the table of candidate sampling
    algorithms, and it is a constant for autograd.

    Args:
        ids: (S,) int64, one sample shared by all rows, or (B, S), a sample of its own for each row.
        log_expected_count: of `ids`, same shape; or (B, S) for shared ids whose counts differ from row to row.
        targets: (B,) or (B, T) int64, the true classes. Entries that equal IGNORED are none: a row may have fewer
            than T true classes, or none at all.
        true_log_expected_count: of `targets`, same shape.
        excluded: (B, S) bool or None. True where a column of a shared sample is not part of this row's sample, as the
            row's own target is not for in-batch negatives.

    Example:
        >>> candidates = Candidates(
        ...     ids=torch.tensor([4, 1, 4]), log_expected_count=torch.zeros(3),
        ...     targets=torch.tensor([1, 2]), true_log_expected_count=torch.zeros(2),
        ... )
        >>> candidates.hits()
        tensor([[False,  True, False],
                [False, False, False]])
    """

    ids: Tensor
    log_expected_count: Tensor
    targets: Tensor
    true_log_expected_count: Tensor
    excluded: Tensor | None = None

    def hits(self) -> Tensor:
        """(B, S) bool: where a sampled class is a true class of the row: every copy of it, and any of the T."""
        ids = self.ids if self.ids.dim() == 2 else self.ids[None, :]  # (B or 1, S)
        # One true class after the other: (B, T, S) would be T times the size of the logits.
        columns = as_columns(self.targets).unbind(dim=1)
        found = ids == columns[0][:, None]
        for column in columns[1:]:
            found = found | (ids == column[:, None])
        return found

    def is_true(self) -> Tensor:
        """(B,) or (B, T) bool: where an entry of `targets` is a class and not IGNORED."""
        return self.targets != IGNORED


def without_log_q(candidates: Candidates) -> Candidates:
    """The same candidates as if each class were expected once, so that nothing is subtracted.

    The loss of a row is then what it is for a sampler that draws all classes alike.

    Example:
        >>> from logq.samplers import LogUniform
        >>> without_log_q(LogUniform(9, 2, seed=1).draw(torch.tensor([8]))).true_log_expected_count
        tensor([0.])
    """
    log_q, true_log_q = candidates.log_expected_count, candidates.true_log_expected_count
    return candidates._replace(
        log_expected_count=log_q.new_zeros(log_q.shape), true_log_expected_count=true_log_q.new_zeros(true_log_q.shape)
    )
