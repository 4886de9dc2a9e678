"""Train a language model, save it, and say how good it is."""

import errno
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._progress import format_quantity, format_seconds
from logq.cli.errors import BadInputError, InterruptedWorkError, describe
from logq.cli.kept_checkpoint import KeptCheckpoint
from logq.cli.lm_options import LMChecks, ModelName, estimator_of
from logq.cli.log_reading import in_options
from logq.cli.output import output_folder
from logq.cli.report import in_python, say
from logq.cli.threads import reading_threads

if TYPE_CHECKING:
    from logq.language_models import LanguageModel

__all__ = ["train_language_model"]


def train_language_model(
    model: ModelName,
    corpus: Sequence[str],
    valid: Sequence[str] | None,
    folder: Path,
    arguments: Mapping[str, Any],
    checks: LMChecks,
    *,
    arpa: Path | None = None,
    quiet: bool = False,
) -> None:
    """Fit, save and tell.

    Args:
        model: what is trained.
        corpus: texts.
        valid: others to measure by.
        folder: where the model goes.
        arguments: of the estimator.
        checks: of neural models: how often a checkpoint is saved, and whether to go on from one.
        arpa: where an n-gram model goes as ARPA text.
        quiet: no progress line.

    Raises:
        BadInputError: what the library refuses, in the spelling of the options.
        InterruptedWorkError: Ctrl-C; the message says what is saved.
    """
    options = dict(arguments)
    beside: dict[str, Any] = {"validation": None if valid is None else list(valid)}
    if model is ModelName.ngram:
        options["threads"] = reading_threads(options.get("threads"))
    else:
        minutes = 10.0 if checks.checkpoint_minutes is None else checks.checkpoint_minutes
        beside |= {"checkpoint": folder, "checkpoint_minutes": minutes, "resume": checks.resume}
    with output_folder(folder):
        made = _make(model, options)
        state = KeptCheckpoint(folder)
        if model is not ModelName.ngram:
            state.look(resume=checks.resume)
        began = time.monotonic()
        try:
            made.fit(list(corpus), progress=False if quiet else None, **beside)
            took = time.monotonic() - began
            made.save(folder)
            if arpa is not None:
                made.to_arpa(arpa, progress=False if quiet else None)
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError(state.say()) from stop
        except (FloatingPointError, MemoryError) as error:
            raise BadInputError(f"{_in_options(describe(error) or '', options)}; {state.say()}") from error
        except ValueError as error:
            raise BadInputError(_in_options(str(error), options, measured=valid is not None)) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise BadInputError(f"{describe(error)}; {state.say()}") from error
            raise BadInputError(_in_options(describe(error) or "", options)) from error
    _say_what_came_of_it(model, made, folder, took, arpa)
    _say_next(made, folder, valid)


def _make(model: ModelName, options: Mapping[str, Any]) -> Any:
    if model is ModelName.ngram:
        from logq.language_models import ngram as room
    else:
        from logq import language_models as room
    try:
        return getattr(room, estimator_of(model))(**options)
    except (ValueError, TypeError) as error:
        raise BadInputError(_in_options(str(error), options)) from error


def _in_options(message: str, names: Mapping[str, Any], *, measured: bool = False) -> str:
    message = message.removesuffix("; a list of strings is a list of files, sentences are lists of words")
    for said, spelled in (
        (r"^(source|corpus)(?=:)", "CORPUS or --valid" if measured else "CORPUS"),
        (r"^validation: (.*), as k is None, got None", r"--valid: \1, as --k is 0, got none"),
    ):
        message = re.sub(said, spelled, message)
    if message.startswith("CORPUS"):
        return message
    return in_options(message, {*names, "sampler", "tied", "cutoffs", "resume", "device", "discount_fallback"})


def _say_what_came_of_it(model: ModelName, made: "LanguageModel", folder: Path, took: float, arpa: Path | None) -> None:
    size = f"{len(made.vocabulary):,} words, {made.vocabulary.total:,} tokens of text"
    say(f"{model.value} of {size}, after {format_seconds(took)}, is in ", (str(folder), "bold"))
    if arpa is not None:
        say("As ARPA text it is in ", (str(arpa), "bold"))
    if model is ModelName.ngram:
        counts = [f"{count:,}" for count in made.metadata["ngrams"]]
        say(f"n-grams of 1 to {len(counts)} words: {', '.join(counts)}.")
        if "k" in made.metadata:
            say(f"k = {made.metadata['k']:.3g}.")
        if "validation" in made.metadata:
            found = made.metadata["validation"]["perplexity"]
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
        say(f"{len(log)} epochs, {speed} tokens/s, mean loss {log[-1]['loss']:.3f}.")


def _say_next(made: "LanguageModel", folder: Path, valid: Sequence[str] | None) -> None:
    place = shlex.quote(str(folder))
    word = next((word for word in made.vocabulary.index_to_key if word.isalpha()), "")
    text = shlex.quote(valid[0]) if valid else "test.txt"
    lines = [
        (f"logq generate {place}{' ' + shlex.quote(word) if word else ''}", "a line that goes on at random"),
        (f"logq evaluate lm {place} {text}", "how probable a text is"),
    ]
    say()
    say(("What to type next", "bold"))
    width = max(len(command) for command, _ in lines)
    for command, meaning in lines:
        say("  ", (command.ljust(width), "cyan"), ("  # " + meaning, "dim"))
    say("  ", (f"python -c {shlex.quote(_snippet(made, folder, word))}", "cyan"))


def _snippet(made: "LanguageModel", folder: Path, word: str) -> str:
    """Python that asks the model in `folder` what follows `word`."""
    room, door = (
        ("logq.language_models.ngram", "NGram.load")
        if type(made).__name__ == "NGram"
        else ("logq.language_models", "load")
    )
    place = in_python(str(folder))
    return f"import {room}; print({room}.{door}({place}).next_words({in_python(word)}).words)"
