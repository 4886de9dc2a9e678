"""The command `logq`: its commands, its version, and where every error ends up."""

import contextlib
import os
import sys
import warnings
from collections.abc import Generator, Iterable, Sequence
from importlib import import_module
from typing import Any

import typer

import logq
from logq._launch import launched
from logq.cli.command_options import make_command
from logq.cli.terminal.errors import (
    BadInputError,
    InterruptedWorkError,
    ReaderLeftError,
    describe,
    leave_quietly,
    note,
    say_error,
)
from logq.cli.terminal.help import CommandGroup, Lazy
from logq.estimators import ESTIMATORS, EstimatorEntry

__all__ = ["app", "main"]


def _command(place: str, summary: str = "") -> Lazy:
    """The command of "module:function"; a module whose options are made when they are needed has a function `make`."""
    file, _, name = place.partition(":")

    def module() -> Any:
        return import_module(f"logq.cli.commands.{file}")

    def make() -> Any:
        found = module()
        return found.make() if hasattr(found, "make") else make_command(getattr(found, name), found.EXAMPLES)

    return Lazy(lambda: summary or getattr(module(), name).__doc__, make)


def _for_recommenders(file: str, entries: Iterable[EstimatorEntry]) -> dict[str, Lazy]:
    """A command for each recommender, which the function `make` of a module makes of its name."""

    def lazy(entry: EstimatorEntry) -> Lazy:
        return Lazy(lambda: entry.summary, lambda: import_module(f"logq.cli.commands.{file}").make(entry.command))

    return {entry.command: lazy(entry) for entry in entries if entry.family == "recommender"}


_WORD2VEC = next(entry for entry in ESTIMATORS if entry.command == "word2vec")

_DEMO = CommandGroup(
    "demo",
    "Show what logq does, in a few seconds and without data: with words, or with items that go together.",
    """
logq demo
logq demo items
logq demo words -o python-words --seed 7
""",
    {"words": _command("demo_words:demo_words"), "items": _command("demo_items:demo_items")},
    default="words",
)

_TRAIN = CommandGroup(
    "train",
    "Train word vectors or a language model on text, or a recommender on an interaction log.",
    """
logq train word2vec corpus.txt -o vectors
logq train lm corpus.txt -o model
logq train item2vec ratings.csv -o items
logq train sasrec ratings.csv -o model
logq train youtube-dnn ratings.csv --user uid --item iid -o model
""",
    {
        "word2vec": _command("train_word2vec:word2vec", _WORD2VEC.summary),
        "lm": _command("train_lm:lm", "A language model: n-gram, NNLM, GRU or LSTM."),
        **_for_recommenders("train_recommender", ESTIMATORS),
    },
)


_TUNE = CommandGroup(
    "tune",
    "Search for the settings of a recommender that score best in validation. Needs the extra `tune`.",
    """
logq tune sasrec ratings.csv -o tuned
logq tune ease ratings.csv -o tuned --trials 30
logq tune two-tower ratings.csv -o tuned --minutes 60
""",
    _for_recommenders("tune", [entry for entry in ESTIMATORS if entry.tunable]),
)

_EVALUATE = CommandGroup(
    "evaluate",
    "Measure how good word vectors, language models or recommenders are.",
    """
logq evaluate words vectors --analogies questions-words.txt
logq evaluate lm model test.txt
logq evaluate ranking model
""",
    {
        "words": _command("evaluate_words:words"),
        "lm": _command("evaluate_lm:lm"),
        "ranking": _command("evaluate_ranking:ranking"),
    },
)

_COMPLETION = "_LOGQ_COMPLETE"  # set by the script that completes

