"""What an evaluation asks for: what is new to the model, and can be found; and how equal scores are ranked."""

import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from logq.logs import Interactions, Split, leave_one_out
from logq.recommenders import ItemKNN, Popularity, Recommender, SASRec, YoutubeDNN
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.ranking.ranker import EvaluationWarning
from logq.recommenders.ranking.validation_test import validation_test
from recommender_cases import ALL, BASELINES, fitted, make, planted_log, planted_split


def events(log: Interactions, rows: Any) -> tuple[list[Any], list[Any], list[Any]]:
    times = [None] * len(log) if log.timestamps is None else log.timestamps.tolist()
    users, items = log.user_ids.keys[log.users].tolist(), log.item_ids.keys[log.items].tolist()
    return tuple([column[row] for row in rows] for column in (users, items, times))  # pyright: ignore


def parts_of_a_log(timed: bool) -> tuple[Interactions, Interactions, Interactions]:
    """What a model is fitted with, what came later, and both."""
    split = leave_one_out(planted_log(), validation=False)
    old, new = np.flatnonzero(split.rows("train")), np.flatnonzero(split.rows("test"))
    found: list[Interactions] = []
    for rows in (old, new, np.concatenate([old, new])):
        users, items, times = events(split.log, rows.tolist())
        found.append(Interactions.from_arrays(users, items, times if timed else None))
    return found[0], found[1], found[2]


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("name", ["Popularity", "ItemKNN", "YoutubeDNN"])
def test_a_log_that_grew_is_measured_on_what_is_new_in_it(name: str, exclude_seen: bool, timed: bool) -> None:
    small, later, grown = parts_of_a_log(timed)
    model = make(name, **({"epochs": 2} if name == "YoutubeDNN" else {})).fit(small, progress=False)
    one, other = (model.evaluate(log, ks=(3,), exclude_seen=exclude_seen, progress=False) for log in (later, grown))
    assert dict(one.values) == dict(other.values)
    assert (one.known_events, other.known_events) == (0, len(small))
    assert one.users == other.users
    assert f"{len(small):,} events that the model knew already do not count" in str(other)
    assert other.to_json()["known_events"] == len(small)


def test_users_that_are_new_in_a_grown_log_change_nothing() -> None:
    small, later, grown = parts_of_a_log(True)
    users, items, times = events(grown, range(len(grown)))
    whole = Interactions.from_arrays(users + ["new"] * 5, items + items[:5], times + times[:5])
    model = Popularity().fit(small)
    found = model.evaluate(whole, ks=(3,), progress=False)
    assert dict(found.values) == dict(model.evaluate(later, ks=(3,), progress=False).values)
    assert found.about["unknown_users"] == 1


def test_a_repeat_at_another_time_is_new_and_can_only_be_found_where_seen_items_are_ranked() -> None:
    model = Popularity().fit(Interactions.from_arrays(["a", "a", "b"], ["x", "y", "x"], [1, 2, 1]))
    again = Interactions.from_arrays(["a", "a", "b", "b"], ["x", "x", "x", "y"], [1, 9, 1, 9])
    found = model.evaluate(again, ks=(1,), exclude_seen=False, progress=False)
    assert (found.known_events, found.already_had, found.users) == (2, 1, 2)
    with pytest.warns(EvaluationWarning, match=r"50\.0 % of the 2 events .*exclude_seen=False \(--keep-seen\) ranks"):
        found = model.evaluate(again, ks=(1,), progress=False)
    assert (found.known_events, found.already_had, found.users) == (2, 1, 1)
    assert found["HR@1"] == 1, "b has x, so that y is what is left"


@pytest.mark.parametrize("seed", range(20))
def test_known_events_are_a_multiset_of_user_item_and_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours = [rng.integers(0, high, 25) for high in (3, 3, 4)]
    theirs = [rng.integers(0, high, 30) for high in (4, 4, 4)]
    ours[1][:2], theirs[1][:2] = [0, 1], [1, 0]
    log = Interactions.from_arrays(*theirs)
    left, expected = Counter(zip(*(column.tolist() for column in ours), strict=True)), []
    for event in zip(*events(log, range(len(log))), strict=True):
        expected.append(left[event] > 0)
        left[event] -= expected[-1]
    assert KnownLog.of(Interactions.from_arrays(*ours)).knows(log).tolist() == expected


