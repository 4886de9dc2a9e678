"""`logq tune sasrec LOG` and so on: a search over the settings of a recommender, by validation alone."""

import contextlib
import shlex
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import ArgumentError, BadArgumentError
from logq._project import check_installed
from logq.cli.command_options import Quiet, make_command, typed_again
from logq.cli.held_out_part import HeldOutPart, Validation
from logq.cli.log_reading import LogArgument, LogReadingOptions, check_log, named_columns, read_log
from logq.cli.terminal.errors import BadInputError, InterruptedWorkError, note
from logq.cli.terminal.help import HelpfulCommand
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import plural, say, say_next
from logq.cli.terminal.result_tables import ResultTable
from logq.cli.train_frame import OutputFolder

if TYPE_CHECKING:
    from logq.recommenders.tuning import Trial, Tuning
    from logq.training.config_fields import Option

__all__ = ["make"]

_SHOWN = 10
"""Trials in the table at the end."""

_NOT_HERE = ("minutes", "seed", "refit")
"""Options of a training that the command has for the whole search, or that concern what comes after it."""

_EXAMPLES = """
logq tune {name} ratings.csv -o tuned
logq tune {name} ratings.csv -o tuned --trials 50 --minutes 120
logq tune {name} ratings.csv -o tuned --trials 100 --resume
logq tune {name} ratings.csv -o tuned --validation time
"""


def make(name: str) -> HelpfulCommand:
    """Make the command for a recommender, with the options that its class has.

    Args:
        name: as the table of estimators has it.
    """
    from logq.estimators import ESTIMATORS
    from logq.training.config_fields import TriedValues

    entry = next(entry for entry in ESTIMATORS if entry.command == name)
    options: Mapping[str, Option] = {
        name: option for name, option in entry.load_class().options().items() if name not in _NOT_HERE
    }
    tried = [f"{name} {_typed(option.rules[TriedValues])}" for name, option in options.items() if _is_tried(option)]

    def command(
        log: LogArgument,
        output: OutputFolder,
        columns: LogReadingOptions,
        arguments: Mapping[str, Any],
        held_out: Validation,
        trials: Annotated[
            int,
            typer.Option(
                metavar="N",
                min=1,
                help="Trainings in all, with those of a search that is continued.",
                rich_help_panel="Search",
            ),
        ] = 20,
        minutes: Annotated[
            float | None,
            typer.Option(metavar="X", min=0.001, help="Time budget of the whole search.", rich_help_panel="Search"),
        ] = None,
        trial_minutes: Annotated[
            float | None,
            typer.Option(
                metavar="X",
                min=0.001,
                help="Time budget of each trial, for models that train in epochs.",
                rich_help_panel="Search",
            ),
        ] = None,
        search: Annotated[
            list[str] | None,
            typer.Option(
                "--search",
                metavar="NAME=VALUES",
                help="What to try of a setting: a range, lr=1e-4:1e-2, or a list, dim=32,64,128; lr= leaves it as it "
                "is. Repeatable.",
                rich_help_panel="Search",
            ),
        ] = None,
        seed: Annotated[
            int | None,
            typer.Option(
                metavar="N", min=0, help="Random seed of the search and of each trial.", rich_help_panel="Search"
            ),
        ] = None,
        resume: Annotated[
            bool,
            typer.Option(
                "--resume",
                help="Go on with the search in DIR, over the same log and settings.",
                rich_help_panel="Search",
            ),
        ] = False,
        quiet: Quiet = False,
    ) -> None:
        check_log(log)
        from logq.recommenders.search_space import search_space
        from logq.recommenders.tuning import BEST, tune

        check_installed("tune", "tune", "optuna")
        if held_out.validation is HeldOutPart.none:
            raise BadInputError("--validation: expected a part to choose settings by, got none")
        wanted = dict(_read_search(text, options) for text in search or ())
        estimator = entry.load_class()
        estimator.from_settings(arguments)  # what is wrong here is found before the log is read
        with _named_options():
            search_space(estimator, arguments, wanted)
        with output_folder(output):
            events = read_log(log, columns, note, columns=named_columns(options, arguments))
            split = held_out.split(events)
            assert split is not None
            try:
                with _named_options():
                    found = tune(
                        estimator,
                        split,
                        trials=trials,
                        minutes=minutes,
                        trial_minutes=trial_minutes,
                        settings=arguments,
                        search=wanted,
                        seed=seed,
                        folder=output,
                        resume=resume,
                        progress=False if quiet else None,
                    )
            except KeyboardInterrupt as stop:
                kept = f"the best settings so far are in {output / BEST}; " if (output / BEST).exists() else ""
                raise InterruptedWorkError(f"{kept}the same command with --resume goes on.") from stop
        if not quiet:
            _report(found, name, log, output / BEST, columns, held_out)

    about = (
        f"Search for good settings of {entry.class_name}: train it with some, see what validation says, choose others. "
        "Trials that fall behind are stopped; the test part is not touched. Needs the extra `tune`. "
        f"Then `logq train {name} LOG --recipe DIR/best.toml` trains a model with the best settings.\n\n"
        + (f"Unless --search says otherwise it tries {'; '.join(tried)}. " if tried else "--search says what to try. ")
        + "Options that are given stay as they are in all trials."
    )
    return make_command(command, _EXAMPLES.format(name=name), options, about)


