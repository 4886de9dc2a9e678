"""`logq evaluate lm`: how probable texts are under a language model."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from logq._arguments import ArgumentError
from logq.cli.command_options import Device, JsonOutput, Quiet
from logq.cli.input_output import READS
from logq.cli.model_folders import LanguageModelArgument
from logq.cli.terminal.console import Text
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.cli.terminal.result_tables import ResultTable
from logq.cli.text_reading import Encoding, check_text_files
from logq.folders.folder_contents import check_folder
from logq.folders.recommender_folders import load_language_model

if TYPE_CHECKING:
    from logq.evaluation.likelihood import Likelihood
    from logq.language_models import LanguageModel

__all__ = ["EXAMPLES", "lm"]

EXAMPLES = """
logq evaluate lm model test.txt
logq evaluate lm model valid.txt test.txt --json scores.json
logq evaluate lm model.arpa test.txt
logq evaluate lm model - < test.txt
"""

_MANY_UNKNOWN = 0.2  # of the tokens: more is a text of another kind, or tokenized otherwise


def lm(
    model: LanguageModelArgument,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Texts, one sentence per line: files (also compressed), quoted patterns, or - for standard input.",
        ),
        READS,
    ],
    output: JsonOutput = None,
    encoding: Encoding = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Evaluate a language model by its perplexity on unseen text.

    Perplexity is exp(-log P / tokens): the number of equally likely words among which the model would be as uncertain.
    Ends of lines, and unknown words as <unk>, count as tokens. P is exact, over all words of the vocabulary, however
    the model was trained. Compare perplexities only between models with the same vocabulary: one that knows fewer words
    has an easier task. In a pipe, the output is lines of file, measure and value, separated by tabs.
    """
    if output is not None:
        check_file(output)
    check_folder(model, "language model", doing="evaluate")
    check_text_files(texts)
    progress = False if quiet else None
    loaded = load_language_model(model, device=device, progress=progress, doing="evaluate")
    from logq.evaluation.likelihood import Likelihood

    found = [(text, _measured(loaded, text, encoding, progress)) for text in texts]
    together = sum((one for _, one in found), Likelihood())
    if output is not None:
        scores = {
            "model": str(model),
            "class": type(loaded).__name__,
            "words": len(loaded.vocabulary),
            "files": [{"file": text, **one.as_dict()} for text, one in found],
            "all": together.as_dict(),
        }
        write_json(output, scores)
    rows = [*found, ("all", together)] if len(found) > 1 else found
    if not sys.stdout.isatty():
        for text, one in rows:
            for measure in _MEASURES:
                print("\t".join([text, measure, f"{getattr(one, measure):.10g}"]))
    else:
        _show(rows, len(loaded.vocabulary))
    for text, one in found:
        _note_oddities(text, one)


_MEASURES = (
    "perplexity",
    "perplexity_without_unknown",
    "bits",
    "log_prob",
    "num_tokens",
    "num_sentences",
    "num_unknown",
    "num_impossible",
)


def _measured(model: "LanguageModel", text: str, encoding: str | None, progress: bool | None) -> "Likelihood":
    try:
        return model.evaluate(text, encoding=encoding, progress=progress)
    except ArgumentError as error:
        if error.name != "source":
            raise
        raise BadInputError(error.message(text)) from error


def _show(rows: "list[tuple[str, Likelihood]]", num_words: int) -> None:
    table = ResultTable("text", "perplexity", "bits per token", "tokens", "<unk>", "without <unk>")
    for text, one in rows:
        table.add(
            text,
            Text(f"{one.perplexity:,.2f}", style="bold"),
            f"{one.bits:.3f}",
            f"{one.num_tokens:,}",
            Text(f"{one.num_unknown / max(1, one.num_tokens):.1%}", style="dim"),
            f"{one.perplexity_without_unknown:,.2f}",
        )
    table.show()
    say((f"Over a vocabulary of {num_words:,} words, <unk> and </s> among them.", "dim"))


def _note_oddities(text: str, one: "Likelihood") -> None:
    if one.num_impossible:
        note(
            f"{text}: {one.num_impossible:,} tokens are impossible under this model (P = 0), so its perplexity is "
            "infinite; smoothing gives every word some probability."
        )
    if one.num_unknown > _MANY_UNKNOWN * one.num_tokens:
        note(
            f"{text}: {one.num_unknown / one.num_tokens:.0%} of the tokens are unknown words; perplexity says little "
            "then. Is the text tokenized and capitalized like the training text?"
        )
