"""Recommender: the interface of all recommenders; fitted on a log, they answer for users and items."""

import copy
import os
import warnings
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

import logq.retrieval as retrieval  # loads a kind of index when it is asked for
from logq._arguments import ArgumentError, Verbatim, check_bool, check_int, shown
from logq._progress import Progress
from logq.estimators import Family
from logq.evaluation import RankingScores
from logq.logs.interactions import Interactions
from logq.logs.splits import Split
from logq.recommenders.histories import Histories
from logq.recommenders.item_search import UntiedIndex, first_left
from logq.recommenders.known_log import KnownLog, lenient_codes
from logq.recommenders.ranker import EvaluationWarning, HeldOut, RankingTest, Ties, training_part
from logq.recommenders.requests import (
    Recommendations,
    Request,
    Unknown,
    add_status,
    allowed_items,
    check_index,
    check_unknown,
    encoded_features,
    is_scalar,
    make_request,
)
from logq.retrieval.index_checks import Metric
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

    device: Any
    known: KnownLog
    _indexes: dict[str, UntiedIndex]
    """Of the fitted state, by metric, each made when it is asked for first."""

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

    describes_items: ClassVar[bool] = False
    """Whether items can be known by their side information alone."""

    def _cold_vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        """(n, D), vectors of items of which only side information is known, as codes by feature; 0 is unknown."""
        raise NotImplementedError

    def answerable(self, request: Histories) -> NDArray[np.bool_]:
        """Which rows (n,) have something that the model ranks by: a history, or what else it reads of a request."""
        return request.lengths > 0

    @property
    def _features_read(self) -> Collection[str]:
        """The features of users that the model reads."""
        return ()

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
            self.known, self._indexes = KnownLog.of(train), {}
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
        added: Mapping[int, Any] | None = None,
        unknown: Unknown = "raise",
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
            added: codes that were added to `index` since, which begin after those of the log, and the ids of their
                items. Histories cannot have them.
            unknown: what is done about users that are not in the log and have no history given, items of histories
                that are not, and users with nothing that the model ranks by, such as an empty history. "raise" makes
                the first one an error. "ignore" leaves such items out, and gives such users nothing; "popular" gives
                them the items with most events, whose numbers are then the scores. `status` of the answer says what
                was done.
            progress: as for `fit`.

        Returns:
            Recommendations: (n, k), or (k,) for one user.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: a user or an item is not in the log, or a history is empty and the model needs one, and
                `unknown` is "raise"; or the index belongs to another model.

        Example:
            >>> from logq import ItemKNN
            >>> model = ItemKNN().fit(Interactions.from_sessions([["tea", "cup"], ["tea"], ["nail", "saw"]]))
            >>> found = model.recommend(histories=[["nail", "gold"], []], k=1, unknown="popular")
            >>> found.items.tolist(), found.status.tolist()
            ([['saw'], ['tea']], ['1 unknown item left out', 'nothing to rank by; popular items instead'])
        """
        self._check_fitted()
        check_int("k", k)
        lenient = check_unknown(unknown) != "raise"
        excludes = check_bool("exclude_seen", exclude_seen)
        request = self._request(users, histories, user_features, context, lenient=lenient)
        if index is not None:
            check_index(index, self.known.num_items, added)
        elif added:
            raise ArgumentError("added", "an index= beside it, to which its codes were added", dict(added))
        allowed = allowed_items(self.known, allow, added)
        k = min(k, self.known.num_items + len(added or {}))
        can = self.answerable(request.histories)
        if not lenient and not can.all():
            raise self._unanswerable(int(can.argmin()))
        rows = request.histories if can.all() else request.histories.select(can)
        scores = np.full((len(can), k), -np.inf, dtype=np.float32)
        codes = np.full((len(can), k), -1, dtype=np.int64)
        scores[can], codes[can] = self.rank_all(rows, k, excludes, allowed, progress, index)
        if not can.all():
            if unknown == "popular":
                others = request.histories.select(~can)
                scores[~can], codes[~can] = self._popular(others, k, excludes, allowed, index)
            done = "popular items instead" if unknown == "popular" else "nothing recommended"
            for row in np.flatnonzero(~can).tolist():
                add_status(request.status, row, done if request.status[row] else f"nothing to rank by; {done}")
        return self._named(codes, scores, request.single, request.status, added)

    def _request(
        self,
        users: Any,
        histories: Sequence[Any] | None,
        user_features: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
        *,
        lenient: bool = False,
    ) -> Request:
        request = make_request(
            self.known,
            users,
            histories,
            user_features,
            features_read=self._features_read,
            reader=type(self).__name__,
            lenient=lenient,
        )
        if context is None:
            return request
        codes, unknown = self._context_codes(context, len(request.histories))
        for name, row, value in unknown:
            add_status(request.status, row, f"{shown(value)} is unknown as {name!r}")
        return replace(request, histories=replace(request.histories, context=codes))

    def _unanswerable(self, row: int) -> ArgumentError:
        name = type(self).__name__
        hint = f"{name} knows users by their histories (unknown='popular' answers them by what is popular)"
        return ArgumentError("histories", "at least one item for each user", Verbatim(f"none for row {row}"), hint)

    def _popular(
        self,
        histories: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        index: ItemIndex | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Numbers of events and codes (n, k) of the items with most events, -1 where there are fewer."""
        counts = self.known.item_counts()
        order = np.lexsort((self.known.places, -counts))
        if allow is not None:
            order = order[allow[order]]
        if index is not None:
            order = order[np.isin(order, index.ids.numpy())]
        items, offsets = histories.items, histories.offsets
        if not exclude_seen:
            items, offsets = items[:0], np.zeros_like(offsets)
        codes = first_left(order, items, offsets, k, self.known.num_items)
        return np.where(codes >= 0, counts[codes], -np.inf).astype(np.float32), codes

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

    def similar_items(
        self,
        items: Any = None,
        k: int = 10,
        *,
        item_features: Mapping[str, Any] | None = None,
        allow: Any = None,
        index: ItemIndex | None = None,
        unknown: Unknown = "raise",
    ) -> Recommendations:
        """The k items with the nearest vectors by cosine, without the item itself.

        Args:
            items: an id of the log, or several.
            k: how many.
            item_features: raw values by feature of items that the log does not know, instead of `items`; a list of
                values for each feature, or a single value for one item. None is a value that is not known.
            allow: ids of the items that may be found, or a mask over `item_ids`; None for all.
            index: where to search, made by `index(metric="cosine")` of this model; None searches all items.
            unknown: "raise" makes an unknown item, or a value of a feature that no item has, an error. "ignore" finds
                nothing for such an item, and counts such a value as missing; `status` of the answer says so.

        Returns:
            Recommendations: (n, k), or (k,) for one item.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: an item is not in the log, no item has a value, or the model learns nothing from side
                information; or the index belongs to another model.
        """
        self._check_fitted()
        check_int("k", k)
        lenient = check_unknown(unknown, ("raise", "ignore")) == "ignore"
        if (items is None) == (item_features is None):
            raise ArgumentError("items", "either ids of items or item_features")
        k, allowed = min(k, self.known.num_items), allowed_items(self.known, allow)
        if item_features is not None:
            single = all(is_scalar(value) for value in item_features.values())
            columns = {name: [value] if is_scalar(value) else value for name, value in item_features.items()}
            vectors, status = self._described(columns, lenient=lenient)
            scores, codes = self._similar(vectors, None, k, allowed, index)
            return self._named(codes, scores, single, status)
        single = is_scalar(items)
        asked: Any = [items] if single else items
        own = lenient_codes(self.known.item_ids, asked) if lenient else self.known.item_codes("items", asked)
        status = np.where(own < 0, "unknown item; nothing found", "").astype(object)
        scores = np.full((len(own), k), -np.inf, dtype=np.float32)
        codes = np.full((len(own), k), -1, dtype=np.int64)
        scores[own >= 0], codes[own >= 0] = self._similar(None, own[own >= 0], k, allowed, index)
        return self._named(codes, scores, single, status)

    def _described(self, columns: Mapping[str, Any], *, lenient: bool) -> tuple[Tensor, NDArray[Any]]:
        """Vectors of items that are known by side information, and what was unknown of each (n,)."""
        features = self.known.item_features
        if not self.describes_items:
            name = type(self).__name__
            raise ArgumentError("item_features", f"none, as {name} learns nothing from side information of items")
        if features is None:
            raise ArgumentError("item_features", "none, as the model was trained without features of items")
        codes, unknown = encoded_features("item_features", features, columns)
        if unknown and not lenient:
            feature, row, value = unknown[0]
            got = Verbatim(f"{shown(value)} for {feature!r} at position {row}")
            raise ArgumentError(
                "item_features", "values that the model knows", got, "no item of the log has it; None is an unknown one"
            )
        status = np.full(len(next(iter(codes.values()))), "", dtype=object)
        for feature, row, value in unknown:
            add_status(status, row, f"{shown(value)} is unknown as {feature!r}")
        return self._cold_vectors({name: torch.from_numpy(values) for name, values in codes.items()}), status

    def evaluate(
        self,
        data: Split | Interactions,
        *,
        ks: Sequence[int] = (10, 50),
        exclude_seen: bool = True,
        ties: Ties = "random",
        progress: bool | None = None,
    ) -> RankingScores:
        """Rank all items for each user of a test, and measure how high the user's items are.

        What cannot be found does not count: items that a user's history has, where these are left out of rankings
        (`already_had` of the scores), and events of `data` that the model was fitted with (`known_events`), so that
        a log that grew gives the numbers of what is new in it. Events are told apart by user, item and time; without
        times, the first events of a user are known if they are exactly those that the model was fitted with.

        Args:
            data: a Split, whose `test` is measured with all that came before it as histories; or what users of the
                fitted log did afterwards.
            ks: cut-offs of the metrics.
            exclude_seen: leave out what a user's history has.
            ties: how equal scores are ranked: "random" takes an order that is always the same and knows nothing of
                the log (logq.evaluation.ranking_ties); "expected" gives the mean over all orders of equal scores.
            progress: as for `fit`.

        Returns:
            RankingScores, which also count the users and items that could not be asked about.

        Warns:
            EvaluationWarning: more than a few events are of items that users had before and do not count, or the model
                was fitted with events of the test of a Split.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: nobody is left to measure.
        """
        self._check_fitted()
        is_split = isinstance(data, Split)
        truth, history = (data.test, data.history("test")) if is_split else (data, None)
        test = RankingTest.of(self, truth, history, exclude_seen=check_bool("exclude_seen", exclude_seen))
        scores = test.measure(self, ks, ties=ties, progress=progress)
        for text in filter(None, [test.remark(), self.leak(data) if is_split else ""]):
            warnings.warn(text, EvaluationWarning, stacklevel=2)
        return scores

    def leak(self, split: Split) -> str:
        """What is to be said where the model was fitted with events of the test; "" where it was not."""
        past = split.history("test")
        users = self.known.user_ids.codes(past.user_ids.keys) if past.user_ids.kind == self.known.user_ids.kind else []
        users = np.asarray(users, dtype=np.int64)
        remembered = np.where(users >= 0, np.diff(self.known.offsets, append=self.known.offsets[-1])[users], 0)
        if not (remembered > np.diff(past.offsets)).any():
            return ""
        known = int(self.known.knows(split.log)[split.rows("test")].sum())
        if not known:
            return ""
        return (
            f"{known:,} of {len(split.test):,} events of the test are among those that the model was fitted with: the "
            "numbers say how well it remembers; fit(split) or fit(split.train) leaves the test out"
        )

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

    def _context_codes(
        self, context: Mapping[str, Any], rows: int
    ) -> tuple[dict[str, NDArray[np.int64]], list[tuple[str, int, Any]]]:
        """(n,) codes of raw values of the context, by column; and (column, row, value) of values that are unknown."""
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
        queries, where = self._queries(part), self._own_index("inner_product") if index is None else index
        if where.dim != queries.shape[-1]:
            expected = f"one that this model made, of {queries.shape[-1]} numbers for each item"
            raise ArgumentError("index", expected, where.dim)
        if isinstance(where, UntiedIndex):
            return where.search(queries, k, exclude=exclude, allow=allow)
        scores, codes = where.search(queries, k, exclude=exclude, allow=allow)
        return scores.cpu().numpy(), codes.cpu().numpy()

    def _own_index(self, metric: Metric) -> UntiedIndex:
        if metric not in self._indexes:
            vectors = self._vectors() if metric == "cosine" else self._item_rows()
            self._indexes[metric] = UntiedIndex(vectors.detach().float(), self.known.places, metric)
        return self._indexes[metric]

    def _similar(
        self,
        vectors: Tensor | None,
        own: NDArray[np.int64] | None,
        k: int,
        allow: NDArray[np.bool_] | None,
        index: ItemIndex | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(n, k) cosines and codes of the nearest items, of new vectors or of items, which are left out themselves."""
        where = self._own_index("cosine") if index is None else index
        exclude = None
        if own is not None:
            exclude = (own, np.arange(len(own) + 1))
            table = self._vectors().detach()
            vectors = table[torch.from_numpy(own).to(table.device)].float()
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
    ) -> Recommendations:
        keys = np.asarray(self.known.item_ids.keys)
        names = keys[np.minimum(np.maximum(codes, 0), len(keys) - 1)]
        if (codes < 0).any() or added:
            names = names.astype(object)
            names[codes < 0] = None
        for code, name in (added or {}).items():
            names[codes == code] = name
        return Recommendations(names[0], scores[0], status[0]) if single else Recommendations(names, scores, status)

    # ------------------------------------------------------------------------------------------------- save and load

    def save(self, folder: str | os.PathLike[str], *, histories: bool = True) -> None:
        """Write the model into a folder: `model.safetensors`, which has everything, and `model.json` to read.

        Args:
            folder: where it goes.
            histories: False leaves out all users: their ids, histories, features and last context. The model that is
                loaded then answers for histories that it is given.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: the model has a vector of each user, and cannot be without them.
            OSError: a file cannot be written; what was there stays.
        """
        if check_bool("histories", histories):
            super().save(folder)
            return
        self._check_fitted()
        if getattr(self, "user_vectors", False):
            raise ArgumentError("histories", "True, as the model has a vector of each user (user_vectors)", False)
        model = copy.copy(self)
        model._forget_users()
        super(Recommender, model).save(folder)

    def _forget_users(self) -> None:
        """Keep nothing of any user; called on a copy."""
        self.known = self.known.without_users()

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return self.known.state()

    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        self.known = KnownLog.from_state(info, tensors)
