"""Word2Vec: the estimator, from a corpus to word vectors, in plain PyTorch.

This is the meaning of word2vec in logq: any of the six objectives with any sampler, one batch after the other. Faster
ways to train are held to it by tests.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.arguments import check_bool, check_float, check_int
from logq.data import Corpus, Vocabulary
from logq.functional.checks import find_objective
from logq.models import CBOW, SkipGram
from logq.nn import CandidateLoss
from logq.objectives import NEGATIVE_SAMPLING
from logq.progress import Progress
from logq.retrieval import KeyedVectors
from logq.shapes import check_device
from logq.training.examples import Batch, examples
from logq.training.noise import SamplerChoice, check_sampler_choice, make_sampler
from logq.training.running_mean import RunningMean

__all__ = ["Word2Vec"]

LR_FLOOR = 1e-4
"""The learning rate falls to this part of its start, as in word2vec.c."""

BYTES_A_WORD = {False: 6.0, True: 2.2}
"""About how many bytes of a text file, plain or compressed, a word takes: for the progress bar only."""


class Word2Vec:
    """Learns vectors of words from text, by skip-gram or CBOW.

    Each word w_i of the text is to be predicted from the words at most r away, r uniform in 1..window, by the logits
    F = <query, output vector>, with the loss of an objective summed over the examples, and plain gradient descent
    whose rate falls linearly to 1e-4 of its start. Frequent words are thinned out first (`sample`).

    Args:
        dim: D, of the vectors.
        window: the widest distance of words that count as neighbours.
        negatives: sampled words for each example.
        sample: t of Vocabulary.keep_probability; 0 keeps all words.
        min_count: words that occur less often are dropped.
        epochs: passes through the text.
        lr: learning rate at the start; None takes 0.025 for skip-gram and 0.05 for CBOW.
        sg: skip-gram, or CBOW.
        cbow_mean: whether CBOW takes the mean of the context, or its sum.
        objective: a row of the table, by name.
        sampler: "unigram", "uniform", "log_uniform", "learned_unigram", "in_batch", "every_class", or a function of the
            counts (V,) that makes one. None is "unigram" for the objectives that sample.
        power: of the counts, for "unigram".
        shared: whether a batch shares its negatives. Faster, and with few negatives worse.
        batch_size: examples in a step; 1 is word2vec's own way. The gradients of a step are summed, so a rate that is
            right for small batches diverges with large ones, the sooner the fewer words there are. None takes an eighth
            of the vocabulary, but 512 at most.
        max_vocab: keeps only that many of the most frequent words.
        seed: of everything random; the same seed gives the same vectors on the same machine and number of threads.
        device: where to train: "cpu", "cuda", ...

    Attributes:
        vocabulary: the words and their counts, after `fit`.
        mean_loss: of an example, in nats, over the last epoch.

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Mikolov et al., Efficient Estimation of Word Representations in Vector Space, 2013, arXiv:1301.3781.
        Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546.

    Example:
        >>> text = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50
        >>> model = Word2Vec(dim=8, min_count=1, sample=0, epochs=2, seed=1).fit(text, progress=False)
        >>> model.vectors.most_similar("cat", topn=1)[0][0] in {"dog", "sat", "the"}
        True
    """

    vocabulary: Vocabulary
    mean_loss: float

    def __init__(
        self,
        dim: int = 100,
        *,
        window: int = 5,
        negatives: int = 5,
        sample: float = 1e-3,
        min_count: int = 5,
        epochs: int = 5,
        lr: float | None = None,
        sg: bool = True,
        cbow_mean: bool = True,
        objective: str = "negative_sampling",
        sampler: SamplerChoice | None = None,
        power: float = 0.75,
        shared: bool = False,
        batch_size: int | None = None,
        max_vocab: int | None = None,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.dim = check_int("dim", dim)
        self.window = check_int("window", window)
        self.negatives = check_int("negatives", negatives)
        self.sample = check_float("sample", sample, at_least=0)
        self.min_count = check_int("min_count", min_count)
        self.epochs = check_int("epochs", epochs)
        self.lr = (0.025 if sg else 0.05) if lr is None else check_float("lr", lr, above=0)
        self.sg = check_bool("sg", sg)
        self.cbow_mean = check_bool("cbow_mean", cbow_mean)
        self.objective = find_objective(objective)
        sampled = self.objective.negatives.sampled
        if sampler is not None and not sampled:
            raise ValueError(f"sampler: {self.objective.name} uses every word and takes no sampler, got {sampler!r}")
        self.sampler = check_sampler_choice(sampler or "unigram") if sampled else None
        self.power = check_float("power", power, at_least=0)
        self.shared = check_bool("shared", shared)
        self.batch_size = None if batch_size is None else check_int("batch_size", batch_size)
        self.max_vocab = None if max_vocab is None else check_int("max_vocab", max_vocab)
        self.seed = None if seed is None else check_int("seed", seed, 0)
        self.device = check_device(device) or torch.device("cpu")

    def __repr__(self) -> str:
        words = f", {len(self.vocabulary)} words" if hasattr(self, "vocabulary") else ""
        return f"Word2Vec(dim={self.dim}, {self.objective.name}{words})"

    def settings(self) -> dict[str, Any]:
        """The arguments, as numbers and words that JSON can hold."""
        names = "dim window negatives sample min_count epochs lr sg cbow_mean power shared batch_size max_vocab seed"
        sampler = self.sampler if isinstance(self.sampler, str | None) else "custom"
        chosen = {name: getattr(self, name) for name in names.split()}
        return {**chosen, "objective": self.objective.name, "sampler": sampler, "device": str(self.device)}

    def fit(
        self,
        source: str | os.PathLike[str] | Iterable[Any],
        *,
        progress: bool | None = None,
        on_epoch_end: Callable[["Word2Vec", int], None] | None = None,
    ) -> "Word2Vec":
        """Learn vectors from a corpus, from scratch.

        Args:
            source: a path to a text file (plain or .gz, a sentence a line), a list of paths, or any collection of lists
                of words that can be read several times; see logq.data.Corpus.
            progress: True shows a progress bar, False nothing, None a bar on a terminal and plain lines in a log.
            on_epoch_end: called with the model and the number of epochs done; the vectors can be saved there.

        Returns:
            The model itself.

        Raises:
            OSError, TypeError: the corpus cannot be read, or is no corpus.
            ValueError: there are no words in it, none that occurs min_count times, or no neighbours among them.
            FloatingPointError: training diverges: too high a learning rate, or too large batches for it.
        """
        corpus = Corpus(source)
        self.vocabulary = self._count(corpus, progress)
        words = np.random.SeedSequence(self.seed).generate_state(3, np.uint64)
        rng, first_vectors, draws = np.random.default_rng(words[0]), int(words[1]) >> 1, int(words[2]) >> 1
        keep_probability = self.vocabulary.keep_probability(self.sample)
        left = self.vocabulary.counts * keep_probability  # how often each word is a target
        self.model, self.loss = self._start(torch.Generator().manual_seed(first_vectors), draws, left)
        optimizer = torch.optim.SGD([*self.model.parameters(), *self.loss.parameters()], lr=self.lr)
        kept = float(left.sum()) / self.vocabulary.total
        if kept < 0.1:
            warnings.warn(
                f"sample: thinning out frequent words at {self.sample:g} leaves {kept:.1%} of this corpus, whose words "
                "are all frequent; for a small corpus take 0",
                stacklevel=2,
            )
        batch_size = self.batch_size or min(512, max(1, len(self.vocabulary) // 8))
        running = RunningMean()
        total, done = self.epochs * self.vocabulary.total, 0
        with Progress(total, "words", "skip-gram" if self.sg else "CBOW", progress) as bar:
            for epoch in range(1, self.epochs + 1):
                running.start_epoch()
                for batch in examples(
                    corpus,
                    self.vocabulary,
                    skip_gram=self.sg,
                    window=self.window,
                    keep_probability=keep_probability,
                    batch_size=batch_size,
                    rng=rng,
                ):
                    optimizer.param_groups[0]["lr"] = self.lr * max(LR_FLOOR, 1 - done / total)
                    running.add(float(self._step(batch, optimizer)), len(batch.targets))
                    if running.has_diverged:
                        raise FloatingPointError(
                            f"lr: training diverged in epoch {epoch}, the mean loss went from {running.first:.3g} to "
                            f"{running.recent:.3g}; try less than {self.lr:g}, or a batch_size below {batch_size}"
                        )
                    done += batch.words
                    bar.advance(batch.words, loss=running.recent)
                if running.count == 0:
                    raise ValueError(
                        f"sample: no two neighbouring words were left of {self.vocabulary.total} after thinning out "
                        f"frequent ones at {self.sample:g}; for a small corpus take 0"
                    )
                self.mean_loss = running.mean
                if on_epoch_end is not None:
                    on_epoch_end(self, epoch)
        return self

    @property
    def vectors(self) -> KeyedVectors:
        """The word vectors as they are now, with their words and counts: a copy.

        Raises:
            AttributeError: the model has not seen a corpus yet.
        """
        if not hasattr(self, "model"):
            raise AttributeError("vectors: there are none yet, call fit first")
        vectors = KeyedVectors(
            self.vocabulary.index_to_key, self.model.vectors.detach().cpu().numpy(), counts=self.vocabulary.counts
        )
        vectors.info = self.settings()
        return vectors

    def _count(self, corpus: Corpus, progress: bool | None) -> Vocabulary:
        """The vocabulary; how many words there are to read can only be guessed."""
        guess = sum(os.path.getsize(path) / BYTES_A_WORD[path.endswith(".gz")] for path in corpus.paths or ())
        with Progress(guess, "words", "vocabulary", progress if corpus.paths else False) as bar:

            def counted() -> Iterator[Sequence[str]]:
                for sentence in corpus:
                    bar.advance(len(sentence))
                    yield sentence

            return Vocabulary.build(counted(), min_count=self.min_count, max_vocab=self.max_vocab)

    def _start(
        self, generator: torch.Generator, seed: int, target_counts: NDArray[np.float64]
    ) -> tuple[SkipGram | CBOW, CandidateLoss]:
        """Vectors as word2vec.c starts them: small random ones for the inputs, zeros for the outputs."""
        size, sampled = len(self.vocabulary), self.objective.negatives.sampled
        if self.sg:
            model = SkipGram(size, self.dim, generator=generator)
        else:
            model = CBOW(size, self.dim, mean=self.cbow_mean, generator=generator)
        sampler = None
        if self.sampler is not None:
            sampler = make_sampler(
                self.sampler,
                self.vocabulary.counts,
                self.negatives,
                power=self.power,
                shared=self.shared,
                seed=seed,
                target_counts=target_counts,
            )
        loss = CandidateLoss(
            self.objective,
            self.dim,
            size,
            sampler,
            weight=torch.nn.Parameter(torch.zeros(size, self.dim)),
            # What negative sampling approximates has no room for frequency; log P and log odds are mostly that.
            bias=not self.objective.approximates.uses_q,
            # word2vec.c and gensim drop a negative that is the target, which the table's S does not.
            remove_hits=True if self.objective is NEGATIVE_SAMPLING else None,
            reduction="sum",
            sparse=sampled,
        )
        return model.to(self.device), loss.to(self.device)

    def _step(self, batch: Batch, optimizer: torch.optim.Optimizer) -> Tensor:
        """One step of gradient descent on the sum of the losses of a batch, which it returns."""
        query = self.model.query(batch.inputs.to(self.device))
        loss = self.loss(query, batch.targets.to(self.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()
