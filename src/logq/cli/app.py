"""The command `logq`: its commands, its version, and the place where every error ends."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer

import logq
from logq.cli import (
    demo_group,
    diagnose,
    evaluate,
    evaluate_lm,
    evaluate_ranking,
    generate,
    index,
    map,
    neighbors,
    phrases,
    recommend,
    train,
    train_items,
    train_lm,
    train_recommenders,
    vocab,
)
from logq.cli.errors import InterruptedWorkError, describe, leave_quietly, say_error
from logq.cli.help import HelpfulCommand, HelpfulGroup

__all__ = ["app", "main"]

EXAMPLES = """
logq demo
logq train word2vec corpus.txt -o vectors
logq neighbors vectors coffee tea
logq map vectors -o map.html
logq train lm corpus.txt -o model
logq generate model
logq demo items
logq train sasrec ratings.csv -o model
logq evaluate ranking model
logq recommend model --user 42
"""

# Modules that add their commands to a group of another.
_ADDING = (evaluate_ranking, evaluate_lm, train_recommenders, train_items, train_lm)


class _Logq(HelpfulGroup):
    # What one does first stands first; typer would have groups behind everything else.
    order = (
        "demo",
        "train",
        "evaluate",
        "neighbors",
        "map",
        "generate",
        "recommend",
        "similar",
        "index",
        "diagnose",
        "vocab",
        "phrases",
    )
    switches = (
        *HelpfulGroup.switches,
        ("--version", "Say the version and leave."),  # these two are read by main
        ("--debug", "Show the traceback of an error, as LOGQ_DEBUG=1 does."),
    )


app = typer.Typer(
    name="logq",
    cls=_Logq,
    add_help_option=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(demo_group.demo)
app.add_typer(train.train)
app.command("neighbors", cls=HelpfulCommand, epilog=neighbors.EXAMPLES)(neighbors.neighbors)
app.command("map", cls=HelpfulCommand, epilog=map.EXAMPLES)(map.map_command)
app.add_typer(evaluate.evaluate)
app.command("generate", cls=HelpfulCommand, epilog=generate.EXAMPLES)(generate.generate)
app.command("recommend", cls=HelpfulCommand, epilog=recommend.RECOMMEND_EXAMPLES)(recommend.recommend)
app.command("similar", cls=HelpfulCommand, epilog=recommend.SIMILAR_EXAMPLES)(recommend.similar)
app.command("index", cls=HelpfulCommand, epilog=index.EXAMPLES)(index.index)
app.command("diagnose", cls=HelpfulCommand, epilog=diagnose.EXAMPLES)(diagnose.diagnose)
app.command("vocab", cls=HelpfulCommand, epilog=vocab.EXAMPLES)(vocab.vocab)
app.command("phrases", cls=HelpfulCommand, epilog=phrases.EXAMPLES)(phrases.phrases)


@app.callback(invoke_without_command=True, epilog=EXAMPLES)
def start(context: typer.Context) -> None:
    """From text to word vectors and language models, and from logs of who did what to recommendations.

    Start with `logq demo` (words) or `logq demo items` (recommendations): they need no data and take a few seconds.
    Each command has its own --help.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, without ever showing a user a traceback for bad input.

    Args:
        arguments: what follows `logq`; taken from the command line when None.

    Returns:
        The exit code; logq.cli.errors lists the codes.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = os.environ.get("LOGQ_DEBUG", "") not in ("", "0")
    if words[:1] == ["--debug"]:
        debug, words = True, words[1:]
    if words[:1] == ["--version"]:
        typer.echo(f"logq {logq.__version__}")
        return 0
    # A warning of the library is a line for the user, not a place in its source.
    warnings.showwarning = lambda message, *_, **__: say_error(str(message), "Note")
    if "" in words:
        say_error("an argument is empty; expected a name there (is a variable of the shell not set?)")
        return 2
    try:
        code: Any = app(words, prog_name="logq", standalone_mode=False)
        sys.stdout.flush()
        if code == 130:
            say_error("nothing was saved.", "Interrupted")
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        say_error("nothing was saved.", "Interrupted")
        return 130
    except InterruptedWorkError as stop:
        say_error(str(stop), "Interrupted")
        return 130
    except BrokenPipeError:
        leave_quietly()
        return 1
    except Exception as error:
        line = describe(error)
        if line is None or debug:
            raise
        say_error(line)
        return 2
