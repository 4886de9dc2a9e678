"""The options of `logq train lm`: what each model learns from, what it is, its loss, and how it is trained.

All are None unless typed, so that the library's defaults hold and an option of another model can be refused; what the
default is stands in the help, and a test compares it with the library.
"""

from dataclasses import dataclass, fields
from enum import Enum
from typing import Annotated, Any, Final

import typer

from logq.cli.choice_names import SamplerName, listed
from logq.cli.errors import BadInputError
from logq.cli.neural_options import DecayName, PrecisionName
from logq.objectives import OBJECTIVES

__all__ = [
    "MODELS",
    "LMChecks",
    "LMLoss",
    "LMModel",
    "LMTraining",
    "LMVocabulary",
    "ModelName",
    "OutputName",
    "estimator_of",
    "typed_arguments",
]

_CORPUS, _MODEL, _LOSS, _TRAINING, _KEEPING = "Corpus", "Model", "Objective", "Training", "Keeping"


class ModelName(str, Enum):
    """What can be trained."""

    ngram = "ngram"
    nnlm = "nnlm"
    gru = "gru"
    lstm = "lstm"


class OutputName(str, Enum):
    """The objectives of the table, and the two losses that need neither sample nor all words."""

    _ignore_ = ["_name", "_members"]  # noqa: RUF012
    _members = vars()
    for _name in (*OBJECTIVES, "hierarchical_softmax", "adaptive_softmax"):
        _members[_name] = _name


class SmoothingName(str, Enum):
    """How an n-gram model gives the unseen its share."""

    kneser_ney = "kneser_ney"
    add_k = "add_k"
    maximum_likelihood = "maximum_likelihood"


class OptimizerName(str, Enum):
    """What updates weights."""

    adam = "adam"
    adagrad = "adagrad"
    sgd = "sgd"


@dataclass(frozen=True)
class LMVocabulary:
    """Which words there are, for all models."""

    min_count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Rarer words become <unk>. Default: 1.", rich_help_panel=_CORPUS),
    ] = None
    max_vocab: Annotated[
        int | None,
        typer.Option(metavar="N", min=3, help="Keep so many words at most. Default: all.", rich_help_panel=_CORPUS),
    ] = None


@dataclass(frozen=True)
class LMModel:
    """Arguments of NGram, NNLM and RecurrentLM that say what the model is."""

    order: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="ngram: words in an n-gram. Default: 5.", rich_help_panel=_MODEL),
    ] = None
    smoothing: Annotated[
        SmoothingName | None,
        typer.Option(
            metavar="NAME", help=f"ngram: {listed(SmoothingName)}. Default: kneser_ney.", rich_help_panel=_MODEL
        ),
    ] = None
    k: Annotated[
        float | None,
        typer.Option(
            "--k",
            metavar="X",
            min=0.0,
            help="ngram: what add_k adds to each count; 0: the best for --valid. Default: 1.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    discount_fallback: Annotated[
        str | None,
        typer.Option(
            metavar="X,X,X",
            help="ngram: discounts of Kneser-Ney where a small text tells none, such as 0.5,1,1.5.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    dim: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Numbers in a vector. Default: 200, nnlm 100.", rich_help_panel=_MODEL),
    ] = None
    hidden: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Width of the hidden layer. Default: 200.", rich_help_panel=_MODEL),
    ] = None
    context: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="nnlm: words to look back on. Default: 5.", rich_help_panel=_MODEL),
    ] = None
    direct: Annotated[
        bool | None,
        typer.Option(
            "--direct/--no-direct",
            help="nnlm: vectors reach the output past the hidden layer, too, or not. Default: direct.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    layers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="gru, lstm: cells one above the other. Default: 1.", rich_help_panel=_MODEL
        ),
    ] = None
    tied: Annotated[
        bool | None,
        typer.Option(
            "--tied/--untied",
            help="gru, lstm: one table for words read and words predicted, or two. Default: untied.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    dropout: Annotated[
        float | None,
        typer.Option(
            metavar="X", min=0.0, max=0.999, help="Share of numbers to leave out. Default: 0.2.", rich_help_panel=_MODEL
        ),
    ] = None


@dataclass(frozen=True)
class LMLoss:
    """The loss of neural models, under the library's names."""

    objective: Annotated[
        OutputName | None,
        typer.Option(metavar="NAME", help=f"{listed(OutputName)}. Default: sampled_softmax.", rich_help_panel=_LOSS),
    ] = None
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help=f"Law of the sampled words: {listed(SamplerName)}. Default: log_uniform.",
            rich_help_panel=_LOSS,
        ),
    ] = None
    num_sampled: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How many words to sample. Default: 200.", rich_help_panel=_LOSS),
    ] = None
    unigram_power: Annotated[
        float | None,
        typer.Option(metavar="X", help="Exponent of the counts, for unigram. Default: 0.75.", rich_help_panel=_LOSS),
    ] = None
    shared_negatives: Annotated[
        bool | None,
        typer.Option(
            "--shared-negatives/--own-negatives",
            help="One sample a batch, or one a word. Default: shared-negatives.",
            rich_help_panel=_LOSS,
        ),
    ] = None
    replacement: Annotated[
        bool | None,
        typer.Option(
            "--replacement/--no-replacement",
            help="Whether a word may stand in a sample twice. Default: no-replacement.",
            rich_help_panel=_LOSS,
        ),
    ] = None
    log_q: Annotated[
        bool | None,
        typer.Option(
            "--log-q/--no-log-q",
            help="Whether log Q is accounted for; without, see what happens. Default: log-q.",
            rich_help_panel=_LOSS,
        ),
    ] = None
    cutoffs: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="adaptive_softmax: where clusters of rarer words begin. Default: a fifth and three fifths.",
            rich_help_panel=_LOSS,
        ),
    ] = None


