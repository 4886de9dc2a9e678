"""How help is printed: what the command does, examples, then its arguments and options, as wide as the terminal.

Typer's own rich help loads a Markdown parser and a syntax highlighter, which is a third of the time that help may take.
This one needs neither, and leaves out what readers skip: `<int range> [x>=1]`.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from logq._arguments import BadArgumentError
from logq.cli.terminal.console import silent
from logq.cli.terminal.errors import BadInputError, ReaderLeftError, StoppedError, describe, note, spelling, typed

if TYPE_CHECKING:
    from logq.cli.input_output import Role

__all__ = ["CommandGroup", "HelpfulCommand", "Lazy"]

_WIDEST = 100
# What is learned from comes first, options of every command come last.
_ORDER = (
    *("Arguments", "Corpus", "Log", "Model", "Objective", "Loss", "Training"),
    *("Stopping", "Checkpoints", "Options"),
)
_COLUMN = 26  # of names; longer ones push their text to a line of its own


class HelpfulCommand(TyperCommand):
    """A command whose `epilog` holds examples, one per line, and whose errors name arguments as they are typed.

    Attributes:
        roles: of the parameters that name files or folders, as `logq.cli.input_output` has them.
    """

    roles: "Mapping[str, Role]" = MappingProxyType({})

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            BadInputError: the library refused an argument; the message has its option instead of its name.
            ReaderLeftError: nobody reads standard output any more.
        """
        from logq.cli.input_output import settled, writing

        spelled = {str(parameter.name): spelling(parameter) for parameter in self.params}
        warnings.showwarning = lambda message, *_, **__: note(typed(str(message), self._spelled))
        try:
            with silent(bool(ctx.params.get("quiet"))):
                ctx.params = settled(ctx.params, self.roles, spelled)
                with writing(ctx.params, self.roles):
                    return super().invoke(ctx)
        except BrokenPipeError as error:  # which typer's own handling turns into the exit code of a failure
            raise ReaderLeftError from error
        except (BadArgumentError, StoppedError, ValueError) as error:
            raise BadInputError(describe(error, self._spelled)) from error

    def _spelled(self, name: str) -> str:
        return next((spelling(parameter) for parameter in self.params if parameter.name == name), name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help text of this command."""
        formatter.write(_help_text(self, ctx))


class Lazy(NamedTuple):
    """A command that is made when it is called; until then only its summary is known.

    Args:
        summary: returns what the list of commands says of it.
        make: makes it.
    """

    summary: Callable[[], str]
    make: Callable[[], Any]


class CommandGroup(TyperGroup):
    """A group of commands; alone, or with --help, it shows them, in order.

    It is made without typer, and --help is read as no command at all: for a group's options, --help among them, typer
    loads pydantic before it comes to a command, and that doubles the time of `logq COMMAND --help`.

    Args:
        name: what is typed.
        about: its help, paragraphs with empty lines between.
        examples: one per line.
        members: commands and groups by name.
        default: the command that is meant where none is named.
        switches: options that are read elsewhere, and what they mean.
    """

    def __init__(
        self,
        name: str,
        about: str,
        examples: str,
        members: Mapping[str, "Lazy | CommandGroup"],
        *,
        default: str | None = None,
        switches: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(
            name=name,
            help=about,
            epilog=examples,
            commands=dict.fromkeys(members),  # pyright: ignore[reportArgumentType]
            rich_markup_mode=None,
            invoke_without_command=True,
            add_help_option=False,
        )
        self.members, self.default = members, default
        self.switches = (("-h, --help", "Show this message and exit."), *switches)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run what was typed.

        Raises:
            BrokenPipeError: the reader of the output went away, which typer and rich turn into exit code 1.
        """
        try:
            return super().main(*args, **options)
        except SystemExit as stop:
            if isinstance(stop.__context__, BrokenPipeError):
                raise stop.__context__ from None
            raise

    def _main_shell_completion(self, *args: Any, **options: Any) -> None:
        """Complete a line for a shell, where the environment asks for that: typer's own groups get ready in typer."""
        if any(name.endswith("_COMPLETE") for name in os.environ):
            from typer._completion_classes import completion_init

            completion_init()
        super()._main_shell_completion(*args, **options)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Make the command of a name; None if there is none."""
        found = self.members.get(cmd_name)
        return found.make() if isinstance(found, Lazy) else found

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read --help as no command at all, and put in the default one."""
        if args[:1] in (["-h"], ["--help"]):
            args = []
        elif self.default is not None and not ctx.resilient_parsing and (not args or args[0].startswith("-")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named, or show which there are."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            print(self.get_help(ctx))
        return result

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help text of this group and a line for each of its commands."""
        formatter.write(_help_text(self, ctx))


def _help_text(command: Any, ctx: Any) -> str:
    console = Console(file=sys.stdout, highlight=False)
    console.width = min(console.width, _WIDEST)
    with console.capture() as captured:
        console.print(Text.assemble(("Usage: ", "bold"), _usage(command, ctx)))
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            console.print()
            console.print(Text(" ".join(paragraph.split())))
        if command.epilog:
            console.print(Text("\nExamples", style="bold"))
            for example in inspect.cleandoc(command.epilog).splitlines():
                console.print(Text.assemble(("  $ ", "dim"), (example, "green")), soft_wrap=True)
        if isinstance(command, CommandGroup):
            rows = [(Text(name, style="cyan"), _summary(member)) for name, member in command.members.items()]
            _section(console, "Commands", rows)
        sections: dict[str, list[tuple[Text, Text]]] = {}
        for parameter in command.get_params(ctx):
            if getattr(parameter, "hidden", False):
                continue
            named = "Arguments" if parameter.param_type_name == "argument" else "Options"
            title = getattr(parameter, "rich_help_panel", None) or named
            sections.setdefault(title, []).append((_names(parameter), _meaning(parameter)))
        for name, meaning in getattr(command, "switches", ()):
            sections.setdefault("Options", []).append((Text(name, style="cyan"), Text(meaning)))
        for title in sorted(sections, key=lambda title: _ORDER.index(title) if title in _ORDER else len(_ORDER) - 1.5):
            _section(console, title, sections[title])
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _usage(command: Any, ctx: Any) -> str:
    parts = [ctx.command_path]
    if isinstance(command, CommandGroup):
        return " ".join([*parts, "[OPTIONS] COMMAND ..."])
    for parameter in command.get_params(ctx):
        if parameter.param_type_name == "argument":
            parts.append(parameter.metavar)
        elif parameter.required:
            parts.append(f"{min(parameter.opts, key=len)} {parameter.metavar}")
    return " ".join([*parts, "[OPTIONS]"])


def _names(parameter: Any) -> Text:
    if parameter.param_type_name == "argument":
        return Text(parameter.metavar, style="cyan")
    opts = sorted(parameter.opts, key=lambda name: name.startswith("--"))  # -o, --output
    names = Text(", ".join(opts) + "".join(f" / {name}" for name in parameter.secondary_opts), style="cyan")
    return names if parameter.is_flag else Text.assemble(names, (f" {parameter.metavar}", "yellow"))


def _meaning(parameter: Any) -> Text:
    default = parameter.default
    if isinstance(getattr(parameter, "show_default", None), str):
        default = parameter.show_default
    elif getattr(parameter, "is_flag", False) and default is not None:
        # Of a pair of switches, the one that holds unless the other is given.
        pair = parameter.secondary_opts
        default = (parameter.opts[0] if default else pair[0]).lstrip("-") if pair else None
    elif isinstance(default, Enum):
        default = default.value
    elif isinstance(default, float):
        default = f"{default:g}"
    note = "" if default is None or callable(default) else f"  (default: {default})"
    if parameter.required and parameter.param_type_name == "option":
        note = "  (required)"
    return Text.assemble(parameter.help or "", (note, "dim"))


def _summary(member: Lazy | CommandGroup) -> Text:
    about = member.summary() if isinstance(member, Lazy) else member.help or ""
    return Text(" ".join(inspect.cleandoc(about).split("\n\n")[0].split()))


def _section(console: Console, title: str, rows: list[tuple[Text, Text]]) -> None:
    console.print(Text(f"\n{title}", style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_COLUMN, no_wrap=True)
    table.add_column()
    for names, meaning in rows:
        if len(names) > _COLUMN:
            if table.row_count:
                console.print(Padding(table, (0, 0, 0, 2)))
            console.print(Padding(names, (0, 0, 0, 2)))
            table = Table.grid(padding=(0, 2, 0, 0))
            table.add_column(width=_COLUMN, no_wrap=True)
            table.add_column()
            names = Text("")
        table.add_row(names, meaning)
    console.print(Padding(table, (0, 0, 0, 2)))
