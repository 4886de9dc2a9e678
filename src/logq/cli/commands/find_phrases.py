"""`logq phrases`: phrases, found in a text and joined to single words."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logq.cli.command_options import JsonOutput, Quiet
from logq.cli.input_output import WRITES
from logq.cli.terminal.errors import InterruptedWorkError, note
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.cli.text_reading import Encoding, Source, check_text_files, check_text_name, reading_threads

if TYPE_CHECKING:
    from logq.text import Phrases

__all__ = ["EXAMPLES", "ScoringName", "phrases"]

EXAMPLES = """
logq phrases corpus.txt
logq phrases corpus.txt -o joined.txt
logq phrases part-*.txt.gz -o joined.txt.gz --passes 2 --connectors english
logq phrases corpus.txt --scoring npmi --threshold 0.6 --top 50
"""


class ScoringName(str, Enum):
    """Scores of pairs, as logq.text.Phrases names them."""

    default = "default"
    word2phrase = "word2phrase"
    npmi = "npmi"


def phrases(
    source: Source,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the text with its phrases joined, compressed if the name ends in .gz.",
        ),
        WRITES,
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the phrases themselves, as JSON."), WRITES
    ] = None,
    min_count: Annotated[int, typer.Option(metavar="N", min=1, help="Leave out pairs that occur less often.")] = 5,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Score that a phrase has to exceed.",
            show_default="10, with word2phrase 100, with npmi 0.5",
        ),
    ] = None,
    scoring: Annotated[
        ScoringName,
        typer.Option(metavar="NAME", help=f"Score of a pair: {', '.join(name.value for name in ScoringName)}."),
    ] = ScoringName.default,
    passes: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Number of passes; each joins phrases of the one before with further words."
        ),
    ] = 1,
    connectors: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Words that may occur inside phrases, separated by spaces; english for of, the and the like.",
        ),
    ] = None,
    delimiter: Annotated[str, typer.Option(metavar="TEXT", help="What joins the words of a phrase.")] = "_",
    max_vocab: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Maximum number of pairs in memory; rare ones beyond it are dropped."),
    ] = 40_000_000,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Number of threads.", show_default="one per core, at most 4")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=0, help="Number of phrases to show, the best first.")] = 20,
    encoding: Encoding = None,
    as_json: JsonOutput = None,
    quiet: Quiet = False,
) -> None:
    """Find words that occur together more often than by chance, and join them: new york becomes new_york.

    The text written with -o can be trained on like any other. Lines stay lines. In a pipe, the output is lines of
    phrase, count and score, separated by tabs, best first.
    """
    for path in (output, save, as_json):
        if path is not None:
            check_file(path)
    if output is not None:
        check_text_name(output)
    check_text_files(source)
    threads = reading_threads(threads)
    written: int | None = None
    wrote = "nothing was written."
    try:
        from logq.text import ENGLISH_CONNECTOR_WORDS, Phrases, encode

        progress = False if quiet else None
        found = Phrases(
            min_count,
            threshold,
            scoring.value,
            delimiter=delimiter,
            connector_words=ENGLISH_CONNECTOR_WORDS if connectors == "english" else (connectors or "").split(),
            passes=passes,
            max_vocab=max_vocab,
        )
        with encode(source, min_count=1, encoding=encoding, threads=threads, progress=progress) as text:
            found.fit(text, progress=progress)
            if save is not None:
                found.save(save)
                wrote = f"the phrases are in {save}, no text was written."
            if output is not None:
                written = found.transform(text).write(output, progress=progress)
            num_sentences = text.num_sentences
    except KeyboardInterrupt as stop:
        raise InterruptedWorkError(wrote) from stop
    best = [(phrase, found.counts[phrase], score) for phrase, score in list(found.phrases.items())[:top]]
    if as_json is not None:
        shown = [{"phrase": phrase, "count": count, "score": score} for phrase, count, score in best]
        write_json(as_json, {"words": found.num_words, "num_phrases": len(found), "phrases": shown})
    _show(found, best)
    if found.pruned:
        note(f"{found.pruned:,} rare pairs were dropped, as there were more than --max-vocab = {max_vocab:,} at once.")
    if sys.stdout.isatty():
        if written is not None:
            say(f"{written:,} words in {num_sentences:,} lines saved to ", (str(output), "bold"), ".")
        if save is not None:
            say(f"{len(found):,} phrases saved to ", (str(save), "bold"), ".")


def _show(found: "Phrases", best: list[tuple[str, int, float]]) -> None:
    if not sys.stdout.isatty():
        for phrase, count, score in best:
            print(f"{phrase}\t{count}\t{score:.6f}")
        return
    from logq.cli.terminal.console import Text
    from logq.cli.terminal.result_tables import ResultTable

    say(f"{len(found):,} phrases in {found.num_words:,} words.")
    if not best:
        return
    table = ResultTable("phrase", "count", "score")
    for phrase, count, score in best:
        table.add(phrase, Text(f"{count:,}", style="dim"), f"{score:,.2f}")
    table.show()
