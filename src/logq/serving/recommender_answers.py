"""RecommenderAnswers: recommendations, similar items and users, and scores."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from logq._arguments import ArgumentError
from logq.folders.id_reading import UnknownIdError, typed_ids
from logq.folders.named_answers import named_answers
from logq.folders.recommender_folders import RecommenderFolder
from logq.recommenders.events.known_log import lenient_codes
from logq.serving.batching import Question
from logq.serving.model_answers import ModelAnswers, number

if TYPE_CHECKING:
    from logq.logs import Identifiers
    from logq.recommenders import Recommendations
    from logq.retrieval import ItemIndex

__all__ = ["RecommenderAnswers"]

_NAMED = ("user_features", "item_features", "context")
_EACH = frozenset({"user", "history", "item", "items", *_NAMED})
"""What questions of one call may differ in; user features and context in their values."""


class RecommenderAnswers(ModelAnswers):
    """What a recommender answers, with the log that it was trained from.

    Args:
        found: the model, and what lies beside it.
        indexes: of its items, where to search: one by inner product for recommendations, one by cosine for similar
            items, or none.

    Raises:
        ArgumentError: two indexes compare by the same.

    Example:
        >>> from logq import Interactions, Popularity
        >>> model = Popularity().fit(Interactions.from_sessions([["tea", "cup"], ["tea"]]))
        >>> answers = RecommenderAnswers(RecommenderFolder(model, None, None, None, {}))
        >>> answers.answer([Question("/recommend", {"history": ["cup"], "k": 1})])[0]["items"][0]["item"]
        'tea'
    """

    family = "recommender"

    def __init__(self, found: RecommenderFolder, indexes: "Sequence[ItemIndex]" = ()) -> None:
        self._found, self._model = found, found.model
        self._indexes: dict[str, ItemIndex] = {}
        for index in indexes:
            if index.metric in self._indexes:
                raise ArgumentError(
                    "index", "one index by inner product, one by cosine", [one.metric for one in indexes]
                )
            self._indexes[index.metric] = index
        for ids in (self._model.known.user_ids, *([] if found.log is None else [found.log.user_ids])):
            lenient_codes(ids, ids.keys[:1].tolist())  # sorts them, which the first question would wait for

    @property
    def about(self) -> dict[str, Any]:
        """What it is, for /health."""
        known = self._model.known
        return {
            "model": type(self._model).__name__,
            "items": known.num_items,
            "users": known.num_users if self._found.log is None else self._found.log.num_users,
            "indexes": [f"{index.kind} by {index.metric}" for index in self._indexes.values()],
        }

    def examples(self) -> dict[str, dict[str, Any]]:
        """A question for each path, of items and never of a user."""
        items = self._model.item_ids[:3].tolist()
        return {
            "/recommend": {"history": items[:2], "k": 3, "unknown": "popular"},
            "/similar": {"item": items[0], "k": 3},
            "/score": {"history": items[:1], "items": items[1:] or items, "unknown": "popular"},
        }

    def _alike(self, question: Question) -> Hashable:
        asked, path = question.asked, question.path
        same = {name: _frozen(value) for name, value in asked.items() if name not in _EACH}
        named = {
            name: frozenset(asked[name]) for name in ("user_features", "item_features", "context") if name in asked
        }
        whom = next((name for name in ("user", "history", "item", "item_features") if name in asked), "")
        if path == "/recommend" and "exclude" in asked and not self._indexes:
            same["exclude"] = True  # a list for each, of which exact search finds the same
        in_log = whom == "user" and path != "/similar" and self._log_of(asked) is not None
        return (whom, in_log, frozenset(same.items()), frozenset(named.items()))

    def _together(self, path: str, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        ask = {"/recommend": self._recommend, "/similar": self._similar, "/score": self._score}[path]
        return ask(asked)

    # -------------------------------------------------------------------------------------------------- the questions

    def _recommend(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        first = asked[0]
        options: dict[str, Any] = {
            name: first[name] for name in ("k", "exclude_seen", "diversity", "explain", "unknown") if name in first
        }
        if "allow" in first:
            options["allow"] = self._ids("item", first["allow"], first)
        if "exclude" in first:
            each = [self._ids("item", one["exclude"], one) for one in asked]
            options["exclude"] = each[0] if self._indexes else each
        answer = self._model.recommend(
            self._users(asked), index=self._indexes.get("inner_product"), **self._whose(asked), **options
        )
        return [{"items": self._named(answer, row, "score"), **_status(answer, row)} for row in range(len(asked))]

    def _similar(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        first = asked[0]
        options: dict[str, Any] = {name: first[name] for name in ("k", "unknown") if name in first}
        if "user" in first:
            answer = self._model.similar_users(self._users(asked), **options)
            return [
                {"users": self._named(answer, row, "cosine", "user"), **_status(answer, row)}
                for row in range(len(asked))
            ]
        if "allow" in first:
            options["allow"] = self._ids("item", first["allow"], first)
        if "item" in first:
            items = [one for each in asked for one in self._ids("item", [each["item"]], each)]
            answer = self._model.similar_items(items, index=self._indexes.get("cosine"), **options)
        else:
            features = _columns(asked, "item_features")
            answer = self._model.similar_items(item_features=features, index=self._indexes.get("cosine"), **options)
        return [{"items": self._named(answer, row, "cosine"), **_status(answer, row)} for row in range(len(asked))]

    def _score(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        unknown = asked[0].get("unknown", "raise")
        items = [self._ids("item", one["items"], one) for one in asked]
        scores = self._model.score(self._users(asked), items, unknown=unknown, **self._whose(asked))
        return [
            {
                "scores": [
                    {"item": item, "score": number(value), **self._titled(item)}
                    for item, value in zip(several, row, strict=False)
                ]
            }
            for several, row in zip(items, scores.tolist(), strict=True)
        ]

    # ---------------------------------------------------------------------------------------------- what is asked about

    def _users(self, asked: Sequence[dict[str, Any]]) -> list[Any] | None:
        if "user" not in asked[0]:
            return None
        return [one for each in asked for one in self._ids("user", [each["user"]], each)]

    def _whose(self, asked: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Histories, features and contexts."""
        given: dict[str, Any] = {}
        if "history" in asked[0]:
            given["histories"] = [self._ids("item", one["history"], one) for one in asked]
        elif self._log_of(asked[0]) is not None:
            given["log"] = self._found.log
        for name in ("user_features", "context"):
            if name in asked[0]:
                given[name] = _columns(asked, name)
        return given

    def _log_of(self, asked: Mapping[str, Any]) -> Any:
        """The log beside the model, where it has the user who is asked about; else the model's own memory answers."""
        log = self._found.log
        if log is None or "user" not in asked:
            return None
        return log if lenient_codes(log.user_ids, _read(log.user_ids, [asked["user"]]))[0] >= 0 else None

    def _ids(self, what: str, raw: Sequence[Any], asked: Mapping[str, Any]) -> list[Any]:
        """Ids as the log has them.

        Raises:
            UnknownIdError: one is not in the log, and is not to be ignored.
        """
        known = self._model.known.user_ids if what == "user" else self._model.known.item_ids
        found = _read(known, raw)
        if asked.get("unknown", "raise") == "raise":
            wrong = np.flatnonzero(lenient_codes(known, found) < 0)
            if len(wrong):
                raise UnknownIdError(known, str(raw[wrong[0]]), what, self._found.titles if what == "item" else None)
        return found

    # ------------------------------------------------------------------------------------------------------ the answers

    def _named(self, answer: "Recommendations", row: int, score: str, finds: str = "item") -> list[dict[str, Any]]:
        return named_answers(self._found, answer, row, score, finds)

    def _titled(self, item: Any) -> dict[str, str]:
        return {} if self._found.titles is None else {"title": self._found.title(item)}


def _status(answer: "Recommendations", row: int) -> dict[str, str]:
    status = str(answer.status[row])
    return {"status": status} if status else {}


def _columns(asked: Sequence[dict[str, Any]], name: str) -> dict[str, list[Any]]:
    """Values by name, one for each question."""
    return {column: [one[name][column] for one in asked] for column in asked[0][name]}


def _frozen(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value


def _read(ids: "Identifiers", raw: Sequence[Any]) -> list[Any]:
    """Ids of JSON as the log has them: numbers where it has numbers, text where it has text."""
    return typed_ids(ids, [str(one) for one in raw])
