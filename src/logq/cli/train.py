"""`logq train word2vec`: word vectors from text."""

import errno
import os
import re
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.errors import BadInputError, InterruptedWorkError, describe
from logq.cli.help import HelpfulCommand, HelpfulGroup
from logq.cli.output import output_folder
from logq.cli.report import say, say_next
from logq.progress import format_seconds

__all__ = ["EXAMPLES", "ObjectiveName", "SamplerName", "fit_and_save", "train", "word2vec"]

EXAMPLES = """
logq train word2vec corpus.txt -o vectors
logq train word2vec part-*.txt.gz -o vectors --dim 300 --window 10
logq train word2vec corpus.txt -o vectors --cbow --sample 1e-4
logq train word2vec corpus.txt -o vectors --objective sampled_softmax
"""


class ObjectiveName(str, Enum):
    """The rows of the table of objectives; logq.objectives holds the table itself."""

    negative_sampling = "negative_sampling"
    nce = "nce"
    sampled_logistic = "sampled_logistic"
    sampled_softmax = "sampled_softmax"
    full_logistic = "full_logistic"
    full_softmax = "full_softmax"


class SamplerName(str, Enum):
    """Laws that negatives can be drawn from, as logq.Word2Vec names them."""

    unigram = "unigram"
    uniform = "uniform"
    log_uniform = "log_uniform"
    learned_unigram = "learned_unigram"
    in_batch = "in_batch"
    every_class = "every_class"


train = typer.Typer(name="train", cls=HelpfulGroup, add_help_option=False, add_completion=False, epilog=EXAMPLES)


@train.callback(invoke_without_command=True)
def choose_model(context: typer.Context) -> None:
    """Train vectors from files."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_CORPUS, _MODEL, _TRAINING = "Corpus", "Model", "Training"


@train.command("word2vec", cls=HelpfulCommand, epilog=EXAMPLES)
def word2vec(
    corpus: Annotated[
        list[Path],
        typer.Argument(metavar="CORPUS...", help="Text files, plain or .gz: a sentence a line, words between spaces."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the vectors.")],
    min_count: Annotated[
        int, typer.Option(metavar="N", min=1, help="Leave out words that are rarer.", rich_help_panel=_CORPUS)
    ] = 5,
    max_vocab: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Keep only so many words, the most frequent.", rich_help_panel=_CORPUS),
    ] = None,
    sample: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Skip words more frequent than this share now and then; 0 never.",
            rich_help_panel=_CORPUS,
        ),
    ] = 1e-3,
    dim: Annotated[int, typer.Option(metavar="N", min=1, help="Numbers in a vector.", rich_help_panel=_MODEL)] = 100,
    window: Annotated[
        int, typer.Option(metavar="N", min=1, help="Words to look at on each side, at most.", rich_help_panel=_MODEL)
    ] = 5,
    sg: Annotated[
        bool,
        typer.Option(
            "--skip-gram/--cbow", help="Predict from one neighbour, or from all of a window.", rich_help_panel=_MODEL
        ),
    ] = True,
    cbow_mean: Annotated[
        bool,
        typer.Option("--cbow-mean/--cbow-sum", help="How CBOW joins a window's vectors.", rich_help_panel=_MODEL),
    ] = True,
    objective: Annotated[
        ObjectiveName,
        typer.Option(
            metavar="NAME",
            help="Loss: " + ", ".join(name.value for name in ObjectiveName) + ".",
            rich_help_panel=_MODEL,
        ),
    ] = ObjectiveName.negative_sampling,
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help="Law of the negatives: " + ", ".join(name.value for name in SamplerName) + ".",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    negatives: Annotated[
        int, typer.Option(metavar="N", min=1, help="Negatives for each pair.", rich_help_panel=_MODEL)
    ] = 5,
    power: Annotated[
        float, typer.Option(metavar="X", help="Exponent of the counts in the unigram law.", rich_help_panel=_MODEL)
    ] = 0.75,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared", help="One set of negatives for a whole batch: faster, a little worse.", rich_help_panel=_MODEL
        ),
    ] = False,
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Times to read the corpus.", rich_help_panel=_TRAINING)
    ] = 5,
    lr: Annotated[
        float | None,
        typer.Option(metavar="X", help="First learning rate. Default: 0.025, CBOW 0.05.", rich_help_panel=_TRAINING),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Pairs in a step. Default: 512, fewer for few words.", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Makes a run repeatable.", rich_help_panel=_TRAINING)
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, ...", rich_help_panel=_TRAINING)
    ] = "cpu",
    threads: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Threads. Steps are small: one is fast.", rich_help_panel=_TRAINING),
    ] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Train word2vec vectors: skip-gram or CBOW, with any loss of the table.

    The vectors are saved after each pass over the corpus, so Ctrl-C loses at most the pass it interrupts. What lies in
    DIR from an earlier run is replaced then, and not before.
    """
    for path in corpus:
        _check_text_file(path)
    options: dict[str, Any] = {
        "dim": dim,
        "window": window,
        "negatives": negatives,
        "sample": sample,
        "min_count": min_count,
        "epochs": epochs,
        "lr": lr,
        "sg": sg,
        "cbow_mean": cbow_mean,
        "objective": objective.value,
        "sampler": None if sampler is None else sampler.value,
        "power": power,
        "shared": shared,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
        "max_vocab": max_vocab,
    }
    with output_folder(output):
        vectors = fit_and_save([os.fspath(path) for path in corpus], output, options, threads=threads, quiet=quiet)
        say_next(output, next((word for word in vectors.index_to_key if len(word) > 3), vectors.index_to_key[0]))


