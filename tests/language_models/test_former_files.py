"""Models as logq 0.1 saved them, written here from constants; the numbers are those that logq 0.1 gave for them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from logq.language_models import load

WORDS = ["</s>", "a", "b", "<unk>"]
TEXT = [["a", "b", "a"], ["b", "c"]]

# The arguments of neural models, as 0.1 wrote them.
OPTIONS = {
    "batch_size": 64,
    "clip": 1.0,
    "cutoffs": None,
    "decay": "constant",
    "dropout": 0.2,
    "epochs": 10,
    "log_q": True,
    "lr": 0.001,
    "max_vocab": None,
    "min_count": 1,
    "num_sampled": 200,
    "objective": "sampled_softmax",
    "optimizer": "adam",
    "patience": 3,
    "precision": "float32",
    "replacement": False,
    "sampler": "log_uniform",
    "seed": 3,
    "shared_negatives": True,
    "sparse": None,
    "threads": None,
    "unigram_power": 0.75,
    "warmup": 0,
    "weight_decay": 0.0,
}
NGRAM = {"order": 2, "smoothing": "add_k", "k": 0.5, "discount_fallback": None, "min_count": 1, "max_vocab": None}
NNLM = {"dim": 2, "hidden": 3, "context": 2, "direct": True}
RECURRENT = {"cell": "gru", "dim": 3, "hidden": 3, "layers": 1, "tied": False, "bptt": 20}
NNLM_SHAPES = {
    "model.weights.layer.bias": (3,),
    "model.weights.layer.weight": (3, 4),
    "model.weights.words.weight": (4, 2),
}


def recurrent_shapes(gates: int, layers: int, dim: int = 3) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"model.weights.words.weight": (4, dim)}
    for layer in range(layers):
        width = 3 if layer else dim
        for name, shape in {"weight_ih": (3 * gates, width), "weight_hh": (3 * gates, 3)}.items():
            found[f"model.weights.layers.{layer}.{name}_l0"] = shape
            found[f"model.weights.layers.{layer}.{name.replace('weight', 'bias')}_l0"] = (3 * gates,)
    return found


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Arrays of float32 that depend on their name and shape alone."""
    return {
        name: np.sin(np.arange(1, np.prod(shape) + 1) * (1 + len(name) % 7)).astype(np.float32).reshape(shape)
        for name, shape in shapes.items()
    }


# name: class, settings, arrays, and by 0.1 the log P of TEXT and of "b a".
CASES: dict[str, tuple[str, dict[str, Any], dict[str, np.ndarray], tuple[float, float]]] = {
    "ngram": (
        "NGram",
        {**NGRAM, "threads": 1},
        {
            "keys.2": np.array([5, 7, 11, 21]),
            "log_probs.1": np.log(np.float32([0.4, 0.3, 0.2, 0.1, 1e-30])),
            "log_probs.2": np.log(np.float32([0.5, 0.25, 0.5, 0.75])),
            "weights.1": np.log(np.float32([1, 0.5, 0.25, 1, 0.3])),
        },
        (-10.478852, -4.1997051),
    ),
    "nnlm, negative sampling": (
        "NNLM",
        {**OPTIONS, **NNLM, "objective": "negative_sampling", "sampler": "unigram"},
        drawn(
            {**NNLM_SHAPES, "output.weights.weight": (4, 7), "output.weights.bias": (4,), "output.weights.log_q": (4,)}
        ),
        (-14.494147, -4.420553),
    ),
    "nnlm, adaptive softmax": (
        "NNLM",
        {**OPTIONS, **NNLM, "direct": False, "objective": "adaptive_softmax", "sampler": None, "cutoffs": [2]},
        drawn(
            {
                **NNLM_SHAPES,
                "output.weights.softmax.head.weight": (3, 3),
                "output.weights.softmax.tail.0.0.weight": (1, 3),
                "output.weights.softmax.tail.0.1.weight": (2, 1),
            }
        ),
        (-15.086251, -5.5505337),
    ),
    "gru, tied, a function as sampler": (
        "RecurrentLM",
        {**OPTIONS, **RECURRENT, "tied": True, "sampler": "custom"},
        drawn({**recurrent_shapes(3, 1), "output.weights.bias": (4,)}),
        (-9.9467206, -3.5640802),
    ),
    "lstm, two layers, a tree": (
        "RecurrentLM",
        {
            **OPTIONS,
            **RECURRENT,
            "cell": "lstm",
            "dim": 2,
            "layers": 2,
            "objective": "hierarchical_softmax",
            "sampler": None,
        },
        {
            **drawn({**recurrent_shapes(4, 2, dim=2), "output.weights.tree.weight": (3, 3)}),
            # Huffman's tree of the counts 4, 3, 2, 1
            "output.weights.tree.offsets": np.array([0, 1, 3, 6, 9]),
            "output.weights.tree.points": np.array([2, 2, 1, 2, 1, 0, 2, 1, 0], np.int32),
            "output.weights.tree.codes": np.array([0, 1, 0, 1, 1, 1, 1, 1, 0], np.uint8),
        },
        (-11.20464, -4.3965727),
    ),
}


def write_as_0_1(folder: Path, name: str) -> None:
    kind, settings, arrays, _ = CASES[name]
    metadata: dict[str, Any] = {"ngrams": [5, 4], "tokens": 9, "k": 0.5}
    if kind != "NGram":
        log = [{"epoch": 1, "loss": 1.5, "tokens_per_second": 100.0}]
        metadata = {"training_log": log, "log_q": "output.weights.log_q" in arrays}
    joined = "".join(WORDS).encode()
    tensors = {f"learned/{key}": array for key, array in arrays.items()}
    tensors["vocabulary.words"] = np.frombuffer(joined, np.uint8).copy()
    tensors["vocabulary.offsets"] = np.cumsum([0, *map(len, WORDS)])
    tensors["vocabulary.counts"] = np.array([4, 3, 2, 1])
    described = {
        "format": "logq.language_model",
        "version": 1,
        "class": kind,
        "info": {"settings": settings, "facts": metadata, "words": len(WORDS)},
        "tensors": {key: [array.dtype.name, list(array.shape)] for key, array in sorted(tensors.items())},
    }
    save_file(tensors, folder / "model.safetensors", {"logq": json.dumps(described)})


@pytest.mark.parametrize("name", CASES)
def test_what_0_1_saved_answers_as_it_did_there(name: str, tmp_path: Path) -> None:
    kind, settings, _, (of_text, of_line) = CASES[name]
    write_as_0_1(tmp_path, name)
    model = load(tmp_path)
    assert type(model).__name__ == kind
    assert model.evaluate(TEXT, progress=False).log_prob == pytest.approx(of_text, rel=1e-6)
    assert model.score("b a") == pytest.approx(of_line, rel=1e-6)
    assert {key: model.settings()[key] for key in settings} == settings
    model.save(tmp_path / "again")
    again = load(tmp_path / "again")
    assert again.score("b a") == model.score("b a")
    assert (again.settings(), again.metadata) == (model.settings(), model.metadata)
