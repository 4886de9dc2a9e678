"""EASE, ALS and SessionKNN against regressions in float64, figures of another library, and loops."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq.logs import Interactions, leave_one_out
from logq.recommenders import ALS, EASE, SessionKNN, als, ease, neighborhoods
from recommender_cases import make


def random_log(seed: int, users: int = 30, items: int = 15, events: int = 250) -> Interactions:
    """Some items are more popular than others, some events are repeats, and times are not those of the rows."""
    rng = np.random.default_rng(seed)
    columns = rng.integers(users, size=events), (items * rng.random(events) ** 2).astype(int)
    return Interactions.from_arrays(*columns, rng.integers(1000, size=events))


def counts_of(log: Interactions) -> NDArray[np.float64]:
    """(U, C) number of events."""
    counts = np.zeros((log.num_users, log.num_items))
    np.add.at(counts, (log.users, log.items), 1)
    return counts


# --------------------------------------------------------------------------------------------------------------- EASE


def test_ease_predicts_each_item_by_a_ridge_regression_on_all_others() -> None:
    log = random_log(1)
    done = (counts_of(log) > 0).astype(np.float64)
    model = EASE(3.0).fit(log, progress=False)
    for item in range(log.num_items):
        others = np.arange(log.num_items) != item
        x = done[:, others]
        wanted = np.linalg.solve(x.T @ x + 3.0 * np.eye(x.shape[1]), x.T @ done[:, item])
        np.testing.assert_allclose(model.weights[others, item], wanted, atol=1e-6)
        assert model.weights[item, item] == 0
    assert (model.weights < 0).any(), "or the test would say nothing of signs"


@pytest.mark.parametrize("numbers", [1, 1 << 24])
def test_ease_scores_histories_by_sums_of_weights(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "SCORES", numbers)
    log = random_log(2)
    model = EASE(5.0).fit(log, progress=False)
    scores = (counts_of(log) > 0) @ model.weights
    found = model.recommend(k=log.num_items, exclude_seen=False)
    codes = log.item_ids.codes(found.items.ravel()).reshape(found.items.shape)
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, codes, axis=1), atol=1e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert (np.sort(codes, axis=1) == np.arange(log.num_items)).all()
    item = int(log.item_ids.keys[0])
    once, twice = (model.recommend(histories=[item] * times, k=5) for times in (1, 2))
    assert once.scores.tolist() == twice.scores.tolist()
    assert model.similar_items(item, k=5).scores.tolist() == once.scores.tolist()


def test_ease_refuses_logs_whose_matrix_is_too_large() -> None:
    log = random_log(3)
    message = (
        "max_items: expected at least 15, the number of items of the log, got 14; EASE would take 900 bytes, and "
        r"4.5 kB while it is fitted; leave out rare items \(min_item\), or take ItemKNN"
    )
    with pytest.raises(ValueError, match=message):
        EASE(max_items=14).fit(log)
    assert EASE(max_items=15).fit(log).is_fitted


# ---------------------------------------------------------------------------------------------------------------- ALS


class Started(ALS):
    """From vectors of items by id, and not at random."""

    start: NDArray[np.float64]

    def _start(self, num_items: int, seed: int) -> torch.Tensor:
        return torch.from_numpy(self.start[np.argsort(self.known.item_ids.keys).argsort()]).float()


def test_als_is_that_of_the_package_implicit() -> None:
    """Figures of implicit 0.7.3, whose confidence is alpha r and not 1 + alpha r, and which is given 1 + 2 r:

    AlternatingLeastSquares(factors=2, regularization=0.5, alpha=1.0, iterations=3, use_cg=False, dtype=np.float64), its
    item_factors set to those below, fit(confidence), then item_factors and recalculate_user(np.arange(4), confidence).
    """
    log = Interactions.from_arrays([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0, 1, 1, 1, 2, 0, 3, 3, 2, 3, 4, 4])
    model = Started(2, regularization=0.5, alpha=2.0, epochs=3)
    model.start = np.array([[0.1, 0.3], [-0.2, 0.1], [0.4, -0.3], [0.2, 0.2], [-0.1, 0.5]])
    model.fit(log, progress=False)
    items = [[-0.19046, 0.769814], [-0.052627, 0.771084], [0.647014, 0.237037], [0.546392, 0.455984]]
    users = [[-0.29461, 1.100693], [0.581993, 0.85858], [0.425933, 1.061739], [1.403487, 0.23682]]
    found = model.item_vectors[np.argsort(model.item_ids)]
    np.testing.assert_allclose(found, [*items, [0.627642, -0.085826]], atol=5e-6)
    np.testing.assert_allclose(model.query_vectors([0, 1, 2, 3]), users, atol=5e-6)


@pytest.mark.parametrize("numbers", [1, 50, 1 << 22])
def test_als_solves_the_regressions_of_the_paper(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(als, "NUMBERS", numbers)
    log = random_log(4)
    model = ALS(5, regularization=0.3, alpha=4.0, epochs=2, seed=1).fit(log, progress=False)
    y = model.item_vectors.astype(np.float64)
    for user, counts in enumerate(counts_of(log)):
        confidence = np.diag(1 + 4.0 * counts)
        wanted = np.linalg.solve(y.T @ confidence @ y + 0.3 * np.eye(5), y.T @ confidence @ (counts > 0))
        found = model.query_vectors(int(log.user_ids.keys[user]))[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_als_epochs_lower_the_loss() -> None:
    log = random_log(5)
    counts = counts_of(log)

    def loss(epochs: int) -> float:
        model = ALS(4, regularization=0.1, alpha=3.0, epochs=epochs, seed=1).fit(log, progress=False)
        x, y = model.query_vectors().astype(np.float64), model.item_vectors.astype(np.float64)
        squares = ((1 + 3.0 * counts) * ((counts > 0) - x @ y.T) ** 2).sum()
        return float(squares + 0.1 * ((x**2).sum() + (y**2).sum()))

    losses = [loss(epochs) for epochs in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_als_gives_a_user_whom_it_never_saw_the_vector_of_one_who_did_the_same() -> None:
    log = random_log(6)
    model = ALS(4, seed=1).fit(log, progress=False)
    user = int(log.user_ids.keys[3])
    did = log.item_ids.keys[log.items[log.users == 3]].tolist()
    np.testing.assert_array_equal(model.query_vectors(histories=[did]), model.query_vectors([user]))
    assert (model.query_vectors(histories=[[]]) == 0).all()


def test_als_is_the_same_with_the_same_seed() -> None:
    one, same, other = (ALS(4, epochs=1, seed=seed).fit(random_log(7), progress=False) for seed in (1, 1, 2))
    assert (one.item_vectors == same.item_vectors).all()
    assert not np.allclose(one.item_vectors, other.item_vectors)
    assert ALS(**{"factors": 3, "iterations": 2}).settings() == ALS(3, epochs=2).settings()


# --------------------------------------------------------------------------------------------------------- SessionKNN


Session = tuple[int, float, list[int]]  # its user, its time, its items


def cut(log: Interactions, gap: float) -> list[Session]:
    """The sessions of a log, the most recent one first."""
    found: list[Session] = []
    for user in range(log.num_users):
        rows = np.flatnonzero(log.users == user)
        assert log.timestamps is not None
        for row in rows.tolist():
            new = not found or found[-1][0] != user or log.timestamps[row] - found[-1][1] > gap
            items = [] if new else found.pop()[2]
            found.append((user, float(log.timestamps[row]), [*items, int(log.items[row])]))
    return [session for _, _, session in sorted((-session[1], -place, session) for place, session in enumerate(found))]


def scored(sessions: Sequence[Session], user: int, current: list[int], options: dict[str, Any]) -> dict[int, float]:
    """The formulas as they are written down: score by item."""
    stan = options["kind"] == "stan"
    current = current[-options["max_length"] :]
    back = {item: min(b for b, done in enumerate(reversed(current)) if done == item) for item in current}
    others = [session for session in sessions if session[0] != user and set(session[2]) & set(back)]
    others = others[: options["recent"]]
    newest = max((time for _, time, _ in others), default=0.0)
    found: list[tuple[float, Session]] = []
    for session in others:
        shared = set(session[2]) & set(back)
        if stan:
            similarity = sum(math.exp(-back[j] / options["position_decay"]) for j in shared)
            similarity /= math.sqrt(len(set(session[2])))
            if options.get("time_decay"):
                similarity *= math.exp((session[1] - newest) / options["time_decay"])
        else:
            similarity = sum((len(current) - back[j]) / len(current) for j in shared)
        found.append((similarity, session))
    found.sort(key=lambda pair: -round(pair[0], 12))  # stable: the most recent first
    scores: dict[int, float] = {}
    for similarity, (_, _, items) in found[: options["neighbors"]]:
        last = {item: p for p, item in enumerate(items)}
        star = min(set(items) & set(back), key=back.__getitem__)
        for item, position in last.items():
            weight = math.exp(-abs(position - last[star]) / options["distance_decay"]) if stan else 1.0
            scores[item] = scores.get(item, 0.0) + similarity / found[0][0] * weight
    return scores


@pytest.mark.parametrize("entries", [1, 1 << 21])
@pytest.mark.parametrize(
    "options",
    [
        {"kind": "vsknn"},
        {"kind": "vsknn", "neighbors": 3, "recent": 7, "max_length": 2},
        {"kind": "stan"},
        {"kind": "stan", "neighbors": 4, "time_decay": 100.0, "position_decay": 3.0, "distance_decay": 0.7},
        {"kind": "stan", "recent": 5, "time_decay": 0.5, "max_length": 3},
    ],
    ids=str,
)
def test_session_knn_is_the_loop(options: dict[str, Any], entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighborhoods, "ENTRIES", entries)
    log = random_log(8)
    model = SessionKNN(**options, gap=100).fit(log, progress=False)
    sessions = cut(log, 100)
    assert max(len(items) - len(set(items)) for _, _, items in sessions) > 0, "some session has an item twice"
    assert len(sessions) > 2 * log.num_users
    compared = 0
    for user in range(log.num_users):
        history = log.items[log.users == user].tolist()
        wanted = scored(sessions, user, history, {**model.settings(), **options})
        found = model.recommend(int(log.user_ids.keys[user]), k=log.num_items, exclude_seen=False)
        scores = dict(zip(log.item_ids.codes(found.items).tolist(), found.scores.tolist(), strict=True))
        assert [scores[item] for item in wanted] == pytest.approx(list(wanted.values()), rel=1e-4, abs=3e-6)
        assert all(score <= 1e-6 for item, score in scores.items() if item not in wanted)
        compared += len(wanted)
    assert compared > 3 * log.num_users


def test_items_of_session_knn_are_as_similar_as_their_sets_of_sessions() -> None:
    log = random_log(10)
    model = SessionKNN(gap=100).fit(log, progress=False)
    sets = [{s for s, (_, _, items) in enumerate(cut(log, 100)) if item in items} for item in range(log.num_items)]
    for item in range(log.num_items):
        wanted = {
            int(log.item_ids.keys[other]): len(sets[item] & sets[other]) / math.sqrt(len(sets[item]) * len(sets[other]))
            for other in range(log.num_items)
            if other != item and sets[item] & sets[other]
        }
        found = model.similar_items(int(log.item_ids.keys[item]), k=log.num_items)
        number = len(wanted)
        assert dict(zip(found.items[:number].tolist(), found.scores[:number].tolist(), strict=True)) == pytest.approx(
            wanted
        )
        assert set(found.items[number:].tolist()) <= {None}
        assert (np.diff(found.scores[:number]) <= 0).all()


def test_sessions_of_a_log_without_times_are_as_recent_as_their_place() -> None:
    log = Interactions.from_sessions([["a", "b"], ["a", "c"], ["a", "d"]])
    found = SessionKNN("stan", recent=2).fit(log).recommend(histories=["a"], k=3)
    assert found.items.tolist()[:2] in (["c", "d"], ["d", "c"])
    found = SessionKNN("stan", neighbors=1).fit(log).recommend(histories=["a"], k=1)
    assert found.items.tolist() == ["d"]
    found = SessionKNN("stan", time_decay=1.0).fit(log).recommend(histories=["a"], k=3)
    assert found.items.tolist() == ["d", "c", "b"]
    np.testing.assert_allclose(found.scores / found.scores[0], [1, math.exp(-1), math.exp(-2)], rtol=1e-4)


def test_very_old_sessions_still_have_a_score() -> None:
    users, times = ["x", "x", "y", "y"], [0, 0, 10**9, 10**9]
    log = Interactions.from_arrays(users, ["a", "b", "c", "d"], times)
    found = SessionKNN("stan", time_decay=1.0).fit(log).recommend(histories=[["a"], ["c"]], k=1)
    assert found.items.tolist() == [["b"], ["d"]]
    assert found.scores[0] == pytest.approx(found.scores[1], rel=1e-4)
    with pytest.raises(ValueError, match="gap: expected None for a log without times, got 5"):
        SessionKNN(gap=5).fit(Interactions.from_sessions([["a", "b"]]))


@pytest.mark.parametrize("name", ["EASE", "ALS"])
def test_contributions_of_events_add_up_to_the_score(name: str) -> None:
    log = random_log(9)
    model = {"EASE": EASE(3.0), "ALS": ALS(4, alpha=2.0, seed=1)}[name].fit(log, progress=False)
    keys = model.item_ids.tolist()
    history, items = [keys[2], keys[5], keys[2], keys[7]], keys[:5]
    reasons = model.explain(None, items, n=10, histories=history)
    assert reasons.measure == "contribution"
    scores = model.score(None, items, histories=history)
    np.testing.assert_allclose(np.where(np.isfinite(reasons.scores), reasons.scores, 0).sum(axis=1), scores, atol=1e-5)
    by_item = dict(zip(reasons.items[0].tolist(), reasons.scores[0].tolist(), strict=True))
    if name == "EASE":
        assert by_item[keys[5]] == pytest.approx(float(model.state()["weights"][5, 0]))
    else:  # what the vector of the user, with only this event in the sum on the right, gives
        y, counts = model.item_vectors.astype(np.float64), np.bincount([2, 5, 2, 7], minlength=len(keys))
        matrix = y.T @ np.diag(1 + 2.0 * counts) @ y + model.settings()["regularization"] * np.eye(4)
        assert by_item[keys[2]] == pytest.approx(5 * y[2] @ np.linalg.solve(matrix, y[0]), abs=1e-5)


def test_sessions_of_the_user_do_not_count_among_the_most_recent() -> None:
    log = Interactions.from_arrays(["b", "b", "a", "a", "a"], ["q", "z", "q", "q", "q"], [0, 0, 100, 200, 300])
    model = SessionKNN(recent=1, gap=10).fit(log, progress=False)
    assert model.recommend("a", k=1, exclude_seen=True).scores[0] > 0.1


def test_a_penalty_that_is_too_small_is_named() -> None:
    log = Interactions.from_sessions([["tea", "cup"], ["tea", "cup"], ["nail", "saw"]])
    for model in (ALS(8, regularization=1e-12, alpha=100.0, seed=1), EASE(1e-30)):
        with pytest.raises(ArgumentError, match="regularization: expected a larger penalty for this log, got 1e-"):
            model.fit(log, progress=False)


@pytest.mark.parametrize("name", ["EASE", "ItemKNN", "SessionKNN", "Popularity"])
def test_a_log_with_fewer_items_than_a_cutoff_is_evaluated(name):
    sessions = [["tea", "milk", "cup"], ["milk", "cup", "tea"], ["nail", "saw", "glue"], ["saw", "glue", "nail"]] * 5
    split = leave_one_out(Interactions.from_sessions(sessions))
    scores = make(name).fit(split, progress=False).evaluate(split, ks=(6, 50))
    assert scores["NDCG@50"] == scores["NDCG@6"] > 0
