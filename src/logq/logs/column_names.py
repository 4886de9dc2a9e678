"""Which column of a log is which, when nobody has said so."""

import re
from collections.abc import Mapping, Sequence

__all__ = ["guess_columns", "plain_name"]

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
    """A column's name without the type that RecBole's headers give it.

    Example:
        >>> plain_name("user_id:token")
        'user_id'
    """
    return re.sub(r":(token|token_seq|float|float_seq)$", "", name.strip())


def guess_columns(
    names: Sequence[str], asked: Mapping[str, "str | int | bool | None"]
) -> tuple[dict[str, str], list[str]]:
    """Find the columns of user, item, time, label and session.

    Args:
        names: the columns that there are.
        asked: for each of the five what the caller said: a name, a place, None (guess), or False (there is none).

    Returns:
        The column of each that was asked for or found, and a note for each guess.

    Raises:
        ValueError: a column that was asked for is not there, or neither an item nor a user or session is found.

    Example:
        >>> guess_columns(["userId", "movieId", "ts"], {})[0]
        {'user': 'userId', 'item': 'movieId', 'time': 'ts'}
    """
    found: dict[str, str] = {}
    notes: list[str] = []
    for role in _USUAL:
        wanted = asked.get(role)
        if wanted is not None and wanted is not False:
            found[role] = _asked(role, wanted, names)
    for role, usual in _USUAL.items():
        if asked.get(role) is None:
            free = {re.sub(r"[_\s.-]", "", plain_name(name)).lower(): name for name in reversed(names)}
            free = {key: name for key, name in free.items() if name not in found.values()}
            name = next((free[key] for key in usual if key in free), None)
            if name is not None:
                found[role] = name
                notes.append(f"{role}: took the column {name!r}")
    shown = ", ".join(repr(name) for name in names)
    if "item" not in found:
        raise ValueError(f'item: no column looks like one; name it, as in item="...", from: {shown}')
    if "user" not in found and "session" not in found:
        raise ValueError(f'user: no column looks like one; name it, as in user="...", from: {shown}')
    return {role: found[role] for role in _USUAL if role in found}, notes


def _asked(role: str, wanted: "str | int | bool", names: Sequence[str]) -> str:
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if not 0 <= wanted < len(names):
            raise ValueError(f"{role}: expected a column in [0, {len(names)}), got {wanted}")
        return names[wanted]
    if wanted in names:
        return str(wanted)
    plain = [name for name in names if plain_name(name) == wanted]
    if not plain:
        raise ValueError(f"{role}: there is no column {wanted!r}; there are: {', '.join(map(repr, names))}")
    return plain[0]
