"""The logs, each read from its own file and split by the protocol of the figures that it is compared with."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from logq.logs import Features, Interactions, leave_one_out, split_by_user

HOTEL_ACTIONS = (
    "interaction item image",
    "clickout item",
    "interaction item info",
    "interaction item rating",
    "interaction item deals",
    "search for item",
)
VALIDATED_SESSIONS = 0.1


class Log(NamedTuple):
    """A log, how to read it, and what to know of it.

    Args:
        title: its name.
        read: a folder of logs -> a Split of this one.
        about: the file and the protocol.
        seen: what the main figures do with items that a user has had: "excluded" from rankings, or "kept".
        metrics: those that are published for it.
    """

    title: str
    read: Callable[[str], Any]
    about: str
    seen: str = "excluded"
    metrics: tuple[str, ...] = ("HR@10", "NDCG@10")


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
def beauty_bert4rec(folder: str) -> Any:
    """Amazon Beauty as BERT4Rec prepared it."""
    return leave_one_out(
        Interactions.from_csv(Path(folder, "beauty-bert4rec", "beauty.txt"), user=0, item=1, time=False)
    )


@cache
def s3rec(name: str, folder: str) -> Any:
    """A log as S3-Rec prepared it, FOLDER/KIND-s3rec/NAME.txt: a user and all of the user's items a line."""
    kind = name.split("_")[0].lower()
    return leave_one_out(Interactions.from_sessions(Path(folder, f"{kind}-s3rec", f"{name}.txt"), leading_user=True))


@cache
def diginetica(folder: str) -> Any:
    """Sessions of a shop as SR-GNN prepared them: prefixes of the sessions of the last week, and the item after each.

    A prefix is a user of its own, of whom nothing is learned. Of the last tenth of the sessions for training, which are
    in order of date, the last item is the validation part.
    """
    home = Path(folder, "diginetica")
    train = [line.split() for line in (home / "all_train_seq.txt").read_text().splitlines()]
    pairs = [line.split("\t") for line in (home / "test_prefix_target.tsv").read_text().splitlines()]
    log = Interactions.from_sessions(train + [[*prefix.split(), target] for prefix, target in pairs])
    number = len(train)
    first = number - round(VALIDATED_SESSIONS * number)
    return split_by_user(log, test=np.arange(number, number + len(pairs)), validation=np.arange(first, number))


@cache
def trivago(folder: str) -> Any:
    """Hotels that sessions of trivago looked at one after the other; what is done with one without a break counts once.

    Columns: `booked`, whether there was a click-out among it, and `city`.
    """
    import polars as pl

    events = hotel_events(folder)
    start = (pl.col("hotel") != pl.col("hotel").shift()) | (pl.col("session_id") != pl.col("session_id").shift())
    looks = (
        events.with_columns(look=start.fill_null(True).cum_sum())
        .group_by("look", maintain_order=True)
        .agg(
            pl.col("session_id", "hotel", "timestamp", "step", "city").first(),
            pl.col("booked").max(),
        )
    )
    return leave_one_out(
        Interactions.from_arrays(
            looks["session_id"],
            looks["hotel"],
            looks["timestamp"] * 1000 + looks["step"],
            columns={"booked": looks["booked"], "city": looks["city"]},
            deduplicate=None,
        )
    )


def hotel_events(folder: str | Path) -> Any:
    """What trivago's sessions did with hotels, in order, as a polars frame; `booked` is 1 for a click-out."""
    import polars as pl

    return (
        pl.read_csv(Path(folder, "trivago", "trivago_val_100k.csv.gz"), schema_overrides={"reference": pl.String})
        .filter(pl.col("action_type").is_in(HOTEL_ACTIONS) & pl.col("reference").str.contains(r"^\d+$"))
        .sort("session_id", "timestamp", "step", maintain_order=True)
        .with_columns(
            booked=(pl.col("action_type") == "clickout item").cast(pl.Int64), hotel=pl.col("reference").cast(pl.Int64)
        )
    )


LOGS = {
    "beauty-s3rec": Log(
        "Amazon Beauty, 5-core",
        partial(s3rec, "Beauty"),
        "`Beauty.txt` of S3-Rec: 22,363 users, 12,101 items. Leave-one-out: a user's last item is the test, the one "
        "before it the validation; all items are ranked, without those that the user has had.",
    ),
    "sports-s3rec": Log(
        "Amazon Sports and Outdoors, 5-core",
        partial(s3rec, "Sports_and_Outdoors"),
        "`Sports_and_Outdoors.txt` of S3-Rec: 35,598 users, 18,357 items. As Beauty; no rule was chosen on it.",
    ),
    "toys-s3rec": Log(
        "Amazon Toys and Games, 5-core",
        partial(s3rec, "Toys_and_Games"),
        "`Toys_and_Games.txt` of S3-Rec: 19,412 users, 11,924 items. As Beauty; no rule was chosen on it.",
    ),
    "yelp-s3rec": Log(
        "Yelp, 5-core",
        partial(s3rec, "Yelp"),
        "`Yelp.txt` of S3-Rec: 30,431 users, 20,033 items. As Beauty; no rule was chosen on it.",
    ),
    "lastfm-s3rec": Log(
        "LastFM, 5-core",
        partial(s3rec, "LastFM"),
        "`LastFM.txt` of S3-Rec: 1,090 users, 3,646 items, 48 events a user. As Beauty; on its validation part it was "
        "chosen to cut prefixes at 50 items, and nothing else.",
    ),
    "ml-1m": Log(
        "MovieLens-1M",
        ml_1m,
        "`ml-1m.txt` of SASRec: 6,040 users, 3,416 items. Leave-one-out: a user's last item is the test, the one "
        "before the validation; all items are ranked. DeepMatch's figures are for all 3,706 items of the same ratings: "
        "the 290 more have fewer than 5 ratings each, 598 together of 1,000,209.",
    ),
    "beauty-bert4rec": Log(
        "Amazon Beauty",
        beauty_bert4rec,
        "`beauty.txt` of BERT4Rec: 40,226 users, 54,542 items. Leave-one-out as above.",
    ),
    "ml-100k": Log(
        "MovieLens-100K", ml_100k, "`ml-100k.inter`: 943 users, 1,682 items, with times. Leave-one-out by time."
    ),
    "diginetica": Log(
        "Diginetica",
        diginetica,
        "`all_train_seq.txt` and `test_prefix_target.tsv` of SR-GNN: 186,670 sessions and 60,858 prefixes of others, "
        "whose next item is the test; 43,097 items, all ranked, as a fifth of the next items were in the prefix. The "
        "last item of the last tenth of the sessions is the validation part.",
        "kept",
        ("HR@20", "MRR@20"),
    ),
    "trivago": Log(
        "trivago",
        trivago,
        "`trivago_val_100k.csv.gz`: the hotels that sessions looked at, one after the other; 13,949 hotels. "
        "Leave-one-out by time of the 1,907 sessions that looked at three or more; all hotels are ranked, as many are "
        "looked at again. Three of five hotels to be found are in no other session, so that .38 is about the most.",
        "kept",
        ("HR@10", "MRR@10"),
    ),
}
