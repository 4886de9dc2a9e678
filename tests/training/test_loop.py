"""Schedules, stopping, averages, and training that diverges."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from logq._progress import Progress
from logq.recommenders.neural.item_loss import ItemLoss
from logq.training.checkpoint import FILE
from logq.training.devices import Device
from logq.training.loop import Loop
from logq.training.optimizers import Optimizers
from logq.training.phases import TimeBudget
from logq.training.running_mean import Problems, RunningMean
from logq.training.schedule import Schedule, WeightAverage
from logq.training.together import Alone
from recommender_cases import make, planted_split


def told(model: Any, values: list[float]) -> list[dict[str, torch.Tensor]]:
    """Have validation say these numbers, and note the weights that it says them of."""
    weights: list[dict[str, torch.Tensor]] = []

    def validated(*_: object) -> dict[str, float]:
        weights.append({name: value.clone() for name, value in model.model.state_dict().items()})
        return {"ndcg@10": values[len(weights) - 1]}

    model._validated = validated
    return weights


def test_the_last_epoch_counts_where_only_a_part_of_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    advance, run = Progress.advance, Loop.run

    def noted(self: Progress, count: float = 0, **values: Any) -> None:
        shown.extend([values["epoch"]] if "epoch" in values else [])
        advance(self, count, **values)

    def shortened(self: Loop, *args: Any, **more: Any) -> None:
        self.num_steps -= 1
        run(self, *args, **more)

    monkeypatch.setattr(Progress, "advance", noted)
    monkeypatch.setattr(Loop, "run", shortened)
    make("YoutubeDNN", epochs=2).fit(planted_split().train, progress=False)
    assert (shown[0], shown[-1]) == ("1/2", "2/2")


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_best_weights_are_kept_and_patience_ends_the_training(ema: float | None) -> None:
    model: Any = make("YoutubeDNN", epochs=60, patience=2, ema=ema)
    weights = told(model, [0.1, 0.4, 0.3, 0.5, 0.5, 0.2, 0.9])
    model.fit(planted_split(), progress=False)
    assert [entry["ndcg@10"] for entry in model.training_log] == [0.1, 0.4, 0.3, 0.5, 0.5, 0.2]
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, weights[3][name])
    assert not torch.equal(weights[3]["items.weight"], weights[5]["items.weight"])


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The factors of the learning rate, as they are set."""
    found: list[float] = []
    set_rate = Optimizers.set_rate
    monkeypatch.setattr(Optimizers, "set_rate", lambda self, factor: (found.append(factor), set_rate(self, factor)))
    return found


@pytest.mark.parametrize(
    ("cooldown", "epochs", "constant", "more"), [(0.5, 60, 4, 2), (0.1, 60, 4, 1), (1.0, 6, 3, 3), (1.0, 4, 2, 2)]
)
def test_after_patience_the_rate_falls_to_nothing(
    cooldown: float, epochs: int, constant: int, more: int, rates: list[float]
) -> None:
    """Patience ends after four epochs, and `epochs` leave room for as many as fall; the best of all counts."""
    model: Any = make("YoutubeDNN", epochs=epochs, patience=2, cooldown=cooldown)
    weights = told(model, [0.1, 0.4, 0.3, 0.2, 0.5, 0.45])
    model.fit(planted_split(), progress=False)
    assert len(model.training_log) == constant + more
    batches = len(rates) // (constant + more)
    falling = [1 - step / (more * batches) for step in range(more * batches)]
    assert rates == pytest.approx([1.0] * (constant * batches) + falling)
    best = weights[4 if constant + more > 4 else 1]
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, best[name])


@pytest.mark.parametrize(("epochs", "falling"), [(1, 0), (2, 1), (5, 1), (10, 2)])
def test_without_a_validation_the_last_epochs_fall(epochs: int, falling: int, rates: list[float]) -> None:
    make("YoutubeDNN", epochs=epochs, cooldown=0.25).fit(planted_split().train, progress=False)
    batches = len(rates) // epochs
    steps = falling * batches
    assert rates == pytest.approx([1.0] * (len(rates) - steps) + [1 - step / steps for step in range(steps)])


