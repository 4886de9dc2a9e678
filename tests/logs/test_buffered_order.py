"""Epochs over more examples than are shuffled at once: all of them, each once, in an order that a seed repeats."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq.logs import (
    Interactions,
    NextItems,
    Sequences,
    epoch_batches,
    leave_one_out,
    mapped_arrays,
    num_batches,
    prepare,
)
from logq.logs.batches import own_batches
from logq.logs.buffered_order import BLOCKS, BufferedOrder
from logq.logs.event_rows import EventRows, rows_with_history
from logq.logs.ordering import value_at


class Numbers:
    """Examples that are their numbers, with lengths."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def lengths(self, indices: Any = None) -> np.ndarray[Any, Any]:
        return np.arange(self._count)[slice(None) if indices is None else indices] % 17

    def batch(self, indices: Any) -> dict[str, np.ndarray[Any, Any]]:
        return {"number": np.asarray(indices)}


def epoch(examples: Any, size: int, **options: Any) -> list[list[int]]:
    return [batch["number"].tolist() for batch in epoch_batches(examples, size, **options)]


@pytest.mark.parametrize("bucket", [0, 4])
@pytest.mark.parametrize(("count", "world_size"), [(1000, 1), (1000, 3), (1001, 4), (961, 2), (960, 4)])
def test_ranks_share_all_examples_once(count: int, world_size: int, bucket: int) -> None:
    size, seen = 60, list[int]()
    for rank in range(world_size):
        batches = epoch(Numbers(count), size, seed=5, rank=rank, world_size=world_size, buffer=128, bucket=bucket)
        assert len(batches) == num_batches(count, size, world_size)
        assert all(0 < len(batch) <= size for batch in batches)
        mine = [number for batch in batches for number in batch]
        assert min(mine) == rank * count // world_size  # its own part and no more
        assert max(mine) == (rank + 1) * count // world_size - 1
        seen += mine
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("buffer", [0, 1])
def test_says_which_batches_are_of_examples_that_are_learned_from_elsewhere(buffer: int) -> None:
    for count, size, world_size in itertools.product(range(4, 24), (1, 2, 5), (1, 2, 3)):
        seen = list[int]()
        for rank in range(world_size):
            own = own_batches(count, size, rank, world_size, buffer=buffer)
            batches = epoch(Numbers(count), size, seed=5, rank=rank, world_size=world_size, buffer=buffer)
            seen += [number for step, batch in enumerate(batches) if own(step) for number in batch]
        assert sorted(seen) == list(range(count)), (count, size, world_size)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    orders = [
        epoch(Numbers(900), 32, seed=seed, epoch=number, buffer=128)
        for seed, number in ((1, 0), (1, 0), (1, 1), (2, 0))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != orders[3] != orders[0]


def test_goes_on_at_any_step() -> None:
    whole = epoch(Numbers(900), 32, seed=1, buffer=128)
    for start in (0, 1, 7, len(whole) - 1):
        assert epoch(Numbers(900), 32, seed=1, buffer=128, start=start) == whole[start:]


def test_few_examples_have_the_order_without_a_buffer() -> None:
    assert epoch(Numbers(100), 8, seed=1, buffer=100) == epoch(Numbers(100), 8, seed=1)


def test_a_batch_is_from_all_over_the_log() -> None:
    count, buffer = 200_000, 12_800
    order = BufferedOrder(0, count, buffer, (0, 0)).positions(0, 256)
    blocks = np.unique(order // (buffer // BLOCKS))
    assert len(blocks) > BLOCKS * 0.95
    assert abs(order.mean() / count - 0.5) < 0.12  # 64 blocks: a deviation of 0.29 / 8 = 0.036; fails once in 1000
    assert np.unique(np.sort(order) // (count // 8)).size == 8


@pytest.mark.parametrize("min_history", [0, 1, 3])
def test_rows_are_those_that_are_listed(min_history: int) -> None:
    rng = np.random.default_rng(min_history)
    log = Interactions.from_arrays(rng.integers(40, size=200), rng.integers(9, size=200))
    rows, listed = EventRows(log.offsets, min_history), rows_with_history(log, min_history, None)
    np.testing.assert_array_equal(rows[np.arange(len(rows))], listed)
    assert len(rows) == len(listed)


def test_value_at_a_rank_of_many_is_exact() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.integers(50, size=600_000), rng.random(600_000), np.zeros(600_000)):
        ordered = np.sort(values)
        for rank in (0, 1, 299_999, 540_000, 599_999):
            assert value_at(values, rank) == ordered[rank]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Interactions, Interactions]:
    """The same log, in memory and mapped."""
    pytest.importorskip("duckdb")
    home: Path = tmp_path_factory.mktemp("log")
    rng = np.random.default_rng(1)
    rows = zip(rng.integers(200, size=4000), rng.integers(50, size=4000), rng.integers(900, size=4000), strict=True)
    (home / "log.csv").write_text("user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows))
    prepare(home / "log.csv", home / "parts", partitions=1, progress=False)
    return Interactions.from_csv(home / "log.csv"), Interactions.open(home / "parts")


@pytest.mark.parametrize("mapped_selections", [False, True])
def test_examples_are_those_of_the_log_in_memory(
    logs: tuple[Interactions, Interactions], monkeypatch: pytest.MonkeyPatch, mapped_selections: bool
) -> None:
    monkeypatch.setattr(mapped_arrays, "_FEW", 0 if mapped_selections else 1 << 20)
    found: list[list[dict[str, Any]]] = []
    for log in logs:
        split = leave_one_out(log)
        assert (split.train.mapped is not None) == (mapped_selections and log is logs[1])
        examples: list[Any] = [NextItems(split.train, 5, times=True), Sequences(split.train, 5)]
        examples += [NextItems(split.train, 5, last=True), NextItems(log, 5, rows=split.rows("test"))]
        examples += [NextItems(split.history("test"), 5, max_per_user=2)]
        found.append([batch for each in examples for batch in epoch_batches(each, 512, seed=3)])
        assert (
            examples[0].target_counts().tolist() == np.bincount(examples[0].targets, minlength=log.num_items).tolist()
        )
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys()
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])


def test_a_selection_keeps_partitions_and_fingerprints(
    logs: tuple[Interactions, Interactions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_arrays, "_FEW", 0)
    memory, mapped = logs
    rows = np.random.default_rng(0).random(len(memory)) < 0.5
    one, other = memory.select(rows), mapped.select(rows)
    assert other.mapped is not None
    assert other.mapped.bounds.tolist() == [0, len(one)]
    assert one.fingerprint() == other.fingerprint()
    assert mapped.fingerprint() == Interactions.open(mapped.mapped.folder).fingerprint()  # pyright: ignore
    other.mapped.release()
    np.testing.assert_array_equal(one.items, other.items)
