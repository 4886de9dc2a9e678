"""Word2Vec: the estimator, from text to word vectors."""

import functools
import os
import pkgutil
import sys
import time
from collections.abc import Callable, Collection, Iterable
from types import MappingProxyType
from typing import Any

import numpy as np
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_bool
from logq._launch import fits_alone, launched
from logq._machine import available_memory
from logq._model_file import ArrayInPieces
from logq._progress import say
from logq._warnings import warn
from logq.text import EncodedCorpus, Vocabulary
from logq.text.plain_text import punctuation_note
from logq.text.words import check_utf8_forms
from logq.training.automatic_settings import settle
from logq.training.callbacks import CallbackRun, Callbacks, Learned
from logq.training.checkpoint import RunCheckpoint, fingerprint
from logq.training.estimator import FitOptions
from logq.training.seeds import Seeds, fresh_seed
from logq.vectors import KeyedVectors
from logq.vectors.gensim_names import WithGensimNames, with_gensim_arguments
from logq.word2vec.engines import Engine, first_rows, first_vectors, load_engine
from logq.word2vec.fit_alone import FitAlone
from logq.word2vec.learned_words import LearnedWords
from logq.word2vec.starting_vectors import StartingVectors
from logq.word2vec.training_text import Keep, WordRules
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["Word2Vec"]


_TEXT = "give the text as the first argument, source"
_MODEL = "give it to Word2Vec(...)"


