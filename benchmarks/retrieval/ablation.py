"""What each part of SASRec's recipe is worth on two logs: each is changed alone, everything else as it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rows import Row


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
    "no validation event learned from": {"validation_users": None},
    "trained again with the validation part": {"validation_users": None, "refit": True},
    "item vectors that start at random": {"pretrain": 0},
    "places counted from the start": {"positions": "start"},
    "dropout .5": {"dropout": 0.5},
    "dropout .2": {"dropout": 0.2},
    "no dropout": {"dropout": 0.0},
    "dropout of attention's weights": {"attention_dropout": 0.2},
    "no averaging of weights": {"ema": None},
    "no epochs in which the rate falls": {"cooldown": 0.0},
    "feed-forward layers as wide as vectors": {"hidden": 64},
    "one block": {"blocks": 1},
    "attention's layers": {"layer": "attention"},
    "BSARec's layers": {"layer": "bsarec"},
    "LiGR layers": {"layer": "ligr"},
    "FuXi-Linear's layers": {"layer": "fuxi_linear", "heads": 4},
    "GRU4Rec's layers": {"layer": "gru4rec"},
    "full softmax": {"objective": "full_softmax"},
    "256 negatives": {"num_sampled": 256},
    "negatives by count": {"sampler": "unigram", "unigram_power": 1.0},
    "negatives by count, without log Q": {"sampler": "unigram", "unigram_power": 1.0, "log_q": False},
    "two tables of items": {"tied": False},
    "a third of histories cropped": {"crop": 0.33},
    "a tenth of items left out": {"mask": 0.1},
}
ABLATIONS: dict[str, Ablation] = {
    "beauty-s3rec": Ablation(
        Row("defaults", "SASRec"),
        {
            "all places of a window at once": {"examples": "positions"},
            "norm before the layers": {"norm": "pre"},
            "relative places": {"positions": "relative"},
            **COMMON,
        },
    ),
    "ml-1m": Ablation(
        Row("defaults", "SASRec"),
        {"norm behind the layers": {"norm": "post"}, "windows of 50": {"max_length": 50}, **COMMON},
    ),
}
