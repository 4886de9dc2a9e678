"""Output layers of language models: a loss to train by, and exact log-probabilities of words."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from logq._arguments import ArgumentError
from logq.candidates import without_log_q
from logq.functional.general_losses import sampled_loss
from logq.hierarchical import HierarchicalSoftmax
from logq.language_models.neural_configs import HIERARCHICAL
from logq.nn.candidate_loss import CandidateLoss
from logq.objectives import OBJECTIVES, Objective
from logq.samplers.sampler import Sampler

__all__ = [
    "AdaptiveOutput",
    "CandidateOutput",
    "OutputLayer",
    "TableReader",
    "TreeOutput",
    "WordReader",
    "make_output",
    "make_reader",
]

CHUNK = 1 << 22
"""Logits computed at a time where probabilities are read; 16 MB of float32, which stay in a cache."""


# --------------------------------------------------------------------------------------------------------- interfaces


class WordReader(nn.Module, ABC):
    """From queries (N, D) to log P(word | query) over V words: what a trained model answers with."""

    @property
    @abstractmethod
    def num_words(self) -> int:
        """V."""

    @abstractmethod
    def next_log_prob(self, queries: Tensor) -> Tensor:
        """(N, V), log P of all words: their exponentials sum to 1 in each row."""

    @abstractmethod
    def log_prob(self, queries: Tensor, targets: Tensor) -> Tensor:
        """(N,), log P of one word for each query, exact over all V words, computed in parts."""


class OutputLayer(nn.Module, ABC):
    """A loss that is trained on queries (N, D) and their words (N,), and what reads probabilities from it."""

    @abstractmethod
    def loss(self, queries: Tensor, targets: Tensor) -> Tensor:
        """The mean loss, a scalar."""

    @abstractmethod
    def reader(self) -> WordReader:
        """What answers. It shares the layer's weights, so it follows their updates."""

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Those that get sparse gradients."""
        return []


# ---------------------------------------------------------------------------------------------- objectives of the table


class TableReader(WordReader):
    """Reads P from the class table of an objective, normalized over all words.

        P(y|x) = p_y / sum_c p_c

    log p comes from `Objective.log_p`: p_c = exp F_c, or Q_c exp F_c for negative sampling, or sigmoid(F_c) for the
    logistic objectives that approximate log odds. These give each word a probability of its own, whose sum is only near
    1, but perplexity is about a distribution.

    Args:
        objective: its name in logq.objectives.OBJECTIVES.
        weight: (V, D).
        bias: (V,) or None.
        log_q: (V,) to add where the objective needs it; None adds nothing.

    Example:
        >>> reader = TableReader("nce", nn.Parameter(torch.randn(50, 8)), None, None)
        >>> reader.next_log_prob(torch.randn(2, 8)).exp().sum(dim=1).round(decimals=4)
        tensor([1., 1.])
    """

    bias: nn.Parameter | None
    log_q: Tensor | None

    def __init__(
        self, objective: str, weight: nn.Parameter, bias: nn.Parameter | None, log_q: Tensor | None = None
    ) -> None:
        super().__init__()
        self.weight = weight
        self.register_parameter("bias", bias)
        self.register_buffer("log_q", log_q)
        self._objective = OBJECTIVES[objective]

    @property
    def num_words(self) -> int:
        """V."""
        return len(self.weight)

    @torch.no_grad()
    def next_log_prob(self, queries: Tensor) -> Tensor:
        """(N, V)."""
        return self._unnormalized(queries).log_softmax(dim=1)

    @torch.no_grad()
    def log_prob(self, queries: Tensor, targets: Tensor) -> Tensor:
        """(N,), without an array (N, V)."""
        found = [queries.new_zeros(0)]
        for part, words in _parts(queries, targets, self.num_words):
            log_p = self._unnormalized(part)
            found.append(log_p.gather(1, words[:, None])[:, 0] - log_p.logsumexp(dim=1))
        return torch.cat(found)

    def _unnormalized(self, queries: Tensor) -> Tensor:
        logits = linear(queries, self.weight, self.bias)
        return self._objective_of_sample().log_p(logits, self.log_q)

    def _objective_of_sample(self) -> Objective:
        """The objective with the rate of the sampler: expected counts add up to the size of its samples."""
        if not self._objective.approximates.uses_q:
            return self._objective
        size = self.num_words if self.log_q is None else float(self.log_q.double().exp().sum())
        return self._objective.for_sample(size, self.num_words)


class CandidateOutput(OutputLayer):
    """An objective of the table.

    Args:
        table: with its class table, and its sampler if the objective samples.
        log_q: whether log Q is subtracted in training where the objective says so, and added where P is read. False
            shows what happens without it.

    Example:
        >>> from logq.nn import NegativeSamplingLoss
        >>> from logq.samplers import Uniform
        >>> layer = CandidateOutput(NegativeSamplingLoss(8, 100, Uniform(100, 5, seed=1)))
        >>> layer.loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    def __init__(self, table: CandidateLoss, *, log_q: bool = True) -> None:
        super().__init__()
        self.table = table
        self.log_q = log_q

    def loss(self, queries: Tensor, targets: Tensor) -> Tensor:
        """The mean loss. Each call makes a new draw."""
        table = self.table
        if table.sampler is None or self.log_q or not table.objective.subtract_log_q:
            return table(queries, targets)
        candidates = without_log_q(table.sampler.draw(targets, need_log_q=False))
        return sampled_loss(table.objective, queries, table.weight, candidates, bias=table.bias, sparse=table.sparse)

    def reader(self) -> TableReader:
        """The reader, with log Q as it is now."""
        table, log_q = self.table, None
        if table.sampler is not None and self.log_q and table.objective.approximates.uses_q:
            log_q = table.sampler.all_log_expected_counts()
        return TableReader(table.objective.name, table.weight, table.bias, log_q)

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Weight and bias, where their gradients are sparse."""
        if not self.table.sparse:
            return []
        return [one for one in (self.table.weight, self.table.bias) if one is not None]


# --------------------------------------------------------------------------------- losses that factor the vocabulary


class TreeOutput(OutputLayer, WordReader):
    """Hierarchical softmax: no sample, and a loss at the cost of a path.

    Args:
        tree: with its table of inner nodes.

    Example:
        >>> layer = TreeOutput(HierarchicalSoftmax(8, [5, 3, 1, 1]))
        >>> layer.loss(torch.zeros(2, 8), torch.tensor([0, 1])).exp()
        tensor(2.8284, grad_fn=<ExpBackward0>)
    """

    def __init__(self, tree: HierarchicalSoftmax) -> None:
        super().__init__()
        self.tree = tree

    @property
    def num_words(self) -> int:
        """V."""
        return self.tree.num_classes

    def loss(self, queries: Tensor, targets: Tensor) -> Tensor:
        """Minus the mean of log P."""
        return self.tree(queries, targets)

    def reader(self) -> WordReader:
        """The layer itself."""
        return self

    @torch.no_grad()
    def next_log_prob(self, queries: Tensor) -> Tensor:
        """(N, V)."""
        return self.tree.log_prob(queries)

    @torch.no_grad()
    def log_prob(self, queries: Tensor, targets: Tensor) -> Tensor:
        """(N,), by the paths of the words alone: P sums to 1 by construction."""
        size = self.tree.depth * self.tree.in_features
        found = [self.tree.log_prob(part, words) for part, words in _parts(queries, targets, size)]
        return torch.cat([queries.new_zeros(0), *found])

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table of nodes, where its gradients are sparse."""
        return [self.tree.weight] if self.tree.sparse else []


