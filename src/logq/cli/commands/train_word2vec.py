"""`logq train word2vec`: word vectors from text."""

import contextlib
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._launch import launched
from logq._progress import format_bytes, format_quantity, format_seconds
from logq.cli.command_options import Quiet, make_command
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.help import HelpfulCommand
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import say, say_next, vector_steps
from logq.cli.text_reading import Encoding, Source, check_text_files
from logq.cli.train_frame import Checkpoints, OutputFolder, Training

if TYPE_CHECKING:
    from logq.word2vec import Word2Vec

__all__ = ["EXAMPLES", "TextCache", "make", "train_word2vec", "word2vec"]

EXAMPLES = """
logq train word2vec corpus.txt -o vectors
logq train word2vec corpus.txt -o vectors --resume
logq train word2vec "part-*.txt.gz" -o vectors --dim 300 --window 10
logq train word2vec corpus.txt -o vectors --cbow --sample 1e-4
logq train word2vec corpus.txt -o vectors --device cuda
logq train word2vec corpus.txt -o vectors --objective sampled_softmax
logq train word2vec - -o vectors < corpus.txt
"""


@dataclass(frozen=True)
class TextCache:
    """Options of the encoded text, which the next run over it can reuse."""

    cache_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the encoded text, 4 bytes per word, which the next run reuses.",
            show_default="cache in the output folder",
            rich_help_panel="Checkpoints",
        ),
    ] = None
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Remove the encoded text at the end.", rich_help_panel="Checkpoints")
    ] = False


def make() -> HelpfulCommand:
    """Make the command, with the options that Word2Vec has."""
    from logq.word2vec.word2vec_config import Word2VecConfig

    return make_command(word2vec, EXAMPLES, Word2VecConfig.options())


def word2vec(
    source: Source,
    output: OutputFolder,
    arguments: Mapping[str, Any],
    checkpoints: Checkpoints,
    cache: TextCache,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Train word2vec vectors: skip-gram or CBOW, with any objective.

    Negative sampling and --hs run in a compiled engine on all cores, negative sampling with --device cuda on the GPU;
    everything else runs in plain PyTorch, tens of times slower. The vectors are saved after each epoch, which replaces
    those of an earlier run in DIR. A checkpoint is saved every few minutes and on Ctrl-C; --resume continues from it.
    Started by torchrun, several processes train together, each on its part of the text.
    """
    check_text_files(source)
    if cache.no_cache and cache.cache_dir is not None:
        raise BadInputError("--no-cache: expected no --cache-dir with it")
    with output_folder(output):
        training = Training(output, checkpoints, quiet=quiet, what="vectors")
        model = train_word2vec(source, training, arguments, cache, encoding)
        if quiet or not launched().is_first:
            return
        words = model.vocabulary.index_to_key
        steps = vector_steps(output, next((word for word in words if len(word) > 3), words[0]))
        steps.insert(1, (f"logq map {shlex.quote(str(output))} -o {shlex.quote(str(output / 'map.html'))}", "a map"))
        say_next(steps)


def train_word2vec(
    source: Any,
    training: Training,
    arguments: Mapping[str, Any],
    cache: TextCache | None = None,
    encoding: str | None = None,
) -> "Word2Vec":
    """Train word2vec, save its vectors after each epoch, and say where they are.

    Args:
        source: paths, or sentences as lists of words.
        training: where the vectors go.
        arguments: of logq.Word2Vec.
        cache: what becomes of the encoded text; None to keep none.
        encoding: of the files; None recognizes it.

    Raises:
        ArgumentError, InterruptedWorkError, StoppedError: it could not be trained.
    """

    def save(model: "Word2Vec", epoch: int) -> None:
        model.save_vectors(training.folder)
        if launched().is_first:
            training.clear()
        training.done, training.epochs = epoch, model.epochs

    beside: dict[str, Any] = {"encoding": encoding}
    if launched().size > 1:  # each process keeps its part of the text for itself
        if cache is not None and cache.cache_dir is not None:
            raise BadInputError("--cache-dir: expected none where several processes train")
        cache = None
    if cache is not None:
        beside["cache"] = training.folder / "cache" if cache.cache_dir is None else cache.cache_dir
    try:
        with training.run():
            from logq.word2vec.word2vec import Word2Vec

            model = Word2Vec(**arguments)
            if model.why_plain:
                note(f"{model.why_plain}: training in plain PyTorch, tens of times slower.")
            model.fit(source, on_epoch_end=save, **training.arguments, **beside)
    finally:
        if cache is not None:
            with contextlib.suppress(OSError):  # an empty one is of no use
                beside["cache"].rmdir()
    if not training.quiet:
        _report(model, training.folder)
    if cache is not None:
        _settle_cache(beside["cache"], keep=not cache.no_cache, quiet=training.quiet)
    return model


def _report(model: "Word2Vec", folder: Path) -> None:
    took = format_seconds(model.encoding_seconds + model.training_seconds)
    size = f"{len(model.vocabulary):,} words, {model.dim} numbers each,"
    say(f"Vectors of {size} saved to ", (str(folder), "bold"), f" in {took}.")
    speed = format_quantity(model.words_trained / max(model.training_seconds, 1e-9))
    loss = "" if math.isnan(model.mean_loss) else f", mean loss {model.mean_loss:.3f}"
    say(f"Reading took {model.encoding_seconds:.1f} s, training {model.training_seconds:.1f} s: {speed} words/s{loss}.")


def _settle_cache(cache: Path, *, keep: bool, quiet: bool) -> None:
    if not keep:
        from logq.text.encoding_cache import remove_encodings

        remove_encodings(cache)
        return
    size = sum(path.stat().st_size for path in cache.glob("*.ids"))
    if size and not quiet:
        say(f"The encoded text, {format_bytes(size)}, stays for the next run in ", (str(cache), "bold"), ".")
