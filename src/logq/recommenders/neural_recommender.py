"""NeuralRecommender: what the estimators of neural models have in common, from options to a fitted model."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import Unpack

from logq.logs import Examples, Interactions
from logq.recommenders.encoders import RetrievalModel
from logq.recommenders.fitting import FitOptions, HeldOut
from logq.recommenders.histories import Histories, Seen
from logq.recommenders.item_loss import ItemLoss
from logq.recommenders.neural_options import METRICS, NeuralOptions, NeuralSettings
from logq.recommenders.next_item_task import NextItemTask, target_counts
from logq.recommenders.query_context import Context
from logq.recommenders.ranker import measure
from logq.recommenders.recommender import Recommender
from logq.recommenders.session_windows import first_vectors
from logq.samplers.registry import SamplerSettings, make_sampler
from logq.training.devices import Computer
from logq.training.loop import Loop, LoopSettings
from logq.training.loop_checkpoint import Checkpoint
from logq.training.weights import weights_of, with_weights

__all__ = ["NeuralRecommender"]

MANY_ITEMS = 20_000
"""From so many items on tables get sparse gradients, where the loss samples: below, one dense update is quicker."""

CPU_ENTRIES, GPU_ENTRIES = 1 << 14, 1 << 20
"""Items of histories that queries are made of at a time: on a CPU so few that a layer's numbers stay in the cache."""


