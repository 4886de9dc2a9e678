"""The pieces that models share: tables, selected rows, dropout by bytes."""

import pytest
import torch

from logq.kernels.reference_rows import falling_shares
from logq.recommenders.encoding.encoders import Tower
from logq.recommenders.encoding.feature_tables import FeatureTables, ItemCodes, check_features
from logq.recommenders.encoding.item_tables import IdTable, Table, end_of, select_rows


def test_a_mean_is_that_of_the_codes_that_are_there():
    table = Table(9, 3, std=1.0, sparse=True)
    codes = torch.tensor([[3, -1, 3, 5], [-1, -1, -1, -1], [8, -1, -1, -1]])
    means = table.mean(codes)
    w = table.weight.detach()
    torch.testing.assert_close(means.detach(), torch.stack([(2 * w[3] + w[5]) / 3, torch.zeros(3), w[8]]))
    means.sum().backward()
    gradient = table.weight.grad.coalesce()
    assert gradient.indices()[0].tolist() == [3, 5, 8]
    torch.testing.assert_close(gradient.values()[:, 0], torch.tensor([2 / 3, 1 / 3, 1.0]))
    assert table.mean(codes[:0]).shape == (0, 3)
    assert table.mean(codes[:, :0]).tolist() == [[0.0] * 3] * 3


def test_older_codes_count_less():
    codes = torch.tensor([[3, -1, 3, 5], [-1, -1, -1, -1], [-1, 8, -1, -1]])
    assert falling_shares(codes, 1.0, torch.float32).tolist() == [
        [pytest.approx(v) for v in (1 / 3, 0, 1 / 3, 1 / 3)],
        [0] * 4,
        [0, 1, 0, 0],
    ]
    for sparse in (True, False):
        table = Table(9, 3, std=1.0, sparse=sparse)
        w = table.weight.detach()
        expected = torch.stack([(0.25 * w[3] + 0.5 * w[3] + w[5]) / 1.75, torch.zeros(3), w[8]])
        torch.testing.assert_close(table.mean(codes, 0.5).detach(), expected)


@pytest.mark.parametrize("decay", [1.0, 0.6])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_mean_has_the_gradient_of_sums_row_by_row(dtype, sparse, decay):
    generator = torch.Generator().manual_seed(3)
    codes = torch.randint(-1, 7, (40, 6), generator=generator)
    codes[5] = -1
    table = Table(7, 5, std=1.0, sparse=sparse).to(dtype)
    given = torch.randn(40, 5, generator=generator, dtype=torch.float64).to(dtype)
    (found,) = torch.autograd.grad(table.mean(codes, decay), table.weight, given)
    found = found.to_dense()
    assert found.dtype == dtype
    expected = torch.zeros(7, 5, dtype=torch.float64)
    for row, gradient in zip(codes.tolist(), given.double(), strict=True):
        own = [code for code in row if code >= 0]
        shares = [decay**older for older in range(len(own))][::-1]
        for code, share in zip(own, shares, strict=True):
            expected[code] += gradient * share / sum(shares)
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-13, torch.bfloat16: 5e-2}[dtype]
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_unknown_ids():
    table = IdTable(4, 3, std=1.0, dropout=0.5)
    table.eval()
    assert (table(torch.tensor([-1, 2]))[0] == 0).all()
    assert (table(torch.arange(4)) != 0).all()
    table.train()
    torch.manual_seed(1)
    left_out = (table(torch.zeros(1000, dtype=torch.int64)) == 0).all(dim=1).float().mean()
    assert 0.4 < float(left_out) < 0.6


def test_selected_rows_and_their_gradient():
    value = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([5, 0, 3])
    assert torch.equal(select_rows(value, rows), value[rows])
    assert torch.autograd.gradcheck(lambda x: select_rows(x, rows), value)


def test_a_tower_without_hidden_layers_is_linear():
    tower = Tower(3, [], 2).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(tower(x), x @ tower.layers[0].weight.T)
    with pytest.raises(ValueError, match=r"^hidden: expected an integer >= 1, got 0"):
        Tower(3, [4, 0], 2)


def test_ends():
    assert end_of("history", torch.tensor([[1, 2], [0, -1], [-1, -1]])).tolist() == [2, 1, 0]
    assert end_of("history", torch.zeros(2, 0, dtype=torch.int64)).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"^history: expected padding .* got -1 at position \(1, 0\)"):
        end_of("history", torch.tensor([[1, 2], [-1, 0]]))


def test_names_of_features():
    with pytest.raises(TypeError, match=r"^user_features: expected a mapping"):
        check_features("user_features", ["age"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^user_features\['age'\]: expected an integer >= 1, got 0"):
        check_features("user_features", {"age": 0})
    assert FeatureTables({}, 4)({}, 3) == []
    assert ItemCodes(3, {}, {}).of(torch.tensor([1])) == {}
