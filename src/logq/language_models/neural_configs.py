"""The arguments of neural language models; without torch, so that the command line and n-gram models start at once."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import pairwise
from typing import Annotated, Any

from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.language_models.language_model import VocabularyConfig
from logq.objectives import OBJECTIVES, objective_name
from logq.samplers.registry import SamplerChoice, check_sampler
from logq.training.config import CUSTOM, AtLeast, AtMost, Check, Help, OneOf, configclass
from logq.training.options import LossConfig, TrainingConfig

__all__ = ["ADAPTIVE", "HIERARCHICAL", "NNLMConfig", "NeuralLMConfig", "RecurrentLMConfig"]

HIERARCHICAL = "hierarchical_softmax"
ADAPTIVE = "adaptive_softmax"


def _objectives() -> tuple[str, ...]:
    return (*OBJECTIVES, HIERARCHICAL, ADAPTIVE)


def _check_objective(_: str, value: Any) -> str:
    return objective_name(value, (HIERARCHICAL, ADAPTIVE))


def _check_sampler(name: str, value: Any) -> Any:
    return value if value == CUSTOM else check_sampler(value)


def _check_cutoffs(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ArgumentTypeError(name, "a sequence of integers", value)
    found = tuple(check_int(name, one) for one in value)
    if not found or any(after <= before for before, after in pairwise(found)):
        raise ArgumentError(name, "increasing numbers of words", value)
    return found


@configclass(group="Loss")
class NeuralLMConfig(VocabularyConfig, LossConfig, TrainingConfig):
    """The arguments that all neural language models take.

    Example:
        >>> NeuralLMConfig(objective="nce").sampler
        'log_uniform'
    """

    objective: Annotated[
        str,
        OneOf(_objectives),
        Check(_check_objective),
        Help(
            more="See the table in logq.objectives; hierarchical_softmax goes along Huffman's tree, adaptive_softmax "
            "is torch's."
        ),
    ] = "sampled_softmax"
    sampler: Annotated[SamplerChoice | None, Check(_check_sampler)] = None
    num_sampled = 200
    replacement: Annotated[
        bool,
        Help(
            "Whether a word may occur twice in a sample.",
            more="Without, as by default and in TensorFlow, sampled softmax is closer to the full one: frequent words "
            "are in every sample, and accidental hits cost no place in it.",
            typed="Draw negatives with or without replacement.",
            flag="--replacement/--no-replacement",
        ),
    ] = False
    cutoffs: Annotated[
        Sequence[int] | None,
        Check(_check_cutoffs),
        Help(
            "Frequency ranks at which the clusters of adaptive_softmax begin.",
            metavar="N,N",
            default="a fifth and three fifths of the words",
        ),
    ] = None
    sparse: Annotated[bool | None, Help(more="Full and adaptive softmax update all of their output anyway.")] = None
    batch_size: Annotated[
        int, Help(typed="Words in a batch (nnlm), or columns of text that are read in parallel (gru, lstm).")
    ] = 64
    epochs: Annotated[int, Help("Maximum number of passes over the text.")] = 10
    clip = 1.0
    dropout: Annotated[float, AtLeast(0), AtMost(0.999), Help("Dropout rate.", group="Model")] = 0.2
    threads: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Threads of torch, and to split the text into words; {none} leaves torch's number.",
            typed="Number of threads.",
            group="Training",
        ),
    ] = None

    @property
    def samples(self) -> bool:
        """Whether the objective draws negatives."""
        return self.objective in OBJECTIVES and OBJECTIVES[self.objective].negatives.sampled

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cutoffs is not None and self.objective != ADAPTIVE:
            raise ArgumentError("cutoffs", f"None, as {self.objective} has no clusters", self.cutoffs)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], **others: Any) -> Self:
        """Make one of `settings`; a sampler that was a function stays unknown, so that `fit` can say so."""
        made = super().from_settings(settings, **others)
        if settings.get("sampler") == CUSTOM and "sampler" not in others:
            made.sampler = CUSTOM
            made._given = {**made._given, "sampler": CUSTOM}  # nor does a copy that is made of it forget that
        return made


@configclass(group="Model")
class NNLMConfig(NeuralLMConfig):
    """The arguments of NNLM.

    Example:
        >>> NNLMConfig(context=4).batch_size
        256
    """

    dim: Annotated[int, AtLeast(1), Help("Dimension of the word vectors.")] = field(default=100, kw_only=False)
    hidden: Annotated[int, AtLeast(1), Help("Width of the hidden layer.")] = field(default=200, kw_only=False)
    context: Annotated[
        int, AtLeast(1), Help("Number of previous words to read.", more="It is n - 1: 4 makes a 5-gram model.")
    ] = field(default=5, kw_only=False)
    direct: Annotated[
        bool,
        Help(
            "Whether the output has W, which connects it with the word vectors directly.",
            typed="Also connect the word vectors directly to the output, or not.",
        ),
    ] = True
    batch_size: Annotated[int, Help("Words in a batch.")] = 256


@configclass(group="Model")
class RecurrentLMConfig(NeuralLMConfig):
    """The arguments of RecurrentLM.

    Example:
        >>> RecurrentLMConfig("lstm", layers=2).cell
        'lstm'
    """

    cell: Annotated[str, OneOf("gru", "lstm"), Help("Recurrent cell")] = field(default="gru", kw_only=False)
    dim: Annotated[int, AtLeast(1), Help("Dimension of the word vectors.")] = field(default=200, kw_only=False)
    hidden: Annotated[int, AtLeast(1), Help("Width of the state and of the queries.")] = field(
        default=200, kw_only=False
    )
    layers: Annotated[int, AtLeast(1), Help("Number of stacked layers.")] = field(default=1, kw_only=False)
    tied: Annotated[
        bool,
        Help(
            "Whether inputs and outputs share one table of word vectors, for which dim must be hidden.",
            typed="One table of word vectors for inputs and outputs, or two.",
            flag="--tied/--untied",
        ),
    ] = False
    bptt: Annotated[
        int,
        AtLeast(1),
        Help("Number of words in each column of a batch, which is how far gradients flow back.", group="Training"),
    ] = 20
    batch_size: Annotated[int, Help("Number of columns of text that are read in parallel.")] = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tied and self.dim != self.hidden:
            got = Verbatim(f"{self.dim} and {self.hidden}")
            raise ArgumentError("tied", "dim = hidden, as one table serves both", got)
        if self.tied and self.objective in (HIERARCHICAL, ADAPTIVE):
            expected = f"False, as {self.objective} has no table of words that inputs could share"
            raise ArgumentError("tied", expected, True)
