"""`logq train youtube-dnn`, mind, sdm, two-tower and sasrec: neural recommenders from an interaction log."""

from dataclasses import dataclass
from typing import Annotated

import typer

from logq.cli.choice_names import SamplerName, listed
from logq.cli.help import HelpfulCommand
from logq.cli.keeping_options import LogArgument, OutputFolder, Quiet, TrainingPlan
from logq.cli.log_options import LogOptions
from logq.cli.neural_options import NeuralTraining, NoPretraining, estimator_arguments
from logq.cli.option_groups import spread
from logq.cli.recommender_training import train_recommender
from logq.cli.train import train

__all__ = ["EXAMPLES"]

_MODEL = "Model"

EXAMPLES = {
    "youtube-dnn": """
logq train youtube-dnn ratings.csv --user uid --item iid -o model
logq train youtube-dnn log.csv -o model --user-features users.csv
logq train youtube-dnn log.parquet -o model --objective nce
logq train youtube-dnn ratings.csv -o model --resume
""",
    "mind": """
logq train mind ratings.csv -o model
logq train mind ratings.csv -o model --interests 2 --max-length 100
""",
    "sdm": """
logq train sdm ratings.csv -o model
logq train sdm log.csv -o model --short-length 5 --item-features items.csv
""",
    "two-tower": """
logq train two-tower ratings.csv -o model --item-features items.csv
logq train two-tower log.csv -o model --batch-size 2048 --temperature 0.1
""",
    "sasrec": """
logq train sasrec ratings.csv -o model
logq train sasrec ratings.csv -o model --validation none --epochs 12
logq train sasrec ratings.csv -o model --device cuda --precision auto
logq train sasrec ratings.csv -o model --objective gbce --num-sampled 256
""",
}

Dim = Annotated[int, typer.Option(metavar="N", min=1, help="Numbers in a vector.", rich_help_panel=_MODEL)]
Hidden = Annotated[str, typer.Option(metavar="N,N", help="Widths of the ReLU layers.", rich_help_panel=_MODEL)]
FeatureDim = Annotated[
    int, typer.Option(metavar="N", min=1, help="Numbers in the vector of a feature.", rich_help_panel=_MODEL)
]
Heads = Annotated[int, typer.Option(metavar="N", min=1, help="Heads of attention.", rich_help_panel=_MODEL)]
Dropout = Annotated[
    float, typer.Option(metavar="X", min=0.0, max=0.999, help="Share of numbers to leave out.", rich_help_panel=_MODEL)
]
Tied = Annotated[
    bool,
    typer.Option(
        "--tied/--untied", help="One table for items of a history and items to find, or two.", rich_help_panel=_MODEL
    ),
]
UserVectors = Annotated[
    bool, typer.Option("--user-vectors", help="A vector of its own for each user.", rich_help_panel=_MODEL)
]
UserDropout = Annotated[
    float,
    typer.Option(
        metavar="X", min=0.0, max=0.999, help="How often a user counts as unknown in training.", rich_help_panel=_MODEL
    ),
]


Context = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="COLUMN",
        help="A column known when a user asks, such as a search or a device. Repeatable.",
        rich_help_panel=_MODEL,
    ),
]


@dataclass(frozen=True)
class YoutubeDNNOptions:
    """Arguments of logq.recommenders.YoutubeDNN."""

    dim: Dim = 64
    hidden: Hidden = "256,128"
    feature_dim: FeatureDim = 16
    example_age: Annotated[
        bool,
        typer.Option("--example-age", help="The age of an example is an input; wants times.", rich_help_panel=_MODEL),
    ] = False
    context: Context = None
    item_bias: Annotated[bool, typer.Option("--item-bias", help="Items have a bias.", rich_help_panel=_MODEL)] = False
    tied: Tied = False
    max_per_user: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Learn from so many events of a user at most, drawn.", rich_help_panel=_MODEL
        ),
    ] = None
    dropout: Dropout = 0.0


@dataclass(frozen=True)
class MINDOptions:
    """Arguments of logq.recommenders.MIND."""

    dim: Dim = 64
    interests: Annotated[
        int, typer.Option(metavar="N", min=1, help="Interests of a user, at most.", rich_help_panel=_MODEL)
    ] = 4
    adaptive: Annotated[
        bool,
        typer.Option("--adaptive/--fixed", help="Fewer interests for short histories, or not.", rich_help_panel=_MODEL),
    ] = True
    passes: Annotated[int, typer.Option(metavar="N", min=1, help="Of the routing.", rich_help_panel=_MODEL)] = 3
    power: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Of the label-aware attention; inf takes the best interest.",
            rich_help_panel=_MODEL,
        ),
    ] = 2.0
    hidden: Hidden = "256"
    feature_dim: FeatureDim = 16
    learned_routing: Annotated[
        bool, typer.Option("--learned-routing", help="Train the routing's first logits.", rich_help_panel=_MODEL)
    ] = False
    tied: Tied = True
    dropout: Dropout = 0.0


