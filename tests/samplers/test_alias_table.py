import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend_cases import ON_CPU
from frequencies import assert_frequencies
from logq import kernels
from logq.samplers.alias_table import AliasTable

weights = st.lists(st.floats(0, 1e6) | st.just(0.0), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3)
both_backends = pytest.mark.parametrize("backend", ON_CPU)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@both_backends
@given(values=weights)
def test_cells_add_up_to_the_distribution(backend, values):
    """P(y) over all cells and thresholds is p(y) up to the 31 bits of a threshold, and exactly 0 for weight 0."""
    w = torch.tensor(values, dtype=torch.float64)
    with kernels.use(backend):
        table = AliasTable(w)
    size = len(values)
    accept = table.threshold.double() / 2**31
    drawn = accept.index_add(0, table.alias.long(), 1 - accept) / size
    torch.testing.assert_close(drawn, w / w.sum(), rtol=0, atol=2**-31)
    assert not bool(drawn[w == 0].any())


@both_backends
@pytest.mark.parametrize(
    "distribution",
    [
        torch.ones(1),
        torch.ones(1000),
        torch.arange(100),
        1.0 / torch.arange(1, 5001) ** 1.5,
        torch.tensor([0, 1e12, 1, 0, 1]),
        torch.tensor([0, 0, 0, 7]),
    ],
    ids=["one", "even", "rising", "zipf", "skewed", "certain"],
)
def test_a_million_draws(backend, distribution, seed):
    """Fails with one seed in ten million."""
    with kernels.use(backend):
        ids = AliasTable(distribution.double()).sample((1000, 1000), seeded(seed))
    assert ids.shape == (1000, 1000)
    assert ids.dtype == torch.int64
    assert_frequencies(ids, distribution.double() / distribution.double().sum())


def test_draws_follow_the_generator():
    table = AliasTable(torch.arange(50).double())
    assert torch.equal(table.sample((100,), seeded(3)), table.sample((100,), seeded(3)))
    assert not torch.equal(table.sample((100,), seeded(3)), table.sample((100,), seeded(4)))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3)])
def test_shapes(shape):
    assert AliasTable(torch.ones(4, dtype=torch.float64)).sample(shape, seeded()).shape == shape


def test_eight_bytes_a_class():
    table = AliasTable(torch.ones(1000, dtype=torch.float64))
    assert table.cells.numel() * table.cells.itemsize == 8000
    assert not any(buffer.numel() for buffer in table.buffers())
    assert not table.state_dict()
