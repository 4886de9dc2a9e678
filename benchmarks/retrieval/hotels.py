"""Airbnb's listing embeddings beside plain Item2Vec: which hotel is clicked out to, on trivago's sessions.

    python benchmarks/retrieval/hotels.py --data DIR --seed 1 --epochs 20          one seed, as the benchmark calls it

A session is a user. Its last click-out that has an action before it is to be predicted, from the actions before, which
alone are trained on; what comes after is dropped. Click-outs count as bookings, the city of the search as the market.
All hotels are ranked: at first as they are, then only those of the market of the last hotel looked at, which a search
knows; and both for the sessions whose hotel they have not looked at before.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from report import spread

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Item2Vec": ("Item2Vec", {}),
    "Airbnb's, without bookings and markets": ("AirbnbEmbeddings", {"batch_size": 64, "lr": 0.01}),
    "Airbnb's": ("AirbnbEmbeddings", {"batch_size": 64, "lr": 0.01, "booking": "booked", "market": "city"}),
}
MEASURES = ("MRR", "HR@10", "HR@10, new hotels", "MRR in the market", "HR@10 in the market", "HR@10 in the market, new")


class Cases(NamedTuple):
    """What is known of each session, and what is to be found."""

    log: Any
    histories: list[list[int]]
    targets: np.ndarray


def read(folder: Path) -> Cases:
    """The sessions, cut before their last click-out."""
    import polars as pl

    from logq.logs import Interactions
    from logs import hotel_events

    events = hotel_events(folder)
    place = pl.int_range(pl.len()).over("session_id")
    events = events.with_columns(place=place)
    last = pl.col("place").filter((pl.col("booked") == 1) & (pl.col("place") > 0)).max().over("session_id")
    events = events.with_columns(last=last)
    train = events.filter(pl.col("last").is_null() | (pl.col("place") < pl.col("last")))
    log = Interactions.from_arrays(
        train["session_id"],
        train["hotel"],
        train["timestamp"] * 1000 + train["step"],
        columns={"booked": train["booked"], "city": train["city"]},
        deduplicate=None,
    )
    before = events.filter(pl.col("place") < pl.col("last")).group_by("session_id", maintain_order=True).agg("hotel")
    wanted = events.filter(pl.col("place") == pl.col("last")).select("session_id", target="hotel")
    both = before.join(wanted, on="session_id")
    known = log.item_ids.codes(both["target"].to_numpy()) >= 0
    histories = [
        [hotel for hotel, previous in zip(hotels, [None, *hotels], strict=False) if hotel != previous]
        for hotels in both["hotel"].to_list()
    ]
    return Cases(
        log,
        [hotels for hotels, keep in zip(histories, known, strict=True) if keep],
        both["target"].to_numpy()[known],
    )


def score(model: Any, cases: Cases) -> dict[str, float]:
    """The measures: where the target comes among all hotels, and among those of the market."""
    log = cases.log
    market = np.zeros(log.num_items, dtype=np.int64)
    market[np.asarray(log.items)] = log.columns["city"]
    code = log.item_ids.codes
    last = code(np.array([hotels[-1] for hotels in cases.histories]))
    new = np.array([target not in hotels for hotels, target in zip(cases.histories, cases.targets, strict=True)])
    ranks: dict[str, list[int]] = {"all": [], "all, new": [], "market": [], "market, new": []}
    everything = model.recommend(histories=cases.histories, k=log.num_items, exclude_seen=False)
    for row, (items, target) in enumerate(zip(everything.items, code(cases.targets), strict=True)):
        order = code(items)
        for where, kept in (("all", order), ("market", order[market[order] == market[last[row]]])):
            found = np.flatnonzero(kept == target)
            ranks[where].append(int(found[0]) if len(found) else log.num_items)
            unseen = kept[~np.isin(kept, code(np.array(cases.histories[row])))]
            found = np.flatnonzero(unseen == target)
            ranks[f"{where}, new"].append(int(found[0]) if len(found) else log.num_items)
    all_, all_new, inside, inside_new = (np.array(values) for values in ranks.values())
    return dict(
        zip(
            MEASURES,
            (
                float((1 / (all_ + 1)).mean()),
                float((all_ < 10).mean()),
                float((all_new[new] < 10).mean()),
                float((1 / (inside + 1)).mean()),
                float((inside < 10).mean()),
                float((inside_new[new] < 10).mean()),
            ),
            strict=True,
        )
    )


def one_seed(folder: Path, seed: int, epochs: int) -> dict[str, dict[str, float]]:
    """What each model scores."""
    import logq

    cases = read(folder)
    found = {"": {"cases": len(cases.targets), "hotels": cases.log.num_items}}
    for name, (estimator, options) in MODELS.items():
        model = getattr(logq, estimator)(dim=32, epochs=epochs, seed=seed, **options).fit(cases.log)
        found[name] = score(model, cases)
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def table(folder: Path, seeds: Sequence[int], epochs: int | None) -> str:
    """Markdown, means over the seeds."""
    runs = []
    for seed in seeds:
        command = [sys.executable, __file__, str(folder), str(seed), str(epochs or 20)]
        runs.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ).stdout))
    sizes = runs[0][""]
    lines = [
        f"{sizes['cases']:,.0f} sessions, {sizes['hotels']:,.0f} hotels, D = 32, {epochs or 20} epochs; means of seeds",
        "",
        "| model | " + " | ".join(MEASURES) + " |",
        "|---" * (len(MEASURES) + 1) + "|",
    ]
    for name in MODELS:
        values = [[run[name][measure] for run in runs] for measure in MEASURES]
        lines.append(f"| {name} | " + " | ".join(map(spread, values)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(one_seed(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))), file=answers, flush=True)
