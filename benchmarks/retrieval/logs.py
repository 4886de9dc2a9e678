"""The logs, each read from its own file and split by the protocol of the figures that it is compared with."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from logq.logs import Features, Interactions, leave_one_out


class Log(NamedTuple):
    """A log, how to read it, and what to know of it."""

    title: str
    read: Callable[[str], Any]  # folder of the logs -> Split
    about: str


@cache
def ml_1m(folder: str) -> Any:
    """MovieLens-1M as SASRec prepared it, with the genres of the films."""
    home = Path(folder, "ml-1m")
    log = Interactions.from_csv(home / "ml-1m.txt", user=0, item=1, time=False)
    original = dict(np.loadtxt(home / "sas_to_original_items.txt", dtype=np.int64).tolist())
    lines = (home / "movies.dat").read_text(encoding="latin-1").splitlines()
    films = {int(number): (title[-5:-2], genres) for number, title, genres in (line.split("::") for line in lines)}
    known = [films[original[int(item)]] for item in log.item_ids.keys]
    columns = {"item": log.item_ids.keys, "decade": [when for when, _ in known], "genre": [what for _, what in known]}
    return leave_one_out(
        log.with_features(items=Features.from_frame(columns, log.item_ids, key="item", separator={"genre": "|"}))
    )


@cache
def ml_100k(folder: str) -> Any:
    """MovieLens-100K, by time; all ratings count as views."""
    return leave_one_out(Interactions.from_csv(Path(folder, "ml-100k", "ml-100k.inter"), label=False))


@cache
def beauty(folder: str) -> Any:
    """Amazon Beauty as BERT4Rec prepared it."""
    return leave_one_out(
        Interactions.from_csv(Path(folder, "beauty-bert4rec", "beauty.txt"), user=0, item=1, time=False)
    )


LOGS = {
    "ml-1m": Log(
        "MovieLens-1M",
        ml_1m,
        "`ml-1m.txt` of SASRec: 6,040 users, 3,416 items. Leave-one-out: a user's last item is the test, the one "
        "before the validation; all items are ranked. DeepMatch's figures are for all 3,706 items of the same ratings: "
        "the 290 more have fewer than 5 ratings each, 598 together of 1,000,209.",
    ),
    "ml-100k": Log(
        "MovieLens-100K", ml_100k, "`ml-100k.inter`: 943 users, 1,682 items, with times. Leave-one-out by time."
    ),
    "beauty": Log(
        "Amazon Beauty", beauty, "`beauty.txt` of BERT4Rec: 40,226 users, 54,542 items. Leave-one-out as above."
    ),
}
