"""Results in a line: what each is, how much of it there is, and the first of it, for `repr`."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from logq.tables.notebook_html import cell

__all__ = ["first_of", "named", "ranked", "result_text"]

_FIRST, _WIDEST = 3, 30


def result_text(result: object, *parts: str) -> str:
    """Return what the repr of a result is: its class, and what there is to say of it.

    Example:
        >>> result_text(1.5, "3 rows", "", "of 2")
        'float(3 rows, of 2)'
    """
    return f"{type(result).__name__}({', '.join(part for part in parts if part)})"


def first_of(texts: Iterable[str], most: int = _FIRST) -> str:
    """Return some texts, and how many more there are.

    Example:
        >>> first_of(["tea", "cup", "nut", "oil", "fig"])
        'tea, cup, nut, 2 more'
    """
    found = list(texts)
    return ", ".join([*found[:most], *([f"{len(found) - most:,} more"] if len(found) > most else [])])


def named(name: object) -> str:
    r"""Return a name of the user's in one line, cut where it is long.

    Example:
        >>> named("a\nb"), named("a" * 99)[-6:]
        ('a\\nb', 'aaa...')
    """
    text = str(name)
    plain = text if text.isprintable() else repr(text)[1:-1]
    return plain if len(plain) <= _WIDEST else f"{plain[: _WIDEST - 3]}..."


def ranked(items: Any, scores: Any) -> str:
    """Return what is in the first row of a ranking, and how many rows there are.

    Args:
        items: (..., k).
        scores: same shape; minus infinity where there is no item.

    Example:
        >>> ranked(np.array(["tea", "cup"]), np.array([0.9, 0.25]))
        'tea 0.9, cup 0.25'
        >>> ranked(np.array([[7, 8], [9, -1]]), np.array([[0.9, 0.25], [0.5, -np.inf]]))
        '2 rows of 2, the first: 7 0.9, 8 0.25'
    """
    values, names = np.asarray(scores), np.asarray(items)
    if values.ndim == 1:
        places = np.flatnonzero(values > -np.inf).tolist()
        return first_of([f"{named(names[place])} {cell(values[place])}" for place in places]) or "nothing"
    several = values.shape[:-1]
    rows = int(np.prod(several))
    of = f"{' x '.join(f'{n:,}' for n in several)} row{'' if rows == 1 else 's'} of {values.shape[-1]:,}"
    first = (0,) * len(several)
    return of if not values.size else f"{of}, the first: {ranked(names[first], values[first])}"
