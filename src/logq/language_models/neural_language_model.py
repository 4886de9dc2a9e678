"""NeuralLanguageModel: what the estimators of neural language models share, from a text to a fitted model."""

import contextlib
import os
from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Self, Unpack

from logq._arguments import check_bool, check_float, check_int
from logq.evaluation.likelihood import Likelihood, likelihood_of
from logq.language_models.language_model import LanguageModel, Source
from logq.language_models.lm_options import CUSTOM, LanguageModelOptions, LanguageModelSettings
from logq.language_models.output_layers import OutputLayer, WordReader
from logq.language_models.output_names import make_output, make_reader
from logq.language_models.text_encoders import NNLMEncoder, Recurrent
from logq.language_models.text_tasks import ColumnsTask, PlacesTask, fingerprint
from logq.samplers import Sampler
from logq.samplers.registry import SamplerSettings, make_sampler
from logq.text import Vocabulary, read_tokens
from logq.text.tokens import END, Tokens
from logq.training.checkpoint import Checkpoint, RunState
from logq.training.devices import Device
from logq.training.estimator import Seeds, fresh_seed
from logq.training.loop import Loop
from logq.training.options import TrainingConfig
from logq.training.weights import weights_of, with_weights

__all__ = ["NeuralLanguageModel"]

MANY_WORDS = 20_000
"""From so many words on tables get sparse gradients: below, one dense update of all rows costs no more."""


