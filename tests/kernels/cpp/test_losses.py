"""The compiled sampled loss against the reference: values and gradients of every objective, shape and option."""

import pytest
import torch
from torch import Tensor

from logq import kernels
from logq.candidates import IGNORED, Candidates
from logq.kernels import reference
from logq.objectives import OBJECTIVES, softmax
from problems import PROBLEMS, SEVERAL_TRUE, C, Problem, problem

SAMPLED = [name for name, row in OBJECTIVES.items() if row.negatives.sampled]
KINDS = PROBLEMS | SEVERAL_TRUE | {"two, shared, excluded": {"num_true": 2, "excluded": True, "ignored": True}}
OPTIONS = {
    "plain": {},
    "temperature": {"temperature": 0.3},
    "cosine": {"cosine": True, "temperature": 0.2},
    "hits stay": {"remove_hits": False},
    "hits leave, cosine": {"remove_hits": True, "cosine": True},
}


def defaults(**options) -> dict:
    return {
        "temperature": 1.0,
        "cosine": False,
        "remove_hits": None,
        "sparse": False,
        "reduction": "mean",
    } | options


def both(name: str, p: Problem, *, bias: bool = True, upstream: Tensor | None = None, **options) -> list[list[Tensor]]:
    """[loss, gradients of input, weight and bias] of the compiled backend and of the reference."""
    leaves = list(p[: 3 if bias else 2])
    results = []
    for op in (kernels.get("sampled_loss"), reference.sampled_loss):
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        loss = op(OBJECTIVES[name], *leaves[:2], leaves[2] if bias else None, p.candidates, **defaults(**options))
        results.append([loss, *torch.autograd.grad(loss, leaves, upstream)])
    return results


def assert_alike(results: list[list[Tensor]], tolerance: float = 1e-12) -> None:
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == expected.dtype
        assert actual.is_sparse == expected.is_sparse
        if actual.is_sparse:
            assert actual.is_coalesced()
            ids = actual.indices()[0]
            assert (ids[1:] > ids[:-1]).all()
            assert set(ids.tolist()) <= set(expected.coalesce().indices()[0].tolist())
            actual, expected = actual.to_dense(), expected.to_dense()
        torch.testing.assert_close(actual.detach(), expected.detach(), rtol=tolerance, atol=tolerance)


@pytest.fixture(autouse=True)
def _the_compiled_backend_is_what_runs():
    assert kernels.active()["sampled_loss"] == "cpp"
    assert kernels.get("sampled_loss") is not reference.sampled_loss


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", SAMPLED)
def test_the_meaning_is_that_of_the_reference(name, kind, options):
    if OBJECTIVES[name].loss is softmax and kind.get("num_true", 1) > 1:
        with pytest.raises(ValueError, match=r"targets: expected one true class per row for "):
            both(name, problem(**kind))
        return
    p = problem(**kind, seed=3)
    for bias in (True, False):
        for sparse in (False, True):
            assert_alike(both(name, p, bias=bias, sparse=sparse, **options))
            assert_alike(both(name, p, bias=bias, sparse=sparse, reduction="sum", **options))
            upstream = torch.linspace(-1, 2, len(p.input), dtype=torch.float64)
            assert_alike(both(name, p, bias=bias, sparse=sparse, reduction="none", upstream=upstream, **options))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", SAMPLED)
def test_any_upstream_gradient(name, reduction):
    for number in (0.0, -3.5, 65536.0):
        assert_alike(
            both(name, problem(), reduction=reduction, upstream=torch.tensor(number, dtype=torch.float64)), 1e-11
        )


@pytest.mark.parametrize("needed", [[0], [1], [2], [0, 1], [0, 2], [1, 2]], ids=str)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_only_what_asks_for_a_gradient_gets_one(needed, sparse, reduction):
    p = problem(ignored=True)
    found = []
    for op in (kernels.get("sampled_loss"), reference.sampled_loss):
        leaves = [leaf.detach().requires_grad_(place in needed) for place, leaf in enumerate(p[:3])]
        loss = op(OBJECTIVES["nce"], *leaves, p.candidates, **defaults(sparse=sparse, reduction=reduction))
        loss.sum().backward()
        assert [leaf.grad is not None for leaf in leaves] == [place in needed for place in range(3)]
        found.append([leaves[place].grad.to_dense() for place in needed])
    for actual, expected in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_without_autograd(reduction):
    p = problem(ignored=True)
    values = [
        op(OBJECTIVES["sampled_softmax"], *p, **defaults(reduction=reduction))
        for op in (kernels.get("sampled_loss"), reference.sampled_loss)
    ]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    assert not values[0].requires_grad
    leaves = p.with_grad()
    with torch.no_grad():
        under = kernels.get("sampled_loss")(OBJECTIVES["sampled_softmax"], *leaves, **defaults(reduction=reduction))
    assert torch.equal(under, values[0])
    assert not under.requires_grad


