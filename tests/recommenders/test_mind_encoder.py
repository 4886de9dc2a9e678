"""MIND against one example at a time; routing, the number of interests and label-aware attention by themselves."""

import math

import pytest
import torch
from torch import Tensor

from logq.recommenders.mind import MINDEncoder, _squash
from model_cases import USER_FEATURES, C, D, batch, make


def close(actual, expected, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def one_user(model: MINDEncoder, columns: dict[str, Tensor], row: int) -> list[Tensor]:
    """The interests of one user: the paper's Algorithm 1, a loop for each index."""
    items = [item for item in columns["history"][row].tolist() if item >= 0]
    n, k = len(items), model.num_interests
    if model.adaptive:
        k = max(1, min(k, int(math.log2(n)))) if n else 1
    powers = [model.recency ** (n - 1 - i) for i in range(n)]
    mapped = [
        n * power / sum(powers) * (model.bilinear.weight @ model.watched.weight[item])
        for item, power in zip(items, powers, strict=True)
    ]
    b = [[float(model.routing[n - 1 - i, j]) for i in range(n)] for j in range(k)]
    capsules: list[Tensor] = []
    for _ in range(model.passes):
        capsules = []
        for j in range(k):
            z = torch.zeros(D, dtype=torch.float64)
            for i in range(n):
                z = z + math.exp(b[j][i]) / sum(math.exp(b[m][i]) for m in range(k)) * mapped[i]
            length = float(z.norm())
            capsules.append(length**2 / (1 + length**2) * z / length if length else z)
        for j in range(k):
            for i in range(n):
                b[j][i] += float(capsules[j] @ mapped[i])
    features = []
    for name, table in zip(USER_FEATURES, model.user_features.tables, strict=False):
        codes = columns[f"user.{name}"][row].reshape(-1)
        known = [code for code in codes.tolist() if code >= 0] or ([0] if len(codes) == 1 else [])
        features.append(sum((table.weight[c] for c in known), torch.zeros(16).double()) / max(1, len(known)))
    queries = []
    for capsule in capsules:
        x = torch.cat([capsule, *features])
        for layer in model.tower.layers[:-1]:
            x = (layer.weight @ x + layer.bias).clamp(min=0)
        queries.append(model.tower.layers[-1].weight @ x + model.tower.layers[-1].bias)
    return queries


def attended(queries: list[Tensor], label: Tensor, power: float) -> Tensor:
    fit = [float(query @ label) for query in queries]
    raised = [math.copysign(abs(x) ** power, x) if power else 1.0 for x in fit]
    total = sum(math.exp(x - max(raised)) for x in raised)
    return sum((math.exp(x - max(raised)) / total * q for x, q in zip(raised, queries, strict=True)), torch.zeros(D))


@pytest.mark.parametrize("recency", [1.0, 0.7])
@pytest.mark.parametrize("name", ["mind", "mind, features"])
def test_it_is_the_loop_that_a_student_would_write(name, recency):
    model, columns = make(name, recency=recency).requires_grad_(False), batch()
    served, (trained, targets) = model.query(columns), model.training_queries(columns)
    for row in range(5):
        expected = one_user(model, columns, row)
        for j in range(model.num_interests):
            close(served[row, j], expected[j] if j < len(expected) else expected[0])
        close(trained[row], attended(expected, model.item_table[targets[row]], model.power))


def test_how_many_interests():
    model = MINDEncoder(C, D, interests=4, max_length=40)
    for length, expected in ((0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (15, 3), (16, 4), (40, 4)):
        history = torch.full((1, 40), -1)
        history[0, :length] = torch.arange(length) % C
        exists = model.interests({"history": history})[1]
        assert exists[0].tolist() == [True] * expected + [False] * (4 - expected)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 20.0, math.inf])
def test_the_power_goes_from_the_mean_to_the_best_interest(power):
    model, columns = make("mind", power=power).requires_grad_(False), batch()
    queries, exists = model.interests(columns)
    trained = model.training_queries(columns)[0]
    for row in range(5):
        mine = queries[row][exists[row]]
        fit = mine @ model.item_table[columns["target"][row]]
        if power == 0:
            close(trained[row], mine.mean(dim=0))
        elif power == math.inf:
            close(trained[row], mine[fit.argmax()])
        else:
            close(trained[row], attended(list(mine), model.item_table[columns["target"][row]], power))
    many = MINDEncoder(C, D, interests=3, power=200.0)
    with torch.no_grad():
        many.item_table.mul_(1e4)
    assert many.training_queries(columns)[0].isfinite().all()


def test_random_logits_tell_interests_apart_and_zeros_would_not():
    columns = {"history": torch.arange(12).view(1, 12)}
    torch.manual_seed(1)
    model = MINDEncoder(C, D, interests=3).requires_grad_(False)
    capsules = model.capsules(columns["history"])[0][0]
    assert float((capsules[0] - capsules[1]).abs().max()) > 1e-3
    model.routing.zero_()
    capsules = model.capsules(columns["history"])[0][0]
    close(capsules[0], capsules[1], 1e-6)


def test_routing_logits_come_from_the_generator_and_stay():
    made = [MINDEncoder(C, D, generator=torch.Generator().manual_seed(seed)).routing for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    model = MINDEncoder(C, D)
    assert "routing" in model.state_dict()
    assert "routing" not in dict(model.named_parameters())
    before = model.routing.clone()
    model.training_queries(batch())[0].sum().backward()
    assert torch.equal(model.routing, before)
    assert "routing" in dict(MINDEncoder(C, D, learned_routing=True).named_parameters())


def test_gradients_go_through_the_last_pass_only():
    """With the agreement of earlier passes taken as given numbers, the gradient is the same."""
    model, history = make("mind", passes=3), torch.tensor([[3, 5, 8, 2, 9, 1, 4, 7]])
    upstream = torch.randn(1, 3, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model.capsules(history)[0].mul(upstream).sum().backward()
    actual = model.bilinear.weight.grad.clone()
    mapped = (model.watched.weight[history[0]] @ model.bilinear.weight.T).detach()
    b = model.routing[torch.arange(7, -1, -1)].T.clone()
    first = b.clone()
    for _ in range(2):
        b = b + _squash(b.softmax(dim=0) @ mapped) @ mapped.T
    assert not torch.equal(b, first)
    weight = model.bilinear.weight.detach().clone().requires_grad_()
    live = _squash(b.softmax(dim=0).detach() @ (model.watched.weight.detach()[history[0]] @ weight.T))
    expected = torch.autograd.grad((live * upstream[0]).sum(), weight)[0]
    close(actual, expected)


def test_squash_keeps_the_direction_and_bounds_the_length():
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-4, 0.0]], dtype=torch.float64, requires_grad=True)
    squashed = _squash(z)
    close(squashed[0], torch.tensor([0.6, 0.8], dtype=torch.float64) * 25 / 26)
    assert squashed[1].tolist() == [0.0, 0.0]
    squashed.sum().backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("power", -1.0, "power: expected a finite number >= 0"),
        ("power", 0.5, "power: expected 0 or a number >= 1, got 0.5"),
        ("interests", 0, "interests: expected an integer >= 1"),
        ("passes", 0, "passes: expected an integer >= 1"),
        ("routing_std", 0.0, "routing_std: expected a finite number > 0"),
    ],
)
def test_bad_options(option, value, error):
    with pytest.raises(ValueError, match=f"^{error}"):
        MINDEncoder(C, D, **{option: value})
