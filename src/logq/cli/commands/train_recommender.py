"""`logq train sasrec`, item2vec and so on: recommenders from an interaction log, each with the options of its class."""

import dataclasses
import shlex
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import ArgumentError
from logq._launch import launched
from logq._progress import format_seconds
from logq.cli.command_options import Quiet, make_command, one_of
from logq.cli.continued_model import ContinuedModel
from logq.cli.feature_files import read_titles
from logq.cli.held_out_part import HeldOutPart, Validation
from logq.cli.input_output import WRITES_FOLDER
from logq.cli.log_reading import LogArgument, LogColumns, LogReadingOptions, check_log, named_columns, read_log
from logq.cli.recipes import read_recipe, recipes_of
from logq.cli.recommender_guides import GUIDES, Guide
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.help import HelpfulCommand
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import (
    explore_step,
    in_python,
    install_steps,
    plural,
    positional,
    python_command,
    say,
    say_next,
)
from logq.cli.text_reading import check_input_file
from logq.cli.train_frame import Checkpoints, OutputFolder, Training
from logq.folders.recommender_folders import save_log

if TYPE_CHECKING:
    from logq.estimators import EstimatorEntry
    from logq.logs import Interactions, Split
    from logq.recommenders import Recommender
    from logq.training.config_fields import Option

__all__ = ["make"]


_MANY_ITEMS = 50_000  # below, exact search is about as fast as an approximate one, or faster


def make(name: str) -> HelpfulCommand:
    """Make the command of a recommender, with the options that its class has.

    Args:
        name: as the table of estimators has it.
    """
    from logq.estimators import ESTIMATORS

    entry = next(entry for entry in ESTIMATORS if entry.command == name)
    guide = GUIDES.get(name, Guide(""))
    options: Mapping[str, Option] = entry.load_class().options()
    built_in = recipes_of(entry.class_name)
    recipes = f"{', '.join(built_in)} or a TOML file" if built_in else "a TOML file"

    def command(
        invocation: typer.Context,
        log: LogArgument,
        output: OutputFolder,
        columns: LogReadingOptions,
        arguments: Mapping[str, Any],
        held_out: Validation,
        checkpoints: Checkpoints,
        recipe: Annotated[
            str | None,
            typer.Option(
                "--recipe",
                metavar="NAME",
                help=f"Take settings from {recipes}; options on the command line take precedence.",
                autocompletion=one_of(*built_in),
                rich_help_panel="Model",
            ),
        ] = None,
        go_on: Annotated[
            bool,
            typer.Option(
                "--continue",
                help="Continue training the model in DIR: take in the events of LOG that are new, with their users and "
                "items, instead of starting from scratch.",
                rich_help_panel="Continuing",
            ),
        ] = False,
        no_histories: Annotated[
            bool,
            typer.Option(
                "--no-users",
                "--no-histories",
                help="Leave users out of what is saved: no ids, no histories, no log. The model then answers for "
                "histories that it is given, and has no test part.",
                rich_help_panel="Model",
            ),
        ] = False,
        shards: Annotated[
            Path | None,
            typer.Option(
                "--shards",
                metavar="FOLDER",
                help="Also write the item vectors to this folder, each process its part, for `logq index FOLDER`.",
                rich_help_panel="Model",
            ),
            WRITES_FOLDER,
        ] = None,
        quiet: Quiet = False,
    ) -> None:
        settings = {} if recipe is None else read_recipe(recipe, entry.class_name).settings
        known = {name for field, option in options.items() for name in (field, *option.help.aliases, *option.help.also)}
        unknown = next((name for name in settings if name not in known), None)
        if unknown is not None:
            raise BadInputError(f"{recipe}: {entry.class_name} has no setting {unknown!r}")
        entry.load_class().check_processes()
        check_log(log)
        for file in (columns.item_features, columns.user_features):
            if file is not None:
                check_input_file(file, "a table of features", again=True)
        if columns.item_vectors is not None and not columns.item_vectors.is_dir():
            check_input_file(columns.item_vectors, "vectors of items", again=True)
        with output_folder(output):
            training = Training(output, checkpoints, quiet=quiet)
            every = {**settings, **arguments}
            continued = None
            if go_on:
                typed = [
                    name
                    for name in invocation.params
                    if str(invocation.get_parameter_source(name)).endswith("COMMANDLINE")
                ]
                continued = ContinuedModel.open(output, entry, _without_values(every))
                columns, held_out = continued.reading(log, columns), continued.held_out(held_out, typed)
            histories = not no_histories and (continued is None or continued.keeps_users)
            _train(entry, log, columns, every, held_out, training, continued, histories=histories, shards=shards)

    about = f"Train {entry.class_name}: {entry.summary[0].lower()}{entry.summary[1:]}\n\n{guide.about}"
    examples = "\n".join(f"logq train {name} {rest}" for rest in guide.examples)
    return make_command(command, examples, options, about)


