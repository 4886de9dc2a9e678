"""`logq demo`, or `logq demo words`: vectors of Python's own vocabulary, from the text that ships inside every one."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from logq._progress import format_seconds
from logq.cli.errors import InterruptedWorkError
from logq.cli.map import say_map
from logq.cli.output import output_folder
from logq.cli.report import neighbour_table, say, say_next
from logq.cli.training import fit_and_save

__all__ = ["EXAMPLES", "SHOWN", "demo"]

EXAMPLES = """
logq demo words
logq demo words -o python-words --seed 7
"""

SHOWN = ("file", "exception", "thread", "socket", "encoding", "method")


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the vectors and the map.")
    ] = Path("logq-demo"),
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the training and the map.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Train word vectors on the language reference inside Python, in a few seconds.

    Skip-gram with negative sampling reads the reference manual and the standard library's docstrings, shows the
    neighbours of a few words and draws a map. Nothing is downloaded.
    """
    began = time.monotonic()
    with output_folder(output):
        try:
            say(("Reading", "bold"), " Python's language reference and the standard library's docstrings ...")
            from logq.text import python_reference

            sentences = python_reference()
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError("the corpus was not read yet, so nothing was saved.") from stop
        words = sum(map(len, sentences))
        say(
            ("Training", "bold"),
            f" skip-gram with negative sampling on {words:,} words in {len(sentences):,} sentences ...",
        )
        vectors = fit_and_save(sentences, output, {"seed": seed, "epochs": 5}, quiet=quiet).vectors
        shown = [word for word in SHOWN if word in vectors]
        say()
        say(("Neighbours", "bold"), " by cosine")
        console = Console()
        for start in range(0, len(shown), 3):
            say()
            console.print(
                neighbour_table([(word, vectors.most_similar(word, topn=6)) for word in shown[start : start + 3]])
            )
        say()
        picture = output / "map.html"
        try:
            from logq.evaluation import word_map

            used = word_map(vectors, picture, seed=seed, title="Python's vocabulary")
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError(f"the vectors are in {output}; the map was not drawn.") from stop
    say_map(picture, min(500, len(vectors)), used)
    say_next(output, shown[0] if shown else vectors.index_to_key[0], drawn=picture)
    say()
    say((f"Done in {format_seconds(time.monotonic() - began)}.", "dim"))
