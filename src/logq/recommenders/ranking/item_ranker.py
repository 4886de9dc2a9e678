"""ItemRanker: what a fitted recommender ranks with: queries, vectors of items, and indexes of them."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import logq.retrieval as retrieval  # loads a kind of index when it is asked for
from logq._arguments import ArgumentError, Verbatim
from logq._progress import Progress
from logq.estimators import Family
from logq.logs.identifiers import Identifiers
from logq.logs.interactions import Interactions
from logq.recommenders.events.histories import Histories
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.ranking.item_lists import ItemLists
from logq.recommenders.ranking.item_search import NUMBERS, ItemSearch, UntiedIndex, first_left, table_of
from logq.recommenders.ranking.recommendations import Recommendations
from logq.recommenders.ranking.requests import make_request
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_index import ItemIndex
from logq.shapes import check_device
from logq.training.estimator import SavedEstimator

__all__ = ["ItemRanker"]

ROWS = 1024
"""Users that are answered at a time."""


class ItemRanker(SavedEstimator):
    """Ranks all items for users, by inner products of vectors, or as a subclass does it.

    A subclass fills in `_queries`, which gives a vector (or several) for each user, and `_item_rows`, a row for each
    item, whose inner product is the score; `_vectors` are what items are compared with each other by. A model without
    vectors overrides `_rank` and `_similar` instead, from which all other answers then follow; and `_contributions`
    where its scores are sums over a history.

    Attributes:
        known: what it remembers of its log, once fitted: users, items, and the history of each user.

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    family: ClassVar[Family] = "recommender"

    device: Any
    known: KnownLog
    _indexes: dict[str, Any]
    """Of the fitted state, of items by metric and of users, each made when it is asked for first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.device = check_device(self.device) or torch.device("cpu")
        self._indexes = {}

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` or `load` has succeeded."""
        return "known" in vars(self)

    def _fitted_on(self) -> str:
        return f"{self.known.num_items} items"

    # ------------------------------------------------------------------------------------- what a subclass fills in

    def _queries(self, histories: Histories) -> Tensor:
        """(n, D) or (n, K, D), the vectors of what users want."""
        raise self._no_vectors()

    def _item_rows(self) -> Tensor:
        """(C, D), rows whose inner product with a query is the score of an item."""
        raise self._no_vectors()

    def _vectors(self) -> Tensor:
        """(C, D), the vectors of the items."""
        return self._item_rows()

    def _vectors_of(self, codes: NDArray[np.int64]) -> Tensor:
        """(n, D), the vectors of some items."""
        table = self._vectors().detach()
        return table[torch.from_numpy(codes).to(table.device)].float()

    def _user_vectors(self, histories: Histories) -> Tensor:
        """(n, D) or (n, K, D), what users are compared with each other by: queries without the 1 that biases have."""
        return self._queries(histories)[..., : self._own_index("cosine").dim]

    def _contributions(self, history: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """(L, c) what each event (L,) adds to the scores of items (c,); None where scores are not sums."""
        return None

    has_vectors: ClassVar[bool] = True
    """Whether it ranks by vectors, which an index can hold."""

    compares_items: ClassVar[bool] = True
    """Whether it knows how alike two items are, which maps, reasons and diversity are made of."""

    needs_users: ClassVar[bool] = False
    """Whether it answers from what users did, and cannot be saved without them."""

    def answerable(self, request: Histories) -> NDArray[np.bool_]:
        """Which rows (n,) have something that the model ranks by: a history, or what else it reads of a request."""
        return request.lengths > 0

    @property
    def _features_read(self) -> Collection[str]:
        """The features of users that the model reads."""
        return ()

    def _no_vectors(self) -> ValueError:
        return ValueError(f"{type(self).__name__} has no vectors of users and items that an index could compare")

    # ---------------------------------------------------------------------------------------------- vectors and indexes

    def index(self, kind: str = "exact", *, metric: Metric = "inner_product", **options: Any) -> ItemIndex:
        """An index of the items, for `recommend(index=...)`, `similar_items(index=...)` or a service of its own.

        By inner product it holds what queries are compared with: vectors over the temperature, and where items have
        biases, or scores an offset of log Q, one more number, for which queries have a 1. By cosine it holds the
        vectors that `similar_items` compares. Ids are codes: item i is `item_ids[i]`.

        Args:
            kind: as for logq.retrieval.make_index: "exact", "faiss-hnsw", "usearch", ...
            metric: "inner_product" for `recommend`, "cosine" for `similar_items`.
            **options: of the index.

        Raises:
            AttributeError: the model is not fitted.
            ModuleNotFoundError: the library of the index is not installed.
            ValueError: the model has no vectors, or the index does not take an option.
        """
        self._check_fitted()
        vectors = self._vectors() if metric == "cosine" else self._item_rows()
        return retrieval.make_index(kind, vectors.detach().float(), metric=metric, **options)

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        """(C, D) the vectors of the items, row i that of `item_ids[i]`; what `similar_items` compares.

        Raises:
            AttributeError: the model is not fitted.
        """
        self._check_fitted()
        return self._vectors().detach().float().cpu().numpy()

    @property
    def item_ids(self) -> NDArray[Any]:
        """(C,) the ids of the items, most frequent first."""
        self._check_fitted()
        return np.asarray(self.known.item_ids.keys)

    @property
    def user_ids(self) -> NDArray[Any]:
        """(U,) the ids of the users."""
        self._check_fitted()
        return np.asarray(self.known.user_ids.keys)

    @property
    def search_vectors(self) -> NDArray[np.float32]:
        """(C, D') what an index of the items is made of: row i, of `item_ids[i]`, times a query is its score.

        Where items have biases, or counts that scores are corrected by, D' = D + 1.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: the model does not rank by vectors.
        """
        self._check_fitted()
        return self._item_rows().detach().float().cpu().numpy()

    def query_vectors(self, users: Any = None, *, histories: Sequence[Any] | None = None) -> NDArray[np.float32]:
        """(n, D') or (n, K, D') what an index is asked with for users; arguments as for `recommend`.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: a user or an item is not in the log.
        """
        self._check_fitted()
        request = make_request(self.known, users, histories, None).histories
        with torch.no_grad():
            return np.concatenate([self._queries(part).float().cpu().numpy() for part in request.parts(ROWS)])

    # ------------------------------------------------------------------------------------------------- how it ranks

    def rank_all(
        self,
        request: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        progress: bool | None = False,
        index: ItemIndex | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k) of the best items of users, -1 where there are fewer; what all answers come from."""
        search = ItemSearch(k, allow, index, exclude_seen)
        scores = np.empty((len(request), k), dtype=np.float32)
        codes, done = np.empty((len(request), k), dtype=np.int64), 0
        with Progress(len(request), "users", "ranking", progress) as bar, torch.no_grad():
            for part in request.parts(ROWS):
                end = done + len(part)
                scores[done:end], codes[done:end] = self._rank(part, search)
                done = end
                bar.advance(len(part))
        return scores, codes

    def context_at(self, events: Interactions, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Context that events have in the log, as codes by column; see Ranker."""
        return {}

    def _context_codes(
        self, context: Mapping[str, Any], rows: int
    ) -> tuple[dict[str, NDArray[np.int64]], list[tuple[str, int, Any]]]:
        """(n,) codes of raw values of the context, by column; and (column, row, value) of values that are unknown."""
        raise ArgumentError("context", f"none, as the {type(self).__name__} was trained without context columns")

    def _rank(self, part: Histories, search: ItemSearch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(n, k) scores and codes of the best items, -1 where there are fewer."""
        k, allow, index, exclude_seen = search
        exclude = (part.items, part.offsets) if exclude_seen else None
        queries, where = self._queries(part), self._own_index("inner_product") if index is None else index
        if where.dim != queries.shape[-1]:
            expected = f"one that this model made, of {queries.shape[-1]} numbers for each item"
            raise ArgumentError("index", expected, where.dim)
        if isinstance(where, UntiedIndex):
            return where.search(queries, k, exclude=exclude, allow=allow)
        scores, codes = where.search(queries, k, exclude=exclude, allow=allow)
        return scores.cpu().numpy(), codes.cpu().numpy()

    def _scores_of(self, part: Histories, asked: ItemLists) -> NDArray[np.float32]:
        """(e,) scores of the items that are asked about for each row, as `_rank` has them; all codes are known ones."""
        rows, codes = asked.rows, asked.codes
        found = np.empty(len(codes), dtype=np.float32)
        if type(self)._rank is ItemRanker._rank:
            for begin, end in asked.parts(ROWS, NUMBERS):
                one = slice(asked.offsets[begin], asked.offsets[end])
                queries = self._queries(part.part(begin, end))
                found[one] = self._own_index("inner_product").scores_of(queries, rows[one] - begin, codes[one])
            return found
        # A model that ranks in a way of its own is asked for a ranking of nothing but these items.
        items, at = np.unique(codes, return_inverse=True)
        search = ItemSearch(len(items), self._mask(items))
        for begin, end in asked.parts(min(ROWS, max(1, NUMBERS // max(1, len(items)))), NUMBERS):
            one = slice(asked.offsets[begin], asked.offsets[end])
            if len(rows[one]):
                table = table_of(*self._rank(part.part(begin, end), search), items, -math.inf)
                found[one] = table[rows[one] - begin, at[one]]
        return found

    def _alike(self, items: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, p) how alike items (n,) are to others (n, p), by cosine or as `_similar` has it; 0 for those of -1."""
        found = np.empty(others.shape, dtype=np.float32)
        width = max(1, others.shape[1])
        by_cosine = type(self)._similar is ItemRanker._similar
        index = self._own_index("cosine") if by_cosine else None
        step = max(1, math.isqrt(NUMBERS // width) if index is None else NUMBERS // (width * index.dim))
        for begin in range(0, len(others), step):
            own, part = items[begin : begin + step], others[begin : begin + step]
            if index is not None:
                both = index.vectors(np.maximum(part, 0)) @ index.vectors(own)[:, :, None]
                found[begin : begin + step] = both[..., 0].float().cpu().numpy()
                continue
            known = np.unique(part[part >= 0])
            search = ItemSearch(max(1, len(known)), self._mask(known))
            table = table_of(*self._similar(None, own, search), known, 0.0)
            at = np.minimum(np.searchsorted(known, part), max(0, len(known) - 1))
            found[begin : begin + step] = np.take_along_axis(table, at, axis=1) if len(known) else 0
        return np.where(others >= 0, found, 0)

    def _mask(self, items: NDArray[np.int64]) -> NDArray[np.bool_]:
        mask = np.zeros(self.known.num_items, dtype=np.bool_)
        mask[items] = True
        return mask

    def _own_index(self, metric: Metric) -> UntiedIndex:
        if metric not in self._indexes:
            vectors = self._vectors() if metric == "cosine" else self._item_rows()
            self._indexes[metric] = UntiedIndex(vectors.detach().float(), self.known.places, metric)
        return self._indexes[metric]

    def _similar(
        self, vectors: Tensor | None, own: NDArray[np.int64] | None, search: ItemSearch
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(n, k) cosines and codes of the nearest items, of new vectors or of items, which are left out themselves."""
        k, allow, index, _ = search
        where = self._own_index("cosine") if index is None else index
        exclude = None
        if own is not None:
            exclude = (own, np.arange(len(own) + 1))
            vectors = self._vectors_of(own)
        assert vectors is not None
        if isinstance(where, UntiedIndex):
            return where.search(vectors, k, exclude=exclude, allow=allow)
        if where.metric != "cosine":
            expected = "an index by cosine, as index(metric='cosine') of the model makes it"
            raise ArgumentError("index", expected, Verbatim(where.metric))
        if where.dim != vectors.shape[-1] or (len(where) and int(where.ids[-1]) >= self.known.num_items):
            expected = (
                f"one that this model made, of {vectors.shape[-1]} numbers for each of {self.known.num_items} items"
            )
            raise ArgumentError("index", expected, Verbatim(f"{where.dim} numbers, {len(where)} items"))
        scores, codes = where.search(vectors, k, exclude=exclude, allow=allow)
        return scores.cpu().numpy(), codes.cpu().numpy()

    def _named(
        self,
        codes: NDArray[np.int64],
        scores: NDArray[np.float32],
        single: bool,
        status: NDArray[Any],
        added: Mapping[int, Any] | None = None,
        *,
        ids: Identifiers | None = None,
    ) -> Recommendations:
        """Codes as ids: those of items, or others that are given."""
        keys = np.asarray((self.known.item_ids if ids is None else ids).keys)
        names = keys[np.minimum(np.maximum(codes, 0), len(keys) - 1)]
        if (codes < 0).any() or added:
            names = names.astype(object)
            names[codes < 0] = None
        for code, name in (added or {}).items():
            names[codes == code] = name
        return Recommendations(names[0], scores[0], status[0]) if single else Recommendations(names, scores, status)

    def _popular(self, histories: Histories, search: ItemSearch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Numbers of events and codes (n, k) of the items with most events, -1 where there are fewer."""
        k, allow, index, exclude_seen = search
        counts = self.known.item_counts()
        order = self.known.by_popularity
        if allow is not None:
            order = order[allow[order]]
        if index is not None:
            order = order[np.isin(order, index.ids.numpy())]
        items, offsets = histories.items, histories.offsets
        if not exclude_seen:
            items, offsets = items[:0], np.zeros_like(offsets)
        codes = first_left(order, items, offsets, k, self.known.num_items)
        return np.where(codes >= 0, counts[codes], -np.inf).astype(np.float32), codes