def test_a_graph_may_be_gone_through_twice():
    p = problem().with_grad()
    for reduction in ("mean", "none"):
        loss = kernels.get("sampled_loss")(OBJECTIVES["nce"], *p, **defaults(reduction=reduction)).sum()
        first = torch.autograd.grad(loss, p[:3], retain_graph=True)
        for again, before in zip(torch.autograd.grad(loss, p[:3]), [x.clone() for x in first], strict=True):
            assert torch.equal(again, before)


def test_two_losses_may_share_a_table():
    p = problem()
    found = []
    for op in (kernels.get("sampled_loss"), reference.sampled_loss):
        leaves = p.with_grad()
        for name in ("nce", "sampled_softmax"):
            op(OBJECTIVES[name], *leaves, **defaults(sparse=True)).backward()
        found.append([leaves.input.grad, leaves.weight.grad.to_dense(), leaves.bias.grad.to_dense()])
    for actual, expected in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------- small and many

MANY = 10_000
PIECES = 20
FAST = 2  # pieces; the others take half a minute


def small_problems(seed: int, number: int):
    """(problem, name, options): sizes from 0 or 1 up to 5; numbers and ids are cut from one stream of each."""
    g = torch.Generator().manual_seed(seed)

    def integers(high: int) -> list[int]:
        return torch.randint(high, (number,), generator=g).tolist()

    normal = torch.randn(1 << 16, generator=g, dtype=torch.float64)
    rows, sampled, true, classes, width = integers(5), integers(6), integers(3), integers(5), integers(4)
    switches, at = torch.randint(2, (number, 8), generator=g).bool().tolist(), integers(1 << 15)
    draws, masked = torch.randint(1 << 30, (1 << 16,), generator=g), torch.rand(1 << 16, generator=g)
    for i in range(number):
        b, s, c, d = rows[i], sampled[i], classes[i] + 1, width[i] + 1
        per_row, excluded, ignored, bias, cosine, sparse, several, own_counts = switches[i]
        name = SAMPLED[i % len(SAMPLED)]
        t = 1 if OBJECTIVES[name].loss is softmax else true[i] + 1
        place = at[i]

        def cut(stream: Tensor, *shape: int) -> Tensor:
            nonlocal place
            size = torch.Size(shape).numel()
            place += size
            return stream[place - size : place].view(shape)

        ids = cut(draws, b, s) % c if per_row else cut(draws, s) % c
        targets = cut(draws, b, t) % c
        if ignored:
            targets = targets.masked_fill(cut(masked, b, t) < 0.4, IGNORED)
        if t == 1 and several:
            targets = targets[:, 0]
        log_q = cut(normal, b, s) if own_counts else cut(normal, *ids.shape)
        candidates = Candidates(
            ids, log_q, targets, cut(normal, *targets.shape), cut(masked, b, s) < 0.3 if excluded else None
        )
        options = {
            "bias": bias,
            "cosine": cosine,
            "sparse": sparse,
            "temperature": (1.0, 0.4)[place % 2],
            "remove_hits": (None, True, False)[place % 3],
            "reduction": ("mean", "sum", "none")[i % 3],
            "upstream": cut(normal, b) if i % 3 == 2 else None,
        }
        yield Problem(cut(normal, b, d), cut(normal, c, d), cut(normal, c), candidates), name, options


@pytest.mark.parametrize("seed", [pytest.param(i, marks=[pytest.mark.slow] * (i >= FAST)) for i in range(PIECES)])
def test_ten_thousand_small_problems(seed):
    for p, name, options in small_problems(seed, MANY // PIECES):
        assert_alike(both(name, p, **options), 1e-10)


# ----------------------------------------------------------------------------------------- what the reference runs


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
def test_a_loss_that_is_neither_logistic_nor_softmax_runs_on_the_reference():
    def hinge(true_logits, negative_logits, is_true, is_negative):
        negatives = torch.relu(1 + negative_logits)
        negatives = negatives if is_negative is None else negatives.where(is_negative, 0.0)
        return torch.relu(1 - true_logits).where(is_true, 0.0).sum(dim=1) + negatives.sum(dim=1)

    row = OBJECTIVES["nce"]
    own = type(row)("hinge", row.negatives, row.subtract_log_q, hinge, row.approximates)
    p = problem().with_grad()
    actual = kernels.get("sampled_loss")(own, *p, **defaults())
    expected = reference.sampled_loss(own, *p, **defaults())
    assert torch.equal(actual, expected)
    assert actual != kernels.get("sampled_loss")(row, *p, **defaults())


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
def test_transforms_of_functions():
    """Gradients by torch.func, of one example and of each of several."""
    p = problem(per_row=True)

    def loss(weight: Tensor, input: Tensor, candidates: Candidates) -> Tensor:
        return kernels.get("sampled_loss")(OBJECTIVES["nce"], input, weight, None, candidates, **defaults())

    expected = both("nce", p, bias=False)[1][2]
    torch.testing.assert_close(torch.func.grad(loss)(p.weight, p.input, p.candidates), expected)
    one_by_one = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, Candidates(0, 0, 0, 0, None)))
    batches = Candidates(*(None if x is None else x[:, None] for x in p.candidates))
    each = one_by_one(p.weight, p.input[:, None], batches)
    assert each.shape == (5, C, 3)
    torch.testing.assert_close(each.mean(dim=0), expected)
