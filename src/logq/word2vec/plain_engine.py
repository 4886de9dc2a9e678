"""PlainEngine: word2vec in plain PyTorch, any objective with any sampler, one batch after the other.

It is the reference for word2vec in logq; a test holds the fused engine to it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.hierarchical import HierarchicalSoftmax
from logq.nn import CandidateLoss
from logq.objectives import NEGATIVE_SAMPLING, OBJECTIVES
from logq.samplers.registry import SamplerSettings, make_sampler
from logq.shapes import check_device
from logq.text import Vocabulary, cbow_windows, reduced_windows, skipgram_pairs, subsample_sentences
from logq.training.batch_feed import feed
from logq.vectors.word_parts import WordParts
from logq.word2vec.engines import (
    Engine,
    Floats,
    Position,
    Span,
    check_arrays,
    first_vectors,
    rows_of_buckets,
)
from logq.word2vec.kernel import Losses
from logq.word2vec.modules import CBOW, SkipGram
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["PlainEngine", "WordBatch", "examples"]


class WordBatch(NamedTuple):
    """Training examples, and how many entries of the text are done with them.

    Args:
        inputs: (B,) for skip-gram, (B, 2 * window) padded with -1 for CBOW; int64.
        targets: (B,) int64.
        entries: ids and ends of sentences that were read for them.
    """

    inputs: Tensor
    targets: Tensor
    entries: int


def examples(
    ids: NDArray[np.int32],  # (n,)
    *,
    skip_gram: bool,
    window: int,
    keep_probability: NDArray[np.float64],
    batch_size: int,
    rng: np.random.Generator,
    shrink_windows: bool = True,
) -> Iterator[WordBatch]:
    """Subsample the words of some text, make windows, shuffle the examples and batch them.

    Frequent words are thinned out first, so windows reach further in the text, as in word2vec.c. Examples are shuffled,
    so that the batch of one step is not all from one sentence.

    Args:
        ids: words, and -1 where sentences end.
        skip_gram: whether to make pairs, or the windows of CBOW.
        window: maximum reach of a window.
        keep_probability: (V,) from Vocabulary.keep_probability.
        batch_size: B.
        rng: generator of all that is random.
        shrink_windows: whether the reach of each is drawn; all have the maximum otherwise.

    Returns:
        Batches; the last one may be smaller.

    Example:
        >>> batches = examples(
        ...     np.array([0, 1, 2, -1]), skip_gram=True, window=1, batch_size=8,
        ...     keep_probability=np.ones(3), rng=np.random.default_rng(0),
        ... )
        >>> [sorted(zip(batch.inputs.tolist(), batch.targets.tolist())) for batch in batches]
        [[(0, 1), (1, 0), (1, 2), (2, 1)]]
    """
    entries = len(ids)
    ends = np.append(np.flatnonzero(ids < 0), entries)
    lengths = np.diff(ends, prepend=-1) - 1
    kept, kept_lengths = subsample_sentences(ids[ids >= 0].astype(np.int64), lengths, keep_probability, rng)
    windows = reduced_windows(len(kept), window, rng) if shrink_windows else np.full(len(kept), window)
    if skip_gram:
        inputs, targets = skipgram_pairs(kept, kept_lengths, windows)
    else:
        inputs, targets = cbow_windows(kept, kept_lengths, windows, window=window)
    order = rng.permutation(len(targets))
    shuffled = torch.from_numpy(inputs[order]), torch.from_numpy(targets[order])
    # The entries are spread over the batches; text without examples yields an empty batch for them.
    batches = list(zip(shuffled[0].split(batch_size), shuffled[1].split(batch_size), strict=True))
    for number, batch in enumerate(batches):
        share = entries * (number + 1) // len(batches) - entries * number // len(batches)
        yield WordBatch(*batch, share)


class PlainEngine(Engine):
    """A model, a loss and plain gradient descent on the summed loss of each batch."""

    name = "plain"
    max_span = 20_000  # entries whose examples are shuffled; about 1 MB of pairs for each word of the window

    @classmethod
    def check_device(cls, device: Any) -> str:
        """Any device that torch has here."""
        return str(check_device(device) or "cpu")

    def __init__(self, settings: Word2VecConfig, vocabulary: Vocabulary, vectors: Floats, seed: int) -> None:
        assert settings.lr is not None
        self.device = check_device(settings.device) or torch.device("cpu")
        self.keep_probability = vocabulary.keep_probability(settings.sample)
        self.skip_gram, self.window, self.threads = settings.sg, settings.window, settings.used_threads
        self.shrink_windows = settings.shrink_windows
        size, dim = vectors.shape
        unused = torch.Generator()  # the first vectors are given; torch's global generator is left alone
        self._num_words = size
        self._parts = None if settings.ngrams is None else WordParts.of(vocabulary.index_to_key, settings.ngrams)
        if self._parts is not None:
            vectors = np.concatenate([vectors, first_vectors(len(self._parts.buckets), dim, seed)])
        if self.skip_gram:
            self.model = SkipGram(size, dim, generator=unused, parts=self._parts)
        else:
            self.model = CBOW(size, dim, mean=settings.cbow_mean, generator=unused, parts=self._parts)
        self.model.vectors.data = torch.from_numpy(np.ascontiguousarray(vectors))
        self.loss = _make_loss(settings, vocabulary, self.keep_probability, seed)
        self.model.to(self.device)
        self.loss.to(self.device)
        self.optimizer = torch.optim.SGD([*self.model.parameters(), *self.loss.parameters()], lr=settings.lr)
        self.batch_size = settings.batch_size or min(512, max(1, size // 8))

    def train(self, span: Span, position: Position) -> Losses:
        """Train on the words of a span; on one machine and number of threads the result is always the same."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            return self._train(span, position)
        finally:
            torch.set_num_threads(before)

    def _train(self, span: Span, position: Position) -> Losses:
        seeds = np.random.SeedSequence([position.seed, position.entry]).generate_state(2, np.uint64)
        sampler = getattr(self.loss, "sampler", None)
        if sampler is not None:
            sampler.generator.manual_seed(int(seeds[1]) >> 1)
        start, slope, floor = position.rate
        total = torch.zeros((), dtype=torch.float64, device=self.device)  # looked at once, as that waits for it
        pairs, done = 0, position.entry
        batches = examples(
            span.ids[span.begin : span.end],
            skip_gram=self.skip_gram,
            window=self.window,
            keep_probability=self.keep_probability,
            batch_size=self.batch_size,
            rng=np.random.default_rng(seeds[0]),
            shrink_windows=self.shrink_windows,
        )
        arrays = (({"inputs": one.inputs.numpy(), "targets": one.targets.numpy()}, one.entries) for one in batches)
        with contextlib.closing(feed(arrays, self.device)) as fed:
            for there, entries in fed:
                batch = WordBatch(there["inputs"], there["targets"], entries)
                self.optimizer.param_groups[0]["lr"] = max(floor, start - slope * done)
                total += self._step(batch)
                pairs += len(batch.targets)
                done += batch.entries
        self.put_back()
        return Losses(pairs, float(total), pairs)

    def _step(self, batch: WordBatch) -> Tensor:
        """One step of gradient descent on the sum of the losses of a batch, which it returns."""
        loss = self.loss(self.model.query(batch.inputs), batch.targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.held is not None:
            self.put_back(batch.inputs.cpu().numpy())
        return loss.detach()

    @property
    def vectors(self) -> Floats:
        """(V, D); a view on the CPU."""
        return self._rows_of(slice(self._num_words))

    @property
    def rows(self) -> Floats:
        """All rows; a view on the CPU."""
        return self._rows_of(slice(None))

    def _rows_of(self, some: slice) -> Floats:
        return self.model.vectors[some].detach().cpu().numpy()

    @property
    def parts(self) -> WordParts | None:
        """The rows that words consist of, if they are trained with their n-grams."""
        return self._parts

    def state(self) -> dict[str, NDArray[Any]]:
        """The loss module: output vectors, biases, and what the sampler has learned; and the vectors of n-grams."""
        learned = {name: tensor.detach().cpu().numpy() for name, tensor in self.loss.state_dict().items()}
        if self._parts is not None:
            learned["ngrams"] = self._rows_of(slice(self._num_words, None))
        return learned

    @torch.no_grad()
    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Copy vectors and a loss module."""
        expected = self.state()
        check_arrays({"vectors": self.vectors, **expected}, {"vectors": vectors, **state})
        self.model.vectors[: self._num_words] = torch.from_numpy(np.array(vectors))
        if self._parts is not None:
            self.model.vectors[self._num_words :] = torch.from_numpy(np.array(state["ngrams"]))
            del expected["ngrams"]
        self.loss.load_state_dict({name: torch.from_numpy(np.array(state[name])) for name in expected})

    @torch.no_grad()
    def put_vectors(self, rows: NDArray[np.int64], vectors: Floats) -> None:
        """Replace some rows."""
        of_words = torch.from_numpy(np.ascontiguousarray(vectors)).to(self.device)
        self.model.vectors[torch.from_numpy(rows).to(self.device)] = of_words

    @torch.no_grad()
    def copy_words(self, other: Engine, numbers: NDArray[np.int64]) -> None:
        """Copy the rows of its words; what a sampler has learned starts over."""
        assert isinstance(other, PlainEngine)
        rows = torch.from_numpy(numbers).to(self.device)
        self.model.vectors[rows] = other.model.vectors[: len(rows)]
        if self._parts is not None:
            places = rows_of_buckets(self._parts, other.parts) + self._num_words
            self.model.vectors[torch.from_numpy(places).to(self.device)] = other.model.vectors[len(rows) :]
        if not isinstance(self.loss, CandidateLoss) or not isinstance(other.loss, CandidateLoss):
            self.loss.load_state_dict(other.loss.state_dict())
            return
        self.loss.weight[rows] = other.loss.weight
        if self.loss.bias is not None and other.loss.bias is not None:
            self.loss.bias[rows] = other.loss.bias


def _make_loss(
    settings: Word2VecConfig, vocabulary: Vocabulary, keep_probability: NDArray[np.float64], seed: int
) -> CandidateLoss | HierarchicalSoftmax:
    size, dim = len(vocabulary), settings.dim
    if settings.hs:
        return HierarchicalSoftmax(dim, vocabulary.counts, reduction="sum", sparse=True)
    objective = OBJECTIVES[settings.objective]
    sampler = None
    if settings.sampler is not None:
        sampler = make_sampler(
            settings.sampler,
            SamplerSettings(
                vocabulary.counts,
                settings.num_sampled,
                unigram_power=settings.unigram_power,
                per_row=not settings.shared_negatives,
                seed=seed,
                target_counts=vocabulary.counts * keep_probability,
            ),
        )
    return CandidateLoss(
        objective,
        dim,
        size,
        sampler,
        weight=torch.nn.Parameter(torch.zeros(size, dim)),
        # What negative sampling approximates does not depend on frequency; log P and log odds mostly do.
        bias=not objective.approximates.uses_q,
        # word2vec.c and gensim drop a negative that is the target, which the table's S does not.
        remove_hits=True if objective is NEGATIVE_SAMPLING else None,
        reduction="sum",
        sparse=objective.negatives.sampled,
    )
