"""Settings of estimators as TOML files, which `--recipe` reads: those here, by name, or a user's own."""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from logq.cli.terminal.errors import BadInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

__all__ = ["Recipe", "read_recipe", "recipes_of"]


class Recipe(NamedTuple):
    """Settings of an estimator.

    Args:
        name: what was typed for it.
        estimator: the name of the class that it is for.
        settings: arguments of that class.
        about: a line on what it does.
        paper: where it comes from.

    Example:
        >>> read_recipe("item2vec", "Item2Vec").settings["window"]
        5
    """

    name: str
    estimator: str
    settings: dict[str, Any]
    about: str = ""
    paper: str = ""


def recipes_of(estimator: str) -> list[str]:
    """Return the names of the recipes here that are for an estimator.

    Example:
        >>> recipes_of("Item2Vec")
        ['item2vec', 'item2vec-sets']
    """
    return [recipe.name for recipe in map(_built_in, _names()) if recipe.estimator == estimator]


def read_recipe(name: str, estimator: str) -> Recipe:
    """Read a recipe.

    Args:
        name: of one that is here, or a file whose name ends in .toml.
        estimator: the name of the class that it has to be for.

    Raises:
        BadInputError: there is none, it is damaged, or it is for another estimator.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise BadInputError(f"{path}: there is no such file")
        recipe = _parsed(name, path.read_bytes())
    elif name in _names():
        recipe = _built_in(name)
    else:
        known = [*recipes_of(estimator), "a file whose name ends in .toml"]
        raise BadInputError(f"--recipe: expected {' or '.join(known)}, got {name!r}")
    if recipe.estimator != estimator:
        raise BadInputError(f"--recipe: expected settings of {estimator}, {name} has those of {recipe.estimator}")
    return recipe


def _names() -> list[str]:
    return sorted(file.name[:-5] for file in files(__name__).iterdir() if file.name.endswith(".toml"))


def _built_in(name: str) -> Recipe:
    return _parsed(name, files(__name__).joinpath(f"{name}.toml").read_bytes())


def _parsed(name: str, content: bytes) -> Recipe:
    try:
        found = tomllib.loads(content.decode())
        estimator, settings = str(found["estimator"]), dict(found["settings"])
    except KeyError as error:
        raise BadInputError(f"{name}: expected `estimator` and a table `settings`, there is no {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInputError(f"{name}: expected TOML ({error})") from error
    return Recipe(name, estimator, settings, str(found.get("about", "")), str(found.get("paper", "")))