class Word2Vec(WithGensimNames, LearnedWords):
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
        encoding_seconds, training_seconds: what the latest `fit` took, one after the other, without callbacks.
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
            "syn1neg": "it is called output_vectors",
            "get_latest_training_loss": "the mean loss of the last epoch is called mean_loss",
            "running_training_loss": "the mean loss of the last epoch is called mean_loss",
            "total_train_time": "it is called training_seconds",
            "most_similar": "ask the vectors: vectors.most_similar(word)",
            "similarity": "ask the vectors: vectors.similarity(a, b)",
            "reset_from": "make a new one, and give it fit(text, vocabulary=other.vocabulary)",
            "make_cum_table": "leave it out: fit makes what negatives are drawn from",
            "init_sims": "leave it out: lengths are computed when they are needed",
            "infer_vector": "take logq.vectors.SentenceVectors(model.vectors).encode([words])",
            "build_vocab_from_freq": "give them to fit: fit(text, vocabulary=Vocabulary(words, counts))",
            "corpus_total_words": "it is vocabulary.total",
            "negative": "it is called num_sampled",
            **{
                old: f"it is called {new}" for new, option in LearnedWords.options().items() for old in option.help.also
            },
        }
    )

    shares_work = True

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
        update="leave it out: a second fit adds the words of the new text, if new_words is not False",
        report_delay="leave it out; progress=True shows a bar",
    )
    def fit(
        self,
        source: str | os.PathLike[str] | Iterable[Any] | EncodedCorpus,
        *,
        warm: bool | None = None,
        new_words: bool = True,
        vocabulary: Vocabulary | str | os.PathLike[str] | None = None,
        keep: Keep | None = None,
        initial: KeyedVectors | str | os.PathLike[str] | None = None,
        frozen: Iterable[str] | bool = (),
        encoding: str | None = None,
        cache: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = 10.0,
        resume: bool = False,
        progress: bool | None = None,
        callbacks: Callbacks = (),
        on_epoch_end: Callable[["Word2Vec", int], None] | None = None,
    ) -> Self:
        """Learn vectors from text; called again, or after `load`, continue learning from more text.

        Going on, known words keep their rows in both tables, and new ones follow. Counts are added up, and it is by
        their sums that words are thinned out and negatives drawn. The learning rate falls from `lr` anew, over the
        epochs of the new text alone: for little new text set a lower `lr` first, or known words move far. Whatever
        goes wrong, an exception in a callback and Ctrl-C included, the model is what it was before. So going on
        trains a copy: four tables of V D numbers are in memory meanwhile, instead of two; or in temporary files, with
        `partitions`, whose number may be another one than before.

        Args:
            source: a path to a text file (also compressed; a sentence per line), a pattern, a list of paths, "-" for
                standard input, or lists of words; see logq.text.encode. Or an EncodedCorpus as it is, which stays
                open: `min_count` and `max_vocab` have no meaning then, and a later fit takes the same words only.
            warm: whether to go on from what was learned; None does where something was, True asks for a model that has
                learned, and False starts from scratch.
            new_words: when called again, whether words that occur min_count times in the new text are added, and the
                counts of the others added up. Otherwise only words that are known already are trained.
            vocabulary: the words to learn, rare ones too, and no others, or a file that Vocabulary.save or `logq vocab`
                wrote. Its counts are what words are thinned out and negatives drawn by. Only for a first fit.
            keep: a function of a word and its count in the text: True keeps the word however rare it is, False leaves
                it out, None goes by `min_count`. Words it keeps come before others where `max_vocab` leaves no room for
                all, and are themselves never left out. The text is then read twice.
            initial: vectors to start from, of any source, or a path to some: words that are in both get them, also
                those that are known already. How many is said; output vectors are not changed. With `subwords` n-grams
                start from those of `initial` too, where it has the same ones, as a .bin of fastText can; the rest of
                each vector is in the row of the word's own.
            frozen: words whose vectors stay as they are at the start; True for all that `initial` has. What they are
                predicted by is learned all the same. In plain PyTorch they never change. The compiled engine and GPUs
                put them back after 16,384 entries of text: until then they move, and others learn from them as they
                are at that moment. With `subwords` they share n-grams, which go on learning: rows of their own make up
                for that, to rounding.
            encoding: of the files, such as "latin-1"; None recognizes it.
            cache: a folder for the encoded text, which is used again by the next run over the same files.
            checkpoint: a folder where everything is saved now and then, and on Ctrl-C, so that `resume` can go on.
            checkpoint_minutes: minutes between checkpoints; 0 saves one after about every million words.
            resume: continue from that checkpoint, with the same text and settings. On one thread the result is that of
                a run that was never interrupted ("learned_unigram" excepted, whose distribution continues with other
                draws). Without a checkpoint, start.
            progress: True shows a progress bar, False nothing, None a bar on a terminal and plain lines in a log.
            callbacks: what is called after each epoch, or every N words, and may end the training: see
                logq.training.Callback. The vectors can be asked and the model saved there.
            on_epoch_end: called with the model and the number of epochs done, before the callbacks.

        Returns:
            The model itself.

        Raises:
            AttributeError: `warm`, and the model is not fitted.
            OSError: the text cannot be read, or a checkpoint not be written.
            ArgumentTypeError: `source` is not a text.
            ArgumentError: there are no words in it, none that occurs min_count times, or no neighbors among them.
            ValueError: the checkpoint is of another text or has other settings, or is damaged.
            FloatingPointError: training diverges: too high a learning rate, or too large batches for it. A checkpoint
                stays as it was.
        """
        calls = CallbackRun(callbacks, self)
        options = FitOptions(progress, checkpoint, checkpoint_minutes, resume, calls)
        reading: dict[str, Any] = {"encoding": encoding, "cache": cache, "progress": progress}
        start = StartingVectors(initial, frozen, self.dim, self.ngrams, mapped=self.partitions > 1)
        self._check_partitions()
        if warm is not None and check_bool("warm", warm):
            self._check_fitted()
        elif resume and self.is_fitted:
            hint = "the checkpoint holds everything; of a run that went on, give warm=True"
            raise ArgumentError("resume", "a model that was not fitted yet", Verbatim("one that was"), hint)
        began = time.perf_counter()
        with calls.ending(), self._fitting():
            if warm is False:
                self._engine = None
            known = self.vocabulary if self.is_fitted else None
            is_encoded = isinstance(source, EncodedCorpus)
            rules = WordRules.checked(new_words, vocabulary, keep, is_fitted=self.is_fitted, is_encoded=is_encoded)
            steps = _steps_of_fit(self)
            steps.goes_on_from({} if known is None else self.state())
            with steps.text(source, known=known, rules=rules, **reading) as corpus:
                self.encoding_seconds = time.perf_counter() - began
                if not self.is_fitted:
                    settle(self, lambda: corpus.vocabulary, "text", progress)
                    if odd := punctuation_note(corpus.vocabulary):
                        say(f"Note: {odd}", progress)
                data = _fingerprint(corpus)
                own = self._checkpoint(options, data, "source")
                if checkpoint is not None and start.is_given:
                    own.settings["initial"] = start.fingerprint()
                saved = steps.checkpoint(own, data)
                self._learn(corpus, steps, saved, options, start, on_epoch_end)
        saved.remove()
        return self

    def _learn(
        self,
        corpus: EncodedCorpus,
        steps: FitAlone,
        checkpoint: RunCheckpoint,
        options: FitOptions,
        start: StartingVectors,
        on_epoch_end: Callable[["Word2Vec", int], None] | None,
    ) -> None:
        self._check_corpus(corpus)
        state = checkpoint.resumed(options.resume)
        seeds = Seeds.of(steps.seed(fresh_seed(self.seed)) if state is None else state.seed)
        # The tree of hierarchical softmax follows from the counts of the first text, and stays.
        vocabulary = self.vocabulary if self.hs and self.is_fitted else corpus.vocabulary
        start.check(vocabulary)
        steps.starts_from(start)
        if start.is_given:
            say(f"word2vec: {start.describe(vocabulary)}", options.progress)
        engine = steps.call(lambda: self._make_engine(vocabulary, seeds))
        start.put_into(engine, vocabulary)
        start.hold(engine, vocabulary)  # as they are at the start, also in a run that is resumed
        run = steps.run(corpus, engine, seeds.run)
        not_restored = "tables in partitions" if self.partitions > 1 else steps.not_restored
        run.best = options.callbacks.best_of(0, refused=not_restored)
        if state is not None:
            with checkpoint.restoring():
                run.restore(state)
        self.invalid_lines, self.long_words = corpus.invalid_lines, corpus.long_words
        self.vocabulary, self._engine = vocabulary, engine
        self._warn_of_thinning()
        calls, found, in_callbacks = options.callbacks, run.epochs_done, 0.0
        run.every = calls.every
        calls.begin(round(corpus.num_words * found))
        began = time.perf_counter()

        def epoch_ended(epoch: int) -> bool:
            nonlocal in_callbacks
            now = time.perf_counter()
            self.mean_loss, self.epochs_done = run.mean_loss, epoch
            self.training_seconds = now - began - in_callbacks
            self.words_trained = round(corpus.raw_words * (run.epochs_done - found))
            if epoch > run.epoch:  # all of it
                words = int(epoch * corpus.num_words)
                if on_epoch_end is not None:
                    steps.call(functools.partial(on_epoch_end, self, epoch))
                rate = self.words_trained / max(self.training_seconds, 1e-9)
                metrics = {"epoch": epoch, "loss": self.mean_loss, "words_per_second": rate}
                learned = Learned(lambda: {name: np.array(array) for name, array in self.state().items()})
                steps.call(lambda: calls.epoch_done(epoch, words, metrics, None if not_restored else learned))
                in_callbacks += time.perf_counter() - now
            return steps.ends(calls.stopped)

        def span_ended(words: int, loss: float) -> bool:
            nonlocal in_callbacks
            now = time.perf_counter()
            stops = calls.steps_done(run.epoch, words, loss)
            in_callbacks += time.perf_counter() - now
            return steps.ends_within(stops)

        of_engine = {"fused": "", "triton": ", Triton", "plain": ", plain PyTorch"}[self.engine_name]
        label = ("skip-gram" if self.sg else "CBOW") + of_engine
        if self.partitions > 1:
            label += f", {self.partitions} partitions"
        on_span = span_ended if calls.every else None
        run.train(label, options.progress, checkpoint=checkpoint, on_epoch_end=epoch_ended, on_span=on_span)
        run.restore_best()
        calls.let_go()
        engine.hold(np.zeros(0, np.int64))

    def _check_corpus(self, corpus: EncodedCorpus) -> None:
        """Refuse a text in which there is nothing to predict, or whose words could not be saved."""
        check_utf8_forms("source", corpus.vocabulary.index_to_key)
        if corpus.num_words == 0:
            raise ArgumentError("source", "words that are known", Verbatim(f"none in {corpus.raw_words} words"))
        if corpus.num_words == corpus.num_sentences:
            dropped = corpus.raw_words - corpus.num_words
            left_out = f", {dropped:,} words that are too rare or unknown left out" if dropped else ""
            one_each = "a sentence of one word"
            if corpus.num_sentences > 1:
                one_each = f"{corpus.num_sentences:,} sentences of one word each"
            got = Verbatim(f"{one_each}{left_out}")
            hint = "each line, or each list, is a sentence, whose words are learned from one another"
            raise ArgumentError("source", "sentences of several words", got, hint)
        if self.hs and len(corpus.vocabulary) == 1:
            got = Verbatim(f"only {corpus.vocabulary.index_to_key[0]!r}")
            raise ArgumentError("source", "at least two different words with hs", got, "its tree has no node for one")

    def _make_engine(self, vocabulary: Vocabulary, seeds: Seeds) -> Engine:
        """A new engine for these words that has learned what the present one has."""
        size, free = 2 * 4 * len(vocabulary) * self.dim // self.partitions, available_memory()
        try:
            if size > free:  # a system that promises more memory than it has ends the program later
                raise MemoryError
            start = self._start(len(vocabulary), seeds.weights)
            engine = load_engine(self.engine_name, self.partitions)(self, vocabulary, start, seeds.sampler)
        except MemoryError:
            tables = f"{size / 2**30:.1f} GiB for {len(vocabulary):,} words"
            there_is = f", where {free / 2**30:.1f} GiB are free" if size > free else ""
            hint = "take a smaller dim or max_vocab" + (", or more partitions" if not self.why_not_partitioned else "")
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

    def _start(self, num_words: int, seed: int) -> Any:
        """The first vectors, in pieces where they are not to be in memory as a whole."""
        if self.partitions == 1:
            return first_vectors(num_words, self.dim, seed)
        pieces = functools.partial(first_rows, num_words, self.dim, seed)
        return ArrayInPieces(np.dtype(np.float32), (num_words, self.dim), pieces)

    def _warn_of_thinning(self) -> None:
        left = self.vocabulary.share_kept(self.sample)
        if left < 0.1:
            warn(
                f"sample: subsampling frequent words at {self.sample:g} leaves {left:.1%} of this corpus, whose words "
                "are all frequent; for a small corpus take 0"
            )


def _fingerprint(corpus: EncodedCorpus) -> str:
    numbers = (corpus.num_ids, corpus.num_sentences)
    return fingerprint(corpus.vocabulary.index_to_key, corpus.counts, numbers=numbers)


def _steps_of_fit(settings: Word2VecConfig) -> FitAlone:
    """The steps of a fit: alone, or together with the processes that torchrun has started or that have joined.

    Raises:
        ArgumentError: there are several, and they cannot make this fit.
        LostProcessError: the others do not come.
    """
    if fits_alone() or (launched().size == 1 and "torch" not in sys.modules):
        return FitAlone(settings)
    from logq.processes import is_joined, world

    if launched().size == 1 and not (is_joined() and world().size > 1):
        return FitAlone(settings)
    return pkgutil.resolve_name("logq.word2vec.fit_together:FitTogether")(settings)
