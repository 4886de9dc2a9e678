"""SASRec against one position at a time: causal, packed, and a query after each item."""

import math

import pytest
import torch
from torch import Tensor

from logq.recommenders.sasrec import SASRecEncoder
from model_cases import C, D, batch, make


def norm(layer, x: Tensor) -> Tensor:
    x = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5)
    return x * layer.weight + layer.bias


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def one_history(model: SASRecEncoder, items: list[int]) -> list[Tensor]:
    """The query after each item."""
    xs = [math.sqrt(D) * model.watched.weight[item] + model.places.weight[place] for place, item in enumerate(items)]
    for block in model.blocks:
        q_w, k_w, v_w = block.query_key_value.weight.split(D)
        q_b, k_b, v_b = block.query_key_value.bias.split(D)
        inputs = [norm(block.attention_norm, x) for x in xs]
        width = D // block.heads
        outputs = []
        for place, x in enumerate(xs):
            heads = []
            for head in range(block.heads):
                part = slice(head * width, (head + 1) * width)
                query = (q_w @ inputs[place] + q_b)[part]
                seen = inputs[: place + 1]
                scores = [math.exp(float(query @ (k_w @ other + k_b)[part]) / math.sqrt(width)) for other in seen]
                values = [(v_w @ other + v_b)[part] for other in seen]
                heads.append(sum(s / sum(scores) * v for s, v in zip(scores, values, strict=True)))
            x = x + block.project.weight @ torch.cat(heads) + block.project.bias
            hidden = gelu(block.expand.weight @ norm(block.feed_forward_norm, x) + block.expand.bias)
            outputs.append(x + block.contract.weight @ hidden + block.contract.bias)
        xs = outputs
    return [norm(model.norm, x) for x in xs]


@pytest.mark.parametrize("name", ["sasrec", "sasrec, untied"])
def test_it_is_the_loop_that_a_student_would_write(name):
    model, columns = make(name).eval().requires_grad_(False), batch()
    expected, wanted, last = [], [], []
    for row in range(5):
        items = [item for item in columns["history"][row].tolist() if item >= 0]
        queries = one_history(model, items)
        last.append(queries[-1] if items else torch.zeros(D, dtype=torch.float64))
        for query, target in zip(queries, columns["targets"][row].tolist(), strict=False):
            if target >= 0:
                expected.append(query)
                wanted.append(target)
    queries, targets = model.training_queries(columns)
    torch.testing.assert_close(queries, torch.stack(expected), rtol=1e-9, atol=1e-9)
    assert targets.tolist() == wanted
    torch.testing.assert_close(model.query(columns), torch.stack(last), rtol=1e-9, atol=1e-9)


def test_a_batch_without_padding_takes_the_same_way():
    """Packing is left out there."""
    model, history = (
        make("sasrec").eval().requires_grad_(False),
        torch.randint(C, (3, 6), generator=torch.Generator().manual_seed(1)),
    )
    queries, targets = model.training_queries({"history": history, "targets": history})
    for row in range(3):
        expected = torch.stack(one_history(model, history[row].tolist()))
        torch.testing.assert_close(queries[6 * row : 6 * row + 6], expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(targets, history.reshape(-1))
    padded = model.training_queries(
        {key: torch.nn.functional.pad(history, (0, 3), value=-1) for key in ("history", "targets")}
    )
    torch.testing.assert_close(padded[0], queries)


def test_what_comes_later_is_not_seen():
    model, history = make("sasrec").eval(), torch.tensor([[3, 5, 8, 1]])
    before = model.training_queries({"history": history, "targets": history})[0]
    after = model.training_queries({"history": torch.tensor([[3, 5, 8, 2]]), "targets": history})[0]
    assert torch.equal(before[:3], after[:3])
    assert not torch.equal(before[3], after[3])


def test_one_target_a_row_will_do():
    model, columns = make("sasrec").eval(), batch()
    one = {key: columns[key] for key in ("history", "target")}
    queries, targets = model.training_queries(one)
    assert torch.equal(queries, model.query(columns))
    assert torch.equal(targets, columns["target"])


def test_a_tied_table_gets_both_gradients_sparse():
    from_inputs, from_both = make("sasrec", sparse=True), make("sasrec", sparse=True)
    columns = batch()
    queries, targets = from_inputs.training_queries(columns)
    (queries * from_inputs.item_vectors(targets).detach()).sum().backward()
    queries, targets = from_both.training_queries(columns)
    (queries * from_both.item_vectors(targets)).sum().backward()
    table = from_both.item_table.grad
    assert table.is_sparse
    added = torch.zeros(C, D, dtype=torch.float64).index_add(0, targets, queries.detach())
    torch.testing.assert_close(table.to_dense(), from_inputs.item_table.grad.to_dense() + added)


def test_bad_batches_and_options():
    with pytest.raises(ValueError, match=r"^heads: expected a divisor of dim = 8, got 3"):
        SASRecEncoder(C, D, heads=3)
    columns = batch()
    with pytest.raises(ValueError, match=r"^targets: expected the shape of history, \(5, 7\), got \(5, 6\)"):
        make("sasrec").training_queries(columns | {"targets": columns["targets"][:, :6]})
    with pytest.raises(ValueError, match=r"^targets: expected class ids in \[0, 23\) or ignore_index = -1, got 23"):
        make("sasrec").training_queries(columns | {"targets": torch.full((5, 7), 23)})
