"""Answers of a recommender as JSON has them: ids with scores, titles and reasons."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logq.folders.recommender_folders import RecommenderFolder
    from logq.recommenders import Recommendations

__all__ = ["named_answers", "reasons_of"]


def named_answers(
    found: "RecommenderFolder", answer: "Recommendations", row: int, score: str, finds: str = "item"
) -> list[dict[str, Any]]:
    """The answers to one question, the best first.

    Args:
        found: the model, with titles.
        answer: of the model, to several questions.
        row: which of them.
        score: what it is called: "score" or "cosine".
        finds: "item" or "user", what the answers are.

    Returns:
        {finds: id, score: number} of each, with "title" where items have titles, and with "because" where reasons were
        asked for.

    Example:
        >>> from logq import Interactions, Popularity
        >>> from logq.folders.recommender_folders import RecommenderFolder
        >>> model = Popularity().fit(Interactions.from_sessions([["tea", "cup"], ["tea"]]))
        >>> found = RecommenderFolder(model, None, None, ["Green tea", "A cup"], {})
        >>> answer = model.recommend(histories=[["cup"]], k=1)
        >>> [(one["item"], one["title"]) for one in named_answers(found, answer, 0, "score")]
        [('tea', 'Green tea')]
    """
    titled = found.titles is not None and finds == "item"

    def named(one: Any, value: float, what: str) -> dict[str, Any]:
        return {finds: one, what: value, **({"title": found.title(one)} if titled else {})}

    measure = None if answer.reasons is None else answer.reasons.measure
    several = zip(answer.items[row].tolist(), answer.scores[row].tolist(), reasons_of(answer, row), strict=True)
    return [
        {
            **named(one, value, score),
            **({} if measure is None else {"because": [named(j, by, measure) for j, by in why]}),
        }
        for one, value, why in several
        if one is not None
    ]


def reasons_of(answer: "Recommendations", row: int) -> list[list[tuple[Any, float]]]:
    """The items of the history that speak for each item of an answer, and how much; none where nobody asked."""
    if answer.reasons is None:
        return [[] for _ in answer.items[row]]
    several = zip(answer.reasons.items[row].tolist(), answer.reasons.scores[row].tolist(), strict=True)
    return [[(j, by) for j, by in zip(*both, strict=True) if j is not None] for both in several]
