"""Recommendations: what is answered to a request, and the reasons for it."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq.tables.notebook_html import ROWS, grid, result_html
from logq.tables.short_texts import ranked, result_text

__all__ = ["Reasons", "Recommendations"]

SHOWN = 10
"""Items of a row that a notebook shows."""


class Reasons(NamedTuple):
    """The items of a history that speak most for other items, the first the most.

    Args:
        items: (..., n) ids of items of the history; None where it has no more that speak for an item.
        scores: (..., n) float32, how much they do; minus infinity where there is none.
        measure: what that is: "cosine" of the vectors of both items, as `similar_items` has it; or "contribution",
            where a score is a sum over the history: what the item adds to it, for all of its events.

    Example:
        >>> items, cosines, measure = Reasons(np.array(["tea"]), np.array([0.9], dtype=np.float32), "cosine")
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]
    measure: Literal["cosine", "contribution"]

    def __repr__(self) -> str:
        return result_text(self, f"{self.measure}: {ranked(self.items, self.scores)}")

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns that `logq.to_frame` makes a table of: a row for each item that speaks for another.

        Example:
            >>> Reasons(np.array(["tea"]), np.array([0.5], dtype=np.float32), "cosine").to_columns()
            {'rank': array([1]), 'item': array(['tea'], dtype='<U3'), 'cosine': array([0.5], dtype=float32)}
        """
        found = np.asarray(self.scores) > -np.inf
        places = np.nonzero(found)
        rows = ("row", "place")[: len(places) - 1]
        return {
            **dict(zip(rows, places, strict=False)),
            "rank": places[-1] + 1,
            "item": np.asarray(self.items)[found],
            self.measure: np.asarray(self.scores)[found],
        }

    _repr_html_ = result_html


class _Ranking(NamedTuple):
    items: NDArray[Any]
    scores: NDArray[np.float32]


class Recommendations(_Ranking):
    """The best items of each row, the best first. It unpacks into `items` and `scores`.

    Args:
        items: (n, k) ids as the log has them; (k,) where one user or one item was asked for. Where filters left fewer
            than k items the rest is None (and the array one of objects).
        scores: float32, same shape; what the model ranks by. Minus infinity where there is none.
        status: (n,) what happened to each row, or a string for one: "" where it was answered as it was asked, else such
            as "unknown user: nothing" or "1 unknown item left out".
        reasons: the items of the history that speak most for each item, (n, k, r) or (k, r); None where nobody asked.

    Example:
        >>> best = Recommendations(np.array(["tea", "cup"]), np.array([0.9, 0.2], dtype=np.float32))
        >>> str(best.items[0])
        'tea'
        >>> items, scores = best
    """

    status: Any
    reasons: Reasons | None

    def __new__(
        cls, items: NDArray[Any], scores: NDArray[np.float32], status: Any = None, reasons: Reasons | None = None
    ) -> Self:
        """See the class."""
        made = super().__new__(cls, items, scores)
        made.reasons = reasons
        made.status = status if status is not None else "" if items.ndim == 1 else np.full(len(items), "", dtype=object)
        return made

    def __repr__(self) -> str:
        odd = np.atleast_1d(np.asarray(self.status, dtype=object)) != ""
        return result_text(
            self, ranked(self.items, self.scores), f"{int(odd.sum()):,} with a status" if odd.any() else ""
        )

    def _repr_html_(self) -> str:
        if self.items.ndim == 1:
            return result_html(self)
        rows, most = (
            list(zip(self.items[:ROWS], self.scores[:ROWS], self.status[:ROWS], strict=True)),
            self.items.shape[1],
        )
        lines = [
            [str(number), *(_cell(*one) for one in zip(items[:SHOWN], scores[:SHOWN], strict=True)), str(status)]
            for number, (items, scores, status) in enumerate(rows)
        ]
        left = len(self.items) - len(rows)
        caption = f"{left:,} more rows: logq.to_frame has them" if left else ""
        return grid(["row", *(f"{rank + 1}" for rank in range(min(most, SHOWN))), "status"], lines, caption)

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns that `logq.to_frame` makes a table of: a row for each item, none for an empty place.

        Example:
            >>> best = Recommendations(np.array(["tea", None]), np.array([0.9, -np.inf], dtype=np.float32))
            >>> {name: values.tolist() for name, values in best.to_columns().items()}
            {'rank': [1], 'item': ['tea'], 'score': [0.8999999761581421], 'status': ['']}
        """
        found = np.asarray(self.scores) > -np.inf
        places = np.nonzero(found)
        columns: dict[str, NDArray[Any]] = {} if found.ndim == 1 else {"row": places[0]}
        status = np.asarray(self.status, dtype=object)
        columns |= {
            "rank": places[-1] + 1,
            "item": self.items[found],
            "score": self.scores[found],
            "status": np.broadcast_to(status[..., None], found.shape)[found],
        }
        for number in range(0 if self.reasons is None else self.reasons.items.shape[-1]):
            assert self.reasons is not None
            columns[f"reason_{number + 1}"] = self.reasons.items[..., number][found]
            columns[f"{self.reasons.measure}_{number + 1}"] = self.reasons.scores[..., number][found]
        return columns


def _cell(item: Any, score: float) -> str:
    return f"{item} ({score:.3g})" if score > -np.inf else ""
