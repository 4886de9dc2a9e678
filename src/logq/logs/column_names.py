"""Recognizing the columns of a log by their usual names."""

import re
from collections.abc import Iterable, Mapping, Sequence

from logq._arguments import ArgumentError

__all__ = ["guess_columns", "plain_name", "unknown_column"]

# Lower case, without underscores, spaces and the types of RecBole's headers (user_id:token).
_USUAL = {
    "user": ("userid", "user", "uid", "reviewerid", "visitorid", "customerid", "memberid", "u"),
    "item": (
        "itemid", "item", "iid", "movieid", "asin", "parentasin", "productid", "articleid", "trackid", "songid",
        "artistid", "bookid", "newsid", "videoid", "goodsid", "skuid", "itemref", "product", "movie", "i",
    ),
    "time": (
        "timestamp", "ts", "time", "unixreviewtime", "datetime", "date", "eventtime", "timems", "createdat", "t",
    ),
    "label": ("rating", "label", "score", "stars", "overall"),
    "session": ("sessionid", "session", "sid"),
}  # fmt: skip


def plain_name(name: str) -> str:
    """Return the name of a column without the type that RecBole's headers append.

    Example:
        >>> plain_name("user_id:token")
        'user_id'
    """
    return re.sub(r":(token|token_seq|float|float_seq)$", "", name.strip())


def unknown_column(argument: str, name: object, names: Iterable[object]) -> ArgumentError:
    """Return the error for an argument that names a column which does not exist.

    Example:
        >>> print(unknown_column("columns", "size", ["user", "item"]))
        columns: expected some of 'user', 'item', got 'size'
    """
    known = ", ".join(map(repr, names))
    return ArgumentError(argument, f"some of {known}" if known else "none, as there are no such columns", name)


def guess_columns(
    names: Sequence[str], asked: Mapping[str, "str | int | bool | None"]
) -> tuple[dict[str, str], list[str]]:
    """Find the columns of users, items, times, labels and sessions.

    Args:
        names: all columns.
        asked: for each of the five what the caller gave: a name, a position, None (guess), or False (there is none).

    Returns:
        The column of each that was asked for or found, and a note for each guess.

    Raises:
        ArgumentError: a column that was asked for does not exist, or neither an item nor a user or session is found.

    Example:
        >>> guess_columns(["userId", "movieId", "ts"], {})[0]
        {'user': 'userId', 'item': 'movieId', 'time': 'ts'}
    """
    found: dict[str, str] = {}
    notes: list[str] = []
    for role in _USUAL:
        given = asked.get(role)
        if given is not None and given is not False:
            found[role] = _asked(role, given, names)
    for role, usual in _USUAL.items():
        if asked.get(role) is None:
            free = {re.sub(r"[_\s.-]", "", plain_name(name)).lower(): name for name in reversed(names)}
            free = {key: name for key, name in free.items() if name not in found.values()}
            name = next((free[key] for key in usual if key in free), None)
            if name is not None:
                found[role] = name
                notes.append(f"{role}: took the column {name!r}")
    for role, missing in (("item", "item" not in found), ("user", "user" not in found and "session" not in found)):
        if missing:
            hint = f"none of the columns looks like {role}s: {', '.join(map(repr, names))}"
            raise ArgumentError(role, "the name of a column", asked.get(role), hint)
    return {role: found[role] for role in _USUAL if role in found}, notes


def _asked(role: str, given: "str | int | bool", names: Sequence[str]) -> str:
    if isinstance(given, int) and not isinstance(given, bool):
        if not 0 <= given < len(names):
            raise ArgumentError(role, f"a column in [0, {len(names)})", given)
        return names[given]
    if given in names:
        return str(given)
    plain = [name for name in names if plain_name(name) == given]
    if not plain:
        raise ArgumentError(role, f"one of the columns {', '.join(map(repr, names))}", given)
    return plain[0]
