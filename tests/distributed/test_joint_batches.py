"""Processes that share their targets, each with some rows, beside one process that has all rows: losses and gradients.

Everything is in float64. Each process adds up the losses of its rows, and the sums over processes are compared.
"""

import os
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from logq import optim
from logq.candidates import IGNORED
from logq.distributed import GradCache
from logq.functional import sampled_loss
from logq.logs import Interactions
from logq.objectives import OBJECTIVES
from logq.process_groups import group_of
from logq.processes import all_rows, world
from logq.recommenders import TwoTower, TwoTowerEncoder
from logq.recommenders.neural.item_loss import ItemLoss
from logq.samplers import CrossBatch, InBatch, Sampler
from logq.samplers.kept_tensors import unpacked
from logq.training.together import share_gradients
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


OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], Callable[..., torch.optim.Optimizer]]] = {
    "SGD": (partial(torch.optim.SGD, lr=0.003), partial(optim.SGD, lr=0.003)),
    "Adagrad": (
        partial(torch.optim.Adagrad, lr=0.01, initial_accumulator_value=0.1),
        partial(optim.Adagrad, lr=0.01, initial_accumulator_value=0.1),
    ),
    "RowWiseAdagrad": (
        partial(torch.optim.SGD, lr=0.003),
        partial(optim.RowWiseAdagrad, lr=0.01, initial_accumulator_value=0.1),
    ),
    # Where gradients vanish Adam makes steps of rounding, unless eps is larger than that.
    "LazyAdam": (partial(torch.optim.Adam, lr=0.01, eps=0.1), partial(optim.LazyAdam, lr=0.01, eps=0.1)),
}
"""Of towers, and of tables with sparse gradients."""

LONG = list(product(SAMPLED, SAMPLERS, OPTIMIZERS))


def by_trained_towers(members: range, group: Any, objective: str, name: str, kind: str) -> dict[str, Any]:
    """Losses of forty steps of two towers, with sparse tables of ids, and their weights afterwards."""
    torch.manual_seed(2)
    model = TwoTowerEncoder(C, D, hidden=(6,), item_hidden=(6,), id_dropout=0.0, sparse=True).double()
    sampler = SAMPLERS[name](group)
    sampler.rank = 0
    loss_of = ItemLoss(objective, sampler)
    tables = model.sparse_parameters()
    towers = [one for one in model.parameters() if all(one is not table for table in tables)]
    optimizers = [make(given) for make, given in zip(OPTIMIZERS[kind], (towers, tables), strict=True)]
    rows, losses = sum(ROWS), []
    for step in range(40):
        history = torch.randint(-1, C, (rows, 3), generator=torch.Generator().manual_seed(step + 50))
        targets = part(all_targets(step), members)
        queries = model.query({"history": part(history, members)})
        loss = loss_of(model, queries, targets) * int((targets != IGNORED).sum()) / rows
        loss.backward()
        share_gradients(towers, tables)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(loss.detach()))
    weights = {key: value.detach().clone() for key, value in model.named_parameters()}
    return {"losses": torch.tensor(losses, dtype=torch.float64), **weights}


def run_long() -> dict[Any, Any]:
    """What one of the processes has after forty steps of everything."""
    own = range(world().rank, world().rank + 1)
    return {case: by_trained_towers(own, "world", *case) for case in LONG}


class TwoTowers(nn.Module):
    """A loop of one's own: towers that take two rows at a time, in what DistributedDataParallel wraps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.users, self.items = (nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, D)).double() for _ in range(2))
        self.sampler = InBatch(C, counts=COUNTS, group="world", dtype=torch.float64)

    def forward(self, users: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        candidates = self.sampler.draw(targets)
        queries, own = (GradCache(tower, 2)(x) for tower, x in ((self.users, users), (self.items, items)))
        vectors = all_rows(own)
        names, places = candidates.ids.unique(return_inverse=True)
        table = torch.zeros(len(names), D, dtype=torch.float64).index_copy(0, places, vectors)
        renamed = candidates._replace(ids=places, targets=torch.searchsorted(names, targets))
        return sampled_loss("sampled_softmax", queries, table, renamed, reduction="sum")


def by_own_loop(members: range) -> dict[str, Tensor]:
    """Gradients of the mean over processes of the losses of their rows."""
    targets = torch.arange(sum(ROWS)) * 2  # each with one vector
    model = TwoTowers()
    several = len(members) < len(ROWS)
    wrapped = DistributedDataParallel(model) if several else model
    loss = wrapped(*(part(rows, members) for rows in (numbers(11, 3, seed=1), numbers(11, 3, seed=2), targets)))
    loss.backward()
    found = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return found if several else {name: one / len(ROWS) for name, one in found.items()}


def by_estimator(batch_size: int) -> dict[str, Any]:
    """Vectors of items of estimators that learned two batches of 24 rows."""
    rng = np.random.default_rng(1)
    log = Interactions.from_sessions([[f"i{item}" for item in rng.choice(15, 3, replace=False)] for _ in range(24)])
    found: dict[str, Any] = {}
    for sampler, negatives_of in [("in_batch", "world"), ("cross_batch", "world"), ("in_batch", "rank")]:
        model = TwoTower(
            4,
            sampler=sampler,
            num_sampled=24,  # a whole batch, as processes have its rows in another order
            negatives_of=negatives_of,
            id_dropout=0.0,
            optimizer="sgd",
            lr=1.0,
            chunk=5,
            dropout=0.0,
            pretrain=0,
            ema=None,
            batch_size=batch_size,
            epochs=1,
            seed=3,
        )
        found[f"{sampler} of {negatives_of}"] = model.fit(log, progress=False).item_vectors
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
    found["loop"] = by_own_loop(own)
    found["estimator"] = by_estimator(24 // here.size)
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


@pytest.mark.slow
def test_forty_steps_of_two_towers_are_those_of_one_process() -> None:
    """Of every sampled objective, sampler of the batch and optimizer; a process has no rows at all."""
    found, wrong = together(run_long, size=len(ROWS), seconds=1800), []
    for case in LONG:
        expected = by_trained_towers(range(len(ROWS)), None, *case)
        losses = sum(one[case].pop("losses") for one in found)
        for name, value in {**expected, "losses": expected["losses"]}.items():
            every = [losses] if name == "losses" else [one[case][name] for one in found]
            difference = max(float(((one - value) / value.abs().clamp(min=1)).abs().max()) for one in every)
            if not difference <= 1e-12:
                wrong.append(f"{case}: {name} differ by {difference:.1e}")
    assert not wrong, "\n".join(wrong)


def test_a_loop_with_chunks_by_distributed_data_parallel(processes: list[dict[Any, Any]]) -> None:
    expected = by_own_loop(range(len(ROWS)))
    assert len(expected) == 8
    for one in processes:
        torch.testing.assert_close(one["loop"], expected, rtol=1e-12, atol=1e-12)


def test_estimators_learn_from_the_targets_of_all(processes: list[dict[Any, Any]]) -> None:
    expected = by_estimator(24)
    for one in processes:
        for name, vectors in one["estimator"].items():
            np.testing.assert_array_equal(vectors, processes[0]["estimator"][name])
            change = np.abs(vectors - expected[name]).max()
            assert change > 1e-2 if name.endswith("rank") else change < 1e-5, name


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


__all__ = ["run"]
