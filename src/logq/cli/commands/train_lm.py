"""`logq train lm`: language models from text, counted or neural."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from logq._arguments import ArgumentError
from logq._launch import launched
from logq._progress import format_quantity, format_seconds
from logq.cli.command_options import Quiet, make_command
from logq.cli.input_output import READS, WRITES
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.help import HelpfulCommand
from logq.cli.terminal.output import check_file, output_folder
from logq.cli.terminal.report import in_python, plural, positional, python_command, say, say_next
from logq.cli.text_reading import Encoding, Source, check_text_files, reading_threads
from logq.cli.train_frame import Checkpoints, OutputFolder, Training

if TYPE_CHECKING:
    from logq.language_models import LanguageModel
    from logq.training.config_fields import Option

__all__ = ["EXAMPLES", "ModelName", "lm", "make", "model_options"]

EXAMPLES = """
logq train lm corpus.txt -o model
logq train lm train.txt -o model --valid valid.txt --arpa model.arpa
logq train lm train.txt -o model --model gru --valid valid.txt
logq train lm train.txt -o model --model lstm --objective nce
logq train lm "part-*.txt.gz" -o model --model nnlm --max-vocab 50000
logq train lm train.txt -o model --model gru --valid valid.txt --resume
"""


class ModelName(str, Enum):
    """The models that can be trained."""

    ngram = "ngram"
    nnlm = "nnlm"
    gru = "gru"
    lstm = "lstm"


NEURAL: Final = ("nnlm", "gru", "lstm")

# Options that mean nothing to some models, though their class has them: what has to be typed with them.
_SAMPLING = ("num_sampled", "unigram_power", "shared_negatives", "replacement", "log_q")
_SMOOTHING = {"k": "add_k", "discount_fallback": "kneser_ney"}


def lm(
    source: Source,
    output: OutputFolder,
    *,
    model: Annotated[
        ModelName,
        typer.Option(
            metavar="NAME",
            help="ngram counts, in seconds; nnlm reads a few words through a hidden layer; gru and lstm read the "
            "whole line so far; they are the most accurate and the slowest.",
            rich_help_panel="Model",
        ),
    ] = ModelName.ngram,
    arguments: Mapping[str, Any],
    validation: Annotated[
        list[str] | None,
        typer.Option(
            "--valid",
            metavar="FILE",
            help="Text to measure perplexity on; neural models keep their best epoch. Repeatable.",
            rich_help_panel="Corpus",
        ),
        READS,
    ] = None,
    checkpoints: Checkpoints,
    arpa: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="ngram: also write the model as ARPA text, for KenLM, SRILM and others.",
            rich_help_panel="Model",
        ),
        WRITES,
    ] = None,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Train a language model: which word comes next in a text, and how probable a text is.

    An n-gram model counts, with Kneser-Ney smoothing; it needs no training and is hard to beat on small texts. Neural
    models learn from a sample of the vocabulary (or any --objective), so that a step costs the same for a million
    words. Words are separated by white space, and each line ends in </s>. Perplexity is always exact, over all words.
    Options that begin with the name of a model belong to that model; the others to all neural models.
    """
    others = {"arpa": arpa, "checkpoint_minutes": checkpoints.checkpoint_minutes, "resume": checkpoints.resume or None}
    check_arguments(model, arguments, [name for name, value in others.items() if value is not None])
    if arguments.get("k", 1.0) is None and not validation:
        raise BadInputError("--valid: expected a text to find the best k for, as --k is 0, got none")
    entry = _entries()[model.value]
    entry.load_class().check_processes()
    check_text_files((*source, *(validation or ())))
    if arpa is not None:
        check_file(arpa)
    given = dict(arguments)
    if model is ModelName.ngram:
        given["threads"] = reading_threads(given.get("threads"))
    elif entry.command == "recurrent":
        given["cell"] = model.value
    with output_folder(output):
        training = Training(
            output,
            None if model is ModelName.ngram else checkpoints,
            quiet=quiet,
            kind="language model",
            overwrite=checkpoints.overwrite,
        )
        made: LanguageModel = entry.load_class()(**given)
        with training.run():
            try:
                made.fit(source, validation=validation or None, encoding=encoding, **training.arguments)
            except ArgumentError as error:
                if error.name == "source" and validation:  # which of the texts is not said
                    raise BadInputError(error.message("CORPUS or --valid")) from error
                raise
            if not launched().is_first:  # which has the same model, and saves it
                return
            made.save(output)
            training.clear()
            if arpa is not None:
                made.to_arpa(arpa, progress=training.progress)  # pyright: ignore
    if not quiet:
        _report(model, made, training, arpa)
        _say_next(made, output, validation)


def make() -> HelpfulCommand:
    """Make the command, with the options of all models."""
    return make_command(lm, EXAMPLES, {name: _merged(found) for name, found in model_options().items()})


def model_options() -> "dict[str, dict[str, Option]]":
    """Return {option: {model: what its class says of it}}, of all models."""
    from logq.language_models.neural_configs import NNLMConfig, RecurrentLMConfig
    from logq.language_models.ngram.ngram import NGramConfig

    configs = {"ngram": NGramConfig, "nnlm": NNLMConfig, "gru": RecurrentLMConfig, "lstm": RecurrentLMConfig}
    found: dict[str, dict[str, Option]] = {}
    for model, config in configs.items():
        for name, option in config.options().items():
            if name != "cell":
                found.setdefault(name, {})[model] = option
    return found