def test_without_times_the_whole_past_of_a_user_is_known_or_nothing() -> None:
    known = KnownLog.of(Interactions.from_arrays(["a", "a", "b", "c"], [1, 2, 1, 2]))
    log = Interactions.from_arrays(["z", "a", "a", "a", "b", "c", "c"], [1, 1, 2, 1, 2, 2, 1])
    assert known.knows(log).tolist() == [False, True, True, False, False, True, False]
    assert not KnownLog.of(planted_split().train).knows(log.select(log.users < 0)).any()


def test_a_log_of_nothing_new_cannot_be_a_test() -> None:
    log = planted_log()
    with pytest.raises(ValueError, match=r"data: .* none \(\d+ known events\); hold out a part of the log before"):
        Popularity().fit(log).evaluate(log)


def test_a_model_that_was_fitted_with_the_test_of_a_split_is_told_of() -> None:
    split = planted_split()
    with pytest.warns(EvaluationWarning, match=f"{len(split.test)} of {len(split.test)} events of the test are among"):
        Popularity().fit(planted_log()).evaluate(split, ks=(3,), progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Popularity().fit(split).evaluate(split, ks=(3,), progress=False)


def songs() -> Interactions:
    """A hundred users who play one song each over and over; two of them find another one in the end."""
    rows = [(user, f"song {user % 3}", step) for user in range(100) for step in range(4)]
    rows += [(7, "song 2", 10), (8, "song 0", 10)]
    users, items, times = zip(*rows, strict=True)
    return Interactions.from_arrays(users, items, times)


def test_items_that_a_user_had_do_not_count_where_rankings_leave_them_out() -> None:
    split = leave_one_out(songs())
    model = ItemKNN().fit(split)
    with pytest.warns(EvaluationWarning, match=r"98\.0 % of the 100 events"):
        found = model.evaluate(split, ks=(2,), progress=False)
    assert (found.already_had, found.users, found.left_out) == (98, 2, 98)
    assert found["HR@2"] == 1
    assert "98 events of items that their users had before do not count" in str(found)
    kept = model.evaluate(split, ks=(3,), exclude_seen=False, progress=False)
    assert (kept.already_had, kept.users) == (98, 100)
    assert kept["HR@3"] > 0.97


def test_early_stopping_looks_at_what_can_be_found() -> None:
    log = songs()
    split = leave_one_out(log)
    model = YoutubeDNN(dim=4, epochs=1, num_sampled=2, seed=1, monitor="hr@3")
    with pytest.warns(EvaluationWarning, match=r"validation: only 0 of 100 events are of items that are new"):
        model.fit(split, progress=False)
    assert model.training_log[0]["hr@3"] == 1, "there are three songs"
    part = split.part.copy()
    rows = np.flatnonzero((log.users == log.user_ids.codes([7])[0]) | (log.users == log.user_ids.codes([8])[0]))
    part[rows[[4, 9]]] = 1  # the other song is in the validation of the two
    with pytest.warns(EvaluationWarning, match=r"validation: only 2 of 102 events are of items that are new"):
        model.fit(Split(log, part, split.how), progress=False)
    assert model.training_log[0]["hr@3"] == 1


@pytest.mark.parametrize(("new", "excludes"), [(100, True), (99, False), (60, False), (61, False)])
def test_a_hundred_new_items_are_enough_to_choose_by(new: int, excludes: bool) -> None:
    rows = [(user, user % 7, 0) for user in range(new + 300)]
    rows += [(user, (user + (user < new)) % 7, 1) for user in range(new + 300)]
    users, items, times = zip(*rows, strict=True)
    log = Interactions.from_arrays(users, items, times)
    part = np.asarray(log.timestamps).astype(np.int8)
    split = Split(log, part, {"by": "time", "test": 2, "validation": 1})
    model = Popularity().fit(log.select(part == 0))
    with pytest.warns(EvaluationWarning, match="validation: "):
        test = validation_test(model, log.select(part == 1), split.history("validation"), exclude_seen=True)
    assert test.exclude_seen == excludes
    assert len(test.relevant[0]) == (new if excludes else new + 300)


def test_few_events_are_enough_where_most_of_them_are_new() -> None:
    log = Interactions.from_arrays([1, 2, 3], [5, 6, 7], [1, 1, 1])
    later = Interactions.from_arrays([1, 2], [6, 6], [2, 2], user_ids=log.user_ids, item_ids=log.item_ids)
    with pytest.warns(EvaluationWarning, match=r"validation: 50\.0 % of the 2 events"):
        assert validation_test(Popularity().fit(log), later, log, exclude_seen=True).exclude_seen


# ---------------------------------------------------------------------------------------------------------------- ties


def zipf_split() -> Split:
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 301)
    items = np.concatenate([rng.choice(300, 4000, p=shares / shares.sum()), np.arange(300)])
    return leave_one_out(Interactions.from_arrays(np.arange(4300) % 400, items, np.arange(4300)))


