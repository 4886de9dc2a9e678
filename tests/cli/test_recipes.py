"""Recipes: settings in TOML files, which --recipe reads; options that are typed win."""

import pytest

from logq import recommenders
from logq.cli.recipes import read_recipe, recipes_of
from logq.cli.terminal.errors import BadInputError

BUILT_IN = {"Item2Vec": ["item2vec", "item2vec-sets"], "AirbnbEmbeddings": ["airbnb"], "EGES": ["eges"]}
COMMANDS = {"Item2Vec": "item2vec", "AirbnbEmbeddings": "airbnb", "EGES": "eges"}
ALL = [(estimator, name) for estimator, names in BUILT_IN.items() for name in names]
QUICK = ["--dim", 4, "--epochs", 1, "--seed", 1, "--quiet"]


@pytest.mark.parametrize("estimator", BUILT_IN)
def test_recipes_are_known_by_their_estimator(logq, estimator):
    assert recipes_of(estimator) == BUILT_IN[estimator]
    text = " ".join(logq("train", COMMANDS[estimator], "--help")[1].split())
    assert f"--recipe NAME Take settings from {', '.join(BUILT_IN[estimator])} or a TOML file" in text


@pytest.mark.parametrize(("estimator", "name"), ALL)
def test_recipes_are_whole(estimator, name):
    recipe = read_recipe(name, estimator)
    assert recipe.name == name
    assert recipe.settings
    assert len(recipe.about) > 10
    assert recipe.paper.startswith(("arXiv:", "KDD", "doi:"))
    made = getattr(recommenders, estimator).from_settings(recipe.settings).settings()
    assert set(recipe.settings.values()) <= set(made.values())


@pytest.mark.parametrize(("estimator", "name"), ALL)
def test_a_recipe_trains_and_what_is_typed_wins(logq, ratings, tmp_path, estimator, name):
    code, _, err = logq("train", COMMANDS[estimator], ratings, "-o", tmp_path, "--recipe", name, *QUICK)
    assert code == 0, err
    settings = recommenders.Recommender.load(tmp_path).settings()
    assert (
        settings
        == getattr(recommenders, estimator)
        .from_settings(read_recipe(name, estimator).settings, dim=4, epochs=1, seed=1)
        .settings()
    )


def test_a_recipe_of_one_s_own(logq, ratings, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('estimator = "SASRec"\n[settings]\nblocks = 1\ndim = 8\n')
    code, _, err = logq("train", "sasrec", ratings, "-o", tmp_path / "m", "--recipe", file, *QUICK)
    assert code == 0, err
    settings = recommenders.Recommender.load(tmp_path / "m").settings()
    assert (settings["blocks"], settings["dim"]) == (1, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('estimator = "EGES"\n[settings]\n', "expected settings of SASRec, {} has those of EGES"),
        ('estimator = "SASRec"\n', "{}: expected `estimator` and a table `settings`, there is no 'settings'"),
        ("blocks 2\n", "{}: expected TOML ("),
        ('estimator = "SASRec"\n[settings]\nblook = 2\n', "{}: SASRec has no setting 'blook'"),
        ('estimator = "SASRec"\n[settings]\nblocks = 0\n', "--blocks: expected an integer >= 1, got 0"),
    ],
)
def test_a_bad_recipe_is_one_line(logq, ratings, tmp_path, content, message):
    file = tmp_path / "mine.toml"
    file.write_text(content)
    code, _, err = logq("train", "sasrec", ratings, "-o", tmp_path / "m", "--recipe", file)
    assert (code, err.count("\n")) == (2, 1)
    assert message.format(file) in err


@pytest.mark.parametrize("name", ["item3vec", "../item2vec", "airbnb.tml"])
def test_unknown_recipes_are_named(name):
    with pytest.raises(BadInputError, match=r"--recipe: expected item2vec or item2vec-sets or a file .*, got '"):
        read_recipe(name, "Item2Vec")
    with pytest.raises(BadInputError, match=r"nowhere\.toml: there is no such file"):
        read_recipe("nowhere.toml", "Item2Vec")
