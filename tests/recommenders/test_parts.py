"""Histories, what is remembered of a log, baselines against loops, and devices."""

from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.evaluation.ranking_ties import tie_order
from logq.logs import Interactions
from logq.processes import world
from logq.recommenders import Histories, ItemKNN, Popularity, neighborhoods
from logq.recommenders.events.histories import gather_rows
from logq.recommenders.events.known_log import KnownLog
from logq.training.devices import Device

ROWS = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=6)


def histories_of(rows: list[list[int]]) -> Histories:
    offsets = np.cumsum([0, *map(len, rows)])
    return Histories(np.array(list(chain.from_iterable(rows)), dtype=np.int64), offsets, np.arange(len(rows)))


@given(rows=ROWS, length=st.integers(1, 7))
def test_padded_rows_are_the_last_items(rows: list[list[int]], length: int) -> None:
    padded = histories_of(rows).padded(length)
    for row, found in zip(rows, padded.tolist(), strict=True):
        last = row[-length:]
        assert found[: len(last)] == last
        assert set(found[len(last) :]) <= {-1}
    assert padded.shape[1] == max(1, min(length, max(map(len, rows))))


@given(rows=ROWS, data=st.data())
def test_parts_and_selections(rows: list[list[int]], data: Any) -> None:
    whole = histories_of(rows)
    taken = [part.items[a:b].tolist() for part in whole.parts(2) for a, b in pairwise(part.offsets)]
    assert taken == rows
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    some = whole.select(mask)
    assert some.items.tolist() == list(chain.from_iterable(row for row, keep in zip(rows, mask, strict=True) if keep))
    assert some.users.tolist() == np.flatnonzero(mask).tolist()
    order = np.array(data.draw(st.lists(st.integers(-1, len(rows) - 1), max_size=8)), dtype=np.int64)
    items, offsets = gather_rows(whole.items, whole.offsets, order)
    assert [items[a:b].tolist() for a, b in pairwise(offsets)] == [rows[row] if row >= 0 else [] for row in order]


def random_log(seed: int, users: int = 30, items: int = 15, events: int = 250) -> Interactions:
    rng = np.random.default_rng(seed)
    return Interactions.from_arrays(rng.integers(users, size=events), (items * rng.random(events) ** 2).astype(int))


@pytest.mark.parametrize("pairs", [1, 100, 1 << 22])
def test_item_knn_is_the_loop(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighborhoods, "PAIRS", pairs)
    log = random_log(3)
    model = ItemKNN(neighbors=4, shrinkage=2.0).fit(log, progress=False)
    places = tie_order(log.item_ids.keys)
    did = [set(log.users[log.items == item].tolist()) for item in range(log.num_items)]
    similar: dict[int, dict[int, float]] = {}
    for i in range(log.num_items):
        all_of = {
            j: len(did[i] & did[j]) / ((len(did[i]) * len(did[j])) ** 0.5 + 2.0)
            for j in range(log.num_items)
            if j != i and did[i] & did[j]
        }
        similar[i] = dict(sorted(all_of.items(), key=lambda pair: (-pair[1], places[pair[0]]))[:4])
    for item in range(log.num_items):
        found = model.similar_items(int(model.item_ids[item]), k=4)
        wanted = similar[item]
        assert [int(np.flatnonzero(model.item_ids == one)[0]) for one in found.items if one is not None] == list(wanted)
        np.testing.assert_allclose([s for s in found.scores if np.isfinite(s)], list(wanted.values()), rtol=1e-6)
    user = 5
    history = log.items[log.users == user].tolist()
    scores = np.zeros(log.num_items)
    for item in history:
        for other, score in similar[item].items():
            scores[other] += score
    best = model.recommend(int(model.user_ids[user]), k=log.num_items, exclude_seen=False)
    counts = log.item_counts()
    order_of = {item: (-round(scores[item], 9), -counts[item], places[item]) for item in range(log.num_items)}
    wanted_order = sorted(np.flatnonzero(scores), key=order_of.__getitem__)
    number = len(wanted_order)
    assert best.items[:number].tolist() == model.item_ids[wanted_order].tolist()
    np.testing.assert_allclose(best.scores[:number], scores[wanted_order], rtol=1e-4)
    # What is like nothing in the history comes last, the most popular first, and not in the order of codes.
    rest = [int(np.flatnonzero(model.item_ids == item)[0]) for item in best.items[number:]]
    assert (np.diff(counts[rest]) <= 0).all()
    np.testing.assert_allclose(best.scores[number:], 0, atol=2e-6)


def test_popularity_counts_users_not_events() -> None:
    log = Interactions.from_arrays([1, 1, 1, 2, 3], [5, 5, 5, 7, 7], [1, 2, 3, 4, 5])
    found = Popularity().fit(log).recommend(histories=[[]], k=2)
    assert found.items.tolist() == [[7, 5]]
    np.testing.assert_allclose(found.scores, [[2 / 3, 1 / 3]], atol=1 / 6)


def test_ties_of_popularity_are_not_in_the_order_of_codes() -> None:
    # Codes follow the counts of the whole log: in their order held-out parts would show through.
    log = Interactions.from_arrays(np.arange(50), np.arange(50))
    order = Popularity().fit(log).recommend(histories=[[]], k=50).items[0]
    assert order.tolist() != list(range(50))
    assert sorted(order.tolist()) == list(range(50))


def test_unknown_users_have_unknown_features() -> None:
    from recommender_cases import planted_log

    known = KnownLog.of(planted_log())
    assert known.features_of(np.array([-1, 0]))["country"].tolist() == [0, known.user_features.values["country"][0]]  # pyright: ignore


def test_several_processes_must_have_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="WORLD_SIZE: expected processes that have joined, got 2; "):
        world()


def test_a_device_that_is_not_here_is_named() -> None:
    with pytest.raises(ValueError, match="device: expected one that torch has here"):
        Device("cuda:77")


def test_batches_go_to_the_device_in_one_place() -> None:
    put = Device("meta").put({"history": np.zeros((2, 3), dtype=np.int64)})
    assert put["history"].device == torch.device("meta")
    array = np.arange(3)
    assert Device("cpu").put({"user": array})["user"].data_ptr() == array.ctypes.data


def test_bf16_is_on_when_asked_for() -> None:
    with Device("cpu", "bf16").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with Device("cpu", "auto").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_fit_leaves_the_generators_of_other_devices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: reached.append(f"cards {seed}"))
    state = torch.get_rng_state()
    with Device("cpu").random(7):
        first = torch.rand(3)
    assert not reached
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, torch.rand(3, generator=torch.Generator().manual_seed(7)))


def test_ids_come_in_any_container() -> None:
    known = KnownLog.of(Interactions.from_arrays([10, 20, 30], ["tea", "cup", "tea"]))
    assert sorted(known.user_codes({10, 30}).tolist()) == [0, 2]  # pyright: ignore[reportArgumentType]
    pandas = pytest.importorskip("pandas")
    series = pandas.Series([20, 99], index=[7, 9])
    with pytest.raises(ValueError, match="users: expected ids of the log, got 99 at position 1"):
        known.user_codes(series)
    with pytest.raises(TypeError, match=r"^users: expected integers, as the ids of this log are, got 'ann'"):
        known.user_codes(["ann"])
    with pytest.raises(TypeError, match=r"^histories: expected strings, as the ids of this log are, got 5"):
        known.given([[5]], None)
