"""`logq train item2vec`, airbnb and eges: vectors of items from sessions."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from logq.cli.choice_names import ObjectiveName, SamplerName, listed
from logq.cli.errors import BadInputError
from logq.cli.help import HelpfulCommand
from logq.cli.keeping_options import LogArgument, OutputFolder, Quiet, TrainingPlan
from logq.cli.log_options import LogOptions
from logq.cli.neural_options import NoPretraining, estimator_arguments
from logq.cli.option_groups import spread
from logq.cli.recommender_training import train_recommender
from logq.cli.train import train

if TYPE_CHECKING:
    from logq.logs import Interactions

__all__ = ["EXAMPLES"]

_MODEL, _TRAINING = "Model", "Training"

EXAMPLES = {
    "item2vec": """
logq train item2vec ratings.csv -o items
logq train item2vec log.txt --format sessions -o items --validation none
logq train item2vec baskets.csv -o items --unordered --window 200
""",
    "airbnb": """
logq train airbnb clicks.csv -o listings --booking booked --market city
logq train airbnb clicks.csv -o listings --booking "action=clickout item"
""",
    "eges": """
logq train eges clicks.csv -o items --item-features items.csv
logq train eges log.txt --format sessions -o items --validation none
""",
}

Dim = Annotated[int, typer.Option(metavar="N", min=1, help="Numbers in a vector.", rich_help_panel=_MODEL)]
Window = Annotated[
    int, typer.Option(metavar="N", min=1, help="Items to look at on each side, at most.", rich_help_panel=_MODEL)
]
Recency = Annotated[
    float,
    typer.Option(
        metavar="X", help="A user is a mean in which each older item counts so much less.", rich_help_panel=_MODEL
    ),
]
Gap = Annotated[
    float | None,
    typer.Option(metavar="X", help="A pause that ends a session, in the unit of the times.", rich_help_panel=_MODEL),
]


@dataclass(frozen=True)
class Item2VecOptions:
    """Arguments of logq.recommenders.Item2Vec."""

    dim: Dim = 128
    window: Window = 5
    ordered: Annotated[
        bool, typer.Option("--ordered/--unordered", help="Whether the order of events matters.", rich_help_panel=_MODEL)
    ] = True
    gap: Gap = None
    recency: Recency = 0.6
    popularity: Annotated[
        float, typer.Option(metavar="X", help="How much log counts add to scores.", rich_help_panel=_MODEL)
    ] = 0.5
    objective: Annotated[
        ObjectiveName,
        typer.Option(
            metavar="NAME",
            help="Loss: " + listed(ObjectiveName) + ".",
            rich_help_panel="Loss",
        ),
    ] = ObjectiveName["negative_sampling"]
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help="Law of the negatives: " + listed(SamplerName) + ".",
            rich_help_panel="Loss",
        ),
    ] = None
    negatives: Annotated[
        int, typer.Option(metavar="N", min=1, help="Negatives for each pair.", rich_help_panel="Loss")
    ] = 5
    power: Annotated[
        float, typer.Option(metavar="X", help="Exponent of the counts in the unigram law.", rich_help_panel="Loss")
    ] = 0.75
    sample: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Skip items more frequent than this share now and then.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0.0
    max_length: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Most recent events of a user to look at.", rich_help_panel=_TRAINING),
    ] = 50
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Times to read the log.", rich_help_panel=_TRAINING)
    ] = 20
    lr: Annotated[float, typer.Option(metavar="X", help="First learning rate.", rich_help_panel=_TRAINING)] = 0.025
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Threads. Default: all cores, or one with --seed.", rich_help_panel=_TRAINING
        ),
    ] = None
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Makes a run repeatable.", rich_help_panel=_TRAINING)
    ] = None


@dataclass(frozen=True)
class AirbnbOptions:
    """Arguments of logq.recommenders.AirbnbEmbeddings."""

    dim: Dim = 32
    booking: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="Column that is not 0, or has this value, where one books.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    market: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of the market; some negatives come from it.", rich_help_panel=_MODEL),
    ] = None
    num_in_market: Annotated[
        int, typer.Option(metavar="N", min=1, help="Negatives from the market.", rich_help_panel=_MODEL)
    ] = 5
    window: Window = 5
    recency: Recency = 0.6
    gap: Gap = None


@dataclass(frozen=True)
class EGESOptions:
    """Arguments of logq.recommenders.EGES."""

    dim: Dim = 64
    walks_per_item: Annotated[
        int, typer.Option(metavar="N", min=1, help="Walks that start at each item.", rich_help_panel=_MODEL)
    ] = 10
    walk_length: Annotated[int, typer.Option(metavar="N", min=2, help="Items of a walk.", rich_help_panel=_MODEL)] = 10
    window: Window = 5
    recency: Recency = 0.6
    gap: Gap = None


@dataclass(frozen=True)
class SkipGramTraining(NoPretraining):
    """What skip-gram does otherwise: a few negatives a pair, and no stopping before the end."""

    objective: Annotated[
        ObjectiveName,
        typer.Option(metavar="NAME", help=listed(ObjectiveName) + ".", rich_help_panel="Loss"),
    ] = ObjectiveName["negative_sampling"]
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help="Law of the negatives: " + listed(SamplerName) + ".",
            rich_help_panel="Loss",
        ),
    ] = SamplerName["unigram"]
    num_sampled: Annotated[
        int, typer.Option(metavar="N", min=1, help="Negatives for each pair.", rich_help_panel="Loss")
    ] = 5
    shared_negatives: Annotated[
        bool,
        typer.Option(
            "--shared-negatives/--own-negatives", help="One sample a batch, or one a pair.", rich_help_panel="Loss"
        ),
    ] = False
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Times to read the log.", rich_help_panel=_TRAINING)
    ] = 5
    lr: Annotated[float, typer.Option(metavar="X", help="Learning rate of Adam.", rich_help_panel=_TRAINING)] = 5e-3
    patience: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Looks without progress that end it; 0 trains on.", rich_help_panel="Stopping"
        ),
    ] = 0


def _item2vec(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: Item2VecOptions,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train Item2Vec: word2vec over what users did.

    The quickest: it runs in the compiled word2vec engine on all cores. Items that stand near each other in histories or
    sessions get similar vectors (Barkan and Koenigstein 2016).
    """
    train_recommender("Item2Vec", log, output, columns, estimator_arguments(model), plan, quiet=quiet)


