"""`logq tokenize`: a text as people write it, as a text of words."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from logq.cli.command_options import Quiet
from logq.cli.input_output import READS, WRITES
from logq.cli.terminal.errors import BadInputError, InterruptedWorkError
from logq.cli.terminal.output import check_file
from logq.cli.terminal.report import say, say_next
from logq.cli.text_reading import Encoding, check_text_files, check_text_name

__all__ = ["EXAMPLES", "tokenize_text"]

EXAMPLES = """
logq tokenize book.txt -o words.txt
logq tokenize "part-*.txt.gz" -o words.txt.gz
logq tokenize book.txt -o words.txt --keep-case
"""


def tokenize_text(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...", help="Text, one sentence per line: files (also compressed) or quoted patterns."
        ),
        READS,
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the words there, compressed if the name ends in .gz.",
            show_default=False,
        ),
        WRITES,
    ],
    keep_case: Annotated[bool, typer.Option("--keep-case", help="Leave capitals as they are.")] = False,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Turn a text into words: lower case, without punctuation, one sentence per line.

    All other commands split text at white space and nothing else, so that king, King and "king. are three words; this
    one makes one of them. Lines stay lines. Marks inside of words stay: don't, well-known, 3.14.
    """
    check_file(output, "words.txt")
    check_text_name(output)
    if "-" in source:
        raise BadInputError("TEXT: expected files, got - (standard input)")
    check_text_files(source)
    try:
        from logq.text import PlainText

        words = PlainText(source, keep_case=keep_case, encoding=encoding).write(
            output, progress=False if quiet else None
        )
    except KeyboardInterrupt as stop:
        raise InterruptedWorkError("nothing was written.") from stop
    if quiet:
        return
    say(f"{words:,} words saved to ", (str(output), "bold"), ".")
    if sys.stdout.isatty():
        say_next([(f"logq train word2vec {shlex.quote(str(output))} -o vectors", "vectors of these words")])
