"""`logq train NAME LOG --continue`: the model of a folder goes on with a log that grew."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._arguments import ArgumentError, BadArgumentError
from logq.cli.held_out_part import HeldOutPart, Validation
from logq.cli.log_reading import LogReadingOptions
from logq.cli.model_folders import columns_of
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.report import plural
from logq.folders.recommender_folders import RecommenderFolder, open_folder

if TYPE_CHECKING:
    from logq.estimators import EstimatorEntry
    from logq.logs import GrownLog, Interactions
    from logq.recommenders import Recommender
    from logq.training import Config

__all__ = ["ContinuedModel", "take_options"]

_OF_FIRST_TRAINING = {"epochs": "--warm-epochs", "lr": "--warm-lr"}
_FREE = ("device", "threads", "seed", "tables")


def take_options(model: "Config", place: Path, arguments: Mapping[str, Any], free: Collection[str]) -> None:
    """Give a model that goes on the options that were typed.

    Args:
        model: as it was saved.
        place: the folder it is from.
        arguments: what was typed, by name.
        free: the names of those that can change.

    Raises:
        ArgumentError: another one is not what the model has.

    Example:
        >>> from logq import Popularity
        >>> take_options(Popularity(), Path("model"), {}, ())
    """

    def check(values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name not in free and value != getattr(model, name):
                hint = "other settings need a training from the beginning, without --continue"
                there = f"{getattr(model, name)!r}, as the model in {place} has"
                raise ArgumentError(name, there, value, hint)

    try:
        checked = model.from_settings({**model.settings(), **arguments})
    except BadArgumentError:
        check(arguments)  # one that cannot change is what is wrong, whatever else of the model it does not go with
        raise
    values = {name: getattr(checked, name) for name in arguments}
    check(values)
    for name, value in values.items():
        setattr(model, name, value)


@dataclass(frozen=True)
class ContinuedModel:
    """A model that goes on, and what lies beside it.

    Args:
        place: the folder.
        folder: what it holds.
    """

    place: Path
    folder: RecommenderFolder

    @classmethod
    def open(cls, place: Path, entry: "EstimatorEntry", arguments: Mapping[str, Any]) -> "ContinuedModel":
        """Load the model of a folder, and give it the options that were typed.

        Raises:
            BadInputError: there is none, it is of another kind, or an option is not one that can change by now.
        """
        folder = open_folder(place, device=str(arguments.get("device", "cpu")))
        model = folder.model
        if type(model).__name__ != entry.class_name:
            raise BadInputError(
                f"--continue: {place} holds a {type(model).__name__}, which `logq train {entry.command}` does not make"
            )
        from logq.recommenders.neural.neural_config import WarmConfig
        from logq.training.options import TrainingConfig

        for name in arguments:
            if name in _OF_FIRST_TRAINING:
                option = f"--{name.replace('_', '-')}"
                raise BadInputError(
                    f"{option}: expected none with --continue, which goes by {_OF_FIRST_TRAINING[name]}"
                )
        free = {*WarmConfig.options(), *TrainingConfig.options(), "monitor", "exclude_seen", *_FREE}
        take_options(model, place, arguments, free)
        return cls(place, folder)

    @property
    def model(self) -> "Recommender":
        """The model."""
        return self.folder.model

    @property
    def keeps_users(self) -> bool:
        """Whether it was saved with its users."""
        return self.model.known.counts is None

    def reading(self, path: Path, columns: LogReadingOptions) -> LogReadingOptions:
        """How the new log is read: as the earlier one was, where nothing else was typed; a prepared one as it is."""
        from logq.logs.partitions import is_prepared

        if is_prepared(path):
            return columns
        before = columns_of(self.folder)
        names = [name for name in vars(before) if getattr(columns, name) == getattr(type(before)(), name)]
        smallest = self.folder.training.get("cleaning", {}).get("min_label")
        if columns.min_label is None and smallest is not None:
            columns = replace(columns, min_label=float(smallest))
        return replace(columns, **{name: getattr(before, name) for name in names})

    def held_out(self, typed: Validation, names: Collection[str]) -> Validation:
        """What is held out: the same as before, where nothing else was typed.

        Args:
            typed: the options.
            names: those of them that were typed.

        Raises:
            BadInputError: events that the model has learned might be held out.
        """
        before = self.folder.training.get("validation", HeldOutPart.none.value)
        found = typed
        if "validation" not in names:
            amount = typed.held_out if "held_out" in names else self.folder.training.get("held_out")
            found = Validation(HeldOutPart(before), amount)
        if found.validation in (HeldOutPart.users, HeldOutPart.random):
            raise BadInputError(
                f"--validation: expected last, time or none with --continue, got {found.validation.value}, which draws "
                "anew what is held out, among what the model has learned"
            )
        return found

    def grown(self, path: Path, log: "Interactions") -> "GrownLog":
        """The log of the folder, or what the model remembers of it, and the new one.

        Raises:
            BadInputError: nothing is new in that.
        """
        from logq.logs.growing import grow_log

        known = self.folder.log
        grown = grow_log(self.model.known.log(self.model.columns_known) if known is None else known, log)
        if not grown.is_new.any():
            raise BadInputError(
                f"{path}: expected new events, got {len(log):,} that the log of {self.place} has already; nothing was "
                "changed"
            )
        return grown

    def took_in(self, grown: "GrownLog") -> str:
        """What is new, as a sentence."""
        new = grown.log.select(grown.is_new)
        users, items = (len(set(codes.tolist())) for codes in (new.users, new.items))
        known = self.model.known
        counts = grown.log.num_users - known.num_users, grown.log.num_items - known.num_items
        text = (
            f"Took in {plural(len(new), 'new event')} of {plural(users, 'user')} ({counts[0]:,} new) and "
            f"{plural(items, 'item')} ({counts[1]:,} new)"
        )
        if not grown.repeated:
            return f"{text}."
        return f"{text}; {plural(grown.repeated, 'event')} {'was' if grown.repeated == 1 else 'were'} known already."

    def titles(self, read: list[str] | None, items: int) -> list[str] | None:
        """Titles of all items by code: those that were read, and the earlier ones where there are none."""
        before = self.folder.titles
        if before is None:
            return read
        before = [*before, *[""] * (items - len(before))]
        return before if read is None else [new or old for new, old in zip(read, before, strict=True)]