class NeuralRecommender(NeuralSettings, Recommender):
    """Trains an encoder through any loss and any sampler.

    Args:
        dim: D, the width of the vectors that are compared.
        objective: one of the table in logq.objectives by name: "sampled_softmax", "nce", "negative_sampling",
            "sampled_logistic", "gbce", "full_softmax", "full_logistic".
        sampler: of the negatives, for objectives that sample: "log_uniform", "uniform", "unigram", "learned_unigram",
            "in_batch", "every_class", or a function of the counts of the items that makes one.
        num_sampled: S, how many negatives; in_batch and every_class have their own number.
        shared_negatives: whether the rows of a batch share a sample; else each has one of its own.
        unseen_negatives: whether what a user had before is left out of a row's negatives. Then P is learned among the
            items that are new to the user, which is what ranking without seen items asks for.
        unigram_power: of the counts, for "unigram".
        log_q: whether log Q is accounted for: subtracted in training where the row of the table says so, and added to
            the scores of negative sampling, which are log( P / Q ), to rank by P. False shows what happens without.
        calibration: t of gBCE, in [0, 1].
        temperature: divides the logits.
        cosine: whether logits are cosines; they need a temperature well below 1, such as 0.05.
        max_length: L, the longest part of a history that is looked at, the most recent.
        pretrain: passes over the log in which skip-gram learns the vectors that the items start from, by the compiled
            engine and in seconds; 0 starts from random numbers.
        batch_size: rows of a batch.
        epochs: passes over the log, at most.
        lr, weight_decay, clip: learning rate of Adam, its L2 weight decay, and the norm that gradients are clipped to.
        decay, warmup: the learning rate stays "constant" or falls by a "linear" or a "cosine" law, after that many
            steps in which it grows.
        ema: decay of an average of the weights over steps, such as 0.999, to answer with; None for none.
        validate_every: epochs between two looks at the validation part, where there is one.
        patience: how many looks without progress end the training; None trains all epochs. The best weights are kept.
        monitor: the metric to stop by, such as "ndcg@10", "hr@50" or "recall@20".
        exclude_seen: whether validation leaves out what a user's history has, as `evaluate` does.
        sparse: whether item tables get sparse gradients and an optimizer that touches only their rows; None decides by
            the number of items.
        precision: "float32", "bf16" or "auto"; see logq.training.devices.
        seed: of everything random; None takes one from the operating system.
        device: "cpu", "cuda", ...

    Attributes:
        model: the encoder, a torch module, once fitted.
        training_log: for each epoch its number, mean loss, samples a second, and metrics where it was validated.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    bucket: ClassVar[int] = 0
    """How many batches are sorted by length at a time; see epoch_batches."""

    model: RetrievalModel
    context: Sequence[str] = ()
    """Columns of the log that are inputs of queries; estimators that take some say so."""

    def __init__(self, dim: int = 64, **options: Unpack[NeuralOptions]) -> None:
        super().__init__(seed=options.get("seed"), device=options.get("device", "cpu"))
        self.take_options(dim, options)
        self.training_log: list[dict[str, float]] = []
        self.facts: dict[str, Any] = {}
        self._offsets: Tensor | None = None
        self._context = Context({}, {}, {})

    def __repr__(self) -> str:
        fitted = f", {self.seen.num_items} items" if hasattr(self, "seen") else ""
        return f"{type(self).__name__}(dim={self.dim}, {self.objective}{fitted})"

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them; a sampler of one's own is "custom"."""
        names = {"dim", *NeuralOptions.__annotations__} - {"device", "sampler"}
        sampler = self.sampler if isinstance(self.sampler, str | None) else "custom"
        return {**{name: getattr(self, name) for name in sorted(names)}, "sampler": sampler}

    # ------------------------------------------------------------------------------------- what a subclass fills in

    @abstractmethod
    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        """The module for a log of which `facts` are known; weights come from torch's global generator."""

    @abstractmethod
    def _make_examples(self, log: Interactions) -> Examples:
        """What is learned from."""

    def _look_at(self, log: Interactions) -> dict[str, Any]:
        """What the module has to know of a log beside its users and items, as JSON can hold it."""
        return {}

    def _inputs(self, histories: Histories) -> dict[str, NDArray[Any]]:
        """The batch that a query is made of; context that is not given is what the log had last of a user."""
        batch: dict[str, NDArray[Any]] = {
            f"context.{name}": codes for name, codes in self._context.of_users(histories.users).items()
        }
        return {**batch, **histories.batch(self.max_length)}

    def context_at(self, events: Interactions, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """What queries are told of the moments of events."""
        return self._context.at(events, rows)

    def _context_codes(self, context: Mapping[str, Any], rows: int) -> dict[str, NDArray[np.int64]]:
        return self._context.encode(context, rows) if self.context else super()._context_codes(context, rows)

    @property
    def loss_temperature(self) -> float:
        """What logits are divided by outside of the model."""
        return self.temperature

    # --------------------------------------------------------------------------------------------------------- fit

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        computer = Computer(self.device, self.precision)
        progress = options.progress if computer.world.rank == 0 else False
        self._context = Context.of(log, self.context)
        examples = self._make_examples(log)
        if len(examples) == 0:
            raise ValueError("log: expected a user with two events or more, got none: there is nothing to learn from")
        self.facts = self._look_at(log)
        checkpoint = self._checkpoint(log, options)
        resumes = checkpoint is not None and options.resume and checkpoint.exists()
        seed = checkpoint.seed() if resumes and checkpoint is not None else computer.agreed(self._fresh_seed())
        first, of_sampler, of_batches = _seeds(seed, computer.world.rank)
        sparse = self._is_sparse(computer)
        with computer.random(first):
            model = self._make_model(self.seen, self.facts, sparse=sparse)
        if self.pretrain and not resumes:
            vectors = first_vectors(log, self.dim, epochs=self.pretrain, seed=of_batches, progress=progress)
            model.start_items_at(torch.from_numpy(vectors))
        counts = target_counts(examples, self.seen.num_items)
        loss = self._make_loss(counts, of_sampler, sparse)
        if model.item_bias is not None:
            torch.nn.init.constant_(model.item_bias, loss.first_logit(self.seen.num_items))
        model.to(computer.device)
        loss.to(computer.device)
        task = NextItemTask(
            model,
            loss,
            examples,
            self.seen,
            computer,
            self.batch_size,
            of_batches,
            num_targets=int(counts.sum()),
            bucket=self.bucket,
            unseen=self.unseen_negatives,
            groups=self._groups,
        )
        loop = Loop(task, self._loop_settings(), computer, seed=seed)
        if resumes and checkpoint is not None:
            checkpoint.load(loop)
        self.model, self._offsets, self.training_log = model, None, loop.log

        def validated() -> dict[str, float]:
            return self._validated(loss, validation)

        try:
            loop.run(
                type(self).__name__,
                progress,
                measure=None if validation is None else validated,
                save=None if checkpoint is None else lambda force: checkpoint.save_if_due(loop, force=force),
                on_batch=self._on_batch,
            )
        finally:
            self.training_log = loop.log
        self._ready(loss)
        if checkpoint is not None:
            checkpoint.remove()

    def _groups(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """The group that negatives of each query of a batch are drawn from; None where there are no groups."""
        return None

    def _on_batch(self, step: int) -> None:
        """Called after each update."""

    def _ready(self, loss: ItemLoss) -> None:
        self.model.eval()
        self._offsets, self._index = loss.offsets(), None

    def _validated(self, loss: ItemLoss, validation: HeldOut | None) -> dict[str, float]:
        assert validation is not None
        self._ready(loss)
        k = int(self.monitor.partition("@")[2])
        scores = measure(self, validation.truth, validation.history, (k,), self.exclude_seen, resamples=0)
        self._index = None
        return {
            name.lower(): value for name, value in scores.values.items() if name.partition("@")[0].lower() in METRICS
        }

    def _make_loss(self, of_targets: NDArray[np.int64], seed: int, sparse: bool) -> ItemLoss:
        sampler = None
        if self.sampler is not None:
            settings = SamplerSettings(
                self.seen.item_counts(),
                self.num_sampled,
                unigram_power=self.unigram_power,
                per_row=not self.shared_negatives,
                seed=seed,
                target_counts=of_targets.astype(np.float64),
            )
            sampler = make_sampler(self.sampler, settings)
        return ItemLoss(
            self.objective,
            sampler,
            temperature=self.loss_temperature,
            cosine=self.cosine,
            log_q=self.log_q,
            sparse=sparse,
            calibration=self.calibration,
        )

    def _is_sparse(self, computer: Computer) -> bool:
        samples = self.sampler is not None and self.sampler != "every_class"
        if computer.world.size > 1:  # gradients are added up over processes, which dense ones can
            return False
        return samples and (self.seen.num_items >= MANY_ITEMS if self.sparse is None else self.sparse)

    def _loop_settings(self) -> LoopSettings:
        names = "epochs lr weight_decay clip decay warmup ema validate_every patience monitor"
        return LoopSettings(**{name: getattr(self, name) for name in names.split()})

    def _checkpoint(self, log: Interactions, options: FitOptions) -> Checkpoint | None:
        if options.checkpoint is None:
            return None
        if Computer(self.device).world.size > 1:
            raise ValueError("checkpoint: expected none where there are several processes, whose places would differ")
        settings, minutes = self.settings(), options.checkpoint_minutes
        return Checkpoint(options.checkpoint, type(self).__name__, settings, log.fingerprint(), minutes)

    def _fresh_seed(self) -> int:
        return int(np.random.SeedSequence(self.seed).generate_state(1, np.uint64)[0]) >> 1

    # ------------------------------------------------------------------------------------------------------ answers

    @torch.no_grad()
    def _queries(self, histories: Histories) -> Tensor:
        computer = Computer(self.device, self.precision)
        entries = CPU_ENTRIES if computer.device.type == "cpu" else GPU_ENTRIES
        found: list[Tensor] = []
        for part in histories.parts(max(1, entries // self.max_length)):
            with computer.autocast():
                found.append(self.model.query(computer.put(self._inputs(part))).float())
        queries = torch.cat(found)
        if self.cosine:
            queries = normalize(queries, dim=-1)
        if self._has_column():
            queries = torch.cat([queries, queries.new_ones(*queries.shape[:-1], 1)], dim=-1)
        return queries

    @torch.no_grad()
    def _item_rows(self) -> Tensor:
        rows = self.model.item_vectors().detach().float()
        if self.cosine:
            rows = normalize(rows, dim=1)
        rows = rows / self.loss_temperature
        if self._has_column():
            # A bias of items is one more number of their vectors, which queries have a 1 for.
            extra = rows.new_zeros(len(rows))
            if self.model.item_bias is not None:
                extra = extra + self.model.item_bias.detach().float() / self.loss_temperature
            if self._offsets is not None:
                extra = extra + self._offsets.to(rows.device)
            rows = torch.cat([rows, extra[:, None]], dim=1)
        return rows

    def _has_column(self) -> bool:
        return self.model.item_bias is not None or self._offsets is not None

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        return self.model.item_vectors().detach().float()

    # ------------------------------------------------------------------------------------------------ save and load

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights of the module."""
        state = weights_of(self.model)
        state |= self._context.state()
        if self._offsets is not None:
            state["item_offsets"] = self._offsets.detach().float().cpu().numpy()
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._context = Context.from_state(state, self.context, self.seen.num_users)
        self.model = with_weights(lambda: self._make_model(self.seen, self.facts, sparse=False), state)
        self.model.to(Computer(self.device).device).eval()
        offsets = state.get("item_offsets")
        if offsets is not None and (offsets.shape != (self.seen.num_items,) or offsets.dtype != np.float32):
            raise ValueError(f"expected float32 of shape ({self.seen.num_items},) for 'item_offsets'")
        self._offsets = None if offsets is None else torch.from_numpy(offsets.copy())


def _seeds(seed: int, rank: int) -> tuple[int, int, int]:
    """Of weights, sampler and the order of examples; only the sampler's differs between processes."""
    shared = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    own = np.random.SeedSequence([seed, rank]).generate_state(1, np.uint64)
    first, of_batches, of_sampler = (int(number) >> 1 for number in (*shared, *own))
    return first, of_sampler, of_batches
