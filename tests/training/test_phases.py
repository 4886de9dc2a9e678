"""Time budgets that are kept, and a second training on all data for as long as validation chose."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import logq
from logq._progress import Progress
from logq.language_models import NNLM
from logq.logs import Interactions, leave_one_out, split_at_random
from logq.logs.splits import Split
from logq.recommenders.events.held_out import HeldOut
from logq.training.checkpoint import FILE
from logq.training.devices import Device
from logq.training.loop import Loop
from logq.training.optimizers import Optimizers
from logq.training.options import TrainingConfig
from logq.training.phases import Chosen, Phase, TimeBudget
from logq.training.seeds import Seeds
from recommender_cases import make, planted_log, planted_split


class Clock:
    """A clock that goes on when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """Batches that take a second each, by the clock, and learn nothing."""

    unit, examples, num_batches = "looks", 100, 10

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.module: nn.Module = nn.ParameterDict({"value": nn.Parameter(torch.zeros(()))})

    def batches(self, epoch: int, first: int) -> Iterator[tuple[dict[str, Any], int]]:
        yield from [({}, 10)] * (self.num_batches - first)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        self.clock.now += 1
        (value,) = self.module.parameters()
        return (value - 3).square()

    def sparse_parameters(self) -> list[nn.Parameter]:
        return []


def trained(minutes: float | None, *, validation: float | None = None, **config: Any) -> tuple[Loop, Clock]:
    """A loop that was run, where validations take so many seconds."""
    clock = Clock()
    phase = Phase(TimeBudget(minutes, clock=clock))
    loop = Loop(
        Slow(clock), TrainingConfig(minutes=minutes, **config), Device("cpu"), Seeds.of(1), monitor="hr", phase=phase
    )

    def measure() -> dict[str, float]:
        assert validation is not None
        clock.now += validation
        return {"hr": float(loop.step)}

    loop.run("slow", progress=False, measure=None if validation is None else measure)
    return loop, clock


# ----------------------------------------------------------------------------------------------------- time budgets


