"""The arguments that trainable models share: what is learned (LossConfig), and how (TrainingConfig)."""

from typing import Annotated, Any, ClassVar, TypeAlias

from logq._arguments import ArgumentError, ArgumentTypeError
from logq.objectives import OBJECTIVES, objective_name
from logq.samplers.registry import SAMPLERS, SamplerChoice, check_sampler
from logq.training.config import Above, AtLeast, AtMost, Check, Config, Help, OneOf, TriedValues, configclass

__all__ = [
    "DECAYS",
    "OPTIMIZERS",
    "PRECISIONS",
    "DeviceConfig",
    "LossConfig",
    "ObjectiveConfig",
    "Seed",
    "TrainingConfig",
    "check_device_name",
    "check_precision",
]

DECAYS = ("constant", "linear", "cosine")
OPTIMIZERS = ("adam", "adagrad", "sgd")
PRECISIONS = ("float32", "bfloat16", "auto")


Seed: TypeAlias = Annotated[
    int | None,
    AtLeast(0),
    Help(
        "Random seed; {none} takes one from the operating system.",
        typed="Random seed; makes a run repeatable.",
        group="Training",
    ),
]


def check_device_name(name: str, value: Any) -> Any:
    """Return the name of a device, or a torch.device; whether there is such a device is asked where it is used.

    Raises:
        ArgumentTypeError: it is neither.

    Example:
        >>> check_device_name("device", "cuda:1")
        'cuda:1'
    """
    if isinstance(value, str) or hasattr(value, "type"):
        return value
    raise ArgumentTypeError(name, "the name of a device, such as 'cpu' or 'cuda'", value)


def check_precision(name: str, value: Any) -> str:
    """Return the name of a precision; "bf16" is another one for "bfloat16".

    Raises:
        ArgumentError: there is no such precision, or training is not exact enough in it.

    Example:
        >>> check_precision("precision", "bf16")
        'bfloat16'
    """
    if value in PRECISIONS:
        return value
    if value == "bf16":
        return "bfloat16"
    small = "small gradients are 0 in float16; bfloat16 has the range of float32" if value == "float16" else ""
    raise ArgumentError(name, f"one of {', '.join(PRECISIONS)}", value, small)


@configclass(group="Loss")
class ObjectiveConfig(Config):
    """What is learned: the objective, and where its negatives come from.

    Example:
        >>> ObjectiveConfig(objective="nce").sampler, ObjectiveConfig(objective="full_softmax").sampler
        ('log_uniform', None)
    """

    default_sampler: ClassVar[str] = "log_uniform"
    """The sampler of objectives that sample, where none was given."""

    objective: Annotated[
        str,
        OneOf(*OBJECTIVES),
        Check(lambda name, value: objective_name(value)),
        Help("Loss", more="See the table in logq.objectives."),
    ] = "sampled_softmax"
    sampler: Annotated[
        SamplerChoice | None,
        OneOf(*SAMPLERS),
        Check(lambda name, value: check_sampler(value)),
        Help(
            "Distribution of the negatives",
            more="Or a function that makes a sampler of the counts of the classes, most frequent first. For "
            "objectives that sample.",
            default="log_uniform",
        ),
    ] = None
    num_sampled: Annotated[
        int,
        AtLeast(1),
        Help(
            "Number of negatives.",
            more="in_batch and every_class have their own number; cross_batch takes that many of earlier batches.",
        ),
    ] = 512
    unigram_power: Annotated[float, Help("Exponent of the counts, for the sampler unigram.")] = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle_sampler()

    def _settle_sampler(self) -> None:
        if self.samples:
            self.sampler = self.sampler or self.default_sampler
        elif self.sampler is not None:
            raise ArgumentError("sampler", f"None, as {self.objective} draws no negatives", self.sampler)

    @property
    def samples(self) -> bool:
        """Whether the objective draws negatives."""
        return OBJECTIVES[self.objective].negatives.sampled


@configclass(group="Loss")
class LossConfig(ObjectiveConfig):
    """How a model is scored while it learns: the objective, its negatives, and the correction by log Q.

    Example:
        >>> LossConfig(objective="nce", log_q=False).settings()["log_q"]
        False
    """

    shared_negatives: Annotated[
        bool,
        Help(
            "Whether a batch shares one sample; otherwise each row has its own.",
            typed="One sample of negatives per batch, or one per row.",
            flag="--shared-negatives/--own-negatives",
        ),
    ] = True
    negatives_of: Annotated[
        str,
        OneOf("world", "node", "rank"),
        Help(
            "Whose targets are in-batch negatives where several processes train",
            more="Those of all processes, of the machine's, or the own ones. Q counts them as if one process had all "
            "these rows: with world 2 processes with 128 rows each learn what one with 256 does.",
        ),
    ] = "world"
    log_q: Annotated[
        bool,
        Help(
            "Whether to correct for the sampling probabilities, log Q.",
            more="It is subtracted in training where the objective says so, and added to the scores of negative "
            "sampling, which are log( P / Q ), to get P. False shows what happens without.",
        ),
    ] = True


