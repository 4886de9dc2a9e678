"""Two towers against one example at a time, items known by their features alone, and ids left out in training."""

import pytest
import torch
from torch import Tensor

from logq.recommenders import two_tower
from logq.recommenders.two_tower import TwoTowerEncoder
from model_cases import CONTEXT_FEATURES, USER_FEATURES, C, U, batch, item_codes, make


def mean(table: Tensor, codes: Tensor) -> Tensor:
    if not codes.dim():
        return table[max(0, int(codes))]
    known = [c for c in codes.tolist() if c >= 0]
    return sum((table[c] for c in known), torch.zeros(table.shape[1]).double()) / max(1, len(known))


def recent(table: Tensor, codes: Tensor, recency: float) -> Tensor:
    known = [c for c in codes.tolist() if c >= 0][::-1]
    total = sum((recency**age * table[c] for age, c in enumerate(known)), torch.zeros(table.shape[1]).double())
    return total / max(1, sum(recency**age for age in range(len(known))))


def through(layers, x: Tensor) -> Tensor:
    for layer in layers[:-1]:
        x = (layer.weight @ x + layer.bias).clamp(min=0)
    x = layers[-1].weight @ x + layers[-1].bias
    return x / x.square().sum().sqrt()


def one_query(model: TwoTowerEncoder, columns: dict[str, Tensor], row: int) -> Tensor:
    parts = [recent(model.ids.table.weight, columns["history"][row], model.recency)]
    if model.users is not None:
        user = int(columns["user"][row])
        parts.append(model.users.table.weight[user if user >= 0 else U])
    for kind, names, features in (
        ("user", USER_FEATURES, model.user_features),
        ("context", CONTEXT_FEATURES, model.context_features),
    ):
        for name, table in zip(names, features.tables, strict=False):
            parts.append(mean(table.weight, columns[f"{kind}.{name}"][row]))
    return through(model.user_tower.layers, torch.cat(parts)) / model.temperature


def one_item(model: TwoTowerEncoder, code: int, features: dict[str, Tensor]) -> Tensor:
    parts = [model.ids.table.weight[code]]
    for name, table in zip(features, model.item_features.tables, strict=False):
        parts.append(mean(table.weight, features[name]))
    return through(model.item_tower.layers, torch.cat(parts))


@pytest.mark.parametrize("recency", [1.0, 0.7])
@pytest.mark.parametrize("name", ["two towers", "two towers, features"])
def test_it_is_the_loop_that_a_student_would_write(name, recency):
    model, columns, codes = make(name, recency=recency).eval().requires_grad_(False), batch(), item_codes()
    served, every = model.query(columns), model.item_vectors()
    for row in range(5):
        torch.testing.assert_close(served[row], one_query(model, columns, row), rtol=1e-9, atol=1e-9)
    for code in range(C):
        expected = one_item(model, code, {key: values[code] for key, values in codes.items()})
        torch.testing.assert_close(every[code], expected, rtol=1e-9, atol=1e-9)
    assert model.item_table is None
    lengths = served.norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 1 / model.temperature))


def test_new_items_are_known_by_their_features():
    model = make("two towers, features").eval()
    new = {"brand": torch.tensor([3, 0]), "genres": torch.tensor([[1, 2], [-1, -1]])}
    vectors = model.item_vectors_from(new)
    for row in range(2):
        expected = one_item(model, C, {key: values[row] for key, values in new.items()})
        torch.testing.assert_close(vectors[row], expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(KeyError, match="genres: the model needs this column"):
        model.item_vectors_from({"brand": new["brand"]})
    with pytest.raises(ValueError, match=r"^brand: expected class ids in \[0, 5\)"):
        model.item_vectors_from(new | {"brand": torch.tensor([3, 5])})
    with pytest.raises(ValueError, match=r"^features: the model was trained without item_features"):
        make("two towers").item_vectors_from(new)


def test_ids_are_left_out_in_training_only_and_only_where_there_are_features():
    model = make("two towers, features", id_dropout=0.5)
    known = model.eval().item_vectors()
    alone = model.item_vectors_from(item_codes())
    torch.manual_seed(1)
    trained = model.train().item_vectors()
    as_known = (trained - known).abs().amax(dim=1) < 1e-12
    as_new = (trained - alone).abs().amax(dim=1) < 1e-12
    assert (as_known ^ as_new).all()
    assert 0.2 < float(as_new.float().mean()) < 0.8
    plain = make("two towers", id_dropout=0.9)
    assert torch.equal(plain.train().item_vectors(), plain.eval().item_vectors())


def test_bad_options():
    with pytest.raises(ValueError, match=r"^temperature: expected a finite number > 0"):
        TwoTowerEncoder(9, 4, temperature=0.0)
    with pytest.raises(ValueError, match=r"^id_dropout: expected a finite number"):
        TwoTowerEncoder(
            9, 4, id_dropout=1.0, item_features={"x": 2}, item_codes={"x": torch.zeros(9, dtype=torch.int64)}
        )


def test_all_items_are_computed_in_parts_where_nothing_is_learned(monkeypatch):
    model = make("two towers, features").eval()
    whole = model.item_vectors()
    monkeypatch.setattr(two_tower, "ROWS", 4)
    with torch.no_grad():
        torch.testing.assert_close(model.item_vectors(), whole)
    assert model.item_vectors().requires_grad, "in parts for a loss, all would be kept anyway"
