"""Items that a user has already seen are not negatives."""

import numpy as np
import pytest
import torch

from logq.logs import Interactions
from logq.recommenders import SASRec, YoutubeDNN
from logq.recommenders.next_item_task import seen_before


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
    from logq.recommenders import next_item_task

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


@pytest.mark.parametrize("options", [{"objective": "full_softmax"}, {"shared_negatives": False}])
def test_a_shared_sample_is_needed(options):
    with pytest.raises(ValueError, match="unseen_negatives: expected a sample that a batch shares"):
        SASRec(unseen_negatives=True, **options)
