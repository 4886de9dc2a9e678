"""Recommender: the interface of all recommenders; fitted on a log, they answer for users and items."""

import copy
import os
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_bool, check_int, shown
from logq.evaluation import RankingScores
from logq.logs.interactions import Interactions
from logq.logs.splits import Split
from logq.recommenders.item_search import ItemSearch
from logq.recommenders.known_log import KnownLog, lenient_codes
from logq.recommenders.ranker import EvaluationWarning, HeldOut, RankingTest, Ties, leak, training_part
from logq.recommenders.recommending_ranker import RecommendingRanker
from logq.recommenders.requests import (
    Recommendations,
    Unknown,
    add_status,
    allowed_items,
    check_unknown,
    encoded_features,
    is_scalar,
)
from logq.retrieval.item_index import ItemIndex
from logq.training.estimator import FitOptions

__all__ = ["Recommender"]


class Recommender(RecommendingRanker):
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

    # ------------------------------------------------------------------------------------- what a subclass fills in

    @abstractmethod
    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        """Learn from a log, which `known` is of already; `validation` is what may be measured on meanwhile."""

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
        k = min(k, self.known.num_items)
        search = ItemSearch(k, allowed_items(self.known, allow), index)
        if item_features is not None:
            single = all(is_scalar(value) for value in item_features.values())
            columns = {name: [value] if is_scalar(value) else value for name, value in item_features.items()}
            vectors, status = self._described(columns, lenient=lenient)
            scores, codes = self._similar(vectors, None, search)
            return self._named(codes, scores, single, status)
        single = is_scalar(items)
        asked: Any = [items] if single else items
        own = lenient_codes(self.known.item_ids, asked) if lenient else self.known.item_codes("items", asked)
        status = np.where(own < 0, "unknown item; nothing found", "").astype(object)
        scores = np.full((len(own), k), -np.inf, dtype=np.float32)
        codes = np.full((len(own), k), -1, dtype=np.int64)
        scores[own >= 0], codes[own >= 0] = self._similar(None, own[own >= 0], search)
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
        for text in filter(None, [test.remark(), leak(self.known, data) if is_split else ""]):
            warnings.warn(text, EvaluationWarning, stacklevel=2)
        return scores

    # ------------------------------------------------------------------------------------------------- save and load

    def save(self, folder: str | os.PathLike[str], *, histories: bool = True) -> None:
        """Write the model into a folder: `model.safetensors`, which has everything, and `model.json` to read.

        Args:
            folder: where it goes.
            histories: False leaves out all users: their ids, histories, features and last context. The model that is
                loaded then answers for histories that it is given.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: the model has a vector or the sessions of each user, and cannot be without them.
            OSError: a file cannot be written; what was there stays.
        """
        if check_bool("histories", histories):
            super().save(folder)
            return
        self._check_fitted()
        if self.needs_users:
            raise ArgumentError("histories", f"True, as {type(self).__name__} answers from what users did", False)
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
