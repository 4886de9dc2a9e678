"""Airbnb's listing embeddings, fitted from a log; Grbovic and Cheng, KDD 2018."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Unpack

from logq import models
from logq.arguments import check_float, check_int, shown
from logq.data.logs import Interactions, sessions
from logq.models import RetrievalModel
from logq.recommenders.click_sessions import click_sessions, markets_of_items
from logq.recommenders.eges import skip_gram_options
from logq.recommenders.histories import Histories
from logq.recommenders.item_loss import ItemLoss
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.seen import Seen, gather_rows
from logq.recommenders.windows import Windows
from logq.retrieval import ItemIndex
from logq.samplers import Mixture, Sampler, WithinGroup

__all__ = ["AirbnbEmbeddings"]


class AirbnbEmbeddings(NeuralRecommender):
    """Learns listings from click sessions, bookings and markets: logq.models.AirbnbEmbeddings, fitted from a log.

    Sessions are those of columns["session"], else all that a user did; the same listing several times in a row counts
    once. A listing is to be found from those around it, and what was booked from every listing that was clicked before
    in the session since the last booking. Besides negatives from all listings there are `num_in_market` uniform ones
    from the market of the listing in the middle of the window (Eq. 4). Users are the mean of the listings of their
    history, weighted by recency.

    Negative sampling learns log( P / Q ), and with negatives from a market Q depends on where a user looks: for the
    market of the last listing of the history. So scores are F + log Q of that row (unless `log_q` is off), without
    which listings elsewhere, hardly ever drawn beside each other, would rank highest.

    Args:
        dim: D, the width of the vectors of listings.
        booking: the column of the log that is true (not 0) where an event is a booking; None for none.
        market: the column of the log with the market that an event is in; a listing belongs to the market of most of
            its events. None draws no negatives from the market.
        num_in_market: negatives from the market, for each pair.
        window: how far listings of a session see each other, as for logq.Word2Vec.
        recency: in (0, 1], how much less a listing of a history counts than the one after it.
        gap: the longest pause within a session, in the unit of the log's times; None for no limit.
        **options: as for NeuralRecommender. Unless they say otherwise the objective is negative sampling, of 5 items
            for each pair by the unigram law, and a batch has 512 windows.

    Raises:
        TypeError, ValueError: an argument is not as described. `fit` raises ValueError where the log lacks a column.

    References:
        Grbovic and Cheng, Real-time Personalization using Embeddings for Search Ranking at Airbnb, KDD 2018, Sec. 3.

    Example:
        >>> clicks = ["hut", "inn", "spa", "bar", "pub", "den"] * 6
        >>> booked = [0, 0, 1, 0, 0, 1] * 6
        >>> log = Interactions.from_arrays(np.arange(36) // 3, clicks, columns={"booked": booked})
        >>> model = AirbnbEmbeddings(dim=8, booking="booked", epochs=20, lr=0.05, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["hut"], k=2).items.tolist()
        ['spa', 'inn']
    """

    has_item_table: ClassVar[bool] = False

    def __init__(
        self,
        dim: int = 32,
        *,
        booking: str | None = None,
        market: str | None = None,
        num_in_market: int = 5,
        window: int = 5,
        recency: float = 0.6,
        gap: float | None = None,
        **options: Unpack[NeuralOptions],
    ) -> None:
        super().__init__(dim, **skip_gram_options(options))
        for name, value in (("booking", booking), ("market", market)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name}: expected the name of a column or None, got {shown(value)}")
        self.booking, self.market = booking, market
        self.num_in_market = check_int("num_in_market", num_in_market)
        self.window = check_int("window", window)
        self.recency = check_float("recency", recency, above=0, at_most=1)
        self.gap = None if gap is None else check_float("gap", gap, at_least=0)
        self._markets: NDArray[np.int64] | None = None
        self._in_market: NDArray[np.float32] | None = None

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("booking", "market", "num_in_market", "window", "recency", "gap")
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.AirbnbEmbeddings(seen.num_items, self.dim, decay=self.recency, sparse=sparse)

    def _make_examples(self, log: Interactions) -> Windows:
        items, offsets = np.asarray(log.items, dtype=np.int64), sessions(log, gap=self.gap)
        self._markets = (
            None if self.market is None else markets_of_items(items, _column(log, self.market), log.num_items)
        )
        booked = None if self.booking is None else _column(log, self.booking) != 0
        items, offsets, also = click_sessions(items, offsets, booked)
        seed = int(np.random.SeedSequence(self.seed or 0).generate_state(1)[0])
        return Windows(items, offsets, window=self.window, seed=seed, also=also)

    def _make_loss(self, of_targets: NDArray[np.int64], seed: int, sparse: bool) -> ItemLoss:
        loss = super()._make_loss(of_targets, seed, sparse)
        if self._markets is None:
            return loss
        if loss.sampler is None:
            raise ValueError(f"market: {self.objective} uses every item and takes no negatives from a market")
        alike = np.ones(len(self._markets))
        inside = WithinGroup(alike, self._markets, self.num_in_market, seed=seed + 1)
        loss.sampler = Mixture([loss.sampler, inside], seed=seed)
        return loss

    def _groups(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Equation 4: the market is that of the listing in the middle of the window, for bookings elsewhere as well."""
        if self._markets is None:
            return None
        rows, _ = (batch["targets"] >= 0).nonzero(as_tuple=True)
        central = batch["history"][:, 0][rows]
        return torch.from_numpy(self._markets).to(central.device)[central]

    def _ready(self, loss: ItemLoss) -> None:
        super()._ready(loss)
        self._in_market = None
        if self._offsets is None or not isinstance(loss.sampler, Mixture):
            return
        # The law of a row has two values for each item: in the market of the row, and elsewhere.
        everywhere, _ = loss.sampler.parts
        assert isinstance(everywhere, Sampler)
        items = torch.arange(self.seen.num_items, device=loss.sampler.device)
        inside, outside = loss.sampler.log_expected_count(items), everywhere.log_expected_count(items)
        outside = outside.where(outside.isfinite(), outside[outside.isfinite()].min())
        self._offsets = outside - inside.max()
        self._in_market = (inside - outside).float().cpu().numpy()

    def _rank(
        self,
        part: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        index: ItemIndex | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores, codes = super()._rank(part, k, exclude_seen, allow, index)
        if self._markets is None or self._in_market is None or not len(part):
            return scores, codes
        # What a market adds is not negative: an item elsewhere that is among the best k now was so before.
        ends = np.maximum(part.offsets[1:] - 1, 0)
        market = np.where(part.lengths > 0, self._markets[part.items[ends]] if len(part.items) else -1, -1)
        scores = np.where((codes >= 0) & (self._markets[codes] != market[:, None]), scores, -np.inf)
        queries, rows = self._queries(part), self._item_rows()
        order = np.argsort(self._markets, kind="stable")
        bounds = np.searchsorted(self._markets[order], np.arange(self._markets.max() + 2))
        place = np.full(self.seen.num_items, -1)
        widest = np.diff(bounds)[market[market >= 0]].max(initial=0)
        width = min(k, int(widest))
        near = np.full((len(part), width), -np.inf, np.float32), np.full((len(part), width), -1, np.int64)
        for value in np.unique(market[market >= 0]).tolist():
            members, who = order[bounds[value] : bounds[value + 1]], np.flatnonzero(market == value)
            of = torch.from_numpy(members).to(rows.device)
            found = (queries[torch.from_numpy(who).to(queries.device)] @ rows[of].T).float().cpu().numpy()
            found += self._in_market[members]
            if allow is not None:
                found[:, ~allow[members]] = -np.inf
            if exclude_seen:
                done, offsets = gather_rows(part.items, part.offsets, who)
                place[members] = np.arange(len(members))
                row, column = np.repeat(np.arange(len(who)), np.diff(offsets)), place[done]
                found[row[column >= 0], column[column >= 0]] = -np.inf
                place[members] = -1
            best = np.argsort(-found, axis=1, kind="stable")[:, :width]
            near[0][who, : best.shape[1]] = np.take_along_axis(found, best, axis=1)
            near[1][who, : best.shape[1]] = members[best]
        scores, codes = np.concatenate([scores, near[0]], axis=1), np.concatenate([codes, near[1]], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, codes = np.take_along_axis(scores, best, axis=1), np.take_along_axis(codes, best, axis=1)
        return scores.astype(np.float32), np.where(np.isfinite(scores), codes, -1)

    def state(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        state = super().state()
        if self._markets is not None:
            state["markets"] = self._markets
        if self._in_market is not None:
            state["in_market"] = self._in_market
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        super().restore(state)
        self._markets, self._in_market = state.get("markets"), state.get("in_market")
        for name, array, dtype in (("markets", self._markets, np.int64), ("in_market", self._in_market, np.float32)):
            if array is not None and (array.shape != (self.seen.num_items,) or array.dtype != dtype):
                raise ValueError(f"expected {name!r} {np.dtype(dtype)} ({self.seen.num_items},), got {array.shape}")
        if self._markets is not None and not ((self._markets >= 0) & (self._markets <= len(self._markets))).all():
            raise ValueError("expected 'markets' to be numbers of markets")

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        assert isinstance(self.model, models.AirbnbEmbeddings)
        return self.model.listings.weight.detach().float()


def _column(log: Interactions, name: str) -> NDArray[Any]:
    if name not in log.columns:
        raise ValueError(f"log: expected a column {name!r}, it has {', '.join(map(repr, log.columns)) or 'none'}")
    return np.asarray(log.columns[name])
