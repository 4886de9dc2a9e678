"""The arguments of neural language models; without torch, so that `--help` and n-gram models start at once."""

from collections.abc import Sequence
from dataclasses import field
from itertools import pairwise
from typing import Annotated, Any

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.language_models.language_model import VocabularyConfig
from logq.training.choices import OBJECTIVES, SamplerChoice, check_sampler
from logq.training.config import CUSTOM, Above, AtLeast, AtMost, Check, Help, OneOf, configclass
from logq.training.devices import PRECISIONS
from logq.training.optimizers import OPTIMIZERS
from logq.training.schedule import DECAYS

__all__ = ["ADAPTIVE", "HIERARCHICAL", "NNLMConfig", "NeuralLMConfig", "RecurrentLMConfig"]

HIERARCHICAL = "hierarchical_softmax"
ADAPTIVE = "adaptive_softmax"


def _objectives() -> tuple[str, ...]:
    return (*OBJECTIVES, HIERARCHICAL, ADAPTIVE)


def _check_objective(name: str, value: Any) -> str:
    found = getattr(value, "name", value)
    if found not in _objectives():
        raise ArgumentError(name, f"one of {', '.join(_objectives())}", value)
    return found


def _check_cutoffs(name: str, value: Any) -> tuple[int, ...]:
    found = tuple(check_int(name, one) for one in value)
    if not found or any(after <= before for before, after in pairwise(found)):
        raise ArgumentError(name, "increasing numbers of words", value)
    return found


@configclass(group="Objective")
class NeuralLMConfig(VocabularyConfig):
    """The arguments that all neural language models take.

    Example:
        >>> NeuralLMConfig(objective="nce").sampler
        'log_uniform'
    """

    objective: Annotated[str, Check(_check_objective), OneOf(_objectives), Help("Objective of the training.")] = (
        "sampled_softmax"
    )
    sampler: Annotated[SamplerChoice | None, Help("Distribution of the sampled words")] = None
    num_sampled: Annotated[int, AtLeast(1), Help("Number of sampled words.")] = 200
    unigram_power: Annotated[float, Help("Exponent of the counts, for unigram.")] = 0.75
    shared_negatives: Annotated[
        bool, Help("One sample for a batch, or one for each word.", flag="--shared-negatives/--own-negatives")
    ] = True
    replacement: Annotated[bool, Help("Whether a word may occur twice in a sample.")] = False
    log_q: Annotated[bool, Help("Whether log Q is accounted for.")] = True
    cutoffs: Annotated[
        Sequence[int] | None,
        Check(_check_cutoffs),
        Help(
            "First words of the clusters of adaptive_softmax, rarer words in each.",
            default="a fifth and three fifths of the words",
        ),
    ] = None
    batch_size: Annotated[int, AtLeast(1), Help("Columns of text read side by side.", group="Training")] = 64
    epochs: Annotated[int, AtLeast(1), Help("Maximum number of passes over the text.", group="Training")] = 10
    optimizer: Annotated[str, OneOf(*OPTIMIZERS), Help("Optimizer", group="Training")] = "adam"
    lr: Annotated[float, Above(0), Help("Learning rate.", group="Training")] = 1e-3
    weight_decay: Annotated[float, AtLeast(0), Help("L2 weight decay.", group="Training")] = 0.0
    clip: Annotated[float | None, Above(0), Help("Maximum norm of gradients.", none="0", group="Training")] = 1.0
    decay: Annotated[str, OneOf(*DECAYS), Help("How the learning rate falls.", group="Training")] = "constant"
    warmup: Annotated[int, AtLeast(0), Help("Steps of linear warm-up.", group="Training")] = 0
    dropout: Annotated[float, AtLeast(0), AtMost(0.999), Help("Dropout rate.", group="Model")] = 0.2
    patience: Annotated[
        int | None, AtLeast(1), Help("Epochs without a better perplexity.", none="0", group="Training")
    ] = 3
    sparse: Annotated[bool | None, Help("Sparse gradients.", group="Training", hidden=True)] = None
    precision: Annotated[str, OneOf(*PRECISIONS), Help("Precision.", group="Training")] = "float32"
    threads: Annotated[int | None, AtLeast(1), Help("Threads.", group="Training")] = None
    seed: Annotated[int | None, AtLeast(0), Help("Seed.", group="Training")] = None
    device: Annotated[Any, Help("Device.", group="Training", saved=False)] = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if OBJECTIVES.get(self.objective):
            self.sampler = (
                CUSTOM
                if self.sampler == CUSTOM
                else check_sampler("log_uniform" if self.sampler is None else self.sampler)
            )
        elif self.sampler is not None:
            raise ArgumentError("sampler", f"None, as {self.objective} draws no words", self.sampler)
        if self.cutoffs is not None and self.objective != ADAPTIVE:
            raise ArgumentError("cutoffs", f"None, as {self.objective} has no clusters", self.cutoffs)


@configclass(group="Model")
class NNLMConfig(NeuralLMConfig):
    """The arguments of NNLM.

    Example:
        >>> NNLMConfig(context=4).batch_size
        256
    """

    dim: Annotated[int, AtLeast(1), Help("Width of the word vectors.")] = field(default=100, kw_only=False)
    hidden: Annotated[int, AtLeast(1), Help("Width of the hidden layer.")] = field(default=200, kw_only=False)
    context: Annotated[
        int,
        AtLeast(1),
        Help(
            "n - 1, the number of words that are read; 4 makes a 5-gram model.", typed="Number of words that are read."
        ),
    ] = field(default=5, kw_only=False)
    direct: Annotated[
        bool,
        Help(
            "Whether W is there, which connects the word vectors to the output directly.",
            typed="Connect the word vectors to the output directly, too.",
        ),
    ] = True
    batch_size: Annotated[int, Help("Words in a batch.")] = 256


@configclass(group="Model")
class RecurrentLMConfig(NeuralLMConfig):
    """The arguments of RecurrentLM.

    Example:
        >>> RecurrentLMConfig("lstm", layers=2)
        RecurrentLMConfig(cell='lstm', layers=2)
    """

    cell: Annotated[str, OneOf("gru", "lstm"), Help("Recurrent cell.")] = field(default="gru", kw_only=False)
    dim: Annotated[int, AtLeast(1), Help("Width of the word vectors.")] = field(default=200, kw_only=False)
    hidden: Annotated[int, AtLeast(1), Help("Width of the state and of the queries.", typed="Width of the state.")] = (
        field(default=200, kw_only=False)
    )
    layers: Annotated[int, AtLeast(1), Help("Number of stacked layers.")] = field(default=1, kw_only=False)
    tied: Annotated[
        bool,
        Help(
            "Whether inputs and outputs share one table of word vectors, for which dim must equal hidden.",
            typed="One table of word vectors for inputs and outputs, or two.",
            flag="--tied/--untied",
        ),
    ] = False
    bptt: Annotated[
        int,
        AtLeast(1),
        Help(
            "Number of words in a batch of each column, through which gradients flow back.",
            typed="Words in a step of each column.",
            group="Training",
        ),
    ] = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tied:
            return
        if self.dim != self.hidden:
            got = Verbatim(f"{self.dim} and {self.hidden}")
            raise ArgumentError("tied", "dim = hidden, as one table serves both", got)
        if self.objective in (HIERARCHICAL, ADAPTIVE):
            raise ArgumentError(
                "tied", f"False, as {self.objective} has no table of words that inputs could share", True
            )
