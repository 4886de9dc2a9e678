"""gBCE: calibrated as the paper proves, by enumerating every sample; and the losses that it turns into at its ends."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from logq import kernels
from logq.candidates import Candidates
from logq.functional import full_logistic_loss, gbce_loss, negative_sampling_loss
from logq.kernels import autograd
from logq.nn import GBCELoss
from logq.objectives import GBCE, SAMPLED_SOFTMAX
from logq.optim import LazyAdam
from logq.recommenders.neural.item_loss import ItemLoss
from logq.samplers import EveryClass, InBatch, Mixture, Uniform, Unigram
from problems import PROBLEMS, problem


def gbce_weight(calibration: float, rate: float) -> float:
    return GBCE.calibrated(calibration, rate).true_weight()


P = torch.tensor([0.45, 0.25, 0.15, 0.1, 0.05], dtype=torch.float64)
C, ZERO = len(P), 1e-12
LOG_ODDS = P.log() - (1 - P).log()


def close(actual, expected, tolerance=1e-12):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def expected_gradient(logits: Tensor, samples: dict[int, list[tuple[int, ...]]], **options) -> Tensor:
    """Of the loss at logits F of one input, over true classes drawn by P and equally likely samples for each."""
    weight = logits[:, None].clone().requires_grad_()
    total = weight.new_zeros(())
    for true, sets in samples.items():
        ids = torch.tensor(sets)
        nothing = torch.zeros(ids.shape, dtype=torch.float64)
        candidates = Candidates(ids, nothing, torch.full((len(sets),), true), nothing[:, 0])
        ones = torch.ones(len(sets), 1, dtype=torch.float64)
        total = total + P[true] * gbce_loss(ones, weight, candidates, **options)
    return torch.autograd.grad(total, weight)[0][:, 0]


def among_others(k: int) -> dict[int, list[tuple[int, ...]]]:
    """Distinct negatives, uniform among the classes other than the true one, as the paper draws them."""
    return {y: list(itertools.combinations([c for c in range(C) if c != y], k)) for y in range(C)}


def among_all(k: int) -> dict[int, list[tuple[int, ...]]]:
    return {y: list(itertools.product(range(C), repeat=k)) for y in range(C)}


@pytest.mark.parametrize("k", [1, 2, 4])
def test_at_t_1_sigmoid_of_the_logit_is_the_probability(k):
    gradient = expected_gradient(LOG_ODDS, among_others(k), calibration=1.0)
    assert float(gradient.abs().max()) < ZERO
    if k < C - 1:  # and not where the others are seen less often than the loss believes
        assert float(expected_gradient(LOG_ODDS, among_others(k), calibration=0.5).abs().max()) > 1e-3
        assert float(expected_gradient(LOG_ODDS + 0.1, among_others(k), calibration=1.0).abs().max()) > 1e-3


@pytest.mark.parametrize("t", [0.0, 0.3, 0.75, 1.0])
@pytest.mark.parametrize("k", [1, 3])
def test_in_between_logits_are_too_large_by_one_constant(k, t):
    rate = k / (C - 1)
    shift = torch.tensor(gbce_weight(t, rate) / rate, dtype=torch.float64).log()
    assert float(expected_gradient(LOG_ODDS + shift, among_others(k), calibration=t).abs().max()) < ZERO


def test_draws_among_all_classes_see_the_others_at_the_rate_of_their_expected_count():
    k = 2
    assert float(expected_gradient(LOG_ODDS, among_all(k), calibration=1.0, rate=k / C).abs().max()) < ZERO
    off = expected_gradient(LOG_ODDS, among_all(k), calibration=1.0).abs().max()
    assert 1e-3 < float(off) < 0.1  # by the C - 1 of the paper, for five classes


@pytest.mark.parametrize("kind", PROBLEMS.values(), ids=PROBLEMS)
def test_at_t_0_it_is_negative_sampling_without_hits(kind):
    p = problem(**kind)
    close(
        gbce_loss(*p[:2], p.candidates, bias=p.bias, calibration=0.0),
        negative_sampling_loss(*p[:2], p.candidates, bias=p.bias, remove_hits=True),
    )


@pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
def test_with_all_classes_it_is_full_logistic_loss(t):
    p = problem()
    candidates = EveryClass(len(p.weight)).draw(p.candidates.targets)
    close(gbce_loss(*p[:2], candidates, calibration=t), full_logistic_loss(*p[:2], p.candidates.targets))


def test_beta_is_the_formula_of_the_paper():
    for t, a in itertools.product((0.0, 0.2, 1.0), (0.01, 0.5, 1.0)):
        assert gbce_weight(t, a) == pytest.approx(a * (t * (1 - 1 / a) + 1 / a), rel=1e-12)


@pytest.mark.skipif("cpp" not in str(kernels.active("cpu")), reason="the compiled core is not here")
@pytest.mark.parametrize("per_row", [False, True])
def test_it_runs_compiled_and_as_the_reference_does(per_row, monkeypatch):
    p = problem(per_row=per_row)

    def run() -> list[Tensor]:
        leaves = [x.clone().requires_grad_() for x in p[:3]]
        loss = gbce_loss(*leaves[:2], p.candidates, bias=leaves[2])
        return [loss, *torch.autograd.grad(loss, leaves)]

    with kernels.use("reference"):
        expected = run()
    with monkeypatch.context() as patch:
        patch.setattr("logq.kernels.reference.sampled_loss", None)
        actual = run()
    for one, other in zip(actual, expected, strict=True):
        close(one, other)


@pytest.mark.parametrize(
    ("name", "value"), [("calibration", -0.1), ("calibration", 1.1), ("calibration", None), ("rate", 0.0), ("rate", 2)]
)
def test_bad_numbers_are_refused(name, value):
    p = problem()
    with pytest.raises((ValueError, TypeError), match=f"^{name}: expected a finite number"):
        gbce_loss(*p[:2], p.candidates, **{name: value})
    if value is not None:
        with pytest.raises(ValueError, match=f"^{name}: expected"):
            GBCELoss(3, 9, Uniform(9, 2), **{name: value})


def test_the_module_reads_log_p_off_its_logits():
    """Where the class table is what the loss approximates, for a sampler that is not uniform as well."""
    for sampler in (Uniform(C, 2, dtype=torch.float64), Unigram(C - torch.arange(C), 2, dtype=torch.float64)):
        module = GBCELoss(1, C, sampler, calibration=0.5, dtype=torch.float64, bias=False)
        beta = gbce_weight(0.5, 2 / (C - 1))
        log_q = sampler.log_expected_count(torch.arange(C))
        with torch.no_grad():
            module.weight[:, 0] = LOG_ODDS + torch.tensor(beta).log() - log_q
        close(module.log_prob(torch.ones(1, 1, dtype=torch.float64))[0], P.log(), 1e-6)


def item_loss(sampler, input, weight, targets):
    model = SimpleNamespace(item_table=weight, item_bias=None, item_biases=None)
    return ItemLoss("gbce", sampler)(model, input, targets)


@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize(
    ("make", "others"),
    {
        "in_batch": (lambda: InBatch(40, counts=range(1, 41)), 0),
        "mixture": (lambda: Mixture([Uniform(40, 6, seed=3), InBatch(40)], seed=1), 6),
        "uniform": (lambda: Uniform(40, 6, seed=3), None),
    }.values(),
    ids=["in_batch", "mixture", "uniform"],
)
def test_one_rule_for_the_rate(make, others, batch):
    """The size of the sample over C - 1, for functions, modules and estimators; in-batch negatives are the batch."""
    torch.manual_seed(1)
    module = GBCELoss(3, 40, make(), bias=False)
    input, targets = torch.randn(batch, 3), torch.arange(batch)
    size = 6 if others is None else batch + others
    expected = gbce_loss(input, module.weight, make().draw(targets), rate=size / 39)
    for loss in (
        module(input, targets),
        gbce_loss(input, module.weight, make().draw(targets)),
        item_loss(make(), input, module.weight, targets),
    ):
        assert torch.equal(loss, expected)
    assert module.log_prob(input).isfinite().all()
    readout = GBCE.for_sample(size, 40)
    log_q = module.sampler.log_expected_count(torch.arange(40))
    close(module.log_prob(input), readout.log_p(input @ module.weight.T, log_q), 1e-6)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("cosine", [False, True])
def test_a_step_reads_the_sample_once_and_updates_once(per_row, cosine, monkeypatch):
    p = problem(per_row=per_row, num_true=2, ignored=True)
    passes = []
    run_pass = autograd.run_pass

    def counted(*arguments, **options):
        passes.append(1)
        return run_pass(*arguments, **options)

    monkeypatch.setattr("logq.kernels.autograd.run_pass", counted)
    tables = []
    for in_backward in (False, True):
        table = torch.nn.Parameter(p.weight.clone())
        optimizer = LazyAdam([table], lr=0.1, in_backward=in_backward)
        gbce_loss(p.input, table, p.candidates, cosine=cosine, temperature=0.5).backward()
        optimizer.step()
        assert optimizer.state[table]["step"] == 1
        tables.append(table.detach())
    assert len(passes) == 2
    touched = torch.cat([p.candidates.targets.flatten(), p.candidates.ids.flatten()]).clamp(min=0).unique()
    close(tables[0][touched], tables[1][touched], 1e-9)


def test_an_objective_that_knows_no_rate_says_so():
    p = problem()
    with pytest.raises(ValueError, match=r"^rate: expected a number in \(0, 1\], got None; gbce needs the rate"):
        GBCE(torch.zeros(5), torch.zeros(5, 7), p.candidates)
    with pytest.raises(ValueError, match=r"^calibration: expected None for a loss other than logistic"):
        replace(SAMPLED_SOFTMAX, calibration=0.5)