def fit_and_save(source: Any, folder: Path, options: dict[str, Any], *, threads: int = 1, quiet: bool = False) -> Any:
    """Train word2vec, save its vectors after each epoch, say where they are and what to type next.

    Args:
        source: paths, or sentences as lists of words.
        folder: where the vectors go; it exists.
        options: arguments of logq.Word2Vec.
        threads: of torch. More than one make the small steps of word2vec slower where anything else runs.
        quiet: no progress line.

    Returns:
        The vectors.

    Raises:
        BadInputError: what the library refuses, told in the options' spelling.
        InterruptedWorkError: Ctrl-C; the message says what is saved.
    """
    saved, epochs = 0, options.get("epochs", 5)
    try:
        import torch

        from logq.data import Corpus
        from logq.training import Word2Vec

        torch.set_num_threads(threads)
        began = time.monotonic()

        def save(model: Any, epoch: int) -> None:
            nonlocal saved
            model.vectors.save(folder, info={"epochs_done": saved + 1})
            saved += 1

        try:
            torch.empty(0, device=options.get("device", "cpu"))
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"device: {options['device']!r} can't be used here: {str(error).splitlines()[0]}"
            ) from error
        corpus = Corpus(source)
        model = Word2Vec(**options)
        model.fit(corpus, progress=False if quiet else None, on_epoch_end=save)
    except KeyboardInterrupt as stop:
        raise InterruptedWorkError(_what_is_saved(folder, saved, epochs)) from stop
    except FloatingPointError as error:
        raise BadInputError(
            f"{_in_options(str(error), set(options))}; {_what_is_saved(folder, saved, epochs)}"
        ) from error
    except ValueError as error:
        raise BadInputError(_in_options(str(error), set(options))) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        raise BadInputError(f"{describe(error)}; {_what_is_saved(folder, saved, epochs)}") from error
    vectors = model.vectors
    if corpus.invalid_lines:
        say(
            f"{corpus.invalid_lines:,} lines had bytes that are not UTF-8; they were read as \N{REPLACEMENT CHARACTER}."
        )
    say(
        f"{len(vectors):,} words, {vectors.vector_size} numbers each, after {format_seconds(time.monotonic() - began)}"
        " are in ",
        (str(folder), "bold"),
    )
    return vectors


def _check_text_file(path: Path) -> None:
    # The library checks too; here it is said before torch is loaded. The file is not opened: a pipe would wait.
    if not path.exists():
        raise BadInputError(f"{path}: there is no such file")
    if path.is_dir():
        raise BadInputError(f"{path}: expected a text file, found a folder")
    if not os.access(path, os.R_OK):
        raise BadInputError(f"{path}: can't be read: {os.strerror(errno.EACCES)}")


def _what_is_saved(folder: Path, saved: int, epochs: int) -> str:
    if saved:
        return f"the vectors of {saved} of {epochs} epochs are in {folder}."
    if (folder / "vectors.safetensors").exists():
        return f"no epoch had ended; {folder} still holds the vectors of an earlier run."
    return "no epoch had ended, so nothing was saved."


def _in_options(message: str, names: set[str]) -> str:
    # The library calls an argument min_count; whoever reads this typed --min-count.
    spelled = {"sg": "--skip-gram", "cbow_mean": "--cbow-mean", "source": "CORPUS"}
    spelled = {name: "--" + name.replace("_", "-") for name in names} | spelled
    return re.sub(
        rf"^({'|'.join(spelled)})(?=:)|\b({'|'.join(name for name in names if '_' in name)})(?= ?=)",
        lambda match: spelled[match[0]],
        message,
    )
