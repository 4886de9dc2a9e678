"""`logq demo items`: vectors of functions, from the calls in Python's own standard library."""

import csv
import io
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logq._progress import format_seconds
from logq.cli.command_options import Quiet
from logq.cli.input_output import WRITES_FOLDER
from logq.cli.terminal.errors import InterruptedWorkError
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import install_steps, positional, say, say_next
from logq.cli.terminal.result_tables import show_neighbors
from logq.cli.train_frame import Overwrite, Training
from logq.folders.recommender_folders import save_log

if TYPE_CHECKING:
    from logq.logs import Interactions
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

DEFAULT_FOLDER = Path("logq-demo-items")


def demo_items(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write the log and the model to."),
        WRITES_FOLDER,
    ] = DEFAULT_FOLDER,
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the training.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Train item vectors on which functions are used together, in a few seconds.

    The log comes from the source of the standard library: each function is a user, and the functions that it calls are
    its items. Item2Vec learns which functions go together. Nothing is downloaded, and the log is kept for trying other
    commands.
    """
    began = time.monotonic()
    tell = (lambda *_: None) if quiet else say
    with output_folder(output):
        training = Training(output, quiet=quiet, overwrite=overwrite or output == DEFAULT_FOLDER, keep=True)
        try:
            tell(("Reading", "bold"), " the calls in the source of Python's standard library ...")
            log = _read_calls(output / LOG)
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError("the log was not read yet, so no model was saved.") from stop
        tell(
            ("Training", "bold"),
            f" Item2Vec on {len(log):,} calls of {log.num_items:,} functions by {log.num_users:,} others ...",
        )
        try:
            from logq.recommenders.item2vec import Item2Vec

            model = Item2Vec(dim=64, seed=seed).fit(log, **training.arguments)
            typed = {"log": str((output / LOG).resolve()), "estimator": "Item2Vec", "validation": "none"}
            save_log(output, log, None, None, typed)
            model.save(output)
            training.clear()
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError(f"the log is in {output / LOG}; no model was saved.") from stop
    known = set(log.item_ids.keys.tolist())
    shown = [name for name in SHOWN if name in known] or log.item_ids.keys[:3].tolist()
    tell()
    say(("Used together", "bold"), ", by cosine")
    for start in range(0, len(shown), 3):
        say()
        show_neighbors([(name, _pairs(model.similar_items(name, k=6))) for name in shown[start : start + 3]])
    if quiet:
        return
    place, file = shlex.quote(str(output)), shlex.quote(str(output / LOG))
    together = [name for name in ("open", ".read") if name in known] or shown[:2]
    history = " ".join(f"--history {shlex.quote(name)}" for name in together)
    say_next(
        [
            (f"logq similar {place} {positional(shown[0])}", "functions used together with one"),
            (f"logq recommend {place} {history}", "what to call after these"),
            *install_steps("polars", "logs", "reads CSV files, for the next command"),
            (f"logq train sasrec {file} --user function --item calls --min-item 5 -o model", "another model"),
        ]
    )
    say()
    say((f"Done in {format_seconds(time.monotonic() - began)}.", "dim"))


def _read_calls(path: Path) -> "Interactions":
    """Write which function calls which, as a log that other commands can read, and return it."""
    from logq._files import atomic_write
    from logq.logs.call_graph import call_graph
    from logq.logs.interactions import Interactions

    users, items = call_graph().events()
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("function", "calls"), *zip(users, items, strict=True)])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return Interactions.from_arrays(users, items, deduplicate=None, min_item=5)


def _pairs(near: "Recommendations") -> list[tuple[str, float]]:
    pairs = zip(near.items.tolist(), near.scores.tolist(), strict=True)
    return [(item, score) for item, score in pairs if item is not None]
