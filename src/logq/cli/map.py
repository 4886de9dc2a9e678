"""`logq map`: a picture of the most frequent words."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from logq.cli.errors import InterruptedWorkError
from logq.cli.output import check_file
from logq.cli.report import say

__all__ = ["EXAMPLES", "LayoutName", "map_command", "say_map"]

EXAMPLES = """
logq map vectors
logq map vectors -o words.html --top 2000 --title "Words of our manual"
logq map GoogleNews.bin --layout pca
"""


class LayoutName(str, Enum):
    """Ways to lay vectors flat, as logq.evaluation.map_page.LAYOUTS names them."""

    auto = "auto"
    tsne = "tsne"
    pca = "pca"


def map_command(
    vectors: Annotated[str, typer.Argument(metavar="VECTORS", help="Folder of `logq train`, or a word2vec file.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write.")] = Path(
        "map.html"
    ),
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, help="How many words to draw, most frequent first.")
    ] = 500,
    layout: Annotated[
        LayoutName, typer.Option("--layout", metavar="NAME", help="auto, tsne (needs scikit-learn) or pca.")
    ] = LayoutName.auto,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the layout and the colours.")] = 0,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Headline of the page.")] = None,
) -> None:
    """Draw a map of the most frequent words as one HTML file.

    Words stand near each other when their vectors point the same way. The file needs no network: it zooms, searches
    and shows each word's neighbours wherever it is opened.
    """
    check_file(output)
    try:
        from logq.evaluation import word_map
        from logq.vectors import KeyedVectors

        known = KeyedVectors.load(vectors)
        used = word_map(known, output, top, layout.value, seed=seed, title=title)
    except KeyboardInterrupt as stop:
        kept = "is as it was before" if output.exists() else "was not written"
        raise InterruptedWorkError(f"{output} {kept}.") from stop
    say_map(output, min(top, len(known)), used, asked=layout.value)


def say_map(path: Path, words: int, used: str, asked: str = "auto") -> None:
    """Say where the map is, and why it is a plainer one where t-SNE is missing."""
    method = {"tsne": "t-SNE", "pca": "principal components"}[used]
    say((str(path), "bold"), f": {words:,} words laid flat by {method}. Open it in a browser.")
    if used == "pca" and asked == "auto" and words >= 4:
        say(("t-SNE shows groups better; it needs scikit-learn: pip install 'logq[map]'", "dim"))
