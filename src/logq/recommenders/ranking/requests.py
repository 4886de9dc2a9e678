"""Requests: from what a caller asks for to codes, and from codes to Recommendations."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, shown
from logq.logs.features import Features
from logq.recommenders.events.histories import Histories
from logq.recommenders.events.known_log import KnownLog, lenient_codes
from logq.retrieval.item_index import ItemIndex

__all__ = [
    "Request",
    "Unknown",
    "add_status",
    "allowed_items",
    "check_index",
    "check_unknown",
    "encoded_features",
    "is_scalar",
    "make_request",
    "unknown_values",
]

Unknown: TypeAlias = Literal["raise", "ignore", "popular"]
"""What is done about a row that cannot be answered as it was asked: unknown users, unknown items, empty histories."""

UNKNOWN_USER = "unknown user"


@dataclass(frozen=True)
class Request:
    """What a caller asks about.

    Args:
        histories: of each row.
        single: whether it is one user, who gets one row back.
        status: (n,) of objects, what was unknown of each row, "" where nothing was.

    Example:
        >>> nobody = Histories(np.array([5]), np.array([0, 1]), np.array([-1]))
        >>> len(Request(nobody, True, np.array([""], dtype=object)).histories)
        1
    """

    histories: Histories
    single: bool
    status: NDArray[Any]


def check_unknown(value: object, choices: Sequence[str] = ("raise", "ignore", "popular")) -> Any:
    """Return what is to be done about unknown users and items.

    Raises:
        ArgumentError: it is none of the choices.
    """
    if value not in choices:
        raise ArgumentError("unknown", f"one of {', '.join(map(repr, choices))}", value)
    return value


def make_request(
    known: KnownLog,
    users: Any,
    histories: Sequence[Any] | None,
    user_features: Mapping[str, Any] | None,
    *,
    features_read: Collection[str] = (),
    reader: str = "the model",
    lenient: bool = False,
) -> Request:
    """The histories that a caller asks about.

    Args:
        known: what the recommender remembers of its log.
        users: as for Recommender.recommend.
        histories: as for Recommender.recommend.
        user_features: as for Recommender.recommend.
        features_read: the features of users that the model reads.
        reader: what the model is called.
        lenient: whether unknown users and items are told in `status` instead of raised.

    Raises:
        TypeError, ValueError: as Recommender.recommend.

    Example:
        >>> from logq.logs import Interactions
        >>> known = KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"]))
        >>> request = make_request(known, "bob", None, None)
        >>> request.histories.items.tolist(), request.single, make_request(known, None, ["tea"], None).single
        ([1], True, True)
        >>> make_request(known, None, [["tea", "gold"], None], None, lenient=True).status.tolist()
        ['1 unknown item left out', '']
    """
    single = users is not None and is_scalar(users)
    asked: Any = [users] if single else users
    rows = None if histories is None else list(histories)
    if rows is not None and (single or (users is None and rows and all(is_scalar(row) for row in rows))):
        flat = not rows or is_scalar(rows[0])
        rows, single = [rows] if flat else rows, True
    codes = None
    if asked is not None:
        codes = lenient_codes(known.user_ids, asked) if lenient else known.user_codes(asked)
        if rows is not None and len(rows) != len(codes):
            raise ArgumentError("histories", f"one for each of {len(codes)} users", len(rows))
    if rows is None:
        request = known.of_codes(np.arange(known.num_users) if codes is None else codes)
        unknown_items = np.zeros(len(request), dtype=np.int64)
    else:
        request, unknown_items = known.read(rows, codes, lenient=lenient)
    status = _status(codes, unknown_items)
    if user_features is not None:
        request = _with_features(known, request, user_features, features_read, reader, status)
    return Request(request, single, status)


def _status(users: NDArray[np.int64] | None, unknown_items: NDArray[np.int64]) -> NDArray[Any]:
    """What was unknown of each row (n,)."""
    status = np.full(len(unknown_items), "", dtype=object)
    for row in np.flatnonzero(users < 0).tolist() if users is not None else []:
        status[row] = UNKNOWN_USER
    for row in np.flatnonzero(unknown_items).tolist():
        count = int(unknown_items[row])
        add_status(status, row, f"{count} unknown item{'' if count == 1 else 's'} left out")
    return status


def add_status(status: NDArray[Any], row: int, text: str) -> None:
    """Say one thing more of a row.

    Example:
        >>> status = np.array(["unknown user"], dtype=object)
        >>> add_status(status, 0, "nothing")
        >>> status[0]
        'unknown user; nothing'
    """
    status[row] = f"{status[row]}; {text}" if status[row] else text


def _with_features(
    known: KnownLog,
    request: Histories,
    raw: Mapping[str, Any],
    read: Collection[str],
    reader: str,
    status: NDArray[Any],
) -> Histories:
    if known.user_features is None:
        raise ArgumentError("user_features", "none, as the model was trained without features of users")
    if not read:
        raise ArgumentError("user_features", f"none, as {reader} reads no features of users")
    encoded, unknown = encoded_features("user_features", known.user_features, raw)
    for name, values in encoded.items():
        if len(values) != len(request):
            raise ArgumentError("user_features", f"{len(request)} values of {name!r}", len(values))
    for name, row, value in unknown:
        add_status(status, row, f"{shown(value)} is unknown as {name!r}")
    return replace(request, features={**request.features, **encoded})


def encoded_features(
    name: str, table: Features, raw: Mapping[str, Any], *, dense: bool = False
) -> tuple[dict[str, NDArray[Any]], list[tuple[str, int, Any]]]:
    """Codes of raw values of features, which the caller's argument `name` gives, and the values that nothing has.

    Args:
        name: of the argument.
        table: the features that are known.
        raw: by feature.
        dense: whether features that are vectors count too.

    Returns:
        (n,) or (n, width) codes by feature, or (n, width) floats, and (feature, row, value) of each value that is
        there, but is unknown.

    Raises:
        TypeError: values of another type than those of the log.
        ValueError: there is no such feature.

    Example:
        >>> from logq.logs import Identifiers
        >>> table = Features.from_frame({"item": [10], "kind": ["tea"]}, Identifiers([10]))
        >>> codes, unknown = encoded_features("item_features", table, {"kind": ["tea", "gold", None]})
        >>> codes["kind"].tolist(), unknown
        ([1, 0, 0], [('kind', 1, 'gold')])
    """
    names = [*table.names, *(table.dense if dense else ())]
    strange = next((feature for feature in raw if feature not in names), None)
    if strange is not None:
        hint = f"{strange!r} has vectors, which no model learns from yet" if strange in table.dense else ""
        raise ArgumentError(name, ", ".join(names) or "none", strange, hint)
    columns = {feature: [value] if is_scalar(value) else value for feature, value in raw.items()}
    if not columns:
        raise ArgumentError(name, f"some of {', '.join(names)}", Verbatim("none"))
    found = table.encode(columns)
    encoded: dict[str, NDArray[Any]] = {
        feature: np.asarray(found[feature], dtype=np.int64) if feature in table.values else found[feature]
        for feature in names
    }
    return encoded, [
        (feature, row, value)
        for feature, values in columns.items()
        if feature in table.values
        for row, value in unknown_values(values, encoded[feature])
    ]


def unknown_values(
    values: Any,  # (n,) raw
    codes: NDArray[np.int64],  # (n,) or (n, width)
) -> list[tuple[int, Any]]:
    """The position and the value of each one that is there, but has no code.

    Example:
        >>> unknown_values(["tea", None, "gold"], np.array([1, 0, 0]))
        [(2, 'gold')]
    """
    without = codes <= 0 if codes.ndim == 1 else (codes <= 0).all(axis=1)
    if not without.any():
        return []
    rows = list(values)
    return [(row, rows[row]) for row in np.flatnonzero(without).tolist() if not _is_missing(rows[row])]


def _is_missing(value: Any) -> bool:
    if isinstance(value, str | list | tuple | set | frozenset | np.ndarray):
        return len(value) == 0
    return value is None or bool(value != value)


def allowed_items(known: KnownLog, allow: Any, added: Mapping[int, Any] | None = None) -> NDArray[np.bool_] | None:
    """A mask of the items that may be recommended, of their ids or a mask (C,); None for all.

    Args:
        known: what the recommender remembers of its log.
        allow: as for Recommender.recommend.
        added: codes beyond C, and their ids; the mask is as long as the largest wants. A mask that was given says
            nothing of them, and they are not allowed.

    Raises:
        ValueError: an id is not in the log, or a mask has another length.

    Example:
        >>> from logq.logs import Interactions
        >>> allowed_items(KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"])), ["cup"]).tolist()
        [False, True]
    """
    if allow is None:
        return None
    raw: Any = list(cast("Iterable[Any]", allow)) if isinstance(allow, set | frozenset) or added else allow
    given = np.asarray(raw)
    mask = np.zeros(1 + max(known.num_items - 1, *(added or [0])), dtype=np.bool_)
    if given.dtype == np.bool_:
        if given.shape != (known.num_items,):
            raise ArgumentError("allow", f"a mask over {known.num_items} items", Verbatim(f"shape {given.shape}"))
        mask[: known.num_items] = given
        return mask
    of_added = {name: code for code, name in (added or {}).items()}
    if of_added:  # whose ids may be of another type than those of the log
        mask[[of_added[value] for value in raw if value in of_added]] = True
        given = [value for value in raw if value not in of_added]
    if len(given):
        mask[known.item_codes("allow", given)] = True
    return mask


def check_index(index: ItemIndex, num_items: int, added: Mapping[int, Any] | None = None) -> None:
    """Check that an index may hold the items of a log, to be searched by inner product.

    Args:
        index: the index.
        num_items: C.
        added: codes beyond C that were added to the index, and their ids.

    Raises:
        ArgumentError: it has ids that are neither codes of the log nor named, or compares by cosine.

    Example:
        >>> from logq.retrieval import ExactIndex
        >>> check_index(ExactIndex([[1.0, 0.0], [0.0, 1.0]]), num_items=2)
    """
    if index.metric != "inner_product":
        raise ArgumentError(
            "index", "an index by inner product, as index() of the model makes it", Verbatim(index.metric)
        )
    wrong = next((code for code in added or {} if code < num_items), None)
    if wrong is not None:
        raise ArgumentError("added", f"codes from {num_items} on, which come after those of the log", wrong)
    ids = index.ids.numpy()
    beyond = ids[np.searchsorted(ids, num_items) :].tolist()
    unnamed = next((code for code in beyond if code not in (added or {})), None)
    if unnamed is not None:
        hint = f"added={{{unnamed}: its id}} names an item that was added"
        raise ArgumentError("index", f"codes of {num_items} items", unnamed, hint)


def is_scalar(value: Any) -> bool:
    """Whether a value is one id and not several.

    Example:
        >>> is_scalar("tea"), is_scalar(["tea"])
        (True, False)
    """
    return isinstance(value, str | bytes) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0
