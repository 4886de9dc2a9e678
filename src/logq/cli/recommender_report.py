"""What a training of a recommender is worth, and what to type next."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from logq.cli.keeping_options import HeldOut
from logq.cli.report import in_python, say

if TYPE_CHECKING:
    from logq.logs import Interactions, Split
    from logq.recommenders import Recommender

__all__ = ["answer_columns", "say_next_steps", "say_validation"]

_HELD_OUT = {
    HeldOut.last: "the last event but one of each user",
    HeldOut.time: "what came between 80 and 90 percent of the events",
}


def say_validation(model: "Recommender", split: "Split | None", held_out: HeldOut) -> None:
    """Say how well the held-out events were predicted, and that the test is still untouched."""
    if split is None or split.validation is None:
        say("Nothing was held out: how good it is can only be seen on what users do from now on.")
        return
    log: list[dict[str, float]] = getattr(model, "training_log", [])
    measured = [entry for entry in log if any("@" in name for name in entry)]
    monitor = str(getattr(model, "monitor", "ndcg@10"))
    if measured:
        best = max(measured, key=lambda entry: entry[monitor])
        figures = {name: value for name, value in best.items() if "@" in name}
        when = f"Best after epoch {int(best['epoch'])} of {int(log[-1]['epoch'])}"
    else:
        scores = model.evaluate(split.validation, ks=(10,))
        figures = {name.lower(): scores[name] for name in ("NDCG@10", "HR@10")}
        when = "Validation"
    first = sorted(figures, key=lambda name: (name != monitor, not name.startswith(("hr", "ndcg"))))[:2]
    say(when, ": ", (", ".join(f"{name} {figures[name]:.4f}" for name in first), "bold"), f" on {_HELD_OUT[held_out]}.")


def say_next_steps(folder: Path, log: "Interactions", titles: list[str] | None, held_out: HeldOut, path: Path) -> None:
    """Say what can be typed next, with a user and an item that the model knows."""
    place = shlex.quote(str(folder))
    user, item = (shlex.quote(str(ids.keys[0])) for ids in (log.user_ids, log.item_ids))
    lines = [
        (f"logq recommend {place} --user {user} -k 10", "what a user may want next"),
        (
            f"logq similar {place} {item}",
            "items like " + (_quoted(titles[0]) if titles and titles[0] else "the most frequent one"),
        ),
    ]
    if held_out is not HeldOut.none:
        lines.insert(0, (f"logq evaluate ranking {place}", "on the test part, which training did not see"))
    lines.append((f"logq index {place} --kind faiss-hnsw -o {shlex.quote(str(folder / 'index'))}", "for fast search"))
    one = log.user_ids.keys[0].item()
    code = f"print(Recommender.load({in_python(str(folder))}).recommend({in_python(one)}))"
    code = f"from logq.recommenders import Recommender; {code}"
    lines.append((f"python -c {shlex.quote(code)}", ""))
    say()
    say(("What to type next", "bold"))
    width = max(len(command) for command, meaning in lines if meaning)
    for command, meaning in lines:
        say("  ", (command.ljust(width) if meaning else command, "cyan"), ("  # " + meaning if meaning else "", "dim"))


def answer_columns(question: str, answers: list[tuple[str, str, float]], what: str) -> Table:
    """Return a table with one row an item: its id, its title if any has one, and its score.

    Args:
        question: what was asked.
        answers: (item, title, score), best first.
        what: what the score is called.
    """
    table = Table(box=None, header_style="bold cyan", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(Text(question), overflow="fold")
    titled = any(title for _, title, _ in answers)
    if titled:
        table.add_column("")
    table.add_column(what, justify="right", header_style="dim")
    for item, title, score in answers:
        row: list[Any] = [Text(item), *([Text(title)] if titled else []), Text(f"{score:.3f}", style="dim")]
        table.add_row(*row)
    return table


def _quoted(title: str) -> str:
    return title if len(title) <= 40 else title[:37] + "..."
