"""EGES against a loop over items in float64."""

import math

import pytest
import torch

from logq.recommenders.eges import EGESEncoder

SIZES = {"shop": 4, "tags": 6}
CODES = {
    "shop": torch.tensor([1, 3, 0, 2, 1]),
    "tags": torch.tensor([[1, 5], [2, -1], [0, -1], [3, 4], [5, -1]]),
}


@pytest.fixture
def model():
    torch.manual_seed(1)
    made = EGESEncoder(5, 3, item_features=SIZES, item_codes=CODES).double()
    with torch.no_grad():
        made.attention.weight.normal_()
        made.contexts.weight.normal_()
    return made


def rows(table):
    return table.weight.tolist()


def vector_of(model, item):
    """Equation 6, a number at a time."""
    shops, tags = (rows(table) for table in model.features.tables)
    of_tags = [tag for tag in CODES["tags"][item].tolist() if tag >= 0]
    parts = [
        rows(model.own)[item],
        shops[CODES["shop"][item]],
        [sum(tags[tag][d] for tag in of_tags) / len(of_tags) for d in range(3)],
    ]
    weights = [math.exp(a) for a in rows(model.attention)[item]]
    return [sum(w * part[d] for w, part in zip(weights, parts, strict=True)) / sum(weights) for d in range(3)]


def test_vectors_are_those_of_the_loop(model):
    expected = torch.tensor([vector_of(model, item) for item in (4, 0, 2, 2)])
    torch.testing.assert_close(model.vectors(torch.tensor([4, 0, 2, 2])), expected, check_dtype=False)


def test_queries_are_means_over_histories(model):
    made = model.query({"history": torch.tensor([[3, 1, 3], [2, -1, -1], [-1, -1, -1]])})
    three, one = (torch.tensor(vector_of(model, item), dtype=torch.float64) for item in (3, 1))
    torch.testing.assert_close(made[0], (2 * three + one) / 3)
    torch.testing.assert_close(made[1], torch.tensor(vector_of(model, 2), dtype=torch.float64))
    assert made[2].tolist() == [0, 0, 0]


def test_gradients_are_right(model):
    history = torch.tensor([[3, 1, 3], [2, -1, -1]])
    names = [name for name, _ in model.named_parameters()]

    def query(*values):
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), ({"history": history},))

    model.forward = model.query
    assert torch.autograd.gradcheck(query, [p.detach().requires_grad_() for p in model.parameters()])


def test_without_side_information_it_is_skip_gram():
    model = EGESEncoder(5, 3)
    torch.testing.assert_close(model.vectors(torch.tensor([4, 1])), model.own.weight[[4, 1]])
    with pytest.raises(ValueError, match="knows no side information"):
        model.cold_vectors({})


def test_all_attentions_are_alike_at_first():
    model = EGESEncoder(5, 3, item_features=SIZES, item_codes=CODES)
    assert not model.attention.weight.any()
    assert not model.item_table.any()
    assert model.item_table is model.item_vectors()


def test_cold_items_are_the_mean_of_what_is_known(model):
    shops, tags = (table.weight for table in model.features.tables)
    made = model.cold_vectors(
        {"shop": torch.tensor([3, 0, 1, 0]), "tags": torch.tensor([[2, 4], [5, -1], [0, -1], [0, -1]])}
    )
    torch.testing.assert_close(made[0], (shops[3] + (tags[2] + tags[4]) / 2) / 2)
    torch.testing.assert_close(made[1], tags[5])
    torch.testing.assert_close(made[2], shops[1])
    torch.testing.assert_close(made[3], (shops[0] + tags[0]) / 2)


def test_sparse_gradients_touch_the_rows_of_the_batch_only(model):
    sparse = EGESEncoder(5, 3, item_features=SIZES, item_codes=CODES, sparse=True).double()
    sparse.load_state_dict(model.state_dict())
    batch = {"history": torch.tensor([[3], [1], [3]]), "targets": torch.tensor([[0, 1], [0, -1], [-1, 4]])}
    for made in (model, sparse):
        queries, targets = made.training_queries(batch)
        (queries * made.item_vectors(targets)).sum().backward()
    for (name, dense), other in zip(model.named_parameters(), sparse.parameters(), strict=True):
        torch.testing.assert_close(other.grad.to_dense() if other.grad.is_sparse else other.grad, dense.grad)
        assert other.grad.is_sparse == (name.split(".")[0] in ("own", "attention", "contexts"))
    assert sorted(sparse.own.weight.grad.coalesce().indices()[0].tolist()) == [1, 3]
    assert {id(p) for p in sparse.sparse_parameters()} == {
        id(t.weight) for t in (sparse.own, sparse.attention, sparse.contexts)
    }


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"item_features": {"shop": 4}}, KeyError, "shop"),
        ({"item_features": {"shop": 4}, "item_codes": {"shop": torch.tensor([1, 4])}}, ValueError, "shop.*got 4"),
        ({"item_features": {"shop": 4}, "item_codes": {"shop": torch.tensor([1])}}, ValueError, "shop.*C = 2"),
        ({"dim": 0}, ValueError, "dim"),
    ],
)
def test_bad_arguments_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        EGESEncoder(2, **arguments)
