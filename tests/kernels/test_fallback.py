"""What a fused backend leaves to the reference is reported, once a cause, and explain says it beforehand."""

import copy
import itertools
import pickle
import warnings

import pytest
import torch
from torch import nn

from logq import kernels, samplers
from logq.functional import full_loss, sampled_loss
from logq.kernels import FallbackWarning, fallback
from logq.kernels.distributions import Distribution, UniformDistribution
from logq.kernels.updates import RowRule
from logq.objectives import NCE, OBJECTIVES, Objective, logistic
from problems import problem


@pytest.fixture(autouse=True)
def _nothing_is_reported_yet():
    fallback.forget_reports()
    yield
    fallback.forget_reports()


def hinge(true_logits, negative_logits, is_true, is_negative):
    return logistic(true_logits, negative_logits, is_true, is_negative)


def own(name: str = "hinge") -> Objective:
    return Objective(name, NCE.negatives, NCE.subtract_log_q, hinge, NCE.approximates)


class Fair(Distribution):
    def at(self, seed, positions):
        return UniformDistribution(2).at(seed, positions)


def transformed():
    p = problem()
    torch.func.grad(lambda weight: sampled_loss("nce", p.input, weight, p.candidates))(p.weight)


def forward_mode():
    p = problem()
    p.weight.requires_grad_()
    with torch.autograd.forward_ad.dual_level():
        moved = torch.autograd.forward_ad.make_dual(p.input, p.input)
        full_loss("full_logistic", moved, p.weight, p.candidates.targets)


def turned(op: str = "full_loss"):
    p = problem()
    weight = p.weight.T.contiguous().T.requires_grad_()
    full_loss("full_logistic", p.input, weight, p.candidates.targets)


CASES = {
    "own loss": (
        lambda: sampled_loss(own(), *problem()[:2], problem().candidates),
        "sampled_loss",
        "the loss of objective hinge is neither logistic nor softmax",
    ),
    "torch.func": (transformed, "sampled_loss", "inside of a transform of torch.func"),
    "own distribution": (
        lambda: kernels.get("draws")(Fair(), torch.tensor(1), (3,)),
        "draws",
        "compiled code knows no distribution of class Fair",
    ),
    "own distribution, distinct": (
        lambda: kernels.get("distinct_draws")(Fair(), torch.tensor(1), 1, 1),
        "distinct_draws",
        "compiled code knows no distribution of class Fair",
    ),
    "table by columns": (turned, "full_loss", "class weights are not contiguous"),
    "update by columns": (
        lambda: kernels.get("update_rows")(kernels_rule(), torch.zeros(2, 3).T, None, torch.zeros(3, 2)),
        "update_rows",
        "numbers of a row of the table are not next to each other",
    ),
    "many classes": (
        lambda: kernels.get("sum_rows")(torch.tensor([1 << 40]), torch.ones(1, 1)),
        "sum_rows",
        "are not sorted by counting",
    ),
}


def kernels_rule():
    return RowRule("sgd", lr=0.1)


@pytest.mark.parametrize("case", CASES)
def test_a_fall_back_is_reported_once(case):
    run, op, reason = CASES[case]
    with pytest.warns(FallbackWarning, match=f"^logq runs {op} on the reference, not on cpp: .*{reason}") as caught:
        run()
    assert len(caught) == 1
    run()  # a warning would be an error here


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch itself, for forward mode
def test_forward_derivatives_are_reported():
    with pytest.warns(FallbackWarning, match="full_loss on the reference, not on cpp: derivatives go forward"):
        forward_mode()


def test_each_cause_is_reported():
    p = problem()
    for name in ("one", "other"):
        with pytest.warns(FallbackWarning, match=f"the loss of objective {name} is"):
            sampled_loss(own(name), *p[:2], p.candidates)
    sampled_loss(own("one"), *p[:2], p.candidates)


def test_a_warning_that_is_an_error_comes_each_time():
    for _ in range(2):
        with pytest.raises(FallbackWarning):  # as pyproject.toml has it of all warnings
            CASES["own loss"][0]()


def test_nothing_is_reported_of_a_backend_that_was_chosen_or_is_the_only_one():
    with kernels.use("reference"):
        for run, *_ in CASES.values():
            run()


def test_what_runs_fused_is_not_reported():
    for name, row in OBJECTIVES.items():
        p = problem(num_true=None).with_grad()
        if row.negatives.sampled:
            sampled_loss(name, *p[:2], p.candidates, bias=p.bias).backward()
        else:
            full_loss(name, *p[:2], p.candidates.targets, bias=p.bias).backward()


def test_a_graph_reports_when_it_is_made():
    torch._dynamo.reset()
    p = problem()
    run = torch.compile(lambda *leaves: sampled_loss(own(), *leaves, p.candidates), backend="eager", fullgraph=True)
    with pytest.warns(FallbackWarning, match="the loss of objective hinge") as caught:
        run(p.input, p.weight)
    assert len(caught) == 1
    torch._dynamo.reset()


# ---------------------------------------------------------------------------------------------------------- explain


def really_runs(run) -> set[str]:
    """The ops that the reference ran, seen by the warning it gives."""
    fallback.forget_reports()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return {str(warning.message).split()[2] for warning in caught if warning.category is FallbackWarning}


