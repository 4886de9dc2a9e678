"""`logq demo items`: vectors of functions, from the calls in Python's own standard library."""

import csv
import io
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from logq._progress import format_seconds
from logq.cli.errors import InterruptedWorkError
from logq.cli.output import output_folder
from logq.cli.report import neighbour_table, say

if TYPE_CHECKING:
    from logq.recommenders import Recommendations

__all__ = ["EXAMPLES", "SHOWN", "demo_items"]

EXAMPLES = """
logq demo items
logq demo items -o functions --seed 7
"""

SHOWN = (
    "socket.socket",
    "math.sqrt",
    "threading.Thread",
    "urllib.parse.urlparse",
    "datetime.timedelta",
    "subprocess.Popen",
)
LOG = "calls.csv"


def demo_items(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the log and the model.")
    ] = Path("logq-demo-items"),
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the training.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Train item vectors on which functions are used together, in a few seconds.

    The log is the source of the standard library: each function is a user, what it calls are the items. Item2Vec learns
    from it which functions go together. Nothing is downloaded, and the log stays for the other commands to play with.
    """
    began = time.monotonic()
    with output_folder(output):
        try:
            say(("Reading", "bold"), " the calls in the source of Python's standard library ...")
            from logq._files import atomic_write
            from logq.cli.recommender_folder import save_log
            from logq.logs import Interactions
            from logq.logs.call_graph import call_graph

            calls = call_graph()
            users = [name for name, called in zip(calls.functions, calls.callees, strict=True) for _ in called]
            items = [name for called in calls.callees for name in called]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([("function", "calls"), *zip(users, items, strict=True)])
            with atomic_write(output / LOG) as file:
                file.write(text.getvalue().encode())
            log = Interactions.from_arrays(users, items, deduplicate=None, min_item=5)
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError("the log was not read yet, so no model was saved.") from stop
        say(
            ("Training", "bold"),
            f" Item2Vec on {len(log):,} calls of {log.num_items:,} functions by {log.num_users:,} others ...",
        )
        try:
            from logq.recommenders import Item2Vec

            model = Item2Vec(dim=64, seed=seed).fit(log, progress=False if quiet else None)
            typed = {"log": str((output / LOG).resolve()), "estimator": "Item2Vec", "validation": "none"}
            save_log(output, log, None, None, typed)
            model.save(output)
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError(f"the log is in {output / LOG}; no model was saved.") from stop
    known = set(log.item_ids.keys.tolist())
    shown = [name for name in SHOWN if name in known] or log.item_ids.keys[:3].tolist()
    say()
    say(("Used together", "bold"), ", by cosine")
    console = Console()
    for start in range(0, len(shown), 3):
        say()
        found = [(name, model.similar_items(name, k=6)) for name in shown[start : start + 3]]
        console.print(neighbour_table([(name, _pairs(near)) for name, near in found]))
    place, file = shlex.quote(str(output)), shlex.quote(str(output / LOG))
    say()
    say(("What to type next", "bold"))
    lines = [
        (f"logq similar {place} {shlex.quote(shown[0])}", "functions used together with one"),
        (f"logq recommend {place} --history open --history .read", "what to call after these two"),
        (
            f"logq train sasrec {file} --user function --item calls --min-item 5 -o model",
            "another model of the same log",
        ),
    ]
    width = max(len(command) for command, _ in lines[:2])
    for command, meaning in lines:
        say("  ", (command.ljust(width), "cyan"), ("  # " + meaning, "dim"))
    say()
    say((f"Done in {format_seconds(time.monotonic() - began)}.", "dim"))


def _pairs(near: "Recommendations") -> list[tuple[str, float]]:
    pairs = zip(near.items.tolist(), near.scores.tolist(), strict=True)
    return [(item, score) for item, score in pairs if item is not None]
