"""What estimators hand on to their modules: widths of layers, and sizes and codes of features."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from logq.arguments import check_int, shown
from logq.data.logs import Features

__all__ = ["check_widths", "feature_codes", "feature_sizes"]


def check_widths(name: str, value: object) -> list[int]:
    """Return widths of layers as a list.

    Raises:
        TypeError: it is no sequence of whole numbers.
        ValueError: one is below 1.

    Example:
        >>> check_widths("hidden", (64, 32))
        [64, 32]
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{name}: expected a sequence of widths, got {shown(value)}")
    return [check_int(name, width) for width in value]


def feature_sizes(features: Features | None) -> dict[str, int]:
    """How many values each feature has.

    Example:
        >>> feature_sizes(None)
        {}
    """
    return {} if features is None else {name: int(features.sizes[name]) for name in features.names}


def feature_codes(features: Features | None) -> dict[str, Tensor]:
    """The values of each feature, int64.

    Example:
        >>> feature_codes(None)
        {}
    """
    if features is None:
        return {}
    return {name: torch.from_numpy(np.array(features.values[name], dtype=np.int64)) for name in features.names}
