"""Word2Vec: the estimator, from text to word vectors."""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import check_bool, check_float, check_int
from logq.objectives import OBJECTIVES, objective_name
from logq.samplers.registry import SamplerChoice, check_sampler
from logq.text import EncodedCorpus, Vocabulary, count_words, encode
from logq.vectors import KeyedVectors
from logq.vectors.vector_files import write_safetensors
from logq.word2vec.engines import Engine, choose, first_vectors, load
from logq.word2vec.growing import grown_vocabulary
from logq.word2vec.kernel import simd_levels
from logq.word2vec.memory import available_memory
from logq.word2vec.run import Run
from logq.word2vec.word2vec_checkpoint import Checkpoint

__all__ = ["Word2Vec"]


class Word2Vec:
    """Learns vectors of words from text, by skip-gram or CBOW.

    Each word w_i of the text is to be predicted from the words at most r away, r uniform in 1..window, by the logits
    F = <query, output vector>, with the loss of an objective summed over the examples, and plain gradient descent
    whose rate falls linearly to 1e-4 of its start. Frequent words are thinned out first (`sample`).

    Negative sampling from the unigram law and hierarchical softmax run in a compiled engine on all cores; any other
    objective or sampler runs in plain PyTorch, some tens of times slower. `engine_name` says which it is.

    Args:
        dim: D, of the vectors.
        window: the widest distance of words that count as neighbours.
        negatives: k, sampled words for each pair.
        sample: t of Vocabulary.keep_probability; 0 keeps all words.
        min_count: words that occur less often are dropped.
        epochs: passes through the text.
        lr: learning rate at the start; None takes 0.025 for skip-gram and 0.05 for CBOW.
        sg: skip-gram, or CBOW.
        hs: hierarchical softmax over a Huffman tree, in the place of negatives.
        cbow_mean: whether CBOW takes the mean of the context, or its sum.
        objective: a row of the table, by name.
        sampler: "unigram", "uniform", "log_uniform", "learned_unigram", "in_batch", "every_class", or a function of the
            counts (V,) that makes one. None is "unigram" for the objectives that sample.
        power: of the counts, for "unigram"; below 0 rare words are drawn more often than frequent ones.
        shared_negatives: in the compiled engine the pairs of a window share their negatives unless this is False,
            which is the order of word2vec.c, as good and a third as fast. In plain PyTorch a batch shares its negatives
            only if this is True, which is faster, and with few negatives worse.
        threads: of the compiled engine, and of PyTorch. None takes all cores, but one where a `seed` is given, since
            threads update the same vectors without locks and no two runs are alike. Plain PyTorch takes one.
        batch_size: examples in a step of plain PyTorch, which this asks for. The gradients of a step are summed, so a
            rate that is right for small batches diverges with large ones, the sooner the fewer words there are. None
            takes an eighth of the vocabulary, but 512 at most.
        max_vocab: keeps only that many of the most frequent words.
        seed: of everything random. On one thread the same seed gives the same vectors, bit for bit on one machine.
        device: where plain PyTorch trains: "cpu", "cuda", ...
        engine: "auto"; "fused" or "plain" insist on one.
        simd: instructions of the compiled engine, one of logq.word2vec.kernel.simd_levels(), or "auto".

    Attributes:
        vocabulary: the words and their counts, after `fit`.
        mean_loss: of a pair, in nats, over the last epoch, before each update: of a context word and the word to
            predict for skip-gram, of a word to predict for CBOW. Comparable between runs with equal settings.
        invalid_lines, long_words: see EncodedCorpus; of the latest text.
        encoding_seconds, training_seconds: what the latest `fit` took, one after the other, without `on_epoch_end`.
        words_trained: words of the corpus times epochs, dropped ones included, of the latest `fit`, without what it
            found done in a checkpoint.
        epochs_done: how many of the latest `fit` are done.

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
    invalid_lines = 0
    long_words = 0
    encoding_seconds = 0.0
    training_seconds = 0.0
    words_trained = 0
    epochs_done = 0

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
        hs: bool = False,
        cbow_mean: bool = True,
        objective: str = "negative_sampling",
        sampler: SamplerChoice | None = None,
        power: float = 0.75,
        shared_negatives: bool | None = None,
        threads: int | None = None,
        batch_size: int | None = None,
        max_vocab: int | None = None,
        seed: int | None = None,
        device: Any = "cpu",
        engine: str = "auto",
        simd: str = "auto",
    ) -> None:
        self.dim = check_int("dim", dim)
        self.window = check_int("window", window)
        self.negatives = check_int("negatives", negatives)
        self.sample = check_float("sample", sample, at_least=0)
        self.min_count = check_int("min_count", min_count)
        self.epochs = check_int("epochs", epochs)
        self.sg = check_bool("sg", sg)
        self.lr = (0.025 if sg else 0.05) if lr is None else check_float("lr", lr, above=0)
        self.hs = check_bool("hs", hs)
        self.cbow_mean = check_bool("cbow_mean", cbow_mean)
        self.objective = objective_name(objective)
        sampled = OBJECTIVES[self.objective].negatives.sampled
        if hs and (self.objective != "negative_sampling" or sampler is not None):
            given = f"objective {self.objective}" if sampler is None else f"sampler {sampler!r}"
            raise ValueError(f"hs: expected no other objective and no sampler beside it, got {given}")
        if sampler is not None and not sampled:
            raise ValueError(f"sampler: {self.objective} uses every word and takes no sampler, got {sampler!r}")
        if hs:
            self.objective, sampled = "hierarchical_softmax", False
        self.sampler = check_sampler(sampler or "unigram") if sampled else None
        self.power = check_float("power", power)
        self.shared_negatives = None if shared_negatives is None else check_bool("shared_negatives", shared_negatives)
        self.threads = None if threads is None else check_int("threads", threads)
        self.batch_size = None if batch_size is None else check_int("batch_size", batch_size)
        self.max_vocab = None if max_vocab is None else check_int("max_vocab", max_vocab)
        self.seed = None if seed is None else check_int("seed", seed, 0)
        self.device = "cpu" if str(device) == "cpu" else load("plain").device_named(device)
        if engine not in ("auto", "fused", "plain"):
            raise ValueError(f"engine: expected 'auto', 'fused' or 'plain', got {engine!r}")
        self.engine = engine
        self.simd = simd
        self.engine_name, self.why_not_fused = choose(self)
        self._check_limits()
        self._engine: Engine | None = None

    def _check_limits(self) -> None:
        # The engine checks them again; here they are said before an hour of reading words.
        if self.engine_name == "fused":
            for name in ("window", "negatives"):
                if getattr(self, name) > 10_000:
                    raise ValueError(f"{name}: expected 1 to 10,000, got {getattr(self, name)}")
        if self.threads is not None and self.threads > 10_000:
            raise ValueError(f"threads: expected 1 to 10,000, got {self.threads}")
        if self.simd not in ("auto", *simd_levels()):
            raise ValueError(f"simd: expected auto or one of {', '.join(simd_levels())}, got {self.simd!r}")

    def __repr__(self) -> str:
        words = f", {len(self.vocabulary)} words" if hasattr(self, "vocabulary") else ""
        return f"Word2Vec(dim={self.dim}, {self.objective}{words})"

    @property
    def kind(self) -> str:
        """The name of the model, "skip_gram" or "cbow"."""
        return "skip_gram" if self.sg else "cbow"

    @property
    def used_threads(self) -> int:
        """How many threads train: `threads`, or what that is by default."""
        if self.threads is not None:
            return self.threads
        return 1 if self.seed is not None or self.engine_name == "plain" else _cores()

    def settings(self) -> dict[str, Any]:
        """The arguments, as numbers and words that JSON can hold."""
        names = (
            "dim window negatives sample min_count epochs lr sg hs cbow_mean objective power shared_negatives threads "
            "batch_size max_vocab seed device"
        )
        sampler = self.sampler if isinstance(self.sampler, str | None) else "custom"
        return {**{name: getattr(self, name) for name in names.split()}, "sampler": sampler, "engine": self.engine_name}

    def fit(
        self,
        source: str | os.PathLike[str] | Iterable[Any] | EncodedCorpus,
        *,
        new_words: bool = True,
        cache: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = 10.0,
        resume: bool = False,
        progress: bool | None = None,
        on_epoch_end: Callable[["Word2Vec", int], None] | None = None,
    ) -> "Word2Vec":
        """Learn vectors from text; called again, go on learning from more text.

        Args:
            source: a path to a text file (plain, .gz or .zst; a sentence a line), a pattern, a list of paths, "-" for
                standard input, or lists of words; see logq.text.encode. Or an EncodedCorpus as it is, which stays
                open: `min_count` and `max_vocab` have no meaning then, and a later fit takes the same words only.
            new_words: when called again, whether words that occur min_count times in the new text are added, and the
                counts of the others added up. Otherwise only words that are known already are trained.
            cache: a folder for the encoded text, which is used again by the next run over the same files.
            checkpoint: a folder where everything is saved now and then, and on Ctrl-C, so that `resume` can go on.
            checkpoint_minutes: how often; 0 after every stretch of about a million words.
            resume: go on from that checkpoint, with the same text and settings. On one thread the result is that of a
                run that was never interrupted ("learned_unigram" excepted, whose draws go on by the same law). Without
                a checkpoint there, start.
            progress: True shows a progress bar, False nothing, None a bar on a terminal and plain lines in a log.
            on_epoch_end: called with the model and the number of epochs done; the vectors can be saved there.

        Returns:
            The model itself.

        Raises:
            OSError, TypeError: the text cannot be read, or is none.
            ValueError: there are no words in it, none that occurs min_count times, or no neighbours among them; or the
                checkpoint is of another text or has other settings.
            FloatingPointError: training diverges: too high a learning rate, or too large batches for it. A checkpoint
                stays as it was.
        """
        minutes = check_float("checkpoint_minutes", checkpoint_minutes, at_least=0)
        saved = None if checkpoint is None else Checkpoint(checkpoint, minutes)
        if resume and saved is None:
            raise ValueError("resume: expected a checkpoint folder to resume from, got none")
        if resume and self._engine is not None:
            raise ValueError("resume: expected a model that was not fitted yet, as the checkpoint holds everything")
        began = time.perf_counter()
        check_bool("new_words", new_words)
        with self._given(source) or closing(self._encode(source, new_words, cache, progress)) as corpus:
            self.encoding_seconds = time.perf_counter() - began
            self.invalid_lines, self.long_words = corpus.invalid_lines, corpus.long_words
            if corpus.num_words == 0:
                raise ValueError(f"source: none of its {corpus.raw_words} words is among the known ones")
            seeds = np.random.SeedSequence(self.seed).generate_state(3, np.uint64)
            engine = self._start(corpus.vocabulary, int(seeds[1]) >> 1, int(seeds[2]) >> 1)
            run = Run(corpus, engine, epochs=self.epochs, lr=self.lr, seed=int(seeds[0]))
            if resume and saved is not None and saved.exists():
                saved.load(run, self.settings())
            self.vocabulary, self._engine = corpus.vocabulary, engine
            self._warn_of_thinning()
            found_done = run.epoch + run.position / corpus.num_ids
            elsewhere = 0.0

            def epoch_ended(epoch: int) -> None:
                nonlocal elsewhere
                now = time.perf_counter()
                self.mean_loss, self.epochs_done = run.mean_loss, epoch
                self.training_seconds = now - began - elsewhere
                self.words_trained = round(corpus.raw_words * (epoch - found_done))
                if on_epoch_end is not None:
                    on_epoch_end(self, epoch)
                    elsewhere += time.perf_counter() - now

            began = time.perf_counter()
            label = ("skip-gram" if self.sg else "CBOW") + (", plain PyTorch" if self.why_not_fused else "")
            run.go(
                label,
                progress,
                on_epoch_end=epoch_ended,
                save=None if saved is None else lambda force: saved.save_if_due(run, self.settings(), force=force),
            )
            if saved is not None:
                saved.remove()
        return self

    @property
    def vectors(self) -> KeyedVectors:
        """The word vectors as they are now, with their words and counts: a copy.

        Raises:
            AttributeError: the model has not seen a corpus yet.
        """
        if self._engine is None:
            raise AttributeError("vectors: there are none yet, call fit first")
        vectors = KeyedVectors(
            self.vocabulary.index_to_key, np.array(self._engine.vectors), counts=self.vocabulary.counts, copy=False
        )
        vectors.info = self.settings()
        return vectors

    @property
    def output_vectors(self) -> NDArray[np.float32]:
        """(V, D), the vectors that words are predicted by, a copy; their order is that of `vocabulary`.

        The logit of a word beside another is <vector of one, output vector of the other>.

        Raises:
            AttributeError: the model has not seen a corpus yet.
            ValueError: hierarchical softmax has vectors of inner nodes, none of words.
        """
        if self._engine is None:
            raise AttributeError("output_vectors: there are none yet, call fit first")
        if self.hs:
            raise ValueError("output_vectors: hierarchical softmax has vectors of inner nodes, none of words")
        state = self._engine.state()
        return np.array(state["outputs"] if "outputs" in state else state["weight"])

    def save_vectors(self, folder: str | os.PathLike[str]) -> None:
        """Write what `vectors.save` would, without a copy of the vectors; the summary also tells how training went.

        Args:
            folder: where `vectors.safetensors` and `vectors.json` go; made if it is missing.

        Raises:
            AttributeError: the model has not seen a corpus yet.
            ValueError: a word has no UTF-8 form.
            OSError: a file cannot be written.
        """
        if self._engine is None:
            raise AttributeError("save_vectors: there are none yet, call fit first")
        names = "epochs_done words_trained mean_loss encoding_seconds training_seconds invalid_lines long_words"
        info = {**self.settings(), **{name: getattr(self, name) for name in names.split()}}
        words = self.vocabulary.index_to_key
        write_safetensors(folder, words, self._engine.vectors, self.vocabulary.counts, info)

    def _given(self, source: Any) -> AbstractContextManager[EncodedCorpus] | None:
        """A corpus that is encoded already, which its owner closes; None if it is not."""
        if not isinstance(source, EncodedCorpus):
            return None
        if self._engine is not None and source.vocabulary.index_to_key != self.vocabulary.index_to_key:
            raise ValueError("source: expected an encoded corpus of the words that the model has learned, got others")
        return nullcontext(source)

    def _encode(self, source: Any, new_words: bool, cache: Any, progress: bool | None) -> EncodedCorpus:
        options: dict[str, Any] = {"cache": cache, "threads": _cores(), "progress": progress}
        if self._engine is None:
            return encode(source, min_count=self.min_count, max_vocab=self.max_vocab, **options)
        if not new_words:
            return encode(source, vocabulary=self.vocabulary, **options)
        if self.hs:
            raise ValueError("new_words: hierarchical softmax has a tree that cannot grow, expected False")
        if isinstance(source, Iterator):  # read twice below, which this can't be
            with closing(encode(source, min_count=1, **options)) as kept:
                return self._encode(_Sentences(kept), new_words, cache, progress)
        counted = count_words(source, min_count=1, threads=_cores(), progress=progress).vocabulary
        vocabulary = grown_vocabulary(self.vocabulary, counted, min_count=self.min_count, max_vocab=self.max_vocab)
        return encode(source, vocabulary=vocabulary, **options)

    def _start(self, vocabulary: Vocabulary, first: int, seed: int) -> Engine:
        """An engine for these words that has learned what the present one has."""
        if self._engine is not None and vocabulary is self.vocabulary:
            return self._engine
        size, free = 2 * 4 * len(vocabulary) * self.dim, available_memory()
        try:
            if size > free:  # a system that promises more memory than it has ends the program later
                raise MemoryError
            engine = load(self.engine_name)(self, vocabulary, first_vectors(len(vocabulary), self.dim, first), seed)
        except MemoryError:
            there_is = f"the {free / 2**30:.1f} GiB that are free" if size > free else "there is"
            raise ValueError(
                f"dim: two tables of {len(vocabulary):,} words with {self.dim:,} numbers take {size / 2**30:.1f} GiB, "
                f"more than {there_is}; take a smaller dim or max_vocab"
            ) from None
        if self._engine is not None:
            known = [vocabulary.key_to_index[word] for word in self.vocabulary.index_to_key]
            engine.grow(self._engine, np.array(known, dtype=np.int64))
        return engine

    def _warn_of_thinning(self) -> None:
        left = self.vocabulary.counts @ self.vocabulary.keep_probability(self.sample) / self.vocabulary.total
        if left < 0.1:
            warnings.warn(
                f"sample: thinning out frequent words at {self.sample:g} leaves {left:.1%} of this corpus, whose words "
                "are all frequent; for a small corpus take 0",
                stacklevel=3,
            )


class _Sentences:
    """The sentences of an encoded corpus as words again."""

    def __init__(self, corpus: EncodedCorpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[list[str]]:
        words = self._corpus.vocabulary.index_to_key
        for ids in self._corpus.sentences():
            yield [words[number] for number in ids.tolist()]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
