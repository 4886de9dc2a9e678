"""From what a caller asks for to codes, and from codes to Recommendations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from logq.recommenders.histories import Histories, Seen
from logq.retrieval import ItemIndex

__all__ = ["Recommendations", "allowed_items", "check_histories", "check_index", "is_scalar", "make_request"]


class Recommendations(NamedTuple):
    """The best items of each row, the best first.

    Args:
        items: (n, k) ids as the log has them; (k,) where one user or one item was asked for. Where filters left fewer
            than k items the rest is None (and the array one of objects).
        scores: float32, same shape; what the model ranks by. Minus infinity where there is no item.

    Example:
        >>> best = Recommendations(np.array(["tea", "cup"]), np.array([0.9, 0.2], dtype=np.float32))
        >>> str(best.items[0])
        'tea'
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]


def make_request(
    seen: Seen, users: Any, histories: Sequence[Any] | None, user_features: Mapping[str, Any] | None
) -> tuple[Histories, bool]:
    """The histories that a caller asks about, and whether it is one user.

    Args:
        seen: the log.
        users: as for Recommender.recommend.
        histories: as for Recommender.recommend.
        user_features: as for Recommender.recommend.

    Raises:
        TypeError, ValueError: as Recommender.recommend.

    Example:
        >>> from logq.logs import Interactions
        >>> seen = Seen.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"]))
        >>> make_request(seen, "bob", None, None)[0].items.tolist(), make_request(seen, None, ["tea"], None)[1]
        ([1], True)
    """
    single = users is not None and is_scalar(users)
    codes = None if users is None else seen.user_codes([users] if single else users)
    if histories is None:
        request = seen.of_codes(np.arange(seen.num_users) if codes is None else codes)
    else:
        rows = list(histories)
        if single or (users is None and rows and all(is_scalar(row) for row in rows)):
            flat = not rows or is_scalar(rows[0])
            rows, single = [rows] if flat else rows, True
        if codes is not None and len(rows) != len(codes):
            raise ValueError(f"histories: expected one for each of {len(codes)} users, got {len(rows)}")
        request = seen.given(rows, codes)
    if user_features is not None:
        request = _with_features(seen, request, user_features)
    return request, single


def _with_features(seen: Seen, request: Histories, raw: Mapping[str, Any]) -> Histories:
    known = seen.user_features
    if known is None:
        raise ValueError("user_features: the model was fitted without features of users")
    columns = {name: [value] if is_scalar(value) else value for name, value in raw.items()}
    encoded = {name: np.asarray(values, dtype=np.int64) for name, values in known.encode(columns).items()}
    for name, values in encoded.items():
        if len(values) != len(request):
            raise ValueError(f"user_features: expected {len(request)} values of {name!r}, got {len(values)}")
    features = {**request.features, **encoded}
    return replace(request, features=features)


def allowed_items(seen: Seen, allow: Any) -> NDArray[np.bool_] | None:
    """A mask (C,) of the items that may be recommended, of their ids or a mask; None for all.

    Raises:
        ValueError: an id is not in the log, or a mask has another length.

    Example:
        >>> from logq.logs import Interactions
        >>> allowed_items(Seen.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"])), ["cup"]).tolist()
        [False, True]
    """
    if allow is None:
        return None
    given = np.asarray(allow if not isinstance(allow, set | frozenset) else list(cast("Iterable[Any]", allow)))
    if given.dtype == np.bool_:
        if given.shape != (seen.num_items,):
            raise ValueError(f"allow: expected a mask over {seen.num_items} items, got shape {given.shape}")
        return given
    mask = np.zeros(seen.num_items, dtype=np.bool_)
    mask[seen.item_codes("allow", given)] = True
    return mask


def check_histories(request: Histories, name: str) -> None:
    """See that a model that knows users by what they did is told something of each.

    Raises:
        ValueError: a history is empty, and neither features of users nor context say more.

    Example:
        >>> check_histories(Histories(np.array([5]), np.array([0, 1]), np.array([0])), "SASRec")
    """
    empty = request.lengths == 0
    if empty.any() and not (request.features or request.context):
        raise ValueError(
            f"histories: expected at least one item for each user, got none for row {int(empty.argmax())}; "
            f"{name} knows users by what they did (Popularity answers without it)"
        )


def check_index(index: ItemIndex, num_items: int) -> None:
    """See that an index may hold the items of a log, to be searched by inner product.

    Raises:
        ValueError: it has ids that are no codes of the log, or compares by cosine.

    Example:
        >>> from logq.retrieval import ExactIndex
        >>> check_index(ExactIndex([[1.0, 0.0], [0.0, 1.0]]), num_items=2)
    """
    if index.metric != "inner_product":
        raise ValueError(f"index: expected one by inner product, as index() of the model makes it, got {index.metric}")
    if len(index) and int(index.ids[-1]) >= num_items:
        raise ValueError(f"index: expected codes of {num_items} items, got {int(index.ids[-1])}")


def is_scalar(value: Any) -> bool:
    """Whether a value is one id and not several.

    Example:
        >>> is_scalar("tea"), is_scalar(["tea"])
        (True, False)
    """
    return isinstance(value, str | bytes) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0
