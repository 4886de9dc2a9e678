"""Which models are trained on which log, with which settings: chosen on the validation part, by hand.

Names of settings are those of the estimators. What is published for the same file stands beside the model that it was
published of.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

COSINE = {"decay": "cosine", "warmup": 300, "patience": None}
KEPT = {"monitor": "hr@50", "exclude_seen": False}


class Row(NamedTuple):
    """A model on a log."""

    name: str
    estimator: str
    options: Mapping[str, Any] = {}
    published: str = ""
    seeded: bool = True


BASELINES = (
    Row("popularity", "Popularity", seeded=False),
    Row("item-kNN, cosine", "ItemKNN", seeded=False),
)

ML_1M = (
    *BASELINES,
    Row(
        "SASRec, sampled softmax",
        "SASRec",
        {"dim": 64},
        "HR@10 .3159, NDCG@10 .1857 (antklen, sampled cross-entropy); NDCG@10 .1726 (gSASRec)",
    ),
    Row("YoutubeDNN", "YoutubeDNN", {"dim": 32, "epochs": 20, **COSINE, **KEPT}, "HR@50 kept .3371 (DeepMatch)"),
    Row("SDM", "SDM", {"dim": 32, "epochs": 20, **COSINE, **KEPT}, "HR@50 kept .4752 (DeepMatch)"),
    Row("MIND", "MIND", {"dim": 32, "epochs": 20, **COSINE, **KEPT}, "HR@50 kept .4364 (DeepMatch's ComiRec)"),
    Row("two-tower, in-batch", "TwoTower", {}, "HR@50 kept .3555 (DeepMatch's DSSM)"),
    Row("Item2Vec", "Item2Vec", {}, "HR@10 .0082 (FunRec)"),
    Row("EGES", "EGES", {}, "HR@10 .0189 (FunRec)"),
)

ROWS: dict[str, tuple[Row, ...]] = {
    "ml-1m": ML_1M,
    "ml-100k": ML_1M,
    "beauty": (*BASELINES, ML_1M[2]),
}


def rows_of(log: str) -> tuple[Row, ...]:
    """The rows of a log."""
    return ROWS[log]
