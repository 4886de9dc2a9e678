"""Search over settings: by validation alone, continued, stopped early and within its time. Needs the extra `tune`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import logq
from logq import ItemKNN, YoutubeDNN
from logq.cli.recipes import read_recipe
from logq.logs import Split, leave_one_out
from logq.recommenders import Popularity, TwoTower, tuning
from logq.recommenders.search_space import search_space
from logq.recommenders.tuning import BEST, TRIALS, Trial, tune
from logq.training.config import TriedValues
from recommender_cases import planted_log, planted_split

QUICK: dict[str, Any] = {"dim": 8, "epochs": 4, "batch_size": 16, "num_sampled": 5, "hidden": (8,), "max_length": 2}


def test_the_space_is_what_the_fields_say() -> None:
    space = search_space(TwoTower, {"dim": 8}, {"dropout": None, "batch_size": [16, 32], "num_sampled": (5, 50)})
    assert space == {
        "lr": TriedValues(2e-4, 1e-2),
        "temperature": TriedValues(0.02, 0.2),
        "batch_size": TriedValues(choices=(16, 32)),
        "num_sampled": TriedValues(5, 50),
    }


@pytest.mark.parametrize(
    ("estimator", "search", "message"),
    [
        (YoutubeDNN, {"rate": [1]}, "search: expected settings of YoutubeDNN, got 'rate'"),
        (
            YoutubeDNN,
            {"lr": (-1.0, 1.0)},
            "search: expected values that lr takes, got lr: expected a finite",
        ),
        (YoutubeDNN, {"lr": (0.1, 0.01)}, "search: expected low < high for lr"),
        (YoutubeDNN, {"dim": 64}, r"search: expected a range \(low, high\) or a list of values for dim, got 64"),
        (YoutubeDNN, {"hidden": [8]}, "search: expected settings that are one number, name or switch, got 'hidden'"),
        (Popularity, {}, "search: expected at least one setting, got none; Popularity names none itself"),
    ],
)
def test_what_cannot_be_searched_is_named(estimator: Any, search: Mapping[str, Any], message: str) -> None:
    with pytest.raises(logq.ArgumentError, match=message):
        search_space(estimator, {}, search)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"tune needs optuna: pip install 'logq\[tune\]'"):
        tune(ItemKNN, planted_split())


def test_a_file_of_settings_says_what_is_switched_off(tmp_path: Path) -> None:
    given: dict[str, Any] = {"patience": None, "clip": None, "hidden": (8,), "sampler": None, "refit": True}
    tuning.Tuning("YoutubeDNN", "ndcg@10", given, [Trial(0, 0.1, "complete", {"lr": 0.02})]).write(tmp_path / BEST)
    settings = read_recipe(str(tmp_path / BEST), "YoutubeDNN").settings
    assert settings == {"patience": 0, "clip": 0, "hidden": [8], "refit": True, "lr": 0.02}
    assert YoutubeDNN.from_settings(settings).settings() == YoutubeDNN(**given, lr=0.02).settings()


optuna: Any = pytest.importorskip("optuna", reason="optuna is not installed: pip install 'logq[tune]'")


class Untested(Split):
    """A split whose test part nobody may look at."""

    @property
    def test(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise AssertionError("somebody looked at the test part")

    def history(self, part: Any) -> Any:
        assert part == "validation"
        return super().history(part)


def untested() -> Split:
    split = planted_split()
    return Untested(split.log, split.part, split.how)


def test_the_best_of_several_is_found_by_validation_alone(tmp_path: Path) -> None:
    # A rate that learns nothing and one that learns: what is best is known.
    found = tune(
        YoutubeDNN,
        untested(),
        trials=5,
        settings=QUICK | {"lr": 1e-6, "refit": True},
        search={"lr": [1e-6, 0.02], "dropout": None},
        seed=1,
        folder=tmp_path,
        progress=False,
    )
    assert len(found.trials) == 5
    assert found.trials[0].settings == {}
    assert found.best.settings == {"lr": 0.02}
    assert found.settings == QUICK | {"lr": 0.02, "refit": True}
    assert found.best.value is not None
    # The value is what a training with these settings says, and the file is a recipe with them.
    again: dict[str, Any] = {**found.settings, "seed": 1, "refit": False}
    model = YoutubeDNN(**again).fit(planted_split(), progress=False)
    assert found.best.value == max(entry["ndcg@10"] for entry in model.training_log)
    recipe = read_recipe(str(tmp_path / BEST), "YoutubeDNN")
    assert recipe.settings == {**found.settings, "hidden": [8]}
    assert YoutubeDNN.from_settings(recipe.settings).settings() == YoutubeDNN(**found.settings).settings()


def test_models_without_epochs_are_measured_after_the_fit() -> None:
    found = tune(ItemKNN, untested(), trials=3, seed=1, progress=False)
    assert found.trials[0].value == pytest.approx(_ndcg(ItemKNN()))
    assert found.best.value == pytest.approx(_ndcg(ItemKNN(**found.settings)))


def _ndcg(model: Any) -> float:
    split = planted_split()
    assert split.validation is not None
    model.fit(split.train, progress=False)
    found: list[float] = []
    for user, target in zip(split.validation.users.tolist(), split.validation.items.tolist(), strict=True):
        ranked = model.recommend(model.user_ids[user], 10).items.tolist()
        wanted = model.item_ids[target]
        if target not in split.train.items[split.train.users == user]:
            found.append(1 / math.log2(2 + ranked.index(wanted)) if wanted in ranked else 0.0)
    return sum(found) / len(found)


def test_a_search_is_continued_with_the_trials_that_it_had(tmp_path: Path) -> None:
    first = tune(ItemKNN, planted_split(), trials=2, seed=1, folder=tmp_path, progress=False)
    with pytest.raises(logq.ArgumentError, match=rf"folder: expected one without a search, got .*{TRIALS}"):
        tune(ItemKNN, planted_split(), trials=2, folder=tmp_path, progress=False)
    again = tune(ItemKNN, planted_split(), trials=4, seed=1, folder=tmp_path, resume=True, progress=False)
    assert list(again.trials[:2]) == list(first.trials)
    assert len({str(trial.settings) for trial in again.trials}) == 4
    with pytest.raises(logq.ArgumentError, match="split: expected the same as in the search that is continued"):
        tune(ItemKNN, leave_one_out(planted_log(seed=1)), folder=tmp_path, resume=True, progress=False)
    with pytest.raises(logq.ArgumentError, match="settings: expected the same as in the search"):
        tune(ItemKNN, planted_split(), settings={"neighbors": 3}, folder=tmp_path, resume=True, progress=False)


def test_a_search_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, calls = ItemKNN.fit, 0

    def interrupted(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return fit(self, *args, **options)

    monkeypatch.setattr(ItemKNN, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(ItemKNN, planted_split(), trials=4, seed=1, folder=tmp_path, progress=False)
    assert (tmp_path / BEST).exists()
    found = tune(ItemKNN, planted_split(), trials=4, seed=1, folder=tmp_path, resume=True, progress=False)
    assert [trial.state for trial in found.trials] == ["complete", "fail", "complete", "complete"]


def test_trials_that_fall_behind_are_stopped_and_those_that_fail_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([[0.5] * 6, [0.6] * 6, [0.7] * 6, [0.8] * 6, [0.1] * 6, [0.9] * 6, [0.4] * 6])
    fits: list[int] = []

    def fit(self: Any, split: Split, *, progress: bool, on_epoch: Any) -> Any:
        values = next(told)
        fits.append(0)
        if values[0] == 0.4:
            raise FloatingPointError("lr: training diverged")
        for epoch, value in enumerate(values, start=1):
            fits[-1] = epoch
            on_epoch({"epoch": epoch, "loss": 1.0, "ndcg@10": value})
        return self

    monkeypatch.setattr(YoutubeDNN, "fit", fit)
    found = tune(YoutubeDNN, planted_split(), trials=7, seed=1, progress=False)
    assert [trial.state for trial in found.trials] == [*["complete"] * 4, "pruned", "complete", "pruned"]
    assert fits == [6, 6, 6, 6, tuning.WHOLE_EPOCHS, 6, 0]
    assert [trial.epochs for trial in found.trials] == [6, 6, 6, 6, tuning.WHOLE_EPOCHS, 6, 0]
    assert found.trials[-1].error == "lr: training diverged"
    assert found.best.number == 5


def test_the_time_of_a_search_is_kept() -> None:
    found = tune(
        YoutubeDNN, planted_split(), trials=1000, minutes=0.05, settings=QUICK | {"epochs": 10_000}, progress=False
    )
    assert 1 <= len(found.trials) < 1000  # each would take minutes
    assert found.best in found.trials
    assert "minutes" not in found.settings


def test_settings_that_are_wrong_are_no_trial() -> None:
    with pytest.raises(logq.ArgumentError, match="split: expected a validation part to choose settings by"):
        tune(ItemKNN, leave_one_out(planted_log(), validation=False))
    with pytest.raises(logq.ArgumentTypeError, match="split: expected a Split, got"):
        tune(ItemKNN, planted_log())  # pyright: ignore[reportArgumentType]
    with pytest.raises(logq.ArgumentError, match="lr: expected a finite number > 0"):
        tune(YoutubeDNN, planted_split(), settings={"lr": -1.0})
