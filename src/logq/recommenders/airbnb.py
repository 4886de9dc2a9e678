"""AirbnbEmbeddings: skip-gram over click sessions with the booked listing in every window; Grbovic, KDD 2018."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim, check_float, check_int
from logq.logs import sessions
from logq.logs.examples import Examples
from logq.logs.growing import GrownLog
from logq.logs.interactions import Interactions
from logq.recommenders.encoding.encoders import Batch, RetrievalModel, WindowModel
from logq.recommenders.encoding.item_tables import column, table_of_ids
from logq.recommenders.events.histories import Histories, gather_rows
from logq.recommenders.events.session_windows import Windows
from logq.recommenders.neural.item_loss import ItemLoss
from logq.recommenders.neural.neural_config import SkipGramConfig
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.recommenders.ranking.item_search import ItemSearch
from logq.samplers import Mixture, Sampler, WithinGroup
from logq.training.automatic_settings import Rules
from logq.training.config import AUTO, AtLeast, Auto, Help, configclass

__all__ = ["AirbnbConfig", "AirbnbEmbeddings", "AirbnbEncoder", "click_sessions", "markets_of_items"]


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


class AirbnbEncoder(WindowModel):
    """Vectors of listings, learned from what was clicked around them and what was booked in the end.

        max  sum_{(l,c) in D_p} log s(<v'_c, v_l>) + sum_{(l,c) in D_n} log s(-<v'_c, v_l>)          Eq. 4
             + log s(<v'_b, v_l>) + sum_{(l,m) in D_m} log s(-<v'_m, v_l>)

    s is the logistic function, l the central listing, c those in its window, b the listing that its session ends in
    booking, D_n random negatives and D_m random ones of the market of l. The booked listing counts as a context of
    every l of its session, however far away. Both tables are here; the pairs (l, c) and (l, b) come as examples, and
    the negatives from `Mixture([Unigram(...), WithinGroup(...)])` with any row of the table of objectives.

    Args:
        num_items: C.
        dim: D.
        decay: in (0, 1], how much less an item of a history counts than the one after it.
        sparse: whether tables get sparse gradients.

    Shape:
        history (B, L) int64 -> queries (B, D), the weighted mean of their vectors. In training L is 1, the central
        listing, and targets (B, W) are its window and what was booked, padded with -1: each pair is a query.

    Raises:
        TypeError, ValueError: a size is not an integer >= 1.

    Example:
        >>> model = AirbnbEncoder(100, 8)
        >>> batch = {"history": torch.tensor([[5], [7]]), "targets": torch.tensor([[7, 99], [5, -1]])}
        >>> queries, targets = model.training_queries(batch)
        >>> queries.shape, targets
        (torch.Size([3, 8]), tensor([ 7, 99,  5]))
    """

    def __init__(self, num_items: int, dim: int = 32, *, decay: float = 1.0, sparse: bool = False) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.decay = check_float("decay", decay, above=0, at_most=1)
        self.listings = table_of_ids(num_items, dim, std=dim**-0.5, sparse=sparse)
        self.contexts = table_of_ids(num_items, dim, std=0.0, sparse=sparse)

    def query(self, batch: Batch) -> Tensor:
        """The mean (B, D) of the vectors v of each history, weighted by recency."""
        history = column(batch, "history", self.num_items, "BL")
        return self.listings.mean(history, self.decay)


@configclass(group="Model")
class AirbnbConfig(SkipGramConfig):
    """The arguments of AirbnbEmbeddings.

    Example:
        >>> AirbnbConfig(market="city").num_in_market
        5
    """

    rules: ClassVar[Rules] = {"epochs": lambda log, own: log.skip_gram_epochs(least=5)}

    dim = 32
    epochs: Annotated[int, Auto("by the number of events of an item")] = AUTO
    booking: Annotated[
        str | None,
        Help(
            "Column of the log that is true (not 0) where an event is a booking; None for none.",
            typed="Column that is true (not 0) where an event is a booking.",
            metavar="COLUMN",
        ),
    ] = None
    market: Annotated[
        str | None,
        Help(
            "Column of the log with the market of each event; None draws no negatives from the market.",
            more="A listing belongs to the market of most of its events.",
            typed="Column of the market of each event, for negatives from the same market.",
            metavar="COLUMN",
        ),
    ] = None
    num_in_market: Annotated[int, AtLeast(1), Help("Number of negatives from the same market, per pair.")] = 5


class AirbnbEmbeddings(AirbnbConfig, NeuralRecommender):
    """Learns listings from click sessions, bookings and markets: logq.recommenders.AirbnbEncoder, fitted on a log.

    Sessions are those of columns["session"], else all that a user did; the same listing several times in a row counts
    once. A listing is to be found from those around it, and what was booked from every listing that was clicked before
    in the session since the last booking. Besides negatives from all listings there are `num_in_market` uniform ones
    from the market of the listing in the middle of the window (Eq. 4). Users are the mean of the listings of their
    history, weighted by recency.

    Negative sampling learns log( P / Q ), and with negatives from a market Q depends on where a user looks: for the
    market of the last listing of the history. So scores are F + log Q of that row (unless `log_q` is off), without
    which listings elsewhere, hardly ever drawn beside each other, would rank highest.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described. `fit` raises ValueError where the log lacks a
            column.

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

    _markets: NDArray[np.int64] | None
    _in_market: NDArray[np.float32] | None
    _by_market: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    """Of the items that this process searches those of each market side by side, as rows of its index, and where each
    market begins; made when it is asked for first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.market is not None and not self.samples:
            raise ArgumentError("market", f"None, as {self.objective} uses every item", self.market)
        self._markets = self._in_market = self._by_market = None

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        return AirbnbEncoder(self.known.num_items, self.dim, decay=self.recency, sparse=sparse)

    def _make_examples(self, log: Interactions, seed: int) -> Windows:
        items, offsets = np.asarray(log.items, dtype=np.int64), sessions(log, gap=self.gap)
        self._by_market = None
        self._markets = (
            None if self.market is None else markets_of_items(items, _column(log, self.market), log.num_items)
        )
        booked = None if self.booking is None else _column(log, self.booking) != 0
        items, offsets, also = click_sessions(items, offsets, booked)
        # Equation 4: the market is that of the listing in the middle of the window, for bookings elsewhere as well.
        return Windows(items, offsets, window=self.window, seed=seed, also=also, groups=self._markets)

    def _later_examples(self, grown: GrownLog, seed: int) -> Examples:
        if self.market is None:
            return super()._later_examples(grown, seed)
        if not grown.is_whole:
            expected = f"the whole log, as the markets ({self.market!r}) of events that are known are not remembered"
            raise ArgumentError("log", expected, Verbatim("a part of it"))
        return self._make_examples(grown.log, seed)

    def _make_loss(self, of_targets: NDArray[Any], seed: int, sparse: bool) -> ItemLoss:
        loss = super()._make_loss(of_targets, seed, sparse)
        if self._markets is None:
            return loss
        assert loss.sampler is not None
        alike = np.ones(len(self._markets))
        inside = WithinGroup(alike, self._markets, self.num_in_market, seed=seed + 1)
        loss.sampler = Mixture([loss.sampler, inside], seed=seed)
        return loss

    def _ready(self, loss: ItemLoss) -> None:
        super()._ready(loss)
        self._in_market = self._by_market = None
        if self._offsets is None or not isinstance(loss.sampler, Mixture):
            return
        # The distribution of a row has two values for each item: in the market of the row, and elsewhere.
        everywhere, _ = loss.sampler.parts
        assert isinstance(everywhere, Sampler)
        inside, outside = loss.sampler.all_log_expected_counts(), everywhere.all_log_expected_counts()
        outside = outside.where(outside.isfinite(), outside[outside.isfinite()].min())
        self._offsets = outside - inside.max()
        self._in_market = (inside - outside).float().cpu().numpy()

    def _rank(self, part: Histories, search: ItemSearch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        k, allow, _, exclude_seen = search
        scores, codes = super()._rank(part, search)
        if self._markets is None or self._in_market is None or not len(part):
            return scores, codes
        # What a market adds is not negative: an item elsewhere that is among the best k now was so before.
        ends = np.maximum(part.offsets[1:] - 1, 0)
        market = np.where(part.lengths > 0, self._markets[part.items[ends]] if len(part.items) else -1, -1)
        scores = np.where((codes >= 0) & (self._markets[codes] != market[:, None]), scores, -np.inf)
        queries, index = self._queries(part), self._own_index("inner_product")
        codes_of, rows = index.own()
        sizes = np.bincount(self._markets)
        order, bounds = self._by_market = self._by_market or _by_market(self._markets[codes_of], len(sizes))
        place = np.full(self.known.num_items, -1)
        width = min(k, int(sizes[market[market >= 0]].max(initial=0)))
        near = np.full((len(part), width), -np.inf, np.float32), np.full((len(part), width), -1, np.int64)
        for value in np.unique(market[market >= 0]).tolist():
            of, who = order[bounds[value] : bounds[value + 1]], np.flatnonzero(market == value)
            members, at = codes_of[of], torch.from_numpy(of).to(rows.device)
            found = (queries[torch.from_numpy(who).to(queries.device)] @ rows[at].T).float().cpu().numpy()
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
        near = index.of_all(*near)  # each process has searched its own items
        scores, codes = np.concatenate([scores, near[0]], axis=1), np.concatenate([codes, near[1]], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, codes = np.take_along_axis(scores, best, axis=1), np.take_along_axis(codes, best, axis=1)
        return scores.astype(np.float32), np.where(np.isfinite(scores), codes, -1)

    def state(self) -> dict[str, NDArray[Any]]:
        """The learned arrays, by name."""
        state = super().state()
        if self._markets is not None:
            state["markets"] = self._markets
        if self._in_market is not None:
            state["in_market"] = self._in_market
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        super().restore(state)
        self._markets, self._in_market, self._by_market = state.get("markets"), state.get("in_market"), None
        for name, array, dtype in (("markets", self._markets, np.int64), ("in_market", self._in_market, np.float32)):
            if array is not None and (array.shape != (self.known.num_items,) or array.dtype != dtype):
                raise ValueError(f"expected {name!r} {np.dtype(dtype)} ({self.known.num_items},), got {array.shape}")
        if self._markets is not None and not ((self._markets >= 0) & (self._markets <= len(self._markets))).all():
            raise ValueError("expected 'markets' to be numbers of markets")

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        assert isinstance(self.model, AirbnbEncoder)
        return self.model.listings.every().detach().float()

    def _compared_rows(self, codes: Tensor) -> Tensor:
        assert isinstance(self.model, AirbnbEncoder)
        return self.model.listings(codes)


def _by_market(
    markets: NDArray[np.int64],  # (n,)
    number: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(markets, kind="stable")
    return order, np.searchsorted(markets[order], np.arange(number + 1))


def _column(log: Interactions, name: str) -> NDArray[Any]:
    if name not in log.columns:
        raise ArgumentError("log", f"a column {name!r}", Verbatim(", ".join(map(repr, log.columns)) or "none"))
    return np.asarray(log.columns[name])
