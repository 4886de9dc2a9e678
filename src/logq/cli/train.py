"""`logq train word2vec`: word vectors from text."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.choice_names import ObjectiveName, SamplerName, listed
from logq.cli.errors import BadInputError
from logq.cli.help import HelpfulCommand, HelpfulGroup
from logq.cli.output import output_folder
from logq.cli.report import say_next
from logq.cli.text_files import check_text_files
from logq.cli.training import Keeping, fit_and_save

__all__ = ["EXAMPLES", "EngineName", "train", "word2vec"]

EXAMPLES = """
logq train word2vec corpus.txt -o vectors
logq train word2vec corpus.txt -o vectors --resume
logq train word2vec "part-*.txt.gz" -o vectors --dim 300 --window 10
logq train word2vec corpus.txt -o vectors --cbow --sample 1e-4
logq train word2vec corpus.txt -o vectors --objective sampled_softmax
logq train word2vec - -o vectors < corpus.txt
"""


class EngineName(str, Enum):
    """What can train, as logq.Word2Vec names it."""

    auto = "auto"
    fused = "fused"
    plain = "plain"


_EXAMPLES = """
logq train word2vec corpus.txt -o vectors
logq train lm corpus.txt -o model
logq train item2vec ratings.csv -o items
logq train sasrec ratings.csv -o model
logq train youtube-dnn ratings.csv --user uid --item iid -o model
"""

train = typer.Typer(name="train", cls=HelpfulGroup, add_help_option=False, add_completion=False, epilog=_EXAMPLES)


@train.callback(invoke_without_command=True)
def choose_model(context: typer.Context) -> None:
    """Train word vectors or a language model from text, or a recommender from a log of who did what."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_CORPUS, _MODEL, _TRAINING, _KEEPING = "Corpus", "Model", "Training", "Keeping"


@train.command("word2vec", cls=HelpfulCommand, epilog=EXAMPLES)
def word2vec(
    corpus: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS...",
            help="Text, a sentence a line: files, plain, .gz or .zst, patterns in quotes, or - for a pipe.",
        ),
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
    hs: Annotated[
        bool,
        typer.Option("--hs", help="Hierarchical softmax, in the place of negatives.", rich_help_panel=_MODEL),
    ] = False,
    objective: Annotated[
        ObjectiveName,
        typer.Option(
            metavar="NAME",
            help="Loss: " + listed(ObjectiveName) + ".",
            rich_help_panel=_MODEL,
        ),
    ] = ObjectiveName["negative_sampling"],
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help="Law of the negatives: " + listed(SamplerName) + ".",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    negatives: Annotated[
        int, typer.Option(metavar="N", min=1, help="Negatives for each pair.", rich_help_panel=_MODEL)
    ] = 5,
    power: Annotated[
        float, typer.Option(metavar="X", help="Exponent of the counts in the unigram law.", rich_help_panel=_MODEL)
    ] = 0.75,
    shared_negatives: Annotated[
        bool | None,
        typer.Option(
            "--shared-negatives/--own-negatives",
            help="Whether pairs of a window share negatives. Default: where it is as good.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Times to read the corpus.", rich_help_panel=_TRAINING)
    ] = 5,
    lr: Annotated[
        float | None,
        typer.Option(metavar="X", help="First learning rate. Default: 0.025, CBOW 0.05.", rich_help_panel=_TRAINING),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Threads. Default: all cores, or one with --seed.", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Makes a run repeatable, on one thread to the bit.", rich_help_panel=_TRAINING
        ),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            metavar="NAME",
            help="fused, compiled; plain, in PyTorch, for all else; auto.",
            rich_help_panel=_TRAINING,
        ),
    ] = EngineName.auto,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Pairs in a step of plain PyTorch. Default: 512, fewer for few words.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Of plain PyTorch: cpu, cuda, cuda:1, ...", rich_help_panel=_TRAINING)
    ] = "cpu",
    checkpoint_minutes: Annotated[
        float,
        typer.Option(metavar="X", min=0.0, help="Save a checkpoint so often, and on Ctrl-C.", rich_help_panel=_KEEPING),
    ] = 10.0,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the checkpoint in DIR, with the same options.", rich_help_panel=_KEEPING
        ),
    ] = False,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the text as numbers, 4 bytes a word, for the next run. Default: cache in the output.",
            rich_help_panel=_KEEPING,
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Remove the text as numbers at the end.", rich_help_panel=_KEEPING)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Train word2vec vectors: skip-gram or CBOW, with any loss of the table.

    Negative sampling and --hs run in a compiled engine on all cores, everything else in plain PyTorch, some tens of
    times slower. The vectors are saved after each pass over the corpus, and a checkpoint now and then and on Ctrl-C,
    from which --resume goes on. What lies in DIR from an earlier run is replaced then, and not before.
    """
    check_text_files(corpus)
    if no_cache and cache_dir is not None:
        raise BadInputError("--no-cache: expected no --cache-dir beside it")
    options: dict[str, Any] = {
        "dim": dim,
        "window": window,
        "negatives": negatives,
        "sample": sample,
        "min_count": min_count,
        "epochs": epochs,
        "lr": lr,
        "sg": sg,
        "hs": hs,
        "cbow_mean": cbow_mean,
        "objective": objective.value,
        "sampler": None if sampler is None else sampler.value,
        "power": power,
        "shared_negatives": shared_negatives,
        "threads": threads,
        "batch_size": batch_size,
        "max_vocab": max_vocab,
        "seed": seed,
        "device": device,
        "engine": engine.value,
    }
    keeping = Keeping(
        cache=output / "cache" if cache_dir is None else cache_dir,
        keep_cache=not no_cache,
        checkpoint_minutes=checkpoint_minutes,
        resume=resume,
    )
    with output_folder(output):
        model = fit_and_save(corpus, output, options, keeping, quiet=quiet)
        words = model.vocabulary.index_to_key
        say_next(output, next((word for word in words if len(word) > 3), words[0]))
