"""`logq train lm`: language models from text, counted or neural."""

from pathlib import Path
from typing import Annotated

import typer

from logq.cli.help import HelpfulCommand
from logq.cli.keeping_options import OutputFolder, Quiet
from logq.cli.lm_options import LMChecks, LMLoss, LMModel, LMTraining, LMVocabulary, ModelName, typed_arguments
from logq.cli.option_groups import spread
from logq.cli.output import check_file
from logq.cli.text_files import check_text_files
from logq.cli.train import train

__all__ = ["EXAMPLES"]

EXAMPLES = """
logq train lm corpus.txt -o model
logq train lm train.txt -o model --valid valid.txt --arpa model.arpa
logq train lm train.txt -o model --model gru --valid valid.txt
logq train lm train.txt -o model --model lstm --objective nce
logq train lm "part-*.txt.gz" -o model --model nnlm --max-vocab 50000
logq train lm train.txt -o model --model gru --valid valid.txt --resume
"""


def _lm(
    corpus: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS...",
            help="Text, a sentence a line: files, plain, .gz or .zst, patterns in quotes, or - for a pipe.",
        ),
    ],
    output: OutputFolder,
    *,
    valid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Another text, to measure perplexity by; neural models keep their best epoch. Repeatable.",
            rich_help_panel="Corpus",
        ),
    ] = None,
    vocabulary: LMVocabulary,
    model: Annotated[
        ModelName,
        typer.Option(
            metavar="NAME",
            help="ngram, counts in seconds; nnlm, a few words through a hidden layer; gru or lstm, all of the text "
            "before, the best and the slowest.",
            rich_help_panel="Model",
        ),
    ] = ModelName.ngram,
    chosen: LMModel,
    loss: LMLoss,
    training: LMTraining,
    checks: LMChecks,
    arpa: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="ngram: write it for KenLM, SRILM and others, too.",
            rich_help_panel="Keeping",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a language model: what comes next in a text, and how probable a text is.

    An n-gram model counts, with Kneser-Ney smoothing; it needs no training and is hard to beat on small texts. Neural
    models learn through a sample of the vocabulary (or --objective), so that a step costs the same for a million words.
    Words stand between white space, and each line ends in </s>. Perplexity is always exact, over all words. Options
    that say a model's name are of that model only; those without one are of all neural models.
    """
    arguments = typed_arguments(
        model,
        vocabulary,
        chosen,
        loss,
        training,
        arpa=arpa,
        checkpoint_minutes=checks.checkpoint_minutes,
        resume=checks.resume,
    )
    check_text_files((*corpus, *(valid or ())))
    if arpa is not None:
        check_file(arpa)
    from logq.cli.lm_training import train_language_model

    train_language_model(model, corpus, valid, output, arguments, checks, arpa=arpa, quiet=quiet)


train.command("lm", cls=HelpfulCommand, epilog=EXAMPLES)(spread(_lm))
