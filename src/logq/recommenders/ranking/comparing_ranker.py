"""ComparingRanker: scores of given items, reasons for them, and users that are alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int, shown
from logq.evaluation.ranking_ties import tie_order
from logq.logs.identifiers import translated
from logq.logs.interactions import Interactions
from logq.recommenders.events.histories import Histories
from logq.recommenders.ranking.item_lists import AskedItems, ItemLists
from logq.recommenders.ranking.item_ranker import ROWS, ItemRanker
from logq.recommenders.ranking.new_items import NewItemRanker
from logq.recommenders.ranking.ranker import histories_of_log
from logq.recommenders.ranking.recommendations import Reasons, Recommendations
from logq.recommenders.ranking.requests import Request, Unknown, add_status, check_unknown, make_request
from logq.recommenders.ranking.user_search import UserSearch, UserSets, UserVectors

__all__ = ["REASONS", "ComparingRanker"]

REASONS = 3
"""Items of a history that are named where `explain` is True."""


class ComparingRanker(NewItemRanker):
    """Compares what it is given: users with items (`score`, `explain`), and users with each other (`similar_users`).

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    def _request(
        self,
        users: Any,
        histories: Sequence[Any] | None,
        user_features: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
        log: Interactions | None = None,
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
        if log is not None:
            if histories is not None:
                raise ArgumentError("log", "none beside histories", Verbatim("both"))
            old = request.histories
            codes = np.append(translated(self.known.user_ids, log.user_ids), -1)[old.users]
            there = histories_of_log(log, codes, old.users, translated(log.item_ids, self.known.item_ids))
            request = replace(request, histories=replace(there, features=old.features))
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

    def score(
        self,
        users: Any,
        items: Any,
        *,
        histories: Sequence[Any] | None = None,
        log: Interactions | None = None,
        user_features: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        unknown: Unknown = "raise",
    ) -> NDArray[np.float32]:
        """The scores of given items for users, as `recommend` ranks by them; items of a history have one too.

        Args:
            users: an id of the log, or several; None for all of them, or for those of `histories`.
            items: an id for each user, or one for all; a list of ids for each user; or one list for all in a list,
                `[[...]]`. For a single user, an id or a list of them.
            histories: as for `recommend`.
            log: as for `recommend`.
            user_features: as for `recommend`.
            context: as for `recommend`.
            unknown: as for `recommend`; unless it is "raise", unknown items have no score. Users with nothing to rank
                by have none, or with "popular" the number of events of the item.

        Returns:
            float32: (n,) where each user has one item; (n, m) where they have lists, the longest of m items. A single
            user has one row of that. NaN where there is no score.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: as for `recommend`; or there are more or fewer items than users.

        Example:
            >>> from logq import Popularity
            >>> from logq.logs import Interactions
            >>> model = Popularity().fit(Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "tea", "cup"]))
            >>> [f"{score:.1f}" for score in model.score(["ann", "bob"], ["tea", "cup"])]
            ['1.1', '0.7']
            >>> model.score(None, [["tea", "cup"]]).shape, model.score("ann", ["tea", "pot"], unknown="ignore").shape
            ((2, 2), (2,))
        """
        self._check_fitted()
        lenient = check_unknown(unknown) != "raise"
        request = self._request(users, histories, user_features, context, log, lenient=lenient)
        count = len(request.histories)
        asked = AskedItems.read(self.known, items, count, single=request.single, lenient=lenient)
        can = self.answerable(request.histories)
        if not lenient and not can.all():
            raise self._unanswerable(int(can.argmin()))
        lists = asked.lists
        scores = np.full(len(lists.codes), np.nan, dtype=np.float32)
        there = lists.codes >= 0
        mine = can[lists.rows] & there
        with torch.no_grad():
            scores[mine] = self._scores_of(request.histories, lists.keeping(mine))
        if unknown == "popular":
            rest = there & ~mine
            scores[rest] = self.known.item_counts()[lists.codes[rest]]
        return asked.arranged(scores, np.nan)

    def explain(
        self,
        users: Any,
        items: Any,
        n: int = REASONS,
        *,
        histories: Sequence[Any] | None = None,
        unknown: Unknown = "raise",
    ) -> Reasons:
        """The items of a user's history that speak most for an item.

            cosine        cos(v_j, v_i) of the vectors of both, j in the part of the history that the model reads
            contribution  what j adds to the score of i, for models whose score is a sum over the history (`ItemKNN`)

        Contributions are exact: with those of all items of the history they add up to the score.

        Args:
            users: as for `recommend`.
            items: as for `score`.
            n: how many items of the history.
            histories: as for `recommend`.
            unknown: as for `recommend`; unless it is "raise", unknown items and users without a history have no
                reasons.

        Returns:
            Reasons: ids and how much they speak for the item, (..., n), in the shape that `score` gives.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: as for `score`; or the model does not compare items.

        Example:
            >>> from logq import ItemKNN
            >>> from logq.logs import Interactions
            >>> model = ItemKNN().fit(Interactions.from_sessions([["tea", "cup"], ["tea"], ["nail", "saw"]]))
            >>> model.explain(None, "cup", n=1, histories=["saw", "tea"]).items.tolist()
            ['tea']
        """
        self._check_fitted()
        check_int("n", n)
        lenient = check_unknown(unknown) != "raise"
        request = self._request(users, histories, None, None, lenient=lenient)
        asked = AskedItems.read(self.known, items, len(request.histories), single=request.single, lenient=lenient)
        if not lenient and (request.histories.lengths == 0).any():
            raise self._unanswerable(int((request.histories.lengths == 0).argmax()))
        found = self._reasons(request.histories, asked.lists, n)
        return Reasons(asked.arranged(found.items, None), asked.arranged(found.scores, -np.inf), found.measure)

    def _reasons(self, request: Histories, asked: ItemLists, n: int) -> Reasons:
        """Reasons (e, n) for items of each row; none for those of -1, which no history speaks for."""
        scores = np.full((len(asked.codes), n), -np.inf, dtype=np.float32)
        codes = np.full((len(asked.codes), n), -1, dtype=np.int64)
        read = request.padded(getattr(self, "max_length", None) or max(1, int(request.lengths.max(initial=0))))
        sums = type(self)._contributions is not ItemRanker._contributions
        for row, history in enumerate(read):
            events = history[history >= 0]
            begin, end = int(asked.offsets[row]), int(asked.offsets[row + 1])
            at = begin + np.flatnonzero(asked.codes[begin:end] >= 0)
            if not len(events) or not len(at):
                continue
            own = np.unique(events)
            added = self._contributions(events, asked.codes[at])
            if added is None:
                values = self._alike(own, np.broadcast_to(asked.codes[at], (len(own), len(at)))).T
            else:
                values = np.zeros((len(at), len(own)), dtype=np.float64)
                np.add.at(values.T, np.searchsorted(own, events), added)
            order = np.lexsort((np.broadcast_to(self.known.places[own], values.shape), -values), axis=1)[:, :n]
            values = np.take_along_axis(values, order, axis=1)
            speaks = values != 0 if sums else np.ones_like(values, dtype=np.bool_)
            scores[at, : order.shape[1]] = np.where(speaks, values, -np.inf)
            codes[at, : order.shape[1]] = np.where(speaks, own[order], -1)
        named = self._named(codes, scores, False, np.zeros(0))
        return Reasons(named.items, named.scores, "contribution" if sums else "cosine")

    def similar_users(
        self,
        users: Any = None,
        k: int = 10,
        *,
        histories: Sequence[Any] | None = None,
        user_features: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        unknown: Unknown = "raise",
    ) -> Recommendations:
        """The k users of the log that are most like others, by the cosine of their queries, without the user itself.

            s(u, v) = max over i, j of cos(q_ui, q_vj)        models with vectors; MIND has several for each user
            s(u, v) = |I_u and I_v| / sqrt( |I_u| |I_v| )     models without, of the sets of items that users did

        Vectors of all users are made at the first call and kept, until the model is fitted again.

        Args:
            users: as for `recommend`.
            k: how many.
            histories: as for `recommend`.
            user_features: as for `recommend`.
            context: as for `recommend`.
            unknown: "raise" makes an unknown user or item, or a user with nothing to compare by, an error. "ignore"
                leaves such items out and finds nothing for such users; `status` says so.

        Returns:
            Recommendations, whose `items` are ids of users: (n, k), or (k,) for one user. They unpack: `alike, cosines
            = model.similar_users("ann")`.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: as for `recommend`; or the model was saved without its users, or answers all users alike
                (`Popularity`).

        Example:
            >>> from logq import ItemKNN
            >>> from logq.logs import Interactions
            >>> log = Interactions.from_arrays(["ann", "ann", "bob", "eve"], ["tea", "cup", "cup", "saw"])
            >>> alike, cosines = ItemKNN().fit(log).similar_users("ann", k=2)
            >>> alike.tolist(), cosines.round(2).tolist()
            (['bob', None], [0.7099999785423279, -inf])
        """
        self._check_fitted()
        check_int("k", k)
        lenient = check_unknown(unknown, ("raise", "ignore")) == "ignore"
        if not self.known.num_users:
            raise ValueError("the model was saved without its users (users=False), so that there are none to find")
        request = self._request(users, histories, user_features, context, lenient=lenient)
        can = self.answerable(request.histories)
        if not lenient and not can.all():
            raise self._unanswerable(int(can.argmin()))
        k = min(k, self.known.num_users)
        scores = np.full((len(can), k), -np.inf, dtype=np.float32)
        codes, rows = np.full((len(can), k), -1, dtype=np.int64), np.flatnonzero(can)
        with torch.no_grad():
            search = self._user_search()
            for begin in range(0, len(rows), ROWS):
                of = rows[begin : begin + ROWS]
                part = request.histories.select(np.isin(np.arange(len(can)), of))
                queries = self._user_vectors(part) if isinstance(search, UserVectors) else None
                scores[of], codes[of] = search.search(part, queries, k)
        for row in np.flatnonzero(~can).tolist():
            add_status(request.status, row, "nothing found" if request.status[row] else "no history; nothing found")
        return self._named(codes, scores, request.single, request.status, ids=self.known.user_ids)

    def _user_search(self) -> UserSearch:
        if "users" not in self._indexes:
            known = self.known
            if not self.has_vectors:
                self._indexes["users"] = UserSets(known)
            else:
                found: list[torch.Tensor] = []
                who: list[NDArray[np.int64]] = []
                for begin in range(0, known.num_users, ROWS):
                    part = known.of_codes(np.arange(begin, min(known.num_users, begin + ROWS)))
                    part = part.select(self.answerable(part))
                    if len(part):
                        who.append(part.users)
                        found.append(self._user_vectors(part).float().cpu())
                vectors = torch.cat(found).to(self.device)
                self._indexes["users"] = UserVectors(vectors, np.concatenate(who), tie_order(known.user_ids.keys))
        return self._indexes["users"]