@pytest.mark.parametrize(
    ("minutes", "steps", "seconds"), [(1, 60, 60), (0.59, 35, 35), (0.001, 1, 1), (100, 200, 200), (None, 200, 200)]
)
def test_training_ends_with_the_last_batch_that_fits(minutes: float | None, steps: int, seconds: int) -> None:
    loop, clock = trained(minutes)
    assert (loop.step, clock.now - Clock.now) == (steps, seconds)
    assert [entry.get("batches") for entry in loop.log] == [None] * (steps // 10) + [steps % 10] * (steps % 10 > 0)


def test_a_budget_has_room_for_the_last_validation() -> None:
    # Four epochs with their validations take 52 s, and two more batches and a validation fit into 57.5.
    loop, clock = trained(57.5 / 60, validation=3)
    assert clock.now - Clock.now == 57
    assert [entry["hr"] for entry in loop.log] == [10, 20, 30, 40, 42]
    loop, clock = trained(55.5 / 60, validation=3)  # but not into 55.5
    assert [entry["hr"] for entry in loop.log] == [10, 20, 30, 40]


def test_a_validation_is_timed_before_an_epoch_that_is_too_long_ends() -> None:
    loop, clock = trained(0.5, validation=9, epochs=1)
    assert (clock.now - Clock.now, loop.step) == (19, 10)
    # Where 100 batches cannot end, one is timed after a tenth of 30 s, and another one fits at the end.
    Slow.num_batches = 100
    try:
        loop, clock = trained(0.5, validation=9, epochs=1)
    finally:
        Slow.num_batches = 10
    assert (clock.now - Clock.now, loop.step, loop.log[0]["batches"]) == (30, 12, 12)


def test_the_last_weights_are_validated_whatever_the_epochs_between() -> None:
    loop, clock = trained(0.58, validation=1, validate_every=100)
    assert "hr" in loop.log[-1]
    assert clock.now - Clock.now <= 0.58 * 60


def test_the_rate_decays_with_the_time() -> None:
    rates: list[float] = []

    def noted(loop: Loop) -> Callable[[float], None]:
        return lambda factor: rates.append(factor) or type(loop.optimizers).set_rate(loop.optimizers, factor)

    clock = Clock()
    phase = Phase(TimeBudget(1, clock=clock))
    loop = Loop(Slow(clock), TrainingConfig(decay="linear", epochs=1000), Device("cpu"), Seeds.of(1), phase=phase)
    loop.optimizers.set_rate = noted(loop)  # pyright: ignore[reportAttributeAccessIssue]
    loop.run("slow", progress=False)
    np.testing.assert_allclose(rates, [1 - second / 60 for second in range(60)], atol=1e-3)
    assert loop.chosen.epochs == 6
    assert loop.chosen.reached == pytest.approx(1)
    # Trained again for as long, without a clock, the rates are nearly the same ones.
    rates.clear()
    chosen = Phase(TimeBudget(None), 2, loop.chosen)
    again = Loop(Slow(clock), TrainingConfig(decay="linear", epochs=1000), Device("cpu"), Seeds.of(1), phase=chosen)
    again.optimizers.set_rate = noted(again)  # pyright: ignore[reportAttributeAccessIssue]
    again.run("slow", progress=False)
    np.testing.assert_allclose(rates, [1 - second / 60 for second in range(60)], atol=1e-3)


@pytest.mark.parametrize(("seconds", "steps", "reached"), [(200, 60, 0.5), (90, 30, 0.5)])
def test_a_second_phase_begins_with_the_whole_rate(seconds: float, steps: int, reached: float) -> None:
    """Of a budget what the first phase used is no part of the schedule of the second, which ends where it chose to."""
    clock = Clock()
    budget = TimeBudget(seconds / 60, clock=clock)
    clock.now += 60
    phase = Phase(budget, 2, Chosen(6, reached, seconds=60))
    loop = Loop(Slow(clock), TrainingConfig(decay="linear", epochs=1000), Device("cpu"), Seeds.of(1), phase=phase)
    rates: list[float] = []
    given = loop.optimizers.set_rate
    loop.optimizers.set_rate = lambda factor: rates.append(factor) or given(factor)
    loop.run("slow", progress=False)
    # With time enough all sixty steps are made, with less as many as there are seconds; the rate falls to a half.
    np.testing.assert_allclose(rates, [1 - reached * step / steps for step in range(steps)], atol=1e-3)


def test_time_that_a_run_used_before_counts() -> None:
    loop, _ = trained(0.4)
    assert loop.step == 24
    state = loop.state()
    assert state.position["seconds"] == 24
    clock = Clock()
    phase = Phase(TimeBudget(1, clock=clock))
    more = Loop(Slow(clock), TrainingConfig(minutes=1), Device("cpu"), Seeds.of(1), monitor="hr", phase=phase)
    more.restore(state)
    more.run("slow", progress=False)
    assert more.budget.used == pytest.approx(60)
    assert clock.now - Clock.now == 36


def test_the_line_goes_by_the_budget() -> None:
    clock = Clock()
    budget = TimeBudget(1, clock=clock)
    made: Any = Progress(1000, "looks", "slow", False, limit=budget, clock=clock)
    with made as bar:
        clock.now += 30
        bar.advance(100)
        assert bar.share == 0.5
        assert bar._parts()["left"] == "0:30 left"
        clock.now += 1
        bar.advance(880)
        assert bar.share == 0.98
        assert bar._parts()["left"] == "0:01 left"


@pytest.mark.parametrize("name", ["YoutubeDNN", "SASRec"])
def test_a_recommender_keeps_its_budget(name: str) -> None:
    began = time.monotonic()
    model: Any = make(name, epochs=100_000, minutes=0.02).fit(planted_split(), progress=False)
    assert time.monotonic() - began < 1.2 + 1.5  # a busy machine may be late
    assert 1 <= len(model.training_log) < 100_000
    assert model.settings()["minutes"] == 0.02


def test_a_language_model_keeps_its_budget() -> None:
    model = NNLM(8, 8, 2, epochs=100_000, minutes=0.02, min_count=1, seed=1)
    seen: list[float] = []
    model.fit([["a", "b", "c"]] * 50, progress=False, on_epoch=lambda entry: seen.append(entry["loss"]))
    assert seen == [entry["loss"] for entry in model.training_log]
    assert 1 <= len(seen) < 100_000


def test_no_budget_is_no_time() -> None:
    with pytest.raises(logq.ArgumentError, match=r"minutes: expected a finite number > 0, got -1"):
        TrainingConfig(minutes=-1)
    assert TrainingConfig(minutes=0).minutes is None


# ------------------------------------------------------------------------------------------------------------ refit


def fit(model: Any, folder: Path | None = None, **options: Any) -> Any:
    return model.fit(planted_split(), checkpoint=folder, checkpoint_minutes=0.0, progress=False, **options)


def told(model: Any, values: list[float]) -> None:
    """Have validation say these numbers."""
    left = iter(values)
    model._validated = lambda *_: {"ndcg@10": next(left)}


@pytest.mark.parametrize("decay", ["constant", "cosine"])
def test_a_refit_is_a_training_on_all_for_the_epochs_that_were_chosen(decay: str) -> None:
    model: Any = make("YoutubeDNN", epochs=9, patience=2, refit=True, decay=decay)
    told(model, [0.1, 0.3, 0.2, 0.1])
    fit(model)
    split = planted_split()
    # By hand: the same weights at first, and the same rates as if there were nine epochs.
    alone: Any = make("YoutubeDNN", epochs=9, decay=decay)

    class StoppedError(Exception):
        pass

    found: dict[str, Tensor] = {}

    def stop(entry: Mapping[str, float]) -> None:
        if entry["epoch"] == 2:
            found.update({name: value.clone() for name, value in alone.model.state_dict().items()})
            raise StoppedError

    with pytest.raises(StoppedError):
        alone.fit(split.history("test"), progress=False, on_epoch=stop)
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, found[name]), name
    assert [(entry["phase"], entry["epoch"]) for entry in model.training_log] == [
        *((1, epoch) for epoch in (1, 2, 3, 4)),
        *((2, epoch) for epoch in (1, 2)),
    ]
    assert [("ndcg@10" in entry) for entry in model.training_log] == [True] * 4 + [False] * 2


