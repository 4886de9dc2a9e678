"""Options that several commands share: a dataclass declares them once, and a command takes it as one parameter."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

__all__ = ["spread"]


def spread(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function some of whose parameters are dataclasses of options.

    To typer each field of such a dataclass is a parameter of its own; when the command runs, the dataclass is made of
    the values and given to the function. A dataclass derived from another can change defaults and add options.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Sizes:
        ...     dim: int = 64
        ...     heads: int = 1
        >>> @spread
        ... def command(name: str, sizes: Sizes, quiet: bool = False) -> None:
        ...     print(name, sizes)
        >>> inspect.signature(command)
        <Signature (*, name: str, dim: int = 64, heads: int = 1, quiet: bool = False) -> None>
        >>> command(name="sasrec", dim=32)
        sasrec Sizes(dim=32, heads=1)
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, tuple[type[Any], list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        kind = hints[parameter.name]
        if not (isinstance(kind, type) and is_dataclass(kind)):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind))
            continue
        inner = get_type_hints(kind, include_extras=True)
        groups[parameter.name] = (kind, [field.name for field in fields(kind)])
        for field in fields(kind):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            parameters.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=inner[field.name]
                )
            )

    @functools.wraps(function)
    def command(**values: Any) -> None:
        for name, (kind, names) in groups.items():
            values[name] = kind(**{inner: values.pop(inner) for inner in names if inner in values})
        function(**values)

    command.__signature__ = inspect.Signature(parameters, return_annotation=None)  # pyright: ignore
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": None}
    return command
