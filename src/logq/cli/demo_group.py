"""`logq demo`: what can be shown without data, words first."""

from typing import Any

import typer

from logq.cli import demo as words
from logq.cli import demo_items as items
from logq.cli.help import HelpfulCommand, HelpfulGroup

__all__ = ["EXAMPLES", "demo"]

EXAMPLES = """
logq demo
logq demo items
logq demo words -o python-words --seed 7
"""


class _WordsFirst(HelpfulGroup):
    """A group that runs `words` where no command is named: `logq demo` and `logq demo -o python-words`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the first command before options, and where there is nothing."""
        if args[:1] in (["-h"], ["--help"]):
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, ["words", *args] if not args or args[0].startswith("-") else args)


demo = typer.Typer(name="demo", cls=_WordsFirst, add_help_option=False, add_completion=False, epilog=EXAMPLES)


@demo.callback(invoke_without_command=True)
def choose_demo(context: typer.Context) -> None:
    """Show what logq does, in a few seconds and without data: words, or items that go together."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


demo.command("words", cls=HelpfulCommand, epilog=words.EXAMPLES)(words.demo)
demo.command("items", cls=HelpfulCommand, epilog=items.EXAMPLES)(items.demo_items)