@configclass(group="Training")
class DeviceConfig(Config):
    """The argument of everything that computes with torch.

    Example:
        >>> DeviceConfig(device="cuda").settings()
        {}
    """

    device: Annotated[
        Any, Check(check_device_name), Help("Device to train and predict on: cpu, cuda, cuda:1, ...", saved=False)
    ] = "cpu"


@configclass(group="Training")
class TrainingConfig(DeviceConfig):
    """How a model is trained, by the loop of logq.training.

    Example:
        >>> TrainingConfig(epochs=3, decay="cosine").lr
        0.001
    """

    batch_size: Annotated[int, AtLeast(1), Help("Examples in a batch.")] = 512
    epochs: Annotated[int, AtLeast(1), Help("Maximum number of passes over the data.")] = 20
    minutes: Annotated[
        float | None,
        Above(0),
        Help(
            "Time budget of the whole fit in minutes, with all validations; {none} sets none.",
            more="Training ends with the last batch that fits, and the learning rate decays with the time.",
            none="0",
        ),
    ] = None
    optimizer: Annotated[
        str,
        OneOf(*OPTIMIZERS),
        Help("Optimizer", more="Tables with sparse gradients have the row-wise version of it in logq.optim."),
    ] = "adam"
    lr: Annotated[float, Above(0), TriedValues(2e-4, 1e-2), Help("Learning rate.")] = 1e-3
    weight_decay: Annotated[float, AtLeast(0), Help("L2 weight decay.")] = 0.0
    clip: Annotated[
        float | None,
        Above(0),
        Help("Maximum norm of the gradients, which are scaled down to it; {none} disables clipping.", none="0"),
    ] = None
    decay: Annotated[str, OneOf(*DECAYS), Help("How the learning rate decays during training")] = "constant"
    warmup: Annotated[int, AtLeast(0), Help("Steps of linear warm-up of the learning rate.")] = 0
    ema: Annotated[
        float | None,
        Above(0),
        AtMost(1),
        Help(
            "Decay of a moving average of the weights, such as 0.999, to predict with; {none} disables it.",
            more="Of large tables with sparse gradients only every n-th step counts, with the n-th power of it.",
            none="0",
        ),
    ] = None
    validate_every: Annotated[
        int, AtLeast(1), Help("Epochs between validations, if there is validation data.", group="Stopping")
    ] = 1
    patience: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Validations without improvement after which training stops; {none} trains all epochs.",
            more="The best weights are kept.",
            none="0",
            group="Stopping",
        ),
    ] = 3
    cooldown: Annotated[
        float,
        AtLeast(0),
        Help(
            "Length of the last phase, in which the learning rate falls to 0, as a share of the epochs before it.",
            more="It begins when patience has run out or, with a constant rate, when exactly that much is left of "
            "`epochs` or of the time budget. A rate that stays high keeps the weights moving around a minimum; falling "
            "to 0 brings them there.",
            group="Stopping",
        ),
    ] = 0.0
    sparse: Annotated[
        bool | None,
        Help(
            "Whether tables of classes get sparse gradients, so that a step costs what it touches.",
            typed="Update only the rows that a step touches, or all of them.",
            flag="--sparse/--dense",
            default="by the number of classes",
        ),
    ] = None
    precision: Annotated[
        str,
        OneOf(*PRECISIONS),
        Check(check_precision),
        Help(
            "Precision of the matrix products of the model",
            more='"bfloat16", or "bf16", computes them by autocast; weights, their updates and the loss stay in '
            'float32. "auto" takes bfloat16 on a GPU that has it.',
        ),
    ] = "float32"
    compile: Annotated[
        bool,
        Help(
            "Whether to compile the model with torch.compile for training, which takes up to a few minutes.",
            more="The loss has kernels of its own. Where compiling fails, training warns and continues without it. Not "
            "saved with a model.",
            typed="Compile the model with torch.compile for training.",
            saved=False,
        ),
    ] = False
    cuda_graphs: Annotated[
        bool,
        Help(
            "Whether a GPU replays training steps that were captured once, as CUDA graphs.",
            more="For models whose many small kernels take less time than their launches. Tables must be dense, and "
            "the optimizer adam or sgd; recommenders pad histories to `max_length`. Not saved with a model.",
            typed="Replay training steps as CUDA graphs on a GPU; needs dense tables, and adam or sgd.",
            saved=False,
        ),
    ] = False
    seed: Seed = None
