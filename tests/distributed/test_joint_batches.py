"""Processes that share their targets, each with some rows, beside one process that has all rows: losses and gradients.

Everything is in float64. Each process adds up the losses of its rows, and the sums over processes are compared.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from logq.candidates import IGNORED
from logq.functional import sampled_loss
from logq.objectives import OBJECTIVES
from logq.process_groups import group_of
from logq.processes import world
from logq.recommenders import TwoTowerEncoder
from logq.recommenders.item_loss import ItemLoss
from logq.samplers import CrossBatch, InBatch, LearnedUnigram, Sampler
from logq.samplers.kept_tensors import unpacked
from processes import together

C, D, STEPS = 30, 4, 2
SAMPLED = [name for name, objective in OBJECTIVES.items() if objective.negatives.sampled]
COUNTS = torch.arange(C, 0, -1, dtype=torch.float64)
ROWS = (5, 0, 2, 4)
"""How many rows each process has."""

GROUPS = {"node": [range(2), range(2, 4)], "world": [range(4)]}
"""Groups by their name, each with the ranks of its members; a machine has two processes."""


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def all_targets(step: int, width: int = 0) -> Tensor:
    """(N,) or (N, T) targets of all processes; few classes, so that some come in several processes."""
    shape = (sum(ROWS), width) if width else (sum(ROWS),)
    found = torch.randint(0, 9, shape, generator=torch.Generator().manual_seed(step))
    found[torch.rand(shape, generator=torch.Generator().manual_seed(step + 99)) < 0.2] = IGNORED
    return found


def part(rows: Tensor, members: range) -> Tensor:
    """The rows of some processes."""
    return torch.cat([rows.split(ROWS)[rank] for rank in members])


def learned_of(sampler: Sampler) -> dict[str, Tensor]:
    """What is learned, without the seeds of draws."""
    state = unpacked(sampler.state_dict()["_extra_state"])
    return {name: value for name, value in state.items() if name.startswith("learned.")}


SAMPLERS: dict[str, Callable[[Any], Sampler]] = {
    "exact": lambda group: InBatch(C, counts=COUNTS, group=group, dtype=torch.float64),
    "streaming": lambda group: InBatch(C, group=group, dtype=torch.float64),
    "some": lambda group: InBatch(C, counts=COUNTS, num_sampled=3, group=group, seed=4, dtype=torch.float64),
    "memory": lambda group: CrossBatch(C, 7, counts=COUNTS, group=group, dtype=torch.float64),
    "streaming memory": lambda group: CrossBatch(C, 7, group=group, dtype=torch.float64),
}


OBJECTIVES_OF = {"exact": SAMPLED}
"""Those that are tried with a sampler, where it is not one alone: a memory takes in a batch once."""


def by_table(members: range, group: Any, name: str, width: int) -> dict[str, Any]:
    """Losses and gradients of queries and class weights for the rows of some processes, over some batches."""
    sampler = SAMPLERS[name](group)
    sampler.rank = 0  # one process takes the same of its batch
    found: dict[Any, Any] = {}
    for step in range(STEPS):
        targets = part(all_targets(step, width), members)
        objectives = OBJECTIVES_OF.get(name, ["nce"]) if step == STEPS - 1 else []
        if width:  # softmax has one target a row
            objectives = [one for one in objectives if "softmax" not in one]
        candidates = sampler.draw(targets)
        for objective in objectives:
            queries = part(numbers(sum(ROWS), D, seed=step), members).requires_grad_()
            weight, bias = (numbers(*shape, seed=7).requires_grad_() for shape in ((C, D), (C,)))
            loss = sampled_loss(objective, queries, weight, candidates, bias=bias, reduction="sum")
            loss.backward()
            found[objective] = {"loss": loss.detach(), "weight": weight.grad, "bias": bias.grad}
            found[objective, "queries"] = queries.grad
    found["state"] = learned_of(sampler)
    return found


def by_towers(members: range, group: Any, name: str, more: bool) -> dict[str, Any]:
    """The same of two towers, whose weights are moved between batches."""
    torch.manual_seed(1)
    genres = torch.randint(5, (C,))
    model = TwoTowerEncoder(
        C, D, hidden=(6,), item_hidden=(6,), item_features={"genre": 5}, item_codes={"genre": genres}, id_dropout=0.0
    ).double()
    rows, found = sum(ROWS), {}
    sampler = SAMPLERS[name](group)
    sampler.rank = 0
    for step in range(STEPS):
        history = torch.randint(-1, C, (rows, 3), generator=torch.Generator().manual_seed(step + 50))
        targets = part(all_targets(step), members)
        extra = part(torch.randint(-1, C, (rows, 2), generator=torch.Generator().manual_seed(step)), members)
        for objective in OBJECTIVES_OF.get(name, ["sampled_softmax"]):
            model.zero_grad()
            queries = model.query({"history": part(history, members)})
            loss = ItemLoss(objective, sampler, temperature=0.3)(model, queries, targets, extra=extra if more else None)
            loss = loss * int((targets != IGNORED).sum())
            loss.backward()
            gradients = {key: one.grad.clone() for key, one in model.named_parameters() if one.grad is not None}
            found[step, objective] = {"loss": loss.detach(), **gradients}
        for number, parameter in enumerate(model.parameters()):
            parameter.data += 0.1 * numbers(*parameter.shape, seed=number)
    found["state"] = learned_of(sampler)
    return found


CASES: dict[str, tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]] = {
    **{f"table, {name}": (by_table, (name, 0)) for name in SAMPLERS},
    **{f"table, {name}, two a row": (by_table, (name, 2)) for name in ("exact", "streaming memory", "some")},
    **{f"towers, {name}": (by_towers, (name, False)) for name in SAMPLERS},
    "towers, extra": (by_towers, ("exact", True)),
}


def run() -> dict[Any, Any]:
    """What one of the processes finds."""
    here = world()
    own = range(here.rank, here.rank + 1)
    found: dict[Any, Any] = {"groups": {}, "messages": {}}
    for name, act in {
        "number": lambda: group_of(3),
        "width": lambda: SAMPLERS["exact"]("world").draw(torch.zeros(2, 1 + here.rank, dtype=torch.int64)),
        "node": lambda: group_of("node"),
    }.items():
        try:
            act()
        except ValueError as error:
            found["messages"][name] = str(error)
    os.environ["LOCAL_WORLD_SIZE"] = "2"
    for choice in ("world", "node", 1, 2):
        of_group = world(group_of(choice))
        found["groups"][choice] = (of_group.rank, of_group.size)
        assert group_of(choice) is group_of(choice)
    for choice in GROUPS:
        for case, (function, arguments) in CASES.items():
            found[choice, case] = function(own, choice, *arguments)
    learned = LearnedUnigram(C, 3, group="world", seed=1, dtype=torch.float64)
    for step in range(STEPS):
        learned.draw(part(all_targets(step), own))
    found["learned"] = learned_of(learned)
    return found


@pytest.fixture(scope="module")
def processes() -> list[dict[Any, Any]]:
    return together(run, size=len(ROWS))


def assert_sums(found: list[dict[str, Tensor]], expected: dict[str, Tensor], case: object) -> None:
    for key, value in expected.items():
        total = sum(one[key] for one in found if key in one)
        torch.testing.assert_close(
            total, value, rtol=1e-12, atol=1e-12, msg=lambda text, key=key: f"{case} {key}: {text}"
        )


@pytest.mark.parametrize("case", CASES)
def test_processes_that_share_targets_are_one_process_with_all_rows(case: str, processes: list[dict[Any, Any]]) -> None:
    function, arguments = CASES[case]
    for choice, groups in GROUPS.items():
        for members in groups:
            expected = function(members, None, *arguments)
            found = [processes[rank][choice, case] for rank in members]
            for key, value in expected.items():
                if key == "state":
                    for one in found:
                        assert one[key].keys() == value.keys()
                        for name, own in one[key].items():
                            close = torch.allclose if name == "learned.vectors" else torch.equal
                            assert close(own, value[name]), (choice, name)
                elif isinstance(value, dict):
                    assert len(value) > 1
                    assert_sums([one[key] for one in found], value, (choice, key))
                else:  # rows
                    rows = torch.cat([one[key] for one in found])
                    torch.testing.assert_close(rows, value, rtol=1e-12, atol=1e-12)


def test_learned_counts_are_those_of_all(processes: list[dict[Any, Any]]) -> None:
    expected = torch.ones(C, dtype=torch.int64)
    for step in range(STEPS):
        targets = all_targets(step)
        expected += torch.bincount(targets[targets != IGNORED], minlength=C)
    for one in processes:
        assert torch.equal(one["learned"]["learned.counts"], expected)
        for name, value in one["learned"].items():
            assert torch.equal(value, processes[0]["learned"][name]), name


def test_groups_and_what_cannot_be_one(processes: list[dict[Any, Any]]) -> None:
    for rank, one in enumerate(processes):
        assert one["groups"] == {"world": (rank, 4), "node": (rank % 2, 2), 1: (0, 1), 2: (rank % 2, 2)}
        said = one["messages"]
        assert said["number"] == "group: expected a divisor of the number of processes, 4, got 3"
        assert said["width"].startswith("targets: expected the same T in all processes, got [1, 2")
        assert "LOCAL_WORLD_SIZE to be the number of processes of each machine" in said["node"]


@pytest.mark.parametrize("group", ["all", 0, True, 1.5])
def test_a_group_is_a_name_or_a_number(group: Any) -> None:
    with pytest.raises(ValueError, match="group: expected 'world', 'node', an integer >= 1, or None, got"):
        InBatch(C, group=group)
    with pytest.raises(ValueError, match="group: expected 'world', 'node', an integer >= 1, or None, got"):
        LearnedUnigram(C, 3, group=group)


__all__ = ["run"]
