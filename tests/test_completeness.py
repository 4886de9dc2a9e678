"""Everything exported has a case in tests/cases.py, so that no class or function escapes the generic tests."""

import importlib

import pytest
import torch

from cases import FUNCTIONS, MODULES, NOT_AN_INSTANCE, SAMPLERS
from logq.objectives import OBJECTIVES, Objective

C, SEED = 12, 3


def cases_of(room: str) -> set[str]:
    if room == "logq.samplers":
        return {type(case(C, torch.float32, SEED)).__name__ for case in SAMPLERS.values()}
    if room == "logq.objectives":
        return {name.upper() for name in OBJECTIVES}
    if room == "logq.functional":
        return set(FUNCTIONS)
    return {type(case(4, C)).__name__ for case in MODULES.values()}


@pytest.mark.parametrize("room", NOT_AN_INSTANCE)
def test_everything_exported_has_a_case(room):
    exported = set(importlib.import_module(room).__all__)
    missing = exported - NOT_AN_INSTANCE[room] - cases_of(room)
    assert not missing, f"add a case to tests/cases.py for {sorted(missing)}"
    assert not cases_of(room) - exported, "a case for something that is not exported"
    assert not NOT_AN_INSTANCE[room] - exported, "an exception for something that is not exported"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_row_has_its_name_its_constant_its_function_and_its_module(name):
    functional, modules = importlib.import_module("logq.functional"), importlib.import_module("logq.nn")
    row = OBJECTIVES[name]
    assert isinstance(row, Objective)
    assert row.name == name
    assert getattr(importlib.import_module("logq.objectives"), name.upper()) is row
    assert callable(getattr(functional, f"{name}_loss"))
    module = name.replace("nce", "NCE").title().replace("_", "").replace("Nce", "NCE") + "Loss"
    assert MODULES[module](4, C).objective is row
    assert hasattr(modules, module)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_case_draws(name):
    candidates = SAMPLERS[name](C, torch.float64, SEED).draw(torch.tensor([1, 0, 11]))
    assert candidates.log_expected_count.dtype == torch.float64
    assert candidates.ids.dim() == (2 if "per_row" in name else 1)
