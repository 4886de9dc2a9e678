"""ItemLoss: queries and the items that they should find -> loss, by an objective and a sampler."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float
from logq.candidates import IGNORED, Candidates, without_log_q
from logq.distributed.moved_queries import OwnClasses, full_losses
from logq.distributed.placing import Placing
from logq.distributed.stratified_draws import stratified_draws
from logq.functional import full_loss
from logq.functional.general_losses import drawn_loss
from logq.functional.loss_checks import check_row_weight, check_table
from logq.kernels.logits import reduce
from logq.kernels.reference_rows import ranked
from logq.nn.class_table import LossSettings
from logq.objectives import Objective, find_objective
from logq.process_groups import GroupChoice, group_of
from logq.processes import World, all_rows, world
from logq.recommenders.encoding.encoders import RetrievalModel
from logq.recommenders.neural.left_out import alike
from logq.recommenders.neural.neural_config import NeuralConfig
from logq.samplers import CrossBatch, InBatch, Sampler
from logq.samplers.registry import SamplerSettings, make_sampler
from logq.shapes import check_shape
from logq.tracing import keeps_sizes

__all__ = ["FindsItems", "ItemLoss", "make_item_loss"]


class FindsItems(Protocol):
    """What a loss asks of an encoder."""

    @property
    def item_table(self) -> nn.Parameter | None:
        """(C, D), the vectors of all items where they are a plain table."""
        ...

    @property
    def item_bias(self) -> nn.Parameter | None:
        """(C,), what is added to the logits of items, where it is whole."""
        ...

    @property
    def item_biases(self) -> Callable[[Tensor], Tensor] | None:
        """From some items to what is added to their logits."""
        ...

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """(n, D), the vectors of some items or all."""
        ...


class ItemLoss(nn.Module):
    """The mean loss over queries of one true item each. The sampler is part of the module.

    Where the item vectors of a model are a table, only the rows of the sample are touched. Where they are computed,
    those of the targets and of the sample are computed once each, and the loss sees them as a table of their own.

    Args:
        objective: one of logq.objectives, or its name.
        sampler: over C items; None for the objectives that take all items.
        temperature: divides the logits.
        cosine: whether logits are cosines.
        log_q: whether log Q is subtracted where the objective says so. Without it the loss is that of a sampler that
            draws all items alike, and a model learns to rank frequent items too low.
        sparse: whether tables get sparse gradients.
        calibration: t of gBCE in [0, 1]: 0 is binary cross-entropy, 1 makes probabilities right.
        false_negatives: sampled items that are so much like the true one are no negatives, see `left_out.alike`; None
            keeps all.
        by_query: whether they are compared with the query, relative to the true item, instead of with the true item.

    Raises:
        ArgumentTypeError, ArgumentError: sampler and objective do not belong together, or a number is out of range.

    Example:
        >>> from logq.recommenders import YoutubeDNNEncoder
        >>> from logq.samplers import Uniform
        >>> model, loss = YoutubeDNNEncoder(100, 8), ItemLoss("sampled_softmax", Uniform(100, 20, seed=1))
        >>> loss(model, torch.zeros(4, 8), torch.tensor([3, 1, 99, 3])).shape
        torch.Size([])
    """

    def __init__(
        self,
        objective: Objective | str,
        sampler: Sampler | None,
        *,
        temperature: float = 1.0,
        cosine: bool = False,
        log_q: bool = True,
        sparse: bool = False,
        calibration: float = 0.75,
        false_negatives: float | None = None,
        by_query: bool = False,
    ) -> None:
        super().__init__()
        self.objective = find_objective(objective)
        name, sampled = self.objective.name, self.objective.negatives.sampled
        if sampled and not isinstance(sampler, Sampler):
            raise ArgumentTypeError("sampler", f"one of logq.samplers for {name}", Verbatim(type(sampler).__name__))
        if not sampled and sampler is not None:
            raise ArgumentError("sampler", f"None, as {name} uses every item", sampler)
        self.sampler = sampler
        self.temperature = check_float("temperature", temperature, above=0)
        self.cosine = check_bool("cosine", cosine)
        self.log_q = check_bool("log_q", log_q)
        self.sparse = check_bool("sparse", sparse) and sampled
        if false_negatives is not None:
            if not sampled:
                raise ArgumentError("false_negatives", f"None, as {name} draws no negatives", false_negatives)
            false_negatives = check_float("false_negatives", false_negatives, above=0, at_most=1)
        self.false_negatives, self.by_query = false_negatives, check_bool("by_query", by_query)
        calibration = check_float("calibration", calibration, at_least=0, at_most=1)
        if self.objective.calibration is not None:
            self.objective = self.objective.calibrated(calibration, self.objective.rate)

    def forward(
        self,
        model: FindsItems,
        queries: Tensor,
        targets: Tensor,
        seen: Callable[[Tensor], Tensor] | None = None,
        groups: Tensor | None = None,
        weights: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch. Each call makes a new draw.

        Args:
            model: whose items are to be found.
            queries: (M, D).
            targets: (M,) int64.
            seen: from sampled items (S,) or (M, S) to (M, S), True where one is not a negative of that query; None for
                none.
            groups: (M,), as the sampler's `draw` takes them.
            weights: (M,) >= 0, what each query counts in the mean; None counts all alike.
            extra: (M, K) items that are negatives of each query beside the sample, -1 for none.

        Returns:
            A scalar in nats, the mean over M; 0 for no query, or where all weights are 0.
        """
        queries = _wide(queries)
        if self.sampler is None:
            return self._full(model, queries, targets, weights)
        needs_log_q = self.objective.subtract_log_q and self.log_q
        candidates = self.sampler.draw(targets, groups=groups, need_log_q=needs_log_q)
        if seen is not None:
            candidates = without(candidates, seen(candidates.ids))
        if not self.log_q:
            candidates = without_log_q(candidates)
        table, bias, sparse = model.item_table, model.item_bias, self.sparse
        if table is None:
            table, bias, candidates, extra = self._computed(model, candidates, extra)
            sparse = False
        if self.false_negatives is not None:
            by = queries if self.by_query else None
            candidates = without(candidates, alike(table.detach(), candidates, self.false_negatives, by))
        # The sampler checked the targets and made candidates that fit them, and options were checked before.
        sizes: dict[str, int] = {}
        check_table(queries, table, bias, sizes)
        check_row_weight(weights, queries, sizes)
        check_shape("targets", candidates.targets, "B", sizes)
        # The table may hold the items of this batch only; the rate is that of a sample of all.
        objective = self.objective.for_sample(candidates.ids.shape[-1], self.sampler.num_classes)
        given = objective, queries, table, bias, candidates, sizes, weights, extra
        options: dict[str, Any] = {"cosine": self.cosine, "remove_hits": None, "sparse": sparse}
        return drawn_loss(*given, temperature=self.temperature, reduction="mean", **options)

    def _computed(
        self, model: FindsItems, candidates: Candidates, extra: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Candidates, Tensor | None]:
        """What `computed_rows` makes, with what the sampler has of other processes and of earlier batches."""
        sampler = self.sampler
        # Some of the batch need not have the own targets among them.
        group = sampler.group if isinstance(sampler, InBatch) and sampler.num_sampled is None else None
        if not isinstance(sampler, CrossBatch):
            return computed_rows(model, candidates, extra, group=group)
        kept = sampler.kept_vectors()
        found = computed_rows(model, candidates, extra, group=group, kept=kept)
        size = candidates.ids.shape[0] - (0 if kept is None else len(kept))
        sampler.keep_vectors(found[0].detach()[found[2].ids[:size]])
        return found

    def _full(self, model: FindsItems, queries: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        if isinstance(model, RetrievalModel) and model.item_table is None and model.parts():
            return self._full_in_parts(model, queries, targets, weights)
        table = model.item_vectors() if model.item_table is None else model.item_table
        return full_loss(
            self.objective,
            queries,
            _wide(table),
            targets,
            bias=model.item_bias,
            temperature=self.temperature,
            cosine=self.cosine,
            row_weight=weights,
        )

    def _full_in_parts(self, model: RetrievalModel, queries: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """The same of queries that all processes bring to the items that each owns; all are here at once."""
        here = world()
        placing = Placing(model.num_items, here.size)
        table, biases = model.own_item_table, model.item_biases
        if table is None:
            table = model.item_vectors(placing.ids_of(here.rank, queries.device))
        own = OwnClasses(placing, here.rank, _wide(table), None if biases is None else biases.weight)
        settings = LossSettings(self.objective, None, temperature=self.temperature, cosine=self.cosine)
        losses, _ = full_losses(own, settings, queries, targets, 0.0)
        return reduce(losses, targets != IGNORED, "mean", weights)

    def offsets(self) -> Tensor | None:
        """(C,) what has to be added to logits before items are ranked by them; None where that is nothing."""
        if self.sampler is None or not self.log_q or not self.objective.approximates.uses_q:
            return None
        return self.objective.ranking_offset(self.sampler.all_log_expected_counts())

    @torch.no_grad()
    def first_logit(self, num_items: int) -> float:
        """F where all items are equally likely, P = 1 / C: where biases of items should start."""
        objective, log_q = self.objective, None
        if self.sampler is not None and objective.approximates.uses_q:
            log_q = float(self.sampler.all_log_expected_counts().double().exp().mean().log())
            objective = objective.for_sample(self.sampler.sample_size(), num_items)
        return objective.start(num_items, log_q) * self.temperature

    def extra_repr(self) -> str:
        """What repr() shows."""
        return self.objective.name + ("" if self.log_q else ", without log Q")


def make_item_loss(
    config: NeuralConfig,
    counts: NDArray[np.int64],
    target_counts: NDArray[Any],
    seed: int,
    sparse: bool,
    temperature: float,
) -> ItemLoss:
    """The loss that the arguments of an estimator ask for, with its sampler.

    Args:
        config: the arguments.
        counts: (C,) of the items in the log.
        target_counts: (C,) how often each item is a target.
        seed: of the sampler.
        sparse: whether tables get sparse gradients.
        temperature: divides the logits.

    Example:
        >>> from logq.recommenders.neural.neural_config import NeuralConfig
        >>> make_item_loss(NeuralConfig(objective="nce"), np.array([3, 2]), np.array([2, 1]), 1, False, 1.0)
        ItemLoss(
          nce
          (sampler): LogUniform(num_classes=2, num_sampled=512)
        )
    """
    sampler = None
    if config.sampler is not None:
        settings = SamplerSettings(
            counts,
            config.num_sampled,
            unigram_power=config.unigram_power,
            per_row=not config.shared_negatives,
            seed=seed,
            target_counts=target_counts,
            in_batch_share=config.in_batch_share,
            negatives_of=config.negatives_of,
        )
        sampler = make_sampler(config.sampler, settings)
        if config.tables == "sharded":
            sampler = stratified_draws(sampler)
    return ItemLoss(
        config.objective,
        sampler,
        temperature=temperature,
        cosine=config.cosine,
        log_q=config.log_q,
        sparse=sparse,
        calibration=config.calibration,
        false_negatives=config.false_negatives,
        by_query=config.false_negatives_by == "query",
    )


def without(candidates: Candidates, left_out: Tensor) -> Candidates:
    """The same candidates without some negatives (M, S) of each row.

    Example:
        >>> from logq.samplers import EveryClass
        >>> without(EveryClass(2).draw(torch.tensor([1])), torch.tensor([[True, False]])).excluded
        tensor([[ True, False]])
    """
    excluded = candidates.excluded
    return candidates._replace(excluded=left_out if excluded is None else excluded | left_out)


def computed_rows(
    model: FindsItems,
    candidates: Candidates,
    extra: Tensor | None = None,
    *,
    group: GroupChoice | None = None,
    kept: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Candidates, Tensor | None]:
    """Vectors and biases of the items that candidates name, each once, and the candidates numbered by these rows.

    Args:
        model: that makes vectors.
        candidates: of all items.
        extra: (M, K) further items, -1 for none, which come numbered as well.
        group: the processes that have the same ids (S,), with the targets of all of them among these: each computes a
            part of the vectors, and gets the others with gradients.
        kept: (m, D) vectors for the last m of the shared ids that neither the other ids nor targets name.

    Example:
        >>> from logq.recommenders import YoutubeDNNEncoder
        >>> from logq.samplers import Uniform
        >>> candidates = Uniform(50, 3, seed=1).draw(torch.tensor([7, 7]))
        >>> rows, _, renamed, _ = computed_rows(YoutubeDNNEncoder(50, 4), candidates)
        >>> rows.shape[0] <= 4, bool((renamed.targets < rows.shape[0]).all())
        (True, True)
    """
    is_true = candidates.is_true()
    ids, old = candidates.ids, candidates.ids.new_empty(0)
    if kept is not None:
        ids, old = ids.tensor_split([len(ids) - len(kept)])
    everything = ids.reshape(-1) if ids.numel() else candidates.targets.new_zeros(1)
    targets = candidates.targets.where(is_true, everything[0])
    is_extra = None if extra is None else extra >= 0
    if extra is not None and is_extra is not None:
        extra = extra.where(is_extra, everything[0])
    shared_in = None if group is None else group_of(group, ids.device)
    here = World() if group is None else world(shared_in)
    own = [] if extra is None else [extra.reshape(-1)]
    if here.size == 1:
        lists = [_distinct(torch.cat([targets.reshape(-1), everything, *own]))]
        tables = [model.item_vectors(lists[0])]
    else:
        lists = [_distinct(everything), *map(_distinct, own)]
        parts = lists[0].tensor_split(here.size)
        mine = model.item_vectors(parts[here.rank])
        tables = [all_rows(mine, [len(part) for part in parts], shared_in), *map(model.item_vectors, lists[1:])]
    items = _joined(lists)
    numbers = _numbered(ids, lists)
    if kept is not None:
        tables.append(kept.to(tables[0].dtype))
        again, is_there = _found(old, lists)
        again = again.where(is_there, len(items) + torch.arange(len(kept), device=again.device))
        numbers = torch.cat([numbers, again])
    biases = model.item_biases
    bias = None if biases is None else biases(items if kept is None else torch.cat([items, old]))
    candidates = candidates._replace(ids=numbers, targets=_numbered(targets, lists).where(is_true, IGNORED))
    if extra is not None and is_extra is not None:
        extra = _numbered(extra, lists).where(is_extra, -1)
    return _wide(_joined(tables)), bias, candidates, extra


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)  # which would copy


def _wide(vectors: Tensor) -> Tensor:
    """Losses are computed in float32 at least."""
    return vectors.float() if vectors.dtype in (torch.bfloat16, torch.float16) else vectors


def _distinct(ids: Tensor) -> Tensor:
    """The items (n,) in order, each once; where sizes are kept as many as ids, of which the last one fills the rest."""
    if not keeps_sizes(ids) or len(ids) == 0:
        return ids.unique()
    ordered, _, _, ranks = ranked(ids)
    return ordered[-1].expand(len(ids)).clone().scatter_(0, ranks, ordered)


def _numbered(ids: Tensor, lists: Sequence[Tensor]) -> Tensor:
    """Where ids of any shape, all of which are there, are in lists of items in order, laid end to end."""
    return torch.searchsorted(lists[0], ids) if len(lists) == 1 else _found(ids, lists)[0]


def _found(ids: Tensor, lists: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The same for ids that may be in none, and whether they are in one."""
    numbers, is_there, first = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool), 0
    for items in lists:
        if len(items) == 0:
            continue
        at = torch.searchsorted(items, ids).clamp(max=len(items) - 1)
        is_new = ~is_there & (items[at] == ids)
        numbers, is_there, first = (first + at).where(is_new, numbers), is_there | is_new, first + len(items)
    return numbers, is_there
