"""The options of every neural recommender: its loss, how it is trained, and when it stops."""

from dataclasses import dataclass, fields
from enum import Enum
from typing import Annotated, Any

import typer

from logq.cli.choice_names import ObjectiveName, SamplerName, listed
from logq.cli.errors import BadInputError

__all__ = ["NeuralTraining", "NoPretraining", "PrecisionName", "estimator_arguments"]

_LOSS, _TRAINING, _STOPPING = "Loss", "Training", "Stopping"


class PrecisionName(str, Enum):
    """Numbers that a model computes with, as logq.recommenders names them."""

    float32 = "float32"
    bf16 = "bf16"
    auto = "auto"


class DecayName(str, Enum):
    """Laws by which a learning rate falls."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"


@dataclass(frozen=True)
class NeuralTraining:
    """Arguments of logq.recommenders.NeuralRecommender, under their own names."""

    objective: Annotated[
        ObjectiveName,
        typer.Option(metavar="NAME", help=listed(ObjectiveName) + ".", rich_help_panel=_LOSS),
    ] = ObjectiveName["sampled_softmax"]
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help="Law of the negatives: " + listed(SamplerName) + ". Default: log_uniform.",
            rich_help_panel=_LOSS,
        ),
    ] = None
    num_sampled: Annotated[int, typer.Option(metavar="N", min=1, help="How many negatives.", rich_help_panel=_LOSS)] = (
        512
    )
    shared_negatives: Annotated[
        bool,
        typer.Option(
            "--shared-negatives/--own-negatives", help="One sample a batch, or one a row.", rich_help_panel=_LOSS
        ),
    ] = True
    unseen_negatives: Annotated[
        bool,
        typer.Option("--unseen-negatives", help="No negatives of what a user had before.", rich_help_panel=_LOSS),
    ] = False
    unigram_power: Annotated[
        float, typer.Option(metavar="X", help="Exponent of the counts, for unigram.", rich_help_panel=_LOSS)
    ] = 0.75
    log_q: Annotated[
        bool,
        typer.Option("--log-q/--no-log-q", help="Whether log Q is accounted for.", rich_help_panel=_LOSS),
    ] = True
    calibration: Annotated[
        float, typer.Option(metavar="T", min=0.0, max=1.0, help="t of gBCE, 0 to 1.", rich_help_panel=_LOSS)
    ] = 0.75
    temperature: Annotated[float, typer.Option(metavar="X", help="Divides the logits.", rich_help_panel=_LOSS)] = 1.0
    cosine: Annotated[
        bool, typer.Option("--cosine", help="Logits are cosines; wants a low temperature.", rich_help_panel=_LOSS)
    ] = False
    max_length: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Most recent events of a user to look at.", rich_help_panel=_TRAINING),
    ] = 50
    pretrain: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Start items from skip-gram vectors of N passes, which take seconds; 0: from random ones.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Times to read the log, at most.", rich_help_panel=_TRAINING)
    ] = 20
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Rows in a step.", rich_help_panel=_TRAINING)] = (
        512
    )
    lr: Annotated[float, typer.Option(metavar="X", help="Learning rate of Adam.", rich_help_panel=_TRAINING)] = 1e-3
    decay: Annotated[
        DecayName,
        typer.Option(metavar="NAME", help="constant, linear or cosine: how it falls.", rich_help_panel=_TRAINING),
    ] = DecayName.constant
    warmup: Annotated[
        int, typer.Option(metavar="N", min=0, help="Steps in which it grows first.", rich_help_panel=_TRAINING)
    ] = 0
    weight_decay: Annotated[float, typer.Option(metavar="X", min=0.0, help="Of Adam.", rich_help_panel=_TRAINING)] = 0.0
    clip: Annotated[
        float | None, typer.Option(metavar="X", help="Largest norm of gradients.", rich_help_panel=_TRAINING)
    ] = None
    ema: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Answer with an average of the weights, such as 0.999.", rich_help_panel=_TRAINING
        ),
    ] = None
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Makes a run repeatable.", rich_help_panel=_TRAINING)
    ] = None
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, ...", rich_help_panel=_TRAINING)] = (
        "cpu"
    )
    precision: Annotated[
        PrecisionName,
        typer.Option(metavar="NAME", help="float32, bf16, or auto: bf16 where it is fast.", rich_help_panel=_TRAINING),
    ] = PrecisionName.float32
    monitor: Annotated[
        str, typer.Option(metavar="METRIC", help="What to stop by, such as hr@50.", rich_help_panel=_STOPPING)
    ] = "ndcg@10"
    patience: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Looks without progress that end it; 0 trains on.", rich_help_panel=_STOPPING
        ),
    ] = 3
    validate_every: Annotated[
        int, typer.Option(metavar="N", min=1, help="Epochs between two looks.", rich_help_panel=_STOPPING)
    ] = 1
    keep_seen: Annotated[
        bool,
        typer.Option("--keep-seen", help="Rank what a user had before, too, in validation.", rich_help_panel=_STOPPING),
    ] = False


@dataclass(frozen=True)
class NoPretraining(NeuralTraining):
    """The same for models whose items are no plain table: help is silent of vectors that items could start from."""

    pretrain: Annotated[int, typer.Option(metavar="N", min=0, hidden=True)] = 0


def estimator_arguments(*groups: Any) -> dict[str, Any]:
    """Make arguments of an estimator of dataclasses of options: names instead of enums, widths instead of text.

    Raises:
        BadInputError: widths of layers that are no numbers.

    Example:
        >>> arguments = estimator_arguments(NeuralTraining(patience=0, keep_seen=True))
        >>> arguments["objective"], arguments["patience"], arguments["exclude_seen"]
        ('sampled_softmax', None, False)
    """
    values = {field.name: getattr(group, field.name) for group in groups for field in fields(group)}
    for name, value in list(values.items()):
        if isinstance(value, Enum):
            values[name] = value.value
        elif name in ("hidden", "item_hidden") and isinstance(value, str):
            values[name] = _widths(name, value)
    if "keep_seen" in values:
        values["exclude_seen"] = not values.pop("keep_seen")
    if "context" in values:
        values["context"] = tuple(values["context"] or ())
    if values.get("patience") == 0:
        values["patience"] = None
    return values


def _widths(name: str, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = next((part for part in parts if not part.isdecimal() or int(part) < 1), None)
    if wrong is not None:
        raise BadInputError(
            f"--{name.replace('_', '-')}: expected widths such as 256,128 (nothing for no layer), got {wrong!r}"
        )
    return tuple(map(int, parts))
