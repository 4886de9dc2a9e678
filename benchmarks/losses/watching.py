"""A synthetic log of a shop or a video site, for the end-to-end comparison: popular items are popular everywhere.

numpy alone, as torch-rechub's process makes the same numbers.
"""

from typing import Final

import numpy as np
from numbers_of_cases import Batch, batches
from workloads import Case

WATCHED: Final = 50
HIDDEN: Final = 128


def watched(case: Case, count: int) -> list[np.ndarray]:
    """(B, WATCHED) int64 for each batch: items by a log-uniform distribution."""
    random = np.random.default_rng(3)
    spread = np.log(case.num_classes + 1)
    drawn = (np.exp(random.random((case.batch, WATCHED)) * spread).astype(np.int64) - 1 for _ in range(count))
    return [np.minimum(ids, case.num_classes - 1) for ids in drawn]


def log(case: Case, count: int = 8) -> list[tuple[np.ndarray, Batch]]:
    """What a user watched, with the next item and a shared sample."""
    return list(zip(watched(case, count), batches(case, count), strict=True))
