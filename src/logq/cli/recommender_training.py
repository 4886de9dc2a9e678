"""Train a recommender on a log, save it with what it needs to answer, and say what came of it."""

import errno
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._progress import format_seconds
from logq.cli.errors import BadInputError, InterruptedWorkError, describe, say_error
from logq.cli.keeping_options import HeldOut, TrainingPlan
from logq.cli.kept_checkpoint import KeptCheckpoint
from logq.cli.log_options import LogColumns, LogOptions
from logq.cli.log_reading import check_log_file, in_options, read_log
from logq.cli.output import output_folder
from logq.cli.recommender_folder import save_log
from logq.cli.recommender_report import say_next_steps, say_validation
from logq.cli.report import say
from logq.cli.titles import read_titles

if TYPE_CHECKING:
    from logq.logs import Interactions, Split
    from logq.recommenders import Recommender

__all__ = ["train_recommender"]

_LEARNS_FROM = {
    "YoutubeDNN": ("user",),
    "MIND": ("user",),
    "SDM": ("user", "item"),
    "TwoTower": ("user", "item"),
    "EGES": ("item",),
}


def train_recommender(
    estimator: str,
    path: Path,
    folder: Path,
    columns: LogOptions,
    arguments: Mapping[str, Any],
    plan: TrainingPlan,
    *,
    further: Sequence[str] = (),
    prepare: "Callable[[Interactions], Interactions] | None" = None,
    quiet: bool = False,
) -> None:
    """Read a log, hold out what the plan says, train, save and tell.

    Args:
        estimator: a class of logq.recommenders, by name.
        path: the log.
        folder: where everything goes.
        columns: how the log is read.
        arguments: of the estimator.
        plan: what is held out and kept.
        further: columns of the log that the estimator needs.
        prepare: what is done with the log before it is split.
        quiet: no progress line.

    Raises:
        BadInputError: what the library refuses, in the spelling of the options.
        InterruptedWorkError: Ctrl-C; the message says what is saved.
    """
    for file in (path, columns.item_features, columns.user_features):
        if file is not None:
            check_log_file(file)
    with output_folder(folder):
        try:
            from logq import recommenders

            make: Callable[..., Recommender] = getattr(recommenders, estimator)
            model = make(**arguments)  # before the log is read, since what is wrong here is found at once
        except (ValueError, TypeError) as error:
            raise BadInputError(in_options(_of_argument(str(error)), arguments)) from error
        began = time.monotonic()
        try:
            log = read_log(path, columns, _note, columns=further)
            if prepare is not None:
                log = prepare(log)
            say(_described(log))
            _say_unused(estimator, columns)
            if log.labels is not None and columns.min_label is None:
                low, high = float(log.labels.min()), float(log.labels.max())
                if low < high:
                    _note(f"all labels count, from {low:g} to {high:g}; --min-label leaves out the low ones")
            split = _split(log, plan.validation)
            titles = None if columns.item_features is None else read_titles(columns.item_features, log.item_ids)
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError("the log was not read yet, so nothing was saved.") from stop
        except ValueError as error:
            raise BadInputError(in_options(str(error), arguments)) from error
        state = KeptCheckpoint(folder)
        state.look(resume=plan.resume)
        reading, began = time.monotonic() - began, time.monotonic()
        try:
            model.fit(
                log if split is None else split,
                progress=False if quiet else None,
                checkpoint=folder,
                checkpoint_minutes=plan.checkpoint_minutes,
                resume=plan.resume,
            )
            took = time.monotonic() - began
            typed = {
                "log": str(path.resolve()),
                "estimator": estimator,
                "columns": {name: getattr(columns, name) for name in LogColumns.__dataclass_fields__},
                "cleaning": {name: value for name, value in asdict(columns).items() if name.startswith("min_")},
                "validation": plan.validation.value,
                "further": list(further),
                "seconds": round(took, 1),
                "training_log": getattr(model, "training_log", []),
            }
            save_log(folder, log, split, titles, _plain(typed))
            model.save(folder)
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError(state.say()) from stop
        except (FloatingPointError, MemoryError) as error:
            raise BadInputError(f"{in_options(describe(error) or '', arguments)}; {state.say()}") from error
        except ValueError as error:
            hint = ""
            if split is not None and str(error).startswith("log: "):
                hint = f", after --validation {plan.validation.value} held out some; --validation none trains on all"
            raise BadInputError(in_options(_of_argument(str(error)), arguments) + hint) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise BadInputError(f"{describe(error)}; {state.say()}") from error
            raise
    say(
        f"{estimator} of {log.num_items:,} items, {model.item_vectors.shape[1]} numbers each, is in ",
        (str(folder), "bold"),
    )
    say(f"Reading took {reading:.1f} s, training {format_seconds(took)}.")
    say_validation(model, split, plan.validation)
    say_next_steps(folder, log, titles, plan.validation, path)


def _split(log: "Interactions", held_out: HeldOut) -> "Split | None":
    if held_out is HeldOut.none:
        return None
    from logq.logs import leave_one_out, split_by_time

    try:
        if held_out is HeldOut.last:
            return leave_one_out(log)
        return split_by_time(log, test=0.9, validation=0.8)
    except ValueError as error:
        raise BadInputError(
            f"--validation {held_out.value}: {str(error).removeprefix('log: ')}; --validation none trains on everything"
        ) from error


def _say_unused(estimator: str, columns: LogOptions) -> None:
    used = _LEARNS_FROM.get(estimator, ())
    for name, titles in (("user", ""), ("item", "; titles among them are shown")):
        if getattr(columns, f"{name}_features") is not None and name not in used:
            _note(f"--{name}-features: {estimator} does not learn from them{titles}")


def _described(log: "Interactions") -> str:
    features = [
        f"{side}: {', '.join(found.names)}"
        for side, found in (("items", log.item_features), ("users", log.user_features))
        if found is not None
    ]
    known = f"; features of {'; of '.join(features)}" if features else ""
    return f"Read {len(log):,} events of {log.num_users:,} users with {log.num_items:,} items{known}."


def _note(text: str) -> None:
    say_error(text, "Note")


def _of_argument(message: str) -> str:
    """Names of arguments that are spelled otherwise here."""
    return message.replace("exclude_seen:", "--keep-seen:")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    return value
