"""Word2Vec: the estimator, from text to word vectors."""

import functools
import math
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_bool
from logq._launch import launched
from logq.text import EncodedCorpus, Vocabulary
from logq.text.words import check_utf8_form
from logq.training.checkpoint import RunCheckpoint, fingerprint
from logq.training.estimator import Estimator, FitOptions, Seeds, fresh_seed
from logq.vectors import KeyedVectors
from logq.vectors.fasttext_files import write_fasttext
from logq.vectors.gensim_names import WithGensimNames, with_gensim_arguments
from logq.vectors.subwords import Subwords, mean_rows
from logq.vectors.vector_arguments import read_only
from logq.vectors.vector_files import write_safetensors
from logq.word2vec.available_memory import available_memory
from logq.word2vec.engines import Engine, first_vectors, load_engine
from logq.word2vec.fit_alone import FitAlone, company_of
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["Word2Vec"]


_TEXT = "give the text as the first argument, source"
_MODEL = "give it to Word2Vec(...)"


class Word2Vec(WithGensimNames, Word2VecConfig, Estimator):
    """Learns vectors of words from text, by skip-gram or CBOW.

    Each word w_i of the text is to be predicted from the words at most r away, r uniform in 1..window, by the logits
    F = <query, output vector>, with the loss of an objective summed over the examples, and plain gradient descent
    whose rate falls linearly to 1e-4 of its start. Frequent words are thinned out first (`sample`).

    Negative sampling from the unigram distribution and hierarchical softmax run in a compiled engine on all cores, and
    the former in one for GPUs where `device` is one; any other objective or sampler runs in plain PyTorch, tens of
    times slower. `engine_name` says which it is, `why_plain` what was missing.

    Attributes:
        vocabulary: the words and their counts, after `fit`.
        mean_loss: of a pair, in nats, over the last epoch, before each update: of a context word and the word to
            predict for skip-gram, of a word to predict for CBOW. Comparable between runs with equal settings.
            All pairs are measured on a GPU and in a text of up to 100,000 words, about one in 64 otherwise; NaN if
            none was.
        invalid_lines, long_words: see EncodedCorpus; of the latest text.
        encoding_seconds, training_seconds: what the latest `fit` took, one after the other, without `on_epoch_end`.
        words_trained: words of the corpus times epochs, dropped ones included, of the latest `fit`, without what it
            found done in a checkpoint.
        epochs_done: how many of the latest `fit` are done.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Mikolov et al., Efficient Estimation of Word Representations in Vector Space, 2013, arXiv:1301.3781.
        Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546.

    Example:
        >>> text = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50
        >>> model = Word2Vec(dim=8, min_count=1, sample=0, epochs=2, seed=1).fit(text, progress=False)
        >>> model.vectors.most_similar("cat", topn=1)[0][0] in {"dog", "sat", "the"}
        True
    """

    gensim_hints = MappingProxyType(
        {
            "wv": "it is called vectors",
            "train": "take fit(text), which learns the words too; called again, it continues with more text",
            "build_vocab": "leave it out: fit(text) learns the words too",
            "save": "take save_vectors(folder), or vectors.save(folder)",
            "load": "take logq.KeyedVectors.load(folder)",
            "syn1neg": "it is called output_vectors",
            "get_latest_training_loss": "the mean loss of the last epoch is called mean_loss",
            "running_training_loss": "the mean loss of the last epoch is called mean_loss",
            "total_train_time": "it is called training_seconds",
            "most_similar": "ask the vectors: vectors.most_similar(word)",
            "similarity": "ask the vectors: vectors.similarity(a, b)",
            "predict_output_word": "the logit of a word beside another is vectors[word] @ output_vectors[i]",
        }
    )

    shares_work = True
    vocabulary: Vocabulary
    mean_loss: float
    invalid_lines = 0
    long_words = 0
    encoding_seconds = 0.0
    training_seconds = 0.0
    words_trained = 0
    epochs_done = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device != "cpu":
            self.device = load_engine(self.engine_name).check_device(self.device)
        self._engine: Engine | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` has succeeded, or is running."""
        return self._engine is not None

    def _fitted_on(self) -> str:
        return f"{len(self.vocabulary)} words"

    def _free_settings(self) -> Collection[str]:
        return ("threads", "device")

    # -------------------------------------------------------------------------------------------------------------- fit

    @with_gensim_arguments(
        sentences=_TEXT,
        corpus_iterable=_TEXT,
        corpus_file=_TEXT,
        epochs=_MODEL,
        start_alpha="the rate is called lr, and is given to Word2Vec(...)",
        end_alpha="the learning rate falls to 1e-4 of lr",
        total_examples="leave it out: the text is counted when it is read",
        total_words="leave it out: the text is counted when it is read",
        compute_loss="leave it out: mean_loss is always there after fit",
        callbacks="give a function: on_epoch_end=...",
        update="leave it out: a second fit adds the words of the new text, if new_words is not False",
        report_delay="leave it out; progress=True shows a bar",
    )
    def fit(
        self,
        source: str | os.PathLike[str] | Iterable[Any] | EncodedCorpus,
        *,
        new_words: bool = True,
        encoding: str | None = None,
        cache: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = 10.0,
        resume: bool = False,
        progress: bool | None = None,
        on_epoch_end: Callable[["Word2Vec", int], None] | None = None,
    ) -> Self:
        """Learn vectors from text; called again, continue learning from more text.

        Whatever goes wrong, an exception in `on_epoch_end` and Ctrl-C included, the model is what it was before. So
        going on trains a copy: four tables of V D numbers are in memory meanwhile, instead of two.

        Args:
            source: a path to a text file (also compressed; a sentence per line), a pattern, a list of paths, "-" for
                standard input, or lists of words; see logq.text.encode. Or an EncodedCorpus as it is, which stays
                open: `min_count` and `max_vocab` have no meaning then, and a later fit takes the same words only.
            new_words: when called again, whether words that occur min_count times in the new text are added, and the
                counts of the others added up. Otherwise only words that are known already are trained.
            encoding: of the files, such as "latin-1"; None recognizes it.
            cache: a folder for the encoded text, which is used again by the next run over the same files.
            checkpoint: a folder where everything is saved now and then, and on Ctrl-C, so that `resume` can go on.
            checkpoint_minutes: minutes between checkpoints; 0 saves one after about every million words.
            resume: continue from that checkpoint, with the same text and settings. On one thread the result is that of
                a run that was never interrupted ("learned_unigram" excepted, whose distribution continues with other
                draws). Without a checkpoint, start.
            progress: True shows a progress bar, False nothing, None a bar on a terminal and plain lines in a log.
            on_epoch_end: called with the model and the number of epochs done; the vectors can be saved there.

        Returns:
            The model itself.

        Raises:
            OSError: the text cannot be read, or a checkpoint not be written.
            ArgumentTypeError: `source` is not a text.
            ArgumentError: there are no words in it, none that occurs min_count times, or no neighbors among them.
            ValueError: the checkpoint is of another text or has other settings, or is damaged.
            FloatingPointError: training diverges: too high a learning rate, or too large batches for it. A checkpoint
                stays as it was.
        """
        options = FitOptions(progress, checkpoint, checkpoint_minutes, resume)
        reading: dict[str, Any] = {"encoding": encoding, "cache": cache, "progress": progress}
        check_bool("new_words", new_words)
        if resume and self.is_fitted:
            hint = "the checkpoint holds everything"
            raise ArgumentError("resume", "a model that was not fitted yet", Verbatim("one that was"), hint)
        known = self.vocabulary if self.is_fitted else None
        began = time.perf_counter()
        with self._fitting():
            company = company_of(self)
            with company.text(source, known=known, new_words=new_words, **reading) as corpus:
                self.encoding_seconds = time.perf_counter() - began
                data = _fingerprint(corpus)
                saved = company.checkpoint(self._checkpoint(options, data, "source"), data)
                self._learn(corpus, company, saved, options, on_epoch_end)
        saved.remove()
        return self

    def _learn(
        self,
        corpus: EncodedCorpus,
        company: FitAlone,
        checkpoint: RunCheckpoint,
        options: FitOptions,
        on_epoch_end: Callable[["Word2Vec", int], None] | None,
    ) -> None:
        self._check_corpus(corpus)
        state = checkpoint.resumed(options.resume)
        seeds = Seeds.of(company.seed(fresh_seed(self.seed)) if state is None else state.seed)
        # The tree of hierarchical softmax follows from the counts of the first text, and stays.
        vocabulary = self.vocabulary if self.hs and self.is_fitted else corpus.vocabulary
        engine = company.call(lambda: self._make_engine(vocabulary, seeds))
        run = company.run(corpus, engine, seeds.run)
        if state is not None:
            with checkpoint.restoring():
                run.restore(state)
        self.invalid_lines, self.long_words = corpus.invalid_lines, corpus.long_words
        self.vocabulary, self._engine = vocabulary, engine
        self._warn_of_thinning()
        epochs_found, in_callbacks = run.epochs_done, 0.0
        began = time.perf_counter()

        def epoch_ended(epoch: int) -> None:
            nonlocal in_callbacks
            now = time.perf_counter()
            self.mean_loss, self.epochs_done = run.mean_loss, epoch
            self.training_seconds = now - began - in_callbacks
            self.words_trained = round(corpus.raw_words * (epoch - epochs_found))
            if on_epoch_end is not None:
                company.call(functools.partial(on_epoch_end, self, epoch))
                in_callbacks += time.perf_counter() - now

        of_engine = {"fused": "", "triton": ", Triton", "plain": ", plain PyTorch"}[self.engine_name]
        label = ("skip-gram" if self.sg else "CBOW") + of_engine
        run.train(label, options.progress, checkpoint=checkpoint, on_epoch_end=epoch_ended)

    def _check_corpus(self, corpus: EncodedCorpus) -> None:
        """Refuse a text in which there is nothing to predict, or whose words could not be saved."""
        for word in corpus.vocabulary.index_to_key:
            check_utf8_form("source", word)
        if corpus.num_words == 0:
            raise ArgumentError("source", "words that are known", Verbatim(f"none in {corpus.raw_words} words"))
        if corpus.num_words == corpus.num_sentences:
            dropped = corpus.raw_words - corpus.num_words
            left_out = f", {dropped:,} words that are too rare or unknown left out" if dropped else ""
            got = Verbatim(f"{corpus.num_sentences:,} sentences of one word each{left_out}")
            hint = "each line, or each list, is a sentence, whose words are learned from one another"
            raise ArgumentError("source", "sentences of several words", got, hint)
        if self.hs and len(corpus.vocabulary) == 1:
            got = Verbatim(f"only {corpus.vocabulary.index_to_key[0]!r}")
            raise ArgumentError("source", "at least two different words with hs", got, "its tree has no node for one")

    def _make_engine(self, vocabulary: Vocabulary, seeds: Seeds) -> Engine:
        """A new engine for these words that has learned what the present one has."""
        size, free = 2 * 4 * len(vocabulary) * self.dim, available_memory()
        try:
            if size > free:  # a system that promises more memory than it has ends the program later
                raise MemoryError
            start = first_vectors(len(vocabulary), self.dim, seeds.weights)
            engine = load_engine(self.engine_name)(self, vocabulary, start, seeds.sampler)
        except MemoryError:
            tables = f"{size / 2**30:.1f} GiB for {len(vocabulary):,} words"
            there_is = f", where {free / 2**30:.1f} GiB are free" if size > free else ""
            hint = "take a smaller dim or max_vocab"
            raise ArgumentError("dim", "two tables that fit in memory", Verbatim(tables + there_is), hint) from None
        if self._engine is None:
            return engine
        before = self.vocabulary
        if vocabulary.index_to_key == before.index_to_key and np.array_equal(vocabulary.counts, before.counts):
            engine.load_state(self._engine.vectors, self._engine.state())
        else:
            numbers = [vocabulary.key_to_index[word] for word in before.index_to_key]
            engine.copy_words(self._engine, np.array(numbers, dtype=np.int64))
        return engine

    def _warn_of_thinning(self) -> None:
        left = self.vocabulary.counts @ self.vocabulary.keep_probability(self.sample) / self.vocabulary.total
        if left < 0.1:
            warnings.warn(
                f"sample: subsampling frequent words at {self.sample:g} leaves {left:.1%} of this corpus, whose words "
                "are all frequent; for a small corpus take 0",
                stacklevel=4,
            )

    # ---------------------------------------------------------------------------------------------------------- vectors

    @property
    def vectors(self) -> KeyedVectors:
        """The word vectors as they are now, with their words and counts: a copy.

        Raises:
            AttributeError: the model is not fitted.
        """
        engine = self._fitted_engine()
        subwords = None
        if engine.parts is None:
            table = np.array(engine.vectors)
        else:
            assert self.ngrams is not None
            ngrams = engine.state()["ngrams"]
            table = mean_rows(np.concatenate([engine.vectors, ngrams]), engine.parts.offsets, engine.parts.rows)
            subwords = Subwords(self.ngrams, read_only(np.array(ngrams)), engine.parts.buckets)
        words, counts = self.vocabulary.index_to_key, self.vocabulary.counts
        vectors = KeyedVectors(words, read_only(table), counts, copy=False, subwords=subwords)
        vectors.info = self.settings()
        return vectors

    @property
    def output_vectors(self) -> NDArray[np.float32]:
        """(V, D), the vectors that words are predicted by, a copy; their order is that of `vocabulary`.

        The logit of a word beside another is <vector of one, output vector of the other>.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: hierarchical softmax has vectors of inner nodes, none of words.
        """
        state = self._fitted_engine().state()
        if self.hs:
            raise ValueError("output_vectors: hierarchical softmax has vectors of inner nodes, none of words")
        return np.array(state["outputs"] if "outputs" in state else state["weight"])

    def save_vectors(self, folder: str | os.PathLike[str]) -> None:
        """Write what `vectors.save` would, without a copy of the vectors; the summary also tells how training went.

        Of several processes that torchrun has started, which have the same vectors, only the first one writes.

        Args:
            folder: where `vectors.safetensors` and `vectors.json` go; made if it is missing.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: a word has no UTF-8 form.
            OSError: a file cannot be written.
        """
        engine = self._fitted_engine()
        if not launched().is_first:
            return
        names = "epochs_done words_trained mean_loss encoding_seconds training_seconds invalid_lines long_words"
        info = {**self.settings(), **{name: getattr(self, name) for name in names.split()}}
        info["mean_loss"] = None if math.isnan(self.mean_loss) else self.mean_loss  # JSON has no NaN
        if engine.parts is None:
            write_safetensors(folder, self.vocabulary.index_to_key, engine.vectors, self.vocabulary.counts, info)
        else:
            self.vectors.save(folder, info)

    def save_fasttext(self, path: str | os.PathLike[str]) -> None:
        """Write a model that fastText and gensim read, .bin, with the vectors of words, n-grams and outputs.

        Hierarchical softmax leaves zeros for outputs, as its tree is another there. Every bucket has a row in the file.

        Args:
            path: the file to write.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: a word has a character 0 in it, or no UTF-8 form.
            OSError: the file cannot be written.
        """
        vectors = self.vectors
        outputs = None if self.hs else self.output_vectors
        arguments = {"ws": self.window, "epoch": self.epochs, "minCount": self.min_count, "neg": self.num_sampled}
        arguments |= {"loss": 1 if self.hs else 2, "model": 2 if self.sg else 1, "t": self.sample}
        write_fasttext(
            path,
            vectors.index_to_key,
            vectors.counts,
            vectors.vectors,
            vectors.subwords,
            outputs=outputs,
            arguments=arguments,
        )

    def _fitted_engine(self) -> Engine:
        self._check_fitted()
        assert self._engine is not None
        return self._engine


def _fingerprint(corpus: EncodedCorpus) -> str:
    numbers = (corpus.num_ids, corpus.num_sentences)
    return fingerprint(corpus.vocabulary.index_to_key, corpus.counts, numbers=numbers)
