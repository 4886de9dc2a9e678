"""torch.compile: functions with given candidates are one graph, and give the values and gradients of eager mode."""

import shutil

import pytest
import torch

from cases import FUNCTIONS, call
from problems import Problem, problem

# One of each negatives x loss: the others run the same code, and compiling takes seconds.
ROWS = ["nce_loss", "sampled_softmax_loss", "full_logistic_loss", "full_softmax_loss"]
assert set(ROWS) < set(FUNCTIONS)


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def run(function, p: Problem) -> list[torch.Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in p[:3]]
    value = function(*leaves, p.candidates)
    return [value, *torch.autograd.grad(value, leaves)]


@pytest.mark.parametrize("name", ROWS)
def test_one_graph(name):
    several = "softmax" not in name
    p = problem(per_row=several, num_true=2 if several else None, ignored=True, excluded=True)

    def loss(input, weight, bias, candidates):
        return call(name, input, weight, candidates, bias=bias, temperature=0.5)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for actual, expected in zip(run(compiled, p), run(loss, p), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_other_batch_sizes_do_not_compile_for_ever():
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda *arguments: call("nce_loss", *arguments), fullgraph=True, backend=counter)
    p = problem()
    for rows in (5, 4, 3, 2):
        c = p.candidates
        candidates = c._replace(targets=c.targets[:rows], true_log_expected_count=c.true_log_expected_count[:rows])
        expected = call("nce_loss", p.input[:rows], p.weight, candidates)
        torch.testing.assert_close(compiled(p.input[:rows], p.weight, candidates), expected, rtol=1e-12, atol=1e-12)
    assert counter.frame_count <= 2  # once for the first size, once for any


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, when inductor is loaded
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="inductor needs a compiler")
@pytest.mark.parametrize("name", ["sampled_softmax_loss", "negative_sampling_loss", "full_softmax_loss"])
def test_inductor(name):
    p = problem(ignored=True)

    def loss(input, weight, bias, candidates):
        return call(name, input, weight, candidates, bias=bias)

    compiled = torch.compile(loss, fullgraph=True)
    for actual, expected in zip(run(compiled, p), run(loss, p), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
