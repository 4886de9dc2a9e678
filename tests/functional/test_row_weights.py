"""Weights of rows and label smoothing, against loops over Python floats, torch's own losses, and enumeration."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

import student
from cases import FUNCTIONS, call
from logq import kernels
from logq.candidates import IGNORED, Candidates
from logq.functional import full_loss, full_softmax_loss, sampled_loss, sampled_softmax_loss
from logq.kernels import fallback
from logq.nn import FullLogisticLoss, SampledSoftmaxLoss
from logq.objectives import GBCE, SAMPLED_SOFTMAX
from logq.optim import SGD
from logq.samplers import EveryClass, Uniform
from problems import PROBLEMS, SEVERAL_TRUE, B, C, problem

ROWS = {name: row for name, row in FUNCTIONS.items() if row is not None}
ONE_TRUE = {"sampled_softmax_loss", "refined_softmax_loss", "full_softmax_loss"}
KINDS = PROBLEMS | SEVERAL_TRUE
WEIGHTS = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
SMOOTHING = 0.3


def close(actual, expected, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


CASES = [
    pytest.param(name, options, id=f"{name}-{kind}")
    for name, (kind, options) in itertools.product(ROWS, KINDS.items())
    if name not in ONE_TRUE or options.get("num_true", 1) == 1
]


# ------------------------------------------------------------------------------------------------------ row weights


@pytest.mark.parametrize("backend", ["cpp", "reference"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_loss_of_a_row_counts_its_weight(name, kind, backend):
    p = problem(**kind).with_grad()
    alone = call(name, p.input, p.weight, p.candidates, bias=p.bias, reduction="none")
    is_row = (p.candidates.targets != IGNORED).view(B, -1).any(dim=1)
    expected = {
        "none": alone * WEIGHTS,
        "sum": (alone * WEIGHTS).sum(),
        "mean": (alone * WEIGHTS).sum() / WEIGHTS[is_row].sum(),
    }
    for reduction, value in expected.items():
        with kernels.use(backend):
            loss = call(name, p.input, p.weight, p.candidates, bias=p.bias, reduction=reduction, row_weight=WEIGHTS)
        close(loss, value)
        upstream = torch.linspace(0.5, 2, B, dtype=torch.float64) if reduction == "none" else torch.tensor(2.0).double()
        made = torch.autograd.grad(loss, p[:3], upstream, create_graph=reduction == "mean")
        wanted = torch.autograd.grad(value, p[:3], upstream, create_graph=True)
        close(made, wanted)
        if reduction == "mean":  # through the backward that can be differentiated again
            again = (torch.autograd.grad(sum(g.pow(2).sum() for g in part), p[0])[0] for part in (made, wanted))
            close(*again)


def test_weights_that_are_all_zero_or_belong_to_ignored_rows_give_zero():
    p = problem(ignored=True).with_grad()
    only_ignored = torch.zeros(B).index_fill(0, torch.tensor([1]), 1.0)
    for weights in (torch.zeros(B), only_ignored):
        for backend in ("cpp", "reference"):
            with kernels.use(backend):
                loss = sampled_loss("nce", *p[:2], p.candidates, row_weight=weights)
            assert loss.item() == 0
            assert all(not gradient.any() for gradient in torch.autograd.grad(loss, p[:2]))


def test_weights_reach_sparse_gradients_updates_and_graphs():
    module = SampledSoftmaxLoss(8, 50, Uniform(50, 10, seed=1), sparse=True)
    input, targets, weights = torch.randn(6, 8), torch.arange(6), torch.rand(6)
    candidates = module.sampler.draw(targets)

    def loss(weight, **options):
        return sampled_softmax_loss(input, weight, candidates, row_weight=weights, **options)

    table = module.weight.detach().clone().requires_grad_()
    (dense,) = torch.autograd.grad(loss(table), table)
    (sparse,) = torch.autograd.grad(loss(table, sparse=True), table)
    close(sparse.to_dense(), dense, 1e-6)
    compiled = torch.compile(lambda table: loss(table), backend="eager", fullgraph=True)
    close(torch.autograd.grad(compiled(table), table)[0], dense, 1e-6)
    updated = torch.nn.Parameter(table.detach().clone())
    optimizer = SGD([updated], lr=0.5, in_backward=True)
    loss(updated, sparse=True).backward()
    optimizer.step()
    close(updated.detach(), table.detach() - 0.5 * dense, 1e-6)


def test_modules_take_weights_of_rows():
    sampled, full = SampledSoftmaxLoss(4, 9, EveryClass(9)), FullLogisticLoss(4, 9)
    input, targets, weights = torch.randn(3, 4), torch.tensor([1, 8, 0]), torch.tensor([1.0, 0.0, 4.0])
    expected = F.cross_entropy(input @ sampled.weight.T + sampled.bias, targets, reduction="none") @ weights / 5
    close(sampled(input, targets, row_weight=weights), expected, 1e-5)
    full.reduction = "none"
    close(full(input, targets, weights), full(input, targets) * weights, 1e-6)


@pytest.mark.parametrize(
    ("weights", "error", "text"),
    [
        (torch.ones(4), ValueError, r"row_weight: expected shape \(B,\) with B = 5, got \(4,\)"),
        (torch.ones(B).long(), TypeError, "row_weight: expected a floating point dtype"),
        (
            torch.tensor([1.0, 1, -2, 1, 1]),
            ValueError,
            r"row_weight: expected finite numbers >= 0, got -2.0 at pos.* 2",
        ),
        (torch.tensor([1.0, math.nan, 1, 1, 1]), ValueError, "row_weight: expected finite .* got nan at position 1"),
        (torch.ones(B, requires_grad=True), ValueError, r'row_weight: .* no gradient.* reduction="none"'),
        (2.0, TypeError, "row_weight: expected a tensor"),
    ],
    ids=["shape", "integers", "negative", "nan", "gradient", "number"],
)
def test_bad_weights_of_rows_are_named(weights, error, text):
    p = problem()
    with pytest.raises(error, match=text):
        sampled_loss("nce", *p[:2], p.candidates, row_weight=weights)
    with pytest.raises(error, match=text):
        full_loss("full_softmax", *p[:2], p.candidates.targets, row_weight=weights)


# -------------------------------------------------------------------------------------------------- label smoothing


def smoothed_row(name: str, positives: list, negatives: list, beta: float = 1.0) -> float:
    """Instead of student.row_loss: each label moves to the middle by epsilon / 2. Softmax has a test of its own."""

    def cross_entropy(label: float, logit: float) -> float:
        return label * student.log_one_plus_exp(-logit) + (1 - label) * student.log_one_plus_exp(logit)

    if not positives:
        return 0.0
    near, far = 1 - SMOOTHING / 2, SMOOTHING / 2
    return beta * sum(cross_entropy(near, g) for g in positives) + sum(cross_entropy(far, g) for g in negatives)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case.values[0] not in ONE_TRUE])
def test_logistic_losses_train_on_smoothed_labels(name, kind, monkeypatch):
    monkeypatch.setattr(student, "row_loss", smoothed_row)
    p = problem(**kind)
    expected = student.losses(ROWS[name].name, p.input, p.weight, p.candidates, bias=p.bias)
    options = {"bias": p.bias, "reduction": "none", "label_smoothing": SMOOTHING}
    close(call(name, p.input, p.weight, p.candidates, **options), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("chunk", [1, 1 << 22])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_softmax_over_every_class_is_smoothed_as_torch_does(smoothing, temperature, chunk, monkeypatch):
    monkeypatch.setattr("logq.kernels.logits.CHUNK_LOGITS", chunk)
    p = problem(ignored=True).with_grad()
    targets = p.candidates.targets
    logits = (p.input @ p.weight.T + p.bias) / temperature
    expected = F.cross_entropy(logits, targets, ignore_index=IGNORED, label_smoothing=smoothing)
    options = {"bias": p.bias, "temperature": temperature, "label_smoothing": smoothing}
    every = EveryClass(C, dtype=torch.float64).draw(targets)
    for loss in (full_softmax_loss(*p[:2], targets, **options), sampled_softmax_loss(*p[:2], every, **options)):
        close(loss, expected)
        close(torch.autograd.grad(loss, p[:3]), torch.autograd.grad(expected, p[:3], retain_graph=True))


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("remove_hits", [True, False])
def test_on_average_a_sample_smooths_as_all_classes_do(remove_hits):
    """All samples of two draws from an uneven distribution over four classes, each with its probability."""
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    input, weight = torch.randn(1, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    log_q, targets = (2 * p).log(), torch.tensor([1])
    mean = torch.zeros((), dtype=torch.float64)
    for pair in itertools.product(range(4), repeat=2):
        ids = torch.tensor(pair)
        candidates = Candidates(ids, log_q[ids], targets, log_q[targets])
        with_it, without = (
            sampled_softmax_loss(input, weight, candidates, remove_hits=remove_hits, label_smoothing=epsilon)
            for epsilon in (SMOOTHING, 0.0)
        )
        mean += p[ids].prod() * (with_it - without)
    logits = (input @ weight.T)[0]
    close(mean, SMOOTHING * (logits[1] - logits.mean()))


def test_smoothing_belongs_to_the_objective():
    assert SAMPLED_SOFTMAX.smoothed(None) is SAMPLED_SOFTMAX
    assert GBCE.smoothed(0.2).calibrated(0.5).label_smoothing == 0.2
    assert SampledSoftmaxLoss(4, 9, EveryClass(9), label_smoothing=0.2).objective == SAMPLED_SOFTMAX.smoothed(0.2)
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"label_smoothing: expected a finite number >= 0 and <= 1"):
            SAMPLED_SOFTMAX.smoothed(wrong)
    with pytest.raises(ValueError, match="label_smoothing: expected 0 for a loss of your own"):
        replace(SAMPLED_SOFTMAX, loss=lambda *logits: logits[0]).smoothed(0.1)


def test_what_smoothing_runs_on_is_said():
    fallback.forget_reports()
    assert kernels.explain(SAMPLED_SOFTMAX.smoothed(0.1)).falls_back
    p = problem()
    with pytest.warns(kernels.FallbackWarning, match="objective sampled_softmax has label smoothing"):
        sampled_softmax_loss(*p[:2], p.candidates, label_smoothing=0.1)
