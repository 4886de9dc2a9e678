"""YoutubeDNN against one example at a time, and the age that serving leaves out."""

import math

import pytest
import torch
from torch import Tensor

from logq.recommenders.youtube_dnn import YoutubeDNNEncoder
from model_cases import CONTEXT_FEATURES, USER_FEATURES, batch, make


def mean(rows: Tensor, codes: list[int], recency: float = 1.0) -> Tensor:
    total, share = torch.zeros(rows.shape[1], dtype=rows.dtype), 0.0
    for code in codes:
        total, share = recency * total + rows[code], recency * share + 1
    return total / max(1, share)


def there(codes: Tensor) -> list[int]:
    return [code for code in codes.tolist() if code >= 0]


def one_query(model: YoutubeDNNEncoder, columns: dict[str, Tensor], row: int, age: float) -> Tensor:
    """The paper's network for one example."""
    parts = [mean(model.watched.weight, there(columns["history"][row]), model.recency)]
    for kind, features, sizes in (
        ("user", model.user_features, USER_FEATURES),
        ("context", model.context_features, CONTEXT_FEATURES),
    ):
        for name, table in zip(sizes, features.tables, strict=False):
            codes = columns[f"{kind}.{name}"][row]
            parts.append(mean(table.weight, there(codes)) if codes.dim() else table.weight[max(0, int(codes))])
    if model.longest_age is not None:
        a = min(1.0, age / model.longest_age)
        parts.append(torch.tensor([a, a * a, math.sqrt(a)], dtype=torch.float64))
    x = torch.cat(parts)
    for layer in model.tower.layers[:-1]:
        x = torch.tensor(
            [max(0.0, float(layer.weight[i] @ x + layer.bias[i])) for i in range(len(layer.bias))]
        ).double()
    last = model.tower.layers[-1]
    return last.weight @ x + last.bias


@pytest.mark.parametrize("recency", [1.0, 0.7])
@pytest.mark.parametrize("name", ["youtube", "youtube, features"])
def test_it_is_the_loop_that_a_student_would_write(name, recency):
    model, columns = make(name, recency=recency).requires_grad_(False), batch()
    columns["age"][3] = 99.0  # older than the longest age counts as that
    served, (trained, targets) = model.query(columns), model.training_queries(columns)
    for row in range(5):
        torch.testing.assert_close(served[row], one_query(model, columns, row, 0.0), rtol=1e-6, atol=1e-6)
        age = float(columns["age"][row])
        torch.testing.assert_close(trained[row], one_query(model, columns, row, age), rtol=1e-6, atol=1e-6)
    assert torch.equal(targets, columns["target"])


def test_serving_asks_for_now_and_needs_no_age():
    model, columns = make("youtube, features"), batch()
    served = model.query(columns)
    assert not torch.equal(served[1], model.training_queries(columns)[0][1])
    now = columns | {"age": torch.zeros(5)}
    torch.testing.assert_close(model.training_queries(now)[0], served)
    del columns["age"]
    assert torch.equal(model.query(columns), served)
    with pytest.raises(KeyError, match="age: the model needs this column in training"):
        model.training_queries(columns)
    with pytest.raises(ValueError, match=r"^age: expected shape \(B,\) with B = 5"):
        model.training_queries(columns | {"age": torch.zeros(4)})


def test_one_table_or_two():
    tied, apart = YoutubeDNNEncoder(9, 4, tied=True), YoutubeDNNEncoder(9, 4)
    assert tied.item_table is tied.watched.weight
    assert apart.item_table is not apart.watched.weight
    assert len(tied.sparse_parameters()) == 0
    assert [len(YoutubeDNNEncoder(9, 4, tied=how, sparse=True).sparse_parameters()) for how in (True, False)] == [1, 2]