class AdaptiveOutput(OutputLayer, WordReader):
    """Adaptive softmax: rare words are grouped into clusters, and have narrower vectors.

    Args:
        softmax: torch's layer; words are numbered by falling frequency, as it requires.

    References:
        Grave, Joulin, Cisse, Grangier, Jegou, Efficient softmax approximation for GPUs, ICML 2017, arXiv:1609.04309.

    Example:
        >>> layer = AdaptiveOutput(nn.AdaptiveLogSoftmaxWithLoss(16, 100, [10, 40]))
        >>> layer.next_log_prob(torch.randn(2, 16)).shape
        torch.Size([2, 100])
    """

    def __init__(self, softmax: nn.AdaptiveLogSoftmaxWithLoss) -> None:
        super().__init__()
        self.softmax = softmax

    @property
    def num_words(self) -> int:
        """V."""
        return self.softmax.n_classes

    def loss(self, queries: Tensor, targets: Tensor) -> Tensor:
        """Minus the mean of log P."""
        return self.softmax(queries, targets).loss

    def reader(self) -> WordReader:
        """The layer itself."""
        return self

    @torch.no_grad()
    def next_log_prob(self, queries: Tensor) -> Tensor:
        """(N, V)."""
        return self.softmax.log_prob(queries)

    @torch.no_grad()
    def log_prob(self, queries: Tensor, targets: Tensor) -> Tensor:
        """(N,), by the clusters of the words alone."""
        found = [self.softmax(part, words).output for part, words in _parts(queries, targets, self.num_words)]
        return torch.cat([queries.new_zeros(0), *found])