def test_a_time_budget_ends_cooled(rates: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that ticks with each look at it; of 100 steps before it, 25 fall."""
    ticks = itertools.count()
    monkeypatch.setattr(TimeBudget.__init__, "__kwdefaults__", {"clock": lambda: 0.01 * next(ticks)})
    make("YoutubeDNN", epochs=100_000, cooldown=0.25, minutes=0.2).fit(planted_split().train, progress=False)
    constant = rates.index(next(rate for rate in rates if rate < 1)) - 1
    steps = round(0.25 * constant)
    assert rates == pytest.approx(
        [1.0] * constant + [1 - step / steps for step in range(steps)][: len(rates) - constant]
    )
    assert rates[-1] < 0.3


def test_a_rate_that_decays_has_no_cooldown_beside(rates: list[float]) -> None:
    make("YoutubeDNN", epochs=5, cooldown=0.25, decay="linear").fit(planted_split().train, progress=False)
    assert rates == pytest.approx([1 - step / len(rates) for step in range(len(rates))])


def test_what_a_learned_q_adds_to_scores_is_of_the_best_epoch() -> None:
    model: Any = make(
        "YoutubeDNN", epochs=6, patience=2, objective="negative_sampling", sampler="learned_unigram", num_sampled=5
    )
    values, offsets = iter([0.1, 0.4, 0.3, 0.2]), list[torch.Tensor]()

    def validated(loss: ItemLoss, _: object) -> dict[str, float]:
        offset = loss.offsets()
        assert offset is not None
        offsets.append(offset.clone())
        return {"ndcg@10": next(values)}

    model._validated = validated
    model.fit(planted_split(), progress=False)
    assert not torch.equal(offsets[1], offsets[3])
    torch.testing.assert_close(model._offsets, offsets[1])


def test_validation_says_what_evaluate_says() -> None:
    model: Any = make("YoutubeDNN", epochs=2, monitor="mrr@5", exclude_seen=False).fit(planted_split(), progress=False)
    split = planted_split()
    best = max(entry["mrr@5"] for entry in model.training_log)
    assert split.validation is not None
    rows = zip(split.validation.users.tolist(), split.validation.items.tolist(), strict=True)
    found = []
    for user, target in rows:
        past = split.train.item_ids.keys[split.train.items[split.train.users == user]].tolist()
        ranked = model.recommend(model.user_ids[user], 5, histories=past, exclude_seen=False).items.tolist()
        wanted = model.item_ids[target]
        found.append(1 / (1 + ranked.index(wanted)) if wanted in ranked else 0.0)
    assert best == pytest.approx(np.mean(found))


def test_a_loss_that_is_not_a_number_does_not_reach_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    forward, calls = ItemLoss.forward, 0
    trained: list[torch.nn.Module] = []  # a fit that fails leaves none

    def spoiled(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        trained.append(arguments[1])
        return forward(*arguments) * (math.inf if calls == 5 else 1.0)

    monkeypatch.setattr(ItemLoss, "forward", spoiled)
    model: Any = make("YoutubeDNN")
    with pytest.raises(FloatingPointError, match="epoch 1, batch 5: the loss is inf"):
        model.fit(planted_split().train, progress=False)
    assert all(bool(value.isfinite().all()) for value in trained[-1].parameters())


def test_validation_every_other_epoch() -> None:
    model: Any = make("YoutubeDNN", epochs=5, validate_every=2).fit(planted_split(), progress=False)
    assert ["ndcg@10" in entry for entry in model.training_log] == [False, True, False, True, True]


def test_without_validation_all_epochs_are_trained() -> None:
    model: Any = make("YoutubeDNN", epochs=3, patience=1).fit(planted_split().train, progress=False)
    assert [set(entry) for entry in model.training_log] == [{"epoch", "loss", "samples_per_second"}] * 3
    assert model.training_log[-1]["loss"] < model.training_log[0]["loss"]


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    model: Any = make("YoutubeDNN", epochs=4)

    def poison(step: int) -> None:
        if step == 7:
            with torch.no_grad():
                model.model.items.weight.fill_(math.nan)

    model._on_batch = poison
    with pytest.raises(FloatingPointError, match=r"lr: training diverged in epoch 1, .*(not finite|is nan)"):
        model.fit(planted_split().train, checkpoint=tmp_path, checkpoint_minutes=0.0, progress=False)
    assert (tmp_path / FILE).exists()
    fresh: Any = make("YoutubeDNN", epochs=4)
    fresh.fit(planted_split().train, checkpoint=tmp_path, resume=True, progress=False)
    whole = make("YoutubeDNN", epochs=4).fit(planted_split().train, progress=False)
    assert (fresh.item_vectors == whole.item_vectors).all()


def test_an_absurd_rate_diverges_with_a_clear_error() -> None:
    with pytest.raises(FloatingPointError, match="lr: training diverged"):
        make("YoutubeDNN", lr=1e30).fit(planted_split().train, progress=False)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [("constant", [0.25, 1, 1, 1]), ("linear", [0.25, 1, 0.5, 0.1]), ("cosine", [0.25, 1, 0.5, 0.1])],
)
def test_schedules(decay: str, expected: list[float]) -> None:
    schedule = Schedule(decay, warmup=4, steps=14, floor=0.1)
    assert [schedule.factor(step) for step in (0, 4, 9, 14)] == pytest.approx(expected)


def test_the_average_is_lent_and_given_back() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(layer, 0.5)
    values = [float(layer.weight.detach())]
    mean = values[0]
    for step in range(1, 5):
        with torch.no_grad():
            layer.weight += 1
        values.append(float(layer.weight.detach()))
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * values[-1]
    with average.lent():
        assert float(layer.weight.detach()) == pytest.approx(mean, rel=1e-5)
    assert float(layer.weight.detach()) == pytest.approx(values[-1])


def test_an_average_of_a_large_table_takes_every_nth_step_and_looks_back_as_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A weight that goes from 0 to 1 at step 3,000: what is left of 0 in the average decays from there on.
    monkeypatch.setattr("logq.training.schedule.CHEAP", 100)
    table = torch.nn.Embedding(100, 40)
    few, many = WeightAverage(table, 0.99, [table.weight]), WeightAverage(table, 0.99)
    assert (few.every, many.every) == (10, 1)
    with torch.no_grad():
        table.weight.zero_()
    for average in (few, many):
        average.values[0].zero_()
    moves: list[int] = []
    for step in range(3300):
        if step == 3000:
            with torch.no_grad():
                table.weight.fill_(1.0)
        before = few.values[0][0, 0].item()
        few.update()
        many.update()
        if few.values[0][0, 0].item() != before:
            moves.append(step)
        if step > 3000 and step % 10 == 9:
            torch.testing.assert_close(few.values[0], many.values[0], rtol=1e-4, atol=1e-5)
    assert moves == list(range(3009, 3300, 10))
    assert few.values[0][0, 0].item() == pytest.approx(1 - 0.99**300, rel=1e-4)


def test_weight_decay_leaves_biases_alone() -> None:
    layer = torch.nn.Linear(2, 2)
    optimizers = Optimizers(layer, [], lr=0.1, weight_decay=0.5)
    groups = optimizers.all[0].param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.5), (1, 0.0)]


def test_sparse_and_dense_tables_are_trained_alike_where_every_row_is_touched() -> None:
    """All examples are one batch: a smaller last one would leave rows of the history table to the dense Adam alone."""
    changes: dict[str, Any] = {"epochs": 10, "sampler": "uniform", "num_sampled": 200, "batch_size": 10_000}
    one = make("YoutubeDNN", sparse=False, **changes).fit(planted_split().train, progress=False)
    other = make("YoutubeDNN", sparse=True, **changes).fit(planted_split().train, progress=False)
    np.testing.assert_allclose(one.item_vectors, other.item_vectors, atol=1e-5)


def test_the_progress_line_has_rate_loss_and_metric(capsys: pytest.CaptureFixture[str]) -> None:
    make("YoutubeDNN", epochs=2).fit(planted_split(), progress=True)
    line = capsys.readouterr().err
    for word in ("YoutubeDNN", "samples/s", "loss", "ndcg@10"):
        assert word in line


def test_on_a_device_that_is_not_waited_for_the_first_losses_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU: the losses of 32 batches are read at a time, but not the first ones, of which the line would know none."""

    def asynchronous(self: Loop, *args: Any, **options: Any) -> None:
        constructed(self, *args, **options)
        self._every = 32

    shown: list[float] = []
    read: list[int] = []
    constructed, take, advance = Loop.__init__, Loop._take_losses, Progress.advance
    monkeypatch.setattr(Loop, "__init__", asynchronous)
    monkeypatch.setattr(
        Loop, "_take_losses", lambda self, running: (read.append(len(self._pending)), take(self, running))
    )
    monkeypatch.setattr(
        Progress,
        "advance",
        lambda self, amount, **fields: (shown.append(fields.get("loss", 1.0)), advance(self, amount)),
    )
    model: Any = make("YoutubeDNN", epochs=2, batch_size=4, validate_every=2).fit(planted_split(), progress=False)
    assert read[:5] == [1, 2, 4, 8, 16]
    assert max(read) == 32
    assert all(loss > 0 for loss in shown)
    monkeypatch.setattr(Loop, "__init__", constructed)
    same: Any = make("YoutubeDNN", epochs=2, batch_size=4, validate_every=2).fit(planted_split(), progress=False)
    for one, other in zip(model.training_log, same.training_log, strict=True):
        assert one["loss"] == pytest.approx(other["loss"])


@pytest.mark.parametrize("agreed", [True, False])
def test_a_stop_that_processes_did_not_agree_on_saves_nothing(
    agreed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of several processes is made by all of them, and the others are in a step."""
    monkeypatch.setattr(Alone, "may_save", agreed)
    model: Any = make("YoutubeDNN", epochs=2)

    def stop(step: int) -> None:
        raise KeyboardInterrupt

    model._on_batch = stop
    with pytest.raises(KeyboardInterrupt):
        model.fit(planted_split(), progress=False, checkpoint=tmp_path)
    assert (tmp_path / FILE).exists() == agreed


def test_a_running_mean_of_nothing_is_not_a_number_and_no_divergence() -> None:
    running = RunningMean()
    running.add(0.0, 0)
    assert math.isnan(running.recent)
    assert not running.has_diverged(1.0)
    running.add(math.nan, 3)
    assert running.has_diverged(1.0)


def test_names_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="decay: expected one of constant, linear, cosine, got 'steps'"):
        Schedule("steps")
    with pytest.raises(ValueError, match=r"precision: expected one of float32, .*, got 'fp8'"):
        Device("cpu", "fp8")
    with pytest.raises(TypeError, match="device: expected the name of a device, such as 'cpu' or 'cuda', got 5"):
        make("YoutubeDNN", device=5)
    model: Any = make("YoutubeDNN", epochs=1)
    model._validated = lambda *_: {"mrr@5": 0.5}
    with pytest.raises(ValueError, match=r"monitor: expected one of mrr@5, got 'ndcg@10'"):
        model.fit(planted_split(), progress=False)


def test_weights_that_are_not_finite_at_the_end_of_an_epoch_are_named() -> None:
    module = torch.nn.Linear(2, 1)
    with torch.no_grad():
        module.weight[0, 1] = math.inf
    with pytest.raises(FloatingPointError, match=r"lr: training diverged in epoch 3, weight is not finite any more"):
        Problems(lr=0.5).check_weights(module, 3)