def _airbnb(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: AirbnbOptions,
    training: SkipGramTraining,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train Airbnb's listing embeddings: click sessions that end in a booking.

    A listing is to be found from those clicked around it, and what was booked from all that was clicked before; some
    negatives come from the same market (Grbovic and Cheng 2018).
    """
    column, _, value = (model.booking or "").partition("=")
    further = [name for name in (column, model.market) if name]

    def with_bookings(found: "Interactions") -> "Interactions":
        if not value:
            return found
        if column not in found.column_ids:
            raise BadInputError(f"--booking: expected a column of names before =, {column!r} has numbers")
        code = int(found.column_ids[column].codes([value])[0])
        if code < 0:
            known = ", ".join(map(repr, found.column_ids[column].keys[:8].tolist()))
            raise BadInputError(f"--booking: {column!r} never is {value!r}; it is {known}")
        return dataclasses.replace(
            found, columns={**found.columns, column: (found.columns[column] == code).astype("f4")}
        )

    arguments = {**estimator_arguments(training, model), "booking": column or None}
    train_recommender(
        "AirbnbEmbeddings", log, output, columns, arguments, plan, further=further, prepare=with_bookings, quiet=quiet
    )


def _eges(
    log: LogArgument,
    output: OutputFolder,
    columns: LogOptions,
    model: EGESOptions,
    training: SkipGramTraining,
    plan: TrainingPlan,
    quiet: Quiet = False,
) -> None:
    """Train EGES: walks through the graph of what followed what, with side information.

    For items of which more is known than the log says: each is a mix of its id and its features, so that new ones
    have vectors (Wang et al. 2018).
    """
    train_recommender("EGES", log, output, columns, estimator_arguments(training, model), plan, quiet=quiet)


for _name, _function in {"item2vec": _item2vec, "airbnb": _airbnb, "eges": _eges}.items():
    train.command(_name, cls=HelpfulCommand, epilog=EXAMPLES[_name])(spread(_function))
