"""Which models are trained on which log, with which settings: chosen on the validation part, by hand.

Names of settings are those of the estimators. What is published for the same file stands beside the model that it was
published of.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

FAST = {"decay": "cosine", "warmup": 300, "patience": None, "sampler": "uniform", "num_sampled": 512, "pretrain": 20}
KEPT = {**FAST, "dim": 32, "lr": 3e-3, "monitor": "hr@50", "exclude_seen": False, "validate_every": 10}
SASREC_ML = {
    **FAST,
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
SASREC_BEAUTY = {
    **SASREC_ML,
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


class Row(NamedTuple):
    """A model on a log."""

    name: str
    estimator: str
    options: Mapping[str, Any] = {}
    published: str = ""
    seeded: bool = True


ANTKLEN = "HR@10 .3159, NDCG@10 .1857 (antklen); NDCG@10 .1726 (gSASRec)"
BASELINES = (
    Row("popularity", "Popularity", seeded=False),
    Row("item-kNN, cosine", "ItemKNN", seeded=False),
)
SEQUENTIAL = (
    Row(
        "YoutubeDNN",
        "YoutubeDNN",
        {**KEPT, "max_length": 8, "tied": True, "epochs": 4},
        "HR@50 kept .3371 (DeepMatch)",
    ),
    Row("SDM", "SDM", {**KEPT, "max_length": 20, "epochs": 3}, "HR@50 kept .4752 (DeepMatch)"),
    Row(
        "MIND",
        "MIND",
        {**KEPT, "max_length": 10, "interests": 2, "learned_routing": True, "epochs": 6},
        "HR@50 kept .4364 (DeepMatch's ComiRec)",
    ),
    Row(
        "two towers, in the batch",
        "TwoTower",
        {"epochs": 4, "lr": 3e-3, "max_length": 8},
        "HR@50 kept .3555 (DeepMatch's DSSM)",
    ),
    Row("Item2Vec", "Item2Vec", {}, "HR@10 .0082 (FunRec)"),
    Row("EGES", "EGES", {"epochs": 5, "walks_per_item": 20}, "HR@10 .0189 (FunRec)"),
)

ROWS: dict[str, tuple[Row, ...]] = {
    "ml-1m": (
        *BASELINES,
        Row("SASRec", "SASRec", SASREC_ML, ANTKLEN),
        *SEQUENTIAL,
    ),
    "ml-100k": (*BASELINES, Row("SASRec", "SASRec", SASREC_ML), *(row._replace(published="") for row in SEQUENTIAL)),
    "beauty": (
        *BASELINES,
        Row("SASRec", "SASRec", SASREC_BEAUTY, "HR@10 .0533, NDCG@10 .0327 (antklen)"),
        Row("YoutubeDNN", "YoutubeDNN", {**FAST, "dim": 64, "max_length": 8, "tied": True, "epochs": 10}),
        Row("Item2Vec", "Item2Vec"),
    ),
}
