"""Words and language models in the formats of other programs, each by the method that writes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logq.exports.vector_arrays import words_of

__all__ = ["write_arpa", "write_binary", "write_fasttext_model", "write_static", "write_text"]


def write_static(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write a StaticEmbedding of sentence-transformers."""
    words_of(model).to_static_embedding(folder)


def write_text(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write the text format of word2vec."""
    words_of(model).save_word2vec_format(folder / "vectors.txt")


def write_binary(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write the binary format of word2vec."""
    words_of(model).save_word2vec_format(folder / "vectors.bin", binary=True)


def write_fasttext_model(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write a model of fastText; that of a Word2Vec has its outputs too."""
    model.save_fasttext(folder / "model.bin")


def write_arpa(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write n-grams as ARPA text."""
    model.to_arpa(folder / "model.arpa")
