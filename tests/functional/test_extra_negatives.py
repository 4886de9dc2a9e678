"""Negatives that are given beside the sampled ones: what is expected of them, by enumeration, and a loop."""

import itertools

import pytest
import torch

from logq.candidates import IGNORED, Candidates
from logq.functional import full_loss, sampled_loss, sampled_softmax_loss
from logq.nn import CandidateLoss
from logq.objectives import OBJECTIVES, SAMPLED_SOFTMAX, Negatives
from logq.optim import Adagrad
from logq.samplers import InBatch, Mixture, Uniform, Unigram

SAMPLED = [name for name, objective in OBJECTIVES.items() if objective.negatives.sampled]
C, D = 5, 3
Q = torch.tensor([0.4, 0.25, 0.15, 0.12, 0.08], dtype=torch.float64)
WEIGHT = torch.randn(C, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
BIAS = torch.randn(C, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
INPUT = torch.randn(1, D, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
F = (INPUT @ WEIGHT.T + BIAS)[0]


def sample(ids: tuple[int, ...], target: int) -> Candidates:
    """A sample of draws with replacement by Q."""
    counts = (len(ids) * Q).log()
    drawn = torch.tensor(ids)
    return Candidates(drawn, counts[drawn], torch.tensor([target]), counts[[target]])


def every_sample(size: int):
    for ids in itertools.product(range(C), repeat=size):
        yield ids, float(Q[list(ids)].prod())


@pytest.mark.parametrize("extra", [[], [4], [1, 3], [3, 3, 0], [2, 4]])
@pytest.mark.parametrize("target", [2, 0])
def test_the_normalizer_of_refined_softmax_is_unbiased(extra, target):
    given, total = torch.tensor([[*extra, -1]]), 0.0
    for ids, probability in every_sample(3):
        loss = sampled_loss("refined_softmax", INPUT, WEIGHT, sample(ids, target), bias=BIAS, extra_negatives=given)
        total += probability * float((loss + F[target]).exp())
    assert total == pytest.approx(float(F.exp().sum()), rel=1e-12)


@pytest.mark.parametrize("extra", [[4], [1, 3], [2, 4], [0, 0, 1]])
@pytest.mark.parametrize("name", ["negative_sampling", "nce", "sampled_logistic"])
def test_logistic_losses_expect_each_class_as_often_as_q_says(name, extra):
    """The mean over all samples is the sum over classes of Q softplus(G), with Q = 1 for those that are given."""
    target, total = 2, 0.0
    for ids, probability in every_sample(2):
        total += probability * float(
            sampled_loss(name, INPUT, WEIGHT, sample(ids, target), bias=BIAS, extra_negatives=torch.tensor([extra]))
        )
    q = 2 * Q.clone()
    q[sorted(set(extra))] = 1.0
    objective = OBJECTIVES[name]
    g = F - q.log() if objective.subtract_log_q else F
    negatives = [y for y in range(C) if y != target or objective.negatives is Negatives.S]
    expected = float(torch.nn.functional.softplus(-g[target]))
    expected += sum(float(q[y] * torch.nn.functional.softplus(g[y])) for y in negatives)
    assert total == pytest.approx(expected, rel=1e-12)


def test_sampled_softmax_is_stationary_where_classes_are_included_independently():
    """At F = log P + K, with two classes that are always given, also as targets."""
    p = torch.tensor([0.1, 0.3, 0.2, 0.15, 0.25], dtype=torch.float64)
    inclusion, extra = torch.tensor([0.3, 0.6, 0.5, 0.2, 0.7], dtype=torch.float64), torch.tensor([[1, 4]])
    bias = (p.log() + 0.4).requires_grad_()
    total, by_sampling_alone = 0.0, 0.0
    for mask in itertools.product([False, True], repeat=C):
        included = torch.tensor(mask)
        probability = torch.where(included, inclusion, 1 - inclusion).prod()
        ids = included.nonzero()[:, 0]
        for target in range(C):
            candidates = Candidates(ids, inclusion[ids].log(), torch.tensor([target]), inclusion[[target]].log())
            row = torch.zeros(1, D, dtype=torch.float64), WEIGHT, candidates
            total = total + probability * p[target] * sampled_softmax_loss(*row, bias=bias, extra_negatives=extra)
            by_sampling_alone = by_sampling_alone + probability * p[target] * sampled_softmax_loss(*row, bias=bias)
    for loss in (total, by_sampling_alone):
        (gradient,) = torch.autograd.grad(loss, bias)
        torch.testing.assert_close(gradient, torch.zeros(C, dtype=torch.float64), atol=1e-12, rtol=0)


SAMPLERS = {
    "shared": lambda: Unigram([9, 8, 7, 6, 5, 4, 3, 2, 1], 6, seed=1),
    "per row": lambda: Uniform(9, 6, seed=1, per_row=True),
    "in the batch": lambda: InBatch(9, counts=range(1, 10)),
    "mixed": lambda: Mixture([InBatch(9, counts=range(1, 10)), Uniform(9, 4, seed=1)]),
}
TARGETS = torch.tensor([3, 0, 8, IGNORED, 3])
EXTRA = torch.tensor([[1, 2, -1], [-1, -1, -1], [8, 0, 5], [1, 1, 1], [7, 7, 4]])


def by_loop(objective, input, weight, bias, candidates, extra, remove_hits):
    """The loss of each row, class after class."""
    losses = []
    ids = candidates.ids.expand(len(input), -1)
    counts = candidates.log_expected_count.expand(ids.shape)
    remove = objective.negatives is not Negatives.S if remove_hits is None else remove_hits
    for row, target in enumerate(candidates.targets.tolist()):
        if target == IGNORED:
            losses.append(input.new_zeros(()))
            continue
        logits = (input[row] @ weight.T + bias) / 0.7
        given = {item for item in extra[row].tolist() if item >= 0}
        true_q = 0.0 if target in given else float(candidates.true_log_expected_count[row])
        negatives = [(item, 0.0) for item in sorted(given)]
        for place, (item, log_q) in enumerate(zip(ids[row].tolist(), counts[row].tolist(), strict=True)):
            left_out = candidates.excluded is not None and bool(candidates.excluded[row, place])
            if item not in given and not left_out:
                negatives.append((item, log_q))
        negatives = [(item, log_q) for item, log_q in negatives if not (remove and item == target)]
        subtract = objective.subtract_log_q
        true = logits[target] - (true_q if subtract and objective.true_log_q else 0.0)
        others = [logits[item] - (log_q if subtract else 0.0) for item, log_q in negatives]
        if objective.loss.__name__ == "softmax":
            losses.append(torch.stack([true, *others]).logsumexp(dim=0) - true)
        else:
            softplus = torch.nn.functional.softplus
            losses.append(softplus(-true) * objective.true_weight(ids.shape[1], 9) + sum(map(softplus, others)))
    return torch.stack(losses)


@pytest.mark.parametrize("remove_hits", [None, True, False])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", SAMPLED)
def test_losses_and_gradients_are_those_of_a_loop(name, sampler, remove_hits):
    generator = torch.Generator().manual_seed(5)
    shapes = [(5, D), (9, D), (9,)]
    values = [torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]
    input, weight, bias = values
    candidates, row_weight = SAMPLERS[sampler]().draw(TARGETS), torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0]).double()
    options = {"bias": bias, "temperature": 0.7, "remove_hits": remove_hits, "row_weight": row_weight}
    found = sampled_loss(name, input, weight, candidates, extra_negatives=EXTRA, **options)
    losses = by_loop(OBJECTIVES[name], *values, candidates, EXTRA, remove_hits)
    expected = (losses * row_weight).sum() / row_weight[TARGETS != IGNORED].sum()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for one, other in zip(torch.autograd.grad(found, values), torch.autograd.grad(expected, values), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_none_that_are_given_change_nothing():
    input, weight, candidates = torch.randn(5, D), torch.randn(9, D), SAMPLERS["shared"]().draw(TARGETS)
    for extra in (torch.full((5, 2), -1), torch.empty(5, 0, dtype=torch.int64)):
        for name in SAMPLED:
            torch.testing.assert_close(
                sampled_loss(name, input, weight, candidates, extra_negatives=extra),
                sampled_loss(name, input, weight, candidates),
            )


def test_all_classes_given_make_the_full_softmax():
    input, weight, targets = torch.randn(4, D), torch.randn(9, D), torch.tensor([3, 0, 8, 3])
    every = torch.arange(9).expand(4, 9)
    candidates = Uniform(9, 1, seed=1).draw(targets)
    found = sampled_softmax_loss(input, weight, candidates, extra_negatives=every, cosine=True, temperature=0.1)
    torch.testing.assert_close(found, full_loss("full_softmax", input, weight, targets, cosine=True, temperature=0.1))


@pytest.mark.parametrize("sparse", [False, True])
def test_modules_take_them(sparse):
    module = CandidateLoss("nce", D, 9, Uniform(9, 4, seed=1), sparse=sparse)
    input = torch.randn(5, D)
    found = module(input, TARGETS, extra_negatives=EXTRA)
    candidates = Uniform(9, 4, seed=1).draw(TARGETS)
    expected = sampled_loss("nce", input, module.weight, candidates, bias=module.bias, extra_negatives=EXTRA)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert module.weight.grad is not None
    assert module.weight.grad.is_sparse == sparse
    (dense,) = torch.autograd.grad(expected, module.weight)
    torch.testing.assert_close(module.weight.grad.to_dense() if sparse else module.weight.grad, dense)


@pytest.mark.parametrize(
    ("objective", "extra", "message"),
    [
        ("nce", [[9]] * 5, r"extra_negatives: expected class ids in \[0, 9\)"),
        ("nce", [[1]] * 4, "extra_negatives: expected"),
        (SAMPLED_SOFTMAX.smoothed(0.1), [[1]] * 5, "extra_negatives: expected None with label smoothing"),
    ],
)
def test_what_cannot_be_given_is_named(objective, extra, message):
    candidates = SAMPLERS["shared"]().draw(TARGETS)
    with pytest.raises(ValueError, match=message):
        sampled_loss(objective, torch.randn(5, D), torch.randn(9, D), candidates, extra_negatives=torch.tensor(extra))


def test_full_losses_take_none():
    with pytest.raises(ValueError, match="extra_negatives: expected None for full_softmax"):
        CandidateLoss("full_softmax", D, 9)(torch.randn(5, D), TARGETS, extra_negatives=EXTRA)


def test_a_table_that_is_updated_inside_of_backward_is_refused():
    weight = torch.nn.Parameter(torch.randn(9, D))
    optimizer = Adagrad([weight], lr=0.1, in_backward=True)  # kept, as tables know it as long as it lives
    candidates = Uniform(9, 4, seed=1).draw(TARGETS)
    with pytest.raises(ValueError, match="extra_negatives: expected None with an optimizer that has in_backward=True"):
        sampled_loss("nce", torch.randn(5, D), weight, candidates, extra_negatives=EXTRA)
    assert optimizer.param_groups