def test_a_model_that_knows_nothing_scores_as_chance_does() -> None:
    split = zipf_split()
    model = YoutubeDNN(dim=4, hidden=(4,), epochs=1, seed=1, num_sampled=4, patience=None)
    model.fit(split.train, progress=False)
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.zero_()
    model._indexes = {}
    popular = Popularity().fit(split).evaluate(split, ks=(10,), exclude_seen=False, progress=False)["NDCG@10"]
    found = model.evaluate(split, ks=(10,), exclude_seen=False, progress=False)
    chance = (1 / np.log2(np.arange(2, 12))).sum() / 300
    assert found["NDCG@10"] < popular / 3
    expected = model.evaluate(split, ks=(10,), exclude_seen=False, ties="expected", progress=False)
    assert expected["NDCG@10"] == pytest.approx(chance)
    assert expected["HR@10"] == pytest.approx(10 / 300)
    assert expected.about["ties"] == "expected"
    with pytest.raises(ValueError, match="ties: expected 'random' or 'expected', got 'lower'"):
        model.evaluate(split, ties="lower")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ALL)
def test_without_ties_the_expected_metrics_are_the_plain_ones(name: str) -> None:
    model, split = fitted(name), planted_split()
    one, other = (model.evaluate(split, ks=(2, 5), ties=ties, progress=False) for ties in ("random", "expected"))  # pyright: ignore
    for metric, value in one.values.items():
        assert other[metric] == pytest.approx(value, abs=0.02 if name in BASELINES else 1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_break_ties_without_looking_at_the_test(name: str) -> None:
    # Items that equally many did in train, and that the test has more or less often: codes are in the order of both.
    users = np.repeat(np.arange(400), 2)
    items = np.stack([np.arange(400) % 40, np.minimum(np.arange(400) // 40 * 0 + np.arange(400) % 7, 39)], 1).ravel()
    split = leave_one_out(Interactions.from_arrays(users, items, np.arange(800)), validation=False)
    model: Recommender = make(name).fit(split.train, progress=False)
    codes = model.known.item_ids.codes(model.recommend(histories=[[39]], k=39).items[0])
    assert abs(np.corrcoef(codes, np.arange(39))[0, 1]) < 0.5


def test_sasrec_is_measured_where_the_history_has_the_target() -> None:
    split = leave_one_out(Interactions.from_sessions([["a", "b", "a", "c"], ["b", "c", "b", "a"]] * 10))
    model = SASRec(dim=4, epochs=1, num_sampled=2, seed=1, exclude_seen=False).fit(split, progress=False)
    assert model.evaluate(split, ks=(1,), exclude_seen=False, progress=False).already_had == 0


def test_an_event_that_comes_again_at_the_same_time_is_new_beyond_what_is_remembered() -> None:
    def log_of(times: list[int]) -> Interactions:
        return Interactions.from_arrays(
            ["ann"] * len(times), ["tea", "cup"] + ["tea"] * (len(times) - 2), times, deduplicate=None
        )

    once, thrice = log_of([1, 2]), log_of([1, 2, 1, 1])
    assert KnownLog.of(once).knows(thrice).tolist() == [True, False, False, True]
    assert KnownLog.of(thrice).knows(once).tolist() == [True, True]
    assert KnownLog.of(log_of([1, 2, 1])).knows(thrice).tolist() == [True, True, False, True]
