"""The options of every command that trains on a log: where to, what is held out, and what is kept on the way."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HeldOut", "LogArgument", "OutputFolder", "Quiet", "TrainingPlan"]

LogArgument = Annotated[Path, typer.Argument(metavar="LOG", help="Who did what: a line an event, or a session a line.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the model.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")]


class HeldOut(str, Enum):
    """What is held out of training."""

    last = "last"
    time = "time"
    none = "none"


@dataclass(frozen=True)
class TrainingPlan:
    """What is held out, and what is kept beside the model."""

    validation: Annotated[
        HeldOut,
        typer.Option(
            metavar="NAME",
            help="What is held out: the last two events of each user (one to stop by, one for `logq evaluate`); by "
            "time, the last two tenths; or none: train on all.",
            rich_help_panel="Stopping",
        ),
    ] = HeldOut.last
    checkpoint_minutes: Annotated[
        float,
        typer.Option(
            metavar="X", min=0.0, help="Save a checkpoint so often, and on Ctrl-C.", rich_help_panel="Keeping"
        ),
    ] = 10.0
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the checkpoint in DIR, with the same options.", rich_help_panel="Keeping"
        ),
    ] = False
