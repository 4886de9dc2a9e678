"""NeuralRecommender: what the estimators of neural models have in common, from their arguments to a fitted model."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim
from logq._warnings import warn
from logq.logs.examples import Examples
from logq.logs.growing import GrownLog
from logq.logs.identifiers import Identifiers
from logq.logs.interactions import Interactions
from logq.process_start import check_same, join
from logq.processes import all_bytes, take_from_first
from logq.recommenders.encoding.encoders import RetrievalModel
from logq.recommenders.encoding.item_tables import tables_in_parts
from logq.recommenders.events.augmentation import Augmentation
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.events.session_windows import first_vectors
from logq.recommenders.events.target_events import TargetEvents, fingerprint_of, target_counts
from logq.recommenders.neural.encoder_ranker import EncoderRanker
from logq.recommenders.neural.item_loss import ItemLoss, make_item_loss
from logq.recommenders.neural.neural_config import METRICS
from logq.recommenders.neural.next_item_task import NextItemTask
from logq.recommenders.neural.query_context import Context
from logq.recommenders.neural.warm_start import continued, later_examples, later_targets, take_over
from logq.recommenders.ranking.new_items import NewItemsOfEncoder
from logq.recommenders.ranking.ranker import EvaluationWarning, RankingTest
from logq.recommenders.ranking.validation_test import validation_test
from logq.tables.notebook_html import TrainingLog
from logq.training.checkpoint import RunCheckpoint, fingerprint
from logq.training.devices import Device
from logq.training.estimator import FitOptions
from logq.training.joint_checkpoint import JointCheckpoint
from logq.training.loop import Loop
from logq.training.phases import Chosen, Phase, first_phase
from logq.training.running_mean import collapse_of
from logq.training.seeds import Seeds, fresh_seed
from logq.training.step_graphs import check_graphs
from logq.training.weights import with_weights

__all__ = ["NeuralRecommender"]

MANY_ITEMS = 20_000
"""From that many items on tables get sparse gradients, where the loss samples: below, one dense update is quicker."""

MOST_INSPECTED = 64
"""Items that are asked about, each as a history, to see whether a model has collapsed, and items that they rank."""


class NeuralRecommender(EncoderRanker, NewItemsOfEncoder):
    """Trains an encoder through any loss and any sampler. A subclass says which encoder, and from what it learns.

    Attributes:
        model: the encoder, a torch module, once fitted.
        training_log: for each epoch its number, mean loss, samples per second, and metrics where it was validated; with
            `refit` also the `phase`: 1 that in which validation chose, 2 the training on all.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    Example:
        >>> from logq.logs import NextItems
        >>> from logq.recommenders import YoutubeDNNEncoder
        >>> class Linear(NeuralRecommender):
        ...     '''Learns from the mean of a history, without hidden layers.'''
        ...
        ...     def _make_model(self, *, sparse):
        ...         return YoutubeDNNEncoder(self.known.num_items, self.dim, hidden=(), sparse=sparse)
        ...
        ...     def _make_examples(self, log, seed):
        ...         return NextItems(log, self.max_length, age=None)
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = Linear(dim=16, max_length=1, num_sampled=8, epochs=40, lr=0.05, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["milk"], k=1).items.tolist()
        ['cup']
    """

    shares_work = True
    bucket: ClassVar[int] = 0
    """How many batches are sorted by length at a time; see epoch_batches."""

    model: RetrievalModel
    training_log: list[dict[str, float]]
    context: Sequence[str] = ()
    """Columns of the log that are inputs of queries, of estimators that take some."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training_log = TrainingLog()
        self._offsets: Tensor | None = None
        self._context = Context({}, {}, {})

    # ------------------------------------------------------------------------------------- what a subclass fills in

    @abstractmethod
    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        """The module for `known` and `metadata`; weights are drawn from torch's global generator."""

    @abstractmethod
    def _make_examples(self, log: Interactions, seed: int) -> Examples:
        """What is learned from."""

    def _inspect(self, log: Interactions) -> dict[str, Any]:
        """The metadata: what the module needs to know of a log beside its users and items, as JSON can hold it."""
        return {}

    def _inputs(self, histories: Histories) -> dict[str, NDArray[Any]]:
        """The batch that queries are made of; context that is not given is what the log had last of a user."""
        batch: dict[str, NDArray[Any]] = {
            f"context.{name}": codes for name, codes in self._context.of_users(histories.users).items()
        }
        return {**batch, **histories.batch(self.max_length)}

    def context_at(self, events: Interactions, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Context that events have in the log, as codes by column."""
        return self._context.at(events, rows)

    def _context_codes(
        self, context: Mapping[str, Any], rows: int
    ) -> tuple[dict[str, NDArray[np.int64]], list[tuple[str, int, Any]]]:
        return self._context.encode(context, rows) if self.context else super()._context_codes(context, rows)

    @property
    def _features_read(self) -> Collection[str]:
        return [name.removeprefix("user.") for name in self.model.inputs if name.startswith("user.")]

    def answerable(self, request: Histories) -> NDArray[np.bool_]:
        """Which rows (n,) have a history, or something else that the model ranks by and that is known of them."""
        can = request.lengths > 0
        if self.model.answers_without_history and not can.all():
            rest = request.select(~can)
            batch = {**self._inputs(rest), "user": rest.users + 1}
            known = np.zeros(len(rest), dtype=np.bool_)
            for name in self.model.inputs:
                codes = batch[name]
                known |= (codes > 0) if codes.ndim == 1 else (codes > 0).any(axis=1)
            can[~can] = known
        return can

    # --------------------------------------------------------------------------------------------------------- fit

    def _continue(self, grown: GrownLog, validation: HeldOut | None, options: FitOptions) -> None:
        self._fit(grown.log, validation, options, grown)

    def _later_examples(self, grown: GrownLog, seed: int) -> Examples:
        """What is learned from when a log grew: its new events, with all before them as histories, and some old ones.

        The old ones are left out where the columns that are read of them are not remembered.
        """
        is_remembered = grown.is_whole or not self._columns_read
        return later_examples(grown, self._make_examples, self.replay if is_remembered else 0.0, seed)

    @property
    def _columns_read(self) -> list[str]:
        """The columns of the log that are learned from, beside users, items and times."""
        return [name for name in (self.weights, self.extra_negatives, *self.context) if name is not None]

    @property
    def columns_known(self) -> Mapping[str, Identifiers]:
        """Those of the context."""
        return self._context.ids

    def _fit(
        self, log: Interactions, validation: HeldOut | None, options: FitOptions, grown: GrownLog | None = None
    ) -> None:
        size = None if validation is None else len(validation.truth) / len(log)
        refit = self.refit and grown is None
        phase = options.phase or first_phase(self.minutes, refit=refit, validation=size)
        join(self.device)
        device = Device(self.device, self.precision)
        if self.cuda_graphs:
            check_graphs(device.torch_device, optimizer=self.optimizer, processes=device.world.size)
        progress = options.progress if device.world.is_first else False
        data = phase.data or fingerprint_of(log, self._columns_read)
        if grown is not None:
            data = self._digest(data)  # it goes on from this very model
        if device.world.size > 1:
            asked = None if validation is None else validation.truth.fingerprint()
            same = {"class": type(self).__name__, "log": data, "validation": asked, "tables": self.tables}
            check_same({**same, **self.settings()})
        checkpoint = JointCheckpoint.of(self._checkpoint(options, data), device)
        resumed = checkpoint.resumed(options.resume)
        if resumed is not None and validation is not None and phase.number == 1 and resumed.position.get("chosen"):
            with checkpoint.restoring():
                chosen = Chosen(**resumed.position["chosen"][0])
            return self._refit(validation, options, Phase(phase.budget.whole, 2, chosen, (), checkpoint.data))
        run = phase.seed if resumed is None else resumed.seed
        run = device.agreed(fresh_seed(self.seed)) if run is None else run
        seeds = Seeds.of(run, device.world.rank)
        context = Context.of(log, self.context)
        self._context = context if grown is None else context.after(self._context, grown)
        if grown is None:
            examples = self._make_examples(log, seeds.batches)
        else:
            examples = self._later_examples(grown, seeds.batches)
        # Of a log that grew they may be those of a part of it.
        of_log = getattr(examples, "log", log)
        events = TargetEvents.read(of_log, self.weights, self.future, self.future_decay, self.extra_negatives)
        if len(examples) == 0:
            raise ArgumentError(
                "log", "a user with two events or more", Verbatim("none: there is nothing to learn from")
            )
        self.metadata = self._inspect(log)
        sparse = self._is_sparse()
        before = None if grown is None else self.model
        with device.random(seeds.weights), tables_in_parts(self.tables == "sharded"):
            self.model = self._make_model(sparse=sparse)
        if before is not None and grown is not None:
            take_over(self.model, before, grown)
        elif self.pretrain and resumed is None:
            found = first_vectors(
                log, self.model.start_dim, epochs=self.pretrain, seed=seeds.batches, progress=progress
            )
            vectors = torch.from_numpy(found)
            if self.model.parts():  # each process takes its own rows, which are to be those of one skip-gram
                vectors = vectors.to(device.torch_device)
                take_from_first(vectors, "share the vectors that items start from")
            self.model.start_items_at(vectors)
        augmentation = Augmentation(self.crop, self.mask, seeds.batches)
        counts = target_counts(examples, self.known.num_items, events, augmentation)
        of_targets = counts if grown is None else later_targets(counts, self.known.item_counts())
        loss = self._make_loss(of_targets, seeds.sampler, sparse)
        if self.model.item_biases is not None and grown is None:
            torch.nn.init.constant_(self.model.item_biases.weight, loss.first_logit(self.known.num_items))
        self.model.to(device.torch_device)
        loss.to(device.torch_device)
        task = NextItemTask(
            self.model,
            loss,
            examples,
            self.known,
            events,
            device,
            self.batch_size,
            seeds.batches,
            num_targets=round(counts.sum()),
            bucket=self.bucket,
            unseen=self.unseen_negatives,
            augmentation=augmentation,
        )
        del counts, of_targets  # of all items
        if self.compile:
            task.compile()
        config = self if grown is None else continued(self)
        loop = Loop(task, config, device, seeds, monitor=self.monitor, phase=phase)
        if resumed is not None:
            resumed = loop.with_own_rows(resumed)
            with checkpoint.restoring():
                loop.restore(resumed)
        self._offsets, self.training_log = None, loop.log
        test = None if validation is None else self._test(validation)

        def validated() -> dict[str, float]:
            assert test is not None
            return self._validated(loss, test)

        loop.run(
            f"{type(self).__name__} on all" if phase.number == 2 else type(self).__name__,
            progress,
            measure=None if test is None else validated,
            inspect=lambda: self._collapse(loss),
            checkpoint=checkpoint,
            on_batch=self._on_batch,
            callbacks=options.callbacks,
        )
        self._ready(loss)
        if phase.number == 1 and validation is not None:
            following = Phase(phase.budget.whole, 2, loop.chosen, loop.log, checkpoint.data, run)
            return self._refit(validation, replace(options, resume=False), following)
        checkpoint.remove()

    def _shared_out(self, train: Interactions, held_out: HeldOut, *, warm: bool) -> tuple[Interactions, HeldOut]:
        if self.validation_users is None:
            return train, held_out
        is_known = held_out.known_by(self.known.knows) if warm else None
        return held_out.shared_out(train, self.validation_users, is_known)

    def _refit(self, validation: HeldOut, options: FitOptions, phase: Phase) -> None:
        """Train anew on all events, for the number of epochs that validation chose."""
        log = validation.together()
        self.known, self._indexes = KnownLog.of(log), {}
        self._fit(log, None, replace(options, phase=phase))

    def _checkpoint(self, options: FitOptions, data: str, data_name: str = "log") -> RunCheckpoint:
        checkpoint = super()._checkpoint(options, data, data_name)
        if self.tables == "sharded":  # whose rows one process has whole, and several have in parts: either goes on
            checkpoint.settings["tables"] = self.tables
        return checkpoint

    def _free_settings(self) -> Collection[str]:
        # More epochs do not make it another run where the learning rate does not depend on how many there are.
        return ("epochs", "minutes", "warm_epochs") if self.decay == "constant" else ()

    def _on_batch(self, step: int) -> None:
        """Called after each update."""

    def _digest(self, data: str) -> str:
        """A fingerprint of data and of what the model has learned; of parts that all processes have, in their order."""
        if not self.in_parts:
            return fingerprint([data], *self.state().values())
        whole = [one for one in self.state().values() if isinstance(one, np.ndarray)]
        parts = [part.weight.detach() for part in self.model.parts()]
        own = fingerprint([], *(part.cpu().numpy() for part in parts))
        return fingerprint([data, *map(bytes.decode, all_bytes(own.encode(), parts[0].device))], *whole)

    def _ready(self, loss: ItemLoss) -> None:
        self.model.eval()
        self._offsets, self._indexes = loss.offsets(), {}

    def _test(self, validation: HeldOut) -> RankingTest | None:
        """What validations ask: of what was held out, what can be found; None where that is nothing."""
        try:
            return validation_test(self, validation.truth, validation.history, exclude_seen=self.exclude_seen)
        except ArgumentError as error:
            text = f"{error.message('validation')}; so there is nothing to stop by, and all epochs are trained"
            warn(text, EvaluationWarning)
            return None

    def _validated(self, loss: ItemLoss, test: RankingTest) -> dict[str, float]:
        self._ready(loss)
        k = int(self.monitor.partition("@")[2])
        scores = test.measure(self, k, resamples=0, together=True)
        self._indexes = {}
        return {
            name.lower(): value for name, value in scores.values.items() if name.partition("@")[0].lower() in METRICS
        }

    @torch.no_grad()
    def _collapse(self, loss: ItemLoss) -> str:
        """What is to be said where the model ranks all items, or answers all histories, alike; "" where it does not."""
        self._ready(loss)
        many = self.known.num_items
        items = np.arange(min(many, MOST_INSPECTED))
        alone = np.full(len(items), -1)
        queries = self._queries(Histories(items, np.arange(len(items) + 1), alone, self.known.features_of(alone)))
        some = torch.arange(0, many, max(1, many // MOST_INSPECTED), device=queries.device)
        return collapse_of(queries, self._some_rows(some), self.lr)

    def _make_loss(self, of_targets: NDArray[Any], seed: int, sparse: bool) -> ItemLoss:
        return make_item_loss(self, self.known.item_counts(), of_targets, seed, sparse, self.loss_temperature)

    def _is_sparse(self) -> bool:
        samples = self.sampler is not None and self.sampler != "every_class"
        is_large = self.known.num_items >= MANY_ITEMS if self.sparse is None else self.sparse
        return samples and (is_large or self.tables == "sharded")

    # ------------------------------------------------------------------------------------------------ save and load

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        described, tensors = super()._kept()
        return {**described, "training_log": self.training_log}, tensors

    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        super()._take_back(info, tensors)
        self.training_log = TrainingLog(dict(entry) for entry in info.get("training_log", []))

    def _forget_users(self) -> None:
        super()._forget_users()
        self._context = self._context.without_users()

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights of the module."""
        state = self._weights()
        state |= self._context.state()
        if self._offsets is not None:
            state["item_offsets"] = self._offsets.detach().float().cpu().numpy()
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        self._context = Context.from_state(state, self.context, self.known.num_users)
        self.model = with_weights(lambda: self._make_model(sparse=False), state)
        self.model.to(Device(self.device).torch_device).eval()
        offsets = state.get("item_offsets")
        if offsets is not None and (offsets.shape != (self.known.num_items,) or offsets.dtype != np.float32):
            raise ValueError(f"expected float32 of shape ({self.known.num_items},) for 'item_offsets'")
        self._offsets = None if offsets is None else torch.from_numpy(offsets.copy())
