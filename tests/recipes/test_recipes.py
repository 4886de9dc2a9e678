"""Every recipe can be read, and names what there is."""

import pytest

from logq import recipes


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_are_whole(name):
    recipe = recipes.load(name)
    assert recipe.name == name
    assert recipe.settings
    assert len(recipe.about) > 10
    assert recipe.paper.startswith(("arXiv:", "KDD", "doi:"))


def test_settings_are_of_the_caller():
    recipes.load("item2vec").settings["window"] = 99
    assert recipes.load("item2vec").settings["window"] != 99


@pytest.mark.parametrize("name", ["item3vec", "../item2vec", "", None, 3])
def test_unknown_recipes_are_named(name):
    with pytest.raises(ValueError, match=r"name: expected one of .*item2vec.*, got"):
        recipes.load(name)
