"""Named set-ups, one TOML a recipe: an estimator and the settings that a paper or a validation set found for it."""

import sys
from importlib.resources import files
from typing import Any, NamedTuple

from logq._arguments import shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

__all__ = ["Recipe", "load", "names"]


class Recipe(NamedTuple):
    """A named set-up.

    Args:
        name: what it is called.
        estimator: the class in logq that it is for.
        settings: arguments of that class.
        about: a line on what it does.
        paper: where it comes from.

    Example:
        >>> load("item2vec").estimator
        'Item2Vec'
    """

    name: str
    estimator: str
    settings: dict[str, Any]
    about: str
    paper: str


def names() -> list[str]:
    """Return the names of all recipes.

    Example:
        >>> "item2vec" in names()
        True
    """
    return sorted(file.name[:-5] for file in files(__name__).iterdir() if file.name.endswith(".toml"))


def load(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: one of `names()`.

    Returns:
        The estimator and its settings, a dict of its own: `logq.Item2Vec(**load("item2vec").settings)`.

    Raises:
        ValueError: there is no such recipe.

    Example:
        >>> load("item2vec").settings["window"]
        5
    """
    if not isinstance(name, str) or name not in names():
        raise ValueError(f"name: expected one of {', '.join(names())}, got {shown(name)}")
    text = files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    return Recipe(name, found["estimator"], found["settings"], found["about"], found["paper"])
