"""`logq explore`: a page to look at a model, and to ask it by clicking."""

from pathlib import Path
from typing import Annotated, Any

import typer

from logq._arguments import BadArgumentError
from logq.cli.command_options import Device, Quiet
from logq.cli.commands.draw_map import LayoutChoice, LayoutName, Seed, method_of
from logq.cli.input_output import READS, WRITES
from logq.cli.listening import address_of, listen, run_app
from logq.cli.terminal.errors import BadInputError, InterruptedWorkError
from logq.cli.terminal.output import check_file
from logq.cli.terminal.report import plural, say

__all__ = ["EXAMPLES", "explore"]

EXAMPLES = """
logq explore model
logq explore vectors --top 20000
logq explore sasrec item-knn
logq explore model --export page.html
"""


def explore(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Folder written by `logq train`, of a recommender or of word vectors; or a file of word vectors.",
        ),
        READS,
    ],
    beside: Annotated[
        Path | None,
        typer.Argument(metavar="[BESIDE]", help="Another model, to compare: their answers stand side by side."),
        READS,
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")] = 8001,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the page into one HTML file, which needs neither this process nor a network, and end. The page "
            "says what it cannot know without the model.",
        ),
        WRITES,
    ] = None,
    top: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of words or items on the map, the most frequent first.")
    ] = 2000,
    layout: LayoutChoice = LayoutName.auto,
    seed: Seed = 0,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Headline of the page.")] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Look at a model in a browser: its map, and what it answers. Needs the extra `serve`, unless --export is given.

    The page shows words or items as a map with search, groups and neighbors. For a recommender you build a history by
    clicking, and see what the model recommends, with scores and the items of the history that speak for each; for word
    vectors you add and subtract words. The process answers to browsers of this machine alone, and has the routes of
    `logq serve` beside the page; Ctrl-C ends it.
    """
    if export is not None:
        check_file(export, "page.html")
    chosen: dict[str, Any] = {"top": top, "layout": layout.value, "seed": seed, "title": title, "device": device}
    chosen["progress"] = False if quiet else None
    try:
        if export is None:
            from logq.explorer import create_explorer
            from logq.serving.application import check_serving

            check_serving("uvicorn")
            with listen("127.0.0.1", port) as listening:
                app = create_explorer(model, beside, **chosen)
                if not quiet:
                    say("Open ", (address_of(listening), "bold"), " in a browser. Ctrl-C ends it.")
                run_app(app, listening)
            return
        from logq.explorer import write_explorer

        points = write_explorer(model, export, beside, **chosen)
    except BadArgumentError as error:
        where = {"model": "MODEL", "vectors": "MODEL", "beside": "BESIDE"}.get(error.name, f"--{error.name}")
        raise BadInputError(error.message(where)) from error
    except KeyboardInterrupt as stop:
        kept = "" if export is None else f"{export} {'is as it was before' if export.exists() else 'was not written'}."
        raise InterruptedWorkError(kept or "nothing was served.") from stop
    if not quiet:
        from logq._progress import format_bytes

        drawn, size = plural(len(points.ids), points.kind), format_bytes(export.stat().st_size)
        say((str(export), "bold"), f": {drawn}, laid out by {method_of(points.layout)}, {size}. Open it in a browser.")
