"""Histories that are cropped and masked in training, beside a loop over lists."""

import numpy as np
import pytest
import torch

from frequencies import SEED, assert_frequencies, assert_mean
from logq._arguments import ArgumentError
from logq.logs import Interactions, NextItems, Sequences, epoch_batches
from logq.recommenders import MIND, SDM, AirbnbEmbeddings, SASRec, TwoTower, YoutubeDNN
from logq.recommenders.events.augmentation import Augmentation
from logq.recommenders.events.target_events import TargetEvents, target_counts
from logq.training.loop import Loop


def a_log(users: int = 30, longest: int = 9) -> Interactions:
    random = np.random.default_rng(SEED)
    lengths = random.integers(1, longest, users)
    items = np.concatenate([random.permutation(15)[:length] for length in lengths])
    times = np.cumsum(random.integers(1, 9, len(items)))
    return Interactions.from_arrays(np.repeat(np.arange(users), lengths), items, times)


LOG = a_log()
EXAMPLES = {
    "next items": lambda: NextItems(LOG, 5, times=True),
    "windows": lambda: Sequences(LOG, 4, times=True),
    "windows that overlap": lambda: Sequences(LOG, 4, overlap=2),
    "padded": lambda: Sequences(LOG, 6, pad=True),
}


def batch_of(examples):
    return examples.batch(np.arange(len(examples)))


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("options", [{"crop": 0.7}, {"mask": 0.4}, {"crop": 0.5, "mask": 0.3}, {"mask": 0.99}], ids=str)
def test_what_stays_is_that_of_a_loop_over_lists(kind, options):
    """Each item that stays is followed by what followed it in the log, whatever became of that."""
    batch = batch_of(EXAMPLES[kind]())
    changed = Augmentation(**options, seed=SEED).of(batch, epoch=2)
    assert {name: values.shape for name, values in changed.items()} == {n: v.shape for n, v in batch.items()}
    assert {name: values.dtype for name, values in changed.items()} == {n: v.dtype for n, v in batch.items()}
    np.testing.assert_array_equal(changed["user"], batch["user"])
    left_out = 0
    for row, user in enumerate(batch["user"].tolist()):
        before = [item for item in batch["history"][row].tolist() if item >= 0]
        now = [item for item in changed["history"][row].tolist() if item >= 0]
        width = batch["history"].shape[1]
        assert changed["history"][row].tolist() == now + [-1] * (width - len(now))
        # Nobody does the same twice, so that an item says where it stood.
        places = [before.index(item) for item in now]
        assert places == sorted(places)
        assert places
        left_out += len(before) - len(now)
        if "mask" not in options:
            assert places == list(range(len(before) - len(now), len(before)))
        for name in ("targets", "events"):
            if name in batch:
                expected = [batch[name][row, place] for place in places]
                assert changed[name][row].tolist() == expected + [-1] * (width - len(now))
        if "targets" in batch:
            for item, target, event in zip(
                now, changed["targets"][row].tolist(), changed["events"][row].tolist(), strict=False
            ):
                if target >= 0:
                    assert (LOG.users[event - 1], LOG.items[event - 1], LOG.items[event]) == (user, item, target)
        else:
            assert changed["target"][row] == batch["target"][row]
        if "history.time" in batch:
            times = dict(zip(LOG.items[LOG.users == user], LOG.timestamps[LOG.users == user], strict=True))
            ages = [times[now[-1]] - times[item] for item in now]
            assert changed["history.time"][row].tolist() == ages + [-1] * (width - len(now))
    assert left_out > len(LOG) / 10
    assert ("mask" in options and options["mask"] == 0.99) == bool((changed["history"][:, 1:] < 0).all())


def test_nothing_is_changed_without_it():
    batch = batch_of(EXAMPLES["windows"]())
    assert Augmentation(seed=3).of(batch, epoch=1) is batch


@pytest.mark.parametrize("kind", EXAMPLES)
def test_draws_depend_on_seed_epoch_and_event_alone(kind):
    examples, augmentation = EXAMPLES[kind](), Augmentation(0.5, 0.4, seed=7)

    def by_event(*shares, epoch=3, augmentation=augmentation):
        found = {}
        for share in shares:
            for batch in share:
                number = batch["events"].max(axis=1) if "events" in batch else batch["event"]
                changed = augmentation.of(batch, epoch)
                rows = zip(number.tolist(), changed["history"].tolist(), strict=True)
                found |= {event: [item for item in row if item >= 0] for event, row in rows}
        return found

    whole = by_event([batch_of(examples)])
    assert len(whole) == len(examples)
    assert by_event(epoch_batches(examples, 7, seed=5, bucket=2)) == whole
    ranks = [epoch_batches(examples, 3, seed=1, rank=rank, world_size=4) for rank in range(4)]
    assert by_event(*ranks) == whole
    later = by_event(epoch_batches(examples, 4, seed=1, start=2))
    assert later.items() < whole.items()
    assert by_event([batch_of(examples)], epoch=4) != whole
    assert by_event([batch_of(examples)], augmentation=Augmentation(0.5, 0.4, seed=8)) != whole


