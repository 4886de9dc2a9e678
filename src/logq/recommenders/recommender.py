"""Recommender: the interface of all recommenders; fitted on a log, they answer for users and items."""

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

import logq.retrieval as retrieval  # loads a kind of index when it is asked for
from logq._arguments import ArgumentError, Verbatim, check_bool, check_int
from logq._progress import Progress
from logq.estimators import Family
from logq.evaluation import RankingScores
from logq.logs.interactions import Interactions
from logq.logs.splits import Split
from logq.recommenders.histories import Histories
from logq.recommenders.known_log import KnownLog
from logq.recommenders.ranker import HeldOut, measure, nearest_items, training_part
from logq.recommenders.requests import (
    Recommendations,
    allowed_items,
    check_histories,
    check_index,
    is_scalar,
    make_request,
)
from logq.retrieval.item_index import ItemIndex
from logq.shapes import check_device
from logq.training.estimator import FitOptions, SavedEstimator

__all__ = ["Recommender"]

ROWS = 1024
"""Users that are answered at a time."""


class Recommender(SavedEstimator):
    """Learns from an interaction log, and recommends items.

    A subclass inherits its arguments from a config with a `device`, and fills in what is learned (`_fit`, `state`,
    `restore`) and how it ranks: `_queries` gives a vector (or several) for each user, `_item_rows` a row for each item,
    whose inner product is the score that `recommend` ranks by; `_vectors` are what `similar_items` compares by cosine.
    A model without vectors overrides `_rank` and `_similar` instead.

    Attributes:
        known: what it remembers of its log, once fitted: users, items, and the history of each user.

    Example:
        >>> from logq import Popularity
        >>> model = Popularity().fit(Interactions.from_sessions([["tea", "cup"], ["tea", "cup"], ["tea", "nut"]]))
        >>> model.recommend(histories=["tea"], k=2).items.tolist()
        ['cup', 'nut']
    """

    family: ClassVar[Family] = "recommender"
    needs_history: ClassVar[bool] = True
    """Whether a user must have done something to be answered."""

    device: Any
    known: KnownLog
    _index: ItemIndex | None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.device = check_device(self.device) or torch.device("cpu")
        self._index = None

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` or `load` has succeeded."""
        return "known" in vars(self)

    def _fitted_on(self) -> str:
        return f"{self.known.num_items} items"

    # ------------------------------------------------------------------------------------- what a subclass fills in

    @abstractmethod
    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        """Learn from a log, which `known` is of already; `validation` is what may be measured on meanwhile."""

    def _queries(self, histories: Histories) -> Tensor:
        """(n, D) or (n, K, D), the vectors of what users want."""
        raise self._no_vectors()

    def _item_rows(self) -> Tensor:
        """(C, D), rows whose inner product with a query is the score of an item."""
        raise self._no_vectors()

    def _vectors(self) -> Tensor:
        """(C, D), the vectors of the items."""
        return self._item_rows()

    def _cold_vectors(self, item_features: Mapping[str, Any]) -> Tensor:
        """(n, D), vectors of items of which only side information is known."""
        name = type(self).__name__
        raise ArgumentError("item_features", f"none, as {name} learns nothing from side information of items")

    def _no_vectors(self) -> ValueError:
        return ValueError(f"{type(self).__name__} has no vectors of users and items that an index could compare")

    # --------------------------------------------------------------------------------------------------- interface

    def fit(
        self,
        log: Interactions | Split,
        *,
        validation: Interactions | None = None,
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = 10.0,
        resume: bool = False,
    ) -> Self:
        """Learn from a log; called again, start from scratch. A fit that fails leaves the model as it was before.

        Args:
            log: what users did; of a Split its `train`, and its `validation` to stop by.
            validation: what the same users did afterwards, with the ids of `log`, to stop by.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
            checkpoint: a folder where everything is saved now and then, and on Ctrl-C, so that `resume` can go on.
            checkpoint_minutes: minutes between checkpoints; 0 saves one after every batch.
            resume: continue from that checkpoint, with the same log and settings; without one, start.

        Returns:
            The recommender itself.

        Raises:
            ArgumentTypeError: `log` is neither.
            ValueError: there is nothing to learn from, or the checkpoint is of another log or other settings.
            FloatingPointError: training diverges; a checkpoint stays as it was.
        """
        options = FitOptions(progress, checkpoint, checkpoint_minutes, resume)
        train, held_out = training_part(log, validation)
        if train.num_items < 2 or len(train) == 0:
            got = Verbatim(f"{len(train)} events of {train.num_items} items")
            raise ArgumentError("log", "events of at least two items", got)
        with self._fitting():
            self.known, self._index = KnownLog.of(train), None
            self._fit(train, held_out, options)
        return self

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Any = None,
        histories: Sequence[Any] | None = None,
        user_features: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        index: ItemIndex | None = None,
        progress: bool | None = False,
    ) -> Recommendations:
        """The k best items of users.

        Args:
            users: an id of the log, or several; None for all of them, or for those of `histories`.
            k: how many items.
            exclude_seen: leave out what a user's history has.
            allow: ids of the items that may be recommended, or a mask over `item_ids`; None for all.
            histories: item ids in order of time, a list for each user (or one list for one user), instead of what the
                log has: for users that are new, or did more since.
            user_features: raw values by feature, one for each user, instead of what the log has.
            context: context of the request, if the model was trained with context columns: raw values by column, one
                for each user, such as {"query": ["sofa"]}. Where it is not given, what the log had last of a user;
                unknown values count as missing.
            index: where to search, made by `index()` of this model; None searches all items.
            progress: as for `fit`.

        Returns:
            Recommendations: (n, k), or (k,) for one user.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: a user or an item is not in the log, a history is empty and the model needs one, or the index
                belongs to another model.
        """
        self._check_fitted()
        check_int("k", k)
        request, single = make_request(self.known, users, histories, user_features)
        if context is not None:
            request = replace(request, context=self._context_codes(context, len(request)))
        if index is not None:
            check_index(index, self.known.num_items)
        if self.needs_history:
            check_histories(request, type(self).__name__)
        k, excludes = min(k, self.known.num_items), check_bool("exclude_seen", exclude_seen)
        scores, codes = self.rank_all(request, k, excludes, allowed_items(self.known, allow), progress, index)
        return self._named(codes, scores, single)

    def index(self, kind: str = "exact", **options: Any) -> ItemIndex:
        """An index of the items, for `recommend(index=...)` or a service of its own.

        It holds what queries are compared with by inner product: vectors over the temperature, and where items have
        biases, or scores an offset of log Q, one more number, for which queries have a 1. Ids are codes: item i is
        `item_ids[i]`.

        Args:
            kind: as for logq.retrieval.make_index: "exact", "faiss-hnsw", "usearch", ...
            **options: of the index.

        Raises:
            AttributeError: the model is not fitted.
            ModuleNotFoundError: the library of the index is not installed.
            ValueError: the model has no vectors, or the index does not take an option.
        """
        self._check_fitted()
        if "metric" in options:
            raise ArgumentError("metric", "none, as scores of a model are inner products", options["metric"])
        return retrieval.make_index(kind, self._item_rows().detach(), **options)

    def similar_items(
        self, items: Any = None, k: int = 10, *, item_features: Mapping[str, Any] | None = None
    ) -> Recommendations:
        """The k items with the nearest vectors by cosine, without the item itself.

        Args:
            items: an id of the log, or several.
            k: how many.
            item_features: raw values by feature of items that the log does not know, instead of `items`; a list of
                values for each feature, or a single value for one item.

        Returns:
            Recommendations: (n, k), or (k,) for one item.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: an item is not in the log, or the model learns nothing from side information.
        """
        self._check_fitted()
        check_int("k", k)
        if (items is None) == (item_features is None):
            raise ArgumentError("items", "either ids of items or item_features")
        k = min(k, self.known.num_items)
        if item_features is not None:
            single = all(is_scalar(value) for value in item_features.values())
            columns = {name: [value] if is_scalar(value) else value for name, value in item_features.items()}
            vectors, own = self._cold_vectors(columns), None
        else:
            single = is_scalar(items)
            own = self.known.item_codes("items", [items] if single else items)
            vectors = None
        scores, codes = self._similar(vectors, own, k)
        return self._named(codes, scores, single)

    def evaluate(
        self,
        data: Split | Interactions,
        *,
        ks: Sequence[int] = (10, 50),
        exclude_seen: bool = True,
        progress: bool | None = None,
    ) -> RankingScores:
        """Rank all items for each user of a test, and measure how high the user's items are.

        Args:
            data: a Split, whose `test` is measured with all that came before it as histories; or what users of the
                fitted log did afterwards.
            ks: cut-offs of the metrics.
            exclude_seen: leave out what a user's history has.
            progress: as for `fit`.

        Returns:
            RankingScores, which also count the users and items that could not be asked about.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: nobody is left to measure.
        """
        self._check_fitted()
        if isinstance(data, Split):
            return measure(self, data.test, data.history("test"), ks, exclude_seen, progress)
        return measure(self, data, None, ks, exclude_seen, progress)

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
        request, _ = make_request(self.known, users, histories, None)
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
        scores = np.empty((len(request), k), dtype=np.float32)
        codes, done = np.empty((len(request), k), dtype=np.int64), 0
        with Progress(len(request), "users", "ranking", progress) as bar, torch.no_grad():
            for part in request.parts(ROWS):
                end = done + len(part)
                scores[done:end], codes[done:end] = self._rank(part, k, exclude_seen, allow, index)
                done = end
                bar.advance(len(part))
        return scores, codes

    def context_at(self, events: Interactions, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Context that events have in the log, as codes by column; see Ranker."""
        return {}

    def _context_codes(self, context: Mapping[str, Any], rows: int) -> dict[str, NDArray[np.int64]]:
        """(n,) codes of raw values of the context, by column."""
        raise ArgumentError("context", f"none, as the {type(self).__name__} was trained without context columns")

    def _rank(
        self,
        part: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        index: ItemIndex | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(n, k) scores and codes of the best items, -1 where there are fewer."""
        exclude = (part.items, part.offsets) if exclude_seen else None
        queries, where = self._queries(part), self._search_index() if index is None else index
        if where.dim != queries.shape[-1]:
            expected = f"one that this model made, of {queries.shape[-1]} numbers for each item"
            raise ArgumentError("index", expected, where.dim)
        scores, codes = where.search(queries, k, exclude=exclude, allow=allow)
        return scores.cpu().numpy(), codes.cpu().numpy()

    def _search_index(self) -> ItemIndex:
        if self._index is None:
            self._index = self.index()
        return self._index

    def _similar(
        self, vectors: Tensor | None, own: NDArray[np.int64] | None, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(n, k) cosines and codes of the nearest items, of new vectors or of items, which are left out themselves."""
        return nearest_items(self._vectors().detach().float(), vectors, own, k)

    def _named(self, codes: NDArray[np.int64], scores: NDArray[np.float32], single: bool) -> Recommendations:
        keys = np.asarray(self.known.item_ids.keys)
        names = keys[np.maximum(codes, 0)]
        if (codes < 0).any():
            names = names.astype(object)
            names[codes < 0] = None
        return Recommendations(names[0], scores[0]) if single else Recommendations(names, scores)

    # ------------------------------------------------------------------------------------------------- save and load

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return self.known.state()

    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        self.known = KnownLog.from_state(info, tensors)
