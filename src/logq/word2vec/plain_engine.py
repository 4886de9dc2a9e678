"""The plain engines: word2vec in plain PyTorch, any objective with any sampler, one batch after the other.

This is the meaning of word2vec in logq. The fused engines is held to it by a test.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

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
from logq.word2vec import engines
from logq.word2vec.engines import Floats, Losses, Place, Stretch
from logq.word2vec.modules import CBOW, SkipGram

if TYPE_CHECKING:
    from logq.word2vec.word2vec import Word2Vec

__all__ = ["Batch", "Engine", "examples"]


class Batch(NamedTuple):
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
) -> Iterator[Batch]:
    """Thin out the words of some text, make windows, shuffle the examples and batch them.

    Frequent words are thinned out first, so windows reach further in the text, as in word2vec.c. Examples are shuffled:
    a batch is one step, and should not be all about one sentence.

    Args:
        ids: words, and -1 where sentences end.
        skip_gram: pairs, or the windows of CBOW.
        window: the widest reach of a window; each is uniform in 1..window.
        keep_probability: (V,) from Vocabulary.keep_probability.
        batch_size: B.
        rng: of all of it.

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
    windows = reduced_windows(len(kept), window, rng)
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
        yield Batch(*batch, share)


class Engine(engines.Engine):
    """A model, a loss and plain gradient descent on the summed loss of each batch."""

    name = "plain"
    stretch = 20_000  # entries whose examples are shuffled; about 1 MB of pairs for each word of the window

    @classmethod
    def device_named(cls, device: Any) -> str:
        """Any device of torch's that is there."""
        return str(check_device(device) or "cpu")

    def __init__(self, model: "Word2Vec", vocabulary: Vocabulary, vectors: Floats, seed: int) -> None:
        self.settings = model
        self.device = check_device(model.device) or torch.device("cpu")
        self.keep_probability = vocabulary.keep_probability(model.sample)
        size, dim = vectors.shape
        unused = torch.Generator()  # the first vectors are given; torch's global generator is left alone
        if model.sg:
            self.model = SkipGram(size, dim, generator=unused)
        else:
            self.model = CBOW(size, dim, mean=model.cbow_mean, generator=unused)
        self.model.vectors.data = torch.from_numpy(np.ascontiguousarray(vectors))
        self.loss = self._make_loss(vocabulary, seed)
        self.model.to(self.device)
        self.loss.to(self.device)
        self.optimizer = torch.optim.SGD([*self.model.parameters(), *self.loss.parameters()], lr=model.lr)
        self.batch_size = model.batch_size or min(512, max(1, size // 8))

    def _make_loss(self, vocabulary: Vocabulary, seed: int) -> CandidateLoss | HierarchicalSoftmax:
        model, size = self.settings, len(vocabulary)
        if model.hs:
            return HierarchicalSoftmax(model.dim, vocabulary.counts, reduction="sum", sparse=True)
        objective = OBJECTIVES[model.objective]
        sampler = None
        if model.sampler is not None:
            sampler = make_sampler(
                model.sampler,
                SamplerSettings(
                    vocabulary.counts,
                    model.negatives,
                    unigram_power=model.power,
                    per_row=not model.shared_negatives,
                    seed=seed,
                    target_counts=vocabulary.counts * self.keep_probability,
                ),
            )
        return CandidateLoss(
            objective,
            model.dim,
            size,
            sampler,
            weight=torch.nn.Parameter(torch.zeros(size, model.dim)),
            # What negative sampling approximates has no room for frequency; log P and log odds are mostly that.
            bias=not objective.approximates.uses_q,
            # word2vec.c and gensim drop a negative that is the target, which the table's S does not.
            remove_hits=True if objective is NEGATIVE_SAMPLING else None,
            reduction="sum",
            sparse=objective.negatives.sampled,
        )

    def train(self, stretch: Stretch, place: Place) -> Losses:
        """Train on the words of a stretch; on one machine and number of threads the result is always the same."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.settings.used_threads)
        try:
            return self._train(stretch, place)
        finally:
            torch.set_num_threads(before)

    def _train(self, stretch: Stretch, place: Place) -> Losses:
        words = np.random.SeedSequence([place.seed, place.position]).generate_state(2, np.uint64)
        sampler = getattr(self.loss, "sampler", None)
        if sampler is not None:
            sampler.generator.manual_seed(int(words[1]) >> 1)
        start, slope, floor = place.rate
        total, pairs, done = 0.0, 0, place.position
        for batch in examples(
            stretch.ids[stretch.begin : stretch.end],
            skip_gram=self.settings.sg,
            window=self.settings.window,
            keep_probability=self.keep_probability,
            batch_size=self.batch_size,
            rng=np.random.default_rng(words[0]),
        ):
            self.optimizer.param_groups[0]["lr"] = max(floor, start - slope * done)
            total += float(self._step(batch))
            pairs += len(batch.targets)
            done += batch.entries
        return Losses(pairs, total, pairs)

    def _step(self, batch: Batch) -> Tensor:
        """One step of gradient descent on the sum of the losses of a batch, which it returns."""
        query = self.model.query(batch.inputs.to(self.device))
        loss = self.loss(query, batch.targets.to(self.device))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @property
    def vectors(self) -> Floats:
        """(V, D); a view on the CPU."""
        return self.model.vectors.detach().cpu().numpy()

    def state(self) -> dict[str, NDArray[Any]]:
        """The loss module: output vectors, biases, and what the sampler has learned."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.loss.state_dict().items()}

    @torch.no_grad()
    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over vectors and a loss module."""
        expected = {name: tuple(tensor.shape) for name, tensor in self.loss.state_dict().items()}
        for name, shape in expected.items():
            if name not in state or state[name].shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {state[name].shape if name in state else None}")
        self.model.vectors.copy_(torch.from_numpy(np.ascontiguousarray(vectors)))
        self.loss.load_state_dict({name: torch.from_numpy(np.array(state[name])) for name in expected})

    @torch.no_grad()
    def grow(self, other: engines.Engine, known: NDArray[np.int64]) -> None:
        """Take over the rows of known words; what a sampler has learned is learned anew."""
        assert isinstance(other, Engine)
        places = torch.from_numpy(known).to(self.device)
        self.model.vectors[places] = other.model.vectors
        if not isinstance(self.loss, CandidateLoss) or not isinstance(other.loss, CandidateLoss):
            self.loss.load_state_dict(other.loss.state_dict())
            return
        self.loss.weight[places] = other.loss.weight
        if self.loss.bias is not None and other.loss.bias is not None:
            self.loss.bias[places] = other.loss.bias
