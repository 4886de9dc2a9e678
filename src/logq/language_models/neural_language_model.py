"""NeuralLanguageModel: what neural language models share, from a text to a fitted model."""

import contextlib
import os
from abc import abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Self

from logq._arguments import ArgumentError, check_int
from logq._launch import ALONE, World
from logq._progress import Progress
from logq.evaluation.likelihood import Likelihood
from logq.language_models.language_model import LanguageModel, Source, fingerprint_of
from logq.language_models.neural_configs import NeuralLMConfig
from logq.language_models.output_layers import OutputLayer, WordReader, make_output, make_reader
from logq.language_models.text_tasks import TextEncoder, TextTask
from logq.process_start import check_same, join
from logq.processes import all_counts, all_rows, is_joined, meeting_device, world
from logq.samplers.registry import SamplerSettings, make_sampler
from logq.samplers.sampler import Sampler
from logq.tables.notebook_html import TrainingLog
from logq.text.tokens import END, Tokens, read_tokens
from logq.text.vocabulary import Vocabulary
from logq.training.callbacks import CallbackRun, Callbacks
from logq.training.config import CUSTOM
from logq.training.devices import Device
from logq.training.estimator import FitOptions
from logq.training.joint_checkpoint import JointCheckpoint
from logq.training.loop import Loop
from logq.training.phases import Phase, TimeBudget
from logq.training.seeds import Seeds, fresh_seed
from logq.training.step_graphs import check_graphs
from logq.training.weights import weights_of, with_weights

__all__ = ["NeuralLanguageModel"]

MANY_WORDS = 20_000
"""From this vocabulary size on, tables get sparse gradients: below, a dense update of all rows costs no more."""


