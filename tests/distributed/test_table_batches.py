"""Losses beside a table in parts, by samplers of the batch, for each row and in mixtures, as one process has them."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch

from batch_samplers import SAMPLERS, C, Case, D, S, differences, each_row, everything, saved, strata, train, trained
from logq.distributed import ShardedClassTable
from logq.nn import SampledSoftmaxLoss
from logq.samplers import EveryClass, InBatch, Mixture, Prefetch, Uniform
from processes import together
from sharded_cases import OPTIMIZERS, SAMPLED

pytestmark = pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
"""The one process that is compared with warns that label smoothing runs on the reference."""


def case(number: int, objective: str, sampler: str, **more: Any) -> Case:
    """Optimizers, extra negatives and weights go round."""
    optimizer = list(OPTIMIZERS)[number % 4]
    return Case(objective, sampler, optimizer=optimizer, extra=number % 3 == 1, weighted=number // 2 % 2 == 1, **more)


CASES = [case(number, *both) for number, both in enumerate(product(SAMPLED, SAMPLERS))]
GROUPS = [
    case(number, objective, sampler, group=group)
    for number, (objective, sampler, group) in enumerate(
        [
            *product(["sampled_softmax", "gbce"], ["exact", "streaming", "mixed", "learned", "memory"], [None, "node"]),
            ("nce", "exact", 1),
            ("negative_sampling", "some", 2),
        ]
    )
]
OPTIONS = [
    Case("sampled_softmax", "exact", options=(("cosine", True), ("temperature", 0.3))),
    Case("nce", "mixed", options=(("remove_hits", True),)),
    Case("refined_softmax", "memory", options=(("remove_hits", False),), weighted=True),
    Case("sampled_softmax", "mixed", options=(("label_smoothing", 0.1),), weighted=True),
    Case("sampled_logistic", "exact", options=(("label_smoothing", 0.1),)),
]
LONG = [replace(one, steps=40) for one in CASES]
SOME = [*CASES[::2], *GROUPS, *OPTIONS]
"""Each sampler with every other objective."""


def assert_equal(cases: list[Case], found: list[list[dict[str, Any]]], by_adam: float = 1e-12) -> None:
    wrong = [
        f"{case}: {name} differ by {difference:.1e}"
        for number, case in enumerate(cases)
        for name, difference in differences(case, [each[number] for each in found])
        if not difference <= (by_adam if case.optimizer == "LazyAdam" else 1e-12)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def two(folder: str) -> list[dict[str, Any]]:
    return together(everything, SOME, folder)


def test_training_in_two_processes_is_that_of_one(two: list[dict[str, Any]]) -> None:
    """Losses, rows, biases, states, towers and what is learned; some batches are empty, or without a class."""
    assert_equal(SOME, [each["trained"] for each in two])


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_all_objectives_and_samplers_are_those_of_one_process(size: int) -> None:
    cases = [*CASES, *SOME]
    assert_equal(cases, together(trained, cases, size=size))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_forty_steps_of_everything_are_those_of_one_process(size: int) -> None:
    assert_equal(
        LONG, together(trained, LONG, size=size, seconds=1800), by_adam=1e-11
    )  # it divides by roots of small squares


def test_losses_of_rows_are_those_of_one_process(two: list[dict[str, Any]]) -> None:
    for name, value in each_row(None, 0, 1).items():
        torch.testing.assert_close(torch.cat([each["rows"][name] for each in two]), value, rtol=1e-12, atol=1e-12)


def test_a_step_sends_the_rows_of_the_targets_of_all(two: list[dict[str, Any]]) -> None:
    """Places, rows with biases and gradients of those that others own, and the targets."""
    ideal = sum(each["bytes"]["foreign"] for each in two) * 4 * (1 + 65 + 65) + 2 * 300 * 8
    assert ideal <= sum(each["bytes"]["sent"] for each in two) <= 1.05 * ideal


def test_log_p_is_read_by_the_expected_counts_of_all_parts(two: list[dict[str, Any]]) -> None:
    for each in two:
        assert max(each["readouts"].values()) < 1e-12, each["readouts"]


def test_a_mixture_goes_on_from_a_checkpoint_and_one_process_loads_it(two: list[dict[str, Any]], folder: str) -> None:
    for each in two:
        before, after = each["saved"]
        assert before["losses"] == after["losses"]
    alone = saved(folder, True)
    assert alone["counts"] == sum(each["saved"][1]["counts"] for each in two) == C + 2 * 3 * 9
    for each in two:
        assert torch.equal(alone["queue"], each["saved"][1]["queue"])


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_process_is_the_same_without_others(name: str) -> None:
    given = Case("sampled_logistic", name, extra=True, weighted=True)
    assert_equal([given], [[train(given)]])


def test_samplers_that_cannot_be_beside_a_table_in_parts() -> None:
    table = ShardedClassTable(C, D, progress=False)
    hint = r"expected a Stratified beside a ShardedClassTable, got Uniform; Stratified\(Uniform\(...\)\) lets each"
    for sampler in (Uniform(C, S), Mixture([InBatch(C), Uniform(C, S)]), Prefetch(Uniform(C, S))):
        with pytest.raises(TypeError, match=f"sampler: {hint}"):
            SampledSoftmaxLoss(table, sampler)
    with pytest.raises(ValueError, match="sampler: expected one that draws some classes, got EveryClass"):
        SampledSoftmaxLoss(table, EveryClass(C))
    with pytest.raises(ValueError, match=f"sampler: expected num_classes = {C}, got {C + 1}"):
        SampledSoftmaxLoss(table, InBatch(C + 1))
    with pytest.raises(ValueError, match="store_samples: expected True beside a table"):
        SampledSoftmaxLoss(table, Uniform(C, S, per_row=True), store_samples=False)
    loss = SampledSoftmaxLoss(table, InBatch(C, counts=[1.0] * (C - 1) + [0.0]))
    with pytest.raises(ValueError, match=f"targets: expected classes that the sampler draws, got {C - 1}"):
        loss(torch.zeros(2, D), torch.tensor([0, C - 1]))
    with pytest.raises(ValueError, match="sampler: expected Stratified beside a ShardedClassTable, got other weights"):
        Mixture([InBatch(C), strata("unigram")]).draw(torch.tensor([3]))
