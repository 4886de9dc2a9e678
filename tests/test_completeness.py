"""Everything exported has a case, so that no class or function escapes the generic tests."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from cases import FUNCTIONS, MODULES, NOT_AN_INSTANCE, SAMPLERS
from logq import recommenders, samplers
from logq.estimators import ESTIMATORS
from logq.functional import full_loss, sampled_loss
from logq.nn import CandidateLoss
from logq.objectives import OBJECTIVES, Objective
from logq.samplers import Uniform, registry
from model_cases import MODELS
from recommender_cases import ALL

C, SEED = 12, 3


def cases_of(package: str) -> set[str]:
    if package == "logq.samplers":
        return {type(case(C, torch.float32, SEED)).__name__ for case in SAMPLERS.values()}
    if package == "logq.objectives":
        return {name.upper() for name in OBJECTIVES}
    if package == "logq.functional":
        return set(FUNCTIONS)
    return {type(case(4, C)).__name__ for case in MODULES.values()}


@pytest.mark.parametrize("package", NOT_AN_INSTANCE)
def test_everything_exported_has_a_case(package):
    exported = set(importlib.import_module(package).__all__)
    missing = exported - NOT_AN_INSTANCE[package] - cases_of(package)
    assert not missing, f"add a case to tests/cases.py for {sorted(missing)}"
    assert not cases_of(package) - exported, "a case for something that is not exported"
    assert not NOT_AN_INSTANCE[package] - exported, "an exception for something that is not exported"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_has_its_constant_and_is_served_by_the_general_function_and_module(name):
    objective = OBJECTIVES[name]
    assert isinstance(objective, Objective)
    assert objective.name == name
    assert getattr(importlib.import_module("logq.objectives"), name.upper()) is objective
    input, targets = torch.ones(2, 4), torch.tensor([3, 11])
    sampler = [Uniform(C, 5, seed=SEED)] if objective.negatives.sampled else []
    module = CandidateLoss(name, 4, C, *sampler)
    assert module.objective is objective
    loss = module(input, targets)
    if objective.negatives.sampled:
        candidates = Uniform(C, 5, seed=SEED).draw(targets)
        assert torch.equal(loss, sampled_loss(name, input, module.weight, candidates, bias=module.bias))
    else:
        assert torch.equal(loss, full_loss(name, input, module.weight, targets, bias=module.bias))
    assert module.log_prob(input).isfinite().all()


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if FUNCTIONS[name] is not None])
def test_functions_and_modules_of_an_objective_have_its_name(name):
    objective = name.removesuffix("_loss")
    assert FUNCTIONS[name] is OBJECTIVES[objective]
    words = objective.replace("nce", "NCE").replace("gbce", "GBCE").split("_")
    module = "".join(word if word.isupper() else word.title() for word in words) + "Loss"
    assert replace(MODULES[module](4, C).objective) == OBJECTIVES[objective]


@pytest.mark.parametrize("name", registry.SAMPLERS)
def test_each_sampler_with_a_name_has_a_case_and_can_be_made(name):
    settings = registry.SamplerSettings(np.arange(C, 0, -1), 5, replacement=False, per_row=True, seed=SEED)
    sampler = registry.make_sampler(name, settings)
    assert type(sampler).__name__ in cases_of("logq.samplers")
    assert type(sampler) is getattr(samplers, type(sampler).__name__)
    assert sampler.num_classes == C
    assert sampler.seed == SEED


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_case_draws(name):
    candidates = SAMPLERS[name](C, torch.float64, SEED).draw(torch.tensor([1, 0, 11]))
    assert candidates.log_expected_count.dtype == torch.float64
    assert candidates.ids.dim() == (2 if "per_row" in name else 1)


def test_each_recommender_and_each_encoder_has_a_case():
    assert set(ALL) == {entry.class_name for entry in ESTIMATORS if entry.family == "recommender"}
    encoders = {name for name in recommenders.__all__ if name.endswith("Encoder")}
    assert {type(make()).__name__ for make in MODELS.values()} == encoders
