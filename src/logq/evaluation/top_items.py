"""From a score for each item to ranked items: the step before a ranking is measured."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_int
from logq.evaluation.relevant_items import Csr, check_csr

__all__ = ["top_items"]

Scores: TypeAlias = NDArray[np.floating[Any]]


def top_items(
    scores: Scores,  # (U, C)
    k: int,
    *,
    exclude: Csr | None = None,
) -> NDArray[np.int64]:
    """Return the k items with the highest scores of each user, best first; of equal scores the lower item first.

    Args:
        scores: one for each user and item, no NaN; -inf is never ranked. It is not changed.
        k: how long the rankings shall be.
        exclude: items that a user must not get, such as those seen before: (items, offsets), those of user u are
            items[offsets[u] : offsets[u + 1]].

    Returns:
        (U, k) int64; -1 where no item is left.

    Raises:
        TypeError: `scores` are no floating numbers, or `exclude` is no pair of whole numbers.
        ValueError: a shape does not fit, a score is NaN, or an item is none of C.

    Example:
        >>> top_items(np.array([[0.1, 0.9, 0.5, 0.5]]), 3).tolist()
        [[1, 2, 3]]
        >>> top_items(np.array([[0.1, 0.9, 0.5, 0.5]]), 3, exclude=([1, 2], [0, 2])).tolist()
        [[3, 0, -1]]
    """
    values = np.asarray(scores)
    k = check_int("k", k)
    if values.dtype.kind != "f":
        raise TypeError(f"scores: expected floating numbers, got {values.dtype}")
    if values.ndim != 2:
        raise ValueError(f"scores: expected shape (U, C), got {values.shape}")
    users, items = values.shape
    negative = np.negative(values)  # so that the first is the best
    if np.isnan(negative.max(initial=-np.inf)):
        user, item = (int(number) for number in np.argwhere(np.isnan(values))[0])
        raise ValueError(f"scores: expected numbers, got nan for user {user}, item {item}")
    if exclude is not None:
        unwanted, offsets = check_csr("exclude", exclude, users)
        wrong = unwanted[(unwanted < 0) | (unwanted >= items)]
        if len(wrong):
            raise ValueError(f"exclude: expected items from 0 to {items - 1}, got {int(wrong[0])}")
        negative[np.repeat(np.arange(users), np.diff(offsets)), unwanted] = np.inf
    ranked = np.full((users, k), -1, dtype=np.int64)
    if users and items:
        found = _lowest(negative, min(k, items))
        ranked[:, : found.shape[1]] = np.where(np.take_along_axis(negative, found, 1) == np.inf, -1, found)
    return ranked


def _lowest(values: Scores, k: int) -> NDArray[np.int64]:
    """Return the places of the k lowest values of each row, (U, k), equal ones by place."""
    if k == values.shape[1]:
        return np.argsort(values, axis=1, kind="stable")
    places = np.argpartition(values, k, axis=1)  # the first k are the lowest, and then comes the next one
    chosen = np.sort(places[:, :k], axis=1)
    lowest = np.take_along_axis(values, chosen, 1)
    order = np.argsort(lowest, axis=1, kind="stable")
    ranked = np.take_along_axis(chosen, order, 1)
    # Which of those that share the last value are among the first k is chance: such rows are sorted.
    following = np.take_along_axis(values, places[:, k : k + 1], 1)[:, 0]
    last = lowest.max(axis=1)
    tied = np.flatnonzero((following == last) & (last < np.inf))
    if len(tied):
        ranked[tied] = np.argsort(values[tied], axis=1, kind="stable")[:, :k]
    return ranked
