"""What logq 0.1 gave its users stays: arguments, their defaults, and files that it wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logq
from logq import _model_file
from logq._model_file import FILE, Stored, read_stored, write_stored
from logq.estimators import FORMATS
from logq.recommenders import Recommender
from recommender_cases import fitted, make, planted_split

NEURAL: dict[str, Any] = {
    "batch_size": 512,
    "calibration": 0.75,
    "clip": None,
    "cosine": False,
    "decay": "constant",
    "dim": 64,
    "ema": None,
    "epochs": 20,
    "exclude_seen": True,
    "log_q": True,
    "lr": 0.001,
    "max_length": 50,
    "monitor": "ndcg@10",
    "num_sampled": 512,
    "objective": "sampled_softmax",
    "patience": 3,
    "precision": "float32",
    "pretrain": 0,
    "seed": None,
    "shared_negatives": True,
    "sparse": None,
    "temperature": 1.0,
    "unigram_power": 0.75,
    "unseen_negatives": False,
    "validate_every": 1,
    "warmup": 0,
    "weight_decay": 0.0,
    "sampler": "log_uniform",
}
SKIP_GRAM: dict[str, Any] = NEURAL | {
    "epochs": 5,
    "lr": 0.005,
    "num_sampled": 5,
    "objective": "negative_sampling",
    "patience": None,
    "shared_negatives": False,
    "sampler": "unigram",
    "window": 5,
    "recency": 0.6,
    "gap": None,
}

NEXT_ITEM: dict[str, Any] = {
    "dropout": "auto",
    "ema": 0.999,
    "epochs": "auto",
    "lr": 0.003,
    "num_sampled": "auto",
    "patience": 5,
    "pretrain": "auto",
    "validate_every": "auto",
    "sampler": "uniform",
}
SINCE: dict[str, dict[str, Any]] = {
    "YoutubeDNN": NEXT_ITEM | {"max_length": "auto", "tied": True},
    "MIND": NEXT_ITEM | {"max_length": 20, "interests": 2, "learned_routing": True},
    "SDM": NEXT_ITEM | {"max_length": 20},
    "TwoTower": NEXT_ITEM | {"max_length": "auto", "sampler": "in_batch"},
    "SASRec": NEXT_ITEM | {"batch_size": "auto", "dim": "auto", "hidden": "auto", "lr": 0.001, "max_length": "auto"},
    "AirbnbEmbeddings": {"epochs": "auto"},
    "Item2Vec": {"epochs": "auto"},
}
"""Defaults that are others today, on purpose: most follow from the log."""

SETTINGS: dict[str, dict[str, Any]] = {
    "YoutubeDNN": NEURAL
    | {
        "hidden": [256, 128],
        "feature_dim": 16,
        "example_age": False,
        "tied": False,
        "item_bias": False,
        "max_per_user": None,
        "context": [],
        "dropout": 0.0,
    },
    "MIND": NEURAL
    | {
        "interests": 4,
        "adaptive": True,
        "passes": 3,
        "hidden": [256],
        "feature_dim": 16,
        "learned_routing": False,
        "tied": True,
        "dropout": 0.0,
        "power": 2.0,
    },
    "SDM": NEURAL
    | {
        "short_length": 10,
        "heads": 4,
        "user_vectors": False,
        "user_dropout": 0.1,
        "dropout": 0.0,
        "tied": True,
    },
    "TwoTower": NEURAL
    | {
        "temperature": 0.05,
        "sampler": "in_batch",
        "hidden": [256],
        "item_hidden": [256],
        "id_dim": None,
        "feature_dim": 16,
        "id_dropout": 0.1,
        "user_vectors": False,
        "user_dropout": 0.1,
        "context": [],
        "dropout": 0.0,
    },
    "SASRec": NEURAL
    | {
        "batch_size": 64,
        "max_length": 200,
        "blocks": 2,
        "heads": 1,
        "hidden": None,
        "dropout": 0.2,
        "tied": True,
        "overlap": 0,
        "last_only": False,
    },
    "EGES": SKIP_GRAM | {"walks_per_item": 10, "walk_length": 10},
    "AirbnbEmbeddings": SKIP_GRAM | {"dim": 32, "booking": None, "market": None, "num_in_market": 5},
    "Item2Vec": {
        "dim": 128,
        "window": 5,
        "negatives": 5,
        "sample": 0.0,
        "power": 0.75,
        "epochs": 20,
        "lr": 0.025,
        "objective": "negative_sampling",
        "sampler": None,
        "threads": None,
        "ordered": True,
        "gap": None,
        "recency": 0.6,
        "popularity": 0.5,
        "max_length": 50,
        "seed": None,
    },
    "ItemKNN": {"neighbors": 100, "shrinkage": 10.0, "max_length": None},
    "Popularity": {},
}
"""What `settings()` of 0.1 returned where no argument was given."""

IMPLIED = ("Item2Vec", "sampler")

TODAY = {"negatives": "num_sampled", "power": "unigram_power"}
"""What settings of 0.1 are called now; as arguments and attributes the old names stay."""


@pytest.mark.parametrize("name", SETTINGS)
def test_arguments_and_their_defaults_are_those_of_0_1(name: str) -> None:
    kind = getattr(logq, name)
    plain = kind()
    for key, value in {**SETTINGS[name], **SINCE.get(name, {})}.items():
        now = getattr(plain, key)
        # None, of Item2Vec's sampler, always meant unigram, and is said so now.
        assert (list(now) if isinstance(now, tuple) else now) == ("unigram" if (name, key) == IMPLIED else value)
        assert kind(**{key: value}).settings() == plain.settings()
    assert kind(device="cpu").device == plain.device
    if name != "Popularity":
        assert kind(32).settings()["neighbors" if name == "ItemKNN" else "dim"] == 32


def rewritten_as_0_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file what 0.1 would have written: its version, its settings, "facts", and no key that it did not have."""
    stored = read_stored(folder / FILE, format=FORMATS["recommender"])
    written = stored.info["settings"]
    settings = {key: written[key if key in written else TODAY[key]] for key in SETTINGS[stored.kind]}
    info = {
        "settings": settings,
        "facts": stored.info["metadata"],
        **{key: stored.info[key] for key in ("features", "users", "items")},
    }
    monkeypatch.setattr(_model_file, "VERSION", 1)
    tensors = {key: array for key, array in stored.tensors.items() if key != "seen.times"}
    write_stored(folder / FILE, Stored(stored.kind, info, tensors), format="logq.recommender")


