"""Recommender: the interface of all recommenders; fitted on a log, they answer for users and items."""

import copy
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_bool, check_int
from logq._warnings import warn
from logq.evaluation import RankingScores
from logq.hub.model_cards import Card
from logq.logs.features import Features
from logq.logs.growing import GrownLog
from logq.logs.identifiers import Identifiers
from logq.logs.interactions import Interactions
from logq.logs.splits import Split
from logq.recommenders.events.held_out import HeldOut, training_part
from logq.recommenders.events.known_log import KnownLog, lenient_codes
from logq.recommenders.events.known_log_state import known_log_from_state, known_log_state
from logq.recommenders.events.log_statistics import LogStatistics
from logq.recommenders.ranking.item_search import ItemSearch
from logq.recommenders.ranking.ranker import EvaluationWarning, RankingTest, Ties, leak
from logq.recommenders.ranking.recommendations import Recommendations
from logq.recommenders.ranking.recommending_ranker import RecommendingRanker
from logq.recommenders.ranking.requests import Unknown, allowed_items, check_unknown, is_scalar
from logq.retrieval.item_index import ItemIndex
from logq.training.automatic_settings import settle
from logq.training.callbacks import CallbackRun, Callbacks
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

    def _continue(self, grown: GrownLog, validation: HeldOut | None, options: FitOptions) -> None:
        """Learn from what a log grew by, which `known` has already; by default anew from all of it."""
        self.known.check_events(type(self).__name__)
        self._fit(grown.log, validation, options)

    @property
    def columns_known(self) -> Mapping[str, Identifiers]:
        """The values of columns of the log that the model remembers: their codes stay when it grows."""
        return {}

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
        warm: bool = False,
        callbacks: Callbacks = (),
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Self:
        """Learn from a log; called again, start from scratch. A fit that fails leaves the model as it was before.

        With `warm` a fitted model lives on: it takes in the events of `log` that it does not know, told apart by user,
        item and time as `evaluate` does, with their users and items. Those that it knows keep their codes, and new ones
        follow. Histories, counts of items and the values of features grow. Neural models start from what they learned
        and learn from the new events, with all that came before as histories, and from a share of the old ones (see
        `warm_epochs`, `warm_lr` and `replay`); the state of the optimizer starts anew, and settings that were chosen
        for the log before ("auto") stay. With `refit` they learn from the validation part as well, and measure nothing.
        The others learn anew from all events, old and new.

        Args:
            log: what users did; of a Split its `train`, and its `validation` to stop by.
            validation: what the same users did afterwards, with the ids of `log`, to stop by.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
            checkpoint: a folder where everything is saved now and then, and on Ctrl-C, so that `resume` can go on.
            checkpoint_minutes: minutes between checkpoints; 0 saves one after every batch.
            resume: continue from that checkpoint, with the same log and settings; without one, start.
            warm: go on from what was learned, with the events of `log` that are new; it need not have the others.
            callbacks: what is called after each epoch and every N updates, and may end the training with what was
                learned until then: see logq.training.Callback. Models without epochs call none.
            on_epoch: called with what `training_log` says of each epoch, before the callbacks.

        Returns:
            The recommender itself.

        Raises:
            AttributeError: `warm`, and the model is not fitted.
            ArgumentTypeError: `log` is neither.
            ValueError: there is nothing to learn from, or the checkpoint is of another log or other settings.
            FloatingPointError: training diverges; a checkpoint stays as it was.

        Example:
            >>> from logq import Popularity
            >>> model = Popularity().fit(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"], [1, 2]))
            >>> model.fit(Interactions.from_arrays(["bob", "cem", "cem"], ["cup", "nut", "tea"], [2, 3, 4]), warm=True)
            Popularity(fitted on 3 items)
            >>> model.known.item_counts().tolist()
            [2, 1, 1]
        """
        options = FitOptions(progress, checkpoint, checkpoint_minutes, resume, CallbackRun(callbacks, self, on_epoch))
        if check_bool("warm", warm):
            self._check_fitted()
        train, held_out = training_part(log, validation)
        if warm and held_out is not None and getattr(self, "refit", False):
            train, held_out = held_out.together(), None  # which it was refitted on before
        if train.num_items < 2 - warm or len(train) == 0:
            got = Verbatim(f"{len(train):,} events of {train.num_items} item{'s' * (train.num_items != 1)}")
            raise ArgumentError("log", "events of at least two items", got)
        if warm and held_out is not None:
            train, held_out = self._shared_out(train, held_out, warm=True)
        grown = self.known.grow(train, self.columns_known) if warm else None
        with options.callbacks.ending(), self._fitting():
            self._indexes, self.origin = {}, {}
            if grown is None:
                statistics = partial(LogStatistics.of, train, has_validation=held_out is not None)
                if settle(self, statistics, "log", options.progress):
                    self.__post_init__()  # checks the choices as if they had been given
                if held_out is not None:
                    train, held_out = self._shared_out(train, held_out, warm=False)
                self.known = KnownLog.of(train)
                self._fit(train, held_out, options)
            else:
                self.known = self.known.grown_by(grown)
                # What is remembered of users is more than the new log has: validation asks with that.
                self._continue(grown, None if held_out is None else HeldOut(held_out.truth, None), options)
            if not self.origin:  # as of a model without checkpoints, which have the fingerprint too
                self._learned_from(train.fingerprint())
        return self

    def _shared_out(self, train: Interactions, held_out: HeldOut, *, warm: bool) -> tuple[Interactions, HeldOut]:
        """What is learned from and what is measured on, of these parts; `warm` where the model knows some already."""
        return train, held_out

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

    def evaluate(
        self,
        data: Split | Interactions,
        *,
        ks: Sequence[int] = (10, 50),
        exclude_seen: bool = True,
        ties: Ties = "random",
        segments: bool = False,
        item_vectors: ArrayLike | Features | None = None,
        progress: bool | None = None,
    ) -> RankingScores:
        """Rank all items for each user of a test, and measure how high the user's items are.

        What cannot be found does not count: items that a user's history has, where these are left out of rankings
        (`already_had` of the scores), and events of `data` that the model was fitted with (`known_events`), so that
        a log that grew gives the numbers of what is new in it. Events are told apart by user, item and time; without
        times, the first events of a user are known if they are exactly those that the model was fitted with.

        Where processes have joined (torchrun), all of them call it: each ranks for its part of the users, or its part
        of the items for all users where tables are in parts (tables="sharded"), and all get the scores of all users.

        Args:
            data: a Split, whose `test` is measured with all that came before it as histories; or what users of the
                fitted log did afterwards.
            ks: cut-offs of the metrics.
            exclude_seen: leave out what a user's history has.
            ties: how equal scores are ranked: "random" takes an order that is always the same and knows nothing of
                the log (logq.evaluation.ranking_ties); "expected" gives the mean over all orders of equal scores.
            segments: measure parts of it as well, in `segments` of the result: "head items", the fewest that have 80 %
                of the events that the model was fitted with, and "tail items", the others; "cold users", whose
                histories are at most as long as the median, and "warm users". `about` has the numbers.
            item_vectors: what items are compared by for the diversity, in the order of `item_ids`: such as
                `model.item_vectors`, or the `item_features` of a log; None for no diversity.
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
        scores = test.measure(
            self,
            ks,
            ties=ties,
            progress=progress,
            segments=check_bool("segments", segments),
            item_vectors=item_vectors,
            together=True,
        )
        for text in filter(None, [test.remark(), leak(self.known, data) if is_split else ""]):
            warn(text, EvaluationWarning)
        return scores

    # ------------------------------------------------------------------------------------------------- save and load

    saved_for_others = MappingProxyType({"users": False})

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        users: bool = True,
        histories: bool | None = None,
        card: bool | Card = False,
    ) -> None:
        """Write the model into a folder: `model.safetensors`, which has everything, and `model.json` to read.

        Args:
            folder: where it goes.
            users: False leaves out all users: their ids, histories, features and last context. The model that is
                loaded then answers for histories that it is given.
            histories: another name of `users`.
            card: whether to write a model card beside it, README.md, which names no user and tells whether the files
                have some; or what it is to say beside what the model knows.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: the model has a vector or the sessions of each user, and cannot be without them; or there is
                a README.md that is no model card.
            OSError: a file cannot be written; what was there stays.
        """
        keep = check_bool("users", users) and (histories is None or check_bool("histories", histories))
        if keep:
            super().save(folder, card=card)
            return
        self._check_fitted()
        if self.needs_users:
            raise ArgumentError("users", f"True, as {type(self).__name__} answers from what users did", False)
        if getattr(self, "user_vectors", False):
            raise ArgumentError("users", "True, as the model has a vector of each user (user_vectors)", False)
        model = copy.copy(self)
        model._forget_users()
        super(Recommender, model).save(folder, card=card)

    def _shown_on_card(self) -> tuple[Mapping[str, int], str, int | None]:
        some = self.known.item_ids.keys[:2].tolist()
        usage = f"print(model.recommend(histories={some!r}, k=10).items)  # for who had these"
        return {"items": self.known.num_items}, usage, self.known.num_users

    def _forget_users(self) -> None:
        """Keep nothing of any user; called on a copy."""
        self.known = self.known.without_users()

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return known_log_state(self.known)

    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        self.known = known_log_from_state(info, tensors)
