"""WordAnswers: neighbors of words, analogies, and similarities."""

import functools
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from logq.serving.batching import Question
from logq.serving.model_answers import ModelAnswers
from logq.serving.word_search import SharedSearch

if TYPE_CHECKING:
    from logq.retrieval import ItemIndex
    from logq.vectors import KeyedVectors

__all__ = ["WordAnswers"]


class WordAnswers(ModelAnswers):
    """What word vectors answer.

    Args:
        vectors: the words.
        index: of these vectors by cosine, where to search; None looks at all words.

    Raises:
        ArgumentError: the index is of others.

    Example:
        >>> from logq import KeyedVectors
        >>> answers = WordAnswers(KeyedVectors(["tea", "coffee", "rail"], [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]))
        >>> answers.answer([Question("/neighbors", {"word": "tea", "k": 1})])[0]["neighbors"][0]["word"]
        'coffee'
    """

    family = "word vectors"

    def __init__(self, vectors: "KeyedVectors", index: "ItemIndex | None" = None) -> None:
        self._vectors, self._index = vectors, index
        self._shared = SharedSearch(vectors)

    @property
    def about(self) -> dict[str, Any]:
        """What it is, for /health."""
        words, dim = self._vectors.vectors.shape
        return {"model": "KeyedVectors", "words": words, "dim": dim, "indexes": _named(self._index)}

    def examples(self) -> dict[str, dict[str, Any]]:
        """A question for each path."""
        word, *more = self._vectors.index_to_key[:3]
        return {"/neighbors": {"word": word, "k": 3}, "/score": {"pairs": [[word, (more or [word])[0]]]}}

    def _alike(self, question: Question) -> Hashable:
        return question.asked.get("restrict_vocab")

    def _together(self, path: str, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        if path == "/score":
            return [self._score(one) for one in asked]
        if self._index is not None or len(asked) == 1 or not self._shared.is_sure:
            found = [self._nearest(one, self._index) for one in asked]
        else:
            asking = [functools.partial(self._nearest, one) for one in asked]
            found = self._shared.ask(asking, asked[0].get("restrict_vocab"))
        return [{"neighbors": [{"word": word, "cosine": cosine} for word, cosine in nearest]} for nearest in found]

    def _nearest(self, asked: dict[str, Any], index: Any) -> list[tuple[str, float]]:
        positive = [asked["word"]] if "word" in asked else [_term(term) for term in asked.get("positive", ())]
        negative = [_term(term) for term in asked.get("negative", ())]
        k, first = asked.get("k", 10), asked.get("restrict_vocab")
        return self._vectors.most_similar(positive, negative, k, restrict_vocab=first, index=index)

    def _score(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "scores": [
                {"words": [first, second], "cosine": float(self._vectors.similarity(first, second))}
                for first, second in asked["pairs"]
            ]
        }


def _term(term: Any) -> Any:
    return term if isinstance(term, str) else np.asarray(term, dtype=np.float64)


def _named(index: "ItemIndex | None") -> list[str]:
    return [] if index is None else [f"{index.kind} by {index.metric}"]