app = CommandGroup(
    "logq",
    """
Word vectors and language models from text, and recommendations from interaction logs.

Start with `logq demo` (words) or `logq demo items` (recommendations): they need no data and take a few seconds. Each
command has its own --help.
""",
    """
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
logq explore model
""",
    {
        "demo": _DEMO,
        "train": _TRAIN,
        "tune": _TUNE,
        "evaluate": _EVALUATE,
        "neighbors": _command("neighbors:neighbors"),
        "map": _command("draw_map:draw_map"),
        "generate": _command("generate:generate"),
        "recommend": _command("recommend:recommend"),
        "score": _command("score:score"),
        "similar": _command("similar:similar"),
        "index": _command("index:index"),
        "serve": _command("serve:serve"),
        "explore": _command("explore:explore"),
        "export": _command("export:export"),
        "push": _command("push:push"),
        "diagnose": _command("diagnose:diagnose"),
        "doctor": _command("doctor:doctor"),
        "vocab": _command("vocab:vocab"),
        "prepare": _command("prepare:prepare"),
        "phrases": _command("find_phrases:phrases"),
        "tokenize": _command("tokenize_text:tokenize_text"),
    },
    # `main` reads these.
    switches=(
        ("--version", "Show the version and exit."),
        ("--debug", "Show the traceback of an error, as LOGQ_DEBUG=1 does."),
        ("--show-completion", "Show the script that completes commands and options in your shell."),
        ("--install-completion", "Install it for your shell."),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, without ever showing a user a traceback for bad input.

    Args:
        arguments: what follows `logq`; taken from the command line when None.

    Returns:
        The exit code; logq.cli.terminal.errors lists the codes.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = os.environ.get("LOGQ_DEBUG", "") not in ("", "0")
    if words[:1] == ["--debug"]:
        debug, words = True, words[1:]
    if words[:1] == ["--version"]:
        print(f"logq {logq.__version__}")
        return 0
    if words[:1] in (["--show-completion"], ["--install-completion"]):
        return _complete(install=words[0] == "--install-completion")
    # A warning of the library is a line for the user, not a place in its source.
    warnings.showwarning = lambda message, *_, **__: note(str(message))
    if _COMPLETION in os.environ:  # the shell asks what can follow
        completion: Any = import_module("typer.completion")
        completion.completion_init()
    if "" in words and _COMPLETION not in os.environ:
        say_error("an argument is empty; expected a name (is a shell variable not set?)")
        return 2
    try:
        with _one_of_several(words):
            code: Any = app.main(words, prog_name="logq", standalone_mode=False)
        sys.stdout.flush()
        if code == 130:
            _say_interrupted("nothing was saved.")
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        _say_interrupted("nothing was saved.")
        return 130
    except InterruptedWorkError as stop:
        _say_interrupted(str(stop))
        return 130
    except (BrokenPipeError, ReaderLeftError):
        leave_quietly()
        return 141
    except Exception as error:
        line = describe(error)
        if line is None or debug:
            raise
        say_error(line)
        return 2


@contextlib.contextmanager
def _one_of_several(words: Sequence[str]) -> Generator[None, None, None]:
    """The block of a command: of several processes that torchrun has started only the first one writes output.

    Raises:
        BadInputError: the processes cannot share the work of the command.
    """
    there = launched()
    if there.size > 1 and words[:1] not in (["train"], ["--help"]):
        command = " ".join(["logq", *words[:1]])
        raise BadInputError(
            f"WORLD_SIZE: expected 1 for `{command}`, got {there.size}; start it without torchrun: what several "
            "processes can share is `logq train`"
        )
    if there.is_first:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _say_interrupted(text: str) -> None:
    if launched().is_first:
        say_error(text, "Interrupted")


def _complete(*, install: bool) -> int:
    """Show or install what completes commands in the shell that this runs in."""
    completion: Any = import_module("typer.completion")
    shell = completion._get_shell_name() or os.path.basename(os.environ.get("SHELL", ""))
    if shell not in ("bash", "zsh", "fish", "pwsh", "powershell"):
        say_error(f"completion: expected bash, zsh, fish or PowerShell, found {shell or 'no shell'}")
        return 2
    if install:
        shell, path = completion.install(shell=shell, prog_name="logq", complete_var=_COMPLETION)
        print(f"Completion for {shell} is in {path}; it works in the next shell that you open.")
    else:
        print(completion.get_completion_script(prog_name="logq", complete_var=_COMPLETION, shell=shell))
    return 0
