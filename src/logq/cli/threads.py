"""How many threads split text into words where nobody says."""

import os

__all__ = ["reading_threads"]

_MOST = 4  # where one that unpacks feeds no more


def reading_threads(asked: int | None) -> int:
    """Return the number that was asked for, or one for each core up to four.

    Example:
        >>> reading_threads(7), 1 <= reading_threads(None) <= 4
        (7, True)
    """
    return max(1, min(os.cpu_count() or 1, _MOST)) if asked is None else asked
