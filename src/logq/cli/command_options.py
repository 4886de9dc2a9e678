"""Commands from functions: options that several share, and options that the Config of an estimator declares.

To typer each is a parameter of its own. A function declares shared ones once, as a dataclass that it takes as one
parameter; and it gets what was typed of a Config's options as one dict, under the names of the fields.
"""

import functools
import inspect
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_type_hints

import typer

from logq._arguments import BadArgumentError
from logq.cli.input_output import READS, WRITES, roles_of
from logq.cli.terminal.help import HelpfulCommand

if TYPE_CHECKING:
    from logq.training.config_fields import Option

__all__ = ["Device", "JsonOutput", "Quiet", "VectorsArgument", "make_command", "one_of", "spread", "typed_again"]

Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")]
JsonOutput: TypeAlias = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Also write all numbers to this file, as JSON; - prints only them."),
    WRITES,
]
VectorsArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="VECTORS",
        help="Folder written by `logq train word2vec`, a file of word2vec, GloVe or fastText, or - for a pipe.",
    ),
    READS,
]


def one_of(*names: str) -> Callable[[str], list[str]]:
    """Return what completes the value of an option in a shell: those of the names that begin as it was typed.

    Example:
        >>> one_of("nce", "negative_sampling", "gbce")("n")
        ['nce', 'negative_sampling']
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


Device: TypeAlias = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Device to compute on: cpu, cuda, cuda:1, ...",
        autocompletion=one_of("cpu", "cuda", "mps"),
    ),
]


def make_command(
    function: Callable[..., None],
    examples: str,
    options: "Mapping[str, Option] | None" = None,
    about: str | None = None,
) -> HelpfulCommand:
    """Make a command of a function.

    Args:
        function: its parameters are those of the command; see `spread`.
        examples: of the command, one per line.
        options: further options; the function gets those that were typed as `arguments`.
        about: help of the command; the docstring of the function unless given.

    Example:
        >>> def neighbors(words: list[str], topn: int = 10) -> None:
        ...     "Show words."
        >>> [parameter.name for parameter in make_command(neighbors, "logq neighbors tea").params]
        ['words', 'topn']
    """
    made = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    names = {"help_option_names": ["-h", "--help"]}
    taken = spread(function, options)
    made.command(cls=HelpfulCommand, epilog=examples, help=about, context_settings=names)(taken)
    command: Any = typer.main.get_command(made)
    command.roles = roles_of(taken.__annotations__)
    return command


def spread(function: Callable[..., None], options: "Mapping[str, Option] | None" = None) -> Callable[..., None]:
    """Replace parameters that are dataclasses by the fields of these, and the parameter `arguments` by `options`.

    When the command runs, the dataclasses are made of the values and given to the function, and `arguments` is a dict
    of the options that were typed: those that are not are left to the defaults of whoever declared them.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Sizes:
        ...     dim: int = 64
        ...     heads: int = 1
        >>> def command(name: str, sizes: Sizes, quiet: bool = False) -> None:
        ...     print(name, sizes)
        >>> inspect.signature(spread(command))
        <Signature (*, name: str, dim: int = 64, heads: int = 1, quiet: bool = False) -> None>
        >>> spread(command)(name="sasrec", dim=32)
        sasrec Sizes(dim=32, heads=1)
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, tuple[type[Any], list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        kind = hints[parameter.name]
        if parameter.name == "arguments" and options is not None:
            parameters += [_parameter(option) for option in options.values()]
        elif isinstance(kind, type) and is_dataclass(kind):
            inner = get_type_hints(kind, include_extras=True)
            groups[parameter.name] = (kind, [field.name for field in fields(kind)])
            for field in fields(kind):
                default = inspect.Parameter.empty if field.default is MISSING else field.default
                parameters.append(_keyword(field.name, default, inner[field.name]))
        else:
            parameters.append(_keyword(parameter.name, parameter.default, kind))

    @functools.wraps(function)
    def command(**values: Any) -> None:
        for name, (kind, names) in groups.items():
            values[name] = kind(**{inner: values.pop(inner) for inner in names if inner in values})
        if options is not None:
            typed = {name: values.pop(name, None) for name in options}
            values["arguments"] = {
                name: options[name].parse(value) for name, value in typed.items() if value not in (None, [])
            }
        function(**values)

    command.__signature__ = inspect.Signature(parameters, return_annotation=None)  # pyright: ignore
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": None}
    return command


def typed_again(group: Any) -> str:
    """What is to be typed for a dataclass of options, of which those that have their defaults are left out.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class LogOptions:
        ...     separator: Annotated[str | None, typer.Option("--sep")] = None
        ...     min_user: int = 1
        ...     numeric: list[str] | None = None
        >>> typed_again(LogOptions("; ", 1, ["price", "-age"]))
        "--sep '; ' --numeric price --numeric=-age"
    """
    kinds = get_type_hints(type(group), include_extras=True)
    words: list[str] = []
    for field in fields(group):
        value = getattr(group, field.name)
        if value == field.default:
            continue
        declared = [name for option in getattr(kinds[field.name], "__metadata__", ()) for name in _names(option)]
        flag = next((name for name in declared if name.startswith("--")), f"--{field.name.replace('_', '-')}")
        if isinstance(value, bool):
            words.append(flag)
            continue
        for one in value if isinstance(value, list) else [value]:
            text = str(one.value if isinstance(one, Enum) else one)
            words += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return shlex.join(words)


def _names(option: Any) -> list[str]:
    """The names that typer.Option was given, of which it takes the first one for a default."""
    if not isinstance(option, typer.models.OptionInfo):
        return []
    return [name for name in (option.default, *(option.param_decls or ())) if isinstance(name, str)]


def _keyword(name: str, default: Any, kind: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _parameter(option: "Option") -> inspect.Parameter:
    """The option as typer knows one: text, which `option.parse` reads, or None if it was not typed."""

    def check(value: Any) -> Any:
        # Done here, before anything is loaded or read. What it parses to may be None, so the text is what goes on.
        try:
            if value not in (None, []):
                option.parse(value)
        except BadArgumentError as error:
            raise typer.BadParameter(error.message("")) from error
        return value

    typed = typer.Option(
        *option.names,
        metavar=None if option.is_switch else option.metavar,
        help=option.text,
        show_default=option.default_text or False,
        rich_help_panel=option.help.group or None,
        hidden=option.help.hidden,
        callback=check,
        autocompletion=one_of(*option.choices) if option.choices else None,
    )
    kind: Any = bool if option.is_switch else list[str] if option.help.repeated else str
    return _keyword(option.name, None, Annotated[kind | None, typed])