@dataclass(frozen=True)
class SDMOptions:
    """Arguments of logq.recommenders.SDM."""

    dim: Dim = 64
    short_length: Annotated[
        int, typer.Option(metavar="N", min=1, help="Events of the running session.", rich_help_panel=_MODEL)
    ] = 10
    heads: Heads = 4
    user_vectors: UserVectors = False
    user_dropout: UserDropout = 0.1
    dropout: Dropout = 0.0
    tied: Tied = True


@dataclass(frozen=True)
class TwoTowerOptions:
    """Arguments of logq.recommenders.TwoTower."""

    dim: Dim = 64
    hidden: Hidden = "256"
    item_hidden: Annotated[
        str, typer.Option(metavar="N,N", help="The same of the items' tower.", rich_help_panel=_MODEL)
    ] = "256"
    id_dim: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Numbers in the vector of an id. Default: --dim.", rich_help_panel=_MODEL
        ),
    ] = None
    feature_dim: FeatureDim = 16
    context: Context = None
    id_dropout: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0.0,
            max=0.999,
            help="How often an item counts as unknown in training.",
            rich_help_panel=_MODEL,
        ),
    ] = 0.1
    user_vectors: UserVectors = False
    user_dropout: UserDropout = 0.1
    dropout: Dropout = 0.0


@dataclass(frozen=True)
class SASRecOptions:
    """Arguments of logq.recommenders.SASRec."""

    dim: Dim = 64
    blocks: Annotated[int, typer.Option(metavar="N", min=1, help="Blocks of attention.", rich_help_panel=_MODEL)] = 2
    heads: Heads = 1
    hidden: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Width of the layer after attention. Default: --dim.", rich_help_panel=_MODEL
        ),
    ] = None
    dropout: Dropout = 0.2
    tied: Tied = True
    overlap: Annotated[
        int, typer.Option(metavar="N", min=0, help="Events a window repeats of the one before.", rich_help_panel=_MODEL)
    ] = 0
    last_only: Annotated[
        bool,
        typer.Option("--last-only", help="Learn from the last window of a user only.", rich_help_panel=_MODEL),
    ] = False


@dataclass(frozen=True)
class TwoTowerTraining(NoPretraining):
    """What TwoTower does otherwise: cosines, and the other targets of a batch as negatives."""

    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help="Law of the negatives: " + listed(SamplerName) + ". Default: in_batch.",
            rich_help_panel="Loss",
        ),
    ] = None
    cosine: Annotated[bool, typer.Option("--cosine", hidden=True)] = False  # the towers make cosines anyway
    temperature: Annotated[float, typer.Option(metavar="X", help="Divides the cosines.", rich_help_panel="Loss")] = 0.05


@dataclass(frozen=True)
class SASRecTraining(NeuralTraining):
    """What SASRec does otherwise: long windows, and few of them in a batch."""

    max_length: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Events in a window.", rich_help_panel="Training"),
    ] = 200
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Windows in a step.", rich_help_panel="Training")
    ] = 64


def _youtube_dnn(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: YoutubeDNNOptions,
    training: NeuralTraining,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train YoutubeDNN: a mean of what a user did, through ReLU layers.

    The plain strong start: quick to train, and it takes features of users. A softmax over a sample of items learns
    which item comes next after each event of a user (Covington et al. 2016).
    """
    arguments = estimator_arguments(training, model)
    train_recommender("YoutubeDNN", log, output, columns, arguments, plan, further=arguments["context"], quiet=quiet)


def _mind(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: MINDOptions,
    training: NeuralTraining,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train MIND: several interests a user, by dynamic routing.

    For users who want different things: a user is several vectors, and an item is as good as it is for the nearest of
    them (Li et al. 2019).
    """
    train_recommender("MIND", log, output, columns, estimator_arguments(training, model), plan, quiet=quiet)


def _sdm(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: SDMOptions,
    training: NeuralTraining,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train SDM: the running session and the long past of a user, mixed by a gate.

    For shops, where what somebody wants now is one thing and what they like another. Takes features of users and items
    (Lv et al. 2019).
    """
    train_recommender("SDM", log, output, columns, estimator_arguments(training, model), plan, quiet=quiet)


def _two_tower(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: TwoTowerOptions,
    training: TwoTowerTraining,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train two towers: one for users, one for items, with features of both.

    For items that come and go: an item is its features too, so that new ones have vectors. Trained by softmax over the
    other items of a batch, corrected by log Q (Yi et al. 2019).
    """
    arguments = estimator_arguments(training, model)
    train_recommender("TwoTower", log, output, columns, arguments, plan, further=arguments["context"], quiet=quiet)


def _sasrec(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: SASRecOptions,
    training: SASRecTraining,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train SASRec: self-attention over what a user did, in order.

    The strongest on most logs where order matters, and slower to train than the others (Kang and McAuley 2018).
    """
    train_recommender("SASRec", log, output, columns, estimator_arguments(training, model), plan, quiet=quiet)


_COMMANDS = {"youtube-dnn": _youtube_dnn, "mind": _mind, "sdm": _sdm, "two-tower": _two_tower, "sasrec": _sasrec}
for _name, _function in _COMMANDS.items():
    train.command(_name, cls=HelpfulCommand, epilog=EXAMPLES[_name])(spread(_function))
