"""A pass over a log whose events are in files holds a small part of them, and gives it back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq._model_file import digest_of
from logq.logs import Interactions, NextItems, Sequences, Split, leave_one_out
from logq.logs.identifiers import Identifiers
from logq.logs.mapped_arrays import MappedEvents, array_writer, map_array
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.events.known_log_state import known_log_state
from logq.recommenders.events.target_events import fingerprint_of, target_counts

STATUS = Path("/proc/self/status")
EVENTS, EACH = 3_000_000, 15
PART = 16 << 20
"""Bytes: of a column of times two thirds."""


def resident() -> int:
    """The bytes of files that are in the memory of this process."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssFile"))
    return int(line.split()[1]) << 10


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Interactions:
    folder, rng = tmp_path_factory.mktemp("mapped"), np.random.default_rng(5)
    users = np.repeat(np.arange(EVENTS // EACH, dtype=np.int32), EACH)
    columns = {
        "users": users,
        "items": rng.integers(500, size=EVENTS).astype(np.int32),
        "timestamps": np.sort(rng.integers(1 << 40, size=EVENTS)),
    }
    found, maps = dict[str, Any](), list[Any]()
    for name, column in columns.items():
        with array_writer(folder / f"{name}.npy", column.dtype, EVENTS) as writer:
            writer.add(column)
        found[name], mapped = map_array(folder / f"{name}.npy")
        maps.append(mapped)
    ids = (Identifiers(np.arange(EVENTS // EACH)), Identifiers(np.arange(500)))
    bounds = np.array([0, EVENTS // 2, EVENTS])
    return Interactions(
        **found, labels=None, columns={}, user_ids=ids[0], item_ids=ids[1], mapped=MappedEvents(bounds, tuple(maps))
    )


def shared_out(split: Split) -> object:
    held_out = HeldOut.of(split)
    assert held_out is not None
    return held_out.shared_out(split.train, 10)


PASSES: dict[str, Callable[[Interactions], object]] = {
    "fingerprint": lambda log: fingerprint_of(log, []),
    "counts of items": lambda log: log.item_counts(),
    "counts that a model remembers": lambda log: KnownLog.of(log).item_counts(),
    "histories": lambda log: KnownLog.of(log).of_codes(np.arange(0, log.num_users, 7)),
    "offsets": lambda log: Interactions.offsets.func(log),  # pyright: ignore[reportAttributeAccessIssue]
    "a split": leave_one_out,
    "a part": lambda log: leave_one_out(log).train,
    "a small part": lambda log: log.select(np.arange(len(log)) % 10 == 0),
    "the validation part": lambda log: HeldOut.of(leave_one_out(log)),
    "users who validate": lambda log: shared_out(leave_one_out(log)),
    "counts of targets": lambda log: target_counts(NextItems(log, 5), log.num_items),
    "ages": lambda log: NextItems(log, 5, age="seconds"),
    "what a model is saved with": lambda log: digest_of(known_log_state(KnownLog.of(log))[1]["seen.items"]),
    "windows": lambda log: Sequences(log, 5, overlap=2),
}


@pytest.mark.skipif(not STATUS.exists(), reason="memory of files is told by Linux")
def test_a_pass_holds_a_part_and_gives_it_back(log: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    held = list[int]()
    release = MappedEvents.release

    def watched(self: MappedEvents) -> None:
        held.append(resident())
        release(self)

    monkeypatch.setattr(MappedEvents, "release", watched)
    failed = dict[str, tuple[int, int]]()
    for name, passes in PASSES.items():
        passes(log.select(np.arange(1000)))  # what is imported meanwhile is no part of it
        assert log.mapped is not None
        release(log.mapped)
        held.clear()
        before = resident()
        passes(log)
        most, left = max(held, default=before) - before, resident() - before
        if most > PART or left > PART // 4:
            failed[name] = (most, left)
    assert not failed, failed
