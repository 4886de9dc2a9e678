"""What a search over the settings of a recommender tries: values of each setting, as its field or a user says."""

from collections.abc import Mapping
from typing import Any

from logq._arguments import ArgumentError, BadArgumentError, Verbatim
from logq.recommenders.ranking.recommender import Recommender
from logq.training.config_fields import Option, TriedValues

__all__ = ["search_space", "suggest"]


def search_space(
    estimator: type[Recommender], given: Mapping[str, Any], search: Mapping[str, Any] | None = None
) -> dict[str, TriedValues]:
    """Which values are tried of which setting.

    Args:
        estimator: the class, whose fields say what is worth trying.
        given: settings that stay as they are.
        search: other settings or values to try, by name: a range (low, high), or a list of values; None leaves one out.

    Raises:
        ArgumentError: the estimator has no such setting, or the values are not some that it takes.

    Example:
        >>> from logq import ItemKNN
        >>> search_space(ItemKNN, {"shrinkage": 5.0}, {"neighbors": (5, 50)})
        {'neighbors': TriedValues(low=5, high=50, choices=())}
    """
    options = {name: option for name, option in estimator.options().items() if not option.help.hidden}
    found = {name: option.rules[TriedValues] for name, option in options.items() if TriedValues in option.rules}
    found = {name: values for name, values in found.items() if name not in given}
    for name, values in (search or {}).items():
        if name not in options:
            raise ArgumentError("search", f"settings of {estimator.__name__}", name)
        if values is None:
            found.pop(name, None)
        else:
            found[name] = _search_of(options[name], values)
    if not found:
        hint = f"{estimator.__name__} names none itself, search={{name: values}} (--search NAME=VALUES) does"
        raise ArgumentError("search", "at least one setting", Verbatim("none"), hint)
    return found


def _search_of(option: Option, values: Any) -> TriedValues:
    if option.many or option.type not in (int, float, bool, str):
        raise ArgumentError("search", "settings that are one number, name or switch", option.name)
    is_range = isinstance(values, tuple) and len(values) == 2 and option.type in (int, float)  # pyright: ignore[reportUnknownArgumentType]
    if not is_range and not (isinstance(values, list) and values):
        raise ArgumentError("search", f"a range (low, high) or a list of values for {option.name}", values)
    try:
        checked: list[Any] = [option.check(value) for value in values]
    except BadArgumentError as error:
        got = Verbatim(error.message(option.name))
        raise ArgumentError("search", f"values that {option.name} takes", got) from error
    if not is_range:
        return TriedValues(choices=tuple(checked))
    if not checked[0] < checked[1]:
        raise ArgumentError("search", f"low < high for {option.name}", values)
    return TriedValues(*checked)


def suggest(trial: Any, name: str, option: Option, values: TriedValues) -> Any:
    """What a trial of Optuna suggests for a setting."""
    if values.choices:
        return trial.suggest_categorical(name, list(values.choices))
    if option.type is int:
        return trial.suggest_int(name, int(values.low), int(values.high), log=values.is_logarithmic)
    return trial.suggest_float(name, float(values.low), float(values.high), log=values.is_logarithmic)
