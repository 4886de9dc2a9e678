"""Items that a user has already seen are not negatives."""

import numpy as np
import pytest
import torch

from logq.logs import Interactions
from logq.recommenders import SASRec, YoutubeDNN
from logq.recommenders.neural import item_loss
from logq.recommenders.neural.left_out import seen_before


def test_seen_before_is_what_a_loop_finds():
    random = np.random.default_rng(1)
    history = random.integers(-1, 12, (5, 7))
    ids = random.integers(0, 12, 20)
    rows, places = random.integers(0, 5, 30), random.integers(0, 8, 30)
    expected = [[bool((history[r, : p + 1] == item).any()) for item in ids] for r, p in zip(rows, places, strict=True)]
    found = seen_before(*(torch.from_numpy(array) for array in (ids, history, rows, places)))
    assert found.tolist() == expected


def test_masks_reach_the_loss_at_each_place():
    log = Interactions.from_sessions([[0, 1, 2, 3], [3, 2, 1, 0]] * 4)
    model = SASRec(dim=8, epochs=1, seed=1, num_sampled=4, unseen_negatives=True, max_length=3, batch_size=2)
    seen = []
    from logq.recommenders.neural import next_item_task

    original = next_item_task.seen_before

    def spy(ids, history, rows, places):
        had = original(ids, history, rows, places)
        seen.append((ids, history, rows, places, had))
        return had

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(next_item_task, "seen_before", spy)
        model.fit(log, progress=False)
    assert seen
    for ids, history, rows, places, had in seen:
        assert had.shape == (len(rows), len(ids))
        known = [set(history[r, : p + 1].tolist()) for r, p in zip(rows.tolist(), places.tolist(), strict=True)]
        assert had.tolist() == [[item in items for item in ids.tolist()] for items in known]


def test_what_is_seen_gets_no_gradient():
    # Two items and a target that never repeats: without negatives there is nothing to push down.
    log = Interactions.from_sessions([["a", "b"]] * 8)
    options = {"dim": 4, "epochs": 1, "seed": 1, "sampler": "every_class", "patience": None}
    fitted = YoutubeDNN(unseen_negatives=True, **options).fit(log, progress=False)
    assert fitted.training_log[0]["loss"] == 0.0
    assert YoutubeDNN(**options).fit(log, progress=False).training_log[0]["loss"] > 0.1


def test_seen_before_looks_at_the_sample_of_each_query():
    random = np.random.default_rng(2)
    history = random.integers(-1, 12, (5, 7))
    ids = random.integers(0, 12, (30, 9))
    rows, places = random.integers(0, 5, 30), random.integers(0, 8, 30)
    expected = [
        [bool((history[r, : p + 1] == item).any()) for item in its] for its, r, p in zip(ids, rows, places, strict=True)
    ]
    found = seen_before(*(torch.from_numpy(array) for array in (ids, history, rows, places)))
    assert found.tolist() == expected


@pytest.mark.parametrize(
    "options",
    [{"shared_negatives": False}, {"sampler": "in_batch"}, {"in_batch_share": 0.5}],
    ids=["own", "in the batch", "mixed"],
)
@pytest.mark.parametrize("estimator", [SASRec, YoutubeDNN])
def test_no_negative_has_been_seen(estimator, options, monkeypatch):
    log = Interactions.from_sessions([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [5, 0, 6, 1, 7]] * 4)
    asked = []

    def spy(objective, queries, table, bias, candidates, *others, **options):
        asked.append(candidates)
        return drawn_loss(objective, queries, table, bias, candidates, *others, **options)

    drawn_loss = item_loss.drawn_loss
    monkeypatch.setattr(item_loss, "drawn_loss", spy)
    seen = []

    def noted(ids, history, rows, places):
        seen.append((history, rows, places))
        return seen_before(ids, history, rows, places)

    monkeypatch.setattr("logq.recommenders.neural.next_item_task.seen_before", noted)
    estimator(dim=8, epochs=1, seed=1, unseen_negatives=True, **{"sampler": "uniform", "num_sampled": 6} | options).fit(
        log, progress=False
    )
    assert asked
    for candidates, (history, rows, places) in zip(asked, seen, strict=True):
        ids = candidates.ids.expand(len(rows), -1)
        for row, (r, p) in enumerate(zip(rows.tolist(), places.tolist(), strict=True)):
            known = set(history[r, : p + 1].tolist())
            left = [
                item for item, out in zip(ids[row].tolist(), candidates.excluded[row].tolist(), strict=True) if not out
            ]
            assert not known & set(left)


def test_losses_of_all_items_leave_none_out():
    with pytest.raises(ValueError, match="unseen_negatives: expected False, as full_softmax draws no negatives"):
        SASRec(unseen_negatives=True, objective="full_softmax")
