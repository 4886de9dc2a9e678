"""Output layers of language models behind one face: a loss to train by, and exact log-probabilities of words."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from logq.candidates import without_log_q
from logq.functional import sampled_loss
from logq.hierarchical import HierarchicalSoftmax
from logq.nn import CandidateLoss
from logq.objectives import OBJECTIVES, Objective

__all__ = ["AdaptiveOutput", "CandidateOutput", "OutputLayer", "TableReader", "TreeOutput", "WordReader"]

CHUNK = 1 << 22
"""Logits that are held at a time where probabilities are read; 16 MB of float32, which stay in a cache."""


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
        """(N,), log P of one word a query, exact over all V words, some queries at a time."""


class OutputLayer(nn.Module, ABC):
    """A loss that queries (N, D) and their words (N,) are trained by, and what reads probabilities off it."""

    @abstractmethod
    def loss(self, queries: Tensor, targets: Tensor) -> Tensor:
        """The mean loss, a scalar."""

    @abstractmethod
    def reader(self) -> WordReader:
        """What answers, over the same weights, as they are and will be."""

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Those that get sparse gradients."""
        return []


class TableReader(WordReader):
    """Reads P off the class table of a row of the table of objectives, normalised over all words.

        P(y|x) = p_y / sum_c p_c,    p_c = exp F_c, or Q_c exp F_c for negative sampling, or sigmoid(F_c) for the
                                     logistic rows that approximate log odds: these give each word a probability of its
                                     own, and their sum is near 1 only, but perplexity is about a distribution

    Args:
        objective: the name of the row.
        weight: (V, D).
        bias: (V,) or None.
        log_q: (V,) to add where the row needs it; None adds nothing.

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
        return self._unnormalised(queries).log_softmax(dim=1)

    @torch.no_grad()
    def log_prob(self, queries: Tensor, targets: Tensor) -> Tensor:
        """(N,), without an array of log P of all words."""
        found = [queries.new_zeros(0)]
        for some, words in _parts(queries, targets, self.num_words):
            log_p = self._unnormalised(some)
            found.append(log_p.gather(1, words[:, None])[:, 0] - log_p.logsumexp(dim=1))
        return torch.cat(found)

    def _unnormalised(self, queries: Tensor) -> Tensor:
        logits = linear(queries, self.weight, self.bias)
        return self._readout().log_p(logits, self.log_q)

    def _readout(self) -> Objective:
        """The objective with the rate of the sampler that the expected counts are those of, which sum up to S."""
        if not self._objective.approximates.uses_q:
            return self._objective
        size = self.num_words if self.log_q is None else float(self.log_q.double().exp().sum())
        return self._objective.for_sample(size, self.num_words)


class CandidateOutput(OutputLayer):
    """A row of the table of objectives.

    Args:
        table: with its class table, and its sampler where the row samples.
        log_q: whether log Q is subtracted in training where the row says so, and added where P is read. False shows
            what happens without.

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
        """The mean loss. Each call draws anew."""
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
        found = [self.tree.log_prob(some, words) for some, words in _parts(queries, targets, size)]
        return torch.cat([queries.new_zeros(0), *found])

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table of nodes, where its gradients are sparse."""
        return [self.tree.weight] if self.tree.sparse else []


class AdaptiveOutput(OutputLayer, WordReader):
    """Adaptive softmax: rare words stand in clusters, and have narrower vectors.

    Args:
        softmax: torch's layer; words are numbered by falling frequency, as it wants.

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
        """(N,), with only the clusters of the words looked into."""
        found = [self.softmax(some, words).output for some, words in _parts(queries, targets, self.num_words)]
        return torch.cat([queries.new_zeros(0), *found])


def _parts(queries: Tensor, targets: Tensor, numbers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Consecutive queries with their words, so few that CHUNK holds so many numbers of each."""
    size = max(1, CHUNK // numbers)
    return zip(queries.split(size), targets.split(size), strict=True)