def _is_tried(option: "Option") -> bool:
    from logq.training.config_fields import TriedValues

    return TriedValues in option.rules and not option.help.hidden


def _typed(search: Any) -> str:
    """Values to try, as --search takes them."""
    return ",".join(map(str, search.choices)) if search.choices else f"{search.low:g}:{search.high:g}"


def _read_search(text: str, options: Mapping[str, "Option"]) -> tuple[str, Any]:
    """The name of a setting, and what to try of it.

    Raises:
        BadInputError: it is not NAME=VALUES, or there is no such setting.
    """
    flag, equals, values = text.partition("=")
    name = flag.strip().lstrip("-").replace("-", "_")
    if not equals or name not in options:
        expected = "NAME=VALUES with the name of an option, such as lr=1e-4:1e-2"
        raise BadInputError(f"--search: expected {expected}, got {text!r}")
    if not values.strip():
        return name, None
    try:
        low, colon, high = values.partition(":")
        if colon:
            return name, (options[name].parse(low.strip()), options[name].parse(high.strip()))
        return name, [options[name].parse(_switched(value.strip())) for value in values.split(",")]
    except BadArgumentError as error:
        raise BadInputError(error.message(f"--search {name}")) from error


def _switched(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), text)


@contextlib.contextmanager
def _named_options() -> Generator[None, None, None]:
    """A block whose errors have the names of the options."""
    names = {"search": "--search", "folder": "--output", "settings": "the options", "split": "LOG", "data": "LOG"}
    try:
        yield
    except ArgumentError as error:
        if error.name not in names:
            raise
        raise BadInputError(error.message(names[error.name])) from error


def _report(
    found: "Tuning", name: str, log: Path, best: Path, columns: LogReadingOptions, held_out: Validation
) -> None:
    """Show the best trials, and what to do with them."""
    complete = [trial for trial in found.trials if trial.value is not None]
    ordered = sorted(complete, key=lambda trial: (trial.state != "complete", -(trial.value or 0.0)))
    tried = list(dict.fromkeys(name for trial in found.trials for name in trial.settings))
    table = ResultTable("trial", found.monitor, "epochs", "seconds", *tried)
    for trial in ordered[:_SHOWN]:
        numbers = (f"{trial.value:.4f}", f"{trial.epochs or ''}", f"{trial.seconds:.1f}")
        table.add(_called(trial), *numbers, *_shown(trial, tried))
    table.show()
    stopped = sum(trial.state == "pruned" for trial in found.trials)
    say(f"{plural(len(found.trials), 'trial')}, {stopped} of them stopped early; measured on {held_out.measured_on()}.")
    for error in dict.fromkeys(trial.error for trial in found.trials if trial.error):
        note(error)
    if not best.exists():
        note("no trial was completed: there are no best settings yet")
        return
    say("The best settings are in ", (str(best), "bold"), ".")
    words = shlex.join(["train", name, str(log), "-o", "model", "--recipe", str(best)])
    step = " ".join(filter(None, ["logq", words, typed_again(columns), typed_again(held_out)]))
    say_next([(step, "a model with the best settings")])


def _called(trial: "Trial") -> str:
    kind = {"pruned": ", stopped", "fail": ", failed"}.get(trial.state, "")
    return f"{trial.number}{kind}" if trial.settings else f"{trial.number}, as given{kind}"


def _shown(trial: "Trial", names: Sequence[str]) -> list[str]:
    values = [trial.settings.get(name, "") for name in names]
    return [f"{value:.3g}" if isinstance(value, float) else str(value) for value in values]
