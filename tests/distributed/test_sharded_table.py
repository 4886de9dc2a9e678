"""A table in parts is the table of one process: losses, gradients, states; what moves; what is found."""

from itertools import product
from typing import Any

import pytest
import torch

import sharded_cases
from logq.distributed import ShardedClassTable
from logq.distributed.sharded_losses import by_queries
from processes import together
from sharded_cases import FULL, OPTIMIZERS, SAMPLED, SAMPLERS, Case

PAIRS = list(product(SAMPLED, OPTIMIZERS))
NAMES = list(SAMPLERS)

CASES = [
    # Every objective with every optimizer; samplers and plans go round, so that each objective has each sampler.
    *(
        Case(objective, optimizer, NAMES[number % len(NAMES)], ("rows", "queries")[number // 2 % 2])
        for number, (objective, optimizer) in enumerate(PAIRS)
    ),
    *(Case(objective, optimizer) for objective, optimizer in product(FULL, OPTIMIZERS)),
    *(Case("sampled_softmax", "RowWiseAdagrad", name, plan) for name in NAMES for plan in ("rows", "queries")),
    Case("sampled_softmax", "RowWiseAdagrad", "unigram", steps=40),
    Case("nce", "LazyAdam", "learned_unigram", steps=40, weighted=True),
    Case("sampled_softmax", "LazyAdam", "unigram", "rows", extra=True, weighted=True),
    Case("sampled_logistic", "Adagrad", "log_uniform", "rows", extra=True),
    Case(
        "sampled_softmax", "SGD", "uniform", "queries", weighted=True, options=(("cosine", True), ("temperature", 0.3))
    ),
    Case("full_softmax", "SGD", weighted=True, options=(("cosine", True), ("temperature", 0.3))),
    Case("sampled_softmax", "SGD", "unigram", "queries", options=(("remove_hits", False),)),
    Case("nce", "SGD", "unigram", "rows", options=(("remove_hits", True),)),
]
SINGLE = [
    Case(objective, "RowWiseAdagrad", "unigram" if objective in SAMPLED else None, plan, steps=1, dtype=torch.float32)
    for objective in (SAMPLED | FULL)
    for plan in (("rows", "queries") if objective in SAMPLED else (None,))
]


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    """Of two processes, which are started once."""
    return together(sharded_cases.everything, CASES + SINGLE, True)


def assert_equal(cases: list[Case], trained: list[list[dict[str, Any]]], tolerance: float) -> None:
    wrong = [
        f"{case}: {name} differ by {difference:.1e}"
        for number, case in enumerate(cases)
        for name, difference in sharded_cases.differences(case, [each[number] for each in trained])
        if not difference <= tolerance
    ]
    assert not wrong, "\n".join(wrong)


def test_training_in_two_processes_is_that_of_one(found: list[dict[str, Any]]) -> None:
    """Losses, rows, biases, states and a tower by DistributedDataParallel, of unequal and empty batches."""
    assert_equal(CASES, [each["trained"][: len(CASES)] for each in found], 1e-12)


def test_a_step_in_single_precision(found: list[dict[str, Any]]) -> None:
    assert_equal(SINGLE, [each["trained"][len(CASES) :] for each in found], 1e-6)


@pytest.mark.slow
def test_training_in_four_processes_is_that_of_one() -> None:
    found = together(sharded_cases.everything, CASES, False, size=4, seconds=600)
    assert_equal(CASES, [each["trained"] for each in found], 1e-12)


def test_a_step_sends_what_the_formula_says(found: list[dict[str, Any]]) -> None:
    """Rows with bias and log Q, ids, gradients: of targets from owners, and of a sample from each to the other."""
    number, row, gradient = 4, 66, 65  # bytes of a number; D = 64, bias and log Q
    foreign = [each["bytes"]["rows"]["foreign"] for each in found]
    ideal = sum(foreign) * number * (1 + row + gradient) + 512 * number * (row + gradient)
    sent = sum(each["bytes"]["rows"]["sent"] for each in found)
    assert ideal <= sent <= 1.05 * ideal
    # Queries out and their gradients back; targets out, and the sum over a process's negatives and F of the target back
    # with the gradients of both.
    ideal = 2 * 300 * (2 * 64 * number + 8 + 4 * number)
    sent = sum(each["bytes"]["queries"]["sent"] for each in found)
    assert ideal <= sent <= 1.05 * ideal


def test_the_plan_that_moves_less_is_taken_and_told() -> None:
    told = ShardedClassTable(100, 8).explain(64, 4096)
    assert told == "one process, which has all rows: nothing is moved"
    assert by_queries(512, 511, 2)
    assert not by_queries(512, 512, 2)


def test_plans_are_told_with_their_bytes(found: list[dict[str, Any]]) -> None:
    rows, queries = (found[0]["bytes"][plan]["explained"] for plan in ("rows", "queries"))
    one, other = "50,688 bytes of sampled rows and gradients", "25,600 bytes of queries and gradients"
    assert rows == f"rows go to the queries: {one}, against {other}; as plan says"
    assert queries == f"queries go to the rows: {other}, against {one}; as plan says"


@pytest.mark.parametrize("name", [*SAMPLED, *FULL])
def test_probabilities_and_the_best_classes_are_those_of_a_module(name: str, found: list[dict[str, Any]]) -> None:
    """The first process has no queries, and searches for the other."""
    for each in found:
        assert max(each["readouts"][name].values()) < 1e-11, each["readouts"][name]


def test_rows_are_looked_up_with_gradients(found: list[dict[str, Any]]) -> None:
    expected = torch.zeros(sharded_cases.C, dtype=torch.float64)
    for times in (1, 2):
        ids = torch.tensor([5, 8 + times, 5, 20_010])
        expected.index_add_(0, ids, torch.full((4,), float(times), dtype=torch.float64))
    for each in found:
        torch.testing.assert_close(each["embedded"], expected[:, None].expand(-1, sharded_cases.D), rtol=0, atol=1e-12)


def test_rows_start_alike_whoever_owns_them(found: list[dict[str, Any]]) -> None:
    both = torch.cat([each["start"] for each in found])
    alone = sharded_cases.random_start()
    torch.testing.assert_close(both[both[:, 0].argsort()], alone[alone[:, 0].argsort()], rtol=0, atol=0)
    rows = alone[:, 1:] * sharded_cases.D**0.5
    assert float(rows.min()) >= -1
    assert float(rows.max()) < 1
    assert abs(float(rows.mean())) < 5 / 480_000**0.5  # 8 standard errors
    assert abs(float(rows.var()) - 1 / 3) < 0.005
