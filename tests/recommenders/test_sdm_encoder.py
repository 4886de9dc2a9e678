"""SDM against one example at a time, and where a session ends and the past begins."""

import math

import pytest
import torch
from torch import Tensor

from logq.recommenders.sdm import SDMEncoder
from model_cases import USER_FEATURES, C, D, U, batch, item_codes, make


def softmax_mean(rows: list[Tensor], query: Tensor, width: int) -> Tensor:
    """Rows weighed by how well they fit."""
    weights = [math.exp(float(row @ query)) for row in rows]
    total = torch.zeros(width, dtype=torch.float64)
    for weight, row in zip(weights, rows, strict=True):
        total = total + weight / sum(weights) * row
    return total


def mean(table: Tensor, codes: Tensor) -> Tensor:
    known = [c for c in codes.reshape(-1).tolist() if c >= 0]
    return sum((table[c] for c in known), torch.zeros(D).double()) / max(1, len(known))


def profile(model: SDMEncoder, columns: dict[str, Tensor], row: int) -> Tensor:
    parts = []
    for name, table in zip(USER_FEATURES, model.user_features.tables, strict=False):
        codes = columns[f"user.{name}"][row]
        parts.append(mean(table.weight, codes) if codes.dim() else table.weight[max(0, int(codes))])
    if model.users is not None:
        user = int(columns["user"][row])
        parts.append(model.users.table.weight[user if user >= 0 else U])
    if not parts:
        return model.anybody
    return model.profile.weight @ torch.cat(parts) + model.profile.bias + model.anybody


def item(model: SDMEncoder, code: int) -> list[Tensor]:
    codes = item_codes()
    parts = [model.watched.weight[code]]
    for name, table in zip(codes, model.item_features.tables, strict=False):
        values = codes[name][code]
        parts.append(mean(table.weight, values) if values.dim() else table.weight[int(values)])
    return parts


def lstm(model: SDMEncoder, inputs: list[Tensor]) -> list[Tensor]:
    h = c = torch.zeros(D, dtype=torch.float64)
    outputs = []
    for x in inputs:
        gates = (
            model.lstm.weight_ih_l0 @ x + model.lstm.bias_ih_l0 + model.lstm.weight_hh_l0 @ h + model.lstm.bias_hh_l0
        )
        i, f, g, o = gates.split(D)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return outputs


def one_query(model: SDMEncoder, columns: dict[str, Tensor], row: int, session: int | None = None) -> Tensor:
    items = [code for code in columns["history"][row].tolist() if code >= 0]
    cut = max(0, len(items) - min(model.short_length, model.short_length if session is None else session))
    user = profile(model, columns, row)
    hidden = lstm(model, [torch.cat(item(model, code)) for code in items[cut:]])
    q_w, k_w, v_w = model.query_key_value.weight.split(D)
    width = D // model.heads
    mixed = []
    for h in hidden:
        heads = []
        for head in range(model.heads):
            part = slice(head * width, (head + 1) * width)
            query = (q_w @ h)[part] / math.sqrt(width)
            scores = [math.exp(float(query @ (k_w @ other)[part])) for other in hidden]
            values = [(v_w @ other)[part] for other in hidden]
            heads.append(sum(s / sum(scores) * v for s, v in zip(scores, values, strict=True)))
        x = h + model.project.weight @ torch.cat(heads)
        x = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5)
        mixed.append(x * model.norm.weight + model.norm.bias)
    short = softmax_mean(mixed, user, D)
    past = [item(model, code) for code in items[:cut]]
    parts = len(item(model, 0)) if len(model.item_features.tables) else 1
    found = [softmax_mean([vectors[f] for vectors in past], user, D) for f in range(parts)]
    long = torch.tanh(model.long_term.weight @ torch.cat(found) + model.long_term.bias)
    gate = torch.sigmoid(model.gate.weight @ torch.cat([user, short, long]) + model.gate.bias)
    return (1 - gate) * long + gate * short


@pytest.mark.parametrize("name", ["sdm", "sdm, features"])
def test_it_is_the_loop_that_a_student_would_write(name):
    model, columns = make(name).requires_grad_(False), batch()
    served, (trained, targets) = model.query(columns), model.training_queries(columns)
    for row in range(5):
        torch.testing.assert_close(served[row], one_query(model, columns, row), rtol=1e-9, atol=1e-9)
    assert torch.equal(trained, served)
    assert torch.equal(targets, columns["target"])


def test_a_session_may_be_told():
    """As many of the last items, but no more than `short_length`; none as well."""
    model, sessions = make("sdm").requires_grad_(False), [2, 3, 0, 0, 9]
    columns = batch()
    served = model.query(columns | {"session": torch.tensor(sessions)})
    for row, session in enumerate(sessions):
        torch.testing.assert_close(served[row], one_query(model, columns, row, session), rtol=1e-9, atol=1e-9)
    assert not torch.equal(served[0], model.query(columns)[0])


def test_an_unknown_user_starts_at_zero_and_learns_by_standing_in():
    model = SDMEncoder(C, D, num_users=U, user_dropout=0.5)
    assert model.users is not None
    assert (model.users.table.weight[U] == 0).all()
    torch.manual_seed(1)
    model.training_queries(batch() | {"user": torch.zeros(5, dtype=torch.int64)})[0].sum().backward()
    gradient = model.users.table.weight.grad
    assert (gradient[U] != 0).any()
    assert (gradient[0] != 0).any()
    with pytest.raises(ValueError, match=r"^user: expected class ids in \[0, 6\)"):
        model.query(batch() | {"user": torch.full((5,), U)})


def test_bad_options():
    with pytest.raises(ValueError, match=r"^heads: expected a divisor of dim = 8, got 3"):
        SDMEncoder(C, D, heads=3)
    with pytest.raises(KeyError, match=r"brand: the model needs this column"):
        SDMEncoder(C, D, item_features={"brand": 5})
    with pytest.raises(ValueError, match=r"^item_codes: expected the names of item_features, got 'shop'"):
        SDMEncoder(C, D, item_codes={"shop": torch.zeros(C, dtype=torch.int64)})
    with pytest.raises(
        ValueError, match=r"^item_codes\['brand'\]: expected shape \(C,\) or \(C, W\) with C = 23, got \(4,\)"
    ):
        SDMEncoder(C, D, item_features={"brand": 5}, item_codes={"brand": torch.zeros(4, dtype=torch.int64)})
    with pytest.raises(ValueError, match=r"^brand: expected class ids"):
        SDMEncoder(C, D, item_features={"brand": 5}, item_codes={"brand": torch.full((C,), 5)})
