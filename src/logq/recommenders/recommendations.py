"""What recommend and similar_items give."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Recommendations"]


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