def _merged(found: "Mapping[str, Option]") -> "Option":
    """One option of those of several models: whose it is, and each default."""
    models, first = list(found), next(iter(found.values()))
    shown = {model: option.default_text for model, option in found.items() if option.default_text}
    usual = max(shown.values(), key=list(shown.values()).count, default="")
    default = ", ".join([usual, *(f"{model} {text}" for model, text in shown.items() if text != usual)])
    text = first.help.typed or first.help.text
    if not set(models) >= set(NEURAL):
        text = f"{', '.join(models)}: {text[0].lower()}{text[1:]}"
    if first.name == "threads":  # each class says how many it takes alone
        default = "all cores"
    return replace(first, help=replace(first.help, typed=text, default=default))


def check_arguments(model: ModelName, arguments: Mapping[str, Any], others: list[str]) -> None:
    """Refuse options that mean nothing to the model.

    Args:
        model: what is trained.
        arguments: options of models.
        others: names of further options, of the command itself.

    Raises:
        BadInputError: an option belongs to other models, objectives or smoothings.

    Example:
        >>> check_arguments(ModelName.ngram, {}, ["resume"])
        Traceback (most recent call last):
        ...
        logq.cli.terminal.errors.BadInputError: --resume: expected --model nnlm, gru or lstm with it, got ngram
    """
    owners: dict[str, tuple[str, ...]] = {name: tuple(found) for name, found in model_options().items()}
    owners |= {"arpa": ("ngram",), "checkpoint_minutes": NEURAL, "resume": NEURAL}
    for name in (*arguments, *others):
        if model.value not in owners[name]:
            *some, last = owners[name]
            belongs = f"{', '.join(some)} or {last}" if some else last
            raise BadInputError(f"{_flag(name)}: expected --model {belongs} with it, got {model.value}")
    if model is ModelName.ngram:
        smoothing = arguments.get("smoothing", "kneser_ney")
        wrong = next((name for name in _SMOOTHING if name in arguments and smoothing != _SMOOTHING[name]), None)
        if wrong is not None:
            raise BadInputError(f"{_flag(wrong)}: expected --smoothing {_SMOOTHING[wrong]} with it, got {smoothing}")
        return
    from logq.objectives import OBJECTIVES

    objective = arguments.get("objective", "sampled_softmax")
    wrong = next((name for name in _SAMPLING if name in arguments), None)
    samples = objective in OBJECTIVES and OBJECTIVES[objective].negatives.sampled
    if wrong is not None and not samples:
        raise BadInputError(f"{_flag(wrong)}: {objective} samples no words; expected another --objective with it")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _entries() -> dict[str, Any]:
    from logq.estimators import ESTIMATORS

    entries = {entry.command: entry for entry in ESTIMATORS if entry.family == "language model"}
    return {**entries, **dict.fromkeys(("gru", "lstm"), entries["recurrent"])}


def _report(model: ModelName, made: "LanguageModel", training: Training, arpa: Path | None) -> None:
    size = f"{len(made.vocabulary):,} words, {made.vocabulary.total:,} tokens of text,"
    say(
        f"{model.value} of {size} saved to ",
        (str(training.folder), "bold"),
        f" in {format_seconds(training.seconds)}.",
    )
    if arpa is not None:
        say("Saved as ARPA text to ", (str(arpa), "bold"), ".")
    if model is ModelName.ngram:
        facts: Mapping[str, Any] = made.metadata  # pyright: ignore
        counts = [f"{count:,}" for count in facts["ngrams"]]
        say(f"n-grams of 1 to {plural(len(counts), 'word')}: {', '.join(counts)}.")
        if "k" in facts:
            say(f"k = {facts['k']:.3g}.")
        if "validation" in facts:
            found = facts["validation"]["perplexity"]
            say(f"Perplexity of the validation text: {'infinite' if found is None else f'{found:.2f}'}.")
        return
    log: list[dict[str, Any]] = getattr(made, "training_log", [])
    if not log:
        return
    speed = format_quantity(sum(row["tokens_per_second"] for row in log) / len(log))
    measured = [row for row in log if "perplexity" in row]
    if measured:
        best = min(measured, key=lambda row: row["perplexity"])
        say(
            f"Perplexity of the validation text: {best['perplexity']:.2f} after epoch {best['epoch']:g} of {len(log)}, "
            f"which is kept; {speed} tokens/s."
        )
    else:
        say(f"{plural(len(log), 'epoch')}, {speed} tokens/s, mean loss {log[-1]['loss']:.3f}.")


def _say_next(made: "LanguageModel", folder: Path, valid: list[str] | None) -> None:
    place = shlex.quote(str(folder))
    word = next((word for word in made.vocabulary.index_to_key if word.isalpha()), "")
    code = f"import logq; print(logq.load({in_python(str(folder))}).next_words({in_python(word)}).words)"
    steps = [(f"logq generate {place}{' ' + shlex.quote(word) if word else ''}", "a line, continued at random")]
    if valid:
        text = " ".join(map(positional, valid))
        steps.append((f"logq evaluate lm {place} {text}", "how probable a text is"))
    say_next([*steps, (python_command(code), "")])
