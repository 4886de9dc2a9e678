"""Train models with millions of output classes by candidate sampling: negative sampling, NCE, sampled softmax.

Names are imported when they are first used, so that `logq --help` answers without loading torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logq import (
        compat,
        data,
        diagnostics,
        evaluation,
        functional,
        hierarchical,
        huffman,
        kernels,
        language_models,
        models,
        ngram,
        nn,
        objectives,
        optim,
        recipes,
        recommenders,
        retrieval,
        samplers,
        training,
        vectors,
    )
    from logq.arguments import ArgumentError, ArgumentTypeError, BadArgument
    from logq.candidates import Candidates
    from logq.data import Interactions
    from logq.language_models import NNLM, RecurrentLM
    from logq.ngram import NGram
    from logq.recommenders import (
        EGES,
        MIND,
        SDM,
        AirbnbEmbeddings,
        Item2Vec,
        ItemKNN,
        Popularity,
        SASRec,
        TwoTower,
        YoutubeDNN,
    )
    from logq.training import Word2Vec
    from logq.vectors import KeyedVectors

__version__ = "0.1.0"

__all__ = [
    "EGES",
    "MIND",
    "NNLM",
    "SDM",
    "AirbnbEmbeddings",
    "ArgumentError",
    "ArgumentTypeError",
    "BadArgument",
    "Candidates",
    "Interactions",
    "Item2Vec",
    "ItemKNN",
    "KeyedVectors",
    "NGram",
    "Popularity",
    "RecurrentLM",
    "SASRec",
    "TwoTower",
    "Word2Vec",
    "YoutubeDNN",
    "__version__",
    "compat",
    "data",
    "diagnostics",
    "evaluation",
    "functional",
    "hierarchical",
    "huffman",
    "kernels",
    "language_models",
    "models",
    "ngram",
    "nn",
    "objectives",
    "optim",
    "recipes",
    "recommenders",
    "retrieval",
    "samplers",
    "training",
    "vectors",
]

_LANGUAGE_MODELS = ["NNLM", "RecurrentLM"]
_RECOMMENDERS = [
    "EGES",
    "MIND",
    "SDM",
    "AirbnbEmbeddings",
    "Item2Vec",
    "ItemKNN",
    "Popularity",
    "SASRec",
    "TwoTower",
    "YoutubeDNN",
]
_HOME = {
    "ArgumentError": "logq.arguments",
    "ArgumentTypeError": "logq.arguments",
    "BadArgument": "logq.arguments",
    "Candidates": "logq.candidates",
    "Interactions": "logq.data",
    "KeyedVectors": "logq.vectors",
    "Word2Vec": "logq.training",
    "NGram": "logq.ngram",
    **dict.fromkeys(_LANGUAGE_MODELS, "logq.language_models"),
    **dict.fromkeys(_RECOMMENDERS, "logq.recommenders"),
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in __all__:
        return importlib.import_module(f"logq.{name}")
    raise AttributeError(f"module 'logq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
