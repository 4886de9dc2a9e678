"""ModelAnswers: what a model answers, several questions at once where it can."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

from logq.serving.batching import Question

__all__ = ["ModelAnswers", "number"]


class ModelAnswers(ABC):
    """A model that is served. A subclass says which questions can be asked together, and answers them.

    Attributes:
        family: "recommender", "word vectors" or "language model".

    Example:
        See logq.serving.word_answers.
    """

    family: str

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What it is, for /health."""

    @abstractmethod
    def examples(self) -> dict[str, dict[str, Any]]:
        """A question for each path that can be asked."""

    @abstractmethod
    def _alike(self, question: Question) -> Hashable:
        """What has to be equal for questions to be asked in one call."""

    @abstractmethod
    def _together(self, path: str, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to questions that are alike."""

    def answer(self, questions: Sequence[Question]) -> list[dict[str, Any] | Exception]:
        """An answer for each question, or why there is none; what is wrong with one does not touch the others."""
        answers: list[dict[str, Any] | Exception] = [LookupError()] * len(questions)
        groups: dict[Hashable, list[int]] = {}
        for place, question in enumerate(questions):
            groups.setdefault((question.path, self._alike(question)), []).append(place)
        for places in groups.values():
            for place, answer in zip(places, self._each([questions[place] for place in places]), strict=True):
                answers[place] = answer
        return answers

    def _each(self, questions: list[Question]) -> list[dict[str, Any] | Exception]:
        try:
            return [*self._together(questions[0].path, [question.asked for question in questions])]
        except Exception as error:
            if len(questions) == 1:
                return [error]
        return [answer for question in questions for answer in self._each([question])]

    def rehearse(self) -> dict[str, dict[str, Any]]:
        """Ask the examples, so that what is made at the first question is there, and give the answers by path.

        Raises:
            Exception: the model cannot answer one.
        """
        examples = self.examples()
        answers = self.answer([Question(path, asked) for path, asked in examples.items()])
        found: dict[str, dict[str, Any]] = {}
        for path, answer in zip(examples, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            found[path] = answer
        return found


def number(value: float) -> float | None:
    """A number as JSON can hold it: None instead of infinity and NaN.

    Example:
        >>> number(0.5), number(float("-inf"))
        (0.5, None)
    """
    return value if value - value == 0 else None
