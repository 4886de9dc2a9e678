"""NeuralConfig: the arguments that all neural recommenders take, and those that several of them share."""

from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, ClassVar, TypeAlias

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.recommenders.events.augmentation import AugmentationConfig
from logq.recommenders.neural.sharding_config import ShardingConfig
from logq.samplers.registry import SamplerChoice, check_in_batch_share
from logq.training.config import Above, AtLeast, AtMost, Below, Check, Config, Help, OneOf, TriedValues, configclass

__all__ = [
    "MAX_DROPOUT",
    "METRICS",
    "RECENCY",
    "ContentConfig",
    "ContextConfig",
    "Dropout",
    "FeatureDim",
    "Gap",
    "Hidden",
    "MaxLength",
    "NeuralConfig",
    "Recency",
    "SkipGramConfig",
    "Tied",
    "UserDropout",
    "UserVectors",
    "WarmConfig",
]

METRICS = ("hr", "recall", "ndcg", "mrr", "map")
"""What training can be stopped by."""

MAX_DROPOUT = 0.999

Dropout: TypeAlias = Annotated[
    float, AtLeast(0), AtMost(MAX_DROPOUT), TriedValues(0, 0.6), Help("Dropout rate of hidden layers.", group="Model")
]
MaxLength: TypeAlias = Annotated[int, AtLeast(1), Help("Maximum length of a history; the latest events are kept.")]
FeatureDim: TypeAlias = Annotated[int, AtLeast(1), Help("Dimension of the vector of each feature.")]
Hidden: TypeAlias = Annotated[Sequence[int], AtLeast(1), Help("Widths of the ReLU layers.")]
Tied: TypeAlias = Annotated[
    bool,
    Help(
        "Whether items of a history and items to find share one table.",
        typed="Share one item table between histories and targets, or learn two.",
        flag="--tied/--untied",
    ),
]
UserVectors: TypeAlias = Annotated[
    bool,
    Help(
        "Whether each user has a vector of their own; unknown users have a learned one.",
        typed="Learn a vector for each user.",
    ),
]
UserDropout: TypeAlias = Annotated[
    float,
    AtLeast(0),
    AtMost(MAX_DROPOUT),
    Help(
        "Share of users that count as unknown in training.",
        more="Above 0 where unknown users will be asked about; only with user_vectors.",
        typed="Share of users treated as unknown in training, with --user-vectors.",
    ),
]


def _check_monitor(name: str, value: object) -> str:
    metric, _, k = value.partition("@") if isinstance(value, str) else ("", "", "")
    if metric not in METRICS or not k.isdecimal() or int(k) < 1:
        raise ArgumentError(name, f"one of {', '.join(METRICS)} with a cut-off, such as 'ndcg@10'", value)
    return str(value)


@configclass(group="Continuing")
class WarmConfig(Config):
    """How a fitted model goes on with a log that grew: `fit(log, warm=True)`, `logq train NAME LOG --continue`.

    Example:
        >>> WarmConfig(replay=0.5).replay
        0.5
    """

    warm_epochs: Annotated[
        int,
        AtLeast(1),
        Help("Passes over the new events of a log that has grown, with the old ones replayed."),
    ] = 4
    warm_lr: Annotated[
        float | None,
        Above(0),
        Help(
            "Learning rate for a log that has grown; None takes a quarter of `lr`.",
            more="What was learned is lost at a rate that suits first weights.",
            typed="Learning rate for a log that has grown.",
            default="lr / 4",
        ),
    ] = None
    replay: Annotated[
        float,
        AtLeast(0),
        Help(
            "Number of old events to replay for each new one of a log that has grown.",
            more="They are those of users chosen at random, so that what was learned of others is not forgotten.",
        ),
    ] = 1.0


