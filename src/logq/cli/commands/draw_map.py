"""`logq map`: a picture of the most frequent words."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from logq.cli.command_options import VectorsArgument
from logq.cli.input_output import WRITES
from logq.cli.terminal.errors import InterruptedWorkError
from logq.cli.terminal.output import check_file
from logq.cli.terminal.report import say
from logq.cli.text_reading import VectorReading, read_vectors

__all__ = ["EXAMPLES", "LayoutName", "draw_map", "say_map"]

EXAMPLES = """
logq map vectors
logq map vectors -o words.html --top 2000 --title "Words of our manual"
logq map GoogleNews.bin --layout pca
"""


class LayoutName(str, Enum):
    """Layouts in the plane, as logq.evaluation.map_page.LAYOUTS names them."""

    auto = "auto"
    tsne = "tsne"
    pca = "pca"


def draw_map(
    vectors: VectorsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write."), WRITES] = Path(
        "map.html"
    ),
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, help="Number of words to draw, the most frequent first.")
    ] = 500,
    layout: Annotated[
        LayoutName,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="tsne (needs scikit-learn), pca, or auto: the better one that is installed.",
        ),
    ] = LayoutName.auto,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the layout and the colors.")] = 0,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Headline of the page.")] = None,
    *,
    reading: VectorReading,
) -> None:
    """Draw a map of the most frequent words as a single HTML file.

    Words are near each other when their vectors point the same way. The file works offline: it zooms, searches and
    shows the neighbors of each word.
    """
    check_file(output, "map.html")
    try:
        from logq.evaluation.map_page import word_map

        known = read_vectors(vectors, reading)
        used = word_map(known, output, top, layout.value, seed=seed, title=title)
    except KeyboardInterrupt as stop:
        kept = "is as it was before" if output.exists() else "was not written"
        raise InterruptedWorkError(f"{output} {kept}.") from stop
    say_map(output, min(top, len(known)), used, asked=layout.value)


def say_map(path: Path, words: int, used: str, asked: str = "auto") -> None:
    """Say where the map is, and why it is a plainer one where t-SNE is missing."""
    method = {"tsne": "t-SNE", "pca": "principal components"}[used]
    say((str(path), "bold"), f": {words:,} words, laid out by {method}. Open it in a browser.")
    if used == "pca" and asked == "auto" and words >= 4:
        say(("t-SNE shows groups better; it needs scikit-learn: pip install 'logq[map]'", "dim"))
