"""`logq vocab`: which words a text has, and how many of them a vocabulary keeps."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.errors import BadInputError, InterruptedWorkError
from logq.cli.output import check_file
from logq.cli.report import say
from logq.cli.threads import reading_threads

__all__ = ["EXAMPLES", "vocab"]

EXAMPLES = """
logq vocab corpus.txt
logq vocab part-*.txt.gz -o words.txt --min-count 10
logq vocab "texts/**/*.txt" --max-vocab 50000
logq vocab - --top 50 < corpus.txt
"""


def vocab(
    corpus: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS...", help="Text files, plain, .gz or .zst, patterns in quotes, or - for a pipe."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write 'word count' lines there.")
    ] = None,
    min_count: Annotated[int, typer.Option(metavar="N", min=1, help="Leave out words that are rarer.")] = 5,
    max_vocab: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Keep only so many words, the most frequent.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads. Default: one for each core, at most 4.")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=0, help="How many of the most frequent words to show.")] = 10,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Count the words of a text: how many there are, how many of them are kept, and the most frequent.

    Words stand between white space of any kind. With the same options, `logq train` learns vectors for the words that
    are kept here. Read by another program (in a pipe), the answer is lines of two columns, separated by a tab.
    """
    if output is not None:
        check_file(output)
    threads = reading_threads(threads)
    try:
        from logq.text import count_words

        progress = False if quiet else None
        counted = count_words(corpus, min_count=min_count, max_vocab=max_vocab, threads=threads, progress=progress)
    except KeyboardInterrupt as stop:
        raise InterruptedWorkError("nothing was written.") from stop
    except (ValueError, FileNotFoundError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        message = re.sub(r"^(min_count|source)\b", lambda match: _SPELLED[match[0]], str(error))
        message = message.removesuffix("; a list of strings is a list of files, sentences are lists of words")
        raise BadInputError(message.replace("lower min_count", "lower --min-count")) from error
    if output is not None:
        counted.vocabulary.save(output)
    _show(counted, top)
    if counted.invalid_lines:
        _note(f"{counted.invalid_lines:,} lines had bytes that are not UTF-8; they were read as \ufffd.")
    if counted.long_words:
        _note(f"{counted.long_words:,} words of more than 65,536 bytes were left out.")
    if output is not None and sys.stdout.isatty():
        say(f"{len(counted.vocabulary):,} words with their counts are in ", (str(output), "bold"))


_SPELLED = {"min_count": "--min-count", "source": "CORPUS"}


def _show(counted: Any, top: int) -> None:
    vocabulary = counted.vocabulary
    covered = vocabulary.total / vocabulary.raw_words
    numbers = [
        ("words", vocabulary.raw_words),
        ("different words", counted.num_types),
        ("different words kept", len(vocabulary)),
        ("words they cover", vocabulary.total),
    ]
    words = list(zip(vocabulary.index_to_key[:top], vocabulary.counts[:top].tolist(), strict=True))
    if not sys.stdout.isatty():
        for name, number in [*numbers, ("share they cover", f"{covered:.4f}"), *words]:
            print(f"{name}\t{number}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    table.add_column(justify="right", style="dim")
    for name, number in numbers:
        table.add_row(Text(name), f"{number:,}", f"{covered:.2%}" if name == "words they cover" else "")
    if words:
        table.add_row("", "", "")
    for word, count in words:
        table.add_row(Text(word, style="cyan"), f"{count:,}", f"{count / vocabulary.raw_words:.2%}")
    Console().print(table)


def _note(text: str) -> None:
    from logq.cli.errors import say_error

    say_error(text, "Note")