def _parts(queries: Tensor, targets: Tensor, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Split queries and their words, so that a part with `width` numbers for each query fits into CHUNK."""
    size = max(1, CHUNK // width)
    return zip(queries.split(size), targets.split(size), strict=True)


# -------------------------------------------------------------------------------------------------------------- by name


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
    """Make the output layer of a model; weights are drawn from torch's global generator.

    Args:
        objective: the name of one in logq.objectives.OBJECTIVES, "hierarchical_softmax", or "adaptive_softmax".
        width: D, of queries.
        counts: of the words, most frequent first.
        sampler: for the objectives that sample.
        log_q: as for CandidateOutput.
        cutoffs: of the adaptive softmax; None for a fifth and three fifths of the words.
        weight: a table (V, D) to share.
        sparse: whether tables get sparse gradients, where the objective has such.

    Raises:
        ArgumentError: the objective has no table (V, D) that could be shared, or a cutoff is beyond the words.

    Example:
        >>> make_output("hierarchical_softmax", 8, np.array([5, 3, 1]), sampler=None).reader().num_words
        3
    """
    size = len(counts)
    if objective in OBJECTIVES:
        options: dict[str, Any] = {"weight": weight, "sparse": sparse and OBJECTIVES[objective].negatives.sampled}
        table = CandidateLoss(objective, width, size, sampler, **options)
        _start_at_unigram(table, counts)
        return CandidateOutput(table, log_q=log_q)
    if weight is not None:
        raise ArgumentError("tied", f"False, as {objective} has no table of words that inputs could share", True)
    if objective == HIERARCHICAL:
        return TreeOutput(HierarchicalSoftmax(width, counts, sparse=sparse))
    fifths = sorted({size // 5, 3 * size // 5} - {0, size})
    found = list(cutoffs) if cutoffs is not None else fifths
    if not found or found[-1] >= size:
        raise ArgumentError("cutoffs", f"numbers below the {size} words of the text", found)
    # The vectors of each cluster have a quarter of the width of those before, torch's default, but at least 1.
    value = min(4.0, 0.999 * width ** (1 / len(found)))
    return AdaptiveOutput(nn.AdaptiveLogSoftmaxWithLoss(width, size, found, div_value=value))


@torch.no_grad()
def _start_at_unigram(table: CandidateLoss, counts: NDArray[np.int64]) -> None:
    """Set biases to the F of the words' frequencies, so that training begins at a unigram model.

    From equal biases, rare words, which few samples reach, would need epochs to come down to their frequency.
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
    """Make the reader of a trained model, with any weights: those of a file replace them.

    Args:
        objective: as for `make_output`.
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