@configclass(group="Training")
class NeuralConfig(WarmConfig, AugmentationConfig, ShardingConfig):
    """The arguments that all neural recommenders take.

    Example:
        >>> NeuralConfig(32, lr=0.01).batch_size
        512
    """

    has_item_table: ClassVar[bool] = True
    """Whether items have a table, which may start from vectors that were learned elsewhere."""

    learns_next: ClassVar[bool] = True
    """Whether the items to find are those of events that come next, which may have weights and further ones behind."""

    dim: Annotated[
        int,
        AtLeast(1),
        TriedValues(choices=(32, 64, 128, 256)),
        Help("Dimension of the vectors of users and items.", group="Model"),
    ] = field(default=64, kw_only=False)
    in_batch_share: Annotated[
        float,
        AtLeast(0),
        Below(1),
        Help(
            "Share of the negatives that are taken from the targets of the batch; the sampler draws the rest.",
            more="Mixed negatives: log Q is that of the mixture, share S q(y) + Q(y) of the rest. 0 takes none.",
            typed="Share of the negatives that are taken from the targets of the batch (mixed negatives).",
            group="Loss",
        ),
    ] = 0.0
    unseen_negatives: Annotated[
        bool,
        Help(
            "Whether items that the user has already seen are left out of the negatives.",
            more="Then P is learned among the items that are new to the user, which is what ranking without seen items "
            "asks for.",
            typed="Draw no negatives that the user has already seen.",
            group="Loss",
        ),
    ] = False
    false_negatives: Annotated[
        float | None,
        Above(0),
        AtMost(1),
        Help(
            "Cosine with the target item at or above which a sampled item is no negative; {none} keeps all.",
            more="It may be one that the user would like as well. Log Q of the others stays, so that what is learned "
            "leaves similar items out on purpose.",
            none="0",
            group="Loss",
        ),
    ] = None
    false_negatives_by: Annotated[
        str,
        OneOf("item", "query"),
        Help(
            "What `false_negatives` compares by",
            more='"item": the vectors of both items. "query": cosines with the query, relative to that of the item to '
            "find (NV-Retriever's positive-aware threshold).",
            group="Loss",
        ),
    ] = "item"
    extra_negatives: Annotated[
        str | None,
        Help(
            "Column of the log with more negatives beside the sample, such as items shown and not chosen.",
            more="Ids with spaces between them, as many as each event has. They are certain, so that no log Q is "
            "subtracted of them. Ids that are not in the log are left out.",
            typed="Column with more negatives beside the sample: ids of items, separated by spaces.",
            group="Loss",
            metavar="COLUMN",
        ),
    ] = None
    weights: Annotated[
        str | None,
        Help(
            "Column of the log with the weight of each event as a target in the mean loss; None weighs all alike.",
            more="P(y|x) is then that of a log in which each event occurs that often. 'label' is that of the labels.",
            typed="Column with the weight of each event as a target in the mean loss.",
            group="Loss",
            metavar="COLUMN",
        ),
    ] = None
    future: Annotated[
        int,
        AtLeast(1),
        Help(
            "Number of next items that a query is trained to find, not just the first.",
            more="Training takes that many times the losses, but not the queries.",
            group="Loss",
        ),
    ] = 1
    future_decay: Annotated[
        float,
        Above(0),
        AtMost(1),
        Help("Weight of each further next item relative to the one before it, with `future`.", group="Loss"),
    ] = 1.0
    calibration: Annotated[
        float, AtLeast(0), AtMost(1), Help("Calibration t of gBCE, from 0 to 1.", group="Loss", metavar="T")
    ] = 0.75
    temperature: Annotated[float, Above(0), Help("Temperature that divides the logits.", group="Loss")] = 1.0
    cosine: Annotated[
        bool,
        Help(
            "Whether logits are cosines, which need a temperature well below 1, such as 0.05.",
            typed="Use cosines as logits; they need a low temperature.",
            group="Loss",
        ),
    ] = False
    max_length: MaxLength = 50
    pretrain: Annotated[
        int,
        AtLeast(0),
        Help(
            "Epochs of skip-gram over the log to pretrain the item vectors; 0 starts from random ones.",
            more="By the compiled engine, in seconds.",
        ),
    ] = 0
    monitor: Annotated[
        str,
        Check(_check_monitor),
        Help("Metric for early stopping, such as ndcg@10, hr@50 or recall@20.", group="Stopping", metavar="NAME@K"),
    ] = "ndcg@10"
    refit: Annotated[
        bool,
        Help(
            "Whether to then retrain on train and validation together, for as many epochs as validation chose.",
            more="From new weights, with the learning rates that these epochs had; the second training has no "
            "validation. A time budget is divided between the two.",
            typed="Then retrain on train and validation together, for as many epochs as validation chose.",
            group="Stopping",
        ),
    ] = False
    validation_users: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Maximum number of users who validate, chosen at random; {none} takes all.",
            more="What was held out of all others is learned from, too, so that training does not lack the latest "
            "events of most users. They are in the model, as with `refit`; a test part stays apart.",
            none="0",
            group="Stopping",
        ),
    ] = None
    exclude_seen: Annotated[
        bool,
        Help(
            "Whether validation leaves out what a user's history has, as `evaluate` does.",
            more="Where most events are of such items and fewer than 100 are left, it ranks them after all.",
            typed="Also rank items that the user has already seen, in validation.",
            flag="--keep-seen",
            negated=True,
            group="Stopping",
        ),
    ] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.in_batch_share:
            if not self.samples:
                expected = f"0, as {self.objective} draws no negatives"
                raise ArgumentError("in_batch_share", expected, self.in_batch_share)
            known = None if self.options()["num_sampled"].is_auto(self.num_sampled) else self.num_sampled
            check_in_batch_share(self.in_batch_share, self.sampler, known)
        for name in ("unseen_negatives", "false_negatives", "extra_negatives"):
            if getattr(self, name) and not self.samples:
                expected = f"{self.options()[name].default}, as {self.objective} draws no negatives"
                raise ArgumentError(name, expected, getattr(self, name))
        for name in () if self.learns_next else ("weights", "future", "extra_negatives", "crop", "mask"):
            default = self.options()[name].default
            if getattr(self, name) != default:
                reason = f"as {type(self).__name__} learns from windows around an event"
                raise ArgumentError(name, f"{default}, {reason}", getattr(self, name))
        if self.pretrain and not self.has_item_table:
            raise ArgumentError(
                "pretrain",
                "0",
                self.pretrain,
                f"{type(self).__name__} has no table of items that could start from other vectors",
            )


