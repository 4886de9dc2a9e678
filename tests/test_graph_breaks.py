"""torch.compile breaks its graph where a function says so, and is loaded for nothing else."""

import subprocess
import sys

import pytest
import torch
import torch._dynamo.testing

from logq.graph_breaks import outside_of_graphs

calls: list[bool] = []


@outside_of_graphs
def double(x: torch.Tensor, *, by: int = 2) -> torch.Tensor:
    """Twice."""
    calls.append(torch.compiler.is_compiling())
    return inner(x) * by


def inner(x: torch.Tensor) -> torch.Tensor:
    assert not torch.compiler.is_compiling()
    return x


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_it_runs_eagerly_between_two_graphs():
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(lambda x: double(x + 1, by=3) - 1, backend=counter)
    for _ in range(3):
        assert compiled(torch.ones(2)).tolist() == [5, 5]
    assert counter.frame_count == 2  # before the call and after it; never again
    assert not any(calls)


def test_a_full_graph_cannot_have_it():
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"double[\s\S]*compile without fullgraph=True"):
        torch.compile(lambda x: double(x), fullgraph=True, backend="eager")(torch.ones(2))


def test_without_a_compiler_it_is_the_function():
    assert double(torch.ones(1)).tolist() == [2]
    assert (double.__name__, double.__doc__) == ("double", "Twice.")


def test_samplers_load_no_compiler():
    code = "import sys, logq.samplers as s; [getattr(s, name) for name in s.__all__]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "logq.samplers.log_uniform" in loaded
    assert "torch._dynamo" not in loaded
