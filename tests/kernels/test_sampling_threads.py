"""Draws on several threads, without torch: those of one thread. The thread sanitizer runs these."""

import numpy as np
import pytest

from logq.kernels import _native

CLASSES = 1000
CELLS = np.stack([np.arange(CLASSES) * 2_000_000, np.arange(CLASSES)[::-1]], axis=1).astype(np.int32)
DISTRIBUTIONS = {
    "uniform": lambda: _native.uniform_distribution(CLASSES),
    "log_uniform": lambda: _native.log_uniform_distribution(CLASSES),
    "alias": lambda: _native.alias_distribution(CELLS),
    "learned": lambda: _native.learned_distribution(CELLS, np.arange(500), 500),
}
every_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS)


@every_distribution
def test_draws_on_several_threads(distribution):
    ids = [np.zeros(300_001, np.int64) for _ in range(2)]
    for threads, each in zip((1, 4), ids, strict=True):
        _native.draw(DISTRIBUTIONS[distribution](), 7, each, threads=threads)
    assert (ids[0] == ids[1]).all()
    assert len(np.unique(ids[0])) > CLASSES // 2


@every_distribution
def test_distinct_draws_on_several_threads(distribution):
    rows, size = 4001, 20
    samples = []
    for threads in (1, 4):
        ids, inside, outside = (np.zeros(shape, np.int64) for shape in ((rows, size), (rows, size), (rows, 1)))
        _native.draw_distinct(DISTRIBUTIONS[distribution](), 7, ids, inside, outside, threads=threads)
        samples.append((ids, inside, outside))
    assert all((one == other).all() for one, other in zip(*samples, strict=True))
    ordered = np.sort(samples[0][0], axis=1)
    assert (ordered[:, 1:] > ordered[:, :-1]).all()