@dataclass(frozen=True)
class LMTraining:
    """How neural models are trained; threads are for all models."""

    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Times to read the text, at most. Default: 10.", rich_help_panel=_TRAINING
        ),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Texts read side by side, default 64; nnlm: words in a step, default 256.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    bptt: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="gru, lstm: words in a step. Default: 20.", rich_help_panel=_TRAINING),
    ] = None
    optimizer: Annotated[
        OptimizerName | None,
        typer.Option(metavar="NAME", help=f"{listed(OptimizerName)}. Default: adam.", rich_help_panel=_TRAINING),
    ] = None
    lr: Annotated[
        float | None, typer.Option(metavar="X", help="Learning rate. Default: 0.001.", rich_help_panel=_TRAINING)
    ] = None
    decay: Annotated[
        DecayName | None,
        typer.Option(
            metavar="NAME", help=f"How it falls: {listed(DecayName)}. Default: constant.", rich_help_panel=_TRAINING
        ),
    ] = None
    warmup: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Steps in which it grows first. Default: 0.", rich_help_panel=_TRAINING),
    ] = None
    weight_decay: Annotated[
        float | None,
        typer.Option(metavar="X", min=0.0, help="L2, of all weights. Default: 0.", rich_help_panel=_TRAINING),
    ] = None
    clip: Annotated[
        float | None,
        typer.Option(
            metavar="X", min=0.0, help="Largest norm of gradients; 0: any. Default: 1.", rich_help_panel=_TRAINING
        ),
    ] = None
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Epochs without a better perplexity of --valid that end it; 0 trains on. Default: 3.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    precision: Annotated[
        PrecisionName | None,
        typer.Option(
            metavar="NAME",
            help="float32, bf16, or auto: bf16 where it is fast. Default: float32.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, ... Default: cpu.", rich_help_panel=_TRAINING)
    ] = None
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads. Default: all cores.", rich_help_panel=_TRAINING)
    ] = None
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Makes a run repeatable.", rich_help_panel=_TRAINING)
    ] = None


@dataclass(frozen=True)
class LMChecks:
    """What a run keeps beside the model."""

    checkpoint_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Save a checkpoint so often, and on Ctrl-C. Default: 10.",
            rich_help_panel=_KEEPING,
        ),
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the checkpoint in DIR, with the same options.", rich_help_panel=_KEEPING
        ),
    ] = False


NEURAL: Final = ("nnlm", "gru", "lstm")
RECURRENT: Final = ("gru", "lstm")

MODELS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("min_count", "max_vocab", "threads"), ("ngram", *NEURAL)),
    **dict.fromkeys(("order", "smoothing", "k", "discount_fallback", "arpa"), ("ngram",)),
    **dict.fromkeys(("context", "direct"), ("nnlm",)),
    **dict.fromkeys(("layers", "tied", "bptt"), RECURRENT),
}
"""The models that an option belongs to; options that are not here belong to all neural ones."""

SAMPLING: Final = ("num_sampled", "unigram_power", "shared_negatives", "replacement", "log_q")
"""Options of the objectives that sample; the library itself refuses a sampler of the others."""

_ESTIMATORS = {"ngram": "NGram", "nnlm": "NNLM", "gru": "RecurrentLM", "lstm": "RecurrentLM"}


def estimator_of(model: ModelName) -> str:
    """Return the name of the class that trains a model.

    Example:
        >>> estimator_of(ModelName.lstm)
        'RecurrentLM'
    """
    return _ESTIMATORS[model.value]


def typed_arguments(model: ModelName, *groups: Any, **others: Any) -> dict[str, Any]:
    """Make arguments of an estimator of the options that were typed.

    Args:
        model: what is trained.
        *groups: dataclasses of options.
        **others: further options, to be checked with them and left out.

    Raises:
        BadInputError: an option belongs to other models or objectives, or is no list of numbers.

    Example:
        >>> typed_arguments(ModelName.gru, LMModel(dim=8), LMTraining(patience=0))
        {'cell': 'gru', 'dim': 8, 'patience': None}
    """
    typed = {field.name: getattr(group, field.name) for group in groups for field in fields(group)}
    given = {name: value for name, value in typed.items() if value is not None}
    for name in (*given, *(name for name, value in others.items() if value not in (None, False))):
        belongs = MODELS.get(name, NEURAL)
        if model.value not in belongs:
            raise BadInputError(f"{_option(name)}: expected --model {' or '.join(belongs)} with it, got {model.value}")
    values: dict[str, Any] = {"cell": model.value} if model.value in RECURRENT else {}
    for name, value in given.items():
        values[name] = value.value if isinstance(value, Enum) else value
    objective = values.get("objective", "sampled_softmax")
    wrong = next((name for name in SAMPLING if name in values), None)
    row = OBJECTIVES.get(objective)
    if wrong is not None and (row is None or not row.negatives.sampled):
        raise BadInputError(f"{_option(wrong)}: {objective} samples no words; expected another --objective with it")
    if "cutoffs" in values:
        values["cutoffs"] = [int(number) for number in _numbers("cutoffs", values["cutoffs"], "2000,6000", whole=True)]
    if "discount_fallback" in values:
        values["discount_fallback"] = _numbers("discount_fallback", values["discount_fallback"], "0.5,1,1.5")
    for name in ("clip", "patience", "k"):  # None means something to the library, and can't be typed
        if values.get(name) == 0:
            values[name] = None
    return values


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _numbers(name: str, text: str, example: str, *, whole: bool = False) -> list[float]:
    try:
        return [int(part) if whole else float(part) for part in text.split(",")]
    except ValueError:
        raise BadInputError(f"{_option(name)}: expected numbers such as {example}, got {text!r}") from None
