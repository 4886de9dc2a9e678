"""A model that goes on with a log that grew, beside one that is trained anew on all of it.

    python benchmarks/retrieval/incremental.py '{"log": "ml-100k", "estimator": "SASRec", "by": "time", ...}'

As `python benchmarks/retrieval incremental` calls it, a log, model and seed a process. The last event of each user is
the test, the one before it the validation (leave-one-out). Of the events before these a part is new: those of the last
day, the last tenth of all in order of time, or of each user's. Measured are a model that was trained without the new
events, with these in the histories that it is asked with; the same after `fit(new, warm=True)`; and one trained on old
and new events at once.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from cells import answer
from report import spread
from rows import ROWS

SHARE = 0.1
DAY = 24 * 60 * 60
CASES = (
    ("ml-100k", "day", ("SASRec", "YoutubeDNN", "TwoTower")),
    ("ml-100k", "time", ("SASRec", "YoutubeDNN", "TwoTower")),
    ("ml-100k", "position", ("SASRec", "YoutubeDNN", "TwoTower")),
    ("ml-1m", "position", ("SASRec", "YoutubeDNN", "TwoTower")),
    ("beauty-bert4rec", "position", ("SASRec", "YoutubeDNN")),
)
"""Log, how its new part is told, and models. Only MovieLens-100K has times."""


def is_new(log: Any, by: str) -> np.ndarray:
    """Which events (N,) of a log are new: of the last day, the last tenth by time, or of each user (one at least)."""
    if by == "day":
        return log.timestamps > log.timestamps.max() - DAY
    if by == "time":
        return log.timestamps > np.quantile(log.timestamps, 1 - SHARE)
    counts = np.diff(log.offsets)
    place = np.arange(len(log)) - log.offsets[log.users]
    return place >= counts[log.users] - np.ceil(SHARE * (counts[log.users] - 1))


def cases(request: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The events before, those that are new, and the test: all users of it, with all that they did before."""
    import logs
    from logq.logs import Split

    split = logs.LOGS[request["log"]].read(request["data"])
    log = split.log
    before = split.rows("train") if request["part"] == "validation" else split.rows("train") | split.rows("validation")
    part = np.where(before, 0, np.where(split.rows(request["part"]), 2, 3)).astype(np.int8)
    test = Split(log, part, {"by": request["part"]})
    later = is_new(test.train, request["by"])
    return _alone(test.train, ~later), _alone(test.train, later), test


def _alone(log: Any, rows: np.ndarray) -> Any:
    """Some events of a log as a log that knows no other users and items."""
    import logq

    chosen = log.select(rows)
    users, items = log.user_ids.keys_of(chosen.users), log.item_ids.keys_of(chosen.items)
    return logq.Interactions.from_arrays(users, items, chosen.timestamps)


def measure(request: Mapping[str, Any]) -> dict[str, Any]:
    """Train, go on, and train anew: NDCG@10 and HR@10 of each, and seconds."""
    import torch

    import logq

    torch.set_num_threads(request["threads"])
    options = dict(request["options"])
    if request["epochs"] and "epochs" in options:
        options["epochs"] = min(options["epochs"], request["epochs"])
    old, new, test = cases(request)
    estimator = getattr(logq, request["estimator"])
    model, found = estimator(**options), {"old": len(old), "new": len(new), "users": new.num_users}

    def tested(name: str, trained: Any, log: Any, **how: Any) -> None:
        began = time.perf_counter()
        trained.fit(log, progress=False, **how)
        seconds = time.perf_counter() - began
        scores = trained.evaluate(test, ks=(10,), progress=False)
        found[name] = {"seconds": seconds, "NDCG@10": scores["NDCG@10"], "HR@10": scores["HR@10"]}

    tested("before", model, old)
    found["new items"] = int((model.known.item_ids.codes(new.item_ids.keys) < 0).sum())
    found["new users"] = int((model.known.user_ids.codes(new.user_ids.keys) < 0).sum())
    tested("continued", model, new, warm=True)
    tested("anew", estimator(**options), _alone(test.train, np.ones(len(test.train), dtype=np.bool_)))
    return found


def requests(arguments: Any) -> list[dict[str, Any]]:
    """One for each log, model and seed."""
    begin = tuple(name.lower() for name in arguments.only)
    rows = {log: {row.estimator: dict(row.options) for row in reversed(ROWS[log])} for log in ROWS}  # the first of each
    return [
        {
            "log": log,
            "by": by,
            "part": "test",
            "data": str(arguments.data),
            "estimator": name,
            # All epochs are trained, as nothing is held out beside the test.
            "options": {**rows[log][name], "patience": None, "seed": seed},
            "epochs": arguments.epochs,
            "threads": arguments.threads,
        }
        for log, by, names in CASES
        for name in names
        for seed in arguments.seeds
        if not begin or f"{name} {log} {by}".lower().startswith(begin)
    ]


def table(found: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """Markdown, a line for each log and model: means over seeds."""
    lines = [
        "NDCG@10 of a model that knows old events alone, but is asked with all of them as histories; of the same after "
        "`fit(new, warm=True)`; and of one trained anew on all. The quotients are of the means.",
        "",
        "| log, what is new | model | new events, users, items | before | continued | anew | of anew | s | anew, s "
        "| time |",
        "|---" * 10 + "|",
    ]
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for request, cell in found:
        of = {"day": "the last day", "time": "the last tenth of all", "position": "the last tenth of each user"}[
            request["by"]
        ]
        groups.setdefault((f"{request['log']}, {of}", request["estimator"]), []).append(cell)
    for (log, name), cells in groups.items():
        values = {kind: [cell[kind]["NDCG@10"] for cell in cells] for kind in ("before", "continued", "anew")}
        seconds = {kind: float(np.mean([cell[kind]["seconds"] for cell in cells])) for kind in ("continued", "anew")}
        share = np.mean(values["continued"]) / np.mean(values["anew"])
        first = cells[0]
        grew = f"{first['new']:,}, {first['new users']:,}, {first['new items']:,}"
        lines.append(
            f"| {log} | {name} | {grew} | "
            + " | ".join(spread(values[kind]) for kind in values)
            + f" | {100 * share:.1f} % | {seconds['continued']:.1f} | {seconds['anew']:.0f} | "
            f"{100 * seconds['continued'] / seconds['anew']:.1f} % |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    answer(measure)