def test_a_refit_knows_validation_and_is_evaluated_without_complaint() -> None:
    split = planted_split()
    model: Any = fit(make("YoutubeDNN", epochs=2, refit=True))
    assert len(model.known.items) == len(split.history("test"))
    plain: Any = fit(make("YoutubeDNN", epochs=2))
    assert len(model.known.items) == len(plain.known.items) + len(split.validation or ())
    # Warnings are errors here: evaluate says nothing of events that it should not have been fitted with.
    scores = model.evaluate(split, ks=(10,), progress=False)
    assert scores.known_events == 0
    assert scores.users == plain.evaluate(split, ks=(10,), progress=False).users


def test_a_log_and_what_came_later_are_put_together_as_a_split_has_them() -> None:
    log = planted_log()
    rng = np.random.default_rng(3)
    part = np.sort(rng.integers(0, 3, len(log))).astype(np.int8)
    part = np.concatenate([np.sort(part[log.users == user]) for user in range(log.num_users)])
    split = Split(log, part, {"by": "hand"})
    assert split.validation is not None
    both = HeldOut(split.validation, split.train).together()
    assert both.fingerprint() == split.history("test").fingerprint()
    other = Interactions.from_arrays(["u0", "u0"], [1, 2])
    with pytest.raises(
        logq.ArgumentError, match=r"validation: expected the users and items of log, .* got other users"
    ):
        HeldOut(other, log).together()
    users, items = [1, 1], [5, 7]
    ours = Interactions.from_arrays(users, items, columns={"city": ["Rome", "Oslo"]})
    theirs = Interactions.from_arrays(users, items, columns={"city": ["Lima", "Oslo"]})
    with pytest.raises(logq.ArgumentError, match=r"validation: expected the columns of log, .* other values of 'city'"):
        HeldOut(theirs, ours).together()


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("validation_users", [None, 5])
def test_a_refit_keeps_the_order_of_a_log_that_was_split_at_random(times: bool, validation_users: int | None) -> None:
    """What validated stands where it was among a user's events, not behind them."""
    log = planted_log()
    # Of equal times the order of rows tells which came first.
    log = dataclasses.replace(log, timestamps=log.timestamps // 3 if times and log.timestamps is not None else None)
    split = split_at_random(log, seed=3)
    expected = split.history("test")
    seen: list[Interactions] = []

    class Watched(logq.YoutubeDNN):
        def _make_examples(self, log: Interactions, seed: int) -> Any:
            seen.append(log)
            return super()._make_examples(log, seed)

    model = Watched(dim=4, epochs=1, num_sampled=4, seed=1, refit=True, validation_users=validation_users)
    model.fit(split, progress=False)
    assert len(seen) == 2
    assert seen[1].fingerprint() == expected.fingerprint()
    before = seen[0]
    rows = split.rows("train")
    if validation_users is not None:
        learned = np.unique(split.validation.users) if split.validation is not None else np.zeros(0)
        assert len(before) > rows.sum()
        chosen = [user for user in learned if (before.users == user).sum() == (split.train.users == user).sum()]
        assert len(chosen) == validation_users
        rows |= split.rows("validation") & ~np.isin(log.users, chosen)
    assert before.fingerprint() == log.select(rows).fingerprint()


def test_a_refit_needs_a_validation_part() -> None:
    with pytest.raises(logq.ArgumentError, match=r"refit: expected a validation part .*, got none; leave_one_out"):
        make("YoutubeDNN", refit=True).fit(planted_log(), progress=False)
    with pytest.raises(logq.ArgumentError, match="refit: expected a validation part"):
        make("YoutubeDNN", refit=True).fit(leave_one_out(planted_log(), validation=False), progress=False)


class BrokenOffError(Exception):
    pass


@pytest.mark.parametrize("steps", [3, 11, 14, 25])
def test_a_refit_is_continued_in_the_phase_that_it_was_in(steps: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 2, "batch_size": 32, "refit": True, "ema": 0.9, "decay": "linear"}
    whole = fit(make("YoutubeDNN", **options))
    cut: Any = make("YoutubeDNN", **options)
    done: list[int] = []

    def stop(step: int) -> None:
        done.append(step)
        if len(done) == steps:
            raise BrokenOffError

    cut._on_batch = stop
    with pytest.raises(BrokenOffError):
        fit(cut, tmp_path)
    resumed = fit(make("YoutubeDNN", **options), tmp_path, resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    told_of = [
        [{name: value for name, value in entry.items() if name != "samples_per_second"} for entry in model.training_log]
        for model in (whole, resumed)
    ]
    assert told_of[0] == told_of[1]
    assert not (tmp_path / FILE).exists()


def test_both_phases_share_a_budget() -> None:
    began = time.monotonic()
    model: Any = fit(make("YoutubeDNN", epochs=100_000, minutes=0.04, refit=True))
    assert time.monotonic() - began < 2.4 + 1.5
    assert {entry["phase"] for entry in model.training_log} == {1, 2}


def test_a_refit_cools_down_where_validation_did() -> None:
    model: Any = make("YoutubeDNN", epochs=9, patience=2, cooldown=0.5, refit=True)
    told(model, [0.1, 0.3, 0.2, 0.1, 0.2, 0.4])
    rates: list[float] = []
    set_rate = Optimizers.set_rate

    def noted(self: Optimizers, factor: float) -> None:
        rates.append(factor)
        set_rate(self, factor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimizers, "set_rate", noted)
        fit(model)
    assert [entry["phase"] for entry in model.training_log] == [1] * 6 + [2] * 6
    second = rates[rates.index(min(rates[: len(rates) // 2])) + 1 :]
    steps = len(second)
    falling = steps // 3
    assert second == pytest.approx([1.0] * (steps - falling) + [1 - step / falling for step in range(falling)])


def test_a_refit_is_saved_with_its_log(tmp_path: Path) -> None:
    model: Any = fit(make("YoutubeDNN", epochs=1, refit=True))
    model.save(tmp_path)
    again = logq.load(tmp_path)
    assert again.refit is True
    assert again.training_log == model.training_log
    assert math.isnan(model.training_log[-1].get("ndcg@10", math.nan))


def test_a_part_of_an_epoch_counts() -> None:
    assert Chosen(2.5, 0.5).steps(10) == 25
    assert Chosen(2.5, 0.5).schedule_steps(10) == 50
