"""WordAnswers: neighbors of words, analogies, and similarities."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from logq.serving.batching import Question
from logq.serving.model_answers import ModelAnswers

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
        return None

    def _together(self, path: str, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self._neighbors(one) if path == "/neighbors" else self._score(one) for one in asked]

    def _neighbors(self, asked: dict[str, Any]) -> dict[str, Any]:
        positive = [asked["word"]] if "word" in asked else [_term(term) for term in asked.get("positive", ())]
        negative = [_term(term) for term in asked.get("negative", ())]
        k, first = asked.get("k", 10), asked.get("restrict_vocab")
        found = self._vectors.most_similar(positive, negative, k, restrict_vocab=first, index=self._index)
        return {"neighbors": [{"word": word, "cosine": cosine} for word, cosine in found]}

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
