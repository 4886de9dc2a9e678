"""The class table and the batches of a case, the same numbers in every process.

numpy alone: tensorflow's process makes its own copy instead of getting gigabytes through a pipe.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from workloads import Case

BATCHES: Final = 8
"""Steps go through that many batches in turn, so that the rows of a step are not in the cache from the step before."""

_AT_ONCE: Final = 1 << 22


class Batch(NamedTuple):
    """One batch, in numpy or in torch."""

    input: np.ndarray  # (B, D) float32
    targets: np.ndarray  # (B,) int64
    ids: np.ndarray  # (S,) or (B, k) int64
    log_q: np.ndarray  # of `ids`: log of their expected counts, float32
    true_log_q: np.ndarray  # (B,) float32


def empty(rows: int, dim: int) -> np.ndarray:
    """(rows, dim) float32 at the start of a cache line, as torch has it, in large pages, for which numpy asks."""
    memory = np.empty(rows * dim + 16, np.float32)
    skipped = -(memory.ctypes.data // 4) % 16
    return memory[skipped : skipped + rows * dim].reshape(rows, dim)


def table(case: Case) -> np.ndarray:
    """(C, D) float32, uniform in [-0.5, 0.5)."""
    made = empty(case.num_classes, case.dim)
    random = np.random.default_rng(1)
    rows = max(1, _AT_ONCE // case.dim)
    for first in range(0, case.num_classes, rows):
        part = made[first : first + rows]
        random.random(dtype=np.float32, out=part)
        part -= 0.5
    return made


def batches(case: Case, count: int = BATCHES) -> Iterator[Batch]:
    """Batches with samples drawn beforehand: the draws are no part of a step, and all contestants get the same."""
    random = np.random.default_rng(2)
    classes, spread = case.num_classes, np.log(case.num_classes + 1)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        if case.distribution == "uniform":
            return random.integers(0, classes, shape)
        return np.minimum(np.exp(random.random(shape) * spread).astype(np.int64) - 1, classes - 1)

    def log_count(ids: np.ndarray) -> np.ndarray:
        if case.distribution == "uniform":
            return np.full(ids.shape, np.log(case.sampled / classes), np.float32)
        return np.log(case.sampled * np.log1p(1 / (ids + 1.0)) / spread).astype(np.float32)

    for _ in range(count):
        input = random.random((case.batch, case.dim), dtype=np.float32) * 2 - 1
        targets = draw((case.batch,))
        ids = draw((case.sampled,) if case.shared else (case.batch, case.sampled))
        ids.flat[0] = targets[0]  # an accidental hit at least, so that comparing losses says something about them
        yield Batch(input, targets, ids, log_count(ids), log_count(targets))
