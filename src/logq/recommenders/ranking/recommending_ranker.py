"""RecommendingRanker: the best items of users, for a request and for everybody."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float, check_int, shown
from logq._progress import Progress
from logq.logs.identifiers import translated
from logq.logs.interactions import Interactions
from logq.recommenders.events.histories import Histories
from logq.recommenders.ranking.comparing_ranker import REASONS, ComparingRanker
from logq.recommenders.ranking.diversification import POOL, diversified
from logq.recommenders.ranking.item_lists import ItemLists, as_list, codes_of, is_nested, read_lists
from logq.recommenders.ranking.item_ranker import ROWS
from logq.recommenders.ranking.item_search import NUMBERS, ItemSearch
from logq.recommenders.ranking.ranker import histories_of_log
from logq.recommenders.ranking.recommendation_files import RecommendationParts, WrittenRecommendations
from logq.recommenders.ranking.recommendations import Reasons, Recommendations
from logq.recommenders.ranking.requests import (
    Request,
    Unknown,
    add_status,
    allowed_items,
    check_index,
    check_unknown,
    is_scalar,
)
from logq.retrieval.item_index import ItemIndex

__all__ = ["RecommendingRanker"]


@dataclass(frozen=True)
class Wanted:
    """What `recommend` is asked for, read once.

    Args:
        search: how many, among which items, where.
        most: number of items that there are.
        unknown: see Recommender.recommend.
        diversity: see Recommender.recommend.
        added: see Recommender.recommend.
        allow: the only items of each row; None where `search` says which.
        exclude: what is left out for each row, or None.

    Example:
        >>> Wanted(ItemSearch(10), most=1000, unknown="raise", diversity=0.5).pool
        100
    """

    search: ItemSearch
    most: int
    unknown: Unknown
    diversity: float = 0.0
    added: Mapping[int, Any] | None = None
    allow: ItemLists | None = None
    exclude: ItemLists | None = None

    @property
    def pool(self) -> int:
        """How many of the best items there have to be to choose from."""
        return min(self.most, self.search.k * (POOL if self.diversity else 1))

    @property
    def fetched(self) -> int:
        """How many have to be asked for, so that `pool` are left."""
        return min(self.most, self.pool + (0 if self.exclude is None else self.exclude.longest))

    def rows(self, what: slice | NDArray[np.bool_]) -> "Wanted":
        """The same for some rows."""

        def of(lists: ItemLists | None) -> ItemLists | None:
            if lists is None:
                return None
            return lists.part(what.start, what.stop) if isinstance(what, slice) else lists.select(what)

        return replace(self, allow=of(self.allow), exclude=of(self.exclude))


class RecommendingRanker(ComparingRanker):
    """Recommends items to users, those of a request (`recommend`) or all of them, into a file (`recommend_all`).

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Any = None,
        exclude: Any = None,
        diversity: float = 0.0,
        explain: bool | int = False,
        histories: Sequence[Any] | None = None,
        log: Interactions | None = None,
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
            allow: ids of the items that may be recommended, or a mask over `item_ids`; or candidates of each user, a
                list of ids for each, of which the best are given; None for all.
            exclude: ids of items that are left out for everybody, or a list of them for each user.
            diversity: from 0 to 1: how much an item loses by being like one that stands before it. Of the 10 k best
                items those are chosen, one after the other, for which (1 - diversity) r - diversity c is highest: r
                is the score, scaled to 0 to 1 over the 10 k, and c the highest cosine with an item chosen before, or
                what `similar_items` has instead. Scores are those of the model, and no longer descend.
            explain: name the items of the history that speak most for each item, in `reasons` of the answer: True
                names 3, a number as many; see `explain`.
            histories: item ids in order of time, a list for each user (or one list for one user), instead of what the
                log has: for users that are new, or did more since.
            log: what `users` did, and when, instead of what the model was fitted with, such as all events where that
                was a part of them; its items that the model does not know are left out.
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
        reasons_each = REASONS if explain is True else 0 if explain is False else check_int("explain", explain, 0)
        lenient = check_unknown(unknown) != "raise"
        request = self._request(users, histories, user_features, context, log, lenient=lenient)
        count = len(request.histories)
        wanted = self._wanted(count, k, exclude_seen, allow, exclude, diversity, index, added, unknown)
        scores, codes, can = self._answered(request, wanted, progress)
        reasons = None
        if reasons_each:
            named = ItemLists(np.where(can[:, None], codes, -1).ravel(), np.arange(count + 1) * codes.shape[1])
            items, values, measure = self._reasons(request.histories, named, reasons_each)
            items, values = (table.reshape(*codes.shape, reasons_each) for table in (items, values))
            reasons = Reasons(items[0], values[0], measure) if request.single else Reasons(items, values, measure)
        answer = self._named(codes, scores, request.single, request.status, added)
        return Recommendations(*answer, answer.status, reasons)

    def _wanted(
        self,
        count: int,
        k: int,
        exclude_seen: bool,
        allow: Any,
        exclude: Any,
        diversity: float,
        index: ItemIndex | None,
        added: Mapping[int, Any] | None,
        unknown: Unknown,
    ) -> Wanted:
        """Read what is asked for `count` users."""
        known, lenient = self.known, unknown != "raise"
        allow, exclude = (as_list([ids] if ids is not None and is_scalar(ids) else ids) for ids in (allow, exclude))
        check_int("k", k)
        check_bool("exclude_seen", exclude_seen)
        share = check_float("diversity", diversity, at_least=0, at_most=1)
        if index is not None:
            check_index(index, known.num_items, added)
        elif added:
            raise ArgumentError("added", "an index= beside it, to which its codes were added", dict(added))
        if share and added:
            raise ArgumentError("diversity", "0 with added items, whose vectors the model does not have", diversity)
        if is_nested(allow):
            if index is not None:
                raise ArgumentError("index", "none where allow has a list for each user, which is ranked item by item")
            mask, lists = None, read_lists(known, "allow", allow, count, lenient=lenient)
            lists = lists.without_repeats(known.num_items)
        else:
            mask, lists = allowed_items(known, allow, added), None
        left_out = None
        if is_nested(exclude):
            left_out = read_lists(known, "exclude", exclude, count, lenient=lenient, added=added)
        elif exclude is not None:
            codes = codes_of(known, "exclude", exclude, lenient=lenient, added=added)
            mask = np.ones(1 + max(known.num_items - 1, *(added or [0])), np.bool_) if mask is None else mask.copy()
            mask[codes[codes >= 0]] = False
        most = known.num_items + len(added or {})
        search = ItemSearch(min(k, most), mask, index, exclude_seen)
        return Wanted(search, most, unknown, share, added, lists, left_out)

    def _answered(
        self, request: Request, wanted: Wanted, progress: bool | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
        """Scores and codes (n, k), and which rows (n,) the model itself answers; the others are told in the status."""
        can = self.answerable(request.histories)
        if wanted.unknown == "raise" and not can.all():
            raise self._unanswerable(int(can.argmin()))
        k = wanted.search.k
        scores = np.full((len(can), k), -np.inf, dtype=np.float32)
        codes = np.full((len(can), k), -1, dtype=np.int64)
        if can.all():
            scores, codes = self._ranked(request.histories, wanted, progress)
            return scores, codes, can
        scores[can], codes[can] = self._ranked(request.histories.select(can), wanted.rows(can), progress)
        if wanted.unknown == "popular":
            others = replace(wanted.rows(~can), diversity=0.0)
            scores[~can], codes[~can] = self._ranked(request.histories.select(~can), others, False, popular=True)
        done = "popular items instead" if wanted.unknown == "popular" else "nothing recommended"
        for row in np.flatnonzero(~can).tolist():
            add_status(request.status, row, done if request.status[row] else f"nothing to rank by; {done}")
        return scores, codes, can

    def _ranked(
        self, request: Histories, wanted: Wanted, progress: bool | None, *, popular: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k) of the best items, by what the model ranks by or by what is popular."""
        k = wanted.search.k
        scores = np.empty((len(request), k), dtype=np.float32)
        codes = np.empty((len(request), k), dtype=np.int64)
        rows = min(ROWS, max(1, NUMBERS // max(1, wanted.fetched)))
        with Progress(len(request), "users", "ranking", progress) as bar, torch.no_grad():
            for begin in range(0, len(request), rows):
                part = slice(begin, min(len(request), begin + rows))
                histories, want = request.part(part.start, part.stop), wanted.rows(part)
                found = self._pool(histories, want, popular)
                if want.diversity:
                    found = diversified(*found, k, want.diversity, self._alike)
                scores[part], codes[part] = found
                bar.advance(len(histories))
        return scores, codes

    def _pool(self, part: Histories, wanted: Wanted, popular: bool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, pool) of the best items, of which k are chosen."""
        search, base = wanted.search, self.known.num_items
        if wanted.allow is None:
            search = search._replace(k=wanted.fetched)
            scores, codes = self._popular(part, search) if popular else self._rank(part, search)
            if wanted.exclude is None:
                return scores, codes
            base = 1 + max(base - 1, *(wanted.added or [0]))
            rows = np.repeat(np.arange(len(part)), codes.shape[1])
            out = wanted.exclude.has(rows, codes.ravel(), base).reshape(codes.shape)
            scores, codes = np.where(out, -np.inf, scores), np.where(out, -1, codes)
            order = np.argsort(codes < 0, axis=1, kind="stable")[:, : wanted.pool]
            return np.take_along_axis(scores, order, axis=1), np.take_along_axis(codes, order, axis=1)
        lists = wanted.allow
        left_out = ItemLists(part.items, part.offsets) if search.exclude_seen else None
        for without in filter(None, [left_out, wanted.exclude]):
            lists = lists.keeping(~without.has(lists.rows, lists.codes, base))
        if search.allow is not None:
            lists = lists.keeping(search.allow[lists.codes])
        values = self.known.popularity[lists.codes] if popular else self._scores_of(part, lists)
        order = np.lexsort((self.known.places[lists.codes], -values, lists.rows))
        rows, place = lists.rows[order], np.arange(len(order)) - lists.offsets[lists.rows]
        kept = place < wanted.pool
        scores = np.full((len(part), wanted.pool), -np.inf, dtype=np.float32)
        codes = np.full((len(part), wanted.pool), -1, dtype=np.int64)
        if popular:
            values = self.known.item_counts()[lists.codes]
        scores[rows[kept], place[kept]], codes[rows[kept], place[kept]] = values[order[kept]], lists.codes[order[kept]]
        return scores, np.where(np.isfinite(scores), codes, -1)

    def recommend_all(
        self,
        path: str | os.PathLike[str],
        k: int = 10,
        *,
        log: Interactions | None = None,
        exclude_seen: bool = True,
        allow: Any = None,
        exclude: Any = None,
        diversity: float = 0.0,
        index: ItemIndex | None = None,
        added: Mapping[int, Any] | None = None,
        unknown: Unknown = "raise",
        progress: bool | None = None,
    ) -> WrittenRecommendations:
        """Write the k best items of every user into a Parquet file, of which only a part is in memory at a time.

        The file has a row for each recommendation: `user`, `rank` (1 is the best), `item` and `score`, users in the
        order of `user_ids`. It is complete or not there: an error, Ctrl-C too, leaves what was there before.

        Args:
            path: of the file.
            k: how many items for each.
            log: the users and their histories, such as all events where the model was fitted with a part of them; its
                items that the model does not know are left out. None for those that the model was fitted with.
            exclude_seen: as for `recommend`.
            allow: ids of items or a mask, as for `recommend`.
            exclude: ids of items, as for `recommend`.
            diversity: as for `recommend`.
            index: as for `recommend`.
            added: as for `recommend`.
            unknown: about users with nothing that the model ranks by; as for `recommend`.
            progress: as for `fit`.

        Raises:
            AttributeError: the model is not fitted.
            ImportError: polars is not installed (the extra `logs`).
            ValueError: as for `recommend`; the message names the user.
            OSError: the file cannot be written.

        Example:
            >>> import tempfile
            >>> from logq import Popularity
            >>> model = Popularity().fit(Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "tea", "cup"]))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.recommend_all(f"{folder}/all.parquet", k=1, progress=False)
            WrittenRecommendations(users=2, recommendations=1, without=1)
        """
        self._check_fitted()
        check_unknown(unknown)
        allow, exclude = as_list(allow), as_list(exclude)
        for name, value in (("allow", allow), ("exclude", exclude)):
            if is_nested(value):
                raise ArgumentError(name, "ids of items for everybody", Verbatim("a list for each user"))
        known = self.known
        wanted = self._wanted(0, k, exclude_seen, allow, exclude, diversity, index, added, unknown)
        user_ids = (known if log is None else log).user_ids
        if not len(user_ids):
            raise ArgumentError("log", "what users did, as the model was saved without its users")
        ours = (
            None
            if log is None
            else (translated(log.user_ids, known.user_ids), translated(log.item_ids, known.item_ids))
        )
        without = 0
        names = _with_added(np.asarray(known.item_ids.keys), added)
        with (
            Progress(len(user_ids), "users", "recommending", progress) as bar,
            RecommendationParts(path, np.asarray(user_ids.keys), names) as parts,
        ):
            for begin in range(0, len(user_ids), ROWS):
                codes = np.arange(begin, min(len(user_ids), begin + ROWS))
                if log is None or ours is None:
                    histories = known.of_codes(codes)
                else:
                    histories = histories_of_log(log, codes, ours[0][codes], ours[1])
                    histories = replace(histories, features=known.features_of(histories.users))
                can = self.answerable(histories)
                if unknown == "raise" and not can.all():
                    who = shown(user_ids.keys_of(codes[~can][:1])[0].item())
                    hint = "unknown='popular' answers them by what is popular, unknown='ignore' leaves them out"
                    raise ArgumentError("log", "something to rank by for each user", Verbatim(f"none for {who}"), hint)
                request = Request(histories, False, np.full(len(codes), "", dtype=object))
                scores, found, _ = self._answered(request, wanted, False)
                without += int((found < 0).all(axis=1).sum())
                parts.add(codes, scores, found)
                bar.advance(len(codes))
        return WrittenRecommendations(len(user_ids), parts.recommendations, without)


def _with_added(ids: NDArray[Any], added: Mapping[int, Any] | None) -> NDArray[Any]:
    """The ids of all items by code; those between the log and the codes that were added mean nothing."""
    if not added:
        return ids
    names = np.resize(ids, 1 + max(len(ids) - 1, *added))
    if np.asarray(list(added.values())).dtype.kind != ids.dtype.kind:
        raise ArgumentError(
            "added", "ids of the type of those of the log, as a column of a file has one type", dict(added)
        )
    names = names.astype(object)
    for code, name in added.items():
        names[code] = name
    return names.astype(str) if ids.dtype.kind == "U" else names.astype(ids.dtype)