@pytest.mark.parametrize("name", SETTINGS)
def test_files_of_0_1_are_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What could not be chosen then was so.
    model = make(name, **getattr(logq, name).settings_before).fit(planted_split().train, progress=False)
    model.save(tmp_path)
    rewritten_as_0_1(tmp_path, monkeypatch)
    assert b'\\"version\\": 1' in (tmp_path / FILE).read_bytes()
    for load in (type(model).load, Recommender.load, logq.load):
        again = load(tmp_path)
        assert type(again) is type(model)
        np.testing.assert_array_equal(again.recommend(k=5).items, model.recommend(k=5).items)
        np.testing.assert_array_equal(again.recommend(k=5).scores, model.recommend(k=5).scores)


def test_the_arrays_of_a_file_have_the_names_of_0_1(tmp_path: Path) -> None:
    model = fitted("YoutubeDNN")
    model.save(tmp_path)
    features = [
        f"{side}_features/0_{part}" for side in ("item", "user") for part in ("known.ends", "known.text", "values")
    ]
    weights = ["items", "tower.layers.0", "tower.layers.1", "user_features.tables.0", "watched"]
    assert sorted(read_stored(tmp_path / FILE, format=FORMATS["recommender"]).tensors) == sorted(
        [
            *features,
            *[f"learned/weights.{name}.weight" for name in weights],
            "learned/weights.tower.layers.0.bias",
            "learned/weights.tower.layers.1.bias",
            "items/keys",
            "seen.items",
            "seen.offsets",
            "seen.times",  # since 0.2
            "users/ends",
            "users/text",
        ]
    )