class NeuralLanguageModel(LanguageModelSettings, LanguageModel):
    """Trains an encoder to predict the next word, through any loss and any sampler.

    Perplexity and all probabilities are exact, over the whole vocabulary, whatever loss the model was trained by. They
    follow from the last column of the table of objectives: softmax over F for the softmax rows and NCE, over F + log Q
    for negative sampling, and sigmoid(F) divided by its sum for the rows that approximate log odds.

    Args:
        objective: a row of the table in logq.objectives by name ("sampled_softmax", "nce", "negative_sampling",
            "sampled_logistic", "full_softmax", "full_logistic"), "hierarchical_softmax" with Huffman's tree, or
            "adaptive_softmax", torch's.
        sampler: of the negatives, for objectives that sample: "log_uniform", "uniform", "unigram", "learned_unigram",
            "in_batch", "every_class", or a function of the counts of the words that makes one.
        num_sampled: S, how many negatives; in_batch and every_class have their own number.
        unigram_power: of the counts, for "unigram".
        shared_negatives: whether a batch shares a sample; else each word has one of its own.
        replacement: whether a word may stand in a sample twice. Without, as by default and in TensorFlow, sampled
            softmax is nearer to the full one: frequent words stand in every sample, and hits take no other copy away.
        log_q: whether log Q is accounted for: subtracted in training where the row of the table says so, and added when
            P is read off negative sampling, which learns log( P / Q ). False shows what happens without.
        cutoffs: of the adaptive softmax, where clusters begin; None for a fifth and three fifths of the words.
        batch_size: B, the columns that a recurrent model reads side by side, or the words of a batch.
        epochs: passes over the text, at most.
        optimizer: "adam", "adagrad" or "sgd"; tables with sparse gradients have the lazy kin of it in logq.optim, and
            their Adam has no momentum: see logq.training.optimizers.
        lr, weight_decay: learning rate, and L2 weight decay.
        clip: norm that gradients are clipped to; None for none.
        decay, warmup: the learning rate stays "constant" or falls by a "linear" or a "cosine" law, after that many
            steps in which it grows.
        dropout: in [0, 1).
        min_count, max_vocab: rarer words, and words beyond that many tokens, become <unk>.
        patience: how many epochs without a better perplexity of the validation text end the training; None trains all.
            The best weights are kept.
        sparse: whether tables get sparse gradients, so that a step costs what it touches; None decides by the number of
            words. Full and adaptive softmax touch all of their output in any case.
        precision: "float32", "bf16" or "auto"; see logq.training.Device.
        threads: of torch, and to read the text; None leaves torch's number.
        seed: of everything random; None takes one from the operating system.
        device: "cpu", "cuda", ...

    Attributes:
        model: the encoder, a torch module, once fitted.
        training_log: for each epoch its number, mean loss, tokens a second, and the perplexity of the validation text
            unless it is infinite.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    model: NNLMEncoder | Recurrent

    def __init__(self, **options: Unpack[LanguageModelOptions]) -> None:
        LanguageModel.__init__(self)
        self.take_options(options)
        self.device = str(options.get("device", "cpu"))
        self.training_log: list[dict[str, float]] = []
        self._reader: WordReader | None = None

    def __repr__(self) -> str:
        fitted = "" if self._vocabulary is None else f", {len(self._vocabulary)} words"
        return f"{type(self).__name__}({self._described()}, {self.objective}{fitted})"

    # ------------------------------------------------------------------------------------- what a subclass fills in

    @abstractmethod
    def _described(self) -> str:
        """The arguments that matter most, for repr()."""

    @abstractmethod
    def _make_model(self, vocab_size: int, *, sparse: bool) -> NNLMEncoder | Recurrent:
        """The module; weights come from torch's global generator."""

    @abstractmethod
    def _make_task(self, output: OutputLayer, tokens: Tokens, seed: int, device: Device) -> ColumnsTask | PlacesTask:
        """What the loop trains."""

    @abstractmethod
    def _blocks(self, tokens: Tokens, device: Device) -> Iterator[tuple[NDArray[np.int32], Tensor]]:
        """Tokens in any number at a time, and a query (n, D) for each."""

    @abstractmethod
    def _line_queries(self, ids: Sequence[int], device: Device) -> Tensor:
        """(n + 1, D): a query for each of n words from the beginning of a line, and one for what follows them."""

    def _shared_weight(self) -> nn.Parameter | None:
        """The table of words where inputs and outputs share one."""
        return None

    # --------------------------------------------------------------------------------------------------------- fit

    def fit(
        self,
        source: Source,
        *,
        validation: Source | None = None,
        vocabulary: Vocabulary | None = None,
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = 10.0,
        resume: bool = False,
    ) -> Self:
        """Learn from a text; called again, start anew.

        Args:
            source: files, plain, .gz or .zst, patterns, "-", or lists of words; a line is a sentence.
            validation: another text, whose perplexity is measured after each epoch; the best weights are kept.
            vocabulary: of a larger text that this one is a part of, as `read_tokens` makes it; None makes one of the
                text, by `min_count` and `max_vocab`.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
            checkpoint: a folder where everything is saved now and then, and on Ctrl-C, so that `resume` can go on.
            checkpoint_minutes: how often; 0 after every batch.
            resume: go on from that checkpoint, with the same text and settings; on a CPU to the bits of a run that was
                never interrupted. Without a checkpoint there, start.

        Returns:
            The model itself.

        Raises:
            OSError, TypeError: the text cannot be read, or is none.
            ValueError: it has too few words, or the checkpoint is of another text or has other settings.
            FloatingPointError: training diverges.
        """
        minutes = check_float("checkpoint_minutes", checkpoint_minutes, at_least=0)
        if check_bool("resume", resume) and checkpoint is None:
            raise ValueError("resume: expected a checkpoint folder to resume from, got none")
        if self.sampler == CUSTOM:
            raise ValueError("sampler: it was a function, which the file does not hold; make a new model with one")
        reading: dict[str, Any] = {"threads": self.threads or 1, "progress": progress}
        with contextlib.ExitStack() as stack:
            stack.enter_context(_torch_threads(self.threads))
            tokens = stack.enter_context(
                read_tokens(
                    source, vocabulary=vocabulary, min_count=self.min_count, max_vocab=self.max_vocab, **reading
                )
            )
            held_out = None
            if validation is not None:
                held_out = stack.enter_context(read_tokens(validation, vocabulary=tokens.vocabulary, **reading))
            saved = Checkpoint(
                checkpoint,
                type(self).__name__,
                self.settings(),
                fingerprint(tokens),
                data_name="source",
                free=("threads", "epochs") if self.decay == "constant" else ("threads",),
                minutes=minutes,
            )
            self._fit(tokens, held_out, saved, saved.load() if resume and saved.exists() else None, progress)
        return self

    def _fit(
        self,
        tokens: Tokens,
        held_out: Tokens | None,
        saved: Checkpoint,
        resumed: RunState | None,
        progress: bool | None,
    ) -> None:
        device = Device(self.device, self.precision)
        if device.world.size > 1:
            raise ValueError(f"fit: expected one process, got {device.world.size}")
        seeds = Seeds.of(fresh_seed(self.seed) if resumed is None else resumed.seed)
        fitted = vars(self).get("model")
        try:
            with device.random(seeds.weights):
                output = self._make_parts(tokens.vocabulary.counts, seeds.sampler)
            self.model.to(device.torch_device)
            output.to(device.torch_device)
            task = self._make_task(output, tokens, seeds.batches, device)
            names = "epochs lr weight_decay clip decay warmup patience optimizer"
            settings: dict[str, Any] = {name: getattr(self, name) for name in names.split()}
            loop = Loop(
                task,
                TrainingConfig(**settings),
                device,
                seeds,
                monitor="perplexity",
                smaller_is_better=True,
                fading=True,
            )
            if resumed is not None:
                with saved.restoring():
                    loop.restore(resumed)
        except BaseException:
            if fitted is not None:
                self.model = fitted  # which goes with the vocabulary and the reader that are still there
            raise
        self._vocabulary, self.training_log = tokens.vocabulary, loop.log

        def measure() -> dict[str, float]:
            assert held_out is not None
            self._reader = output.reader()
            return {"perplexity": self._likelihood(held_out).perplexity}

        try:
            loop.run(
                type(self).__name__,
                progress,
                measure=None if held_out is None else measure,
                checkpoint=saved,
                on_batch=self._on_batch,
            )
        finally:
            self.training_log = loop.log
            self._reader = output.reader().eval()
            self.model.eval()
            self.facts = {"training_log": loop.log, "log_q": getattr(self._reader, "log_q", None) is not None}
        saved.remove()

    def _make_parts(self, counts: NDArray[np.int64], seed: int) -> OutputLayer:
        size = len(counts)
        sparse = size >= MANY_WORDS if self.sparse is None else self.sparse
        self.model = self._make_model(size, sparse=sparse)
        sampler: Sampler | None = None
        if self.sampler is not None:
            settings = SamplerSettings(
                counts,
                self.num_sampled,
                unigram_power=self.unigram_power,
                replacement=self.replacement,
                per_row=not self.shared_negatives,
                seed=seed,
            )
            sampler = make_sampler(self.sampler, settings)
        shared = self._shared_weight()
        output = make_output(
            self.objective,
            self.model.out_features,
            counts,
            sampler=sampler,
            log_q=self.log_q,
            cutoffs=self.cutoffs,
            weight=shared,
            sparse=sparse and self.sampler != "every_class",
        )
        if shared is not None and not output.sparse_parameters():
            self.model.words.sparse = False  # the sum with the output's gradient is dense
        return output

    def _on_batch(self, step: int) -> None:
        """Called after each update."""

    # ------------------------------------------------------------------------------------------------------ answers

    @torch.no_grad()
    def queries(self, source: Source, num_tokens: int) -> tuple[Tensor, Tensor]:
        """What the output layer is asked with at the first tokens of a text, and the tokens themselves.

        Args:
            source: as for `fit`.
            num_tokens: how many, at most.

        Returns:
            (n, D) queries and (n,) int64 tokens, n at most `num_tokens`.

        Raises:
            AttributeError: the model is not fitted.
            OSError, TypeError, ValueError: `source` cannot be read, or has no words.
        """
        check_int("num_tokens", num_tokens)
        device, found, words = Device(self.device, self.precision), list[Tensor](), list[Tensor]()
        with read_tokens(source, vocabulary=self.vocabulary, progress=False) as tokens:
            for ids, queries in self._blocks(tokens, device):
                found.append(queries.float())
                words.append(torch.from_numpy(ids.astype(np.int64)).to(queries.device))
                if sum(map(len, words)) >= num_tokens:
                    break
        return torch.cat(found)[:num_tokens], torch.cat(words)[:num_tokens]

    @property
    def reader(self) -> WordReader:
        """What reads log P of words off queries.

        Raises:
            AttributeError: the model is not fitted.
        """
        return self._answers()

    def _likelihood(self, tokens: Tokens) -> Likelihood:
        total = Likelihood()
        for ids, log_probs in self._log_prob_blocks(tokens):
            total += likelihood_of(log_probs, ids, tokens.end, tokens.unknown)
        return total

    @torch.no_grad()
    def _log_prob_blocks(self, tokens: Tokens) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        device, reader = Device(self.device, self.precision), self._answers()
        for ids, queries in self._blocks(tokens, device):
            targets = torch.from_numpy(ids.astype(np.int64)).to(queries.device)
            yield ids, reader.log_prob(queries.float(), targets).cpu().numpy()

    @torch.no_grad()
    def _next_log_probs(self, ids: Sequence[int]) -> NDArray[np.float32]:
        queries = self._line_queries(ids, Device(self.device, self.precision))
        return self._answers().next_log_prob(queries[-1:].float())[0].cpu().numpy()

    @torch.no_grad()
    def _sentence_log_probs(self, ids: Sequence[int]) -> NDArray[np.float64]:
        queries = self._line_queries(ids, Device(self.device, self.precision))[:-1].float()
        targets = torch.tensor(list(ids), dtype=torch.int64, device=queries.device)
        return self._answers().log_prob(queries, targets).double().cpu().numpy()

    def _answers(self) -> WordReader:
        _ = self.vocabulary  # says what is wrong where the model is not fitted
        assert self._reader is not None
        return self._reader

    @property
    def _end(self) -> int:
        return self.vocabulary.key_to_index[END]

    # ------------------------------------------------------------------------------------------------ save and load

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights of the module and of what answers; a table that they share is there once."""
        state = {f"model.{name}": array for name, array in weights_of(self.model).items()}
        for name, array in weights_of(self._answers()).items():
            if name != "weights.weight" or self._shared_weight() is None:
                state[f"output.{name}"] = array
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        counts, device = self.vocabulary.counts, Device(self.device).torch_device
        parts: dict[str, dict[str, NDArray[Any]]] = {"model": {}, "output": {}}
        for name, array in state.items():
            part, _, key = name.partition(".")
            parts[part][key] = array
        self.model = with_weights(lambda: self._make_model(len(counts), sparse=False), parts["model"])
        if "weights.weight" not in parts["output"] and self._shared_weight() is not None:
            parts["output"]["weights.weight"] = parts["model"]["weights.words.weight"]
        options: dict[str, Any] = {"cutoffs": self.cutoffs, "has_log_q": bool(self.facts["log_q"])}
        width = self.model.out_features
        self._reader = with_weights(lambda: make_reader(self.objective, width, counts, **options), parts["output"])
        shared = self._shared_weight()
        if shared is not None:
            self._reader.weight = shared  # one table in memory, too
        self.model.to(device).eval()
        self._reader.to(device).eval()
        self.training_log = list(self.facts["training_log"])


@contextlib.contextmanager
def _torch_threads(count: int | None) -> Generator[None, None, None]:
    """So many threads of torch while a block runs; the caller's number afterwards."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
