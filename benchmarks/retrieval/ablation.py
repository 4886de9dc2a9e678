"""What each part of SASRec's recipe is worth on two logs: each is changed alone, everything else as it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rows import AS_ON_BEAUTY, BY_HAND, SASREC_BEAUTY, SASREC_ML, Row


class Ablation(NamedTuple):
    """A model on a log, and changes of it.

    Args:
        base: what is changed.
        changes: what a change is called, and the options that are other then.
    """

    base: Row
    changes: Mapping[str, Mapping[str, Any]]

    def rows(self) -> tuple[Row, ...]:
        """The base, and a row for each change."""
        changed = (
            self.base._replace(name=name, options={**self.base.options, **options})
            for name, options in self.changes.items()
        )
        return (self.base, *changed)


COMMON: dict[str, dict[str, Any]] = {
    "no dropout": {"dropout": 0.0},
    "dropout .2": {"dropout": 0.2},
    "no averaging of weights": {"ema": None},
    "constant rate, no warmup": {"decay": "constant", "warmup": 0},
    "no pretraining": {"pretrain": 0},
    "full softmax": {"objective": "full_softmax", "sampler": None, "unseen_negatives": False},
    "uniform negatives": {"sampler": "uniform"},
    "negatives by count": {"sampler": "unigram", "unigram_power": 1.0},
    "negatives may be items that were seen": {"unseen_negatives": False},
    "without log Q": {"log_q": False},
    "one block": {"blocks": 1},
    "two tables of items": {"tied": False},
    "windows of 20": {"max_length": 20},
}
ABLATIONS: dict[str, Ablation] = {
    "beauty-s3rec": Ablation(Row("as set by hand", "SASRec", SASREC_BEAUTY, chosen=AS_ON_BEAUTY), COMMON),
    "ml-1m": Ablation(
        Row("as set by hand", "SASRec", SASREC_ML, chosen=BY_HAND),
        {**COMMON, "windows of 50": {"max_length": 50}},
    ),
}
