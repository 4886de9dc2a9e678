"""What each extra is for: the commands and functions that need it. Which extras there are is said by the package."""

import importlib.metadata
from typing import NamedTuple

from logq._project import Needed, extras, install_line

__all__ = ["FOR_DEVELOPERS", "USES", "Extra", "look_at_extras"]

USES = {
    "map": ("logq map, by t-SNE", "word_map(layout='tsne')"),
    "plot": ("logq diagnose --figure", "GradientErrors.plot"),
    "evaluate": ("p values of logq evaluate words", "word_similarity"),
    "zstd": ("texts and logs in .zst",),
    "logs": ("logs in CSV and Parquet: logq train sasrec log.csv, prepare, evaluate ranking", "Interactions.from_csv"),
    "faiss": ("logq index --kind faiss-...", "make_index('faiss-hnsw')"),
    "usearch": ("logq index --kind usearch", "make_index('usearch')"),
    "hnswlib": ("logq index --kind hnswlib", "make_index('hnswlib')"),
    "duckdb": ("logq index --to duckdb:FILE, logq prepare", "DuckDBItems", "prepare_log"),
    "postgres": ("logq index --to postgresql://...", "PgVectorItems"),
    "qdrant": ("logq index --to qdrant:URL", "QdrantItems"),
    "milvus": ("logq index --to milvus:FILE.db", "MilvusItems"),
    "lancedb": ("logq index --to lancedb:FOLDER", "LanceDBItems"),
    "spark": ("logq prepare --engine spark", "prepare(engine='spark')"),
    "ray": ("logq prepare --engine ray", "prepare(engine='ray')"),
    "onnx": ("logq export --format onnx", "NeuralRecommender.export"),
    "tune": ("logq tune", "logq.tune", "OptunaPruning"),
    "serve": ("logq serve", "logq.serving.create_app"),
    "hub": ("logq push, and hf://user/name instead of a folder", "push_to_hub, from_pretrained"),
    "track": ("TensorBoardTracker, WandbTracker, MLflowTracker",),
}
"""By extra: what a user calls it by."""

FOR_DEVELOPERS = frozenset({"test", "dev", "docs", "bench", "all"})
"""Extras that no command needs."""


class Extra(NamedTuple):
    """An extra, and whether it is here.

    Args:
        name: as it is typed.
        uses: commands and functions that need it.
        missing: packages of it that are not installed, or too old.
        install: the line that installs it; "" where nothing is missing.

    Example:
        >>> Extra("hub", ("logq push",), ("huggingface-hub",), "pip install 'logq[hub]'").missing
        ('huggingface-hub',)
    """

    name: str
    uses: tuple[str, ...]
    missing: tuple[str, ...]
    install: str


def look_at_extras() -> list[Extra]:
    """Return the extras for users, in the order of pyproject.toml."""
    found: list[Extra] = []
    for name, needed in extras().items():
        if name not in FOR_DEVELOPERS:
            missing = tuple(one.name for one in needed if not _is_here(one))
            found.append(Extra(name, USES.get(name, ()), missing, install_line(name) if missing else ""))
    return found


def _is_here(needed: Needed) -> bool:
    try:
        return needed.is_met_by(importlib.metadata.version(needed.name))
    except importlib.metadata.PackageNotFoundError:
        return False