@pytest.mark.parametrize("objective", [*(name for name, row in OBJECTIVES.items() if row.negatives.sampled), own()])
@pytest.mark.parametrize("inside", [False, True])
def test_explain_says_of_sampled_losses_what_runs(objective, inside):
    told = kernels.explain(objective, dim=3, transformed=inside)
    p = problem(num_true=None)

    def loss(weight):
        return sampled_loss(objective, p.input, weight, p.candidates)

    seen = really_runs(lambda: torch.func.grad(loss)(p.weight) if inside else loss(p.weight))
    assert told.falls_back == bool(seen) == (inside or not isinstance(objective, str))
    assert told["sampled_loss"].backend == ("reference" if seen else "cpp")
    assert told["sampled_loss"].instead_of == ("cpp" if seen else "")


@pytest.mark.parametrize("name", ["full_softmax", "full_logistic"])
def test_explain_says_of_full_losses_what_runs(name):
    """By the function of autograd that the loss comes from, in every combination of options."""
    choices = {
        "reduction": ("mean", "none"),
        "cosine": (False, True),
        "dtype": (torch.float32, torch.bfloat16),
        "table_dtype": (torch.float32, torch.bfloat16),
        "gradients": (True, False),
    }
    for values in itertools.product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        told = kernels.explain(name, **options)
        input = torch.randn(4, 3).to(options["dtype"])
        weight = torch.randn(9, 3).to(options["table_dtype"]).requires_grad_(options["gradients"])
        loss = full_loss(name, input, weight, torch.arange(4), cosine=options["cosine"], reduction=options["reduction"])
        fused = type(loss.grad_fn).__name__ == "FullLossBackward"
        assert told["full_loss"].backend == ("cpp" if fused else "reference"), options
        assert told.falls_back != fused


SAMPLERS = {
    "uniform": (lambda: samplers.Uniform(50, 4, seed=1), {"draws": "cpp"}),
    "distinct": (
        lambda: samplers.LogUniform(50, 4, seed=1, replacement=False),
        {"distinct_draws": "cpp", "places_of": "cpp", "log_inclusion": "cpp"},
    ),
    "mixture": (
        lambda: samplers.Mixture([samplers.Uniform(50, 4, seed=1), samplers.LogUniform(50, 4, seed=1)]),
        {"draws": "cpp"},
    ),
    "prefetch": (lambda: samplers.Prefetch(samplers.Uniform(50, 4, seed=1)), {"draws": "cpp"}),
    "in torch alone": (lambda: samplers.EveryClass(50), {}),
    "distribution": (lambda: UniformDistribution(50), {"draws": "cpp"}),
    "own distribution": (Fair, {"draws": "reference"}),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_explain_says_what_draws_run_on(name):
    make, expected = SAMPLERS[name]
    told = kernels.explain(sampler=make())
    assert told.backends == expected
    assert told.falls_back == ("reference" in expected.values())
    both = kernels.explain("nce", sampler=make())
    assert both.backends == {"sampled_loss": "cpp", **expected}


@pytest.mark.usefixtures("two_backends")
def test_explain_elsewhere():
    told = kernels.explain(own(), torch.device("cuda:0"), sampler=UniformDistribution(9))
    assert told.backends == {"sampled_loss": "reference", "draws": "reference"}
    assert not told.falls_back  # no other backend is active there
    with kernels.use("reference"):
        assert kernels.explain("nce").backends == {"sampled_loss": "reference"}


def test_explain_runs_nothing(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr(kernels.FusedBackend, "sampled_loss", refuse)
    monkeypatch.setattr("logq.kernels.reference.sampled_loss", refuse)
    assert kernels.explain(own()).falls_back  # nor does it report


def test_explain_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"^objective: expected one of"):
        kernels.explain("sorcery")
    with pytest.raises(TypeError, match=r"^sampler: expected a sampler or a distribution, got int"):
        kernels.explain("nce", sampler=3)


def test_an_explanation_reads_and_pickles():
    told = kernels.explain(own(), sampler=UniformDistribution(9))
    assert str(told) == (
        "hinge and UniformDistribution on cpu\n"
        "    sampled_loss: reference instead of cpp, the loss of objective hinge is neither logistic nor softmax\n"
        "    draws: cpp, the first backend for cpu that has it"
    )
    assert repr(told) == f"<Explanation of {told}>"
    assert dict(told) == {choice.op: choice for choice in told.choices}
    assert pickle.loads(pickle.dumps(told)) == told == copy.deepcopy(told)


def test_distributions_and_rules_survive_copies_and_pickles():
    learned = samplers.LearnedUnigram(9, 2, seed=1)._distribution()
    for distribution in (UniformDistribution(9), learned):
        for other in (copy.deepcopy(distribution), pickle.loads(pickle.dumps(distribution))):
            ids = [kernels.get("draws")(one, torch.tensor(3), (20,)) for one in (distribution, other)]
            assert torch.equal(*ids)
    rule = RowRule("adagrad", lr=0.1, states=(torch.ones(2, 2),))
    assert pickle.loads(pickle.dumps(rule)).states[0].tolist() == copy.deepcopy(rule).states[0].tolist()
    case = fallback.Case(dim=nn.Linear(2, 3).in_features)
    assert pickle.loads(pickle.dumps(case)) == copy.deepcopy(case) == case


def test_an_explanation_is_a_mapping():
    told = kernels.explain("nce", dim=3)
    assert len(told) == len(list(told)) == len(told.backends) > 0
