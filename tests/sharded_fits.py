"""Fits of models whose tables are in parts, which know no chance but that of the order, for tests."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from logq.distributed import ShardedEmbedding
from logq.logs import Interactions
from logq.processes import all_rows, world
from logq.recommenders import airbnb
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.samplers import Draw, Sampler, WithinGroup
from processes import doubles
from recommender_cases import alone, first_half, make, rated_split

SHARED: dict[str, Any] = {"epochs": 2, "decay": "constant", "seed": 3}


def recommender(name: str, size: int, **options: Any) -> Any:
    n = {"SASRec": 12}.get(name, 60)
    own = {"id_dropout": 0.0} if name == "TwoTower" else {}
    sampler: Callable[[Sequence[int]], Sampler] = first_half
    fixed = {**SHARED, **own, "sampler": sampler, "batch_size": n // size, "tables": "sharded"}
    return make(name, **{**fixed, **options})


def fits() -> dict[str, Callable[[int], Any]]:
    """Fits that know no chance but that of the order, by name."""
    content = {"content": "sum", "id_dropout": 0.0}
    users = {"user_vectors": True, "user_dropout": 0.0}
    full: dict[str, Any] = {"sampler": None}
    grows: dict[str, Any] = {"epochs": 1, "warm_epochs": 2}
    return {
        "YoutubeDNN": lambda size: recommender("YoutubeDNN", size),
        "YoutubeDNN, tied": lambda size: recommender("YoutubeDNN", size, tied=True, optimizer="sgd", weight_decay=0.01),
        "YoutubeDNN, clip, ema": lambda size: recommender("YoutubeDNN", size, clip=0.05, ema=0.9, optimizer="adagrad"),
        "YoutubeDNN, content": lambda size: recommender("YoutubeDNN", size, **content),
        "YoutubeDNN, nce": lambda size: recommender("YoutubeDNN", size, objective="nce", lr=0.005),
        "YoutubeDNN, bias": lambda size: recommender(
            "YoutubeDNN", size, objective="nce", lr=0.005, item_bias=True, clip=0.05, ema=0.9, weight_decay=0.01
        ),
        "YoutubeDNN, bias, content": lambda size: recommender("YoutubeDNN", size, item_bias=True, **content),
        "YoutubeDNN, softmax": lambda size: recommender(
            "YoutubeDNN", size, objective="full_softmax", **full, item_bias=True, tied=True, clip=0.05, ema=0.9
        ),
        "YoutubeDNN, logistic": lambda size: recommender(
            "YoutubeDNN", size, objective="full_logistic", **full, lr=0.005, weights="rating", future=2, cosine=True
        ),
        "YoutubeDNN, content, softmax": lambda size: recommender(
            "YoutubeDNN", size, objective="full_softmax", **full, item_bias=True, **content
        ),
        "YoutubeDNN, dense": lambda size: recommender(
            "YoutubeDNN", size, sparse=False, item_bias=True, tied=True, weight_decay=0.01, clip=0.05, ema=0.9
        ),
        "YoutubeDNN, pretrain": lambda size: recommender("YoutubeDNN", size, pretrain=2, tied=True),
        "TwoTower, pretrain": lambda size: recommender("TwoTower", size, pretrain=2, **users),
        "YoutubeDNN, warm": lambda size: recommender(
            "YoutubeDNN", size, **grows, item_bias=True, objective="nce", lr=0.005, **content
        ),
        "SDM, warm": lambda size: recommender("SDM", size, **grows, **users),
        "TwoTower, warm": lambda size: recommender("TwoTower", size, **grows, **users, pretrain=2, replay=0.5),
        "EGES, warm": lambda size: recommender("EGES", size, **grows, objective="full_softmax", **full),
        "YoutubeDNN, in batch": lambda size: recommender("YoutubeDNN", size, sampler="in_batch"),
        "YoutubeDNN, weights": lambda size: recommender("YoutubeDNN", size, weights="rating", future=2),
        "YoutubeDNN, unseen": lambda size: recommender("YoutubeDNN", size, unseen_negatives=True, false_negatives=0.9),
        "SASRec": lambda size: recommender("SASRec", size),
        "SASRec, softmax": lambda size: recommender("SASRec", size, objective="full_softmax", **full),
        "SASRec, untied": lambda size: recommender("SASRec", size, tied=False, objective="gbce"),
        "MIND": lambda size: recommender("MIND", size),
        "SDM": lambda size: recommender("SDM", size, **users),
        "TwoTower": lambda size: recommender("TwoTower", size, **users),
        "TwoTower, softmax": lambda size: recommender("TwoTower", size, objective="full_softmax", **full, **users),
        "EGES": lambda size: recommender("EGES", size),
        "EGES, logistic": lambda size: recommender("EGES", size, objective="full_logistic", **full),
        "AirbnbEmbeddings": lambda size: recommender("AirbnbEmbeddings", size, objective="nce", optimizer="sgd"),
        "AirbnbEmbeddings, market": lambda size: recommender(
            "AirbnbEmbeddings", size, optimizer="sgd", lr=0.5, market="rating", num_in_market=3
        ),
    }


class FirstOfMarket(WithinGroup):
    """The first items of a market, over and over, and not random ones, of which each process would draw its own."""

    def _draw_in_groups(self, targets: Any, generator: Any, groups: Any) -> Draw:
        drawn = super()._draw_in_groups(targets, generator, groups)
        members = [self.classes[self.group[self.classes] == number] for number in range(self.num_groups)]
        first = torch.stack([of.repeat(self.num_sampled)[: self.num_sampled] for of in members])
        return drawn._replace(ids=first[self._group_of_rows(targets, groups)])


def grown_parts() -> tuple[Interactions, Interactions]:
    """A log, and what came later: two more items, some users more, and more events of those that there were."""
    log = rated_split().train
    times = np.asarray(log.timestamps)
    old = (times < np.quantile(times, 0.8)) & (np.asarray(log.item_ids.keys_of(log.items)) < 118)
    return alone(log, old), alone(log, ~old)


def whole(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The weights of all processes by name."""
    parts = {id(part.weight): part for part in model.modules() if isinstance(part, ShardedEmbedding)}
    found: dict[str, np.ndarray] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        table = value.detach()
        if id(value) in parts:
            placing = parts[id(value)].part.placing
            counts = [len(placing.range_of(rank)) for rank in range(placing.size)]
            rows = all_rows(table, counts)
            table = torch.empty_like(rows)
            table[torch.cat([placing.ids_of(rank) for rank in range(placing.size)])] = rows
        found[name] = table.numpy()
    return found


