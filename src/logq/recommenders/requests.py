"""Requests: from what a caller asks for to codes, and from codes to Recommendations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim
from logq.recommenders.histories import Histories
from logq.recommenders.known_log import KnownLog
from logq.retrieval.item_index import ItemIndex

__all__ = ["Recommendations", "allowed_items", "check_histories", "check_index", "is_scalar", "make_request"]


class Recommendations(NamedTuple):
    """The best items of each row, the best first.

    Args:
        items: (n, k) ids as the log has them; (k,) where one user or one item was asked for. Where filters left fewer
            than k items the rest is None (and the array one of objects).
        scores: float32, same shape; what the model ranks by. Minus infinity where there is none.

    Example:
        >>> best = Recommendations(np.array(["tea", "cup"]), np.array([0.9, 0.2], dtype=np.float32))
        >>> str(best.items[0])
        'tea'
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]


def make_request(
    known: KnownLog, users: Any, histories: Sequence[Any] | None, user_features: Mapping[str, Any] | None
) -> tuple[Histories, bool]:
    """The histories that a caller asks about, and whether it is one user.

    Args:
        known: what the recommender remembers of its log.
        users: as for Recommender.recommend.
        histories: as for Recommender.recommend.
        user_features: as for Recommender.recommend.

    Raises:
        TypeError, ValueError: as Recommender.recommend.

    Example:
        >>> from logq.logs import Interactions
        >>> known = KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"]))
        >>> make_request(known, "bob", None, None)[0].items.tolist(), make_request(known, None, ["tea"], None)[1]
        ([1], True)
    """
    single = users is not None and is_scalar(users)
    codes = None if users is None else known.user_codes([users] if single else users)
    if histories is None:
        request = known.of_codes(np.arange(known.num_users) if codes is None else codes)
    else:
        rows = list(histories)
        if single or (users is None and rows and all(is_scalar(row) for row in rows)):
            flat = not rows or is_scalar(rows[0])
            rows, single = [rows] if flat else rows, True
        if codes is not None and len(rows) != len(codes):
            raise ArgumentError("histories", f"one for each of {len(codes)} users", len(rows))
        request = known.given(rows, codes)
    if user_features is not None:
        request = _with_features(known, request, user_features)
    return request, single


def _with_features(known: KnownLog, request: Histories, raw: Mapping[str, Any]) -> Histories:
    table = known.user_features
    if table is None:
        raise ArgumentError("user_features", "none, as the model was trained without features of users")
    columns = {name: [value] if is_scalar(value) else value for name, value in raw.items()}
    encoded = {name: np.asarray(values, dtype=np.int64) for name, values in table.encode(columns).items()}
    for name, values in encoded.items():
        if len(values) != len(request):
            raise ArgumentError("user_features", f"{len(request)} values of {name!r}", len(values))
    features = {**request.features, **encoded}
    return replace(request, features=features)


def allowed_items(known: KnownLog, allow: Any) -> NDArray[np.bool_] | None:
    """A mask (C,) of the items that may be recommended, of their ids or a mask; None for all.

    Raises:
        ValueError: an id is not in the log, or a mask has another length.

    Example:
        >>> from logq.logs import Interactions
        >>> allowed_items(KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"])), ["cup"]).tolist()
        [False, True]
    """
    if allow is None:
        return None
    given = np.asarray(allow if not isinstance(allow, set | frozenset) else list(cast("Iterable[Any]", allow)))
    if given.dtype == np.bool_:
        if given.shape != (known.num_items,):
            raise ArgumentError("allow", f"a mask over {known.num_items} items", Verbatim(f"shape {given.shape}"))
        return given
    mask = np.zeros(known.num_items, dtype=np.bool_)
    mask[known.item_codes("allow", given)] = True
    return mask


def check_histories(request: Histories, name: str) -> None:
    """Check that each user has a history, for models that know users by theirs.

    Raises:
        ValueError: a history is empty, and neither features of users nor context say more.

    Example:
        >>> check_histories(Histories(np.array([5]), np.array([0, 1]), np.array([0])), "SASRec")
    """
    empty = request.lengths == 0
    if empty.any() and not (request.features or request.context):
        raise ArgumentError(
            "histories",
            "at least one item for each user",
            Verbatim(f"none for row {int(empty.argmax())}"),
            f"{name} knows users by their histories (Popularity needs none)",
        )


def check_index(index: ItemIndex, num_items: int) -> None:
    """Check that an index may hold the items of a log, to be searched by inner product.

    Raises:
        ArgumentError: it has ids that are not codes of the log, or compares by cosine.

    Example:
        >>> from logq.retrieval import ExactIndex
        >>> check_index(ExactIndex([[1.0, 0.0], [0.0, 1.0]]), num_items=2)
    """
    if index.metric != "inner_product":
        raise ArgumentError(
            "index", "an index by inner product, as index() of the model makes it", Verbatim(index.metric)
        )
    if len(index) and int(index.ids[-1]) >= num_items:
        raise ArgumentError("index", f"codes of {num_items} items", int(index.ids[-1]))


def is_scalar(value: Any) -> bool:
    """Whether a value is one id and not several.

    Example:
        >>> is_scalar("tea"), is_scalar(["tea"])
        (True, False)
    """
    return isinstance(value, str | bytes) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0
