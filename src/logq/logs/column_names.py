"""Recognizing the columns of a log: by their names, and times by their values too."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from logq._arguments import ArgumentError, Verbatim
from logq._warnings import warn
from logq.logs.time_values import looks_like_time

__all__ = [
    "Guess",
    "GuessedColumnWarning",
    "check_further",
    "guess_columns",
    "names_columns",
    "plain_name",
    "unknown_column",
]

# Every name is in lower case and without underscores, blanks and the types of RecBole's headers (user_id:token). Where
# several columns could be meant, what stands first here wins.
_NOUNS: Final = {
    "user": (
        "user", "reviewer", "visitor", "customer", "member", "client", "account", "shopper", "buyer", "subscriber",
        "viewer", "listener", "reader", "player", "learner", "student", "person", "household", "cookie", "device", "u",
    ),
    "item": (
        "item", "movie", "parentasin", "asin", "product", "article", "track", "song", "artist", "book", "news", "video",
        "goods", "good", "sku", "stockcode", "itemref", "isbn", "listing", "hotel", "offer", "content", "media", "film",
        "game", "app", "business", "location", "venue", "poi", "place", "recipe", "course", "job", "show", "episode",
        "playlist", "anime", "beer", "restaurant", "thing", "i",
    ),
    "session": ("session", "visit"),
}  # fmt: skip
_SHORT: Final = {"user": ("uid", "userid"), "item": ("iid", "itemid", "aid", "pid"), "session": ("sid",)}
_LABELS: Final = ("rating", "label", "score", "stars", "overall")
_TIMES: Final = (
    "timestamp", "ts", "time", "unixreviewtime", "datetime", "date", "eventtime", "timems", "createdat", "t", "epoch",
    "unixtime", "when", "created", "createdon", "datum", "fecha",
)  # fmt: skip
_OF_IDS: Final = ("id", "ids", "code", "number", "no", "nr", "num", "key", "hash", "uuid", "guid", "idx", "index")

# A column is one of times if a word of its name is among these, and none says that the time is not that of the event.
_TIME_WORDS: Final = {"time", "timestamp", "datetime", "date", "dt", "dat", "ts", "at", "epoch", "tstamp"}
_OTHER_TIMES: Final = {
    "release", "released", "birth", "born", "dob", "birthday", "expiry", "expires", "expiration", "publish",
    "published", "publication", "signup", "registration", "registered", "joined", "join", "deadline", "due", "zone",
    "timezone", "launch", "founded",
}  # fmt: skip
# Numbers in a column "watch_time" or "session_time" may be a duration: that is for the values to say.
_DURATIONS: Final = {
    "duration", "spent", "watch", "play", "view", "viewing", "dwell", "listen", "listening", "reading", "session",
    "length", "elapsed", "processing", "response", "delivery", "run", "life", "total", "avg", "average", "mean",
}  # fmt: skip
_EVENTS: Final = {"event", "order", "purchase", "transaction", "click", "visit", "rating", "review", "interaction"}
_ROLES: Final = ("user", "item", "time", "label", "session")


class GuessedColumnWarning(UserWarning):
    """Several columns of a log look like its times, and none was taken: the order of rows counts.

    Example:
        >>> issubclass(GuessedColumnWarning, UserWarning)
        True
    """


GuessedColumnWarning.__module__ = "logq"  # where users find it


class Guess(NamedTuple):
    """Which column is which, and what is to be said of each that was not asked for."""

    columns: dict[str, str]
    notes: dict[str, str]


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


def check_further(columns: Iterable[str], names: Sequence[str]) -> None:
    """Raise an error for the first further column that a file has not, under its whole or its plain name.

    Example:
        >>> check_further(["price"], ["user:token", "item:token", "price:float"])
    """
    known = {*names, *map(plain_name, names)}
    for name in columns:
        if name not in known:
            raise unknown_column("columns", name, names)


def guess_columns(
    names: Sequence[str],
    asked: Mapping[str, "str | int | bool | None"],
    values: "Callable[[str], object] | None" = None,
) -> Guess:
    """Find the columns of users, items, times, labels and sessions: by name, and times by value too.

    Args:
        names: all columns.
        asked: for each of the five what the caller gave: a name, a position, None (guess), or False (there is none).
        values: gives some values of a column.

    Returns:
        The column of each that was asked for or found, and a note for each guess. There always is one on times, unless
        they were asked for: which column was taken, or that none was and the order of rows counts.

    Raises:
        ArgumentError: a column that was asked for does not exist, or neither an item nor a user or session is found.

    Example:
        >>> guess_columns(["userId", "movieId", "last_watch_dt"], {}).columns
        {'user': 'userId', 'item': 'movieId', 'time': 'last_watch_dt'}
    """
    found: dict[str, str] = {}
    notes: dict[str, str] = {}
    for role in _ROLES:
        given = asked.get(role)
        if given is not None and given is not False:
            found[role] = _asked(role, given, names)
    for role in (role for role in _ROLES if asked.get(role) is None):
        free = [name for name in names if name not in found.values()]
        if role == "time":
            # The others first, so that their values are not looked at: ids may be as large as times.
            taken = [_by_name(other, free) for other in _ROLES if other != role and asked.get(other) is None]
            name, notes[role] = _time_column([name for name in free if name not in taken], values)
        else:
            name = _by_name(role, free)
            if name is not None:
                notes[role] = f"took the column {name!r}"
        if name is not None:
            found[role] = name
    missing = [] if "user" in found or "session" in found else ["user"]
    missing += [] if "item" in found else ["item"]
    if missing:
        roles = " or ".join(f"{role}s" for role in missing)
        names_them = ", ".join(f"{role}=NAME" for role in missing), " ".join(f"--{role} NAME" for role in missing)
        hint = (
            f"none of the columns {', '.join(map(repr, names))} looks like {roles}; {names_them[0]} ({names_them[1]})"
        )
        hint += " names one" if len(missing) == 1 else " name them"
        raise ArgumentError(missing[0], "the name of a column", Verbatim("none"), hint)
    return Guess({role: found[role] for role in _ROLES if role in found}, notes)


def names_columns(names: Sequence[str]) -> bool:
    """Return whether fields are names of columns: those of an item and of a user or session, or one ending in "id".

    Example:
        >>> names_columns(["customer", "sku"]), names_columns(["customer_id", "thing"]), names_columns(["ann", "tea"])
        (True, True, False)
    """
    if any(":" in name and plain_name(name) != name.strip() for name in names):
        return True
    roles = {role: _by_name(role, names) for role in _NOUNS}
    if roles["item"] is not None and (roles["user"] is not None or roles["session"] is not None):
        return True
    return any(name is not None and _words(name)[-1:] == ["id"] for name in roles.values())


def _by_name(role: str, names: Sequence[str]) -> str | None:
    joined = {"".join(_words(name)): name for name in reversed(names)}
    if role == "label":
        return next((joined[key] for key in _LABELS if key in joined), None)
    # user_id before user, as a table may have both: the id and how it is called.
    usual = [*(noun + "id" for noun in _NOUNS[role]), *_SHORT[role], *_NOUNS[role]]
    usual += [noun + ending for noun in _NOUNS[role] for ending in _OF_IDS]
    name = next((joined[key] for key in usual if key in joined), None)
    if name is not None:
        return name
    # masked_user_id, anonymous customer no
    ends = [(words[-2:], name) for name in names if len(words := _words(name)) > 2]
    of_nouns = (n for noun in _NOUNS[role][:-1] for end, n in ends if end[0] == noun and end[1] in _OF_IDS)
    return next(of_nouns, None)


def _words(name: str) -> list[str]:
    """The words of a name in lower case.

    Example:
        >>> _words("lastWatch_dt"), _words("userID:token")
        (['last', 'watch', 'dt'], ['user', 'id'])
    """
    plain = plain_name(name)
    # "userIDs" and "unixReviewTime", but not "USERID", are several words.
    found = re.findall(r"[A-Z]+(?![a-z])s?|[A-Z]?[^\W\d_A-Z]+|\d+", plain)
    return [word.lower() for word in found]


def _time_column(names: Sequence[str], values: "Callable[[str], object] | None") -> tuple[str | None, str]:
    """The column of times, and a note on it or on there being none."""
    if not names:
        return None, "there is no further column, the order of rows counts as time"
    looks = {name: "" if values is None else looks_like_time(values(name)) for name in names}
    like_times = [name for name in names if looks[name]]
    able = [name for name in like_times if not set(_words(name)) & _OTHER_TIMES]
    joined = {"".join(_words(name)): name for name in reversed(names)}
    usual = next((joined[key] for key in _TIMES if key in joined), None)
    by_words = sorted((n for n in names if _names_a_time(n, looks[n])), key=lambda name: not _EVENTS & {*_words(name)})
    found = usual if usual is not None else next(iter(by_words), None)
    why = ""
    if found is None and (dates := [name for name in able if looks[name] == "dates"]) and len(dates) == 1:
        found, why = dates[0], ", the only one with dates"
    elif found is None and len(able) == 1:
        found, why = able[0], ", the only one whose numbers can be times"
    shown = ", ".join(map(repr, names))
    if found is None:
        look = "looks like times" if len(like_times) == 1 else "look like times"
        maybe = f"; {', '.join(map(repr, like_times))} {look}" if like_times else ""
        order = "the order of rows counts as time; time=NAME (--time NAME) names one"
        note = f"no time column found among {shown}{maybe}: {order}"
        if like_times:
            warn(f"time: {note}", GuessedColumnWarning)
        return None, note
    others = [repr(name) for name in names if name != found and (name in by_words or name in like_times)]
    also = f"; it could also be {' or '.join(others)}" if others else ""
    return found, f"took the column {found!r}{why}{also}"


def _names_a_time(name: str, looks: str) -> bool:
    """Whether a word of a name says that it is the time of an event."""
    words = set(_words(name))
    if words & _OTHER_TIMES:
        return False
    if words & _TIME_WORDS:
        return bool(looks) or not (words & _DURATIONS and words & _TIME_WORDS <= {"time"})
    # eventtime, orderdate, clicktimestamp: only with values of times, for "candidate" and "playtime" end so, too.
    return bool(looks) and "".join(_words(name)).endswith(("time", "date", "timestamp", "datetime"))


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