def learned(name: str, size: int) -> dict[str, Any]:
    """What one of `size` processes has after a fit."""
    model: NeuralRecommender = fits()[name](size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airbnb, "WithinGroup", FirstOfMarket)
        if name.endswith("warm"):
            known, later = grown_parts()
            model.fit(known, progress=False).fit(later, warm=True, progress=False)
        else:
            model.fit(rated_split(), progress=False)
    parts = [part for part in model.model.modules() if isinstance(part, ShardedEmbedding)]
    scores = model.evaluate(rated_split(), ks=(3,), exclude_seen=False, progress=False)
    answers = model.recommend(histories=[[103, 105], [119]], k=20)
    log = [{key: value for key, value in entry.items() if "per_second" not in key} for entry in model.training_log]
    return {
        "weights": whole(model.model),
        "log": log,
        "metrics": scores.values,
        "items": answers.items.tolist(),
        "scores": answers.scores,
        "similar": model.similar_items(103, k=3).items.tolist(),
        "shares": [len(part.weight) / part.num_rows for part in parts],
    }


def several(names: Sequence[str]) -> dict[str, Any]:
    torch.set_default_dtype(torch.float64)
    return {name: learned(name, world().size) for name in names}


def check(name: str, found: list[dict[str, Any]]) -> None:
    """Adam makes more of differences in rounding, and two towers compute items in float32."""
    with doubles():
        alone = learned(name, 1)
    for each in (one[name] for one in found):
        assert each["shares"]
        assert max(each["shares"]) <= 1 / len(found) + 0.05
        for key, value in alone["weights"].items():
            np.testing.assert_allclose(each["weights"][key], value, rtol=0, atol=1e-9, err_msg=key)
        for ours, others in zip(alone["log"], each["log"], strict=True):
            assert others == pytest.approx(ours, rel=0, abs=1e-12)
        assert each["metrics"] == pytest.approx(alone["metrics"], rel=0, abs=1e-12)
        assert each["items"] == alone["items"]
        np.testing.assert_allclose(each["scores"], alone["scores"], rtol=0, atol=1e-5)
        assert each["similar"] == alone["similar"]
