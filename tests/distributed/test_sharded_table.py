"""A table in parts is the table of one process: losses, gradients, states; what moves; what is found."""

import errno
import math
import os
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import sharded_cases
from logq.distributed import ShardedClassTable, Stratified, VectorShards
from logq.distributed.moved_queries import OwnClasses, full_losses
from logq.distributed.placing import Placing
from logq.distributed.sharded_losses import by_queries
from logq.distributed.table_part import random_rows
from logq.functional import full_loss
from logq.kernels.distributions import random_bits, shifted
from logq.kernels.logits import chunk_logits
from logq.nn import CandidateLoss, SampledSoftmaxLoss
from logq.nn.class_table import LossSettings
from logq.objectives import find_objective
from logq.optim import LazyAdam
from logq.samplers import Uniform, Unigram
from processes import together
from sharded_cases import FULL, OPTIMIZERS, SAMPLED, SAMPLERS, Case

pytestmark = pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
"""The one process that is compared with warns that label smoothing runs on the reference."""

PAIRS = list(product(SAMPLED, OPTIMIZERS))
NAMES = list(SAMPLERS)

SOFT = ("label_smoothing", 0.1)
SMOOTHED = [
    Case("sampled_softmax", "SGD", "unigram", "rows", options=(SOFT,), weighted=True),
    Case("sampled_softmax", "Adagrad", "learned_unigram", "queries", options=(SOFT, ("remove_hits", False))),
    Case("refined_softmax", "RowWiseAdagrad", "log_uniform", "queries", options=(SOFT, ("cosine", True))),
    Case("nce", "SGD", "uniform", "queries", options=(SOFT,)),
    Case("sampled_logistic", "Adagrad", "unigram", "rows", options=(SOFT,)),
    Case("gbce", "RowWiseAdagrad", "unigram", "queries", options=(SOFT,), weighted=True),
    Case("full_softmax", "SGD", options=(SOFT, ("cosine", True), ("temperature", 0.3)), weighted=True),
    Case("full_softmax", "LazyAdam", options=(SOFT,)),
    Case("full_logistic", "Adagrad", options=(("label_smoothing", 0.001),), weighted=True),
]
"""With label smoothing: of samples by either plan, and of all classes."""

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
    *SMOOTHED,
    Case("sampled_softmax", "RowWiseAdagrad", "unigram", cut_tower=True),
    Case("full_softmax", "LazyAdam", cut_tower=True),
]
LONG = [
    *(
        Case(objective, optimizer, sampler, ("rows", "queries")[number % 2], steps=40)
        for number, (objective, optimizer, sampler) in enumerate(product(SAMPLED, OPTIMIZERS, SAMPLERS))
    ),
    *(Case(objective, optimizer, steps=40) for objective, optimizer in product(FULL, OPTIMIZERS)),
    *(replace(one, steps=40) for one in SMOOTHED),
]
"""Every objective with every optimizer and every sampler."""
SINGLE = [
    Case(objective, "RowWiseAdagrad", "unigram" if objective in SAMPLED else None, plan, steps=1, dtype=torch.float32)
    for objective in (SAMPLED | FULL)
    for plan in (("rows", "queries") if objective in SAMPLED else (None,))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    """Of two processes, which are started once."""
    return together(sharded_cases.everything, CASES + SINGLE, str(folder))


def assert_equal(cases: list[Case], trained: list[list[dict[str, Any]]], tolerance: float) -> None:
    wrong = [
        f"{case}: {name} differ by {difference:.1e}"
        for number, case in enumerate(cases)
        for name, difference in sharded_cases.differences(case, [each[number] for each in trained])
        if not difference <= tolerance
    ]
    assert not wrong, "\n".join(wrong)


def test_training_in_two_processes_is_that_of_one(found: list[dict[str, Any]]) -> None:
    """Losses, rows, biases, states, and towers by DistributedDataParallel or fully_shard; some batches are empty."""
    assert_equal(CASES, [each["trained"][: len(CASES)] for each in found], 1e-12)


def test_a_step_in_single_precision(found: list[dict[str, Any]]) -> None:
    assert_equal(SINGLE, [each["trained"][len(CASES) :] for each in found], 1e-6)


def test_rows_and_states_in_files(found: list[dict[str, Any]], folder: Path) -> None:
    assert_equal(sharded_cases.IN_FILES, [each["in files"] for each in found], 1e-12)
    names = {"rows", "exp_avg.0", "exp_avg.1", "exp_avg_sq.0", "exp_avg_sq.1", "sum.0", "sum.1"}
    assert {path.name for path in folder.glob("table.*")} == {
        f"table.{rank}-of-2.{name}" for rank in range(2) for name in names
    }
    sizes = {path.stat().st_size for path in folder.glob("*.rows")}
    assert sizes == {8 * sharded_cases.D * rows for rows in (10_006, 10_005)}


def test_vectors_are_written_by_two_and_read_by_three(found: list[dict[str, Any]], folder: Path) -> None:
    assert len(found) == 2
    shards = VectorShards(folder / "vectors")
    assert [len(shard.ids) for shard in shards] == [10_006, 10_005]
    parts = [shards.part(rank, 3) for rank in range(3)]
    ids = torch.cat([torch.from_numpy(part.ids) for part in parts])
    assert torch.equal(ids.sort().values, torch.arange(sharded_cases.C))
    vectors = torch.cat([torch.from_numpy(part.vectors) for part in parts])
    torch.testing.assert_close(vectors, sharded_cases.first_rows(ids).float(), rtol=0, atol=0)


def test_two_go_on_from_a_checkpoint_bit_for_bit_and_one_loads_it(found: list[dict[str, Any]], folder: Path) -> None:
    for each in found:
        on, again = each["saved"]
        assert on["losses"] == again["losses"]
        assert torch.equal(on["last"], again["last"])
        assert not torch.equal(on["last"], on["rows"])
    alone = sharded_cases.saved(str(folder / "checkpoint"), True)
    ids, rows = (torch.cat([each["saved"][0][key] for each in found]) for key in ("ids", "rows"))
    assert torch.equal(alone["rows"][alone["ids"].argsort()], rows[ids.argsort()])
    assert alone["counts"] == sum(each["saved"][0]["counts"] for each in found) == sharded_cases.C + 2 * 3 * 9


@pytest.mark.slow
def test_training_in_four_processes_is_that_of_one() -> None:
    found = together(sharded_cases.everything, CASES, None, size=4, seconds=600)
    assert_equal(CASES, [each["trained"] for each in found], 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_forty_steps_of_everything_are_those_of_one_process(size: int) -> None:
    found = together(sharded_cases.everything, LONG, None, size=size, seconds=1800)
    for by_adam, tolerance in ((False, 1e-12), (True, 1e-11)):  # it divides by roots of small squares; 1.6e-12 was seen
        numbers = [number for number, case in enumerate(LONG) if (case.optimizer == "LazyAdam") == by_adam]
        trained = [[each["trained"][number] for number in numbers] for each in found]
        assert_equal([LONG[number] for number in numbers], trained, tolerance)


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that is made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else (found,):
            if isinstance(one, torch.Tensor) and one.untyped_storage().nbytes():
                self.numbers = max(self.numbers, one.numel())
        return found


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", FULL)
def test_all_classes_are_scored_some_at_a_time(name: str, label_smoothing: float) -> None:
    classes, batch = 60_000, 256  # 15 million logits
    weight = torch.randn(classes, 2, generator=torch.Generator().manual_seed(1)).requires_grad_()
    queries = torch.randn(batch, 2, generator=torch.Generator().manual_seed(2)).requires_grad_()
    own = OwnClasses(Placing(classes, 1), 0, weight, None)
    targets = torch.arange(batch) * 200
    settings = LossSettings(find_objective(name).smoothed(label_smoothing), None)
    with Largest() as largest:
        losses, _ = full_losses(own, settings, queries, targets, 0.0)
        losses.sum().backward()
    assert largest.numbers <= chunk_logits(weight.device) < classes * batch / 3
    places = own.placing.places(targets)
    found, weight.grad = weight.grad, None
    full_loss(settings.objective, queries, weight, places, reduction="sum").backward()
    torch.testing.assert_close(found, weight.grad, rtol=1e-4, atol=1e-4)


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


@pytest.mark.parametrize("dim", [1, 3, 64])
def test_first_rows_are_numbers_of_a_stream(dim: int) -> None:
    ids = torch.tensor([[5, 1 << 40, 0, 4097], [0, 0, 0, 0]]).T[:, 0]  # not contiguous
    bits = random_bits(7, ids[:, None] * dim + torch.arange(dim))
    numbers = shifted(bits, 11).double() * 2.0**-53
    assert torch.equal(random_rows(ids, dim, 7), (2 * numbers - 1) / math.sqrt(dim))
    assert random_rows(ids[:0], dim, 7).shape == (0, dim)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot take room on disk beforehand")
def test_files_take_their_room_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a full disk is an error where a table is made, and no signal in a step; zeros are not written."""

    def zeros(ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(ids), 64)

    table = ShardedClassTable(20_000, 64, partial(LazyAdam, lr=0.1), init=zeros, file=tmp_path / "table")
    table.rows(torch.tensor([17])).sum().backward()
    table.step()
    expected = torch.zeros(20_000, 64)
    expected[17] = -0.1
    torch.testing.assert_close(table.rows(torch.arange(20_000)).detach(), expected)
    for path in tmp_path.iterdir():
        found = path.stat()
        assert found.st_blocks * 512 >= found.st_size, path.name

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device"):
        ShardedClassTable(20_000, 64, file=tmp_path / "other")


def test_tables_stand_in_for_sizes_and_have_weights_of_their_own() -> None:
    table = ShardedClassTable(50, 4)
    sampler = Stratified(Uniform(50, 5, seed=1))
    loss = SampledSoftmaxLoss(table, sampler)
    assert not list(loss.parameters())
    assert list(loss.state_dict()) == ["sampler._extra_state", "sampler.sampler._extra_state"]
    assert repr(loss).startswith("SampledSoftmaxLoss(\n  sampled_softmax, in_features=4, num_classes=50")
    given: dict[str, Any] = {"sparse": True, "bias": False, "dtype": torch.float64}
    given["weight"] = torch.nn.Parameter(torch.zeros(50, 4))
    for name, value in given.items():
        with pytest.raises(ValueError, match=f"{name}: expected none beside a table, which has its own"):
            SampledSoftmaxLoss(table, sampler, **{name: value})
    with pytest.raises(ValueError, match="num_classes: expected none beside a table"):
        CandidateLoss("nce", table, 50, sampler)
    with pytest.raises(TypeError, match=r"sampler: expected one of logq\.samplers"):
        CandidateLoss("nce", table)
    smooth = SampledSoftmaxLoss(table, sampler, label_smoothing=0.1)
    with pytest.raises(ValueError, match="extra_negatives: expected None with label smoothing"):
        smooth(
            torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), extra_negatives=torch.zeros(0, 1, dtype=torch.int64)
        )
    with pytest.raises(ValueError, match="targets: expected classes to look at"):
        loss.log_prob(torch.zeros(1, 4))


def test_what_a_table_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match="plan: expected 'rows', 'queries' or None, got 'both'"):
        ShardedClassTable(50, 4, plan="both")
    with pytest.raises(TypeError, match=r"optimizer: expected one of logq\.optim, such as LazyAdam, got SGD"):
        ShardedClassTable(50, 4, torch.optim.SGD)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"init: expected rows of shape \(50, 4\), got \(50, 3\)"):
        ShardedClassTable(50, 4, init=lambda ids: torch.zeros(len(ids), 3))
    with pytest.raises(ValueError, match="num_classes: expected at least one for each of 3 processes, got 2"):
        Placing(2, 3)
    table = ShardedClassTable(50, 4)
    with pytest.raises(ValueError, match="ids"):
        table.rows(torch.tensor([50]))
    with pytest.raises(ValueError, match="k: expected at most C = 50, got 51"):
        table.topk(torch.zeros(1, 4), 51)
    loss = SampledSoftmaxLoss(table, Stratified(Unigram([1.0] * 49 + [0.0], 5)))
    with pytest.raises(ValueError, match="targets: expected classes that the sampler draws, got 49"):
        loss(torch.zeros(1, 4), torch.tensor([49]))


def test_a_step_without_a_loss_changes_nothing_and_a_forgotten_gradient_is_gone() -> None:
    table = ShardedClassTable(50, 4, partial(LazyAdam, lr=0.1))
    before = table.part.weight.detach().clone()
    table.step()
    table.rows(torch.tensor([3])).sum().backward()
    table.zero_grad()
    table.step()
    torch.testing.assert_close(table.part.weight.detach(), before, rtol=0, atol=0)
    assert table.optimizer.state[table.part.weight]["step"] == 0


@pytest.mark.parametrize("size", [1, 2, 3, 8, 1000])
@pytest.mark.parametrize("classes", [1000, 4095, 4096, 4097, 100_003])
def test_places_are_a_permutation_in_fair_shares(classes: int, size: int) -> None:
    placing = Placing(classes, size)
    ids = torch.arange(classes)
    places = placing.places(ids)
    assert torch.equal(places.sort().values, ids)
    assert torch.equal(placing.ids(places), ids)
    buckets = ids * 2531 % 4096
    order = (buckets * (classes // 4096 + 1) + ids // 4096).argsort()  # by bucket, and by class within
    assert torch.equal(places[order], ids)
    owners = placing.owners(places)
    for rank in {0, size // 2, size - 1}:
        own = placing.ids_of(rank)
        assert torch.equal(own.sort().values, ids[owners == rank])
        assert list(placing.range_of(rank)) == places[own].tolist()
    if size <= 8 and classes > 50_000:
        share = torch.zeros(size).index_add_(0, owners, 1 / (ids + 1.0))
        assert float(share.max() / share.mean()) < 1.75  # of Zipf's mass: class 0 alone is one in twelve
