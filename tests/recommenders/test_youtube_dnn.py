"""What YoutubeDNN learns from: all events of a user, or at most N of them."""

from typing import Any

import numpy as np

from logq.logs import Interactions
from recommender_cases import make, planted_log


def test_very_active_users_give_no_more_examples_than_allowed() -> None:
    log = planted_log()
    model: Any = make("YoutubeDNN", max_per_user=3)
    examples = model._make_examples(log, 1)
    users = examples.batch(np.arange(len(examples)))["user"]
    events = np.bincount(log.users)
    assert np.bincount(users).tolist() == np.minimum(events - 1, 3).tolist()
    drawn, other = examples.targets, model._make_examples(log, 2).targets
    assert drawn.tolist() != other.tolist()
    every: Any = make("YoutubeDNN")
    assert len(every._make_examples(log, 1)) == len(log) - log.num_users


def test_a_user_who_did_everything_does_not_rule_the_loss() -> None:
    ones = [user for user in range(40) for _ in range(2)]
    log = Interactions.from_arrays([*ones, *[99] * 400], [*[1, 2] * 40, *[1, 3] * 200])
    options = {"epochs": 15, "num_sampled": 3, "max_length": 1}
    after_one = {
        most: make("YoutubeDNN", max_per_user=most, **options)
        .fit(log, progress=False)
        .recommend(histories=[1], k=2, exclude_seen=False)
        .items[0]
        for most in (None, 5)
    }
    assert after_one == {None: 3, 5: 2}


def test_it_is_a_setting() -> None:
    assert make("YoutubeDNN", max_per_user=7).settings()["max_per_user"] == 7
