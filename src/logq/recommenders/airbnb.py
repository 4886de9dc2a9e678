"""Airbnb's listing embeddings, fitted from a log; Grbovic and Cheng, KDD 2018."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Unpack

from logq import models
from logq.arguments import check_float, check_int, shown
from logq.data.logs import Interactions, sessions
from logq.models import RetrievalModel
from logq.recommenders.eges import SKIP_GRAM
from logq.recommenders.item_loss import ItemLoss
from logq.recommenders.neural import NeuralOptions, NeuralRecommender
from logq.recommenders.seen import Seen
from logq.recommenders.windows import Windows
from logq.samplers import Mixture, WithinGroup

__all__ = ["AirbnbEmbeddings"]


class AirbnbEmbeddings(NeuralRecommender):
    """Learns listings from click sessions, bookings and markets: logq.models.AirbnbEmbeddings, fitted from a log.

    Sessions are those of columns["session"], else all that a user did; the same listing several times in a row counts
    once. A listing is to be found from those around it, and what was booked from every listing that was clicked before
    in the session since the last booking. Besides negatives from all listings there are `num_in_market` uniform ones
    from the market of the listing to be found: of windows that is the paper's market of the central listing, as each
    pair is there both ways. Users are the mean of the listings of their history, weighted by recency.

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
        super().__init__(**{**SKIP_GRAM, **options, "dim": dim})
        for name, value in (("booking", booking), ("market", market)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name}: expected the name of a column or None, got {shown(value)}")
        self.booking, self.market = booking, market
        self.num_in_market = check_int("num_in_market", num_in_market)
        self.window = check_int("window", window)
        self.recency = check_float("recency", recency, above=0, at_most=1)
        self.gap = None if gap is None else check_float("gap", gap, at_least=0)
        self._markets: NDArray[np.int64] | None = None

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("booking", "market", "num_in_market", "window", "recency", "gap")
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.AirbnbEmbeddings(seen.num_items, self.dim, decay=self.recency, sparse=sparse)

    def _make_examples(self, log: Interactions) -> Windows:
        items, offsets = np.asarray(log.items, dtype=np.int64), sessions(log, gap=self.gap)
        self._markets = None if self.market is None else markets_of_items(items, _column(log, self.market), log.num_items)
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

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        assert isinstance(self.model, models.AirbnbEmbeddings)
        return self.model.listings.weight.detach().float()


def click_sessions(
    items: NDArray[np.int64],  # (n,)
    offsets: NDArray[np.int64],  # (sessions + 1,)
    booked: NDArray[np.bool_] | None,  # (n,)
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]:
    """Sessions without repeats in a row, and for each place the listing that was booked next in its session.

    A run of events with one listing becomes one event, which is a booking if one of them is. The place of a booking
    itself has none.

    Args:
        items: codes of all sessions, one after the other.
        offsets: where each begins, and n.
        booked: which events are bookings; None where that is not known.

    Returns:
        items (m,), offsets (sessions + 1,), and (m,) codes of what is booked next, -1 for nothing; None if `booked` is.

    Example:
        >>> made = click_sessions(np.array([4, 4, 7, 8, 9]), np.array([0, 4, 5]), np.array([0, 0, 1, 0, 1]) > 0)
        >>> [array.tolist() for array in made]
        [[4, 7, 8, 9], [0, 3, 4], [7, -1, -1, -1]]
    """
    session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    starts = np.ones(len(items), dtype=np.bool_)
    starts[1:] = (items[1:] != items[:-1]) | (session[1:] != session[:-1])
    first = np.flatnonzero(starts)
    kept, of = items[first], session[first]
    bounds = np.searchsorted(of, np.arange(len(offsets)))
    if booked is None:
        return kept, bounds, None
    books = np.logical_or.reduceat(booked, first) if len(first) else booked
    # The nearest booking behind each place: the places of bookings, with the minimum taken from the end.
    last = len(kept)
    at = np.where(books, np.arange(last), last)
    following = np.append(np.minimum.accumulate(at[::-1])[::-1][1:], last)
    inside = following < bounds[1:][of] if last else following[:0] < 0
    following = following[:last]
    return kept, bounds, np.where(inside[:last] & ~books, kept[np.minimum(following, max(0, last - 1))], -1)


def markets_of_items(
    items: NDArray[np.int64],  # (n,)
    markets: NDArray[Any],  # (n,)
    num_items: int,
) -> NDArray[np.int64]:
    """The market of most events of each item, the lowest where several are; items without an event share one more.

    Example:
        >>> markets_of_items(np.array([0, 0, 0, 2]), np.array([5, 7, 7, 5]), 3)
        array([1, 2, 0])
    """
    values, codes = np.unique(markets, return_inverse=True)
    pairs, counts = np.unique(items * len(values) + codes, return_counts=True)
    found = np.full(num_items, len(values), dtype=np.int64)
    order = np.lexsort((-pairs, counts))  # the most frequent last, which is what stays
    found[pairs[order] // len(values)] = pairs[order] % len(values)
    return found


def _column(log: Interactions, name: str) -> NDArray[Any]:
    if name not in log.columns:
        raise ValueError(f"log: expected a column {name!r}, it has {', '.join(map(repr, log.columns)) or 'none'}")
    return np.asarray(log.columns[name])
