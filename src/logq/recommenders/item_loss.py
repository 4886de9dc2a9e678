"""ItemLoss: queries and the items that they should find -> loss, by a row of the table and a sampler."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from logq._arguments import check_bool, check_float
from logq.candidates import IGNORED, Candidates, without_log_q
from logq.functional import full_loss, gbce_loss, sampled_loss
from logq.objectives import OBJECTIVES
from logq.samplers import Sampler

__all__ = ["GBCE", "LOSSES", "FindsItems", "ItemLoss", "check_loss"]

GBCE = "gbce"
"""Negative sampling whose positive part is raised to a power, which makes up for the negatives that were not drawn."""

LOSSES = (*OBJECTIVES, GBCE)
"""The names of losses that a recommender can be trained with."""


class FindsItems(Protocol):
    """What a loss asks of an encoder."""

    @property
    def item_table(self) -> nn.Parameter | None:
        """(C, D), the vectors of all items where they are a plain table."""
        ...

    @property
    def item_bias(self) -> nn.Parameter | None:
        """(C,), what is added to the logits of items."""
        ...

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """(n, D), the vectors of some items or all."""
        ...


def check_loss(objective: object) -> str:
    """Return the name of a loss: a row of the table of objectives, or "gbce".

    Raises:
        ValueError: there is no such loss.

    Example:
        >>> check_loss("gbce")
        'gbce'
    """
    name = getattr(objective, "name", objective)
    if not isinstance(name, str) or name not in LOSSES:
        raise ValueError(f"objective: expected one of {', '.join(LOSSES)}, got {objective!r}")
    return name


class ItemLoss(nn.Module):
    """The mean loss over queries of one true item each. The sampler is part of the module.

    Where the item vectors of a model are a table, only the rows of the sample are touched. Where they are computed,
    those of the targets and of the sample are computed once each, and the loss sees them as a table of their own.

    Args:
        objective: the name of a row of the table, or "gbce".
        sampler: over C items; None for the rows that take all items.
        temperature: divides the logits.
        cosine: whether logits are cosines.
        log_q: whether log Q is subtracted where the row says so. Without it the loss is the row's for a sampler that
            draws all items alike, and a model learns to rank frequent items too low.
        sparse: whether tables get sparse gradients.
        calibration: t of gBCE in [0, 1]: 0 is binary cross-entropy, 1 makes probabilities right.

    Raises:
        TypeError, ValueError: sampler and row do not belong together, or a number is out of range.

    Example:
        >>> from logq.recommenders import YoutubeDNNEncoder
        >>> from logq.samplers import Uniform
        >>> model, loss = YoutubeDNNEncoder(100, 8), ItemLoss("sampled_softmax", Uniform(100, 20, seed=1))
        >>> loss(model, torch.zeros(4, 8), torch.tensor([3, 1, 99, 3])).shape
        torch.Size([])
    """

    def __init__(
        self,
        objective: str,
        sampler: Sampler | None,
        *,
        temperature: float = 1.0,
        cosine: bool = False,
        log_q: bool = True,
        sparse: bool = False,
        calibration: float = 0.75,
    ) -> None:
        super().__init__()
        self.objective = check_loss(objective)
        self.sampled = self.objective == GBCE or OBJECTIVES[self.objective].negatives.sampled
        if self.sampled and not isinstance(sampler, Sampler):
            raise TypeError(f"sampler: {objective} needs one of logq.samplers, got {type(sampler).__name__}")
        if not self.sampled and sampler is not None:
            raise ValueError(f"sampler: {objective} uses every item and takes no sampler, got {sampler}")
        self.sampler = sampler
        self.temperature = check_float("temperature", temperature, above=0)
        self.cosine = check_bool("cosine", cosine)
        self.log_q = check_bool("log_q", log_q)
        self.sparse = check_bool("sparse", sparse) and self.sampled
        self.calibration = check_float("calibration", calibration, at_least=0, at_most=1)

    def forward(
        self,
        model: FindsItems,
        queries: Tensor,
        targets: Tensor,
        seen: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The loss of a batch. Each call draws anew.

        Args:
            model: whose items are to be found.
            queries: (M, D).
            targets: (M,) int64.
            seen: from sampled items (S,) to (M, S), where True ones are no negatives of that query; None for none.

        Returns:
            A scalar in nats, the mean over M; 0 for no query.
        """
        if queries.dtype in (torch.bfloat16, torch.float16):
            queries = queries.float()
        if self.sampler is None:
            return self._full(model, queries, targets)
        subtracts = self.objective != GBCE and OBJECTIVES[self.objective].subtract_log_q
        candidates = self.sampler.draw(targets, need_log_q=subtracts and self.log_q)
        if seen is not None:
            had = seen(candidates.ids)
            candidates = candidates._replace(excluded=had if candidates.excluded is None else candidates.excluded | had)
        if not self.log_q:
            candidates = without_log_q(candidates)
        table, bias, sparse = model.item_table, model.item_bias, self.sparse
        if table is None:
            table, bias, candidates, sparse = *computed_rows(model, candidates), False
        options: dict[str, Any] = {
            "bias": bias,
            "temperature": self.temperature,
            "cosine": self.cosine,
            "sparse": sparse,
        }
        if self.objective == GBCE:
            rate = min(1.0, max(1, candidates.ids.shape[-1]) / max(1, self.sampler.num_classes - 1))
            return gbce_loss(queries, table, candidates, calibration=self.calibration, rate=rate, **options)
        return sampled_loss(self.objective, queries, table, candidates, **options)

    def _full(self, model: FindsItems, queries: Tensor, targets: Tensor) -> Tensor:
        table = model.item_vectors() if model.item_table is None else model.item_table
        return full_loss(
            self.objective,
            queries,
            table.float() if table.dtype in (torch.bfloat16, torch.float16) else table,
            targets,
            bias=model.item_bias,
            temperature=self.temperature,
            cosine=self.cosine,
        )

    def offsets(self) -> Tensor | None:
        """(C,) what has to be added to logits before items are ranked by them; None where that is nothing.

        Negative sampling learns log( P / Q ), gBCE log odds of P up to - log Q, so log Q is added again.
        """
        if self.sampler is None or not self.log_q:
            return None
        if self.objective != GBCE and not OBJECTIVES[self.objective].approximates.uses_q:
            return None
        log_q = self.sampler.log_expected_count(torch.arange(self.sampler.num_classes, device=self.sampler.device))
        finite = log_q.isfinite()
        # What is never drawn was never a target: it goes below all else, but stays a number.
        return log_q.where(finite, log_q[finite].min() - 100.0) - log_q[finite].max()

    @torch.no_grad()
    def first_logit(self, num_items: int) -> float:
        """What F is where all items are alike, P = 1 / C: where biases of items should start.

        log P = -log C,   log( P / Q ) = -log C - log Q,   0 for softmax, which does not see a constant
        """
        meaning, log_q = OBJECTIVES["negative_sampling" if self.objective == GBCE else self.objective].approximates, 0.0
        if self.sampler is not None and meaning.uses_q:
            items = torch.arange(num_items, device=self.sampler.device)
            log_q = float(self.sampler.log_expected_count(items).double().exp().mean().log())
        return meaning.start(num_items, log_q) * self.temperature

    def extra_repr(self) -> str:
        """What repr() shows."""
        return self.objective + ("" if self.log_q else ", without log Q")


def computed_rows(model: FindsItems, candidates: Candidates) -> tuple[Tensor, Tensor | None, Candidates]:
    """Vectors and biases of the items that candidates name, each once, and the candidates numbered by these rows.

    Example:
        >>> from logq.recommenders import YoutubeDNNEncoder
        >>> from logq.samplers import Uniform
        >>> candidates = Uniform(50, 3, seed=1).draw(torch.tensor([7, 7]))
        >>> rows, _, renamed = computed_rows(YoutubeDNNEncoder(50, 4), candidates)
        >>> rows.shape[0] <= 4, bool((renamed.targets < rows.shape[0]).all())
        (True, True)
    """
    is_true = candidates.is_true()
    both = torch.cat(
        [candidates.targets.where(is_true, candidates.ids.reshape(-1)[0]).reshape(-1), candidates.ids.reshape(-1)]
    )
    items, places = both.unique(return_inverse=True)
    targets = places[: candidates.targets.numel()].view(candidates.targets.shape).where(is_true, IGNORED)
    ids = places[candidates.targets.numel() :].view(candidates.ids.shape)
    rows = model.item_vectors(items).float()
    bias = None if model.item_bias is None else model.item_bias[items]
    return rows, bias, candidates._replace(ids=ids, targets=targets)