def _check_context(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ArgumentTypeError(name, "a sequence of names of columns", value)
    for number, column in enumerate(value):
        if not isinstance(column, str):
            raise ArgumentTypeError(name, "names of columns", column)
        if column in value[:number]:
            raise ArgumentError(name, "different columns", Verbatim(f"{column!r} twice"))
    return tuple(value)


@configclass(group="Model")
class ContextConfig(Config):
    """The argument of models whose queries also depend on the context of a request.

    Example:
        >>> ContextConfig(context=["query"]).context
        ('query',)
    """

    context: Annotated[
        Sequence[str],
        Check(_check_context),
        Help(
            "Columns of categories of the log that are inputs too, such as a search query, a market or a device.",
            more="They are known for each event of the log; `recommend(context=...)` gives them for a request.",
            typed="Column of the log with the context of a request, such as a query or a device. Repeatable.",
            metavar="COLUMN",
            repeated=True,
        ),
    ] = ()


@configclass(group="Model")
class ContentConfig(Config):
    """The arguments of models whose items may be more than an id.

    Example:
        >>> ContentConfig(content="sum").id_dropout
        0.1
    """

    content: Annotated[
        str,
        OneOf("none", "sum", "network"),
        Help(
            "How features of items enter the vectors of items",
            more="Beside the vector of the id: none leaves them out, sum adds a vector for each feature, network "
            "puts these through a ReLU layer first. Items that came after training then have vectors too.",
        ),
    ] = "none"
    id_dropout: Annotated[
        float,
        AtLeast(0),
        AtMost(MAX_DROPOUT),
        Help("Share of items treated as unknown in training, so that their features alone learn to represent them."),
    ] = 0.1


RECENCY = 0.6
"""Where the last item tells most of what comes next, as in films, goods and songs."""

Recency: TypeAlias = Annotated[
    float,
    Above(0),
    AtMost(1),
    Help("Weight of each item of a history relative to the next one.", more="1 weighs all alike."),
]
Gap: TypeAlias = Annotated[
    float | None,
    AtLeast(0),
    Help(
        "Longest pause within a session, in the unit of the log's times; None for no limit.",
        typed="Longest pause within a session, in the unit of the log's times.",
    ),
]


@configclass(group="Model")
class SkipGramConfig(NeuralConfig):
    """The arguments of models that learn items from the windows of sessions or walks, as skip-gram learns words.

    Example:
        >>> SkipGramConfig().objective, SkipGramConfig().sampler, SkipGramConfig(objective="nce").sampler
        ('negative_sampling', 'unigram', 'unigram')
    """

    has_item_table: ClassVar[bool] = False
    learns_next: ClassVar[bool] = False
    default_sampler: ClassVar[str] = "unigram"

    window: Annotated[
        int, AtLeast(1), TriedValues(1, 9), Help("Maximum distance of items that count as neighbors.")
    ] = 5
    recency: Recency = RECENCY
    gap: Gap = None
    objective = "negative_sampling"
    sampler: Annotated[SamplerChoice | None, Help(default="unigram")] = None
    num_sampled: Annotated[int, Help("Number of negatives per pair.")] = 5
    shared_negatives = False
    batch_size: Annotated[int, Help("Windows in a batch.")] = 512
    epochs = 5
    lr = 5e-3
    patience = None
    extra_negatives: Annotated[str | None, Help(hidden=True)] = None
    weights: Annotated[str | None, Help(hidden=True)] = None
    future: Annotated[int, Help(hidden=True)] = 1
    future_decay: Annotated[float, Help(hidden=True)] = 1.0
    pretrain: Annotated[int, Help(hidden=True)] = 0
    crop: Annotated[float, Help(hidden=True)] = 0.0
    mask: Annotated[float, Help(hidden=True)] = 0.0
