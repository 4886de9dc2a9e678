"""Every recommender trains from a prepared log as from the same log in memory: the same bits, or in the same way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq import recommenders
from logq.logs import Interactions, leave_one_out, mapped_arrays, prepare
from logq.recommenders.neural import next_item_task
from recommender_cases import BASELINES, NEURAL, SKIP_GRAM, planted_log

pytest.importorskip("duckdb")

CASES = {**NEURAL, **SKIP_GRAM, **BASELINES}
FEW_EPOCHS: dict[str, Any] = {"epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted log as text, and prepared as one partition and as several."""
    home: Path = tmp_path_factory.mktemp("log")
    log = planted_log()
    users, items = log.user_ids.keys_of(log.users).tolist(), log.item_ids.keys_of(log.items).tolist()
    rows = "".join(f"{user},{item},{time}\n" for time, (user, item) in enumerate(zip(users, items, strict=True)))
    (home / "log.csv").write_text("user,item,time\n" + rows)
    for partitions in (1, 5):
        prepare(home / "log.csv", home / f"parts-{partitions}", partitions=partitions, progress=False)
    return home


def fitted(name: str, log: Interactions, **changes: Any) -> Any:
    arguments = CASES[name] | {"seed": 7} if "seed" in getattr(recommenders, name).options() else CASES[name]
    return getattr(recommenders, name)(**{**arguments, **changes}).fit(leave_one_out(log), progress=False)


@pytest.mark.parametrize("name", CASES)
def test_learns_the_same_bits(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_arrays, "_FEW", 0)  # selections are mapped, too
    few = {} if name in BASELINES and name != "ALS" else FEW_EPOCHS
    ours = fitted(name, Interactions.open(folder / "parts-1"), **few)
    theirs = fitted(name, Interactions.from_csv(folder / "log.csv"), **few)
    for one, other in ((ours.state(), theirs.state()), (ours._kept()[1], theirs._kept()[1])):
        assert one.keys() == other.keys()
        for key, array in one.items():
            np.testing.assert_array_equal(array, other[key], err_msg=key)


def test_is_saved_and_answers(folder: Path, tmp_path: Path) -> None:
    log = Interactions.open(folder / "parts-5")
    model = recommenders.EASE(regularization=2.0).fit(log, progress=False)
    model.save(tmp_path)
    again = recommenders.EASE.load(tmp_path)
    users = log.user_ids.keys[:5].tolist()
    assert model.recommend(users, k=3).items.tolist() == again.recommend(users, k=3).items.tolist()


@pytest.mark.parametrize("name", ["EASE", "Popularity", "SessionKNN"])
def test_partitions_change_nothing_that_counts(name: str, folder: Path) -> None:
    """What is learned does not depend on the order of users."""
    models = [fitted(name, Interactions.open(folder / f"parts-{partitions}")) for partitions in (1, 5)]
    users = models[0].known.user_ids.keys.tolist()
    one, other = (model.recommend(users, k=5) for model in models)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)


def test_learns_as_much_in_the_order_of_large_logs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Interactions.open(folder / "parts-5")
    rates: list[float] = []
    for buffer in (1 << 20, 64):
        monkeypatch.setattr(next_item_task, "BUFFER", buffer)
        found = [
            fitted("YoutubeDNN", log, seed=seed, epochs=25, lr=0.02).evaluate(leave_one_out(log).test, ks=[3])
            for seed in (1, 2, 3)
        ]
        rates.append(float(np.mean([scores["HR@3"] for scores in found])))
    assert rates[1] > 0.6
    assert abs(rates[0] - rates[1]) < 0.2
