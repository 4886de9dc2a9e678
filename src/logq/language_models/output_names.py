"""Output layers by name: the objectives of the table, hierarchical and adaptive softmax."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from logq._arguments import check_int
from logq.hierarchical import HierarchicalSoftmax
from logq.language_models.output_layers import (
    AdaptiveOutput,
    CandidateOutput,
    OutputLayer,
    TableReader,
    TreeOutput,
    WordReader,
)
from logq.nn import CandidateLoss
from logq.objectives import OBJECTIVES, objective_name
from logq.samplers import Sampler

__all__ = ["ADAPTIVE", "HIERARCHICAL", "check_cutoffs", "check_output", "make_output", "make_reader", "samples"]

HIERARCHICAL = "hierarchical_softmax"
ADAPTIVE = "adaptive_softmax"


def check_output(objective: object) -> str:
    """Return the name of an objective of language models.

    Raises:
        ValueError: there is no such.

    Example:
        >>> check_output("adaptive_softmax")
        'adaptive_softmax'
    """
    return objective_name(objective, (HIERARCHICAL, ADAPTIVE))


def samples(objective: str) -> bool:
    """Whether an objective samples.

    Example:
        >>> samples("nce"), samples("hierarchical_softmax")
        (True, False)
    """
    return objective in OBJECTIVES and OBJECTIVES[objective].negatives.sampled


def check_cutoffs(cutoffs: Sequence[int] | None) -> list[int] | None:
    """Return where clusters of the adaptive softmax begin.

    Raises:
        TypeError, ValueError: they are not integers that rise.

    Example:
        >>> check_cutoffs((200, 1000))
        [200, 1000]
    """
    if cutoffs is None:
        return None
    found = [check_int("cutoffs", one) for one in cutoffs]
    if not found or any(after <= before for before, after in pairwise(found)):
        raise ValueError(f"cutoffs: expected numbers of words that rise, got {list(cutoffs)}")
    return found


def make_output(
    objective: str,
    width: int,
    counts: NDArray[np.int64],  # (V,)
    *,
    sampler: Sampler | None,
    log_q: bool = True,
    cutoffs: Sequence[int] | None = None,
    weight: nn.Parameter | None = None,
    sparse: bool = False,
) -> OutputLayer:
    """Make the output layer of a model; weights come from torch's global generator.

    Args:
        objective: see `check_output`.
        width: D, of queries.
        counts: of the words, most frequent first.
        sampler: for the rows that sample.
        log_q: as for CandidateOutput.
        cutoffs: of the adaptive softmax; None for a fifth and three fifths of the words.
        weight: a table (V, D) to share.
        sparse: whether tables get sparse gradients, where the objective has such.

    Raises:
        ValueError: the objective has no table (V, D) that could be shared, or a cutoff is beyond the words.

    Example:
        >>> make_output("hierarchical_softmax", 8, np.array([5, 3, 1]), sampler=None).reader().num_words
        3
    """
    size = len(counts)
    if objective in OBJECTIVES:
        options: dict[str, Any] = {"weight": weight, "sparse": sparse and samples(objective)}
        table = CandidateLoss(objective, width, size, sampler, **options)
        _start_at_unigram(table, counts)
        return CandidateOutput(table, log_q=log_q)
    if weight is not None:
        raise ValueError(f"tied: {objective} has no table of words that inputs could share, expected False")
    if objective == HIERARCHICAL:
        return TreeOutput(HierarchicalSoftmax(width, counts, sparse=sparse))
    fifths = sorted({size // 5, 3 * size // 5} - {0, size})
    found = list(cutoffs) if cutoffs is not None else fifths
    if not found or found[-1] >= size:
        raise ValueError(f"cutoffs: expected numbers below the {size} words of the text, got {found}")
    # Each cluster's vectors are a quarter as wide as those before, torch's default, but not of no numbers at all.
    value = min(4.0, 0.999 * width ** (1 / len(found)))
    return AdaptiveOutput(nn.AdaptiveLogSoftmaxWithLoss(width, size, found, div_value=value))


@torch.no_grad()
def _start_at_unigram(table: CandidateLoss, counts: NDArray[np.int64]) -> None:
    """Biases start where the last column of the table is for P = the words' frequencies.

    So training begins at a unigram model. From alike biases the rare words, which few samples reach, would need epochs
    to come down to their frequency.
    """
    assert table.bias is not None
    objective = table.objective
    log_p = torch.from_numpy(counts / counts.sum()).log()
    log_q = torch.zeros_like(log_p)
    if objective.approximates.uses_q and table.sampler is not None:
        objective = objective.for_sample(table.sampler.sample_size(), len(log_p))
        log_q = table.sampler.all_log_expected_counts().cpu().double()
        log_q = log_q.where(log_q.isfinite(), 0.0)  # what is never drawn, or not yet
    table.bias.copy_(objective.logits(log_p, log_q))


def make_reader(
    objective: str,
    width: int,
    counts: NDArray[np.int64],  # (V,)
    *,
    cutoffs: Sequence[int] | None,
    has_log_q: bool,
) -> WordReader:
    """Make what answers for a trained model, with any weights: those of a file are put into it.

    Args:
        objective: see `check_output`.
        width: D, of queries.
        counts: of the words.
        cutoffs: as for `make_output`.
        has_log_q: whether the reader adds log Q.

    Example:
        >>> reader = make_reader("nce", 8, np.array([5, 3, 1]), cutoffs=None, has_log_q=False)
        >>> reader.num_words
        3
    """
    if objective not in OBJECTIVES:
        return make_output(objective, width, counts, sampler=None, cutoffs=cutoffs).reader()
    weight = nn.Parameter(torch.zeros(len(counts), width))
    bias = nn.Parameter(torch.zeros(len(counts)))
    return TableReader(objective, weight, bias, torch.zeros(len(counts)) if has_log_q else None)