def drawn(crop: float, mask: float, length: int, rows: int = 40_000):
    """Which of the items of one long row stay, (rows, length), row r for event r."""
    history = np.tile(np.arange(length), (rows, 1))
    events = np.full((rows, length), -1)
    events[:, -1] = np.arange(rows)
    batch = {"history": history, "targets": history, "events": events}
    left = Augmentation(crop, mask, seed=SEED).of(batch, epoch=0)["history"]
    return np.stack([(left == item).any(axis=1) for item in range(length)], axis=1)


def test_starts_of_crops_are_uniform():
    kept = drawn(crop=0.6, mask=0.0, length=5)
    starts = torch.from_numpy(kept.argmax(axis=1))
    expected = torch.full((5,), 0.6 / 5)
    expected[0] += 0.4
    assert_frequencies(starts, expected)


def test_items_are_masked_independently():
    kept = torch.from_numpy(drawn(crop=0.0, mask=0.3, length=3)).long()
    patterns = kept @ torch.tensor([4, 2, 1])
    probabilities = torch.tensor([0.7 ** bin(one).count("1") * 0.3 ** (3 - bin(one).count("1")) for one in range(8)])
    probabilities[1] += probabilities[0]  # where none would be left, the last one stays
    probabilities[0] = 0
    assert_frequencies(patterns, probabilities)


@pytest.mark.parametrize(("crop", "mask"), [(0.6, 0.0), (0.0, 0.8), (0.5, 0.7), (1.0, 0.5)])
def test_chances_of_targets_are_their_frequencies(crop, mask):
    for length in (1, 2, 4):
        kept = drawn(crop, mask, length, rows=20_000)
        batch = {"history": np.array([[0] * length + [-1]]), "targets": np.zeros((1, length + 1), dtype=np.int64)}
        chances = Augmentation(crop, mask).target_chances(batch)
        assert chances is not None
        assert chances[0, -1] == 0
        assert_mean(torch.from_numpy(kept), torch.from_numpy(chances[0, :-1]))


def test_counts_of_targets_are_those_that_stay():
    """As in-batch negatives have them, whose log Q depends on how often an item is a target."""
    augmentation = Augmentation(0.8, 0.3, seed=SEED)
    for kind, future in (("windows", 1), ("windows", 2), ("next items", 1)):
        examples, events = EXAMPLES[kind](), TargetEvents(LOG, future=future)
        expected = target_counts(examples, LOG.num_items, events, augmentation)
        batch = batch_of(examples)
        seen = []
        for epoch in range(300):
            found = events.of(augmentation.of(batch, epoch))
            targets = found.get("targets", found.get("target")).reshape(-1)
            also = found["future"][found["targets"] >= 0].reshape(-1) if future > 1 else targets[:0]
            every = np.concatenate([targets, also])
            seen.append(np.bincount(every[every >= 0], minlength=LOG.num_items))
        assert_mean(torch.from_numpy(np.array(seen)), torch.from_numpy(expected))
        plain = target_counts(examples, LOG.num_items, events)
        assert (expected < plain).any() == (kind == "windows")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SASRec, {"examples": "prefixes"}),
        (SASRec, {"examples": "positions", "layer": "hstu", "time_buckets": 8}),
        *[(kind, {}) for kind in (YoutubeDNN, MIND, SDM, TwoTower)],
    ],
)
def test_models_are_trained_on_the_changed_histories(kind, options, monkeypatch):
    seen = []
    update = Loop._update

    def noted(self, arrays, count):
        seen.append({name: values.numpy().copy() for name, values in arrays.items()})
        return update(self, arrays, count)

    monkeypatch.setattr(Loop, "_update", noted)
    kind(dim=8, epochs=5, seed=3, num_sampled=4, max_length=5, crop=0.5, mask=0.3, batch_size=7, **options).fit(
        LOG, progress=False
    )
    histories = {}
    for batch in seen:
        for user, row in zip(batch["user"].tolist(), batch["history"].tolist(), strict=True):
            histories.setdefault(user, []).append([item for item in row if item >= 0])
    shorter = 0
    for user, rows in histories.items():
        past = LOG.items[LOG.users == user].tolist()
        for row in rows:
            places = [past.index(item) for item in row]
            assert places == sorted(places)
            shorter += bool(places) and places != list(range(places[0], places[0] + len(places)))
    assert shorter > 5


def test_it_is_refused_where_there_is_no_history():
    for name in ("crop", "mask"):
        with pytest.raises(ArgumentError, match=f"{name}: expected 0.0, as AirbnbEmbeddings learns from windows"):
            AirbnbEmbeddings(**{name: 0.5})
        with pytest.raises(ArgumentError, match=f"{name}: expected"):
            SASRec(**{name: 1.5})
    with pytest.raises(ArgumentError, match="mask: expected"):
        SASRec(mask=1.0)
    batch = {"history": np.zeros((2, 3), dtype=np.int64), "target": np.zeros(2, dtype=np.int64)}
    with pytest.raises(ValueError, match='crop and mask need examples whose batches have "event" or "events"'):
        Augmentation(crop=0.5).of(batch, 0)