def _train(
    entry: "EstimatorEntry",
    path: Path,
    columns: LogReadingOptions,
    arguments: Mapping[str, Any],
    held_out: Validation,
    training: Training,
    continued: ContinuedModel | None,
    *,
    histories: bool,
    shards: Path | None,
) -> None:
    """Read a log, hold out a part of it, train, save and report.

    Args:
        entry: what is trained.
        path: the log.
        columns: how it is read.
        arguments: of the class.
        held_out: what is held out.
        training: where everything goes.
        continued: the model that goes on, or None.
        histories: whether users, their histories and the log are saved.
        shards: a folder for vectors in shards, or None.
    """
    estimator = entry.load_class()
    column, _, booked = str(arguments.get("booking") or "").partition("=")
    # What is wrong here is found before the log is read.
    model: Recommender = estimator.from_settings(_without_values(arguments)) if continued is None else continued.model
    if not histories and model.needs_users:
        raise BadInputError(f"--no-users: expected none with {entry.command}, which answers from what users did")
    if not histories and getattr(model, "user_vectors", False):
        raise BadInputError("--no-users: expected none with --user-vectors, which are one of each user")
    if shards is not None and not hasattr(model, "write_vector_shards"):
        raise BadInputError(f"--shards: expected none with {entry.command}, which one process trains")
    further = named_columns(estimator.options(), model.settings())
    began = time.monotonic()
    with training.run():
        before = None if continued is None else continued.model.known
        log = read_log(path, columns, note, columns=further, before=before)
        if booked:
            log = _with_bookings(log, column, booked)
        if not training.quiet:
            say(_described(log))
        if continued is not None:
            grown = continued.grown(path, log)
            if not training.quiet:
                say(continued.took_in(grown))
            log = grown.log
        _note_unused(entry, model, columns)
        if log.labels is not None and columns.min_label is None:
            low, high = float(log.labels.min()), float(log.labels.max())
            if low < high:
                note(f"all labels count, from {low:g} to {high:g}; --min-label leaves out the low ones")
        split = held_out.split(log)
        if split is not None and split.remark():
            note(split.remark())
        titles = None if columns.item_features is None else read_titles(columns.item_features, log.item_ids)
        if continued is not None:
            titles = continued.titles(titles, log.num_items)
        reading = time.monotonic() - began
        try:
            model.fit(log if split is None else split, **training.arguments, warm=continued is not None)
        except ArgumentError as error:
            if error.name != "log" or split is None:
                raise
            hint = f"--validation {held_out.validation.value} held out some; --validation none trains on all"
            raise BadInputError(f"{error.message('LOG')}, after {hint}") from error
        if not launched().is_first:  # which saves the model; the others hand in their parts, if they have some
            if model.in_parts:
                model.save(training.folder, histories=histories)
            _write_shards(model, shards)
            return
        took = time.monotonic() - began - reading
        typed = {
            "log": str(path.resolve()),
            "estimator": entry.class_name,
            "columns": {name: getattr(columns, name) for name in LogColumns.__dataclass_fields__},
            "cleaning": {name: value for name, value in asdict(columns).items() if name.startswith("min_")},
            "validation": held_out.validation.value,
            "held_out": held_out.held_out,
            "further": list(further),
            "seconds": round(took, 1),
            "training_log": getattr(model, "training_log", []),
        }
        if continued is not None:
            earlier = continued.folder.training
            typed["earlier_logs"] = [*earlier.get("earlier_logs", []), earlier.get("log")]
        save_log(training.folder, log if histories else None, split, titles, _plain(typed))
        model.save(training.folder, histories=histories)
        _write_shards(model, shards)
        training.clear()
    if training.quiet:
        return
    size = plural(log.num_items, "item")
    if model.has_vectors:
        width = getattr(model, "dim", 0) if model.in_parts else model.item_vectors.shape[1]
        size += f", {plural(width, 'number')} each,"
    say(f"{entry.class_name} of {size} saved to ", (str(training.folder), "bold"), ".")
    say(f"Reading took {reading:.1f} s, training {format_seconds(took)}.")
    _say_validation(model, split, held_out)
    searches = model.has_vectors and log.num_items >= _MANY_ITEMS
    explores = model.compares_items
    _say_next(training.folder, log, titles, held_out, histories=histories, explores=explores, searches=searches)


def _write_shards(model: Any, folder: Path | None) -> None:
    if folder is not None:
        model.write_vector_shards(folder)


