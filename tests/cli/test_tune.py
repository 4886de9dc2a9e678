"""`logq tune`: its options, its table, and the recipe that it writes. Needs the extra `tune`."""

import pytest

from logq.cli.app import app
from logq.estimators import ESTIMATORS, load

COMMANDS = [entry.command for entry in ESTIMATORS if entry.family == "recommender" and entry.tunable]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_is_tried(logq, command):
    code, out, _ = logq("tune", command, "--help")
    assert code == 0
    assert "Unless --search says otherwise it tries" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--search", "neighbors"], "--search: expected NAME=VALUES with the name of an option, such as lr=1e-4:1e-2"),
        (["--search", "shoes=1:2"], "--search: expected NAME=VALUES with the name of an option"),
        (["--search", "neighbors=0:9"], "--search neighbors: expected an integer >= 1, got 0"),
        (["--search", "neighbors=9:2"], "--search: expected low < high for neighbors"),
        (["--validation", "none"], "--validation: expected a part to choose settings by, got none"),
    ],
)
def test_what_is_mistyped_is_named(logq, ratings, tmp_path, words, message):
    code, _, err = logq("tune", "item-knn", ratings, "-o", tmp_path / "t", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "t").exists()


def test_minutes_and_seed_are_those_of_the_search():
    command = app.members["tune"].get_command(None, "sasrec")
    names = [parameter.name for parameter in command.params]
    assert names.count("minutes") == names.count("seed") == 1
    assert "refit" not in names


def test_the_best_settings_are_a_recipe(logq, ratings, tmp_path):
    pytest.importorskip("optuna", reason="optuna is not installed: pip install 'logq[tune]'")
    folder = tmp_path / "tuned"
    words = ["tune", "item-knn", ratings, "-o", folder, "--seed", 1, "--search", "neighbors=2,5,10", "--shrinkage", 3]
    code, out, err = logq(*words, "--trials", 3)
    assert code == 0, err
    assert "3 trials, 0 of them stopped early; measured on the last event but one of each user." in out
    assert "0, as given" in out
    assert f"--recipe {folder / 'best.toml'}" in out
    code, _, err = logq(*words, "--trials", 3)
    assert code == 2
    assert "--output: expected one without a search, got" in err
    code, out, _ = logq(*words, "--trials", 4, "--resume")
    assert (code, "4 trials" in out) == (0, True)
    code, _, err = logq("train", "item-knn", ratings, "-o", tmp_path / "m", "--recipe", folder / "best.toml", "--quiet")
    assert code == 0, err
    settings = load(tmp_path / "m").settings()
    assert settings["shrinkage"] == 3
    assert settings["neighbors"] in (2, 5, 10, 100)
