"""TextAnswers: next words, probabilities of texts, and texts from a language model."""

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from logq.serving.batching import Question
from logq.serving.model_answers import ModelAnswers, number

if TYPE_CHECKING:
    from logq.language_models import LanguageModel

__all__ = ["TextAnswers"]


class TextAnswers(ModelAnswers):
    """What a language model answers.

    Args:
        model: the model.

    Example:
        >>> from logq import NGram
        >>> answers = TextAnswers(NGram(2, "add_k").fit([["a", "rose", "is", "a", "rose"]], progress=False))
        >>> answers.answer([Question("/next", {"prompt": "a", "k": 1})])[0]["words"][0]["word"]
        'rose'
    """

    family = "language model"

    def __init__(self, model: "LanguageModel") -> None:
        self._model = model

    @property
    def about(self) -> dict[str, Any]:
        """What it is, for /health."""
        return {"model": type(self._model).__name__, "words": len(self._model.vocabulary)}

    def examples(self) -> dict[str, dict[str, Any]]:
        """A question for each path."""
        words = [word for word in self._model.vocabulary.index_to_key if word not in ("</s>", "<unk>", "<s>")][:2]
        prompt = " ".join(words[:1])
        return {
            "/next": {"prompt": prompt, "k": 3},
            "/score": {"text": " ".join(words)},
            "/generate": {"prompt": prompt, "max_words": 5, "seed": 1},
        }

    def _alike(self, question: Question) -> Hashable:
        return None

    def _together(self, path: str, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        ask = {"/next": self._next, "/score": self._score, "/generate": self._generate}[path]
        return [ask(one) for one in asked]

    def _next(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._model.next_words(asked.get("prompt", ""), asked.get("k", 10))
        words = zip(found.words, found.log_prob.tolist(), strict=True)
        return {
            "words": [
                {"word": word, "probability": math.exp(log_prob), "log_prob": number(log_prob)}
                for word, log_prob in words
            ],
            "unknown": self._unknown(asked.get("prompt", "")),
        }

    def _score(self, asked: dict[str, Any]) -> dict[str, Any]:
        words = self._model.log_probs(asked["text"], end=asked.get("end", True))
        total = math.fsum(log_prob for _, log_prob in words)
        perplexity = math.exp(min(-total / len(words), 700)) if words and math.isfinite(total) else None
        return {
            "log_prob": number(total),
            "perplexity": perplexity,
            "words": [{"word": word, "log_prob": number(log_prob)} for word, log_prob in words],
            "unknown": self._unknown(asked["text"]),
        }

    def _generate(self, asked: dict[str, Any]) -> dict[str, Any]:
        options = {name: asked[name] for name in ("max_words", "temperature", "top_k", "seed") if name in asked}
        prompt = asked.get("prompt", "")
        return {"text": self._model.generate(prompt, **options), "unknown": self._unknown(prompt)}

    def _unknown(self, text: str) -> list[str]:
        """The words that the model does not know, which count as <unk>."""
        known = self._model.vocabulary
        return [word for word in dict.fromkeys(text.split()) if word not in known]
