"""`logq map`: a picture of the most frequent words, or of the items of a recommender."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from logq._project import install_line
from logq.cli.command_options import Device
from logq.cli.input_output import READS, WRITES
from logq.cli.log_reading import check_tables
from logq.cli.terminal.errors import InterruptedWorkError
from logq.cli.terminal.output import check_file
from logq.cli.terminal.report import plural, say
from logq.cli.text_reading import VectorReading, read_vectors
from logq.folders.folder_contents import check_folder

if TYPE_CHECKING:
    from logq.evaluation.map_points import MapPoints, MapSource

__all__ = ["EXAMPLES", "LayoutChoice", "LayoutName", "Seed", "draw_map", "method_of", "say_map"]

EXAMPLES = """
logq map vectors
logq map vectors -o words.html --top 2000 --title "Words of our manual"
logq map model -o items.html
logq map GoogleNews.bin --layout pca
logq map vectors --parquet words.parquet
"""


class LayoutName(str, Enum):
    """Layouts in the plane, as logq.evaluation.map_layout.LAYOUTS names them."""

    auto = "auto"
    tsne = "tsne"
    pca = "pca"


LayoutChoice: TypeAlias = Annotated[
    LayoutName,
    typer.Option(
        "--layout", metavar="NAME", help="tsne (needs openTSNE), pca, or auto: the better one that is installed."
    ),
]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the layout and the colors.")]


def draw_map(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder written by `logq train`, of words or a recommender; a file of word2vec, GloVe or fastText; or "
            "- for a pipe.",
        ),
        READS,
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write."), WRITES] = Path(
        "map.html"
    ),
    parquet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write names, places, groups, counts and neighbors into a Parquet file, as embedding-atlas reads "
            "them. Needs the extra `logs`.",
        ),
        WRITES,
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, help="Number of words or items, the most frequent first.")
    ] = 500,
    layout: LayoutChoice = LayoutName.auto,
    seed: Seed = 0,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Headline of the page.")] = None,
    *,
    reading: VectorReading,
    device: Device = "cpu",
) -> None:
    """Draw a map of the most frequent words, or of the items of a recommender, as a single HTML file.

    Words are near each other when their vectors point the same way, items when the model finds them alike; items have
    their titles, and the more events they have, the larger they are. The file works offline: it zooms, searches and
    shows the neighbors of each. `logq explore` has the same map, and asks the model.
    """
    check_file(output, "map.html")
    if parquet is not None:
        check_file(parquet, "map.parquet")
        check_tables(parquet)
    from logq.evaluation.map_layout import check_layout

    check_layout(layout.value)
    try:
        from logq.evaluation.map_page import write_map
        from logq.evaluation.map_points import arrange, write_parquet

        source = _source(model, reading, device)
        points = arrange(source, top, layout.value, seed=seed, progress=None)
        if parquet is not None:
            write_parquet(points, parquet)
        write_map(points, output, title)
    except KeyboardInterrupt as stop:
        kept = "is as it was before" if output.exists() else "was not written"
        raise InterruptedWorkError(f"{output} {kept}.") from stop
    say_map(output, points, asked=layout.value)
    if parquet is not None:
        columns = f"--text {'title' if points.names != points.ids else points.kind} --x x --y y --neighbors neighbors"
        say((str(parquet), "bold"), f": the same as a table; embedding-atlas {parquet} {columns} opens it.")


def _source(model: str, reading: VectorReading, device: str) -> "MapSource":
    there = check_folder(Path(model), "word vectors", "recommender", doing="neighbors")
    if there is not None and there.family == "recommender":
        from logq.explorer.item_source import ItemSource
        from logq.folders.recommender_folders import open_folder

        return ItemSource(open_folder(Path(model), device=device))
    from logq.evaluation.map_points import WordSource

    return WordSource(read_vectors(model, reading))


def say_map(path: Path, points: "MapPoints", asked: str = "auto") -> None:
    """Say where the map is, and why it is a plainer one where t-SNE is missing."""
    count = len(points.ids)
    say(
        (str(path), "bold"),
        f": {plural(count, points.kind)}, laid out by {method_of(points.layout)}. Open it in a browser.",
    )
    if points.layout == "pca" and asked == "auto" and count >= 4:
        say((f"t-SNE shows groups better; it needs openTSNE: {install_line('map')}", "dim"))


def method_of(layout: str) -> str:
    """Return what a layout is called.

    Example:
        >>> method_of("tsne")
        't-SNE'
    """
    return {"tsne": "t-SNE", "pca": "principal components"}[layout]