class NeuralLanguageModel(NeuralLMConfig, LanguageModel):
    """Trains an encoder to predict the next word, with any objective and any sampler.

    Perplexity and all probabilities are exact, over the whole vocabulary, whatever objective the model was trained
    with. They follow from the last column of the table of objectives: softmax over F for the softmax objectives and
    NCE, over F + log Q for negative sampling, and sigmoid(F) divided by its sum for those that approximate log odds.

    Attributes:
        model: the encoder, a torch module, once fitted.
        training_log: for each epoch its number, mean loss, tokens per second, and the perplexity of the validation text
            unless it is infinite.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.
    """

    shares_work = True

    model: TextEncoder

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training_log: list[dict[str, float]] = TrainingLog()
        self._reader: WordReader | None = None

    # ------------------------------------------------------------------------------------- what a subclass implements

    @abstractmethod
    def _make_encoder(self, vocab_size: int, *, sparse: bool) -> TextEncoder:
        """The encoder; weights are drawn from torch's global generator."""

    @abstractmethod
    def _make_task(self, output: OutputLayer, tokens: Tokens, seed: int, device: Device) -> TextTask:
        """What the loop trains."""

    @abstractmethod
    def _query_blocks(
        self, tokens: Tokens, device: Device, share: World = ALONE
    ) -> Iterator[tuple[NDArray[np.int32], Tensor]]:
        """Yield the tokens of a text in blocks, with a query (n, D) for each; of a share every W-th block alone."""

    @abstractmethod
    def _line_queries(self, ids: Sequence[int], device: Device) -> Tensor:
        """(n + 1, D): queries for n words from the beginning of a line, and for the word that follows them."""

    def _shared_weight(self) -> nn.Parameter | None:
        """The table of words if inputs and outputs share one."""
        return None

    # --------------------------------------------------------------------------------------------------------- fit

    def fit(
        self,
        source: Source,
        *,
        validation: Source | None = None,
        vocabulary: Vocabulary | None = None,
        encoding: str | None = None,
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = 10.0,
        resume: bool = False,
        callbacks: Callbacks = (),
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Self:
        """Learn from a text; another call starts from scratch.

        Args:
            source: files, also compressed, patterns, "-", or lists of words; a line is a sentence.
            validation: another text, whose perplexity is measured after each epoch; the best weights are kept.
            vocabulary: of a larger text that contains this one, as `read_tokens` makes it; None makes one from the
                text, by `min_count` and `max_vocab`.
            encoding: of the files, such as "latin-1"; None recognizes it.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
            checkpoint: a folder where the run is saved regularly, and on Ctrl-C, so that `resume` can go on.
            checkpoint_minutes: minutes between checkpoints; 0 saves one after every batch.
            resume: continue from that checkpoint, with the same text and settings; on a CPU to the same bits as a run
                without interruption. Without a checkpoint there, start.
            callbacks: what is called after each epoch and every N updates, and may end the training with what was
                learned until then: see logq.training.Callback.
            on_epoch: called with what `training_log` says of each epoch, before the callbacks.

        Returns:
            The model itself.

        Raises:
            OSError: the text cannot be read.
            ArgumentError, ArgumentTypeError: it is not a text, or has too few words.
            ValueError: the checkpoint is of another text or has other settings.
            FloatingPointError: training diverges.
        """
        budget = TimeBudget(self.minutes)
        calls = CallbackRun(callbacks, self, on_epoch)
        options = FitOptions(progress, checkpoint, checkpoint_minutes, resume, calls, Phase(budget))
        if self.sampler == CUSTOM:
            hint = "make a new model: files do not keep the function that the sampler was"
            raise ArgumentError("sampler", "a name or a function", CUSTOM, hint)
        join(self.device)
        device = Device(self.device, self.precision)
        if self.cuda_graphs:
            check_graphs(device.torch_device, optimizer=self.optimizer, processes=device.world.size)
        progress = progress if device.world.is_first else False
        options = replace(options, progress=progress)
        reading: dict[str, Any] = {"encoding": encoding, "threads": self.threads or 1, "progress": progress}
        with contextlib.ExitStack() as stack:
            stack.enter_context(calls.ending())
            stack.enter_context(self._fitting())
            stack.enter_context(_torch_threads(self.threads))
            kept = {"min_count": self.min_count, "max_vocab": self.max_vocab, "vocabulary": vocabulary}
            tokens = stack.enter_context(read_tokens(source, **kept, **reading))
            held_out = None
            if validation is not None:
                held_out = stack.enter_context(read_tokens(validation, vocabulary=tokens.vocabulary, **reading))
            self._train(tokens, held_out, options, device)
        return self

    def _train(self, tokens: Tokens, held_out: Tokens | None, options: FitOptions, device: Device) -> None:
        data = fingerprint_of(tokens)
        if device.world.size > 1:
            asked = None if held_out is None else [len(held_out), held_out.num_sentences]
            check_same({"class": type(self).__name__, "source": data, "validation": asked, **self.settings()})
        checkpoint = JointCheckpoint.of(self._checkpoint(options, data, "source"), device)
        resumed = checkpoint.resumed(options.resume)
        run = device.agreed(fresh_seed(self.seed)) if resumed is None else resumed.seed
        seeds = Seeds.of(run, device.world.rank)
        with device.random(seeds.weights):
            output = self._make_modules(tokens.vocabulary.counts, seeds.sampler)
        self.model.to(device.torch_device)
        output.to(device.torch_device)
        task = self._make_task(output, tokens, seeds.batches, device)
        if self.compile:
            task.compile()
        loop = Loop(
            task,
            self,
            device,
            seeds,
            monitor="perplexity",
            smaller_is_better=True,
            fading=True,
            phase=options.phase,
        )
        if resumed is not None:
            with checkpoint.restoring():
                loop.restore(resumed)
        self._vocabulary, self.training_log = tokens.vocabulary, loop.log

        def measure() -> dict[str, float]:
            assert held_out is not None
            self._reader = output.reader()
            return {"perplexity": self._likelihood(held_out).perplexity}

        loop.run(
            type(self).__name__,
            options.progress,
            measure=None if held_out is None else measure,
            checkpoint=checkpoint,
            on_batch=self._on_batch,
            callbacks=options.callbacks,
        )
        self.training_log = loop.log
        self._reader = output.reader().eval()
        self.model.eval()
        self.metadata = {"training_log": loop.log, "log_q": getattr(self._reader, "log_q", None) is not None}
        checkpoint.remove()

    def _free_settings(self) -> Collection[str]:
        # More epochs are not another run where the learning rate does not depend on their number.
        return ("threads", "epochs", "minutes") if self.decay == "constant" else ("threads",)

    def _make_modules(self, counts: NDArray[np.int64], seed: int) -> OutputLayer:
        size = len(counts)
        sparse = size >= MANY_WORDS if self.sparse is None else self.sparse
        self.model = self._make_encoder(size, sparse=sparse)
        sampler: Sampler | None = None
        if self.sampler is not None:
            settings = SamplerSettings(
                counts,
                self.num_sampled,
                unigram_power=self.unigram_power,
                replacement=self.replacement,
                per_row=not self.shared_negatives,
                seed=seed,
                negatives_of=self.negatives_of,
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
    def queries(self, source: Source, num_tokens: int, *, encoding: str | None = None) -> tuple[Tensor, Tensor]:
        """Return the queries for the first tokens of a text, and these tokens.

        Args:
            source: as for `fit`.
            num_tokens: maximum number of tokens.
            encoding: as for `fit`.

        Returns:
            (n, D) queries and (n,) int64 tokens, n <= `num_tokens`.

        Raises:
            AttributeError: the model is not fitted.
            OSError: `source` cannot be read.
            ArgumentError, ArgumentTypeError: it is not a text, or has no words.
        """
        check_int("num_tokens", num_tokens)
        device, found, words = Device(self.device, self.precision), list[Tensor](), list[Tensor]()
        with read_tokens(source, vocabulary=self.vocabulary, encoding=encoding, progress=False) as tokens:
            for ids, queries in self._query_blocks(tokens, device):
                found.append(_wide(queries))
                words.append(torch.from_numpy(ids.astype(np.int64)).to(queries.device))
                if sum(map(len, words)) >= num_tokens:
                    break
        return torch.cat(found)[:num_tokens], torch.cat(words)[:num_tokens]

    @property
    def reader(self) -> WordReader:
        """What turns queries into log P of words.

        Raises:
            AttributeError: the model is not fitted.
        """
        _ = self.vocabulary  # raises where the model is not fitted
        assert self._reader is not None
        return self._reader

    def _likelihood(self, tokens: Tokens, bar: Progress | None = None) -> Likelihood:
        """The sum over all blocks, of which each process that has joined takes some; to the same bits as alone."""
        there = world() if is_joined() else ALONE
        if there.size == 1:
            return super()._likelihood(tokens, bar)
        check_same({"source": [len(tokens), tokens.num_sentences, tokens.vocabulary.counts[:100].tolist()]})
        blocks = self._log_prob_blocks(tokens, there)
        found = [*self._likelihoods(tokens, blocks, bar, there.size)]
        own = torch.tensor(found, dtype=torch.float64).view(-1, len(Likelihood()))
        counts = all_counts(len(own), meeting_device())
        every = all_rows(own.to(meeting_device()), counts, doing="gather the likelihoods of all").cpu().split(counts)
        in_order = [every[number % there.size][number // there.size].tolist() for number in range(sum(counts))]
        total = Likelihood()
        for log_prob, tokens_of, sentences, unknown, known, impossible in in_order:
            counted = int(tokens_of), int(sentences), int(unknown)
            total += Likelihood(log_prob, *counted, known, int(impossible))
        return total

    @torch.no_grad()
    def _log_prob_blocks(
        self, tokens: Tokens, share: World = ALONE
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        device, reader = Device(self.device, self.precision), self.reader
        for ids, queries in self._query_blocks(tokens, device, share):
            targets = torch.from_numpy(ids.astype(np.int64)).to(queries.device)
            yield ids, reader.log_prob(_wide(queries), targets).cpu().numpy()

    @torch.no_grad()
    def _next_log_probs(self, ids: Sequence[int]) -> NDArray[np.float32]:
        queries = self._line_queries(ids, Device(self.device, self.precision))
        return self.reader.next_log_prob(_wide(queries[-1:]))[0].cpu().numpy()

    @torch.no_grad()
    def _sentence_log_probs(self, ids: Sequence[int]) -> NDArray[np.float64]:
        queries = _wide(self._line_queries(ids, Device(self.device, self.precision))[:-1])
        targets = torch.tensor(list(ids), dtype=torch.int64, device=queries.device)
        return self.reader.log_prob(queries, targets).double().cpu().numpy()

    @property
    def _end(self) -> int:
        return self.vocabulary.key_to_index[END]

    # ------------------------------------------------------------------------------------------------ save and load

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights of the encoder and of the reader; a table that they share is in it once."""
        state = {f"model.{name}": array for name, array in weights_of(self.model).items()}
        for name, array in weights_of(self.reader).items():
            if name != "weights.weight" or self._shared_weight() is None:
                state[f"output.{name}"] = array
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` returned."""
        counts, device = self.vocabulary.counts, Device(self.device).torch_device
        parts: dict[str, dict[str, NDArray[Any]]] = {"model": {}, "output": {}}
        for name, array in state.items():
            part, _, key = name.partition(".")
            parts[part][key] = array
        self.model = with_weights(lambda: self._make_encoder(len(counts), sparse=False), parts["model"])
        shared = self._shared_weight()
        if shared is not None and "weights.weight" not in parts["output"]:
            parts["output"]["weights.weight"] = parts["model"]["weights.words.weight"]
        options: dict[str, Any] = {"cutoffs": self.cutoffs, "has_log_q": bool(self.metadata["log_q"])}
        width = self.model.out_features
        self._reader = with_weights(lambda: make_reader(self.objective, width, counts, **options), parts["output"])
        if shared is not None:
            self._reader.weight = shared  # one table in memory, too
        self.model.to(device).eval()
        self._reader.to(device).eval()
        self.training_log = TrainingLog(self.metadata["training_log"])


def _wide(queries: Tensor) -> Tensor:
    """Probabilities are computed in float32 at least."""
    return queries.to(torch.promote_types(queries.dtype, torch.float32))


@contextlib.contextmanager
def _torch_threads(count: int | None) -> Generator[None, None, None]:
    """Set torch's number of threads while a block runs; None leaves it."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