def _without_values(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the class takes them: of --booking COLUMN=VALUE the column."""
    booking = str(arguments.get("booking") or "").partition("=")[0]
    return {**arguments, "booking": booking} if booking else dict(arguments)


def _with_bookings(log: "Interactions", column: str, value: str) -> "Interactions":
    """The log with a column that says where another has a value."""
    if column not in log.column_ids:
        raise BadInputError(f"--booking: expected a column of names before =, {column!r} has numbers")
    code = int(log.column_ids[column].codes([value])[0])
    if code < 0:
        known = ", ".join(map(repr, log.column_ids[column].keys[:8].tolist()))
        raise BadInputError(f"--booking: {column!r} is never {value!r}; its values include {known}")
    return dataclasses.replace(log, columns={**log.columns, column: (log.columns[column] == code).astype("f4")})


def _note_unused(entry: "EstimatorEntry", model: "Recommender", columns: LogReadingOptions) -> None:
    learns_from = GUIDES.get(entry.command, Guide("")).learns_from
    if model.describes_items:
        learns_from = (*learns_from, "item")
    content = ", unless --content says how" if hasattr(model, "content") else ""
    for option, side, titles in (
        ("user_features", "user", ""),
        ("item_features", "item", f"{content}; titles among them are shown"),
        ("item_vectors", "item", content),
    ):
        if getattr(columns, option) is not None and side not in learns_from:
            note(f"--{option.replace('_', '-')}: {entry.class_name} does not learn from them{titles}")


def _described(log: "Interactions") -> str:
    features = [
        f"{side}: {', '.join([*found.names, *found.dense])}"
        for side, found in (("items", log.item_features), ("users", log.user_features))
        if found is not None
    ]
    known = f"; features of {'; of '.join(features)}" if features else ""
    return f"Read {plural(len(log), 'event')} of {log.num_users:,} users with {log.num_items:,} items{known}."


def _plain(value: Any) -> Any:
    """A value in a form that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.value if isinstance(value, Enum) else value


def _say_validation(model: "Recommender", split: "Split | None", held_out: Validation) -> None:
    """Say how well the held-out events were predicted; the test stays untouched."""
    if split is None or split.validation is None:
        say("Nothing was held out: only later events of users can show how good it is.")
        return
    from logq.recommenders.ranking.ranker import EvaluationWarning
    from logq.recommenders.ranking.validation_test import validation_test
    from logq.training.model_display import best_epoch

    monitor = str(getattr(model, "monitor", "ndcg@10"))
    best = best_epoch(getattr(model, "training_log", ()), monitor)
    if best is not None:
        figures = dict(best.metrics)
        when = f"Best after epoch {best.epoch} of {best.last}"
    elif model.in_parts:  # which all processes would have to ask
        return
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default", EvaluationWarning)  # each is a note, also where others are errors
                test = validation_test(model, split.validation, split.history("validation"), exclude_seen=True)
            scores = test.measure(model, 10, resamples=0)
        except ArgumentError as error:
            note(error.message("--validation"))
            return
        figures = {name.lower(): scores[name] for name in ("NDCG@10", "HR@10")}
        when = "Validation"
    first = sorted(figures, key=lambda name: (name != monitor, not name.startswith(("hr", "ndcg"))))[:2]
    users = getattr(model, "validation_users", None)
    of_users = ""
    if users is not None and users < len(set(split.validation.users.tolist())):
        of_users = f", for {plural(users, 'user')} chosen at random; what was held out of all others was learned from"
    say(
        when,
        ": ",
        (", ".join(f"{name} {figures[name]:.4f}" for name in first), "bold"),
        f" on {held_out.measured_on()}{of_users}.",
    )
    if getattr(model, "refit", False):
        say("Then trained anew for as long, on these events too.")


def _say_next(
    folder: Path,
    log: "Interactions",
    titles: list[str] | None,
    held_out: Validation,
    *,
    histories: bool,
    explores: bool,
    searches: bool,
) -> None:
    """Suggest the next commands, with a user and an item that the model knows; a page, an index if wanted."""
    place = shlex.quote(str(folder))
    user, item = shlex.quote(str(log.user_ids.keys[0])), positional(str(log.item_ids.keys[0]))
    first = log.item_ids.keys[0].item()
    item_word = shlex.quote(str(first))
    title = titles[0] if titles and titles[0] else "the most frequent one"
    asked = f"--user {user}" if histories else f"--history {item_word}"
    steps = [
        (f"logq recommend {place} {asked} -k 10", "what a user may want next"),
        (f"logq similar {place} {item}", "items like " + (title if len(title) <= 40 else f"{title[:37]}...")),
        *([explore_step(folder)] if explores else []),
    ]
    if searches:
        steps += install_steps("faiss", "faiss", "for the next command")
        index = shlex.quote(str(folder / "index"))
        steps.append((f"logq index {place} --kind faiss-hnsw -o {index} --check", "faster search, compared with exact"))
    if held_out.validation is not HeldOutPart.none and histories:
        steps.insert(0, (f"logq evaluate ranking {place}", "on the test part, which training did not see"))
    one = in_python(log.user_ids.keys[0].item()) if histories else f"histories=[{in_python(first)}]"
    code = f"import logq; print(logq.load({in_python(str(folder))}).recommend({one}))"
    say_next([*steps, (python_command(code), "")])
