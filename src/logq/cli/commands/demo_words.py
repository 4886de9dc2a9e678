"""`logq demo`, or `logq demo words`: word vectors of Python's own documentation, which every Python ships with."""

import time
from pathlib import Path
from typing import Annotated

import typer

from logq._progress import format_seconds
from logq.cli.command_options import Quiet
from logq.cli.commands.draw_map import say_map
from logq.cli.commands.train_word2vec import train_word2vec
from logq.cli.input_output import WRITES_FOLDER
from logq.cli.terminal.errors import InterruptedWorkError
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import say, say_next, vector_steps
from logq.cli.terminal.result_tables import show_neighbors
from logq.cli.train_frame import Overwrite, Training

__all__ = ["EXAMPLES", "SHOWN", "demo_words"]

EXAMPLES = """
logq demo words
logq demo words -o python-words --seed 7
"""

SHOWN = ("file", "exception", "thread", "socket", "encoding", "method")

DEFAULT_FOLDER = Path("logq-demo")


def demo_words(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write the vectors and the map to."),
        WRITES_FOLDER,
    ] = DEFAULT_FOLDER,
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the training and the map.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Train word vectors on Python's own documentation, in a few seconds.

    Skip-gram with negative sampling reads the language reference and the docstrings of the standard library, shows the
    neighbors of a few words and draws a map. Nothing is downloaded.
    """
    began = time.monotonic()
    tell = (lambda *_: None) if quiet else say
    with output_folder(output):
        training = Training(
            output, quiet=quiet, what="vectors", overwrite=overwrite or output == DEFAULT_FOLDER, keep=True
        )
        try:
            tell(("Reading", "bold"), " Python's language reference and the docstrings of its standard library ...")
            from logq.text import python_reference

            sentences = python_reference()
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError("the corpus was not read yet, so nothing was saved.") from stop
        words = sum(map(len, sentences))
        tell(
            ("Training", "bold"),
            f" skip-gram with negative sampling on {words:,} words in {len(sentences):,} sentences ...",
        )
        vectors = train_word2vec(
            sentences, training, {"seed": seed, "epochs": 5, "num_sampled": 5, "sample": 1e-3}
        ).vectors
        shown = [word for word in SHOWN if word in vectors]
        tell()
        say(("Neighbors", "bold"), " by cosine")
        for start in range(0, len(shown), 3):
            say()
            show_neighbors([(word, vectors.most_similar(word, topn=6)) for word in shown[start : start + 3]])
        picture = output / "map.html"
        try:
            from logq.evaluation.map_page import write_map
            from logq.evaluation.map_points import WordSource, arrange

            points = arrange(WordSource(vectors), seed=seed)
            write_map(points, picture, "Python's vocabulary")
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError(f"the vectors are in {output}; the map was not drawn.") from stop
    if quiet:
        return
    say()
    say_map(picture, points)
    say_next(vector_steps(output, shown[0] if shown else vectors.index_to_key[0]))
    say()
    say((f"Done in {format_seconds(time.monotonic() - began)}.", "dim"))
