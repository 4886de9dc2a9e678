"""Which models are trained on which log, with which settings: chosen on the validation part, by hand.

Names of settings are those of the estimators. What is published for the same file stands beside the model that it was
published of.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

FAST = {"decay": "cosine", "warmup": 300, "patience": None, "sampler": "uniform", "num_sampled": 512, "pretrain": 20}
BEFORE = {
    "examples": "positions",
    "positions": "start",
    "norm": "pre",
    "init_std": None,
    "hidden": None,
    "validation_users": None,
}
"""What SASRec did in version 0.1, where its settings did not follow from the log."""
SASREC_ML_BEFORE = {
    **FAST,
    **BEFORE,
    "dim": 64,
    "max_length": 200,
    "batch_size": 32,
    "lr": 4e-3,
    "dropout": 0.15,
    "ema": 0.999,
    "unseen_negatives": True,
    "epochs": 24,
    "validate_every": 8,
}
SASREC_BEAUTY_BEFORE = {
    **SASREC_ML_BEFORE,
    "max_length": 50,
    "batch_size": 384,
    "lr": 2e-3,
    "dropout": 0.5,
    "ema": 0.995,
    "warmup": 100,
    "sampler": "unigram",
    "unigram_power": 0.5,
    "num_sampled": 1024,
    "epochs": 40,
    "validate_every": 20,
}
SASREC_BEAUTY = {"layer": "bsarec", "causal_filter": False, "validation_users": None}
"""The filter of BSARec's paper, and nothing learned of the validation part; all else follows from the log."""


DEFAULTS = "defaults"
SHARED_OUT = "defaults, which learn from the validation part of nine users in ten"
BY_HAND = "by hand, on the validation part of this log, seed 1"
AS_ON_ML_1M = "by hand, on the validation part of MovieLens-1M, seed 1; as they are"
ON_BEAUTY_S3REC = "by hand, on the validation part of S3-Rec's Beauty, seed 1"
AS_ON_BEAUTY = "by hand, on the validation part of BERT4Rec's Beauty, seed 1; as they are"


class Row(NamedTuple):
    """A model on a log.

    Args:
        name: what the table calls it.
        estimator: its class in logq.
        options: what its class is made with, beside the seed.
        published: what others have published of it for the same file.
        seeded: whether it depends on a seed.
        chosen: where the options come from.
    """

    name: str
    estimator: str
    options: Mapping[str, Any] = {}
    published: str = ""
    seeded: bool = True
    chosen: str = DEFAULTS


ANTKLEN = "HR@10 .3159, NDCG@10 .1857 (antklen); NDCG@10 .1726 (gSASRec)"
BASELINES = (
    Row("popularity", "Popularity", seeded=False),
    Row("item-kNN, cosine", "ItemKNN", seeded=False),
    Row("session-kNN, STAN", "SessionKNN", seeded=False),
    Row("session-kNN, V-SKNN", "SessionKNN", {"kind": "vsknn"}, seeded=False),
    Row("EASE", "EASE", seeded=False),
    Row("implicit ALS", "ALS"),
)
"""Those with closed forms and counts, which the goals are to be above."""
WITHOUT_EASE = tuple(row for row in BASELINES if row.estimator != "EASE")
"""For logs with more items than EASE takes, whose matrix of items by items would not fit."""
SHOP_SESSIONS = (
    *(row for row in BASELINES if row.name != "session-kNN, STAN" and row.estimator != "EASE"),
    Row(
        "session-kNN, STAN",
        "SessionKNN",
        {"neighbors": 500, "position_decay": 1.5, "distance_decay": 5.0, "time_decay": 150_000},
        seeded=False,
        chosen="by hand, on all prefixes of 3,000 of the last twentieth of the sessions for training",
    ),
)
SEQUENTIAL = (
    Row("YoutubeDNN", "YoutubeDNN", published="HR@50 kept .3371 (DeepMatch)"),
    Row("SDM", "SDM", published="HR@50 kept .4752 (DeepMatch)"),
    Row("MIND", "MIND", published="HR@50 kept .4364 (DeepMatch's ComiRec)"),
    Row("two towers, in the batch", "TwoTower", published="HR@50 kept .3555 (DeepMatch's DSSM)"),
    Row("Item2Vec", "Item2Vec", published="HR@10 .0082 (FunRec)"),
    Row("EGES", "EGES", published="HR@10 .0189 (FunRec)"),
)
"""What is published of them is for MovieLens-1M."""
REPEATED = {"exclude_seen": False}
"""Where users come back to items: what training is stopped by counts them as well."""


def sequential(**options: Any) -> tuple[Row, ...]:
    """The same on another log, of which nothing is published for this file."""
    return tuple(
        row._replace(published="", options=options if row.estimator in NEXT_ITEM else {}) for row in SEQUENTIAL
    )


NEXT_ITEM = ("YoutubeDNN", "SDM", "MIND", "TwoTower")
"""Those that learn what comes next, and have a validation to stop by."""
SASREC_BY_LOG = Row("SASRec, defaults", "SASRec")
SASREC_BY_HAND = Row("SASRec, by hand", "SASRec", SASREC_BEAUTY, chosen=ON_BEAUTY_S3REC)
OF_0_1 = "SASRec, as in 0.1"

ROWS: dict[str, tuple[Row, ...]] = {
    "ml-1m": (
        *BASELINES,
        Row(OF_0_1, "SASRec", SASREC_ML_BEFORE, ANTKLEN, chosen=BY_HAND),
        SASREC_BY_LOG,
        *SEQUENTIAL,
    ),
    "ml-100k": (
        *BASELINES,
        Row(OF_0_1, "SASRec", SASREC_ML_BEFORE, chosen=AS_ON_ML_1M),
        SASREC_BY_LOG,
        *sequential(),
    ),
    "beauty-bert4rec": (
        *WITHOUT_EASE,
        Row(OF_0_1, "SASRec", SASREC_BEAUTY_BEFORE, "HR@10 .0533, NDCG@10 .0327 (antklen)", chosen=BY_HAND),
        SASREC_BY_LOG,
        SASREC_BY_HAND,
        *sequential(),
    ),
    "beauty-s3rec": (
        *BASELINES,
        Row(OF_0_1, "SASRec", SASREC_BEAUTY_BEFORE, "HR@10 .1041, NDCG@10 .0614 (WEARec)", chosen=AS_ON_BEAUTY),
        SASREC_BY_LOG,
        SASREC_BY_HAND,
        *sequential(),
    ),
    **dict.fromkeys(
        ("sports-s3rec", "toys-s3rec", "yelp-s3rec", "lastfm-s3rec"), (*BASELINES, SASREC_BY_LOG, *sequential())
    ),
    "diginetica": (
        *SHOP_SESSIONS,
        Row("SASRec", "SASRec", {**REPEATED, "max_length": 20, "monitor": "mrr@20"}, chosen="by the protocol"),
        *sequential(**REPEATED),
    ),
    "trivago": (
        *BASELINES,
        Row("SASRec", "SASRec", {**REPEATED, "max_length": 20}, chosen="by the protocol"),
        *sequential(**REPEATED),
        Row("Airbnb's embeddings", "AirbnbEmbeddings", {"booking": "booked"}),
    ),
}
