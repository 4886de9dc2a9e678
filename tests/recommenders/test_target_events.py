"""What each event counts as a target, and further targets behind the next item."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import recommender_cases
from logq.logs import Interactions, NextItems, Sequences
from logq.processes import World
from logq.recommenders import MIND, SASRec, YoutubeDNN
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.events.target_events import TargetEvents, target_counts
from logq.recommenders.neural.item_loss import ItemLoss
from logq.recommenders.neural.next_item_task import NextItemTask
from logq.samplers import Uniform
from logq.training.devices import Device


def a_log(seed: int = 0) -> Interactions:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 9, 12)
    users = np.repeat(np.arange(12), lengths)
    items = np.concatenate([random.permutation(15)[:length] for length in lengths])
    weights = random.integers(0, 5, len(users)).astype(float)
    return Interactions.from_arrays(users, items, np.arange(len(users)), weights, columns={"worth": weights})


LOG = a_log()
EXAMPLES = {
    "next items": lambda: NextItems(LOG, 4),
    "windows": lambda: Sequences(LOG, 4),
    "windows that overlap": lambda: Sequences(LOG, 4, overlap=2),
    "last windows, padded": lambda: Sequences(LOG, 4, last_only=True, pad=True),
}


def event_of(user: int, item: int) -> int:
    """The event of a user with an item, which is one, as nobody does the same twice."""
    (event,) = np.flatnonzero((LOG.users == user) & (LOG.items == item))
    return int(event)


def after(event: int, future: int) -> list[int]:
    """The events of a user from one on."""
    same = [row for row in range(event, len(LOG)) if LOG.users[row] == LOG.users[event]]
    return same[:future]


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("weights", ["worth", "label", None])
def test_targets_and_weights_are_those_of_a_loop(kind, weights):
    examples, future, decay = EXAMPLES[kind](), 3, 0.5
    events = TargetEvents.read(LOG, weights, future, decay)
    batch = events.of(examples.batch(np.arange(len(examples))))
    targets = batch["targets"] if "targets" in batch else batch["target"]
    counted = np.zeros(LOG.num_items, dtype=int)
    found = 0
    for at in zip(*np.nonzero(targets >= 0), strict=True):
        expected = after(event_of(batch["user"][at[0]], targets[at]), future)
        assert [targets[at], *(item for item in batch["future"][at] if item >= 0)] == LOG.items[expected].tolist()
        for step, (row, weight) in enumerate(zip(expected, batch["weight"][at], strict=False)):
            assert weight == pytest.approx((LOG.columns["worth"][row] if weights else 1) * decay**step)
            counted[LOG.items[row]] += 1
        found += 1
    assert found == (targets >= 0).sum() > 10
    assert target_counts(examples, LOG.num_items, events).tolist() == counted.tolist()
    assert "event" not in batch
    assert "events" not in batch


def a_task(model, examples, events, loss=None, batch_size=None, **options) -> NextItemTask:
    known = KnownLog.of(LOG)
    counts = target_counts(examples, LOG.num_items, events)
    loss = loss or ItemLoss("full_softmax", None)
    size = batch_size or len(examples)
    return NextItemTask(
        model, loss, examples, known, events, Device("cpu"), size, 1, num_targets=int(counts.sum()), **options
    )


def fitted(estimator: type, **options):
    return estimator(dim=8, epochs=1, seed=1, objective="full_softmax", **options).fit(LOG, progress=False).model


@pytest.mark.parametrize("kind", [*EXAMPLES, "interests"])
@pytest.mark.parametrize("padded", [False, True])
def test_the_loss_is_the_weighted_mean_of_a_loop(kind, padded, monkeypatch):
    if padded:
        for module in ("sasrec", "mind", "encoding.encoders", "neural.next_item_task"):
            monkeypatch.setattr(f"logq.recommenders.{module}.keeps_sizes", lambda _: True)
    examples = EXAMPLES["next items" if kind == "interests" else kind]()
    options = {"dropout": 0.0, "max_length": 4}
    model = fitted(SASRec, positions="start", **options) if kind != "interests" else fitted(MIND, **options)
    events = TargetEvents.read(LOG, "worth", 3, 0.7)
    task = a_task(model, examples, events)
    batch, number = next(iter(task.batches(0, 0)))
    loss = task.loss({name: torch.from_numpy(values) for name, values in batch.items()})

    total = weights = pairs = 0.0
    everything = TargetEvents(LOG).of(examples.batch(np.arange(len(examples))))
    targets = everything.get("targets", everything.get("target"))
    items = model.item_vectors().detach().double()
    for at in zip(*np.nonzero(targets >= 0), strict=True):
        history = everything["history"][at[0]]
        history = history[: at[1] + 1] if len(at) == 2 else history[history >= 0]
        for step, row in enumerate(after(event_of(everything["user"][at[0]], targets[at]), 3)):
            asked = {"history": torch.from_numpy(history)[None], "target": torch.tensor([int(LOG.items[row])])}
            query, _ = model.training_queries(asked)
            weight = LOG.columns["worth"][row] * 0.7**step
            log_p = (query.detach().double() @ items.T)[0].log_softmax(dim=0)
            total, weights, pairs = total - weight * float(log_p[LOG.items[row]]), weights + weight, pairs + 1
    assert number == pairs == task.examples
    assert float(loss.detach()) == pytest.approx(total / weights, rel=1e-5)


def test_each_target_has_a_sample_and_knows_its_history():
    examples = EXAMPLES["windows"]()
    events = TargetEvents(LOG, future=3)
    model, asked = fitted(SASRec, max_length=4, positions="start"), []

    class Noted(ItemLoss):
        def forward(self, model, queries, targets, seen=None, groups=None, weights=None, extra=None):
            asked.append((queries, targets, seen(torch.arange(LOG.num_items)), weights))
            return super().forward(model, queries, targets, seen, groups, weights, extra)

    task = a_task(model, examples, events, Noted("sampled_softmax", Uniform(LOG.num_items, 5, seed=1)), unseen=True)
    batch, number = next(iter(task.batches(0, 0)))
    task.loss({name: torch.from_numpy(values) for name, values in batch.items()})
    ((queries, targets, seen, weights),) = asked
    assert len(queries) == len(targets) == len(seen) == len(weights) == number
    # Of a permutation, what a history has is never a target that comes later.
    assert not bool(seen[torch.arange(number), targets].any())
    assert bool(seen.any())


def learned(log: Interactions, **options) -> np.ndarray:
    """P of the items after a."""
    model = YoutubeDNN(
        dim=8, hidden=(), max_length=1, objective="full_softmax", lr=0.05, epochs=60, seed=1, patience=None, **options
    ).fit(log, progress=False)
    scores = model.recommend(histories=[["a"]], k=log.num_items, exclude_seen=False)
    order = {item: math.exp(score) for item, score in zip(scores.items[0], scores.scores[0], strict=True)}
    return np.array([order[item] for item in "bcd"]) / sum(order.values())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"weights": "worth"}, [3 / 4, 1 / 4, 0]),
        ({"future": 2, "future_decay": 0.5}, [1 / 3, 1 / 3, 1 / 3]),
        ({"weights": "worth", "future": 2, "future_decay": 0.5}, [3 / 5, 1 / 5, 1 / 5]),
        ({}, [1 / 2, 1 / 2, 0]),
    ],
)
def test_what_is_learned_is_the_weighted_distribution(options, expected):
    # a is followed by b or c as often, and then by d: (a b d), (a c d).
    log = Interactions.from_arrays(
        np.repeat(np.arange(40), 3), list("abdacd") * 20, columns={"worth": [1, 3, 1, 1, 1, 1] * 20}
    )
    np.testing.assert_allclose(learned(log, **options), expected, atol=0.03)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("size", "weights: expected some of 'worth', 'device', got 'size'"),
        ("device", "weights: expected a column of numbers, got 'device', which has names"),
        ("worth", "weights: expected finite numbers >= 0 in the column 'worth', got -2.0 for item 'tea'"),
    ],
)
def test_bad_weights_are_named(column, message):
    log = Interactions.from_arrays(
        [1, 1, 2, 2], ["cup", "tea"] * 2, columns={"worth": [1.0, -2.0, 1.0, 1.0], "device": ["tv"] * 4}
    )
    with pytest.raises(ValueError, match=message):
        YoutubeDNN(dim=4, epochs=1, weights=column).fit(log, progress=False)


def test_weights_that_are_all_0_are_refused():
    log = Interactions.from_arrays([1, 1, 2, 2], ["cup", "tea"] * 2, columns={"worth": [0, 0, 0, 0]})
    with pytest.raises(ValueError, match="weights: expected a number above 0 in the column 'worth', got none"):
        SASRec(dim=4, epochs=1, weights="worth").fit(log, progress=False)


@pytest.mark.parametrize(("option", "value"), [("weights", "worth"), ("future", 2)])
@pytest.mark.parametrize("name", ["EGES", "AirbnbEmbeddings"])
def test_windows_have_no_next_items(name, option, value):
    with pytest.raises(ValueError, match=f"{option}: expected .*, as {name} learns from windows around an event"):
        recommender_cases.make(name, **{option: value})


def test_a_batch_of_no_weight_changes_nothing():
    log = Interactions.from_arrays([1, 1, 2, 2], ["a", "b"] * 2, columns={"worth": [0, 0, 0, 1]})
    model = YoutubeDNN(dim=4, epochs=2, batch_size=1, weights="worth", seed=1, num_sampled=3).fit(log, progress=False)
    assert np.isfinite(model.item_vectors).all()


@pytest.mark.parametrize(
    ("items", "shown", "expected"),
    [
        ([2**53, 2**53 + 1, 7], [7, 2**53 + 1, 7], [2, 1, 2]),  # a float has no 2^53 + 1
        ([4, 5, 7], [3.7, 5.0, math.nan], [-1, 1, -1]),
    ],
)
def test_numbers_are_extra_negatives_only_where_they_are_ids(items, shown, expected):
    log = Interactions.from_arrays([1, 1, 1], items, columns={"shown": np.array(shown)})
    events = TargetEvents.read(log, None, 1, 1.0, "shown")
    assert events.of({"event": np.arange(3)})["extra"][:, 0, 0].tolist() == expected


def test_ids_of_extra_negatives_that_are_not_in_the_log_are_counted():
    log = Interactions.from_arrays([1, 1, 1], [4, 5, 6], columns={"shown": ["4 9,4 5", None, "9,4"]})
    with pytest.warns(UserWarning, match=r"left out 2 of 4 ids in the column 'shown' .* such as '9,4'$"):
        events = TargetEvents.read(log, None, 1, 1.0, "shown")
    assert events.of({"event": np.arange(3)})["extra"].tolist() == [[[0, 1]], [[-1, -1]], [[-1, -1]]]
    log = Interactions.from_arrays([1, 1], [4, 5], columns={"shown": [None, None]})
    with pytest.raises(
        ValueError, match=r"^extra_negatives: expected ids of items in the column 'shown', got none in any"
    ):
        TargetEvents.read(log, None, 1, 1.0, "shown")


def test_a_column_without_an_id_is_no_column_of_extra_negatives():
    log = Interactions.from_arrays([1, 1], [4, 5], columns={"shown": np.array([3.7, 4.5])})
    with pytest.raises(ValueError, match=r"extra_negatives: expected ids of items, .* in the column 'shown', got 3.7"):
        TargetEvents.read(log, None, 1, 1.0, "shown")


def test_processes_learn_each_target_of_a_mapped_log_once(monkeypatch):
    """Their parts differ by an example, and the last step may have none for some of them."""
    monkeypatch.setattr("logq.recommenders.neural.next_item_task.BUFFER", 8)
    examples = NextItems(LOG, 4)
    model = fitted(YoutubeDNN)
    examples.log = replace(LOG, mapped=SimpleNamespace(release=lambda: None))
    expected, count = NextItems(LOG, 4).target_counts(), len(examples)
    for size, batch in ((1, 5), (2, 7), (2, (count + 1) // 4), (3, 4), (4, 1)):
        counted = np.zeros(LOG.num_items, dtype=np.int64)
        for rank in range(size):
            task = a_task(model, examples, TargetEvents(LOG), batch_size=batch)
            task._device.world = World(rank, size)
            for one, number in task.batches(1, 0):
                there = one["target"][one["target"] >= 0]
                assert number == len(there)
                np.add.at(counted, there, 1)
        assert counted.tolist() == expected.tolist(), (size, batch)
