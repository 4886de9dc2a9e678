"""Automatic settings: what a fit chooses from statistics of its data, where a setting is "auto"."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from logq._progress import say

__all__ = ["AutomaticChoice", "Rules", "choose", "settle"]


class AutomaticChoice(NamedTuple):
    """A value, and why it was chosen.

    Example:
        >>> AutomaticChoice(50, "99 % of histories have at most 43 events").value
        50
    """

    value: Any
    reason: str


Rule = Callable[[Any, Any], AutomaticChoice]
"""From the statistics, and the settings that are known by then, to a choice."""

Rules = Mapping[str, Rule]
"""A rule for each setting that may be "auto", in the order in which they are applied."""


def choose(rules: Rules, statistics: Any, settings: Any, asked: frozenset[str]) -> dict[str, AutomaticChoice]:
    """Set what is "auto", each by its rule, which sees what was chosen before.

    Args:
        rules: of all settings that may be "auto".
        statistics: what the rules know of the data.
        settings: an object with the settings as attributes, which are replaced.
        asked: the names of those that are "auto".

    Returns:
        The choices made.

    Example:
        >>> class Settings:
        ...     epochs = "auto"
        >>> rules = {"epochs": lambda targets, settings: AutomaticChoice(9, f"there is {targets} target")}
        >>> choose(rules, 1, Settings, frozenset({"epochs"}))["epochs"].reason, Settings.epochs
        ('there is 1 target', 9)
    """
    found: dict[str, AutomaticChoice] = {}
    for name, rule in rules.items():
        if name in asked:
            found[name] = rule(statistics, settings)
            setattr(settings, name, found[name].value)
    return found


def settle(estimator: Any, statistics: Callable[[], Any], data: str, progress: bool | None) -> bool:
    """Replace what is "auto" in an estimator by its `rules`, keep the choices as `chosen`, and say them.

    Args:
        estimator: has `auto`, `rules` and its settings as attributes.
        statistics: gives what the rules know of the data, if there is anything to choose.
        data: what the settings are chosen for, such as "log".
        progress: of `fit`.

    Returns:
        Whether there was anything to choose.
    """
    if not estimator.auto:
        return False
    estimator.chosen = choose(estimator.rules, statistics(), estimator, estimator.auto)
    values = ", ".join(
        f"{name}={choice.value}" for name, choice in estimator.chosen.items() if choice.value is not None
    )
    say(f"{type(estimator).__name__}: settings chosen for this {data}: {values}", progress)
    return True
