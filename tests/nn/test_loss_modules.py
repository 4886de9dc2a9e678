"""The named modules are CandidateLoss with the objective filled in, and nothing else."""

import inspect

import pytest
import torch

from cases import MODULES
from logq.nn import CandidateLoss
from logq.objectives import OBJECTIVES
from logq.samplers import Uniform

ROWS = {
    "NegativeSamplingLoss": "negative_sampling",
    "NCELoss": "nce",
    "SampledLogisticLoss": "sampled_logistic",
    "SampledSoftmaxLoss": "sampled_softmax",
    "RefinedSoftmaxLoss": "refined_softmax",
    "GBCELoss": "gbce",
    "FullLogisticLoss": "full_logistic",
    "FullSoftmaxLoss": "full_softmax",
}


@pytest.mark.parametrize(("name", "row"), ROWS.items())
def test_it_is_the_row_of_its_name(name, row):
    kind = getattr(__import__("logq.nn", fromlist=[name]), name)
    assert set(vars(kind)) & set(dir(CandidateLoss)) <= {"__init__", "__doc__", "__module__", "__firstlineno__"} | {
        "__static_attributes__",
        "__annotations__",
    }
    sampler = [Uniform(9, 4, seed=1)] if OBJECTIVES[row].negatives.sampled else []
    again = [Uniform(9, 4, seed=1)] if sampler else []
    torch.manual_seed(0)
    named = kind(3, 9, *sampler)
    torch.manual_seed(0)
    general = CandidateLoss(row, 3, 9, *again)
    assert named.objective == general.objective == OBJECTIVES[row]
    input, targets = torch.randn(2, 3), torch.tensor([1, 8])
    assert torch.equal(named(input, targets), general(input, targets))


@pytest.mark.parametrize("name", ROWS)
def test_options_reach_the_module(name):
    options = {"temperature": 0.5, "cosine": True, "reduction": "sum", "ignore_index": 4, "bias": False}
    module = MODULES[name](3, 9, dtype=torch.float64, **options)
    assert module.bias is None
    assert module.weight.dtype == torch.float64
    for option in ("temperature", "cosine", "reduction", "ignore_index"):
        assert getattr(module, option) == options[option]


def test_the_signature_of_the_general_module_lists_all_options():
    parameters = inspect.signature(CandidateLoss.__init__).parameters
    assert list(parameters)[1:5] == ["objective", "in_features", "num_classes", "sampler"]
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[5:])
